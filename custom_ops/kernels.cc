// Glue between TensorFlow and the raw-pointer kernels: checks, allocation, threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cpu.h"
#include "tensorflow/core/framework/op_kernel.h"
#ifdef BATS_CUDA
#include "cuda.h"
#include "xla/stream_executor/stream.h"
#endif

namespace bats {
namespace {

using ::tensorflow::DEVICE_CPU;
#ifdef BATS_CUDA
using ::tensorflow::DEVICE_GPU;
#endif
using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;
using ::tensorflow::TensorShape;

// Collects everything that is wrong with the inputs of an op into one error.
class Checks {
 public:
  void expect(bool holds, const std::string& expected, const std::string& received) {
    if (!holds) problems_.push_back(absl::StrCat("expected ", expected, ". Received: ", received));
  }
  absl::Status status() const {
    if (problems_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(problems_, "; "));
  }

 private:
  std::vector<std::string> problems_;
};

// A positive, finite scalar input; scalars live on the host, so that reading one never waits for a device.
template <class T>
double positive(OpKernelContext* context, const char* name, Checks* checks) {
  const Tensor* tensor;
  TF_CHECK_OK(context->input(name, &tensor));
  checks->expect(tensor->dims() == 0, absl::StrCat(name, " to be a scalar"), tensor->shape().DebugString());
  if (tensor->dims() != 0) return 1;
  const double value = tensor->flat<T>()(0);
  const bool valid = value > 0 && value < std::numeric_limits<double>::infinity();
  checks->expect(valid, absl::StrCat(name, " to be positive and finite"), absl::StrCat(value));
  return valid ? value : 1;  // one problem of a constant is enough
}

// A constant of the neuron as the kernels need it. If rounding to T made it 0 or infinite, neurons without weights would
// fire.
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
Problem problem(const TensorShape& times, const TensorShape& kernel, int64_t capacity, Checks* checks) {
  Problem p{};
  checks->expect(times.dims() == 5, "times (batch, height, width, channels, slots)", times.DebugString());
  checks->expect(kernel.dims() == 4, "kernel (kernel_height, kernel_width, channels, units)", kernel.DebugString());
  if (times.dims() != 5 || kernel.dims() != 4) return p;
  p = {times.dim_size(0),  times.dim_size(1),  times.dim_size(2),  times.dim_size(3), times.dim_size(4),
       kernel.dim_size(0), kernel.dim_size(1), kernel.dim_size(3), capacity};
  checks->expect(kernel.dim_size(2) == p.channels, absl::StrCat("kernel with ", p.channels, " input channels"),
                 kernel.DebugString());
  checks->expect(p.kernel_height >= 1 && p.kernel_width >= 1 && p.out_height() >= 1 && p.out_width() >= 1,
                 absl::StrCat("kernel that fits into ", p.height, " x ", p.width), kernel.DebugString());
  const int64_t limit = std::numeric_limits<int32_t>::max();
  checks->expect(p.sample_slots() <= limit && p.rows() <= limit && capacity <= limit,
                 "fewer than 2^31 input slots of a sample", absl::StrCat(p.sample_slots()));
  // Columns of no units take memory, too.
  const double outputs = double(p.columns()) * std::max(double(p.units), 1.0) * std::max(double(capacity), 1.0);
  checks->expect(outputs < std::ldexp(1, 57), "fewer than 2^57 output slots", absl::StrCat(outputs));
  return p;
}

TensorShape neuron_shape(const Problem& p) { return {p.batch, p.out_height(), p.out_width(), p.units}; }

TensorShape train_shape(const Problem& p) {
  TensorShape shape = neuron_shape(p);
  shape.AddDim(p.capacity);
  return shape;
}

void expect_shape(const Tensor& tensor, const TensorShape& shape, const char* name, Checks* checks) {
  checks->expect(tensor.shape() == shape, absl::StrCat(name, " ", shape.DebugString()), tensor.shape().DebugString());
}

absl::Status bad_times(int64_t count) {
  if (count == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("expected spike times of 0 or later, or inf. Received: ", count, " that are negative or NaN"));
}

absl::Status handed_on_wrongly() {
  return absl::InvalidArgumentError("expected what the op of this layer handed on to its gradients");
}

void* allocate_bytes(OpKernelContext* context, int output, int64_t bytes) {
  Tensor* tensor;
  context->SetStatus(context->allocate_output(output, {bytes}, &tensor));
  return context->status().ok() ? tensor->data() : nullptr;
}

// The inputs of the gradient ops and the outputs of the others that only the ops of a device understand.
struct Opaque {
  static constexpr int crossings_input = 2, coefficients_output = 0;  // of TtfsKeras>BatsCoefficients
  static constexpr int events_input = 3, coefficients_input = 4;      // of the gradient ops
  int events, crossings;                                              // outputs of the op that is the layer
};
constexpr Opaque kOfSpikes{3, 4}, kOfPeaks{4, 5};

// How an op runs on a device: the CPU's kernels on TensorFlow's thread pool.
template <class T>
class Cpu {
 public:
  explicit Cpu(OpKernelContext* context)
      : context_(context), pool_(context->device()->tensorflow_cpu_worker_threads()->workers) {}

