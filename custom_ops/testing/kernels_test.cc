// Compares the CPU kernels with the CUDA kernels, which host_execution.h runs on the CPU, on random layers.
#include <algorithm>
#include <thread>

#include "on_cpu.h"
#include "on_gpu.h"

namespace bats {
namespace {

struct Summary {
  int64_t cases = 0, neurons = 0, spikes = 0, full = 0, compared = 0, float_neurons = 0, float_differ = 0;
} summary;

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

void serial(int64_t total, int64_t, const std::function<void(int64_t, int64_t)>& work) {
  if (total > 0) work(0, total);
}

// Odd pieces, every other one on each of two threads.
void threaded(int64_t total, int64_t, const std::function<void(int64_t, int64_t)>& work) {
  const int64_t piece = 1 + total / 7;
  auto half = [&](int64_t which) {
    for (int64_t first = which * piece; first < total; first += 2 * piece) work(first, std::min(first + piece, total));
  };
  std::thread other(half, 1);
  half(0);
  other.join();
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
void expect_same_spikes(const Case& c, const Results<T>& gpu, const Results<T>& cpu) {
  const double tolerance = kFloat<T> ? 1e-5 : 1e-12, theta = c.n.threshold_rate * c.n.tau;
  int64_t differ = 0;
  for (int64_t neuron = 0; neuron < c.p.neurons(); ++neuron) {
    if (gpu.counts[neuron] != cpu.counts[neuron]) {
      ++differ;
      continue;
    }
    double lost = 1;
    for (int64_t k = neuron * c.p.max_spikes; k < neuron * c.p.max_spikes + cpu.counts[neuron]; ++k) {
      const double x = gpu.times[k], y = cpu.times[k];
      lost = std::max(lost, theta / (c.n.tau * cpu.slopes[k]));
      if (std::abs(x - y) > tolerance * lost * c.n.tau)
        fail("spike %ld of neuron %ld is at %.17g on the GPU and at %.17g on the CPU, slope %g",
             long(k % c.p.max_spikes), long(neuron), x, y, double(cpu.slopes[k]));
      const double scale = std::max(theta / c.n.tau, double(cpu.slopes[k]));
      if (std::abs(double(gpu.slopes[k]) - cpu.slopes[k]) > tolerance * lost * scale)
        fail("spike %ld of neuron %ld has slope %.17g on the GPU and %.17g on the CPU", long(k % c.p.max_spikes),
             long(neuron), double(gpu.slopes[k]), double(cpu.slopes[k]));
      ++summary.compared;
    }
  }
  if (!kFloat<T>) {
    expect(differ == 0, "spike counts differ in double precision");
    expect(gpu.overflow == cpu.overflow, "the overflow differs");
  } else {
    expect(std::abs(gpu.overflow - cpu.overflow) <= differ + 1, "the overflow differs by more than rounding does");
    summary.float_neurons += c.p.neurons();
    summary.float_differ += differ;
  }
}

// A NaN or negative input time is no spike on the GPU; the CPU counts and refuses them.
template <class T>
void expect_bad_times_ignored(const Case& c, Data<T> data, const Results<T>& backward) {
  Data<T> clean = data;
  int64_t bad = 0;
  for (size_t i = 0; i < data.inputs.size(); i += 5, ++bad) {
    data.inputs[i] = i % 2 ? T(-1e-3) : std::numeric_limits<T>::quiet_NaN();
    clean.inputs[i] = kInfinity<T>;
  }
  expect(on_gpu(c, data, backward).same_as(on_gpu(c, clean, backward)), "the GPU does not ignore a bad input time");
  Results<T> r(c.p);
  Found<T> found;
  std::string message;
  try {
    cpu::layer<T>(c.p, serial)
        ->spikes(c.n, data.inputs.data(), data.kernel.data(), r.times.data(), r.counts.data(), &r.overflow, &found);
  } catch (const std::invalid_argument& error) {
    message = error.what();
  }
  expect(c.p.height > 1 ? !message.empty() : message.find(": " + std::to_string(bad) + " ") != message.npos,
         "the CPU does not refuse the bad input times, or miscounts them");
}

template <class T>
void check(const Case& c, uint64_t seed) {
  now = c.name + (kFloat<T> ? " float" : " double");
  const Data<T> data(c, seed);
  const Results<T> cpu = on_cpu(c, data, serial);
  expect(on_cpu(c, data, threaded).same_as(cpu), "the CPU's results depend on the number of threads");
  const Results<T> gpu = on_gpu(c, data, cpu);
  expect_trains(c.p, c.n, cpu);
  expect_trains(c.p, c.n, gpu);
  expect_same_spikes(c, gpu, cpu);
  const double tolerance = kFloat<T> ? 1e-3 : 1e-9;
  expect_close(gpu.totals, cpu.totals, tolerance, "totals");
  expect_close(gpu.kernel_gradient, cpu.kernel_gradient, tolerance, "kernel_gradient");
  expect_close(gpu.times_gradient, cpu.times_gradient, tolerance, "times_gradient");
  expect_close(gpu.peak, cpu.peak, tolerance, "peak");
  expect_close(gpu.peak_times, cpu.peak_times, tolerance, "peak_times");
  expect_close(gpu.peak_slopes, cpu.peak_slopes, tolerance, "peak_slopes");
  expect_close(gpu.peak_kernel_gradient, cpu.peak_kernel_gradient, tolerance, "peak_kernel_gradient");
  expect_close(gpu.peak_times_gradient, cpu.peak_times_gradient, tolerance, "peak_times_gradient");
  expect(gpu.peak_slots == cpu.peak_slots, "the inputs that cut peaks off differ");
  if (c.distinct_times > 0)
    expect(on_gpu(c, data, cpu).same_as(gpu), "the GPU's results depend on the order in which its threads run");
  if (c.p.batch == 3) expect_bad_times_ignored(c, data, cpu);
  ++summary.cases;
  summary.neurons += c.p.neurons();
}

int run(int random_layers) {
  const Neuron n{0.26, 0.2 / 0.26, 0.2 / 0.26, 0.2}, weak_reset{0.26, 0.2 / 0.26, 0.02 / 0.26, 0.2};
  const Neuron fast{0.021, 1 / 0.021, 1 / 0.021, 1.0};
  std::vector<Case> cases{
      {"empty batch", {0, 1, 1, 5, 2, 1, 1, 3, 4}, n},
      {"one of everything", {1, 1, 1, 1, 1, 1, 1, 1, 1}, n, 3, 1},
      {"dense", {7, 1, 1, 50, 1, 1, 1, 300, 5}, n},
      {"two tiles", {5, 1, 1, 61, 3, 1, 1, 129, 30}, n},
      {"one tile", {3, 1, 1, 61, 3, 1, 1, 128, 30}, n},
      {"full trains", {8, 1, 1, 40, 30, 1, 1, 33, 30}, weak_reset, 6},
      {"long lists", {3, 1, 1, 90, 30, 1, 1, 7, 30}, n, 6, 0.9},
      {"ties in long lists", {2, 1, 1, 90, 30, 1, 1, 3, 30}, n, 6, 0.9, 5},
      {"single spikes", {50, 1, 1, 30, 1, 1, 1, 200, 1}, n},
      {"large batch", {1500, 1, 1, 3, 1, 1, 1, 2, 3}, n},
      {"nothing", {3, 1, 1, 20, 2, 1, 1, 5, 4}, n, 3, 0},
      {"inputs without effect", {30, 1, 1, 20, 2, 1, 1, 5, 4}, n, 0.01},
      {"all at once", {9, 1, 1, 70, 2, 1, 1, 40, 6}, n, 3, 0.8, 1},
      {"ties", {9, 1, 1, 70, 2, 1, 1, 40, 6}, n, 3, 0.8, 4},
      {"rare inputs", {60, 1, 1, 9, 1, 1, 1, 31, 6}, n, 3, 0.05},
      {"NaN weights", {6, 1, 1, 40, 1, 1, 1, 150, 6}, n, 3, 0.5, 0, true},
      {"convolution", {3, 7, 6, 3, 2, 3, 2, 5, 4}, n},
      {"convolution to a point", {5, 3, 4, 2, 2, 3, 4, 40, 4}, n},
      {"pointwise convolution", {3, 4, 5, 6, 1, 1, 1, 17, 4}, n},
      {"convolution, many units", {2, 6, 6, 2, 1, 5, 5, 140, 3}, n},
      {"fast", {8, 1, 1, 100, 2, 1, 1, 60, 30}, fast, 8},
      {"fast convolution", {3, 6, 5, 2, 2, 3, 3, 7, 30}, fast, 8},
      {"dense, small workspace", {7, 1, 1, 50, 1, 1, 1, 200, 5}, n, 3, 0.5, 0, false, true},
      {"convolution, small workspace", {3, 5, 6, 3, 2, 3, 2, 5, 4}, n, 3, 0.5, 0, false, true},
      {"as in MNIST", {5, 1, 1, 784, 1, 1, 1, 300, 30}, n, 3, 0.19},
  };
  std::mt19937_64 random(2212);
  auto between = [&](int64_t first, int64_t last) { return first + int64_t(random() % uint64_t(last - first + 1)); };
  for (int i = 0; i < random_layers; ++i) {
    const int64_t kernel_height = between(1, 3), kernel_width = between(1, 3);
    const Problem p{between(1, 9),
                    kernel_height + between(0, 3),
                    kernel_width + between(0, 3),
                    between(1, 9),
                    between(1, 4),
                    kernel_height,
                    kernel_width,
                    between(1, 40),
                    between(1, 12)};
    cases.push_back({"random layer " + std::to_string(i), p, i % 3 ? n : fast, i % 3 ? 3.0 : 8.0,
                     0.1 * double(between(1, 9)), i % 4 ? 0 : between(1, 20), false, i % 5 == 0});
  }
  uint64_t seed = 1;
  for (const Case& c : cases) {
    check<double>(c, seed);
    check<float>(c, seed++);
  }
  now = "all cases";
  if (summary.float_differ * 10000 > summary.float_neurons)
    fail("%ld of %ld spike counts differ in single precision", long(summary.float_differ), long(summary.float_neurons));
  expect(summary.spikes > summary.neurons / 2 && summary.full > 100, "the layers are too silent to compare anything");
  std::printf("%ld layers, %ld neurons, %ld spikes, %ld overflows: %ld values agree, %ld of %ld float counts differ\n",
              long(summary.cases), long(summary.neurons), long(summary.spikes / 2), long(summary.full / 2),
              long(summary.compared), long(summary.float_differ), long(summary.float_neurons));
  return 0;
}

}  // namespace
}  // namespace bats

// The argument is the number of random layers beside the chosen ones.
int main(int count, char** arguments) { return bats::run(count > 1 ? std::atoi(arguments[1]) : 24); }
