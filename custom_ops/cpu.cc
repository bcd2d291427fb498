#include "cpu.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>

#include "events.h"

namespace bats::cpu {
namespace {

// The bytes of a vector register.
#if defined(__AVX512F__)
constexpr int kRegister = 64;
#elif defined(__AVX__)
constexpr int kRegister = 32;
#else
constexpr int kRegister = 16;
#endif

// 128 bytes of neurons, in several registers: enough independent work to hide the latency of a multiplication, and a
// tile of a 784-row kernel (100 KB) stays in the L2 cache.
template <class T>
struct Tile {
  using Lanes __attribute__((vector_size(kRegister))) = T;
  static constexpr int lanes = kRegister / sizeof(T), vectors = 128 / kRegister, width = lanes * vectors;
  Lanes v[vectors] = {};
};

template <class T>
using Lanes = typename Tile<T>::Lanes;

template <class T>
using Mask = decltype(Lanes<T>() < Lanes<T>());

// The lanes of a tile in which something is the case: mostly there are none.
template <class T>
class Hits {
 public:
  Mask<T>& operator[](int vector) { return masks_[vector]; }

  bool any() const {
    Mask<T> all = masks_[0];
    for (int v = 1; v < Tile<T>::vectors; ++v) all |= masks_[v];
    return folded(all) != 0;
  }

  template <class Visit>
  void for_each(Visit visit) const {
    Mask<T> lane = {}, bits = {};  // every lane of the tile has a bit of its own
    for (int i = 0; i < Tile<T>::lanes; ++i) lane[i] = 1 << i;
    for (int v = 0; v < Tile<T>::vectors; ++v) bits |= masks_[v] & (lane << (v * Tile<T>::lanes));
    uint64_t left = folded(bits);
    if constexpr (sizeof(T) == 4) left = uint32_t(left | left >> 32);
    for (; left; left &= left - 1) visit(__builtin_ctzll(left));
  }

 private:
  static uint64_t folded(const Mask<T>& mask) {
    uint64_t words[kRegister / 8], all = 0;
    std::memcpy(words, &mask, kRegister);
    for (uint64_t word : words) all |= word;
    return all;
  }

  Mask<T> masks_[Tile<T>::vectors];
};

template <class T>
T* lane_array(Tile<T>& tile) {
  return reinterpret_cast<T*>(tile.v);
}

struct AlignedDelete {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};

// Zeros, aligned for vectors: one kernel column tile after another, so that each is contiguous.
template <class T>
class Tiles {
 public:
  explicit Tiles(const Problem& p, int64_t copies = 1)
      : rows_(p.rows()), units_(p.units), size_(copies * count(p) * rows_ * width),
        data_(static_cast<T*>(::operator new(std::max<int64_t>(size_, 1) * sizeof(T), std::align_val_t(64)))) {}

  static constexpr int64_t width = Tile<T>::width;
  static int64_t count(const Problem& p) { return (p.units + width - 1) / width; }

  // Row 0 of a tile; the next row is `width` further on.
  T* tile(int64_t index) { return data_.get() + index * rows_ * width; }

  int64_t used(int64_t index) const { return std::min(width, units_ - index * width); }

  void zero(int64_t index) { std::fill_n(tile(index), rows_ * width, T(0)); }

  void load(int64_t index, const T* kernel) {
    for (int64_t row = 0; row < rows_; ++row) {
      T* to = tile(index) + row * width;
      const T* from = kernel + row * units_ + index * width;
      const int64_t size = used(index);
      if (size == width) {
        std::copy_n(from, width, to);  // of a constant size: no call
      } else {
        std::fill(std::copy_n(from, size, to), to + width, T(0));
      }
    }
  }

