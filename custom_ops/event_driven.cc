#include "event_driven.h"

#include <atomic>
#include <utility>
#include <vector>

#include "lanes.h"

namespace event_driven {
namespace {

using bats::kRegister;

template <class T>
using Lanes = bats::Lanes<T>;

// A register's worth of numbers anywhere in memory.
template <class T>
struct Unaligned {
  using Lanes __attribute__((vector_size(kRegister), aligned(sizeof(T)), may_alias)) = T;
};

template <class T>
Lanes<T> load(const T* from) {
  return *reinterpret_cast<const typename Unaligned<T>::Lanes*>(from);
}

template <class T>
void store(const Lanes<T>& value, T* to) {
  *reinterpret_cast<typename Unaligned<T>::Lanes*>(to) = value;
}

// Memory that is not set to 0.
template <class Item>
std::unique_ptr<Item, bats::AlignedDelete> memory(int64_t items) {
  const size_t bytes = std::max<int64_t>(items, 1) * sizeof(Item);
  return std::unique_ptr<Item, bats::AlignedDelete>(static_cast<Item*>(::operator new(bytes, std::align_val_t(64))));
}

// Lead times that are not 0, and where the weights of each start.
template <class T>
struct Spikes {
  T* leads;
  int32_t* weights;
};

// Lists the spikes among some lead times, whose weights are `step` apart, and returns how many there are. NaN is a
// spike. No branch: which neurons spike cannot be predicted.
template <class T>
int32_t find_spikes(const T* leads, int32_t count, int32_t step, const Spikes<T>& spikes) {
  int32_t found = 0, i = 0;
#ifdef __AVX512F__
  if constexpr (sizeof(T) == 4) {
    const __m512i steps = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                             _mm512_set1_epi32(step));
    for (; i + 16 <= count; i += 16) {
      const __m512 some = _mm512_loadu_ps(leads + i);
      const __mmask16 spike = _mm512_cmp_ps_mask(some, _mm512_setzero_ps(), _CMP_NEQ_UQ);
      const int number = __builtin_popcount(spike);
      const __mmask16 used = (1u << number) - 1;
      const __m512i weights = _mm512_add_epi32(steps, _mm512_set1_epi32(i * step));
      _mm512_mask_storeu_ps(spikes.leads + found, used, _mm512_maskz_compress_ps(spike, some));
      _mm512_mask_storeu_epi32(spikes.weights + found, used, _mm512_maskz_compress_epi32(spike, weights));
      found += number;
    }
  }
#endif
  for (; i < count; ++i) {
    spikes.leads[found] = leads[i];
    spikes.weights[found] = i * step;
    found += leads[i] != 0;
  }
  return found;
}

// Writes what some of the units at a position give, from the sums of their weights. NaN stays NaN.
template <class T>
inline __attribute__((always_inline)) void emit(const Neuron<T>& n, const T* sums, int64_t position, int64_t first,
                                                int64_t count, int64_t units, T* output) {
  const T* bias = n.bias + (n.map ? position * units : 0) + first;
  const T window = n.window;
  if (n.fires) {
    for (int64_t i = 0; i < count; ++i) {
      const T z = sums[i] + bias[i], positive = z < 0 ? 0 : z;
      output[i] = positive > window ? window : positive;
    }
  } else {
    for (int64_t i = 0; i < count; ++i) output[i] = sums[i] + bias[i];
  }
}

// Where on one axis of the image the kernel takes an input: (output, row or column of the kernel).
using Reach = std::vector<std::vector<std::pair<int32_t, int32_t>>>;

Reach reach(int64_t inputs, int64_t outputs, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
  Reach found(inputs);
  for (int64_t output = 0; output < outputs; ++output)
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t input = output * stride + k * dilation - before;
      if (input >= 0 && input < inputs) found[input].emplace_back(output, k);
    }
  return found;
}

// Sums of outputs that are held in registers while the spikes of an input position pass by.
constexpr int kSums = kRegister == 64 ? 24 : 12;
constexpr int kMostTaps = 9;

