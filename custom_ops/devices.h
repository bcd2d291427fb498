// How ops run on a device: the raw-pointer kernels with TensorFlow's memory, threads and streams.
#ifndef TTFS_KERAS_DEVICES_H_
#define TTFS_KERAS_DEVICES_H_

#include <atomic>
#include <new>

#include "checks.h"
#include "cpu.h"
#ifdef BATS_CUDA
#include "cuda.h"
#include "xla/stream_executor/stream.h"
#endif

namespace bats {

inline void* allocate_bytes(OpKernelContext* context, int output, int64_t bytes) {
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
inline constexpr Opaque kOfSpikes{3, 4}, kOfPeaks{4, 5};

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

}  // namespace bats

#endif  // TTFS_KERAS_DEVICES_H_
