#include "cpu.h"

#include <atomic>

#include "events.h"
#include "simulation.h"

namespace bats::cpu {
namespace {

// Lists the events of all columns until the end of the simulation, unless some input times are `bad`: NaN or negative.
// Returns the lists' memory, or null.
template <class T>
const void* find_events(const Problem& p, const Neuron& n, const T* times, const Parallel& parallel,
                        const Allocate& allocate, int64_t* bad) {
  const T end = T(n.simulation_time);
  std::vector<std::vector<Arrival<T>>> arrivals(p.columns());
  std::atomic<int64_t> found{0};
  parallel(p.columns(), 2 * p.rows() * p.slots, [&](int64_t first, int64_t last) {
    Gatherer<T> gatherer;
    for (int64_t i = first; i < last; ++i) found += gatherer.gather(p, times, i, end, &arrivals[i]);
  });
  *bad = found;
  if (*bad) return nullptr;
  std::vector<int64_t> starts(1 + p.columns());
  for (int64_t i = 0; i < p.columns(); ++i) starts[i + 1] = starts[i] + int64_t(arrivals[i].size());
  const auto [memory, events] = Lists<Event<T>>::room(starts.data(), p.columns(), allocate);
  if (!memory) return nullptr;
  parallel(p.columns(), 40 * (1 + starts.back() / std::max<int64_t>(p.columns(), 1)),
           [&, events = events](int64_t first, int64_t last) {
             for (int64_t i = first; i < last; ++i) list_events(arrivals[i], end, T(n.tau), events + starts[i]);
           });
  return memory;
}

// Cuts the columns into pieces of equal length: enough of them to occupy many threads together with the tiles, and each
// with enough events to be worth what a piece costs.
struct Pieces {
  int64_t count, columns;
  Pieces(const Problem& p, int64_t tiles, int64_t worth)
      : count(std::clamp<int64_t>(std::min(32 / std::max<int64_t>(tiles, 1), worth), 1,
                                  std::max<int64_t>(p.columns(), 1))),
        columns(p.columns()) {}
  int64_t first(int64_t piece) const { return columns * piece / count; }
};

// The kernels of a layer whose units are cut into such tiles.
template <class Tile>
class Layer {
 public:
  using T = typename Tile::Number;
  static constexpr int64_t width = Tile::width;

  Layer(const Problem& p, const Parallel& parallel) : p_(p), parallel_(parallel) {}

  int64_t lists() const { return Tiles<Tile>::count(p_) * p_.columns(); }

  bool belong(const Lists<Crossing<T>>& crossings) {
    for (int64_t list = 0; list < lists(); ++list) {
      const int used = Tiles<Tile>::used(p_, list / p_.columns());
      for (const Crossing<T>& crossing : crossings[list])
        if (!within(crossing.lane, used) || !within(crossing.index, p_.capacity)) return false;
    }
    return true;
  }

  bool belong(const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes) {
    for (int64_t column = 0; column < p_.columns(); ++column)
      for (const Event<T>& event : events[column])
        if (!within(event.row, p_.rows()) || !within(event.slot, p_.sample_slots())) return false;
    for (int64_t list = 0; list < lists(); ++list) {
      const int used = Tiles<Tile>::used(p_, list / p_.columns());
      const int64_t count = events[list % p_.columns()].size();
      for (const Echo<T>& echo : echoes[list])
        if (!within(echo.event, count) || !within(echo.lane, used)) return false;
    }
    return true;
  }

  int64_t spikes(const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts, int64_t* overflow,
                 const Record& record) {
    int64_t bad;
    const void* memory = find_events(p_, n, inputs, parallel_, record.events, &bad);
    *overflow = 0;
    if (!memory) return bad;
    const Lists<Event<T>> events(p_.columns(), memory);
    std::atomic<int64_t> truncated{0};
    auto work = [&](int64_t tile, int64_t column, const Lanes<T>* rows, std::vector<Crossing<T>>* crossings) {
      const int64_t neuron = column * p_.units + tile * Tiles<Tile>::width;
      const int used = Tiles<Tile>::used(p_, tile);
      Simulation<Tile> simulation{times + neuron * p_.capacity, counts + neuron, p_.capacity, used, crossings, 0};
      simulation.run(n, events[column], rows);
      if (simulation.truncated) truncated += simulation.truncated;
    };
    record_crossings(kernel, events.total(), record.crossings, work);
    *overflow = truncated;
    return 0;
  }

