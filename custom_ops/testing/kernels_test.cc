// Compares the CPU kernels with the CUDA kernels, which host_execution.h runs on the CPU, on random layers.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../cpu.h"
#include "../cuda.h"

namespace bats {
namespace {

struct Case {
  std::string name;
  Problem p;
  Neuron n;
  double drive = 3;            // of a neuron by all its inputs, in units of what fires it; in the mean and as deviation
  double filled = 0.5;         // share of the input slots with a spike
  int64_t distinct_times = 0;  // few of them make ties
  bool nan_weights = false;    // some of them
  bool small_workspace = false;  // the smallest that works
};

struct Summary {
  int64_t cases = 0, neurons = 0, spikes = 0, full = 0, compared = 0, float_neurons = 0, float_differ = 0;
} summary;

std::string now;  // the case at hand

template <class... Arguments>
[[noreturn]] void fail(const char* format, Arguments... arguments) {
  std::fprintf(stderr, "FAILED %s: ", now.c_str());
  std::fprintf(stderr, format, arguments...);
  std::fputc('\n', stderr);
  std::exit(1);
}

void expect(bool holds, const char* what) {
  if (!holds) fail("%s", what);
}

void expect_ok(const char* error) {
  if (error) fail("%s", error);
}

template <class T>
constexpr bool kFloat = std::is_same_v<T, float>;

template <class T>
constexpr T kGarbage = T(-12345);  // what outputs hold before a call: every element must be written

template <class T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0);
}

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

// Everything that a layer computes. The backward pass takes `trains`, the times with some spikes moved onto input
// spikes: an input is no cause of a spike at the same time.
template <class T>
struct Results {
  std::vector<T> times, trains, slopes, kernel_gradient, times_gradient, peak, peak_times, peak_slopes;
  std::vector<T> peak_kernel_gradient, peak_times_gradient;
  std::vector<T> totals;  // of all neurons: threshold, delta_threshold, tau
  std::vector<int32_t> counts, peak_slots;
  int64_t overflow = -1;

  explicit Results(const Problem& p)
      : times(p.neurons() * p.capacity, kGarbage<T>), trains(times), slopes(times),
        kernel_gradient(p.rows() * p.units, kGarbage<T>), times_gradient(p.batch * p.sample_slots(), kGarbage<T>),
        peak(p.neurons(), kGarbage<T>), peak_times(peak), peak_slopes(peak), peak_kernel_gradient(kernel_gradient),
        peak_times_gradient(times_gradient), counts(p.neurons(), -1), peak_slots(p.neurons(), -2) {}

  bool same_as(const Results& other) const {
    return same_bits(times, other.times) && same_bits(slopes, other.slopes) && same_bits(totals, other.totals) &&
           same_bits(kernel_gradient, other.kernel_gradient) && same_bits(times_gradient, other.times_gradient) &&
           same_bits(peak, other.peak) && same_bits(peak_times, other.peak_times) &&
           same_bits(peak_slopes, other.peak_slopes) && peak_slots == other.peak_slots &&
           same_bits(peak_kernel_gradient, other.peak_kernel_gradient) &&
           same_bits(peak_times_gradient, other.peak_times_gradient) && counts == other.counts &&
           overflow == other.overflow;
  }
};

template <class T>
std::vector<T> sum(const std::vector<Totals<T>>& groups) {
  std::vector<T> sums(3);
  for (const Totals<T>& group : groups) {
    sums[0] += group.threshold;
    sums[1] += group.delta_threshold;
    sums[2] += group.tau;
  }
  return sums;
}

// A layer of one spike slot, as that of the peaks is.
Problem with_capacity(Problem p, int64_t capacity) {
  p.capacity = capacity;
  return p;
}

// Inputs of a layer and of its backward pass.
template <class T>
struct Data {
  std::vector<T> inputs, kernel, gradient;

