// Signatures, shape functions and documentation of the ops. A dense layer is the convolution of a 1 x 1 image.
#include <vector>

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace {

using ::tensorflow::shape_inference::DimensionHandle;
using ::tensorflow::shape_inference::InferenceContext;
using ::tensorflow::shape_inference::ShapeHandle;

// Input times (batch, height, width, channels, slots) and kernel (kernel_height, kernel_width, channels, units) ->
// neurons (batch, out_height, out_width, units). Unknown sizes stay unknown.
absl::Status Neurons(InferenceContext* c, int times_input, int kernel_input, ShapeHandle* neurons) {
  ShapeHandle times, kernel;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(times_input), 5, &times));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(kernel_input), 4, &kernel));
  DimensionHandle height, width, channels;
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(times, 3), c->Dim(kernel, 2), &channels));
  TF_RETURN_IF_ERROR(c->Subtract(c->Dim(times, 1), c->Dim(kernel, 0), &height));
  TF_RETURN_IF_ERROR(c->Add(height, 1, &height));
  TF_RETURN_IF_ERROR(c->Subtract(c->Dim(times, 2), c->Dim(kernel, 1), &width));
  TF_RETURN_IF_ERROR(c->Add(width, 1, &width));
  *neurons = c->MakeShape({c->Dim(times, 0), height, width, c->Dim(kernel, 3)});
  return absl::OkStatus();
}

// Checks the ranks of the inputs from `first` on.
absl::Status Ranks(InferenceContext* c, int first, const std::vector<int>& ranks) {
  ShapeHandle unused;
  for (int rank : ranks) TF_RETURN_IF_ERROR(c->WithRank(c->input(first++), rank, &unused));
  return absl::OkStatus();
}

// The outputs from `first` on, which a layer hands on to its gradients.
void SetRecord(InferenceContext* c, int first) {
  const DimensionHandle events = c->UnknownDim(), crossings = c->UnknownDim();
  const ShapeHandle splits = c->Vector(InferenceContext::kUnknownDim);
  for (ShapeHandle shape :
       {splits, c->Matrix(events, 2), c->Vector(events), splits, c->Matrix(crossings, 2), c->Vector(crossings), splits})
    c->set_output(first++, shape);
}

absl::Status SpikesShape(InferenceContext* c) {
  ShapeHandle neurons, trains;
  int64_t max_spikes;
  TF_RETURN_IF_ERROR(Neurons(c, 0, 1, &neurons));
  TF_RETURN_IF_ERROR(Ranks(c, 2, {0, 0, 0, 0}));
  TF_RETURN_IF_ERROR(c->GetAttr("max_spikes", &max_spikes));
  TF_RETURN_IF_ERROR(c->Concatenate(neurons, c->Vector(max_spikes), &trains));
  c->set_output(0, trains);
  c->set_output(1, neurons);
  c->set_output(2, c->Scalar());
  SetRecord(c, 3);
  return absl::OkStatus();
}

absl::Status CoefficientsShape(InferenceContext* c) {
  ShapeHandle trains;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 5, &trains));
  TF_RETURN_IF_ERROR(c->Merge(trains, c->input(1), &trains));
  TF_RETURN_IF_ERROR(Ranks(c, 2, {1, 2, 1, 0, 0}));
  c->set_output(0, c->input(4));
  c->set_output(1, c->Matrix(InferenceContext::kUnknownDim, 3));
  return absl::OkStatus();
}

absl::Status PeaksShape(InferenceContext* c) {
  ShapeHandle neurons;
  TF_RETURN_IF_ERROR(Neurons(c, 0, 1, &neurons));
  TF_RETURN_IF_ERROR(Ranks(c, 2, {0, 0}));
  for (int i = 0; i < 4; ++i) c->set_output(i, neurons);
  SetRecord(c, 4);
  return absl::OkStatus();
}

// The gradient with respect to input `input` has its shape.
template <int input>
absl::Status GradientShape(InferenceContext* c) {
  ShapeHandle neurons;
  TF_RETURN_IF_ERROR(Neurons(c, 0, 1, &neurons));
  TF_RETURN_IF_ERROR(Ranks(c, 2, {5, 1, 2, 1, 1, 2, 1, 1, 0}));
  c->set_output(0, c->input(input));
  return absl::OkStatus();
}

}  // namespace

