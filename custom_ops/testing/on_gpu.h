// What the CUDA kernels make of a layer.
#ifndef TTFS_KERAS_TESTING_ON_GPU_H_
#define TTFS_KERAS_TESTING_ON_GPU_H_

#include <cstring>
#include <utility>

#include "../cuda.h"
#include "device.h"
#include "layer.h"

namespace bats {

// An array in device memory of exactly its size: memory checkers see the end of it.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(int64_t size) : size_(size), data_(static_cast<T*>(device::allocate(size * sizeof(T)))) {}
  explicit OnDevice(const std::vector<T>& values) : OnDevice(int64_t(values.size())) {
    device::write(data_, values.data(), size_ * sizeof(T));
  }
  OnDevice(OnDevice&& other) noexcept
      : size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  ~OnDevice() { device::release(data_); }

  T* get() const { return data_; }
  int64_t bytes() const { return size_ * int64_t(sizeof(T)); }
  std::vector<T> read() const {
    std::vector<T> values(size_);
    device::read(values.data(), data_, bytes());
    return values;
  }

 private:
  int64_t size_;
  T* data_;
};

// A workspace full of garbage, and of the size asked for.
class Space {
 public:
  explicit Space(int64_t bytes) : data_(bytes) {}
  operator cuda::Workspace() const { return {data_.get(), data_.bytes()}; }

 private:
  OnDevice<char> data_;
};

// What a kernel wrote into trains, without what it left between the end of a train and the end of its slots, where
// nothing is read.
template <class T>
std::vector<T> used_slots(const Problem& p, const std::vector<int32_t>& counts, std::vector<T> values) {
  for (int64_t neuron = 0; neuron < p.neurons(); ++neuron)
    for (int64_t k = std::max(counts[neuron], 0); k < p.max_spikes; ++k) values[neuron * p.max_spikes + k] = T(0);
  return values;
}

// Calls kernel(workspace) with a workspace of so many bytes, or with about the smallest that is enough.
template <class Kernel>
void with_workspace(bool smallest, int64_t bytes, Kernel kernel) {
  for (int64_t size = smallest ? 0 : bytes;; size += size / 16 + 4) {
    const Space space(size);
    const char* error = kernel(space);
    if (size < bytes && error && std::strstr(error, "workspace too small")) continue;
    return expect_ok(error);
  }
}

// `backward` holds what the backward passes start from. All outputs are garbage before a call.
template <class T>
Results<T> on_gpu(const Case& c, const Data<T>& data, const Results<T>& backward) {
  const Problem& p = c.p;
  const Neuron& n = c.n;
  Results<T> r(p);
  const OnDevice<T> inputs(data.inputs), kernel(data.kernel);
  {
    const OnDevice<T> times(r.times), slopes(r.slopes);
    const OnDevice<int32_t> counts(r.counts);
    const OnDevice<int64_t> overflow(std::vector<int64_t>{r.overflow});
    with_workspace(c.small_workspace, cuda::spikes_bytes<T>(p), [&](cuda::Workspace space) {
      return cuda::spikes(p, n, inputs.get(), kernel.get(), times.get(), counts.get(), slopes.get(), overflow.get(),
                          space, nullptr);
    });
    r.times = times.read();
    r.counts = counts.read();
    r.slopes = used_slots(p, r.counts, slopes.read());
    r.overflow = overflow.read()[0];
  }
  auto gradients = [&](const Problem& q_problem, T min_slope, const std::vector<T>& train_times,
                       const std::vector<T>& train_slopes, std::vector<T>* kernel_gradient,
                       std::vector<T>* times_gradient) {
    const OnDevice<T> trains(train_times), slopes(train_slopes), to_kernel(*kernel_gradient), to_times(*times_gradient);
    const OnDevice<T> q(data.gradient);  // in place
    const OnDevice<Totals<T>> totals(p.neurons());
    expect_ok(cuda::coefficients(q_problem, n, min_slope, trains.get(), slopes.get(), q.get(), q.get(), totals.get(),
                                 nullptr));
    with_workspace(c.small_workspace, cuda::kernel_gradient_bytes<T>(q_problem), [&](cuda::Workspace space) {
      return cuda::kernel_gradient(q_problem, n, inputs.get(), trains.get(), q.get(), to_kernel.get(), space, nullptr);
    });
    expect_ok(
        cuda::times_gradient(q_problem, n, inputs.get(), kernel.get(), trains.get(), q.get(), to_times.get(), nullptr));
    *kernel_gradient = to_kernel.read();
    *times_gradient = to_times.read();
    return sum(totals.read());
  };
  r.trains = backward.trains;
  r.totals = gradients(p, kMinSlope<T>, r.trains, backward.slopes, &r.kernel_gradient, &r.times_gradient);
  {
    const OnDevice<T> peak(r.peak), times(r.peak_times), slopes(r.peak_slopes);
    const OnDevice<T> ones(std::vector<T>(p.neurons(), kGarbage<T>));
    const OnDevice<int32_t> slots(r.peak_slots);
    with_workspace(c.small_workspace, cuda::peaks_bytes<T>(p), [&](cuda::Workspace space) {
      return cuda::peaks(p, n, inputs.get(), kernel.get(), peak.get(), times.get(), slopes.get(), slots.get(),
                         ones.get(), space, nullptr);
    });
    r.peak = peak.read();
    r.peak_times = times.read();
    r.peak_slopes = slopes.read();
    r.peak_slots = slots.read();
    expect(ones.read() == std::vector<T>(p.neurons(), T(1)), "the slopes of peaks are not 1");
  }
  // From the CPU's peaks: of two that are equally high, rounding chooses.
  gradients(with_max_spikes(p, 1), T(0), backward.peak_times, std::vector<T>(p.neurons(), T(1)),
            &r.peak_kernel_gradient, &r.peak_times_gradient);
  return r;
}

}  // namespace bats

#endif  // TTFS_KERAS_TESTING_ON_GPU_H_
