// The ops of a layer and of its gradients for TensorFlow, one class each for all devices.
#include "checks.h"
#include "devices.h"

namespace bats {
namespace {

using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;

// An op that turns the exceptions of the kernels into errors of TensorFlow.
class BatsOp : public OpKernel {
 public:
  explicit BatsOp(OpKernelConstruction* context)
      : OpKernel(context), gpu_(context->device_type() == tensorflow::DEVICE_GPU) {}

  void Compute(OpKernelContext* context) final {
    run(context,
        "expected memory for all input and output spikes of this layer. Received: too little; a smaller batch or "
        "max_spikes needs less",
        [&] { compute(context); });
  }

 protected:
  template <class T>
  std::unique_ptr<Layer<T>> layer(OpKernelContext* context, const Problem& p) const {
#ifdef BATS_CUDA
    if (gpu_) return std::make_unique<GpuLayer<T>>(context, p);
#endif
    return cpu::layer<T>(p, thread_pool(context));
  }

 private:
  virtual void compute(OpKernelContext* context) = 0;

  const bool gpu_;
};

template <class T>
class SpikesOp : public BatsOp {
 public:
  explicit SpikesOp(OpKernelConstruction* context) : BatsOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("max_spikes", &max_spikes_));
  }

 private:
  void compute(OpKernelContext* context) override {
    Checks checks;
    const Problem p = problem(context->input(0).shape(), context->input(1).shape(), max_spikes_, &checks);
    const double tau = time_constant<T>(context, &checks);
    const Neuron n{tau, rate<T>(context, "threshold", tau, &checks), rate<T>(context, "delta_threshold", tau, &checks),
                   positive<T>(context, "simulation_time", &checks)};
    checks.verify();
    T* times = output<T>(context, 0, train_shape(p)).data;
    int32_t* counts = output<int32_t>(context, 1, neuron_shape(p)).data;
    int64_t* overflow = output<int64_t>(context, 2, {}).data;
    RecordOutputs<T> record(context, 3);
    layer<T>(context, p)
        ->spikes(n, input<T>(context, 0).data, input<T>(context, 1).data, times, counts, overflow, &record);
  }

  int64_t max_spikes_;
};

template <class T>
class CoefficientsOp : public BatsOp {
 public:
  explicit CoefficientsOp(OpKernelConstruction* context) : BatsOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("min_slope", &min_slope_));
  }

 private:
  void compute(OpKernelContext* context) override {
    const TensorShape& times = context->input(0).shape();
    Checks checks;
    checks.expect(times.dims() == 5, "spikes (batch, height, width, units, max_spikes)", times.DebugString());
    expect_shape(context->input(1), times, "gradient", &checks);
    const double tau = time_constant<T>(context, &checks);
    const Neuron n{tau, 0, rate<T>(context, "delta_threshold", tau, &checks), 0};
    checks.verify();
    // Only the outputs matter here, and a 1 x 1 kernel has as many of them as the input has positions.
    const Problem p{times.dim_size(0), times.dim_size(1), times.dim_size(2), 1, 1, 1, 1,
                    times.dim_size(3), times.dim_size(4)};
    const Crossings<T> crossings{
        input<int64_t>(context, 2), input<CrossingPlace>(context, 3), {}, input<T>(context, 4)};
    const auto on_device = layer<T>(context, p);
    T* q = output<T>(context, 0, {crossings.slopes.size}).data;
    static_assert(sizeof(Totals<T>) == 3 * sizeof(T));
    Totals<T>* totals = output<Totals<T>>(context, 1, {on_device->groups(), 3}).data;
    on_device->coefficients(n, T(min_slope_), input<T>(context, 0).data, input<T>(context, 1).data, crossings, q,
                            totals);
  }

  float min_slope_;
};

// The gradient of the kernel, or that of the input times.
template <class T, bool of_kernel>
class GradientOp : public BatsOp {
 public:
  using BatsOp::BatsOp;