 private:
  int64_t rows_, units_, size_;
  std::unique_ptr<T, AlignedDelete> data_;
};

template <class T>
Tiles<T> tiled(const Problem& p, const T* kernel, const Parallel& parallel) {
  Tiles<T> tiles(p);
  parallel(tiles.count(p), 8 * p.rows(), [&](int64_t first, int64_t last) {
    for (int64_t index = first; index < last; ++index) tiles.load(index, kernel);
  });
  return tiles;
}

// The events of a column in time order.
template <class T>
struct EventList {
  const Event<T>*first, *last;
  const Event<T>* begin() const { return first; }
  const Event<T>* end() const { return last; }
  int64_t size() const { return last - first; }
  const Event<T>& operator[](int64_t index) const { return first[index]; }
};

// The event lists of all columns in one piece of memory: where each starts, where the last ends, the lists.
template <class T>
class Inputs {
 public:
  // Lists the input spikes before `end`.
  Inputs(const Problem& p, const Neuron& n, const T* times, T end, const Parallel& parallel,
         const Allocate& allocate = {})
      : columns_(p.columns()) {
    std::vector<std::vector<Arrival<T>>> arrivals(columns_);
    std::atomic<int64_t> found{0};
    parallel(columns_, 2 * p.rows() * p.slots, [&](int64_t first, int64_t last) {
      Gatherer<T> gatherer;
      for (int64_t i = first; i < last; ++i) found += gatherer.gather(p, times, i, end, &arrivals[i]);
    });
    bad = found;
    if (bad) return;
    std::vector<int64_t> starts(1 + columns_);
    for (int64_t i = 0; i < columns_; ++i) starts[i + 1] = starts[i] + int64_t(arrivals[i].size());
    const int64_t bytes = int64_t(starts.size() * sizeof(int64_t) + starts.back() * sizeof(Event<T>));
    char* memory = allocate ? static_cast<char*>(allocate(bytes)) : nullptr;
    if (!memory) own_.reset(memory = new char[bytes]);
    std::memcpy(memory, starts.data(), starts.size() * sizeof(int64_t));
    use(memory);
    Event<T>* events = reinterpret_cast<Event<T>*>(memory + starts.size() * sizeof(int64_t));
    parallel(columns_, 40 * average(), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) list_events(arrivals[i], end, T(n.tau), events + starts[i]);
    });
  }

  // The lists that another left in its memory.
  Inputs(const Problem& p, const void* memory) : columns_(p.columns()) { use(memory); }

  EventList<T> operator[](int64_t column) const { return {events_ + starts_[column], events_ + starts_[column + 1]}; }

  // Events of a column, for costs.
  int64_t average() const { return 1 + starts_[columns_] / std::max<int64_t>(columns_, 1); }

  int64_t bad = 0;  // times that are NaN or negative; if there are any, nothing is listed

 private:
  void use(const void* memory) {
    starts_ = static_cast<const int64_t*>(memory);
    events_ = reinterpret_cast<const Event<T>*>(starts_ + columns_ + 1);
  }

  int64_t columns_;
  const int64_t* starts_ = nullptr;
  const Event<T>* events_ = nullptr;
  std::unique_ptr<char[]> own_;
};

// Cuts the columns into pieces of equal length: enough of them to occupy many threads together with the tiles.
struct Pieces {
  int64_t count, columns;
  Pieces(const Problem& p, int64_t tiles)
      : count(std::clamp<int64_t>(32 / std::max<int64_t>(tiles, 1), 1, std::max<int64_t>(p.columns(), 1))),
        columns(p.columns()) {}
  int64_t first(int64_t piece) const { return columns * piece / count; }
};

// What an output spike adds to the sums of a backward sweep, at the last event before it.
template <class T>
struct Echo {
  T time;
  int32_t unit, event;
  T l1, l2;  // q exp(-2 (t_k - t_j)/tau), q exp(-(t_k - t_j)/tau)
};

// The output spikes of the columns, in time order, tile by tile.
template <class T>
struct Echoes {
  std::vector<std::vector<Echo<T>>> columns;
  std::vector<int32_t> starts;  // (columns, tiles + 1)
  int64_t tiles;

  const Echo<T>* begin(int64_t column, int64_t tile) const {
    return columns[column].data() + starts[column * (tiles + 1) + tile];
  }
  const Echo<T>* end(int64_t column, int64_t tile) const { return begin(column, tile + 1); }
};