// Adds the weights of spikes to the sums of some outputs.
//   weights: of the first tap; those of another one are `shifts` further on
template <class T, int vectors, int taps>
void add_spikes(const Spikes<T>& spikes, int32_t count, const T* weights, const int64_t* shifts, T* const* sums) {
  constexpr int lanes = bats::Register<T>::lanes;
  Lanes<T> held[taps][vectors];
  const T* rows[taps];
#pragma GCC unroll 16
  for (int tap = 0; tap < taps; ++tap) {
    rows[tap] = weights + shifts[tap];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) held[tap][v] = load(sums[tap] + v * lanes);
  }
  for (int32_t i = 0; i < count; ++i) {
    const int64_t place = spikes.weights[i];
    const Lanes<T> lead = Lanes<T>() + spikes.leads[i];
#pragma GCC unroll 16
    for (int tap = 0; tap < taps; ++tap)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) held[tap][v] += lead * load(rows[tap] + place + v * lanes);
  }
#pragma GCC unroll 16
  for (int tap = 0; tap < taps; ++tap)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(held[tap][v], sums[tap] + v * lanes);
}

// The same for a number of taps that is known when the program runs.
template <class T, int vectors, int taps = 1>
void add_spikes(int count_of_taps, const Spikes<T>& spikes, int32_t count, const T* weights, const int64_t* shifts,
                T* const* sums) {
  constexpr int most = std::min(kMostTaps, kSums / vectors);
  if constexpr (taps < most) {
    if (count_of_taps > taps)
      return add_spikes<T, vectors, taps + 1>(count_of_taps, spikes, count, weights, shifts, sums);
  }
  add_spikes<T, vectors, taps>(spikes, count, weights, shifts, sums);
  if (count_of_taps > taps)
    add_spikes<T, vectors>(count_of_taps - taps, spikes, count, weights, shifts + taps, sums + taps);
}

// Memory for lists of spikes, all of one capacity.
template <class T>
struct SpikeLists {
  int64_t capacity;
  std::unique_ptr<T, bats::AlignedDelete> leads;
  std::unique_ptr<int32_t, bats::AlignedDelete> weights, counts;

  SpikeLists(int64_t lists, int64_t capacity)
      : capacity(capacity), leads(memory<T>(lists * capacity)), weights(memory<int32_t>(lists * capacity)),
        counts(memory<int32_t>(lists)) {}

  Spikes<T> operator[](int64_t list) const { return {leads.get() + list * capacity, weights.get() + list * capacity}; }
  int32_t& count(int64_t list) const { return counts.get()[list]; }
};

template <class T>
class Convolver {
 public:
  Convolver(const Convolution& c, const Neuron<T>& n, const T* input, const T* weights, T* output)
      : c_(c), n_(n), input_(input), weights_(weights), output_(output), chunk_(chunk(c)),
        chunks_((c.group_channels() + chunk_ - 1) / chunk_),
        lists_(c.batch * c.groups * chunks_ * c.height * c.width, chunk_),
        rows_(reach(c.height, c.out_height, c.kernel_height, c.stride_y, c.dilation_y, c.top)),
        columns_(reach(c.width, c.out_width, c.kernel_width, c.stride_x, c.dilation_x, c.left)) {}

  int64_t run(const Parallel& parallel) {
    std::atomic<int64_t> applied{0};
    parallel(c_.batch * c_.height, 2 * c_.width * c_.channels, [&](int64_t first, int64_t last) {
      int64_t found = 0;
      for (int64_t row = first; row < last; ++row) found += find_row(row / c_.height, row % c_.height);
      applied += found;
    });
    const int64_t total = c_.batch * c_.groups * c_.blocks() * c_.out_height;
    const int64_t cost = 100 + 2 * applied / bats::Register<T>::lanes / std::max<int64_t>(total, 1);
    // Rows whose sums fit into the L2 cache.
    const int64_t most = std::max<int64_t>((int64_t(1) << 17) / (c_.out_width * c_.lanes * int64_t(sizeof(T)) + 1), 1);
    parallel(total, cost, [&](int64_t first, int64_t last) {
      const auto sums = memory<T>(std::min(most, c_.out_height) * c_.out_width * c_.lanes);
      while (first < last) {
        const int64_t block = first / c_.out_height, top = first % c_.out_height;
        const int64_t rows = std::min({most, last - first, c_.out_height - top});
        add_block(block, top, top + rows, sums.get());
        first += rows;
      }
    });
    return applied;
  }

