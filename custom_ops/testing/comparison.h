// Compares what the CPU's and the CUDA kernels make of a layer.
#ifndef TTFS_KERAS_TESTING_COMPARISON_H_
#define TTFS_KERAS_TESTING_COMPARISON_H_

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "on_cpu.h"
#include "on_gpu.h"

namespace bats {

// What was compared so far.
struct Summary {
  int64_t layers = 0, neurons = 0, spikes = 0, full = 0, compared = 0, float_neurons = 0, float_differ = 0,
          float_peaks_differ = 0;
};
inline Summary summary;

template <class T>
constexpr bool kFloat = std::is_same_v<T, float>;

// |x - y| <= tolerance * the largest |y|, infinities equal.
template <class T>
void expect_close(const std::vector<T>& x, const std::vector<T>& y, double tolerance, const char* what) {
  double scale = 0;
  for (T value : y) scale = std::isfinite(value) ? std::max(scale, std::abs(double(value))) : scale;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i] || std::abs(double(x[i]) - double(y[i])) <= tolerance * scale) continue;
    fail("%s[%zu] of %zu is %.17g on the GPU and %.17g on the CPU, largest %g", what, i, x.size(), double(x[i]),
         double(y[i]), scale);
  }
  summary.compared += x.size();
}

// What holds of any layer: `counts` ascending times in [0, T] and rising slopes, then padding.
template <class T>
void expect_trains(const Problem& p, const Neuron& n, const Results<T>& r) {
  int64_t full = 0;
  for (int64_t neuron = 0; neuron < p.neurons(); ++neuron) {
    const T *times = r.times.data() + neuron * p.max_spikes, *slopes = r.slopes.data() + neuron * p.max_spikes;
    const int32_t count = r.counts[neuron];
    expect(count >= 0 && count <= p.max_spikes, "a count is out of range");
    for (int64_t k = 0; k < count; ++k) {
      expect(times[k] >= T(0) && times[k] <= T(n.simulation_time), "a spike is outside the simulation");
      expect(k == 0 || times[k] >= times[k - 1], "spikes are out of order");
      expect(slopes[k] >= T(0) && slopes[k] < kInfinity<T>, "a slope is not a number of 0 or more");
    }
    for (int64_t k = count; k < p.max_spikes; ++k)
      expect(times[k] == kInfinity<T> && slopes[k] == T(0), "a train is not padded");
    full += count == p.max_spikes;
    summary.spikes += count;
  }
  expect(r.overflow >= 0 && r.overflow <= full, "the overflow counts neurons that have room");
  summary.full += r.overflow;
}

// A spike is the less certain the flatter the membrane there, and so are the later ones of its neuron.
template <class T>
bool same_spikes(const Case& c, const Results<T>& gpu, const Results<T>& cpu, int64_t neuron) {
  if (gpu.counts[neuron] != cpu.counts[neuron]) return false;
  const double tolerance = kFloat<T> ? 1e-4 : 1e-11, rate = c.n.threshold_rate;
  double lost = 1;
  for (int64_t k = neuron * c.p.max_spikes; k < neuron * c.p.max_spikes + cpu.counts[neuron]; ++k) {
    const double slope = cpu.slopes[k];
    lost = std::max(lost, rate / slope);
    if (std::abs(double(gpu.times[k]) - cpu.times[k]) > tolerance * lost * c.n.tau) return false;
    if (std::abs(gpu.slopes[k] - slope) > tolerance * lost * std::max(rate, slope)) return false;
    ++summary.compared;
  }
  return true;
}

// Two peaks of a membrane may be equally high, or one be where the next interval starts: rounding chooses.
template <class T>
bool same_peak(const Case& c, const Results<T>& gpu, const Results<T>& cpu, int64_t neuron) {
  const double tolerance = kFloat<T> ? 1e-3 : 1e-9;
  auto close = [](double x, double y, double most) { return x == y || std::abs(x - y) <= most; };
  ++summary.compared;
  return gpu.peak_slots[neuron] == cpu.peak_slots[neuron] &&
         close(gpu.peak_times[neuron], cpu.peak_times[neuron], tolerance * c.n.simulation_time) &&
         close(gpu.peak_slopes[neuron], cpu.peak_slopes[neuron],
               tolerance * (c.n.threshold_rate + std::abs(double(cpu.peak_slopes[neuron]))));
}