  void coefficients(const Neuron& n, T min_slope, const Lists<Crossing<T>>& crossings, const T* gradient,
                    const Allocate& allocate, Totals<T>* totals) {
    const int64_t count = lists();
    Echo<T>* echoes = Lists<Echo<T>>::room(crossings.starts(), count, allocate).second;
    if (!echoes) return;
    parallel_(count, 40 * (1 + crossings.total() / std::max<int64_t>(count, 1)), [&](int64_t first, int64_t last) {
      for (int64_t list = first; list < last; ++list) {
        const int64_t tile = list / p_.columns(), column = list % p_.columns();
        const int64_t neuron = column * p_.units + tile * Tiles<Tile>::width;
        const List<Crossing<T>> spikes = crossings[list];
        Echo<T>* to = echoes + crossings.starts()[list];
        // Each spike's gradient is somewhere else: all of them are asked for before the first is waited for.
        auto slot = [&](int64_t i) { return gradient + (neuron + spikes[i].lane) * p_.capacity + spikes[i].index; };
        for (int64_t i = 0; i < spikes.size(); ++i) __builtin_prefetch(slot(i));
        Adjoint<T> adjoints[Tiles<Tile>::width];
        Totals<T> sum{};
        for (int64_t i = spikes.size() - 1; i >= 0; --i) {
          const Crossing<T>& spike = spikes[i];
          const T q = adjoints[spike.lane].coefficient(spike.time, spike.slope, *slot(i), min_slope, n, &sum);
          const T decay = T(1) / spike.growth;
          to[i] = {spike.event, spike.lane, q * decay * decay, q * decay};
        }
        totals[list] = sum;
      }
    });
  }