 private:
  // So many channels that their weights stay in the cache while the image passes by, in lists of equal length.
  static int64_t chunk(const Convolution& c) {
    const int64_t channels = std::max<int64_t>(c.group_channels(), 1);
    const int64_t most = std::clamp<int64_t>(80000 / (c.taps() * c.lanes * int64_t(sizeof(T))), 16, 128);
    const int64_t chunks = (channels + most - 1) / most;
    return (channels + chunks - 1) / chunks;
  }

  int64_t list(int64_t sample, int64_t group, int64_t chunk, int64_t y) const {
    return (((sample * c_.groups + group) * chunks_ + chunk) * c_.height + y) * c_.width;
  }

  // Lists the spikes of a row of an image; returns how many weights they meet.
  int64_t find_row(int64_t sample, int64_t y) {
    const T* leads = input_ + (sample * c_.height + y) * c_.width * c_.channels;
    const int32_t step = int32_t(c_.taps() * c_.lanes);
    int64_t outputs = 0;
    for (int64_t x = 0; x < c_.width; ++x) {
      int64_t found = 0;
      for (int64_t group = 0; group < c_.groups; ++group)
        for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
          const int64_t first = chunk * chunk_, place = list(sample, group, chunk, y) + x;
          const int32_t size = int32_t(std::min(chunk_, c_.group_channels() - first));
          found += lists_.count(place) =
              find_spikes(leads + x * c_.channels + group * c_.group_channels() + first, size, step, lists_[place]);
        }
      outputs += found * int64_t(columns_[x].size());
    }
    return outputs * int64_t(rows_[y].size()) * c_.group_filters();
  }

  // Computes a block of filters in some rows of the output of a sample.
  void add_block(int64_t block, int64_t top, int64_t bottom, T* sums) const {
    constexpr int lanes = bats::Register<T>::lanes;
    switch (std::min<int64_t>(c_.lanes / lanes, 4)) {
      case 1:
        return add_block<1>(block, top, bottom, sums);
      case 2:
        return add_block<2>(block, top, bottom, sums);
      default:
        return add_block<4>(block, top, bottom, sums);
    }
  }

  template <int vectors>
  void add_block(int64_t block, int64_t top, int64_t bottom, T* sums) const {
    constexpr int64_t width = vectors * bats::Register<T>::lanes;
    const int64_t sample = block / (c_.groups * c_.blocks()), group = block / c_.blocks() % c_.groups;
    const int64_t first = block % c_.blocks() * c_.lanes;
    for (int64_t part = 0; part < c_.lanes && first + part < c_.group_filters(); part += width) {
      std::fill_n(sums, (bottom - top) * c_.out_width * width, T(0));
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
        const int64_t row = block % (c_.groups * c_.blocks()) * c_.group_channels() + chunk * chunk_;
        const T* weights = weights_ + row * c_.taps() * c_.lanes + part;
        const T* next = weights - part + std::min(chunk_, c_.group_channels() - chunk * chunk_) * c_.taps() * c_.lanes;
        for (int64_t y = 0; y < c_.height; ++y) {
          add_row<vectors>(list(sample, group, chunk, y), list(sample, group, (chunk + 1) % chunks_, y), y, top, bottom,
                           weights, next, sums);
        }
      }
      const int64_t count = std::min(width, c_.group_filters() - first - part);
      const int64_t unit = group * c_.group_filters() + first + part;
      T* image = output_ + sample * c_.out_height * c_.out_width * c_.filters;
      auto emit_all = [&](auto count) {
        const T* sum = sums;
        for (int64_t position = top * c_.out_width; position < bottom * c_.out_width; ++position, sum += width)
          emit(n_, sum, position, unit, count, c_.filters, image + position * c_.filters + unit);
      };
      // A size that the compiler knows takes a third of the time.
      if (count == width) {
        emit_all(std::integral_constant<int64_t, width>());
      } else {
        emit_all(count);
      }
    }
  }

  // Fetches weights of the next channels into the cache while the present ones are applied: small images with many
  // channels wait for the memory otherwise. Those of the spikes of a position, or its share of all, whichever is less.
  // Always inlined: GCC drops calls of functions that do nothing but prefetch.
  inline __attribute__((always_inline)) void fetch(int64_t list, int64_t y, int64_t x, const T* next) const {
    constexpr int64_t line = 64 / sizeof(T);
    const int64_t share = chunk_ * c_.taps() * c_.lanes / (c_.height * c_.width), count = lists_.count(list);
    if (count * int64_t(rows_[y].size() * columns_[x].size()) * c_.lanes >= share) {
      const T* own = next + (y * c_.width + x) * share;
      for (int64_t i = 0; i < share; i += line) __builtin_prefetch(own + i, 0, 2);
      return;
    }
    const int32_t* places = lists_[list].weights;
    for (int64_t spike = 0; spike < count; ++spike)
      for (const auto& [row, ky] : rows_[y])
        for (const auto& [column, kx] : columns_[x])
          for (int64_t i = 0; i < c_.lanes; i += line)
            __builtin_prefetch(next + places[spike] + (ky * c_.kernel_width + kx) * c_.lanes + i, 0, 2);
  }

  // Adds the spikes of a row of the input to the sums of the outputs that it reaches.
  template <int vectors>
  void add_row(int64_t list, int64_t next_list, int64_t y, int64_t top, int64_t bottom, const T* weights, const T* next,
               T* sums) const {
    constexpr int64_t width = vectors * bats::Register<T>::lanes;
    constexpr int most = std::min(kMostTaps, kSums / vectors);
    for (int64_t x = 0; x < c_.width; ++x) {
      fetch(next_list + x, y, x, next);
      const int32_t count = lists_.count(list + x);
      if (!count) continue;
      T* reached[most];
      int64_t shifts[most];
      int taps = 0;
      for (const auto& [row, ky] : rows_[y]) {
        if (row < top || row >= bottom) continue;
        for (const auto& [column, kx] : columns_[x]) {
          reached[taps] = sums + ((row - top) * c_.out_width + column) * width;
          shifts[taps] = (ky * c_.kernel_width + kx) * c_.lanes;
          if (++taps == most) {
            add_spikes<T, vectors>(taps, lists_[list + x], count, weights, shifts, reached);
            taps = 0;
          }
        }
      }
      if (taps) add_spikes<T, vectors>(taps, lists_[list + x], count, weights, shifts, reached);
    }
  }

  const Convolution& c_;
  const Neuron<T>& n_;
  const T *input_, *weights_;
  T* output_;
  const int64_t chunk_, chunks_;  // channels of a list; lists of a group at a position
  const SpikeLists<T> lists_;
  const Reach rows_, columns_;
};