 private:
  void compute(OpKernelContext* context) override {
    const Tensor &inputs = context->input(0), &kernel = context->input(1), &times = context->input(2);
    Checks checks;
    const int64_t max_spikes = times.dims() == 5 ? times.dim_size(4) : 0;
    const Problem p = problem(inputs.shape(), kernel.shape(), max_spikes, &checks);
    const Neuron n{time_constant<T>(context, &checks), 0, 0, 0};
    checks.verify();
    expect_shape(times, train_shape(p), "spikes", &checks);
    checks.verify();
    const Backward<T> from{array<T>(inputs).data,
                           array<T>(times).data,
                           {input<int64_t>(context, 3), input<EventPlace>(context, 4), input<T>(context, 5)},
                           {input<int64_t>(context, 6), input<CrossingPlace>(context, 7), input<T>(context, 8), {}},
                           input<T>(context, 9)};
    T* gradient = output<T>(context, 0, (of_kernel ? kernel : inputs).shape()).data;
    if constexpr (of_kernel) {
      layer<T>(context, p)->kernel_gradient(n, from, gradient);
    } else {
      layer<T>(context, p)->times_gradient(n, array<T>(kernel).data, from, gradient);
    }
  }
};

template <class T>
using KernelGradientOp = GradientOp<T, true>;

template <class T>
using TimesGradientOp = GradientOp<T, false>;

template <class T>
class PeaksOp : public BatsOp {
 public:
  using BatsOp::BatsOp;

 private:
  void compute(OpKernelContext* context) override {
    Checks checks;
    const Problem p = problem(context->input(0).shape(), context->input(1).shape(), 1, &checks);
    const double tau = time_constant<T>(context, &checks);
    const Neuron n{tau, 0, 0, positive<T>(context, "simulation_time", &checks)};
    checks.verify();
    T *peak = output<T>(context, 0, neuron_shape(p)).data, *times = output<T>(context, 1, neuron_shape(p)).data;
    T* slopes = output<T>(context, 2, neuron_shape(p)).data;
    int32_t* slots = output<int32_t>(context, 3, neuron_shape(p)).data;
    RecordOutputs<T> record(context, 4);
    layer<T>(context, p)
        ->peaks(n, input<T>(context, 0).data, input<T>(context, 1).data, peak, times, slopes, slots, &record);
  }
};

// Scalars are in host memory; see `positive`.
#define BATS_KERNEL(DEVICE, T, Op, name, host) \
  REGISTER_KERNEL_BUILDER(Name(name).Device(DEVICE).TypeConstraint<T>("T") host.HostMemory("tau_s"), Op<T>);

#define BATS_KERNELS(DEVICE, T)                                                                        \
  BATS_KERNEL(DEVICE, T, SpikesOp, "TtfsKeras>BatsSpikes",                                             \
              .HostMemory("threshold").HostMemory("delta_threshold").HostMemory("simulation_time"))    \
  BATS_KERNEL(DEVICE, T, PeaksOp, "TtfsKeras>BatsPeaks", .HostMemory("simulation_time"))               \
  BATS_KERNEL(DEVICE, T, CoefficientsOp, "TtfsKeras>BatsCoefficients", .HostMemory("delta_threshold")) \
  BATS_KERNEL(DEVICE, T, KernelGradientOp, "TtfsKeras>BatsKernelGradient", )                           \
  BATS_KERNEL(DEVICE, T, TimesGradientOp, "TtfsKeras>BatsTimesGradient", )

BATS_KERNELS(tensorflow::DEVICE_CPU, float)
BATS_KERNELS(tensorflow::DEVICE_CPU, double)
#ifdef BATS_CUDA
BATS_KERNELS(tensorflow::DEVICE_GPU, float)
BATS_KERNELS(tensorflow::DEVICE_GPU, double)
#endif

}  // namespace
}  // namespace bats
