// Sizes of a BATS layer. A dense layer is the convolution of a 1 x 1 image, so that one set of kernels is enough. A
// "column" is an output position of a sample: all neurons there have the same input spikes.
#ifndef TTFS_KERAS_PROBLEM_H_
#define TTFS_KERAS_PROBLEM_H_

#include <cstdint>

#include "neuron.h"

namespace bats {

struct Problem {
  int64_t batch, height, width, channels, slots;  // input spike times (batch, height, width, channels, slots)
  int64_t kernel_height, kernel_width, units;     // kernel (kernel_height, kernel_width, channels, units)
  int64_t max_spikes;                             // output spikes (batch, out_height, out_width, units, max_spikes)

  BATS_DEVICE int64_t out_height() const { return height - kernel_height + 1; }
  BATS_DEVICE int64_t out_width() const { return width - kernel_width + 1; }
  BATS_DEVICE int64_t positions() const { return out_height() * out_width(); }
  BATS_DEVICE int64_t columns() const { return batch * positions(); }
  BATS_DEVICE int64_t rows() const { return kernel_height * kernel_width * channels; }
  BATS_DEVICE int64_t sample_slots() const { return height * width * channels * slots; }
  BATS_DEVICE int64_t neurons() const { return columns() * units; }
};

}  // namespace bats

#endif  // TTFS_KERAS_PROBLEM_H_
