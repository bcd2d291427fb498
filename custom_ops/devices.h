// How ops run on a device: the kernels with TensorFlow's memory, threads and streams.
#ifndef TTFS_KERAS_DEVICES_H_
#define TTFS_KERAS_DEVICES_H_

#include <atomic>
#include <memory>
#include <new>
#include <stdexcept>

#include "cpu.h"
#include "tensorflow/core/framework/op_kernel.h"
#ifdef BATS_CUDA
#include "cuda.h"
#include "xla/stream_executor/stream.h"
#endif

namespace bats {

using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;
using ::tensorflow::TensorShape;

template <class Item>
Array<Item> array(const Tensor& tensor) {
  return {static_cast<Item*>(tensor.data()), int64_t(tensor.TotalBytes() / sizeof(Item))};
}

template <class Item>
Array<Item> input(OpKernelContext* context, int index) {
  return array<Item>(context->input(index));
}

template <class Item>
Array<Item> output(OpKernelContext* context, int index, const TensorShape& shape) {
  Tensor* tensor;
  context->SetStatus(context->allocate_output(index, shape, &tensor));
  if (!context->status().ok()) throw std::bad_alloc();
  return array<Item>(*tensor);
}

// Runs the body of an op, and turns the exceptions of the kernels into errors of TensorFlow.
template <class Body>
void run(OpKernelContext* context, const char* out_of_memory, const Body& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    context->SetStatus(absl::ResourceExhaustedError(out_of_memory));
  } catch (const std::invalid_argument& error) {
    context->SetStatus(absl::InvalidArgumentError(error.what()));
  } catch (const std::runtime_error& error) {
    context->SetStatus(absl::InternalError(error.what()));
  }
}

// The last outputs of a forward op, the first of which is `first`.
template <class T>
class RecordOutputs final : public Record<T> {
 public:
  RecordOutputs(OpKernelContext* context, int first) : context_(context), first_(first) {}

  Events<T> events(int64_t splits, int64_t events) override {
    return {next<int64_t>({splits}, 0), next<EventPlace>({events, 2}, 1), next<T>({events}, 2)};
  }
  Crossings<T> crossings(int64_t splits, int64_t crossings, int64_t slopes) override {
    return {next<int64_t>({splits}, 3), next<CrossingPlace>({crossings, 2}, 4), next<T>({crossings}, 5),
            next<T>({slopes}, 6)};
  }

 private:
  template <class Item>
  Array<Item> next(const TensorShape& shape, int place) {
    return output<Item>(context_, first_ + place, shape);
  }

  OpKernelContext* context_;
  int first_;
};

// The CPU's kernels run on TensorFlow's thread pool.
inline cpu::Parallel thread_pool(OpKernelContext* context) {
  using Pool = tensorflow::thread::ThreadPool;
  Pool* pool = context->device()->tensorflow_cpu_worker_threads()->workers;
  return [pool](int64_t total, int64_t cost, const std::function<void(int64_t, int64_t)>& work) {
    std::atomic<bool> exhausted{false};
    pool->ParallelFor(total, Pool::SchedulingParams::Adaptive(cost), [&](int64_t first, int64_t last) {
      try {
        work(first, last);
      } catch (const std::bad_alloc&) {  // would end the process here: no thread of the pool catches it
        exhausted = true;
      }
    });
    if (exhausted) throw std::bad_alloc();
  };
}

#ifdef BATS_CUDA

// The GPU's kernels run on the op's own stream, and no call waits for them. Slopes and coefficients are laid out as the
// spike trains, with 0 where there is no spike; nothing else is handed on: the gradients find the events again.
template <class T>
class GpuLayer final : public Layer<T> {
 public:
  GpuLayer(OpKernelContext* context, const Problem& p)
      : context_(context), p_(p), stream_(context->op_device_context()->stream()->platform_specific_handle().stream) {}

  int64_t groups() const override { return p_.neurons(); }

  void spikes(const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts, int64_t* overflow,
              Record<T>* record) override {
    record->events(0, 0);
    T* slopes = record->crossings(0, 0, train_slots()).slopes.data;
    const cuda::Workspace space = workspace(cuda::spikes_bytes<T>(p_));
    expect_queued(cuda::spikes(p_, n, inputs, kernel, times, counts, slopes, overflow, space, stream_));
  }
  void peaks(const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes, int32_t* slots,
             Record<T>* record) override {
    record->events(0, 0);
    T* ones = record->crossings(0, 0, train_slots()).slopes.data;
    const cuda::Workspace space = workspace(cuda::peaks_bytes<T>(p_));
    expect_queued(cuda::peaks(p_, n, inputs, kernel, peak, times, slopes, slots, ones, space, stream_));
  }
  void coefficients(const Neuron& n, T min_slope, const T* times, const T* gradient, const Crossings<T>& crossings,
                    T* q, Totals<T>* totals) override {
    expect_handed_on(crossings.slopes.size == train_slots());
    const T* slopes = crossings.slopes.data;
    expect_queued(cuda::coefficients(p_, n, min_slope, times, slopes, gradient, q, totals, stream_));
  }
  void kernel_gradient(const Neuron& n, const Backward<T>& from, T* gradient) override {
    expect_handed_on(from.coefficients.size == train_slots());
    const T* q = from.coefficients.data;
    const cuda::Workspace space = workspace(cuda::kernel_gradient_bytes<T>(p_));
    expect_queued(cuda::kernel_gradient(p_, n, from.inputs, from.times, q, gradient, space, stream_));
  }
  void times_gradient(const Neuron& n, const T* kernel, const Backward<T>& from, T* gradient) override {
    expect_handed_on(from.coefficients.size == train_slots());
    const T* q = from.coefficients.data;
    expect_queued(cuda::times_gradient(p_, n, from.inputs, kernel, from.times, q, gradient, stream_));
  }

 private:
  int64_t train_slots() const { return p_.neurons() * p_.max_spikes; }

  cuda::Workspace workspace(int64_t bytes) {
    context_->SetStatus(context_->allocate_temp(tensorflow::DT_INT8, {bytes}, &memory_));
    if (!context_->status().ok()) throw std::bad_alloc();
    return {memory_.data(), bytes};
  }
  static void expect_queued(const char* error) {
    if (error) throw std::runtime_error(std::string("CUDA: ") + error);
  }

  OpKernelContext* context_;
  const Problem p_;
  void* stream_;
  Tensor memory_;  // its allocator is ordered by the stream: the kernels are done before the memory is given again
};

#endif  // BATS_CUDA

}  // namespace bats

#endif  // TTFS_KERAS_DEVICES_H_
