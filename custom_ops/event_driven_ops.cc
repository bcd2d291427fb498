// The ops of event-driven inference for TensorFlow: signatures, shape functions, documentation and kernels.
#include "checks.h"
#include "devices.h"
#include "event_driven.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace event_driven {
namespace {

using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;
using ::tensorflow::TensorShape;
using ::tensorflow::shape_inference::DimensionHandle;
using ::tensorflow::shape_inference::InferenceContext;
using ::tensorflow::shape_inference::ShapeHandle;

// How the kernel of a convolution moves over the image; the attributes of the op.
struct Movement {
  std::vector<int64_t> kernel_size, strides, dilations, padding;
  int64_t groups = 1;

  template <class Context>
  absl::Status read(Context* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("kernel_size", &kernel_size));
    TF_RETURN_IF_ERROR(context->GetAttr("strides", &strides));
    TF_RETURN_IF_ERROR(context->GetAttr("dilations", &dilations));
    TF_RETURN_IF_ERROR(context->GetAttr("padding", &padding));
    TF_RETURN_IF_ERROR(context->GetAttr("groups", &groups));
    auto valid = [](const std::vector<int64_t>& values, size_t size, int64_t least) {
      return values.size() == size && *std::min_element(values.begin(), values.end()) >= least;
    };
    if (!valid(kernel_size, 2, 1) || !valid(strides, 2, 1) || !valid(dilations, 2, 1) || !valid(padding, 4, 0))
      return absl::InvalidArgumentError(absl::StrCat(
          "expected kernel_size, strides and dilations (height, width) of at least 1 and padding (top, bottom, left, "
          "right) of at least 0. Received: (",
          absl::StrJoin(kernel_size, ", "), "), (", absl::StrJoin(strides, ", "), "), (",
          absl::StrJoin(dilations, ", "), ") and (", absl::StrJoin(padding, ", "), ")"));
    return absl::OkStatus();
  }

  // Size of the output on an axis: 0 height, 1 width.
  int64_t outputs(int axis, int64_t inputs) const {
    const int64_t span = (kernel_size[axis] - 1) * dilations[axis] + 1;
    const int64_t room = inputs + padding[2 * axis] + padding[2 * axis + 1] - span;
    return room < 0 ? 0 : room / strides[axis] + 1;
  }
};

absl::Status ConvolutionShape(InferenceContext* c) {
  ShapeHandle lead;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &lead));
  Movement movement;
  TF_RETURN_IF_ERROR(movement.read(c));
  auto outputs = [&](int axis) {
    const DimensionHandle inputs = c->Dim(lead, 1 + axis);
    return c->ValueKnown(inputs) ? c->MakeDim(movement.outputs(axis, c->Value(inputs))) : c->UnknownDim();
  };
  const DimensionHandle filters = c->RankKnown(c->input(2)) ? c->Dim(c->input(2), -1) : c->UnknownDim();
  c->set_output(0, c->MakeShape({c->Dim(lead, 0), outputs(0), outputs(1), filters}));
  c->set_output(1, c->Scalar());
  return absl::OkStatus();
}

absl::Status DenseShape(InferenceContext* c) {
  ShapeHandle lead, bias;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &lead));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 1, &bias));
  c->set_output(0, c->Matrix(c->Dim(lead, 0), c->Dim(bias, 0)));
  c->set_output(1, c->Scalar());
  return absl::OkStatus();
}