  absl::Status spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
                      int64_t* overflow) {
    return bad_times(cpu::spikes(p, n, inputs, kernel, times, counts, overflow, parallel(), record(kOfSpikes)));
  }
  static int64_t groups(const Problem& p) { return cpu::trains_lists<T>(p); }
  absl::Status coefficients(const Problem& p, const Neuron& n, T min_slope, const T*, const T* gradient,
                            Totals<T>* totals) {
    const bool fit = fits<cpu::Crossing<T>>(Opaque::crossings_input, cpu::trains_lists<T>(p));
    if (!fit || !cpu::belong(p, crossings(p))) return handed_on_wrongly();
    cpu::coefficients(p, n, min_slope, crossings(p), gradient, allocate(Opaque::coefficients_output), totals,
                      parallel());
    return absl::OkStatus();
  }
  absl::Status kernel_gradient(const Problem& p, const Neuron& n, const T*, const T*, T* gradient) {
    TF_RETURN_IF_ERROR(check_lists(p));
    cpu::kernel_gradient(p, n, events(p), echoes(p), gradient, parallel());
    return absl::OkStatus();
  }
  absl::Status times_gradient(const Problem& p, const Neuron&, const T*, const T* kernel, const T*, T* gradient) {
    TF_RETURN_IF_ERROR(check_lists(p));
    cpu::times_gradient(p, kernel, events(p), echoes(p), gradient, parallel());
    return absl::OkStatus();
  }
  absl::Status peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
                     int32_t* slots) {
    return bad_times(cpu::peaks(p, n, inputs, kernel, peak, times, slopes, slots, parallel(), record(kOfPeaks)));
  }

 private:
  cpu::Parallel parallel() const {
    using Pool = tensorflow::thread::ThreadPool;
    return [pool = pool_](int64_t total, int64_t cost, const std::function<void(int64_t, int64_t)>& work) {
      std::atomic<bool> exhausted{false};
      pool->ParallelFor(total, Pool::SchedulingParams::Adaptive(cost), [&](int64_t first, int64_t last) {
        try {
          work(first, last);
        } catch (const std::bad_alloc&) {  // it would end the process here: a thread of the pool has nobody to catch it
          exhausted = true;
        }
      });
      if (exhausted) throw std::bad_alloc();
    };
  }

  Allocate allocate(int output) const {
    return [context = context_, output](int64_t bytes) { return allocate_bytes(context, output, bytes); };
  }
  cpu::Record record(const Opaque& outputs) const {
    return {allocate(outputs.events), allocate(outputs.crossings)};
  }

  const void* input(int index) const { return context_->input(index).data(); }
  Lists<Event<T>> events(const Problem& p) const { return {p.columns(), input(Opaque::events_input)}; }
  Lists<cpu::Crossing<T>> crossings(const Problem& p) const {
    return {cpu::trains_lists<T>(p), input(Opaque::crossings_input)};
  }
  Lists<cpu::Echo<T>> echoes(const Problem& p) const {
    return {cpu::trains_lists<T>(p), input(Opaque::coefficients_input)};
  }

  template <class Item>
  bool fits(int index, int64_t lists) const {
    return Lists<Item>::fit(lists, input(index), context_->input(index).NumElements());
  }
  absl::Status check_lists(const Problem& p) const {
    const bool fit = fits<Event<T>>(Opaque::events_input, p.columns()) &&
                     fits<cpu::Echo<T>>(Opaque::coefficients_input, cpu::trains_lists<T>(p));
    return fit && cpu::belong(p, events(p), echoes(p)) ? absl::OkStatus() : handed_on_wrongly();
  }