  Data(const Case& c, uint64_t seed)
      : inputs(c.p.batch * c.p.sample_slots()), kernel(c.p.rows() * c.p.units),
        gradient(c.p.neurons() * c.p.capacity) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(0, 1);
    const double end = c.n.simulation_time;
    for (T& time : inputs) {
      const double share = uniform(random);
      const double when = c.distinct_times ? end * (int64_t(uniform(random) * c.distinct_times) + 0.5) /
                                                 c.distinct_times
                                           : end * 1.1 * uniform(random);  // some come after the end
      time = share < c.filled ? T(when) : kInfinity<T>;
      if (share < c.filled * 0.01) time = T(end);
      if (share < c.filled * 0.005) time = T(-0.0);
    }
    // The membrane peaks at tau w/4 after one input of weight w.
    const double events = std::max(1.0, c.filled * c.p.rows() * c.p.slots), firing = 4 * c.n.threshold_rate;
    for (T& weight : kernel) {
      weight = T(c.drive * firing * (1 / events + (2 * uniform(random) - 1) / std::sqrt(events)));
      if (c.nan_weights && uniform(random) < 0.01) weight = std::numeric_limits<T>::quiet_NaN();
    }
    for (T& value : gradient) value = T(2 * uniform(random) - 1);
  }
};

template <class T>
constexpr T kMinSlope = T(1);

// Every third neuron's first spike moves onto the last input spike of its sample before it.
template <class T>
std::vector<T> moved_onto_inputs(const Problem& p, const std::vector<T>& inputs, std::vector<T> times) {
  for (int64_t neuron = 0; neuron < p.neurons(); neuron += 3) {
    const T* sample = inputs.data() + neuron / (p.positions() * p.units) * p.sample_slots();
    T &spike = times[neuron * p.capacity], last = T(-1);
    if (spike == kInfinity<T>) continue;
    for (int64_t i = 0; i < p.sample_slots(); ++i) last = sample[i] <= spike ? std::max(last, sample[i]) : last;
    spike = last + T(0);  // no output spike is at -0.0
  }
  return times;
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

// What a forward kernel leaves in exactly as much memory as it asks for: address sanitizers see the end of it.
class Memory {
 public:
  Allocate allocate() {
    return [this](int64_t bytes) {
      bytes_ = bytes;
      data_.reset(new char[bytes]);
      return data_.get();
    };
  }
  template <class Item>
  Lists<Item> lists(int64_t count) const {
    expect(Lists<Item>::fit(count, data_.get(), bytes_), "lists do not fit their memory");
    expect(!Lists<Item>::fit(count, data_.get(), bytes_ + 1), "lists fit memory of another size");
    return {count, data_.get()};
  }

 private:
  int64_t bytes_ = 0;
  std::unique_ptr<char[]> data_;
};

// What the CPU's backward pass starts from: the events of a layer and its spikes.
struct Found {
  Memory events, crossings;
  cpu::Record record() { return {events.allocate(), crossings.allocate()}; }
};

// Moves the crossings to where the trains are now, each to the last event before it.
template <class T>
void move_crossings(const Problem& p, const Neuron& n, const std::vector<T>& trains, Found* found) {
  const Lists<Event<T>> events = found->events.lists<Event<T>>(p.columns());
  const int64_t count = cpu::trains_lists<T>(p), tiles = count / std::max<int64_t>(p.columns(), 1);
  const Lists<cpu::Crossing<T>> crossings = found->crossings.lists<cpu::Crossing<T>>(count);
  const int64_t width = cpu::tile_width<T>();
  std::vector<int64_t> starts{0};
  std::vector<cpu::Crossing<T>> moved;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t column = 0; column < p.columns(); ++column) {
      for (cpu::Crossing<T> crossing : crossings[tile * p.columns() + column]) {
        const int64_t neuron = column * p.units + tile * width + crossing.lane;
        const T time = trains[neuron * p.capacity + crossing.index];
        if (crossing.time == time) {
          moved.push_back(crossing);
          continue;
        }
        crossing.time = time;
        const List<Event<T>> list = events[column];
        while (crossing.event >= 0 && list[crossing.event].time >= crossing.time) --crossing.event;
        crossing.growth = kInfinity<T>;  // without a cause, without an effect
        if (crossing.event >= 0) crossing.growth = std::exp((crossing.time - list[crossing.event].time) / T(n.tau));
        crossing.event = std::max(crossing.event, 0);
        moved.push_back(crossing);
      }
      auto by_event = [](const auto& x, const auto& y) { return x.event < y.event; };
      std::stable_sort(moved.begin() + starts.back(), moved.end(), by_event);
      starts.push_back(int64_t(moved.size()));
    }
  }
  auto [memory, items] = Lists<cpu::Crossing<T>>::room(starts.data(), count, found->crossings.allocate());
  std::copy(moved.begin(), moved.end(), items);
}

