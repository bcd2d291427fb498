// The ops of a layer and of its gradients for TensorFlow, one class each for all devices.
#include <new>

#include "devices.h"

namespace bats {
namespace {

using ::tensorflow::DEVICE_CPU;
#ifdef BATS_CUDA
using ::tensorflow::DEVICE_GPU;
#endif
using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;

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