  OpKernelContext* context_;
  tensorflow::thread::ThreadPool* pool_;
};

#ifdef BATS_CUDA

// The GPU's kernels on the op's own stream; nothing here waits for the device. Crossings are slopes, coefficients are
// coefficients, both laid out as the trains; events are found again.
template <class T>
class Gpu {
 public:
  explicit Gpu(OpKernelContext* context)
      : context_(context),
        stream_(context->op_device_context()->stream()->platform_specific_handle().stream) {}

  absl::Status spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
                      int64_t* overflow) {
    cuda::Workspace workspace;
    T* slopes;
    TF_RETURN_IF_ERROR(layer_outputs(kOfSpikes, p, &slopes));
    TF_RETURN_IF_ERROR(allocate(cuda::spikes_bytes<T>(p), &workspace));
    return status(cuda::spikes(p, n, inputs, kernel, times, counts, slopes, overflow, workspace, stream_));
  }
  static int64_t groups(const Problem& p) { return p.neurons(); }
  absl::Status coefficients(const Problem& p, const Neuron& n, T min_slope, const T* times, const T* gradient,
                            Totals<T>* totals) {
    T* q;
    const T* slopes;
    TF_RETURN_IF_ERROR(input(Opaque::crossings_input, p, &slopes));
    TF_RETURN_IF_ERROR(output(Opaque::coefficients_output, p, &q));
    return status(cuda::coefficients(p, n, min_slope, times, slopes, gradient, q, totals, stream_));
  }
  absl::Status kernel_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* times, T* gradient) {
    cuda::Workspace workspace;
    const T* q;
    TF_RETURN_IF_ERROR(input(Opaque::coefficients_input, p, &q));
    TF_RETURN_IF_ERROR(allocate(cuda::kernel_gradient_bytes<T>(p), &workspace));
    return status(cuda::kernel_gradient(p, n, inputs, times, q, gradient, workspace, stream_));
  }
  absl::Status times_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, const T* times,
                              T* gradient) {
    const T* q;
    TF_RETURN_IF_ERROR(input(Opaque::coefficients_input, p, &q));
    return status(cuda::times_gradient(p, n, inputs, kernel, times, q, gradient, stream_));
  }
  absl::Status peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
                     int32_t* slots) {
    cuda::Workspace workspace;
    T* ones;
    TF_RETURN_IF_ERROR(layer_outputs(kOfPeaks, p, &ones));
    TF_RETURN_IF_ERROR(allocate(cuda::peaks_bytes<T>(p), &workspace));
    return status(cuda::peaks(p, n, inputs, kernel, peak, times, slopes, slots, ones, workspace, stream_));
  }

 private:
  static int64_t bytes(const Problem& p) { return p.neurons() * p.capacity * int64_t(sizeof(T)); }

  absl::Status layer_outputs(const Opaque& outputs, const Problem& p, T** crossings) {
    allocate_bytes(context_, outputs.events, 0);
    return output(outputs.crossings, p, crossings);
  }
  absl::Status output(int index, const Problem& p, T** data) {
    *data = static_cast<T*>(allocate_bytes(context_, index, bytes(p)));
    return context_->status();
  }
  absl::Status input(int index, const Problem& p, const T** data) {
    const Tensor& tensor = context_->input(index);
    *data = static_cast<const T*>(tensor.data());
    return tensor.NumElements() == bytes(p) ? absl::OkStatus() : handed_on_wrongly();
  }
  absl::Status allocate(int64_t bytes, cuda::Workspace* workspace) {
    TF_RETURN_IF_ERROR(context_->allocate_temp(tensorflow::DT_INT8, {bytes}, &memory_));
    *workspace = {memory_.data(), bytes};
    return absl::OkStatus();
  }
  static absl::Status status(const char* error) {
    return error ? absl::InternalError(absl::StrCat("CUDA: ", error)) : absl::OkStatus();
  }

  OpKernelContext* context_;
  void* stream_;
  Tensor memory_;  // its allocator is ordered by the stream: the kernels are done before the memory is given again
};

#endif  // BATS_CUDA

