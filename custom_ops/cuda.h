// The BATS kernels on the GPU; see layer.h. All arrays are in device memory, row-major, with the shapes of
// problem.h. A call only queues work on `stream` (a cudaStream_t): nothing is allocated or waited for, and the results
// are the same bits in every run. It returns nullptr, or what CUDA said of the launch that failed.
//
// Telling the caller of negative input times would take such a wait: here they count as inf.
#ifndef TTFS_KERAS_CUDA_H_
#define TTFS_KERAS_CUDA_H_

#include "problem.h"

namespace bats::cuda {

// Device memory for the time of a call, aligned as by cudaMalloc. The `*_bytes` functions say how much to bring: enough
// for all columns at once, but no more than 256 MiB of event lists, or 64 MiB of transposed trains beside a few MiB of
// sums. With less, a call works through the columns in more and smaller groups.
struct Workspace {
  void* data;
  int64_t bytes;
};

template <class T>
int64_t spikes_bytes(const Problem& p);
template <class T>
int64_t kernel_gradient_bytes(const Problem& p);
template <class T>
int64_t peaks_bytes(const Problem& p);

// `slopes`, and `q` below, are written and read only where `times` has spikes.
template <class T>
const char* spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
                   T* slopes, int64_t* overflow, Workspace workspace, void* stream);

// `q` may be `gradient`.
template <class T>
const char* coefficients(const Problem& p, const Neuron& n, T min_slope, const T* times, const T* slopes,
                         const T* gradient, T* q, Totals<T>* totals, void* stream);

template <class T>
const char* kernel_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* times, const T* q, T* gradient,
                            Workspace workspace, void* stream);

template <class T>
const char* times_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, const T* times,
                           const T* q, T* gradient, void* stream);

// `ones`: the slopes that a peak's coefficients are computed with.
template <class T>
const char* peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
                  int32_t* slots, T* ones, Workspace workspace, void* stream);

}  // namespace bats::cuda

#endif  // TTFS_KERAS_CUDA_H_