template <class T>
Echoes<T> echoes(const Problem& p, const Neuron& n, const Inputs<T>& inputs, const T* times, const T* q,
                 const Parallel& parallel) {
  Echoes<T> result;
  result.tiles = Tiles<T>::count(p);
  result.columns.resize(p.columns());
  result.starts.assign(p.columns() * (result.tiles + 1), 0);
  parallel(p.columns(), 20 * p.units + 2 * p.units * p.capacity, [&](int64_t first, int64_t last) {
    std::vector<Echo<T>> found, scratch;
    for (int64_t column = first; column < last; ++column) {
      const EventList<T> events = inputs[column];
      int32_t* starts = result.starts.data() + column * (result.tiles + 1);
      found.clear();
      for (int64_t unit = 0; unit < p.units; ++unit) {
        const int64_t at = (column * p.units + unit) * p.capacity;
        for (int64_t k = at; k < at + p.capacity && times[k] < std::numeric_limits<T>::infinity(); ++k)
          found.push_back({times[k] + T(0), int32_t(unit), -1, q[k], q[k]});  // not -0.0, which would sort last
      }
      sort_by_time(&found, &scratch);
      int32_t event = -1;
      for (Echo<T>& echo : found) {
        while (event + 1 < int32_t(events.size()) && events[event + 1].time < echo.time) ++event;
        if (event < 0) continue;  // no input came before: nothing depends on it
        const T e = std::exp((events[event].time - echo.time) / T(n.tau));
        echo.event = event;
        echo.l1 *= e * e;
        echo.l2 *= e;
        ++starts[echo.unit / Tiles<T>::width + 1];
      }
      for (int64_t tile = 0; tile < result.tiles; ++tile) starts[tile + 1] += starts[tile];
      result.columns[column].resize(starts[result.tiles]);
      std::vector<int32_t> next(starts, starts + result.tiles);
      for (const Echo<T>& echo : found)
        if (echo.event >= 0) result.columns[column][next[echo.unit / Tiles<T>::width]++] = echo;
    }
  });
  return result;
}

// Sweeps backwards over the events of a column and calls visit(event, l1, l2) with, for every neuron of the tile,
// l1 = sum q exp(-2 (t_k - t_j)/tau) and l2 = sum q exp(-(t_k - t_j)/tau) over its spikes t_k strictly after the event.
template <class T, class Visit>
void sweep(const EventList<T>& events, const Echo<T>* first, const Echo<T>* last, Visit visit) {
  if (first == last) return;
  Tile<T> l1, l2;
  for (int32_t i = last[-1].event; i >= 0; --i) {
    const T decay = events[i].decay, decay_squared = decay * decay;
    for (int v = 0; v < Tile<T>::vectors; ++v) {
      l1.v[v] *= decay_squared;
      l2.v[v] *= decay;
    }
    if (last != first && last[-1].event == i) {
      Tile<T> added1 = l1, added2 = l2;  // copies, so that l1 and l2 can stay in registers
      do {
        --last;
        lane_array(added1)[last->unit % Tile<T>::width] += last->l1;
        lane_array(added2)[last->unit % Tile<T>::width] += last->l2;
      } while (last != first && last[-1].event == i);
      l1 = added1, l2 = added2;
    }
    visit(events[i], l1, l2);
  }
}

}  // namespace

template <class T>
bool are_events(const Problem& p, const void* events, int64_t bytes) {
  const int64_t starts = (p.columns() + 1) * int64_t(sizeof(int64_t));
  if (bytes < starts) return bytes == 0;
  return bytes == starts + static_cast<const int64_t*>(events)[p.columns()] * int64_t(sizeof(Event<T>));
}

template <class T>
int64_t spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
               T* slopes, int64_t* overflow, const Parallel& parallel, const Allocate& allocate) {
  const Inputs<T> columns(p, n, inputs, T(n.simulation_time), parallel, allocate);
  *overflow = 0;
  if (columns.bad) return columns.bad;
  Tiles<T> weights = tiled(p, kernel, parallel);
  const int64_t tiles = weights.count(p);
  const Pieces pieces(p, tiles);
  const T c = T(n.threshold_rate);
  std::atomic<int64_t> truncated{0};

  auto simulate = [&](int64_t tile, int64_t column) {
    const int64_t neuron = column * p.units + tile * Tiles<T>::width;
    const int used = weights.used(tile);
    std::fill_n(times + neuron * p.capacity, used * p.capacity, std::numeric_limits<T>::infinity());
    std::fill_n(slopes + neuron * p.capacity, used * p.capacity, T(0));
    Train<T> trains[Tiles<T>::width];
    for (int lane = 0; lane < used; ++lane) {
      const int64_t at = (neuron + lane) * p.capacity;
      trains[lane] = {times + at, slopes + at, int32_t(p.capacity), 0, false};
    }
    const Lanes<T>* rows = reinterpret_cast<const Lanes<T>*>(weights.tile(tile));
    Tile<T> a, b;
    for (const Event<T>& event : columns[column]) {
      const Lanes<T>* w = rows + event.row * Tile<T>::vectors;
      for (int v = 0; v < Tile<T>::vectors; ++v) {
        a.v[v] += w[v];
        b.v[v] += w[v];
      }
      if (!(event.growth > T(1))) continue;  // more input at the same time
      Hits<T> hits;
      for (int v = 0; v < Tile<T>::vectors; ++v) hits[v] = crosses(a.v[v], b.v[v], c, T(1), event.growth);
      if (hits.any()) {
        Tile<T> drive = a, reset = b;  // copies, so that a and b can stay in registers
        hits.for_each([&](int lane) {
          if (lane < used)
            fire(lane_array(drive)[lane], lane_array(reset) + lane, event.time, event.growth, n, trains + lane);
        });
        b = reset;
      }
      for (int v = 0; v < Tile<T>::vectors; ++v) {
        a.v[v] *= event.decay * event.decay;
        b.v[v] *= event.decay;
      }
    }
    for (int lane = 0; lane < used; ++lane) {
      counts[neuron + lane] = trains[lane].count;
      truncated += trains[lane].truncated;
    }
  };
  const int64_t cost = 10 * columns.average() * (1 + p.columns() / pieces.count);
  parallel(tiles * pieces.count, cost, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t tile = task / pieces.count, piece = task % pieces.count;
      for (int64_t column = pieces.first(piece); column < pieces.first(piece + 1); ++column) simulate(tile, column);
    }
  });
  *overflow = truncated;
  return 0;
}