// An op of which memory that runs out is an error and not the end of the process.
class BatsOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) final {
    try {
      compute(context);
    } catch (const std::bad_alloc&) {
      context->SetStatus(absl::ResourceExhaustedError(
          "expected memory for all input and output spikes of this layer. Received: too little; a smaller batch or "
          "max_spikes needs less"));
    }
  }

 private:
  virtual void compute(OpKernelContext* context) = 0;
};

template <template <class> class Device, class T>
class SpikesOp : public BatsOp {
 public:
  explicit SpikesOp(OpKernelConstruction* context) : BatsOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("max_spikes", &max_spikes_));
  }

 private:
  void compute(OpKernelContext* context) override {
    const Tensor &inputs = context->input(0), &kernel = context->input(1);
    Checks checks;
    const Problem p = problem(inputs.shape(), kernel.shape(), max_spikes_, &checks);
    const double tau = time_constant<T>(context, &checks);
    const Neuron n{tau, rate<T>(context, "threshold", tau, &checks), rate<T>(context, "delta_threshold", tau, &checks),
                   positive<T>(context, "simulation_time", &checks)};
    OP_REQUIRES_OK(context, checks.status());
    Tensor *times, *counts, *overflow;
    OP_REQUIRES_OK(context, context->allocate_output(0, train_shape(p), &times));
    OP_REQUIRES_OK(context, context->allocate_output(1, neuron_shape(p), &counts));
    OP_REQUIRES_OK(context, context->allocate_output(2, {}, &overflow));
    OP_REQUIRES_OK(context, Device<T>(context).spikes(p, n, inputs.flat<T>().data(), kernel.flat<T>().data(),
                                                      times->flat<T>().data(), counts->flat<int32_t>().data(),
                                                      overflow->flat<int64_t>().data()));
  }

  int64_t max_spikes_;
};

template <template <class> class Device, class T>
class CoefficientsOp : public BatsOp {
 public:
  explicit CoefficientsOp(OpKernelConstruction* context) : BatsOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("min_slope", &min_slope_));
  }

 private:
  void compute(OpKernelContext* context) override {
    const Tensor &times = context->input(0), &gradient = context->input(1);
    Checks checks;
    checks.expect(times.dims() == 5, "spikes (batch, height, width, units, max_spikes)", times.shape().DebugString());
    expect_shape(gradient, times.shape(), "gradient", &checks);
    const double tau = time_constant<T>(context, &checks);
    const Neuron n{tau, 0, rate<T>(context, "delta_threshold", tau, &checks), 0};
    OP_REQUIRES_OK(context, checks.status());
    // Only the outputs matter here, and a 1 x 1 kernel has as many of them as the input has positions.
    const Problem p{times.dim_size(0), times.dim_size(1), times.dim_size(2), 1, 1, 1, 1, times.dim_size(3),
                    times.dim_size(4)};
    Tensor* totals;
    static_assert(sizeof(Totals<T>) == 3 * sizeof(T));
    OP_REQUIRES_OK(context, context->allocate_output(1, {Device<T>::groups(p), 3}, &totals));
    OP_REQUIRES_OK(context,
                   Device<T>(context).coefficients(p, n, T(min_slope_), times.flat<T>().data(),
                                                   gradient.flat<T>().data(),
                                                   reinterpret_cast<Totals<T>*>(totals->flat<T>().data())));
  }

  float min_slope_;
};

// The gradient of the kernel, or that of the input times.
template <template <class> class Device, class T, bool of_kernel>
class GradientOp : public BatsOp {
 public:
  using BatsOp::BatsOp;

 private:
  void compute(OpKernelContext* context) override {
    const Tensor &inputs = context->input(0), &kernel = context->input(1);
    const Tensor& times = context->input(2);
    Checks checks;
    const int64_t capacity = times.dims() == 5 ? times.dim_size(4) : 0;
    const Problem p = problem(inputs.shape(), kernel.shape(), capacity, &checks);
    const Neuron n{time_constant<T>(context, &checks), 0, 0, 0};
    OP_REQUIRES_OK(context, checks.status());
    expect_shape(times, train_shape(p), "spikes", &checks);
    OP_REQUIRES_OK(context, checks.status());
    Tensor* gradient;
    OP_REQUIRES_OK(context, context->allocate_output(0, (of_kernel ? kernel : inputs).shape(), &gradient));
    Device<T> device(context);
    if constexpr (of_kernel) {
      OP_REQUIRES_OK(context, device.kernel_gradient(p, n, inputs.flat<T>().data(), times.flat<T>().data(),
                                                     gradient->flat<T>().data()));
    } else {
      OP_REQUIRES_OK(context, device.times_gradient(p, n, inputs.flat<T>().data(), kernel.flat<T>().data(),
                                                    times.flat<T>().data(), gradient->flat<T>().data()));
    }
  }
};