REGISTER_OP("TtfsKeras>BatsSpikes")
    .Attr("T: {float, double}")
    .Attr("max_spikes: int >= 1")
    .Attr("min_slope: float = 0")
    .Input("times: T")
    .Input("kernel: T")
    .Input("threshold: T")
    .Input("delta_threshold: T")
    .Input("tau_s: T")
    .Input("simulation_time: T")
    .Output("spikes: T")
    .Output("counts: int32")
    .Output("overflow: int64")
    .Output("event_splits: int64")
    .Output("event_places: int32")
    .Output("event_decays: T")
    .Output("crossing_splits: int64")
    .Output("crossing_places: int32")
    .Output("crossing_decays: T")
    .Output("crossing_slopes: T")
    .SetShapeFn(SpikesShape)
    .Doc(R"doc(
Simulates a layer of multi-spike neurons exactly, event by event.

times: input spikes (batch, height, width, channels, slots) in seconds, in any order, inf for none.
kernel: (kernel_height, kernel_width, channels, units).
spikes: (batch, out_height, out_width, units, max_spikes) in seconds, ascending, inf for none.
counts: spikes of each neuron.
overflow: neurons that would have fired more than max_spikes times.
min_slope: of the gradient, see TtfsKeras>BatsCoefficients.

The other outputs are for the gradient ops. `columns` are the output positions of all samples; `tiles` are groups of
units that the CPU simulates at a time, one per lane of its SIMD registers.

event_splits: (columns + 1). The input spikes of column i, in time order, are events event_splits[i] to
    event_splits[i + 1] - 1.
event_places: (events, 2): row of the kernel; slot in the flat input of the sample.
event_decays: (events): exp(-s / (2 tau_s)), s the time to the next event or to the end of the simulation.
crossing_splits: (tiles x columns + 1), as event_splits: the output spikes of the columns of the first tile, of the
    second, and so on. A list is ordered by event, and has the spikes of a neuron in the order of its spike train.
crossing_places: (crossings, 2): the last event before the spike, counted from the first of its column; unit.
crossing_decays: (crossings): exp(-s / (2 tau_s)), s the time from that event to the spike.
crossing_slopes: (crossings): du/dt at the spike.

On a GPU all of these are empty except crossing_slopes: (neurons x max_spikes), laid out as `spikes`, 0 without spike.
)doc");

REGISTER_OP("TtfsKeras>BatsCoefficients")
    .Attr("T: {float, double}")
    .Attr("min_slope: float = 0")
    .Input("spikes: T")
    .Input("gradient: T")
    .Input("crossing_splits: int64")
    .Input("crossing_places: int32")
    .Input("crossing_slopes: T")
    .Input("delta_threshold: T")
    .Input("tau_s: T")
    .Output("coefficients: T")
    .Output("totals: T")
    .SetShapeFn(CoefficientsShape)
    .Doc(R"doc(
Divides the gradient of each spike, resets included, by the slope of the membrane there.

crossing_*: see TtfsKeras>BatsSpikes.
min_slope: smaller slopes count as this one.
coefficients: one for each of crossing_slopes.
totals: (groups of neurons, 3): the parts of each group in the gradients of threshold and delta_threshold, and in
    2 tau_s times the gradient of 2 tau_s.
)doc");

// `of`: the input of the forward op, `input`: its index.
#define BATS_REGISTER_GRADIENT(name, of, input) \
  REGISTER_OP(name)                             \
      .Attr("T: {float, double}")               \
      .Input("times: T")                        \
      .Input("kernel: T")                       \
      .Input("spikes: T")                       \
      .Input("event_splits: int64")             \
      .Input("event_places: int32")             \
      .Input("event_decays: T")                 \
      .Input("crossing_splits: int64")          \
      .Input("crossing_places: int32")          \
      .Input("crossing_decays: T")              \
      .Input("coefficients: T")                 \
      .Input("tau_s: T")                        \
      .Output("gradient: T")                    \
      .SetShapeFn(GradientShape<input>)         \
      .Doc("The gradient of the " of " of TtfsKeras>BatsSpikes or TtfsKeras>BatsPeaks.")

BATS_REGISTER_GRADIENT("TtfsKeras>BatsTimesGradient", "times", 0);
BATS_REGISTER_GRADIENT("TtfsKeras>BatsKernelGradient", "kernel", 1);

REGISTER_OP("TtfsKeras>BatsPeaks")
    .Attr("T: {float, double}")
    .Input("times: T")
    .Input("kernel: T")
    .Input("tau_s: T")
    .Input("simulation_time: T")
    .Output("peaks: T")
    .Output("peak_times: T")
    .Output("slopes: T")
    .Output("slots: int32")
    .Output("event_splits: int64")
    .Output("event_places: int32")
    .Output("event_decays: T")
    .Output("crossing_splits: int64")
    .Output("crossing_places: int32")
    .Output("crossing_decays: T")
    .Output("crossing_slopes: T")
    .SetShapeFn(PeaksShape)
    .Doc(R"doc(
The largest membrane potential that each neuron reaches where it is never reset, in closed form.

peaks: (batch, out_height, out_width, units), -inf without input spikes.
peak_times: when, in seconds, inf without input spikes.
slopes: du/dt just before the peak if an input or the end of the simulation cuts the rise off, else 0.
slots: the slot of that input in the flat input of the sample, or -1.
event_*, crossing_*: see TtfsKeras>BatsSpikes; a peak is a spike with slope 1.
)doc");