// In double precision no neuron may differ. In single precision 1 in 1,000 does, in layers whose many large weights
// almost cancel, if exp and log are off by one unit in the last place.
template <class T>
void expect_same_neurons(const Case& c, const Results<T>& gpu, const Results<T>& cpu) {
  int64_t differ = 0;
  for (int64_t neuron = 0; neuron < c.p.neurons(); ++neuron) {
    const bool spikes = same_spikes(c, gpu, cpu, neuron), peak = same_peak(c, gpu, cpu, neuron);
    if (kFloat<T> || (spikes && peak)) {
      differ += !spikes;
      summary.float_peaks_differ += !peak;
      continue;
    }
    const int64_t k = neuron * c.p.max_spikes;
    fail("neuron %ld has %d spikes, first %.17g, peak %.17g on the GPU, and %d, %.17g, %.17g on the CPU", long(neuron),
         int(gpu.counts[neuron]), double(gpu.times[k]), double(gpu.peak_times[neuron]), int(cpu.counts[neuron]),
         double(cpu.times[k]), double(cpu.peak_times[neuron]));
  }
  expect(std::abs(gpu.overflow - cpu.overflow) <= differ + kFloat<T>, "the overflow differs");
  summary.float_neurons += kFloat<T> ? c.p.neurons() : 0;
  summary.float_differ += differ;
}

// Runs the CUDA kernels on a layer, twice if that may tell something, and compares them with what the CPU made of it.
template <class T>
Results<T> compare(const Case& c, const Data<T>& data, const Results<T>& cpu) {
  const Results<T> gpu = on_gpu(c, data, cpu);
  expect_trains(c.p, c.n, cpu);
  expect_trains(c.p, c.n, gpu);
  expect_same_neurons(c, gpu, cpu);
  const double tolerance = kFloat<T> ? 1e-3 : 1e-9;
  expect_close(gpu.totals, cpu.totals, tolerance, "totals");
  expect_close(gpu.kernel_gradient, cpu.kernel_gradient, tolerance, "kernel_gradient");
  expect_close(gpu.times_gradient, cpu.times_gradient, tolerance, "times_gradient");
  expect_close(gpu.peak, cpu.peak, tolerance, "peak");
  expect_close(gpu.peak_kernel_gradient, cpu.peak_kernel_gradient, tolerance, "peak_kernel_gradient");
  expect_close(gpu.peak_times_gradient, cpu.peak_times_gradient, tolerance, "peak_times_gradient");
  if (device::kParallel || c.distinct_times > 0)
    expect(on_gpu(c, data, cpu).same_as(gpu), "two runs on the GPU differ");
  ++summary.layers;
  summary.neurons += c.p.neurons();
  return gpu;
}

// Fails if more neurons than rounding explains differ in single precision, or if there was next to nothing to compare.
inline void report() {
  now = "all layers";
  const Summary& s = summary;
  if (s.float_differ * 200 > s.float_neurons || s.float_peaks_differ * 1000 > s.float_neurons)
    fail("the spikes of %ld and the peaks of %ld of %ld neurons differ in single precision", long(s.float_differ),
         long(s.float_peaks_differ), long(s.float_neurons));
  expect(s.spikes > s.neurons / 2, "the layers are too silent to compare anything");
  std::printf(
      "%ld layers, %ld neurons, %ld spikes, %ld overflows: %ld values agree; of %ld float neurons %ld differ in "
      "spikes and %ld in peaks\n",
      long(s.layers), long(s.neurons), long(s.spikes / 2), long(s.full / 2), long(s.compared), long(s.float_neurons),
      long(s.float_differ), long(s.float_peaks_differ));
}

}  // namespace bats

#endif  // TTFS_KERAS_TESTING_COMPARISON_H_