  void kernel_gradient(const Neuron& n, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes, T* gradient) {
    const int64_t tiles = Tiles<Tile>::count(p_);
    const Pieces pieces(p_, tiles, events.total() / std::max<int64_t>(4 * p_.rows(), 1));
    const int64_t cost = 10 * (1 + events.total() / pieces.count);
    auto sum = [&](int64_t tile, int64_t piece, Tiles<Tile>* sums, int64_t place) {
      sums->zero(place);
      auto add = [rows = sums->rows(place)](const Event<T>& event, const Tile& l1, const Tile& l2) {
        Lanes<T>* row = rows + int64_t(event.row) * Tile::vectors;
        for (int v = 0; v < Tile::vectors; ++v) row[v] += l1.v[v] - l2.v[v];
      };
      for (int64_t column = pieces.first(piece); column < pieces.first(piece + 1); ++column)
        sweep<Tile>(events[column], echoes[tile * p_.columns() + column], add);
    };
    if (pieces.count == 1) {
      parallel_(tiles, cost, [&](int64_t first, int64_t last) {
        Tiles<Tile> sums(p_, 1);  // stays in the cache
        for (int64_t tile = first; tile < last; ++tile) {
          sum(tile, 0, &sums, 0);
          for (int64_t row = 0; row < p_.rows(); ++row) sums.store_row(0, 0, 1, row, T(n.tau), tile, gradient);
        }
      });
      return;
    }
    // Each piece of the columns has sums of its own, added in order: the same bits whatever the number of threads.
    Tiles<Tile> sums(p_, tiles * pieces.count);
    parallel_(tiles * pieces.count, cost, [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) sum(task % tiles, task / tiles, &sums, task);
    });
    parallel_(p_.rows(), 2 * p_.units * pieces.count, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row)
        for (int64_t tile = 0; tile < tiles; ++tile)
          sums.store_row(tile, tiles, pieces.count, row, T(n.tau), tile, gradient);
    });
  }

  void times_gradient(const T* kernel, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes, T* gradient) {
    Tiles<Tile> weights = tiled(kernel);
    const int64_t tiles = Tiles<Tile>::count(p_);
    const int64_t cost = p_.sample_slots() / 8 + 10 * tiles * (1 + events.total() / std::max<int64_t>(p_.batch, 1));
    parallel_(p_.batch, cost, [&](int64_t first, int64_t last) {
      for (int64_t sample = first; sample < last; ++sample) {
        T* slots = gradient + sample * p_.sample_slots();
        std::fill_n(slots, p_.sample_slots(), T(0));
        for (int64_t column = sample * p_.positions(); column < (sample + 1) * p_.positions(); ++column) {
          for (int64_t tile = 0; tile < tiles; ++tile) {
            auto add = [slots, rows = weights.rows(tile)](const Event<T>& event, const Tile& l1, const Tile& l2) {
              const Lanes<T>* w = rows + int64_t(event.row) * Tile::vectors;
              Lanes<T> sum = {};
              for (int v = 0; v < Tile::vectors; ++v) {
                const Lanes<T> factor = T(2) * l1.v[v] - l2.v[v];
                sum += factor != T(0) ? w[v] * factor : Lanes<T>();  // no weight, be it NaN, acts on silent neurons
              }
              for (int lane = 0; lane < Tile::lanes; ++lane) slots[event.slot] += sum[lane];
            };
            sweep<Tile>(events[column], echoes[tile * p_.columns() + column], add);
          }
        }
      }
    });
  }

  int64_t peaks(const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes, int32_t* slots,
                const Record& record) {
    int64_t bad;
    const void* memory = find_events(p_, n, inputs, parallel_, record.events, &bad);
    if (!memory) return bad;
    const Lists<Event<T>> events(p_.columns(), memory);
    auto work = [&](int64_t tile, int64_t column, const Lanes<T>* rows, std::vector<Crossing<T>>* crossings) {
      const List<Event<T>> list = events[column];
      Tile a, b, best, at, slope;
      Mask<T> where[Tile::vectors];  // the event that starts the interval of the peak
      for (int v = 0; v < Tile::vectors; ++v) {
        best.v[v] = Lanes<T>() - kInfinity<T>;
        where[v] = Mask<T>() - 1;
      }
      for (int32_t i = 0; i < list.size(); ++i) {
        const Event<T>& event = list[i];
        const Lanes<T>* w = rows + int64_t(event.row) * Tile::vectors;
        for (int v = 0; v < Tile::vectors; ++v) {
          a.v[v] += w[v];
          b.v[v] += w[v];
          if (event.growth > T(1)) {
            Lanes<T> value, vertex, rise;
            interval_peak(a.v[v], b.v[v], event.growth, event.decay, &value, &vertex, &rise);
            const auto higher = value > best.v[v];
            best.v[v] = higher ? value : best.v[v];
            at.v[v] = higher ? vertex : at.v[v];
            slope.v[v] = higher ? rise : slope.v[v];
            where[v] = higher ? Mask<T>() + i : where[v];
          }
          a.v[v] *= event.decay * event.decay;
          b.v[v] *= event.decay;
        }
      }
      const size_t before = crossings->size();
      for (int lane = 0; lane < Tiles<Tile>::used(p_, tile); ++lane) {
        const int64_t neuron = column * p_.units + tile * Tiles<Tile>::width + lane;
        const int32_t event = int32_t(where[lane / Tile::lanes][lane % Tile::lanes]);
        const T vertex = lane_array(at)[lane];
        const Peak<T> found = locate_peak(list.begin(), list.size(), event, vertex, lane_array(slope)[lane], n);
        peak[neuron] = T(n.tau) * lane_array(best)[lane];
        times[neuron] = found.time;
        slopes[neuron] = found.slope;
        slots[neuron] = found.slot;
        if (event < 0) continue;
        crossings->push_back({event, lane, 0, found.time, vertex > T(0) ? vertex : list[event].growth, T(1)});
      }
      std::stable_sort(crossings->begin() + before, crossings->end(),
                       [](const Crossing<T>& x, const Crossing<T>& y) { return x.event < y.event; });
    };
    record_crossings(kernel, 2 * events.total(), record.crossings, work);
    return 0;
  }

 private:
  static bool within(int64_t index, int64_t size) { return 0 <= index && index < size; }

  Tiles<Tile> tiled(const T* kernel) {
    Tiles<Tile> tiles(p_, Tiles<Tile>::count(p_));
    parallel_(Tiles<Tile>::count(p_), 8 * p_.rows(), [&](int64_t first, int64_t last) {
      for (int64_t index = first; index < last; ++index) tiles.load(index, index, kernel);
    });
    return tiles;
  }

  // Runs work(tile, column, rows, found) for all tiles of all columns, where `rows` are those of the tile's kernel and
  // `found` takes the crossings; puts their lists into the caller's memory, tile after tile.
  template <class Work>
  void record_crossings(const T* kernel, int64_t events, const Allocate& allocate, Work work) {
    const int64_t tiles = Tiles<Tile>::count(p_), columns = p_.columns();
    const Pieces pieces(p_, tiles, columns);
    std::vector<std::vector<Crossing<T>>> found(tiles * pieces.count);
    std::vector<int64_t> starts(1 + tiles * columns);
    const int64_t cost = 20 * (1 + events / std::max<int64_t>(pieces.count, 1));
    parallel_(tiles * pieces.count, cost, [&](int64_t first, int64_t last) {
      Tiles<Tile> weights(p_, 1);  // the tile at hand, loaded where it is used, stays in the cache
      for (int64_t task = first, loaded = -1; task < last; ++task) {
        const int64_t tile = task / pieces.count, piece = task % pieces.count;
        if (tile != loaded) weights.load(0, loaded = tile, kernel);
        for (int64_t column = pieces.first(piece); column < pieces.first(piece + 1); ++column) {
          const int64_t before = found[task].size();
          work(tile, column, weights.rows(0), &found[task]);
          starts[tile * columns + column + 1] = int64_t(found[task].size()) - before;
        }
      }
    });
    for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
    Crossing<T>* crossings = Lists<Crossing<T>>::room(starts.data(), tiles * columns, allocate).second;
    if (!crossings) return;
    for (const auto& list : found) crossings = std::copy(list.begin(), list.end(), crossings);
  }

  const Problem& p_;
  const Parallel& parallel_;
};