// A spike of a depthwise convolution has one weight for each output: looking for it costs more than multiplying by 0.
template <class T>
int64_t convolve_depthwise(const Convolution& c, const Neuron<T>& n, const T* input, const T* weights, T* output,
                           const Parallel& parallel) {
  const Reach rows = reach(c.height, c.out_height, c.kernel_height, c.stride_y, c.dilation_y, c.top);
  const Reach columns = reach(c.width, c.out_width, c.kernel_width, c.stride_x, c.dilation_x, c.left);
  std::atomic<int64_t> applied{0};
  parallel(c.batch * c.height, c.width * c.channels, [&](int64_t first, int64_t last) {
    int64_t found = 0;
    for (int64_t row = first; row < last; ++row)
      for (int64_t x = 0; x < c.width; ++x) {
        const T* leads = input + (row * c.width + x) * c.channels;
        int32_t spikes = 0;
        for (int64_t i = 0; i < c.channels; ++i) spikes += leads[i] != 0;
        found += spikes * int64_t(rows[row % c.height].size() * columns[x].size());
      }
    applied += found;
  });
  parallel(c.batch * c.out_height, c.out_width * c.channels * c.taps(), [&](int64_t first, int64_t last) {
    const auto memory_of_sums = memory<T>(c.channels);
    T* sums = memory_of_sums.get();
    for (int64_t row = first; row < last; ++row)
      for (int64_t x = 0; x < c.out_width; ++x) {
        std::fill_n(sums, c.channels, T(0));
        for (int64_t ky = 0; ky < c.kernel_height; ++ky) {
          const int64_t in_y = row % c.out_height * c.stride_y + ky * c.dilation_y - c.top;
          if (in_y < 0 || in_y >= c.height) continue;
          for (int64_t kx = 0; kx < c.kernel_width; ++kx) {
            const int64_t in_x = x * c.stride_x + kx * c.dilation_x - c.left;
            if (in_x < 0 || in_x >= c.width) continue;
            const T* leads = input + ((row / c.out_height * c.height + in_y) * c.width + in_x) * c.channels;
            const T* own = weights + (ky * c.kernel_width + kx) * c.channels;
            for (int64_t i = 0; i < c.channels; ++i) sums[i] += leads[i] * own[i];
          }
        }
        const int64_t position = row % c.out_height * c.out_width + x;
        emit(n, sums, position, 0, c.channels, c.filters, output + (row * c.out_width + x) * c.filters);
      }
  });
  return applied;
}