// The gradients of a layer, or of its peaks.
template <class T>
std::vector<T> backward_on_cpu(const Problem& p, const Neuron& n, T min_slope, const Data<T>& data, const T* upstream,
                               const Found& found, std::vector<T>* kernel_gradient, std::vector<T>* times_gradient,
                               const cpu::Parallel& parallel) {
  const int64_t count = cpu::trains_lists<T>(p);
  Memory memory;
  std::vector<Totals<T>> totals(count);
  cpu::coefficients(p, n, min_slope, found.crossings.lists<cpu::Crossing<T>>(count), upstream, memory.allocate(),
                    totals.data(), parallel);
  const Lists<Event<T>> events = found.events.lists<Event<T>>(p.columns());
  const Lists<cpu::Echo<T>> echoes = memory.lists<cpu::Echo<T>>(count);
  expect(cpu::belong(p, found.crossings.lists<cpu::Crossing<T>>(count)) && cpu::belong(p, events, echoes),
         "lists do not belong to their layer");
  cpu::kernel_gradient(p, n, events, echoes, kernel_gradient->data(), parallel);
  cpu::times_gradient(p, data.kernel.data(), events, echoes, times_gradient->data(), parallel);
  return sum(totals);
}

template <class T>
Results<T> on_cpu(const Case& c, const Data<T>& data, const cpu::Parallel& parallel) {
  const Problem& p = c.p;
  const Neuron& n = c.n;
  Results<T> r(p);
  const T *inputs = data.inputs.data(), *kernel = data.kernel.data();
  Found spikes, peaks;
  expect(cpu::spikes(p, n, inputs, kernel, r.times.data(), r.counts.data(), &r.overflow, parallel, spikes.record()) ==
             0, "good input times are refused");
  r.slopes.assign(r.slopes.size(), T(0));
  const int64_t count = cpu::trains_lists<T>(p);
  for (int64_t list = 0; list < count; ++list) {
    for (const cpu::Crossing<T>& crossing : spikes.crossings.lists<cpu::Crossing<T>>(count)[list]) {
      const int64_t tile = list / p.columns(), column = list % p.columns();
      const int64_t neuron = column * p.units + tile * cpu::tile_width<T>() + crossing.lane;
      const int64_t slot = neuron * p.capacity + crossing.index;
      expect(r.times[slot] == crossing.time && crossing.index < r.counts[neuron], "a crossing is no spike");
      r.slopes[slot] = crossing.slope;
    }
  }
  r.trains = moved_onto_inputs(p, data.inputs, r.times);
  move_crossings(p, n, r.trains, &spikes);
  r.totals = backward_on_cpu(p, n, kMinSlope<T>, data, data.gradient.data(), spikes, &r.kernel_gradient,
                             &r.times_gradient, parallel);
  cpu::peaks(p, n, inputs, kernel, r.peak.data(), r.peak_times.data(), r.peak_slopes.data(), r.peak_slots.data(),
             parallel, peaks.record());
  backward_on_cpu(with_capacity(p, 1), n, T(0), data, data.gradient.data(), peaks, &r.peak_kernel_gradient,
                  &r.peak_times_gradient, parallel);
  return r;
}

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
    expect_ok(cuda::kernel_gradient(q_problem, n, inputs, trains.data(), q.data(), kernel_gradient->data(), space,
                                    nullptr));
    expect_ok(cuda::times_gradient(q_problem, n, inputs, kernel, trains.data(), q.data(), times_gradient->data(),
                                   nullptr));
    return sum(totals);
  };
  r.trains = backward.trains;
  r.totals = gradients(p, kMinSlope<T>, r.trains, backward.slopes, &r.kernel_gradient, &r.times_gradient);
  const Space space(cuda::peaks_bytes<T>(listed));
  std::vector<T> ones(p.neurons(), kGarbage<T>);
  expect_ok(cuda::peaks(p, n, inputs, kernel, r.peak.data(), r.peak_times.data(), r.peak_slopes.data(),
                        r.peak_slots.data(), ones.data(), space, nullptr));
  gradients(with_capacity(p, 1), T(0), r.peak_times, ones, &r.peak_kernel_gradient, &r.peak_times_gradient);
  return r;
}