// Runs work(layer) with tiles as wide as the units of the layer need: few of them fit into one or two registers.
template <class T, class Work>
auto with_layer(const Problem& p, const Parallel& parallel, Work work) {
  if (p.units <= Tile<T, 1>::width) return work(Layer<Tile<T, 1>>(p, parallel));
  if (p.units <= Tile<T, 2>::width) return work(Layer<Tile<T, 2>>(p, parallel));
  return work(Layer<WideTile<T>>(p, parallel));
}

}  // namespace

template <class T>
int64_t tile_width(const Problem& p) {
  return with_layer<T>(p, {}, [](auto layer) { return layer.width; });
}

template <class T>
int64_t trains_lists(const Problem& p) {
  return with_layer<T>(p, {}, [](auto layer) { return layer.lists(); });
}

template <class T>
int64_t spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
               int64_t* overflow, const Parallel& parallel, const Record& record) {
  return with_layer<T>(p, parallel, [&](auto layer) {
    return layer.spikes(n, inputs, kernel, times, counts, overflow, record);
  });
}

template <class T>
bool belong(const Problem& p, const Lists<Crossing<T>>& crossings) {
  return with_layer<T>(p, {}, [&](auto layer) { return layer.belong(crossings); });
}

template <class T>
bool belong(const Problem& p, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes) {
  return with_layer<T>(p, {}, [&](auto layer) { return layer.belong(events, echoes); });
}

template <class T>
void coefficients(const Problem& p, const Neuron& n, T min_slope, const Lists<Crossing<T>>& crossings,
                  const T* gradient, const Allocate& allocate, Totals<T>* totals, const Parallel& parallel) {
  return with_layer<T>(p, parallel, [&](auto layer) {
    return layer.coefficients(n, min_slope, crossings, gradient, allocate, totals);
  });
}

template <class T>
void kernel_gradient(const Problem& p, const Neuron& n, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes,
                     T* gradient, const Parallel& parallel) {
  return with_layer<T>(p, parallel, [&](auto layer) { return layer.kernel_gradient(n, events, echoes, gradient); });
}

template <class T>
void times_gradient(const Problem& p, const T* kernel, const Lists<Event<T>>& events,
                    const Lists<Echo<T>>& echoes, T* gradient, const Parallel& parallel) {
  return with_layer<T>(p, parallel, [&](auto layer) { return layer.times_gradient(kernel, events, echoes, gradient); });
}

template <class T>
int64_t peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
              int32_t* slots, const Parallel& parallel, const Record& record) {
  return with_layer<T>(p, parallel, [&](auto layer) {
    return layer.peaks(n, inputs, kernel, peak, times, slopes, slots, record);
  });
}

#define BATS_INSTANTIATE(T)                                                                                            \
  template int64_t tile_width<T>(const Problem&);                                                                      \
  template int64_t trains_lists<T>(const Problem&);                                                                    \
  template bool belong<T>(const Problem&, const Lists<Crossing<T>>&);                                                  \
  template bool belong<T>(const Problem&, const Lists<Event<T>>&, const Lists<Echo<T>>&);                              \
  template int64_t spikes<T>(const Problem&, const Neuron&, const T*, const T*, T*, int32_t*, int64_t*,                \
                             const Parallel&, const Record&);                                                          \
  template void coefficients<T>(const Problem&, const Neuron&, T, const Lists<Crossing<T>>&, const T*,                 \
                                const Allocate&, Totals<T>*, const Parallel&);                                         \
  template void kernel_gradient<T>(const Problem&, const Neuron&, const Lists<Event<T>>&, const Lists<Echo<T>>&, T*,   \
                                   const Parallel&);                                                                   \
  template void times_gradient<T>(const Problem&, const T*, const Lists<Event<T>>&, const Lists<Echo<T>>&, T*,         \
                                  const Parallel&);                                                                    \
  template int64_t peaks<T>(const Problem&, const Neuron&, const T*, const T*, T*, T*, T*, int32_t*, const Parallel&,  \
                            const Record&);

BATS_INSTANTIATE(float)
BATS_INSTANTIATE(double)

}  // namespace bats::cpu