template <class T>
void coefficients(const Problem& p, const Neuron& n, T min_slope, const T* times, const T* slopes, const T* gradient,
                  T* q, Totals<T>* totals, const Parallel& parallel) {
  parallel(p.neurons(), 10 + p.capacity, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t at = i * p.capacity;
      totals[i] = bats::coefficients(times + at, slopes + at, gradient + at, int32_t(p.capacity), min_slope, n, q + at);
    }
  });
}

template <class T>
void kernel_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* times, const T* q, T* gradient,
                     const Parallel& parallel, const void* events) {
  const Inputs<T> columns = events ? Inputs<T>(p, events) : Inputs<T>(p, n, inputs, kInfinity<T>, parallel);
  const Echoes<T> spikes = echoes(p, n, columns, times, q, parallel);
  const int64_t tiles = spikes.tiles;
  const Pieces pieces(p, tiles);
  // Each piece of the columns has sums of its own, added in order: the same bits whatever the number of threads.
  Tiles<T> sums(p, pieces.count);
  const int64_t cost = 10 * columns.average() * (1 + p.columns() / pieces.count);
  parallel(tiles * pieces.count, cost, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t tile = task % tiles, piece = task / tiles;
      sums.zero(task);
      Lanes<T>* rows = reinterpret_cast<Lanes<T>*>(sums.tile(task));
      for (int64_t column = pieces.first(piece); column < pieces.first(piece + 1); ++column) {
        auto add = [rows](const Event<T>& event, const Tile<T>& l1, const Tile<T>& l2) {
          Lanes<T>* row = rows + event.row * Tile<T>::vectors;
          for (int v = 0; v < Tile<T>::vectors; ++v) row[v] += l1.v[v] - l2.v[v];
        };
        sweep(columns[column], spikes.begin(column, tile), spikes.end(column, tile), add);
      }
    }
  });
  parallel(p.rows(), 2 * p.units * pieces.count, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      for (int64_t tile = 0; tile < tiles; ++tile) {
        T sum[Tiles<T>::width] = {};
        for (int64_t piece = 0; piece < pieces.count; ++piece) {
          const T* from = sums.tile(piece * tiles + tile) + row * Tiles<T>::width;
          for (int64_t lane = 0; lane < Tiles<T>::width; ++lane) sum[lane] += from[lane];
        }
        T* to = gradient + row * p.units + tile * Tiles<T>::width;
        for (int64_t lane = 0; lane < sums.used(tile); ++lane) to[lane] = T(n.tau) * sum[lane];
      }
    }
  });
}

