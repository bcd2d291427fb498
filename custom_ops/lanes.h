// Tiles of neurons in vector registers, and kernels cut into such tiles.
#ifndef TTFS_KERAS_LANES_H_
#define TTFS_KERAS_LANES_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
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

template <class T>
struct Register {
  using Lanes __attribute__((vector_size(kRegister))) = T;
  static constexpr int lanes = kRegister / sizeof(T);
};

template <class T>
using Lanes = typename Register<T>::Lanes;

template <class T>
using Mask = decltype(Lanes<T>() < Lanes<T>());

// Some numbers of as many neurons as several SIMD registers hold, one neuron per lane.
template <class T, int registers>
struct Tile {
  using Number = T;
  static constexpr int lanes = Register<T>::lanes, vectors = registers, width = lanes * vectors;
  Lanes<T> v[vectors] = {};
};

// Four registers: enough independent work to hide the latency of a multiplication, and a tile of a 784-row kernel (200
// KB at most) stays in the L2 cache.
template <class T>
using WideTile = Tile<T, 4>;

template <class Tile>
typename Tile::Number* lane_array(Tile& tile) {
  return reinterpret_cast<typename Tile::Number*>(tile.v);
}

template <class Tile>
const typename Tile::Number* lane_array(const Tile& tile) {
  return reinterpret_cast<const typename Tile::Number*>(tile.v);
}

// A truth value for each lane of a register: a bit mask with AVX-512, a vector mask otherwise.
#if defined(__AVX512F__) && defined(__AVX512DQ__)
template <class T>
using Truths = std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>;
#else
template <class T>
using Truths = Mask<T>;
#endif

template <class T>
inline Truths<T> at_most(const Lanes<T>& a, const Lanes<T>& b) {
#if defined(__AVX512F__) && defined(__AVX512DQ__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LE_OQ);
  } else {
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LE_OQ);
  }
#else
  return a <= b;
#endif
}

// A bit for every lane.
template <class T>
inline uint32_t bits(const Truths<T>& truths) {
  [[maybe_unused]] constexpr bool single = sizeof(T) == 4;
#if defined(__AVX512F__) && defined(__AVX512DQ__)
  return truths;
#elif defined(__AVX__)
  return single ? _mm256_movemask_ps((__m256)truths) : _mm256_movemask_pd((__m256d)truths);
#elif defined(__SSE2__)
  return single ? _mm_movemask_ps((__m128)truths) : _mm_movemask_pd((__m128d)truths);
#else
  uint32_t found = 0;
  for (int lane = 0; lane < Register<T>::lanes; ++lane) found |= uint32_t(truths[lane] & 1) << lane;
  return found;
#endif
}

// A truth value for each lane of a tile. Usually all are false.
template <class Tile>
class Hits {
 public:
  using T = typename Tile::Number;

  Truths<T>& operator[](int vector) { return truths_[vector]; }

  bool any() const {
    Truths<T> all = truths_[0];
    for (int v = 1; v < Tile::vectors; ++v) all |= truths_[v];
    return bits<T>(all) != 0;
  }

  // A bit for each of the first `used` lanes.
  uint64_t lanes(int used = Tile::width) const {
    uint64_t all = 0;
    for (int v = 0; v < Tile::vectors; ++v) all |= uint64_t(bits<T>(truths_[v])) << (v * Tile::lanes);
    return all & (~uint64_t(0) >> (64 - used));
  }

 private:
  Truths<T> truths_[Tile::vectors];
};

// A bit for each of the first `used` lanes that is NaN or infinite.
template <class Tile>
inline uint64_t lanes_not_finite(const Tile& tile, int used) {
  using T = typename Tile::Number;
  Hits<Tile> finite;
  for (int v = 0; v < Tile::vectors; ++v) finite[v] = at_most<T>(tile.v[v] - tile.v[v], Lanes<T>());
  return ~finite.lanes() & (~uint64_t(0) >> (64 - used));
}

// Adds to one SIMD lane. (Storing to the lane in memory would stall the next load of the whole register.)
template <class Tile, class T>
inline void add_to_lane(Tile* tile, int lane, T value) {
  Mask<T> index;
  for (int i = 0; i < Tile::lanes; ++i) index[i] = i;
  for (int v = 0; v < Tile::vectors; ++v)
    tile->v[v] += index + v * Tile::lanes == Mask<T>() + lane ? Lanes<T>() + value : Lanes<T>();
}

struct AlignedDelete {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};

// Several tiles of a kernel (rows, units), one after another so that each is contiguous, and aligned for vectors.
template <class Tile>
class Tiles {
 public:
  using T = typename Tile::Number;

  Tiles(const Problem& p, int64_t tiles)
      : rows_(p.rows()), units_(p.units),
        data_(
            static_cast<T*>(::operator new(std::max<int64_t>(tiles * rows_, 1) * sizeof(Tile), std::align_val_t(64)))) {
  }

  static constexpr int64_t width = Tile::width;
  static int64_t count(const Problem& p) { return (p.units + width - 1) / width; }
  // Lanes of a tile that are neurons: all but those of the last tile.
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
        std::memcpy(to, from, sizeof(Tile));  // of a constant size: no call
      } else {
        std::fill(std::copy_n(from, size, to), to + width, T(0));
      }
    }
  }

  // Writes `scale` times the sum of the tiles at several places, each `step` after the other, as a row of a tile of the
  // kernel.
  void store_row(int64_t place, int64_t step, int64_t places, int64_t row, T scale, int64_t index, T* kernel) {
    Tile sum;
    for (int64_t i = 0; i < places; ++i) {
      const Lanes<T>* from = rows(place + i * step) + row * Tile::vectors;
      for (int v = 0; v < Tile::vectors; ++v) sum.v[v] += from[v];
    }
    for (int v = 0; v < Tile::vectors; ++v) sum.v[v] *= scale;
    T* to = kernel + row * units_ + index * width;
    const int64_t size = std::min(width, units_ - index * width);
    if (row + kAhead < rows_)  // rows are too far apart for the hardware prefetcher
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