// An op that gives lead times and the number of weights that it applied.
template <class T>
class EventDrivenOp : public OpKernel {
 public:
  explicit EventDrivenOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("fires", &fires_));
  }

  void Compute(OpKernelContext* context) final {
    bats::run(context, "expected memory for the spikes of this layer. Received: too little; a smaller batch needs less",
              [&] { compute(context); });
  }

 protected:
  // The neurons of outputs (positions, units).
  Neuron<T> neuron(OpKernelContext* context, const TensorShape& map, bats::Checks* checks) const {
    const Tensor &bias = context->input(2), &window = context->input(3);
    const int64_t units = map.dim_size(map.dims() - 1);
    checks->expect(bias.shape() == TensorShape({units}) || bias.shape() == map,
                   absl::StrCat("bias ", TensorShape({units}).DebugString(), " or ", map.DebugString()),
                   bias.shape().DebugString());
    checks->expect(window.dims() == 0, "window to be a scalar", window.shape().DebugString());
    const T width = window.dims() ? T(0) : window.flat<T>()(0);
    checks->expect(window.dims() || width > 0 || !fires_, "window above 0", absl::StrCat(width));
    return {bats::array<T>(bias).data, bias.dims() > 1, fires_, width};
  }

 private:
  virtual void compute(OpKernelContext* context) = 0;

  bool fires_;
};

template <class T>
class ConvolutionOp final : public EventDrivenOp<T> {
 public:
  explicit ConvolutionOp(OpKernelConstruction* context) : EventDrivenOp<T>(context) {
    OP_REQUIRES_OK(context, movement_.read(context));
  }

 private:
  void compute(OpKernelContext* context) override {
    const TensorShape &lead = context->input(0).shape(), &weights = context->input(1).shape(),
                      &bias = context->input(2).shape();
    bats::Checks checks;
    checks.expect(lead.dims() == 4, "lead times (batch, height, width, channels)", lead.DebugString());
    checks.expect(bias.dims() >= 1, "bias (filters) or (out_height, out_width, filters)", bias.DebugString());
    checks.verify();
    const Movement& m = movement_;
    const Convolution c{lead.dim_size(0),
                        lead.dim_size(1),
                        lead.dim_size(2),
                        lead.dim_size(3),
                        m.kernel_size[0],
                        m.kernel_size[1],
                        m.outputs(0, lead.dim_size(1)),
                        m.outputs(1, lead.dim_size(2)),
                        bias.dim_size(bias.dims() - 1),
                        m.groups,
                        m.strides[0],
                        m.strides[1],
                        m.dilations[0],
                        m.dilations[1],
                        m.padding[0],
                        m.padding[2],
                        weights.dims() == 5 ? weights.dim_size(4) : 0};
    checks.expect(m.groups >= 1 && c.channels % m.groups == 0 && c.filters % m.groups == 0,
                  absl::StrCat("channels and filters that are multiples of groups=", m.groups),
                  absl::StrCat(c.channels, " and ", c.filters));
    checks.verify();
    if (weights.dims() == 5) {
      checks.expect(c.lanes == 16 || c.lanes == 32 || c.lanes == 64, "16, 32 or 64 filters a block of weights",
                    absl::StrCat(c.lanes));
      checks.verify();
      const TensorShape packed{c.groups * c.blocks(), c.group_channels(), c.kernel_height, c.kernel_width, c.lanes};
      bats::expect_shape(context->input(1), packed, "packed weights", &checks);
      checks.expect(c.taps() * c.lanes * 128 <= std::numeric_limits<int32_t>::max(), "a smaller kernel",
                    absl::StrCat(c.kernel_height, " x ", c.kernel_width));
    } else {
      const TensorShape packed{c.kernel_height, c.kernel_width, c.channels};
      bats::expect_shape(context->input(1), packed, "depthwise weights", &checks);
      checks.expect(c.filters == c.channels && c.groups == c.channels, "a filter and a group a channel",
                    absl::StrCat(c.filters, " filters, ", c.groups, " groups and ", c.channels, " channels"));
    }
    const Neuron<T> n = this->neuron(context, {c.out_height, c.out_width, c.filters}, &checks);
    checks.verify();
    T* leads = bats::output<T>(context, 0, {c.batch, c.out_height, c.out_width, c.filters}).data;
    int64_t* applied = bats::output<int64_t>(context, 1, {}).data;
    *applied = convolve<T>(c, n, bats::input<T>(context, 0).data, bats::input<T>(context, 1).data, leads,
                           bats::thread_pool(context));
  }

  Movement movement_;
};

