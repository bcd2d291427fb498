// Checks of the inputs of an op. Errors say what was expected and what was received.
#ifndef TTFS_KERAS_CHECKS_H_
#define TTFS_KERAS_CHECKS_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "problem.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace bats {

using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;
using ::tensorflow::TensorShape;

// Collects everything that is wrong with the inputs of an op into one error.
class Checks {
 public:
  void expect(bool holds, const std::string& expected, const std::string& received) {
    if (!holds) problems_.push_back(absl::StrCat("expected ", expected, ". Received: ", received));
  }
  // Throws if anything was wrong.
  void verify() const {
    if (!problems_.empty()) throw std::invalid_argument(absl::StrJoin(problems_, "; "));
  }

 private:
  std::vector<std::string> problems_;
};

// A positive, finite scalar input. Scalars are in host memory: reading one never waits for a device.
template <class T>
double positive(OpKernelContext* context, const char* name, Checks* checks) {
  const Tensor* tensor;
  TF_CHECK_OK(context->input(name, &tensor));
  checks->expect(tensor->dims() == 0, absl::StrCat(name, " to be a scalar"), tensor->shape().DebugString());
  if (tensor->dims() != 0) return 1;
  const double value = tensor->flat<T>()(0);
  const bool valid = value > 0 && value < std::numeric_limits<double>::infinity();
  checks->expect(valid, absl::StrCat(name, " to be positive and finite"), absl::StrCat(value));
  return valid ? value : 1;  // so that the same constant is not reported twice
}

// A constant of the neuron as the kernels use it. Rounded to T it must be neither 0 nor infinite: a threshold of 0
// would be reached without any input.
template <class T>
double normal(double value, const std::string& name, Checks* checks) {
  using Limits = std::numeric_limits<T>;
  checks->expect(value >= Limits::min() && value <= Limits::max(),
                 absl::StrCat(name, " from ", Limits::min(), " to ", Limits::max()), absl::StrCat(value));
  return value;
}

template <class T>
double time_constant(OpKernelContext* context, Checks* checks) {
  return normal<T>(2 * positive<T>(context, "tau_s", checks), "2 tau_s", checks);
}

// A threshold divided by the time constant.
template <class T>
double rate(OpKernelContext* context, const char* threshold, double tau, Checks* checks) {
  return normal<T>(positive<T>(context, threshold, checks) / tau, absl::StrCat(threshold, " / (2 tau_s)"), checks);
}

// The sizes of a layer from the shapes of its input times and its kernel, which are checked.
inline Problem problem(const TensorShape& times, const TensorShape& kernel, int64_t max_spikes, Checks* checks) {
  Problem p{};
  checks->expect(times.dims() == 5, "times (batch, height, width, channels, slots)", times.DebugString());
  checks->expect(kernel.dims() == 4, "kernel (kernel_height, kernel_width, channels, units)", kernel.DebugString());
  if (times.dims() != 5 || kernel.dims() != 4) return p;
  p = {times.dim_size(0),  times.dim_size(1),  times.dim_size(2),  times.dim_size(3), times.dim_size(4),
       kernel.dim_size(0), kernel.dim_size(1), kernel.dim_size(3), max_spikes};
  checks->expect(kernel.dim_size(2) == p.channels, absl::StrCat("kernel with ", p.channels, " input channels"),
                 kernel.DebugString());
  checks->expect(p.kernel_height >= 1 && p.kernel_width >= 1 && p.out_height() >= 1 && p.out_width() >= 1,
                 absl::StrCat("kernel that fits into ", p.height, " x ", p.width), kernel.DebugString());
  const int64_t limit = std::numeric_limits<int32_t>::max();
  checks->expect(p.sample_slots() <= limit && p.rows() <= limit && max_spikes <= limit,
                 "fewer than 2^31 input slots of a sample", absl::StrCat(p.sample_slots()));
  // A layer without units still allocates memory for its columns.
  const double outputs = double(p.columns()) * std::max(double(p.units), 1.0) * std::max(double(max_spikes), 1.0);
  checks->expect(outputs < std::ldexp(1, 57), "fewer than 2^57 output slots", absl::StrCat(outputs));
  return p;
}

inline TensorShape neuron_shape(const Problem& p) { return {p.batch, p.out_height(), p.out_width(), p.units}; }

inline TensorShape train_shape(const Problem& p) {
  TensorShape shape = neuron_shape(p);
  shape.AddDim(p.max_spikes);
  return shape;
}

inline void expect_shape(const Tensor& tensor, const TensorShape& shape, const char* name, Checks* checks) {
  checks->expect(tensor.shape() == shape, absl::StrCat(name, " ", shape.DebugString()), tensor.shape().DebugString());
}

}  // namespace bats

#endif  // TTFS_KERAS_CHECKS_H_
