// The BATS kernels on the CPU. All arrays are row-major; shapes are those of problem.h.
#ifndef TTFS_KERAS_CPU_H_
#define TTFS_KERAS_CPU_H_

#include <functional>

#include "lists.h"
#include "problem.h"

namespace bats::cpu {

// Calls work(first, last) on disjoint ranges that cover [0, total), perhaps at once; `cost` is in cycles per unit. No
// result depends on how the range is cut.
using Parallel = std::function<void(int64_t total, int64_t cost, const std::function<void(int64_t, int64_t)>& work)>;

// A forward kernel keeps what it finds out for the gradients: the events of each column, and for each tile of neurons of
// each column a list of its spikes, tile after tile: in the order of their events, and those of a neuron in that of time.
// Backwards these become echoes.

// A spike of a neuron.
template <class T>
struct Crossing {
  int32_t event;  // the last one before it, of the column
  int32_t lane;   // of the tile
  int32_t index;  // in the train
  T time;
  T growth;       // E at the spike, relative to the event
  T slope;        // du/dt
};

// What a spike adds to the sums of a backward sweep at the last event before it.
template <class T>
struct Echo {
  int32_t event, lane;
  T l1, l2;  // q exp(-2 (t_k - t_j)/tau), q exp(-(t_k - t_j)/tau)
};

// Memory for the lists of a forward kernel. Where it gets none, nothing more is computed.
struct Record {
  Allocate events, crossings;
};

// Neurons of a tile, which depends on the instruction set too, and how many lists of crossings or echoes a layer has.
template <class T>
int64_t tile_width(const Problem& p);
template <class T>
int64_t trains_lists(const Problem& p);

// Whether lists can be those of a layer, beyond that they `fit`: the gradients read where they say.
template <class T>
bool belong(const Problem& p, const Lists<Crossing<T>>& crossings);
template <class T>
bool belong(const Problem& p, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes);

// Simulates the layer. Writes times (padded with inf), counts and the number of neurons whose train was full when they
// crossed the threshold once more. Returns the number of NaN or negative input times; if there are any, the results are
// meaningless.
template <class T>
int64_t spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
               int64_t* overflow, const Parallel& parallel, const Record& record);

// dL/dtimes -> the echoes of the crossings and the `Totals` of each list.
template <class T>
void coefficients(const Problem& p, const Neuron& n, T min_slope, const Lists<Crossing<T>>& crossings,
                  const T* gradient, const Allocate& echoes, Totals<T>* totals, const Parallel& parallel);

// dL/dw_pj = tau sum_k q_k (exp(-2 (t_k - t_j)/tau) - exp(-(t_k - t_j)/tau)) over the spikes t_k of p after t_j.
template <class T>
void kernel_gradient(const Problem& p, const Neuron& n, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes,
                     T* gradient, const Parallel& parallel);

// dL/dt_j = sum_p w_pj sum_k q_k (2 exp(-2 (t_k - t_j)/tau) - exp(-(t_k - t_j)/tau)).
template <class T>
void times_gradient(const Problem& p, const T* kernel, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes,
                    T* gradient, const Parallel& parallel);

// The largest membrane potential without any spike, at the end of the first interval or later, and its time; -inf and
// inf for a neuron without input spikes. Where an input or the end of the simulation cuts the rise off, du/dt just before,
// otherwise 0; the slot of that input in the sample, or -1. In the record a peak is a crossing with slope 1. Returns as
// `spikes`.
template <class T>
int64_t peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
              int32_t* slots, const Parallel& parallel, const Record& record);

}  // namespace bats::cpu

#endif  // TTFS_KERAS_CPU_H_
