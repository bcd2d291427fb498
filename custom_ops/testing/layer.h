// Random layers, everything that they compute, and how a test of them fails.
#ifndef TTFS_KERAS_TESTING_LAYER_H_
#define TTFS_KERAS_TESTING_LAYER_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../neuron.h"
#include "../problem.h"

namespace bats {

struct Case {
  std::string name;
  Problem p;
  Neuron n;
  double drive = 3;            // of a neuron by all its inputs, in units of what fires it; in the mean and as deviation
  double filled = 0.5;         // share of the input slots with a spike
  int64_t distinct_times = 0;  // few of them make ties
  bool small_workspace = false;  // the smallest that works
};

inline std::string now;  // the case at hand

inline int64_t failures = 0;

struct Failure {};  // of the case at hand: the others may say more

template <class... Arguments>
[[noreturn]] void fail(const char* format, Arguments... arguments) {
  std::fprintf(stderr, "FAILED %s: ", now.c_str());
  std::fprintf(stderr, format, arguments...);
  std::fputc('\n', stderr);
  ++failures;
  throw Failure();
}

// Goes on after a failure of the work.
template <class Work>
void attempt(Work work) {
  try {
    work();
  } catch (const Failure&) {
  }
}

inline void expect(bool holds, const char* what) {
  if (!holds) fail("%s", what);
}

inline void expect_ok(const char* error) {
  if (error) fail("%s", error);
}

template <class T>
constexpr T kGarbage = T(-12345);  // what outputs hold before a call: every element must be written

template <class T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0);
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
      : times(p.neurons() * p.max_spikes, kGarbage<T>), trains(times), slopes(times),
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
  double threshold = 0, delta_threshold = 0, tau = 0;
  for (const Totals<T>& group : groups) {
    threshold += group.threshold;
    delta_threshold += group.delta_threshold;
    tau += group.tau;
  }
  return {T(threshold), T(delta_threshold), T(tau)};
}

// A layer of one spike slot, as that of the peaks is.
inline Problem with_max_spikes(Problem p, int64_t max_spikes) {
  p.max_spikes = max_spikes;
  return p;
}

// Inputs of a layer and of its backward pass.
template <class T>
struct Data {
  std::vector<T> inputs, kernel, gradient;

  Data() = default;
  Data(const Case& c, uint64_t seed)
      : inputs(c.p.batch * c.p.sample_slots()), kernel(c.p.rows() * c.p.units),
        gradient(c.p.neurons() * c.p.max_spikes) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(0, 1);
    const double end = c.n.simulation_time;
    for (T& time : inputs) {
      const double share = uniform(random);
      const double when = c.distinct_times
                              ? end * (int64_t(uniform(random) * c.distinct_times) + 0.5) / c.distinct_times
                              : end * 1.1 * uniform(random);  // some come after the end
      time = share < c.filled ? T(when) : kInfinity<T>;
      if (share < c.filled * 0.01) time = T(end);
      if (share < c.filled * 0.005) time = T(-0.0);
    }
    // The membrane peaks at tau w/4 after one input of weight w.
    const double events = std::max(1.0, c.filled * c.p.rows() * c.p.slots), firing = 4 * c.n.threshold_rate;
    for (T& weight : kernel) {
      weight = T(c.drive * firing * (1 / events + (2 * uniform(random) - 1) / std::sqrt(events)));
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
    T &spike = times[neuron * p.max_spikes], last = T(-1);
    if (spike == kInfinity<T>) continue;
    for (int64_t i = 0; i < p.sample_slots(); ++i) last = sample[i] <= spike ? std::max(last, sample[i]) : last;
    spike = last + T(0);  // no output spike is at -0.0
  }
  return times;
}

}  // namespace bats

#endif  // TTFS_KERAS_TESTING_LAYER_H_
