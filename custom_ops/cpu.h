// BATS layers on the CPU.
#ifndef TTFS_KERAS_CPU_H_
#define TTFS_KERAS_CPU_H_

#include <functional>
#include <memory>

#include "layer.h"

namespace bats::cpu {

// Calls work(first, last) on disjoint ranges that cover [0, total), perhaps in several threads; `cost` is in cycles per
// item. No result depends on how the range is cut.
using Parallel = std::function<void(int64_t total, int64_t cost, const std::function<void(int64_t, int64_t)>& work)>;

// Negative input times are refused.
template <class T>
std::unique_ptr<Layer<T>> layer(const Problem& p, const Parallel& parallel);

}  // namespace bats::cpu

#endif  // TTFS_KERAS_CPU_H_
