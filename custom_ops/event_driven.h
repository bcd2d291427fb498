// Dense layers and 2-D convolutions that read only the weights of neurons that spiked, on the CPU.
#ifndef TTFS_KERAS_EVENT_DRIVEN_H_
#define TTFS_KERAS_EVENT_DRIVEN_H_

#include "cpu.h"

namespace event_driven {

using bats::cpu::Parallel;

// What is added to the sum of the weights, and what becomes of it.
template <class T>
struct Neuron {
  const T* bias;  // (units) or, as a map, (positions, units)
  bool map;
  bool fires;  // whether the output is a lead time, clipped to [0, window]
  T window;
};

// Sizes of an image (batch, height, width, channels), of the kernel, and how it moves.
struct Convolution {
  int64_t batch, height, width, channels;
  int64_t kernel_height, kernel_width, out_height, out_width, filters, groups;
  int64_t stride_y, stride_x, dilation_y, dilation_x, top, left;
  int64_t lanes;  // filters of a block of packed weights; 0: a depthwise convolution, one filter a channel

  int64_t group_channels() const { return channels / groups; }
  int64_t group_filters() const { return filters / groups; }
  int64_t blocks() const { return (group_filters() + lanes - 1) / lanes; }  // of a group
  int64_t taps() const { return kernel_height * kernel_width; }
};

// Convolves lead times and returns how many weights were applied.
//   weights: (groups x blocks, channels of a group, kernel_height, kernel_width, lanes), or (kernel_height,
//            kernel_width, channels) of a depthwise convolution
//   output: (batch, out_height, out_width, filters)
template <class T>
int64_t convolve(const Convolution& c, const Neuron<T>& n, const T* input, const T* weights, T* output,
                 const Parallel& parallel);

// Units of a dense layer are padded to a multiple of this.
constexpr int64_t kDenseLanes = 16;

// Applies a dense layer to lead times (batch, inputs) and returns how many weights were applied.
//   weights: (inputs, units, padded with 0 to a multiple of kDenseLanes)
//   output: (batch, units)
template <class T>
int64_t dense(int64_t batch, int64_t inputs, int64_t units, const Neuron<T>& n, const T* input, const T* weights,
              T* output, const Parallel& parallel);

}  // namespace event_driven

#endif  // TTFS_KERAS_EVENT_DRIVEN_H_