// What holds of any layer: `counts` ascending times in [0, T] and rising slopes, then padding.
template <class T>
void expect_trains(const Problem& p, const Neuron& n, const Results<T>& r) {
  int64_t full = 0;
  for (int64_t neuron = 0; neuron < p.neurons(); ++neuron) {
    const T *times = r.times.data() + neuron * p.capacity, *slopes = r.slopes.data() + neuron * p.capacity;
    const int32_t count = r.counts[neuron];
    expect(count >= 0 && count <= p.capacity, "a count is out of range");
    for (int64_t k = 0; k < count; ++k) {
      expect(times[k] >= T(0) && times[k] <= T(n.simulation_time), "a spike is outside the simulation");
      expect(k == 0 || times[k] >= times[k - 1], "spikes are out of order");
      expect(slopes[k] >= T(0) && slopes[k] < kInfinity<T>, "a slope is not a number of 0 or more");
    }
    for (int64_t k = count; k < p.capacity; ++k)
      expect(times[k] == kInfinity<T> && slopes[k] == T(0), "a train is not padded");
    full += count == p.capacity;
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
    for (int64_t k = neuron * c.p.capacity; k < neuron * c.p.capacity + cpu.counts[neuron]; ++k) {
      const double x = gpu.times[k], y = cpu.times[k];
      lost = std::max(lost, theta / (c.n.tau * cpu.slopes[k]));
      if (std::abs(x - y) > tolerance * lost * c.n.tau)
        fail("spike %ld of neuron %ld is at %.17g on the GPU and at %.17g on the CPU, slope %g",
             long(k % c.p.capacity), long(neuron), x, y, double(cpu.slopes[k]));
      const double scale = std::max(theta / c.n.tau, double(cpu.slopes[k]));
      if (std::abs(double(gpu.slopes[k]) - cpu.slopes[k]) > tolerance * lost * scale)
        fail("spike %ld of neuron %ld has slope %.17g on the GPU and %.17g on the CPU", long(k % c.p.capacity),
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

// A NaN or negative input time is no spike on the GPU; the CPU counts them.
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
  Found found;
  int64_t counted = cpu::spikes(c.p, c.n, data.inputs.data(), data.kernel.data(), r.times.data(), r.counts.data(),
                                &r.overflow, serial, found.record());
  expect(c.p.height > 1 || counted == bad, "the CPU miscounts the bad input times");
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
    const Problem p{between(1, 9), kernel_height + between(0, 3), kernel_width + between(0, 3), between(1, 9),
                    between(1, 4), kernel_height, kernel_width, between(1, 40), between(1, 12)};
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
