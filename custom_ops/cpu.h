// The BATS kernels on the CPU. All arrays are row-major; shapes are those of problem.h.
#ifndef TTFS_KERAS_CPU_H_
#define TTFS_KERAS_CPU_H_

#include <functional>

#include "problem.h"

namespace bats::cpu {

// Calls work(first, last) on disjoint ranges that cover [0, total), perhaps at once; `cost` is in cycles per unit. No
// result depends on how the range is cut.
using Parallel = std::function<void(int64_t total, int64_t cost, const std::function<void(int64_t, int64_t)>& work)>;

// Gives that many bytes, aligned for any type, or null.
using Allocate = std::function<void*(int64_t bytes)>;

// The functions below need their input events in time order. `spikes` and `peaks` leave them in the memory that they
// are given; the gradients at the same input times take them from there as `events`, or find them again if it is null.

// Whether `bytes` of memory hold the lists of a layer, or nothing.
template <class T>
bool are_events(const Problem& p, const void* events, int64_t bytes);

// Simulates the layer. Writes times (padded with inf), counts, slopes (padded with 0) and the number of neurons whose
// train was full when they crossed the threshold once more. Returns the number of NaN or negative input times; if there
// are any, the results are meaningless.
template <class T>
int64_t spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
               T* slopes, int64_t* overflow, const Parallel& parallel, const Allocate& allocate = {});

// dL/dtimes -> the coefficients q of neuron.h, which may be `gradient`, and the `Totals` of each neuron.
template <class T>
void coefficients(const Problem& p, const Neuron& n, T min_slope, const T* times, const T* slopes, const T* gradient,
                  T* q, Totals<T>* totals, const Parallel& parallel);

// dL/dw_pj = tau sum_k q_k (exp(-2 (t_k - t_j)/tau) - exp(-(t_k - t_j)/tau)) over the spikes t_k of p after t_j.
template <class T>
void kernel_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* times, const T* q, T* gradient,
                     const Parallel& parallel, const void* events = nullptr);

// dL/dt_j = sum_p w_pj sum_k q_k (2 exp(-2 (t_k - t_j)/tau) - exp(-(t_k - t_j)/tau)).
template <class T>
void times_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, const T* times, const T* q,
                    T* gradient, const Parallel& parallel, const void* events = nullptr);

// The largest membrane potential without any spike, at the end of the first interval or later, and its time; -inf and
// inf for a neuron without input spikes. Where an input cuts the rise off, du/dt just before and the input's slot in the
// sample; otherwise 0 and -1. Returns as `spikes`.
template <class T>
int64_t peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
              int32_t* slots, const Parallel& parallel, const Allocate& allocate = {});

}  // namespace bats::cpu

#endif  // TTFS_KERAS_CPU_H_
