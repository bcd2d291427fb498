// Runs the kernels of bats.cu on the CPU, so that tests need no GPU:
//   g++ -x c++ -include custom_ops/testing/host_execution.h -std=c++17 custom_ops/bats.cu
//
// The threads of a block are coroutines: each runs to the next __syncthreads(), where the block waits for all of them.
// Blocks run one after another. A random half of the turns runs the threads from the last to the first, so that a
// missing barrier shows. A barrier that not all threads reach ends the program.
#ifndef TTFS_KERAS_HOST_EXECUTION_H_
#define TTFS_KERAS_HOST_EXECUTION_H_

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

#define __global__
#define __device__
#define __shared__ static  // one block at a time
#define __syncthreads() bats::host::Block::barrier(__LINE__)
#define BATS_LAUNCH(kernel, grid, block, stream, ...) \
  ((void)(stream), bats::host::run(grid, block, [&] { kernel(__VA_ARGS__); }))

using std::max;
using std::min;

struct Index {
  unsigned x;
};
inline Index blockIdx, threadIdx, blockDim, gridDim;

using cudaStream_t = void*;
using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0;
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "error"; }
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  std::memset(to, value, bytes);
  return cudaSuccess;
}

template <class T>
T atomicAdd(T* to, T value) {
  const T old = *to;
  *to += value;
  return old;
}

namespace bats::host {

// The coroutines of a block, kept for the next one.
class Block {
 public:
  void run(unsigned threads, const std::function<void()>& work) {
    while (threads_.size() < threads) start();
    work_ = &work;
    for (unsigned i = 0; i < threads; ++i) threads_[i].barrier = 0;
    do {
      const bool descending = random_() % 2;
      for (unsigned i = 0; i < threads; ++i) resume(descending ? threads - 1 - i : i);
      for (unsigned i = 1; i < threads; ++i) {
        if (threads_[i].barrier == threads_[0].barrier) continue;
        std::fprintf(stderr, "block %u: thread %u is at the barrier of line %d, thread 0 at %d (0: it has returned)\n",
                     blockIdx.x, i, threads_[i].barrier, threads_[0].barrier);
        std::abort();
      }
    } while (threads > 0 && threads_[0].barrier != kReturned);
  }

  static void barrier(int line) { the().suspend(line); }

  static Block& the() {
    static Block block;
    return block;
  }

 private:
  static constexpr int kReturned = 0;
  static constexpr size_t kStack = 64 << 10;

  struct Thread {
    ucontext_t context;  // to start it
    jmp_buf place;       // to go on
    bool started = false;
    std::vector<char> stack;
    int barrier;  // the line where it waits
    void* fake_stack;
  };

  void start() {
    Thread& thread = threads_.emplace_back();
    thread.stack.resize(kStack);
    thread.fake_stack = nullptr;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = kStack;
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, [] { the().work_forever(); }, 0);
  }

  void resume(unsigned index) {
    current_ = &threads_[index];
    threadIdx.x = index;
    void* fake_stack;
    __sanitizer_start_switch_fiber(&fake_stack, current_->stack.data(), kStack);
    // Unlike swapcontext, jumps make no system call.
    if (!_setjmp(scheduler_)) {
      if (std::exchange(current_->started, true)) _longjmp(current_->place, 1);
      setcontext(&current_->context);
    }
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
  }

  void suspend(int line) {
    Thread* thread = current_;
    thread->barrier = line;
    __sanitizer_start_switch_fiber(&thread->fake_stack, scheduler_stack_, scheduler_stack_size_);
    if (!_setjmp(thread->place)) _longjmp(scheduler_, 1);
    __sanitizer_finish_switch_fiber(thread->fake_stack, &scheduler_stack_, &scheduler_stack_size_);
  }

  void work_forever() {
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack_, &scheduler_stack_size_);
    for (;;) {
      (*work_)();
      suspend(kReturned);
    }
  }

  std::deque<Thread> threads_;  // a context must not move
  Thread* current_ = nullptr;
  const std::function<void()>* work_ = nullptr;
  std::minstd_rand random_;
  jmp_buf scheduler_;
  const void* scheduler_stack_ = nullptr;
  size_t scheduler_stack_size_ = 0;
};

inline void run(unsigned grid, unsigned block, const std::function<void()>& work) {
  gridDim.x = grid;
  blockDim.x = block;
  for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x) Block::the().run(block, work);
}

}  // namespace bats::host

#endif  // TTFS_KERAS_HOST_EXECUTION_H_
