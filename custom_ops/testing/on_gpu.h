// What the CUDA kernels make of a layer.
#ifndef TTFS_KERAS_TESTING_ON_GPU_H_
#define TTFS_KERAS_TESTING_ON_GPU_H_

#include "../cuda.h"
#include "layer.h"

namespace bats {

// A workspace full of garbage, and of the size asked for: address sanitizers see the end of it.
class Space {
 public:
  explicit Space(int64_t bytes) : bytes_(bytes), data_(std::malloc(bytes)) { std::memset(data_, 0xee, bytes); }
  ~Space() { std::free(data_); }
  Space(const Space&) = delete;
  operator cuda::Workspace() const { return {data_, bytes_}; }

 private:
  int64_t bytes_;
  void* data_;
};

// `backward` holds what the backward pass starts from.
template <class T>
Results<T> on_gpu(const Case& c, const Data<T>& data, const Results<T>& backward) {
  const Problem& p = c.p;
  const Neuron& n = c.n;
  Problem listed = p;  // whose columns the workspace holds at once
  if (c.small_workspace) listed.batch = 1, listed.height = p.kernel_height, listed.width = p.kernel_width;
  Results<T> r(p);
  const T *inputs = data.inputs.data(), *kernel = data.kernel.data();
  {
    const Space space(cuda::spikes_bytes<T>(listed));
    expect_ok(cuda::spikes(p, n, inputs, kernel, r.times.data(), r.counts.data(), r.slopes.data(), &r.overflow, space,
                           nullptr));
  }
  auto gradients = [&](const Problem& q_problem, T min_slope, const std::vector<T>& trains,
                       const std::vector<T>& slopes, std::vector<T>* kernel_gradient, std::vector<T>* times_gradient) {
    std::vector<T> q = data.gradient;  // in place
    std::vector<Totals<T>> totals(p.neurons());
    expect_ok(cuda::coefficients(q_problem, n, min_slope, trains.data(), slopes.data(), q.data(), q.data(),
                                 totals.data(), nullptr));
    const int64_t lists = cuda::spikes_bytes<T>(p), sums = cuda::kernel_gradient_bytes<T>(p) - lists;
    const Space space(sums + cuda::spikes_bytes<T>(listed));
    expect_ok(
        cuda::kernel_gradient(q_problem, n, inputs, trains.data(), q.data(), kernel_gradient->data(), space, nullptr));
    expect_ok(
        cuda::times_gradient(q_problem, n, inputs, kernel, trains.data(), q.data(), times_gradient->data(), nullptr));
    return sum(totals);
  };
  r.trains = backward.trains;
  r.totals = gradients(p, kMinSlope<T>, r.trains, backward.slopes, &r.kernel_gradient, &r.times_gradient);
  const Space space(cuda::peaks_bytes<T>(listed));
  std::vector<T> ones(p.neurons(), kGarbage<T>);
  expect_ok(cuda::peaks(p, n, inputs, kernel, r.peak.data(), r.peak_times.data(), r.peak_slopes.data(),
                        r.peak_slots.data(), ones.data(), space, nullptr));
  gradients(with_max_spikes(p, 1), T(0), r.peak_times, ones, &r.peak_kernel_gradient, &r.peak_times_gradient);
  return r;
}

}  // namespace bats

#endif  // TTFS_KERAS_TESTING_ON_GPU_H_
