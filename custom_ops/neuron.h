// The mathematics of one BATS neuron, written once for the CPU and the GPU (Bacho & Chu, arXiv 2212.09500).
//
//   du/dt = -u/tau + v,  dv/dt = -v/tau_s,  tau = 2 tau_s;  input spike: v += w;  u reaching theta: a spike, u -= delta
//
// Relative to any moment, with E = exp(t/tau) growing from 1 there, the membrane is
//
//   u = tau (b/E - a/E^2),  a: what the inputs left,  b: the same, less what the resets took,
//
// and u = theta where c E^2 - b E + a = 0, c = theta/tau. Moving on to a moment E later divides a by E^2 and b by E; an
// input there adds w to both. Nothing ever grows like exp(t/tau), so float32 lasts however long the simulation is.
// (Input less than the precision of T times tau apart counts as simultaneous.)
//
// All conditions are of the form "spike if": NaN, for which every comparison is false, never becomes a spike. A neuron
// that ends with `a` not finite, because an input time was NaN or the weight of an input spike was not finite, gets NaN
// in all slots of its train, a count of 0, and gradients that are NaN.
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
template <class T>
inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();

// Constants of a layer. Roots are solved in float64 whatever T is, so all of them are kept in float64.
struct Neuron {
  double tau;              // membrane time constant, twice the synaptic one [s]
  double threshold_rate;   // c = theta / tau
  double reset_rate;       // d = delta_theta / tau
  double simulation_time;  // no spikes after it [s]
};

// An input spike of a list in time order.
template <class T>
struct Event {
  T time;
  T growth;      // E of the next event, or of the end of the simulation, relative to this one
  T decay;       // 1 / growth
  int32_t row;   // of the kernel
  int32_t slot;  // of the sample's input, flat: where its gradient goes
};

// E at the end of an interval. Kept finite, so that the membrane potential decays to 0 and not to NaN.
template <class T>
BATS_DEVICE inline T growth_over(T seconds, T tau) {
  const T growth = std::exp(seconds / tau);
  return growth == kInfinity<T> ? kLargest<T> : growth;
}

// The minimum of c E^2 - b E + a for E in (1, last], which is 0 or less if u reaches theta. It is at the vertex of the
// parabola if that is inside the interval, otherwise at the end, as the parabola is positive at E = 1. (A crossing
// exactly at the end counts here, and so is not missed between two intervals.) V is a number, or a vector with one
// neuron per lane; `half` is 1/(2c).
template <class V, class T>
BATS_DEVICE inline V lowest(const V& a, const V& b, T c, T half, T last) {
  const V end = V() + last, vertex = b * half, later = vertex > T(1) ? vertex : end, at = later < end ? later : end;
  return (c * at - b) * at + a;
}

// Finds the spikes of a neuron that reaches theta between two events: calls spike(E, du/dt) for each and returns b
// after their resets, all in float64, so that rounding errors do not add up. `spike` returns false if the spike train
// is full; the neuron then gets b = -infinity and never fires again.
template <class T, class Spike>
BATS_DEVICE inline double fire(T a_now, T b_now, T growth, const Neuron& n, Spike spike) {
  const double a = a_now, c = n.threshold_rate, last = growth;
  double b = b_now, first = 1;
  do {
    const double squared = b * b - 4 * c * a;
    const double x = squared > 0 ? std::sqrt(squared) : 0;  // rounding may make the square of a tangent negative
    double e = 2 * a / (b + x);                             // the earlier root, where u rises
    e = e > first ? e : first;                              // rounding may move it out of the interval
    e = e < last ? e : last;
    if (!spike(T(e), T(x / e))) return -kInfinity<double>;
    b -= n.reset_rate * e;  // moves the earlier root to after e, if there still is one
    first = e;
  } while (lowest(a, b, c, 0.5 / c, last) <= 0);
  return b;
}

// The time of a spike at E = `growth` after an event of a list. In spite of rounding it is after that event, which
// causes it, and not after the next one, which does not. An Item has a `time`, and for `locate_peak` a `slot`.
template <class Item, class T>
BATS_DEVICE inline T spike_time(const Item* events, int64_t count, int64_t event, T growth, const Neuron& n) {
  const T start = events[event].time, end = event + 1 < count ? events[event + 1].time : T(n.simulation_time);
  T time = T(start + n.tau * std::log(growth));
  if (!(time > start)) time = std::nextafter(start, end);
  return time < end ? time : end;
}

// The part of some output spikes in the gradients of the constants.
template <class T>
struct Totals {
  T threshold;        // dL/d(theta)
  T delta_threshold;  // dL/d(delta_theta)
  T tau;              // sum_k t_k (q_k u'(t_k) - d sum_{m>k} q_m exp(-(t_m - t_k)/tau)), a part of tau dL/d(tau)
};

// Goes backwards over the spikes of a neuron, from dL/dt of each to the coefficient q = dL/dt / u'(t) that every
// gradient shares, with the effect of the spike on the later ones through its reset:  dt_m/dt_k = d exp(-(t_m -
// t_k)/tau) / u'(t_m). The time of a spike at a tangent (u' = 0) has no derivative and counts as constant; smaller
// slopes count as `min_slope`.
template <class T>
class Adjoint {
 public:
  BATS_DEVICE T coefficient(T time, T slope, T gradient, T min_slope, const Neuron& n, Totals<T>* totals) {
    const T d = T(n.reset_rate);
    const T since = time < next_ ? time - next_ : T(0);
    later_ *= std::exp(since / T(n.tau));
    const T q = slope <= T(0) ? T(0) : (gradient + d * later_) / (slope < min_slope ? min_slope : slope);
    totals->threshold += q;
    totals->delta_threshold += later_;  // the effect of the reset on the membrane at later spikes
    totals->tau += time * (q * slope - d * later_);
    later_ += q;
    next_ = time;
    return q;
  }

 private:
  T next_ = T(0);   // the spike after, if there is one
  T later_ = T(0);  // sum of q exp(-(t_m - next_)/tau) over it and the later ones
};

// The largest u / tau of an interval between events, its place as E, and du/dt there: the peak at E = 2a/b if that is
// inside the interval, otherwise the end, for which E is given as 0. (The start is the end of the previous interval.)
template <class V, class T>
BATS_DEVICE inline void interval_peak(const V& a, const V& b, T growth, T decay, V* value, V* at, V* slope) {
  const V vertex = (T(2) * a) / b;
  const auto inside = (vertex > T(1)) & (vertex < growth) & (a > T(0));
  *value = inside ? b * b / (T(4) * a) : (b - a * decay) * decay;
  *at = inside ? vertex : V();
  *slope = inside ? V() : (T(2) * a * decay - b) * decay;
}

// When a neuron has its largest potential, from the event that starts the interval.
template <class T>
struct Peak {
  T time, slope;  // slope > 0: an input, or the end of the simulation, cuts the rise off
  int32_t slot;   // of that input, or -1
};

template <class Item, class T>
BATS_DEVICE inline Peak<T> locate_peak(const Item* events, int64_t count, int64_t event, T at, T slope,
                                       const Neuron& n) {
  if (event < 0) return {kInfinity<T>, T(0), -1};  // no input
  if (at > T(0)) return {events[event].time + T(n.tau) * std::log(at), T(0), -1};
  if (event + 1 == count) return {T(n.simulation_time), slope, -1};
  return {events[event + 1].time, slope, events[event + 1].slot};
}

}  // namespace bats

#endif  // TTFS_KERAS_NEURON_H_
