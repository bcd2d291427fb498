// Memory of the device on which the kernels of cuda.h run: that of a GPU (gpu.cu) or, where host_execution.h runs them,
// that of the CPU (host.cc). A program is linked with one of the two.
#ifndef TTFS_KERAS_TESTING_DEVICE_H_
#define TTFS_KERAS_TESTING_DEVICE_H_

#include <cstdint>
#include <string>

namespace bats::device {

constexpr int kNone = 77;  // what a program returns that found none

// The device's name, or an empty string and why there is none.
std::string name(std::string* why_none);

// Whether two runs can differ. By host execution they are slow, and the order of threads matters only where there are
// ties.
extern const bool kParallel;

// Plain device memory of exactly this size, full of garbage.
void* allocate(int64_t bytes);
void release(void* data);

void write(void* to, const void* from, int64_t bytes);
// Waits for the kernels first, and fails if one of them has failed.
void read(void* to, const void* from, int64_t bytes);

}  // namespace bats::device

#endif  // TTFS_KERAS_TESTING_DEVICE_H_
