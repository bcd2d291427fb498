// Compares the CPU kernels with the CUDA kernels on random layers. The CUDA kernels run on a GPU or, by
// host_execution.h, on the CPU: see device.h.
#include <thread>

#include "comparison.h"

namespace bats {
namespace {

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

// A negative input time is no spike on the GPU; the CPU refuses them and says how many there are.
template <class T>
void expect_negative_times_ignored(const Case& c, Data<T> data, const Results<T>& backward) {
  Data<T> clean = data;
  int64_t bad = 0;
  for (size_t i = 0; i < data.inputs.size(); i += 5, ++bad) {
    data.inputs[i] = T(-1e-3);
    clean.inputs[i] = kInfinity<T>;
  }
  expect(on_gpu(c, data, backward).same_as(on_gpu(c, clean, backward)),
         "the GPU does not ignore a negative input time");
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
         "the CPU does not refuse negative input times, or miscounts them");
}

template <class T>
void expect_same_nan(const std::vector<T>& gpu, const std::vector<T>& cpu, const char* what) {
  for (size_t i = 0; i < cpu.size(); ++i)
    if (std::isnan(gpu[i]) != std::isnan(cpu[i]))
      fail("%s[%zu] of %zu is %g on the GPU and %g on the CPU", what, i, cpu.size(), double(gpu[i]), double(cpu[i]));
}

// NaN among the input times of a sample and weights that are not finite make trains, peaks and gradients NaN, on the
// CPU and the GPU alike.
template <class T>
void expect_nan_passed_on(const Case& c, Data<T> data) {
  const Problem &p = c.p, one = with_max_spikes(c.p, 1);
  for (T& time : data.inputs) time = time < T(c.n.simulation_time) ? time : kInfinity<T>;
  data.inputs[p.sample_slots()] = kNaN<T>;  // the first of the second sample
  data.kernel.front() = kNaN<T>;
  data.kernel.back() = kInfinity<T>;
  Results<T> cpu(p);
  Found<T> spikes, peaks;
  const T *inputs = data.inputs.data(), *kernel = data.kernel.data();
  cpu::layer<T>(p, serial)->spikes(c.n, inputs, kernel, cpu.times.data(), cpu.counts.data(), &cpu.overflow, &spikes);
  backward_on_cpu(p, c.n, kMinSlope<T>, data, cpu.times, spikes, &cpu.kernel_gradient, &cpu.times_gradient, serial);
  cpu::layer<T>(one, serial)
      ->peaks(c.n, inputs, kernel, cpu.peak.data(), cpu.peak_times.data(), cpu.peak_slopes.data(),
              cpu.peak_slots.data(), &peaks);
  backward_on_cpu(one, c.n, T(0), data, cpu.peak_times, peaks, &cpu.peak_kernel_gradient, &cpu.peak_times_gradient,
                  serial);
  cpu.trains = cpu.times;
  for (size_t i = 0; i < cpu.times.size(); ++i) cpu.slopes[i] = std::isnan(cpu.times[i]) ? kNaN<T> : T(1);
  const Results<T> gpu = on_gpu(c, data, cpu);
  const T* second = cpu.times.data() + p.positions() * p.units * p.max_spikes;
  expect(std::isnan(second[0]) && std::isnan(second[p.units * p.max_spikes - 1]),
         "a NaN time did not reach the trains");
  expect_same_nan(gpu.times, cpu.times, "times");
  expect(gpu.counts == cpu.counts, "counts beside NaN differ");
  expect_same_nan(gpu.kernel_gradient, cpu.kernel_gradient, "kernel_gradient");
  expect_same_nan(gpu.times_gradient, cpu.times_gradient, "times_gradient");
  expect_same_nan(gpu.peak, cpu.peak, "peak");
  expect_same_nan(gpu.peak_kernel_gradient, cpu.peak_kernel_gradient, "peak_kernel_gradient");
  expect_same_nan(gpu.peak_times_gradient, cpu.peak_times_gradient, "peak_times_gradient");
}

template <class T>
void check(const Case& c, uint64_t seed) {
  now = c.name + (kFloat<T> ? " float" : " double");
  const Data<T> data(c, seed);
  const Results<T> cpu = on_cpu(c, data, serial);
  expect(on_cpu(c, data, threaded).same_as(cpu), "the CPU's results depend on the number of threads");
  compare(c, data, cpu);
  if (c.p.batch != 3) return;
  expect_negative_times_ignored(c, data, cpu);
  expect_nan_passed_on(c, data);
}

// Every `step`-th of the chosen layers and so many random ones.
void run(int random_layers, int step) {
  const Neuron n{0.26, 0.2 / 0.26, 0.2 / 0.26, 0.2}, weak_reset{0.26, 0.2 / 0.26, 0.02 / 0.26, 0.2};
  const Neuron fast{0.021, 1 / 0.021, 1 / 0.021, 1.0};
  std::vector<Case> cases{
      {"empty batch", {0, 1, 1, 5, 2, 1, 1, 3, 4}, n},
      {"one of everything", {1, 1, 1, 1, 1, 1, 1, 1, 1}, n, 3, 1},
      {"dense", {7, 1, 1, 50, 1, 1, 1, 300, 5}, n},
      {"two tiles", {5, 1, 1, 61, 3, 1, 1, 129, 30}, n},
      {"one tile", {3, 1, 1, 61, 3, 1, 1, 128, 30}, n},
      {"full trains", {8, 1, 1, 40, 30, 1, 1, 33, 30}, weak_reset, 6},
      {"long lists", {3, 1, 1, 120, 30, 1, 1, 7, 30}, n, 6, 0.9},
      {"ties in long lists", {2, 1, 1, 120, 30, 1, 1, 3, 30}, n, 6, 0.9, 5},
      {"single spikes", {50, 1, 1, 30, 1, 1, 1, 200, 1}, n},
      {"large batch", {1500, 1, 1, 3, 1, 1, 1, 2, 3}, n},
      {"nothing", {3, 1, 1, 20, 2, 1, 1, 5, 4}, n, 3, 0},
      {"inputs without effect", {30, 1, 1, 20, 2, 1, 1, 5, 4}, n, 0.01},
      {"all at once", {9, 1, 1, 70, 2, 1, 1, 40, 6}, n, 3, 0.8, 1},
      {"ties", {9, 1, 1, 70, 2, 1, 1, 40, 6}, n, 3, 0.8, 4},
      {"rare inputs", {60, 1, 1, 9, 1, 1, 1, 31, 6}, n, 3, 0.05},
      {"convolution", {3, 7, 6, 3, 2, 3, 2, 5, 4}, n},
      {"convolution to a point", {5, 3, 4, 2, 2, 3, 4, 40, 4}, n},
      {"pointwise convolution", {3, 4, 5, 6, 1, 1, 1, 17, 4}, n},
      {"convolution, many units", {2, 6, 6, 2, 1, 5, 5, 140, 3}, n},
      {"fast", {8, 1, 1, 100, 2, 1, 1, 60, 30}, fast, 8},
      {"fast convolution", {3, 6, 5, 2, 2, 3, 3, 7, 30}, fast, 8},
      {"dense, small workspace", {7, 1, 1, 50, 1, 1, 1, 200, 5}, n, 3, 0.5, 0, true},
      {"convolution, small workspace", {3, 5, 6, 3, 2, 3, 2, 5, 4}, n, 3, 0.5, 0, true},
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
                     0.1 * double(between(1, 9)), i % 4 ? 0 : between(1, 20), i % 5 == 0});
  }
  uint64_t seed = 1;
  for (size_t i = 0; i < cases.size(); i += step) {
    attempt([&] { check<double>(cases[i], seed); });
    attempt([&] { check<float>(cases[i], seed); });
    ++seed;
  }
  attempt([&] {
    report();
    expect(step > 1 || summary.full > 100, "too few trains are full");
  });
}

}  // namespace
}  // namespace bats

// Arguments: the number of random layers beside the chosen ones; 4 to compare only every fourth, for slow checkers.
int main(int count, char** arguments) {
  std::string why_none;
  const std::string name = bats::device::name(&why_none);
  if (name.empty()) return std::printf("There is no GPU: %s.\n", why_none.c_str()), bats::device::kNone;
  std::printf("CUDA kernels on %s against CPU kernels\n", name.c_str());
  bats::run(count > 1 ? std::atoi(arguments[1]) : 24, count > 2 ? std::atoi(arguments[2]) : 1);
  return bats::failures > 0;
}