template <class T>
void times_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, const T* times, const T* q,
                    T* gradient, const Parallel& parallel, const void* events) {
  const Inputs<T> columns = events ? Inputs<T>(p, events) : Inputs<T>(p, n, inputs, kInfinity<T>, parallel);
  const Echoes<T> spikes = echoes(p, n, columns, times, q, parallel);
  Tiles<T> weights = tiled(p, kernel, parallel);
  const int64_t cost = 10 * columns.average() * weights.count(p) * p.positions();
  parallel(p.batch, cost, [&](int64_t first, int64_t last) {
    for (int64_t sample = first; sample < last; ++sample) {
      T* slots = gradient + sample * p.sample_slots();
      std::fill_n(slots, p.sample_slots(), T(0));
      for (int64_t column = sample * p.positions(); column < (sample + 1) * p.positions(); ++column) {
        for (int64_t tile = 0; tile < weights.count(p); ++tile) {
          const Lanes<T>* rows = reinterpret_cast<const Lanes<T>*>(weights.tile(tile));
          auto add = [rows, slots](const Event<T>& event, const Tile<T>& l1, const Tile<T>& l2) {
            const Lanes<T>* w = rows + event.row * Tile<T>::vectors;
            Lanes<T> sum = {};
            for (int v = 0; v < Tile<T>::vectors; ++v) {
              const Lanes<T> factor = T(2) * l1.v[v] - l2.v[v];
              sum += factor != T(0) ? w[v] * factor : Lanes<T>();  // no weight, be it NaN, acts on silent neurons
            }
            for (int lane = 0; lane < Tile<T>::lanes; ++lane) slots[event.slot] += sum[lane];
          };
          sweep(columns[column], spikes.begin(column, tile), spikes.end(column, tile), add);
        }
      }
    }
  });
}

template <class T>
int64_t peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
              int32_t* slots, const Parallel& parallel, const Allocate& allocate) {
  const Inputs<T> columns(p, n, inputs, T(n.simulation_time), parallel, allocate);
  if (columns.bad) return columns.bad;
  Tiles<T> weights = tiled(p, kernel, parallel);
  const int64_t tiles = weights.count(p);
  parallel(tiles * p.columns(), 20 * columns.average(), [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t tile = task / p.columns(), column = task % p.columns();
      const Lanes<T>* rows = reinterpret_cast<const Lanes<T>*>(weights.tile(tile));
      const EventList<T> events = columns[column];
      Tile<T> a, b, best, at, start, slope;
      for (int v = 0; v < Tile<T>::vectors; ++v) {
        best.v[v] = Lanes<T>() - std::numeric_limits<T>::infinity();
        at.v[v] = Lanes<T>() + T(1);
        start.v[v] = Lanes<T>() + kInfinity<T>;
      }
      for (const Event<T>& event : events) {
        const Lanes<T>* w = rows + event.row * Tile<T>::vectors;
        for (int v = 0; v < Tile<T>::vectors; ++v) {
          a.v[v] += w[v];
          b.v[v] += w[v];
          if (event.growth > T(1)) {
            Lanes<T> value, where, rise;
            interval_peak(a.v[v], b.v[v], event.growth, event.decay, &value, &where, &rise);
            const auto higher = value > best.v[v];
            best.v[v] = higher ? value : best.v[v];
            at.v[v] = higher ? where : at.v[v];
            start.v[v] = higher ? Lanes<T>() + event.time : start.v[v];
            slope.v[v] = higher ? rise : slope.v[v];
          }
          a.v[v] *= event.decay * event.decay;
          b.v[v] *= event.decay;
        }
      }
      for (int lane = 0; lane < weights.used(tile); ++lane) {
        const int64_t neuron = column * p.units + tile * Tiles<T>::width + lane;
        const Peak<T> found = locate_peak(events.first, events.size(), lane_array(start)[lane], lane_array(at)[lane],
                                          lane_array(slope)[lane], n);
        peak[neuron] = T(n.tau) * lane_array(best)[lane];
        times[neuron] = found.time;
        slopes[neuron] = found.slope;
        slots[neuron] = found.slot;
      }
    }
  });
  return 0;
}

#define BATS_INSTANTIATE(T)                                                                                            \
  template bool are_events<T>(const Problem&, const void*, int64_t);                                                   \
  template int64_t spikes<T>(const Problem&, const Neuron&, const T*, const T*, T*, int32_t*, T*, int64_t*,            \
                             const Parallel&, const Allocate&);                                                        \
  template void coefficients<T>(const Problem&, const Neuron&, T, const T*, const T*, const T*, T*, Totals<T>*,        \
                                const Parallel&);                                                                      \
  template void kernel_gradient<T>(const Problem&, const Neuron&, const T*, const T*, const T*, T*, const Parallel&,   \
                                   const void*);                                                                       \
  template void times_gradient<T>(const Problem&, const Neuron&, const T*, const T*, const T*, const T*, T*,           \
                                  const Parallel&, const void*);                                                       \
  template int64_t peaks<T>(const Problem&, const Neuron&, const T*, const T*, T*, T*, T*, int32_t*, const Parallel&,  \
                            const Allocate&);

BATS_INSTANTIATE(float)
BATS_INSTANTIATE(double)

}  // namespace bats::cpu
