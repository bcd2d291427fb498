// The kernels of a BATS layer, whatever the device, and what its forward pass hands on to its backward pass. All arrays
// are row-major; shapes are those of problem.h.
#ifndef TTFS_KERAS_LAYER_H_
#define TTFS_KERAS_LAYER_H_

#include <cstdint>
#include <stdexcept>

#include "problem.h"

namespace bats {

template <class Item>
struct Array {
  Item* data = nullptr;
  int64_t size = 0;

  Item& operator[](int64_t index) const { return data[index]; }
  Item* begin() const { return data; }
  Item* end() const { return data + size; }
};

// What an input spike of a column drives, and where it comes from.
struct EventPlace {
  int32_t row;   // of the kernel
  int32_t slot;  // of the sample's input, flat: where its gradient goes
};

// The input spikes of all columns: one list per column, in time order. List i is items splits[i] to splits[i + 1] - 1.
template <class T>
struct Events {
  Array<int64_t> splits;     // (columns + 1)
  Array<EventPlace> places;  // (events)
  Array<T> decays;           // (events), exp(-s/tau), s the time to the next event or to the end of the simulation
};

// Which neuron of a column spikes, and after which input.
struct CrossingPlace {
  int32_t event;  // the last one before the spike, counted from the first of the column
  int32_t unit;
};

// The output spikes of all columns. The units are cut into tiles of as many neurons as fit into the SIMD registers;
// there is one list per tile and column, all columns of the first tile first. A list is ordered by event, and has all
// spikes of a neuron in the order of its spike train.
template <class T>
struct Crossings {
  Array<int64_t> splits;        // (tiles x columns + 1)
  Array<CrossingPlace> places;  // (crossings)
  Array<T> decays;              // (crossings), exp(-s/tau), s the time from the event to the spike
  Array<T> slopes;              // (crossings), du/dt at the spike
};

// Allocates what a forward kernel hands on.
template <class T>
class Record {
 public:
  virtual ~Record() = default;
  virtual Events<T> events(int64_t splits, int64_t events) = 0;
  virtual Crossings<T> crossings(int64_t splits, int64_t crossings, int64_t slopes) = 0;
};

// What the gradients of kernel and input times are computed from: the arrays of the forward pass and a coefficient for
// each slope.
template <class T>
struct Backward {
  const T *inputs, *times;
  Events<T> events;
  Crossings<T> crossings;  // without slopes
  Array<T> coefficients;
};

// Implemented for the CPU in cpu.cc and for the GPU in devices.h. Arguments that do not fit throw
// std::invalid_argument, a device that fails std::runtime_error.
template <class T>
class Layer {
 public:
  virtual ~Layer() = default;

  // Simulates the layer. Writes times (padded with inf), counts, and the number of neurons whose train was full when
  // they crossed the threshold once more.
  virtual void spikes(const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts, int64_t* overflow,
                      Record<T>* record) = 0;

  // The largest membrane potential without any reset, at the end of the first interval or later, and its time; -inf and
  // inf for a neuron without input spikes. Where an input or the end of the simulation cuts the rise off, du/dt just
  // before, otherwise 0; the slot of that input in the sample, or -1. A peak is recorded as a crossing with slope 1.
  virtual void peaks(const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes, int32_t* slots,
                     Record<T>* record) = 0;

  // dL/dtimes -> the coefficient q of each slope, and `Totals` of so many groups of neurons.
  virtual int64_t groups() const = 0;
  virtual void coefficients(const Neuron& n, T min_slope, const T* times, const T* gradient,
                            const Crossings<T>& crossings, T* q, Totals<T>* totals) = 0;

  // dL/dw_pj = tau sum_k q_k (exp(-2 (t_k - t_j)/tau) - exp(-(t_k - t_j)/tau)) over the spikes t_k of p after t_j.
  virtual void kernel_gradient(const Neuron& n, const Backward<T>& from, T* gradient) = 0;

  // dL/dt_j = sum_p w_pj sum_k q_k (2 exp(-2 (t_k - t_j)/tau) - exp(-(t_k - t_j)/tau)).
  virtual void times_gradient(const Neuron& n, const T* kernel, const Backward<T>& from, T* gradient) = 0;
};

// The backward pass reads and writes where the arrays that it is handed say.
inline void expect_handed_on(bool belongs) {
  if (!belongs) throw std::invalid_argument("expected what the op of this layer handed on to its gradients");
}

}  // namespace bats

#endif  // TTFS_KERAS_LAYER_H_
