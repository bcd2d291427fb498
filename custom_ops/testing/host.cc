// The device where host_execution.h runs the kernels.
#include <cstdlib>
#include <cstring>

#include "device.h"

namespace bats::device {

std::string name(std::string*) { return "the CPU"; }

const bool kParallel = false;

void* allocate(int64_t bytes) {
  void* data = std::malloc(bytes);
  if (bytes > 0) std::memset(data, 0xee, bytes);
  return data;
}

void release(void* data) { std::free(data); }

void write(void* to, const void* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void read(void* to, const void* from, int64_t bytes) { write(to, from, bytes); }

}  // namespace bats::device
