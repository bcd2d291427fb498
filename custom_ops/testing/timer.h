// How long kernels take on a GPU (gpu.cu).
#ifndef TTFS_KERAS_TESTING_TIMER_H_
#define TTFS_KERAS_TESTING_TIMER_H_

#include <cstdint>
#include <functional>

namespace bats::device {

int64_t cache_bytes();  // of the last level

// The median time of call(set, stream), which queues kernels on the stream. The calls of all sets, one after another,
// are a CUDA graph, which is replayed: no time of the host is in it.
double microseconds(int64_t sets, const std::function<void(int64_t set, void* stream)>& call);

// Bytes a second, read and written, of a large copy from device memory to device memory.
double copy_bandwidth();

}  // namespace bats::device

#endif  // TTFS_KERAS_TESTING_TIMER_H_
