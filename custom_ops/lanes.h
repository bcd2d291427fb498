// Tiles of neurons in vector registers, and kernels cut into such tiles.
#ifndef TTFS_KERAS_LANES_H_
#define TTFS_KERAS_LANES_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "problem.h"

namespace bats {

// The bytes of a vector register.
#if defined(__AVX512F__) && defined(__AVX512DQ__)
constexpr int kRegister = 64;
#elif defined(__AVX__)
constexpr int kRegister = 32;
#else
constexpr int kRegister = 16;
#endif

// As many neurons as four registers hold: enough independent work to hide the latency of a multiplication, and a tile of a
// 784-row kernel (200 KB at most) stays in the L2 cache.
template <class T>
struct Tile {
  using Lanes __attribute__((vector_size(kRegister))) = T;
  static constexpr int lanes = kRegister / sizeof(T), vectors = 4, width = lanes * vectors;
  Lanes v[vectors] = {};
};

template <class T>
using Lanes = typename Tile<T>::Lanes;

template <class T>
using Mask = decltype(Lanes<T>() < Lanes<T>());

template <class T>
T* lane_array(Tile<T>& tile) {
  return reinterpret_cast<T*>(tile.v);
}

template <class T>
const T* lane_array(const Tile<T>& tile) {
  return reinterpret_cast<const T*>(tile.v);
}

// A bit for every lane in which a mask holds.
template <class T>
inline uint32_t bits(const Mask<T>& mask) {
  [[maybe_unused]] constexpr bool single = sizeof(T) == 4;
#if defined(__AVX512F__) && defined(__AVX512DQ__)
  return single ? _mm512_movepi32_mask((__m512i)mask) : _mm512_movepi64_mask((__m512i)mask);
#elif defined(__AVX__)
  return single ? _mm256_movemask_ps((__m256)mask) : _mm256_movemask_pd((__m256d)mask);
#elif defined(__SSE2__)
  return single ? _mm_movemask_ps((__m128)mask) : _mm_movemask_pd((__m128d)mask);
#else
  uint32_t found = 0;
  for (int lane = 0; lane < Tile<T>::lanes; ++lane) found |= uint32_t(mask[lane] & 1) << lane;
  return found;
#endif
}

// The lanes of a tile in which something is the case: mostly there are none.
template <class T>
class Hits {
 public:
  Mask<T>& operator[](int vector) { return masks_[vector]; }

  bool any() const {
    Mask<T> all = masks_[0];
    for (int v = 1; v < Tile<T>::vectors; ++v) all |= masks_[v];
    return bits<T>(all) != 0;
  }

  // A bit for each of the first `used` lanes.
  uint64_t lanes(int used = Tile<T>::width) const {
    uint64_t all = 0;
    for (int v = 0; v < Tile<T>::vectors; ++v) all |= uint64_t(bits<T>(masks_[v])) << (v * Tile<T>::lanes);
    return all & (~uint64_t(0) >> (64 - used));
  }

 private:
  Mask<T> masks_[Tile<T>::vectors];
};

// Adds to a lane without a store, which the next load of the whole register would have to wait for.
template <class T>
inline void add_to_lane(Tile<T>* tile, int lane, T value) {
  Mask<T> index;
  for (int i = 0; i < Tile<T>::lanes; ++i) index[i] = i;
  for (int v = 0; v < Tile<T>::vectors; ++v)
    tile->v[v] += index + v * Tile<T>::lanes == Mask<T>() + lane ? Lanes<T>() + value : Lanes<T>();
}

struct AlignedDelete {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};

// Several tiles of a kernel (rows, units), one after another so that each is contiguous, and aligned for vectors.
template <class T>
class Tiles {
 public:
  Tiles(const Problem& p, int64_t tiles)
      : rows_(p.rows()), units_(p.units),
        data_(static_cast<T*>(::operator new(std::max<int64_t>(tiles * rows_, 1) * sizeof(Tile<T>),
                                             std::align_val_t(64)))) {}

  static constexpr int64_t width = Tile<T>::width;
  static int64_t count(const Problem& p) { return (p.units + width - 1) / width; }
  // Its lanes that are neurons.
  static int used(const Problem& p, int64_t index) { return int(std::min(width, p.units - index * width)); }

  // Row 0 of the tile at a place; the next row is a `Tile` further on.
  Lanes<T>* rows(int64_t place) { return reinterpret_cast<Lanes<T>*>(data(place)); }

  void zero(int64_t place) { std::fill_n(data(place), rows_ * width, T(0)); }

  // Copies a tile of the kernel to a place, the lanes beyond its units being 0.
  void load(int64_t place, int64_t index, const T* kernel) {
    const int64_t size = std::min(width, units_ - index * width);
    for (int64_t row = 0; row < rows_; ++row) {
      T* to = data(place) + row * width;
      const T* from = kernel + row * units_ + index * width;
      if (size == width) {
        std::memcpy(to, from, sizeof(Tile<T>));  // of a constant size: no call
      } else {
        std::fill(std::copy_n(from, size, to), to + width, T(0));
      }
    }
  }

  // Writes `scale` times the sum of the tiles at several places, each `step` after the other, as a row of a tile of the
  // kernel.
  void store_row(int64_t place, int64_t step, int64_t places, int64_t row, T scale, int64_t index, T* kernel) {
    Tile<T> sum;
    for (int64_t i = 0; i < places; ++i) {
      const Lanes<T>* from = rows(place + i * step) + row * Tile<T>::vectors;
      for (int v = 0; v < Tile<T>::vectors; ++v) sum.v[v] += from[v];
    }
    for (int v = 0; v < Tile<T>::vectors; ++v) sum.v[v] *= scale;
    T* to = kernel + row * units_ + index * width;
    const int64_t size = std::min(width, units_ - index * width);
    if (row + kAhead < rows_)  // rows are too far apart for the hardware to ask for them in time
      for (size_t byte = 0; byte < sizeof(sum); byte += 64)
        __builtin_prefetch(reinterpret_cast<char*>(to + kAhead * units_) + byte, 1);
    if (size == width) {
      std::memcpy(to, sum.v, sizeof(sum));
    } else {
      std::copy_n(lane_array(sum), size, to);
    }
  }

 private:
  static constexpr int64_t kAhead = 8;

  T* data(int64_t place) { return data_.get() + place * rows_ * width; }

  int64_t rows_, units_;
  std::unique_ptr<T, AlignedDelete> data_;
};

}  // namespace bats

#endif  // TTFS_KERAS_LANES_H_