template <class T>
class DenseOp final : public EventDrivenOp<T> {
 public:
  using EventDrivenOp<T>::EventDrivenOp;

 private:
  void compute(OpKernelContext* context) override {
    const TensorShape &lead = context->input(0).shape(), &bias = context->input(2).shape();
    bats::Checks checks;
    checks.expect(lead.dims() == 2, "lead times (batch, inputs)", lead.DebugString());
    checks.expect(bias.dims() == 1, "bias (units)", bias.DebugString());
    checks.verify();
    const int64_t inputs = lead.dim_size(1), units = bias.dim_size(0);
    const TensorShape packed{inputs, (units + kDenseLanes - 1) / kDenseLanes * kDenseLanes};
    bats::expect_shape(context->input(1), packed, "packed weights", &checks);
    checks.expect(inputs <= std::numeric_limits<int32_t>::max(), "fewer than 2^31 inputs", absl::StrCat(inputs));
    const Neuron<T> n = this->neuron(context, {units}, &checks);
    checks.verify();
    T* leads = bats::output<T>(context, 0, {lead.dim_size(0), units}).data;
    int64_t* applied = bats::output<int64_t>(context, 1, {}).data;
    *applied = dense<T>(lead.dim_size(0), inputs, units, n, bats::input<T>(context, 0).data,
                        bats::input<T>(context, 1).data, leads, bats::thread_pool(context));
  }
};

#define EVENT_DRIVEN_KERNELS(T)                                                                                      \
  REGISTER_KERNEL_BUILDER(Name("TtfsKeras>EventDrivenConv2D").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), \
                          ConvolutionOp<T>);                                                                         \
  REGISTER_KERNEL_BUILDER(Name("TtfsKeras>EventDrivenDense").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"),  \
                          DenseOp<T>);

EVENT_DRIVEN_KERNELS(float)
EVENT_DRIVEN_KERNELS(double)

}  // namespace
}  // namespace event_driven

REGISTER_OP("TtfsKeras>EventDrivenConv2D")
    .Attr("T: {float, double}")
    .Attr("fires: bool")
    .Attr("kernel_size: list(int)")
    .Attr("strides: list(int)")
    .Attr("dilations: list(int)")
    .Attr("padding: list(int)")
    .Attr("groups: int >= 1 = 1")
    .Input("lead: T")
    .Input("weights: T")
    .Input("bias: T")
    .Input("window: T")
    .Output("output: T")
    .Output("applied: int64")
    .SetShapeFn(event_driven::ConvolutionShape)
    .Doc(R"doc(
Convolves lead times, reading only the weights of neurons that spiked.

lead: (batch, height, width, channels), 0 for no spike.
weights: packed: (groups x blocks, channels of a group, kernel_height, kernel_width, 16, 32 or 64 filters), padded with
    0 to whole blocks of each group; or (kernel_height, kernel_width, channels) of a depthwise convolution.
bias: (filters) or (out_height, out_width, filters).
window: width of the firing window; not used unless `fires`.
fires: whether the output is min(max(z, 0), window) of the potential z, or z itself.
kernel_size, strides, dilations: (height, width).
padding: zeros around the image (top, bottom, left, right).
output: (batch, out_height, out_width, filters).
applied: number of weights that were applied: one for each spike and output that it reaches.
)doc");

REGISTER_OP("TtfsKeras>EventDrivenDense")
    .Attr("T: {float, double}")
    .Attr("fires: bool")
    .Input("lead: T")
    .Input("weights: T")
    .Input("bias: T")
    .Input("window: T")
    .Output("output: T")
    .Output("applied: int64")
    .SetShapeFn(event_driven::DenseShape)
    .Doc(R"doc(
Applies a dense layer to lead times, reading only the weights of neurons that spiked.

lead: (batch, inputs), 0 for no spike.
weights: (inputs, units), padded with 0 to a multiple of 16 units.
bias: (units).
window, fires, applied: see TtfsKeras>EventDrivenConv2D.
output: (batch, units).
)doc");
