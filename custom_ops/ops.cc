// The ops as TensorFlow sees them. See problem.h for the layout: a dense layer is a 1 x 1 image.
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

absl::Status Scalars(InferenceContext* c, int first) {
  ShapeHandle scalar;
  for (int i = first; i < c->num_inputs(); ++i) TF_RETURN_IF_ERROR(c->WithRank(c->input(i), 0, &scalar));
  return absl::OkStatus();
}

absl::Status SpikesShape(InferenceContext* c) {
  ShapeHandle neurons, trains;
  int64_t max_spikes;
  TF_RETURN_IF_ERROR(Neurons(c, 0, 1, &neurons));
  TF_RETURN_IF_ERROR(Scalars(c, 2));
  TF_RETURN_IF_ERROR(c->GetAttr("max_spikes", &max_spikes));
  TF_RETURN_IF_ERROR(c->Concatenate(neurons, c->Vector(max_spikes), &trains));
  c->set_output(0, trains);
  c->set_output(1, neurons);
  c->set_output(2, c->Scalar());
  for (int i = 3; i < 5; ++i) c->set_output(i, c->Vector(InferenceContext::kUnknownDim));
  return absl::OkStatus();
}

absl::Status CoefficientsShape(InferenceContext* c) {
  ShapeHandle trains;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 5, &trains));
  TF_RETURN_IF_ERROR(c->Merge(trains, c->input(1), &trains));
  TF_RETURN_IF_ERROR(Scalars(c, 3));
  c->set_output(0, c->Vector(InferenceContext::kUnknownDim));
  c->set_output(1, c->Matrix(InferenceContext::kUnknownDim, 3));
  return absl::OkStatus();
}

absl::Status PeaksShape(InferenceContext* c) {
  ShapeHandle neurons;
  TF_RETURN_IF_ERROR(Neurons(c, 0, 1, &neurons));
  TF_RETURN_IF_ERROR(Scalars(c, 2));
  for (int i = 0; i < 4; ++i) c->set_output(i, neurons);
  for (int i = 4; i < 6; ++i) c->set_output(i, c->Vector(InferenceContext::kUnknownDim));
  return absl::OkStatus();
}

// The gradient with respect to input `input` has its shape.
template <int input>
absl::Status GradientShape(InferenceContext* c) {
  ShapeHandle neurons;
  TF_RETURN_IF_ERROR(Neurons(c, 0, 1, &neurons));
  TF_RETURN_IF_ERROR(Scalars(c, 5));
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
    .Output("events: uint8")
    .Output("crossings: uint8")
    .SetShapeFn(SpikesShape)
    .Doc(R"doc(
Simulates a layer of multi-spike neurons exactly, event by event.

times: input spikes (batch, height, width, channels, slots) in seconds, in any order, inf for none.
kernel: (kernel_height, kernel_width, channels, units).
spikes: (batch, out_height, out_width, units, max_spikes) in seconds, ascending, inf for none.
counts: spikes of each neuron.
overflow: neurons that would have fired more than max_spikes times.
events, crossings: for the gradient ops, in a form of the device's own.
min_slope: of the gradient, see TtfsKeras>BatsCoefficients.
)doc");

REGISTER_OP("TtfsKeras>BatsCoefficients")
    .Attr("T: {float, double}")
    .Attr("min_slope: float = 0")
    .Input("spikes: T")
    .Input("gradient: T")
    .Input("crossings: uint8")
    .Input("delta_threshold: T")
    .Input("tau_s: T")
    .Output("coefficients: uint8")
    .Output("totals: T")
    .SetShapeFn(CoefficientsShape)
    .Doc(R"doc(
Divides the gradient of each spike, resets included, by the slope of the membrane there.

min_slope: what is taken for smaller slopes.
coefficients: what the gradients of kernel and times are made of, in a form of the device's own.
totals: for each of some groups of neurons the gradients of threshold and delta_threshold, and its part of 2 tau_s times
    that of 2 tau_s.
)doc");

// With respect to the input `of` of the layer's op.
#define BATS_REGISTER_GRADIENT(name, of, input)                                              \
  REGISTER_OP(name)                                                                         \
      .Attr("T: {float, double}")                                                           \
      .Input("times: T")                                                                    \
      .Input("kernel: T")                                                                   \
      .Input("spikes: T")                                                                   \
      .Input("events: uint8")                                                               \
      .Input("coefficients: uint8")                                                         \
      .Input("tau_s: T")                                                                    \
      .Output("gradient: T")                                                                \
      .SetShapeFn(GradientShape<input>)                                                     \
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
    .Output("events: uint8")
    .Output("crossings: uint8")
    .SetShapeFn(PeaksShape)
    .Doc(R"doc(
The largest membrane potential that each neuron reaches where it is never reset, in closed form.

peaks: (batch, out_height, out_width, units), -inf without input spikes.
peak_times: when, in seconds, inf without input spikes.
slopes: du/dt just before, where an input or the end of the simulation cuts the rise off, else 0.
slots: that input's place in the flat input of the sample, or -1.
events, crossings: see TtfsKeras>BatsSpikes; a peak is a spike with slope 1.
)doc");