// Adds four rows of weights at a time to sums: each sum is loaded and stored for four products.
template <class T>
void add_rows(const Spikes<T>& spikes, int64_t count, const T* weights, int64_t step, int64_t units, T* sums) {
  constexpr int lanes = bats::Register<T>::lanes;
  std::fill_n(sums, units, T(0));
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const T* rows[4];
    Lanes<T> leads[4];
    for (int k = 0; k < 4; ++k) {
      rows[k] = weights + int64_t(spikes.weights[i + k]) * step;
      leads[k] = Lanes<T>() + spikes.leads[i + k];
    }
    for (int64_t u = 0; u < units; u += lanes) {
      Lanes<T> sum = load(sums + u);
      for (int k = 0; k < 4; ++k) sum += leads[k] * load(rows[k] + u);
      store(sum, sums + u);
    }
  }
  for (; i < count; ++i) {
    const T* row = weights + int64_t(spikes.weights[i]) * step;
    const Lanes<T> lead = Lanes<T>() + spikes.leads[i];
    for (int64_t u = 0; u < units; u += lanes) store(load(sums + u) + lead * load(row + u), sums + u);
  }
}

}  // namespace

template <class T>
int64_t convolve(const Convolution& c, const Neuron<T>& n, const T* input, const T* weights, T* output,
                 const Parallel& parallel) {
  if (!c.lanes) return convolve_depthwise(c, n, input, weights, output, parallel);
  return Convolver<T>(c, n, input, weights, output).run(parallel);
}

template <class T>
int64_t dense(int64_t batch, int64_t inputs, int64_t units, const Neuron<T>& n, const T* input, const T* weights,
              T* output, const Parallel& parallel) {
  const SpikeLists<T> lists(batch, inputs);
  parallel(batch, 3 * inputs, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      lists.count(i) = find_spikes(input + i * inputs, int32_t(inputs), 1, lists[i]);
  });
  int64_t found = 0;
  for (int64_t i = 0; i < batch; ++i) found += lists.count(i);
  // A thread takes consecutive groups of units, so that it reads long pieces of the rows.
  const int64_t groups = (units + kDenseLanes - 1) / kDenseLanes, padded = groups * kDenseLanes;
  const int64_t most = 4096;  // units whose sums stay in the L1 cache
  parallel(batch * groups, 1 + found * kDenseLanes / std::max<int64_t>(batch, 1) / 2, [&](int64_t first, int64_t last) {
    const auto sums = memory<T>(most);
    while (first < last) {
      const int64_t sample = first / groups, unit = first % groups * kDenseLanes;
      const int64_t size = std::min({most, (last - first) * kDenseLanes, padded - unit});
      add_rows(lists[sample], lists.count(sample), weights + unit, padded, size, sums.get());
      emit(n, sums.get(), 0, unit, std::min(size, units - unit), units, output + sample * units + unit);
      first += size / kDenseLanes;
    }
  });
  return found * units;
}

#define EVENT_DRIVEN(T)                                                                                     \
  template int64_t convolve(const Convolution&, const Neuron<T>&, const T*, const T*, T*, const Parallel&); \
  template int64_t dense(int64_t, int64_t, int64_t, const Neuron<T>&, const T*, const T*, T*, const Parallel&);

EVENT_DRIVEN(float)
EVENT_DRIVEN(double)

}  // namespace event_driven