template <template <class> class Device, class T>
using KernelGradientOp = GradientOp<Device, T, true>;

template <template <class> class Device, class T>
using TimesGradientOp = GradientOp<Device, T, false>;

template <template <class> class Device, class T>
class PeaksOp : public BatsOp {
 public:
  using BatsOp::BatsOp;

 private:
  void compute(OpKernelContext* context) override {
    const Tensor &inputs = context->input(0), &kernel = context->input(1);
    Checks checks;
    const Problem p = problem(inputs.shape(), kernel.shape(), 1, &checks);
    const double tau = time_constant<T>(context, &checks);
    const Neuron n{tau, 0, 0, positive<T>(context, "simulation_time", &checks)};
    OP_REQUIRES_OK(context, checks.status());
    Tensor *peak, *times, *slopes, *slots;
    OP_REQUIRES_OK(context, context->allocate_output(0, neuron_shape(p), &peak));
    OP_REQUIRES_OK(context, context->allocate_output(1, neuron_shape(p), &times));
    OP_REQUIRES_OK(context, context->allocate_output(2, neuron_shape(p), &slopes));
    OP_REQUIRES_OK(context, context->allocate_output(3, neuron_shape(p), &slots));
    OP_REQUIRES_OK(context, Device<T>(context).peaks(p, n, inputs.flat<T>().data(), kernel.flat<T>().data(),
                                                     peak->flat<T>().data(), times->flat<T>().data(),
                                                     slopes->flat<T>().data(), slots->flat<int32_t>().data()));
  }
};

#define BATS_REGISTER(DEVICE, Backend, T)                                                                            \
  REGISTER_KERNEL_BUILDER(Name("TtfsKeras>BatsSpikes")                                                              \
                              .Device(DEVICE)                                                                       \
                              .TypeConstraint<T>("T")                                                               \
                              .HostMemory("threshold")                                                              \
                              .HostMemory("delta_threshold")                                                        \
                              .HostMemory("tau_s")                                                                  \
                              .HostMemory("simulation_time"),                                                       \
                          SpikesOp<Backend, T>);                                                                     \
  REGISTER_KERNEL_BUILDER(Name("TtfsKeras>BatsCoefficients")                                                        \
                              .Device(DEVICE)                                                                       \
                              .TypeConstraint<T>("T")                                                               \
                              .HostMemory("delta_threshold")                                                        \
                              .HostMemory("tau_s"),                                                                 \
                          CoefficientsOp<Backend, T>);                                                               \
  REGISTER_KERNEL_BUILDER(                                                                                          \
      Name("TtfsKeras>BatsKernelGradient").Device(DEVICE).TypeConstraint<T>("T").HostMemory("tau_s"),               \
      KernelGradientOp<Backend, T>);                                                                                 \
  REGISTER_KERNEL_BUILDER(                                                                                          \
      Name("TtfsKeras>BatsTimesGradient").Device(DEVICE).TypeConstraint<T>("T").HostMemory("tau_s"),                \
      TimesGradientOp<Backend, T>);                                                                                  \
  REGISTER_KERNEL_BUILDER(Name("TtfsKeras>BatsPeaks")                                                               \
                              .Device(DEVICE)                                                                       \
                              .TypeConstraint<T>("T")                                                               \
                              .HostMemory("tau_s")                                                                  \
                              .HostMemory("simulation_time"),                                                       \
                          PeaksOp<Backend, T>);

BATS_REGISTER(DEVICE_CPU, Cpu, float)
BATS_REGISTER(DEVICE_CPU, Cpu, double)
#ifdef BATS_CUDA
BATS_REGISTER(DEVICE_GPU, Gpu, float)
BATS_REGISTER(DEVICE_GPU, Gpu, double)
#endif

}  // namespace
}  // namespace bats
