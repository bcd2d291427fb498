// The mathematics of one BATS neuron, written once for the CPU and the GPU (Bacho & Chu, arXiv 2212.09500).
//
//   du/dt = -u/tau + v,  dv/dt = -v/tau_s,  tau = 2 tau_s;  an input spike: v += w;  u reaching theta: a spike, u -= delta
//
// Relative to any moment, with E = exp(t/tau) growing from 1 there, the membrane is
//
//   u = tau (b/E - a/E^2),  a: what the inputs left,  b: the same, less what the resets took,
//
// and u = theta where c E^2 - b E + a = 0, c = theta/tau. Moving on to a moment E later divides a by E^2 and b by E; an
// input there adds w to both. Nothing ever grows like exp(t/tau), so float32 lasts for any t/tau.
//
// Every test is positive ("spike if"), so that NaN, which fails all comparisons, can never become a spike.
#ifndef TTFS_KERAS_NEURON_H_
#define TTFS_KERAS_NEURON_H_

#include <cmath>
#include <cstdint>
#include <limits>

#ifdef __CUDACC__
#define BATS_DEVICE __host__ __device__
#else
#define BATS_DEVICE
#endif

namespace bats {

// A constant and not a call: nvcc has no numeric_limits in device code.
template <class T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
inline constexpr T kLargest = std::numeric_limits<T>::max();

// Constants of a layer. Roots are solved in float64 whatever T is, so all of them are kept in float64.
struct Neuron {
  double tau;                // membrane time constant, twice the synaptic one [s]
  double threshold_rate;     // c = theta / tau
  double reset_rate;         // d = delta_theta / tau
  double simulation_time;    // no spikes after it [s]
};

// An input spike as a neuron sees it, in time order.
template <class T>
struct Event {
  T time;
  T growth;       // E of the next event, or of the end of the simulation, relative to this one
  T decay;        // 1 / growth
  int32_t row;    // of the kernel
  int32_t slot;   // of the sample's input, flat: where its gradient goes
};

// The output spikes of one neuron.
template <class T>
struct Train {
  T* times;
  T* slopes;      // du/dt at each spike
  int32_t capacity;
  int32_t count;
  bool truncated;  // it would have fired once more
};

// E at the end of an interval. Kept finite: what is left of the membrane then is 0 either way, but not NaN.
template <class T>
BATS_DEVICE inline T growth_over(T seconds, T tau) {
  const T growth = std::exp(seconds / tau);
  return growth < kInfinity<T> ? growth : kLargest<T>;
}

// Whether u reaches theta for E in (first, last]: it is above at the end, or peaks above in between. V is a number or a
// vector of numbers (one neuron a lane); the sign at the end cannot lose a crossing that starts the next interval.
template <class V, class T>
BATS_DEVICE inline auto crosses(const V& a, const V& b, T c, T first, T last) {
  const V end = (c * last - b) * last + a;
  const V discriminant = b * b - (T(4) * c) * a;
  return (end <= T(0)) | ((discriminant >= T(0)) & (b > T(2) * c * first) & (b < T(2) * c * last));
}

// Emits all spikes of a neuron between an event and the next and resets b after each. Rare: 1 event in 200.
// A neuron whose train is full gets b = -infinity, from where it reaches no threshold any more.
template <class T>
BATS_DEVICE inline void fire(T a_now, T* b_now, T event_time, T growth, const Neuron& n, Train<T>* train) {
  const double a = a_now, c = n.threshold_rate, last = growth;
  double b = *b_now, first = 1;
  while (crosses(a, b, c, first, last)) {
    const double squared = b * b - 4 * c * a, x = std::sqrt(squared > 0 ? squared : 0);
    double e = 2 * a / (b + x);  // the earlier root, where u rises
    if (!(a > 0 && e > 0)) break;
    e = e > first ? e : first;  // rounding must not move it out of the interval
    e = e < last ? e : last;
    if (train->count == train->capacity) {
      train->truncated = true;
      b = -kInfinity<double>;
      break;
    }
    const double time = event_time + n.tau * std::log(T(e));
    train->times[train->count] = T(time < n.simulation_time ? time : n.simulation_time);
    train->slopes[train->count] = T(x / e);
    ++train->count;
    b -= n.reset_rate * e;
    first = e;
  }
  *b_now = T(b);
}

// What the output spikes of a neuron add to the gradients of the layer's constants.
template <class T>
struct Totals {
  T threshold;        // dL/d(theta)
  T delta_threshold;  // dL/d(delta_theta)
  T tau;              // sum_k t_k (q_k u'(t_k) - d sum_{m>k} q_m exp(-(t_m - t_k)/tau)), a part of tau dL/d(tau)
};

// From dL/dt of the output spikes of a neuron to the coefficients q_k = dL/dt_k / u'(t_k) that every gradient shares, with
// the effect of each spike on the later ones through its reset:  dt_m/dt_k = d exp(-(t_m - t_k)/tau) / u'(t_m).
// A spike at a tangent (u' = 0) has no derivative and counts as constant; `min_slope` bounds the others. `q` may be
// `gradient`.
template <class T>
BATS_DEVICE inline Totals<T> coefficients(const T* times, const T* slopes, const T* gradient, int32_t capacity,
                                          T min_slope, const Neuron& n, T* q) {
  int32_t count = 0;
  while (count < capacity && times[count] < kInfinity<T>) ++count;
  for (int32_t k = count; k < capacity; ++k) q[k] = T(0);
  const T tau = T(n.tau), d = T(n.reset_rate);
  Totals<T> totals{T(0), T(0), T(0)};
  T later = T(0);  // sum over the later spikes of q exp(-(t_m - t_k)/tau)
  for (int32_t k = count - 1; k >= 0; --k) {
    if (k + 1 < count) later = (later + q[k + 1]) * T(std::exp(-(times[k + 1] - times[k]) / tau));
    const T slope = slopes[k] > min_slope ? slopes[k] : min_slope;
    q[k] = slopes[k] > T(0) ? (gradient[k] + d * later) / slope : T(0);
    totals.threshold += q[k];
    totals.delta_threshold += later;  // what the reset at t_k takes off the membrane at the later spikes
    totals.tau += times[k] * (q[k] * slopes[k] - d * later);
  }
  return totals;
}

// The largest u / tau of an interval between events, where it is, as E, and du/dt there: a peak in closed form at
// E = 2a/b inside the interval, otherwise its end, for which E is given as 0. (Its start is the end of the one before.)
template <class V, class T>
BATS_DEVICE inline void interval_peak(const V& a, const V& b, T growth, T decay, V* value, V* at, V* slope) {
  const V vertex = (T(2) * a) / b;
  const auto inside = (vertex > T(1)) & (vertex < growth) & (a > T(0));
  *value = inside ? b * b / (T(4) * a) : (b - a * decay) * decay;
  *at = inside ? vertex : V();
  *slope = inside ? V() : (T(2) * a * decay - b) * decay;
}

// The first event after `time`, or `count`.
template <class T>
BATS_DEVICE inline int64_t event_after(const Event<T>* events, int64_t count, T time) {
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (events[middle].time <= time) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Where and when the largest potential of a neuron is, from the interval that has it.
template <class T>
struct Peak {
  T time, slope;  // slope 0: nothing but the membrane ends the rise
  int32_t slot;   // of the input that does, or -1
};

template <class T>
BATS_DEVICE inline Peak<T> locate_peak(const Event<T>* events, int64_t count, T start, T at, T slope, const Neuron& n) {
  // The time of an end is taken from its event: not a rounding later, when the event would count as its cause.
  if (at > T(0)) return {start + T(n.tau) * std::log(at), T(0), -1};
  const int64_t next = event_after(events, count, start);
  if (next == count) return {T(n.simulation_time), T(0), -1};
  return {events[next].time, slope, events[next].slot};
}

}  // namespace bats

#endif  // TTFS_KERAS_NEURON_H_
