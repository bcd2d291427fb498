#include "cpu.h"

#include <atomic>

#include "events.h"

namespace bats::cpu {
namespace {

template <class T>
Tiles<T> tiled(const Problem& p, const T* kernel, const Parallel& parallel) {
  Tiles<T> tiles(p, Tiles<T>::count(p));
  parallel(tiles.count(p), 8 * p.rows(), [&](int64_t first, int64_t last) {
    for (int64_t index = first; index < last; ++index) tiles.load(index, index, kernel);
  });
  return tiles;
}

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

// Runs work(tile, column, rows, found) for all tiles of all columns, where `rows` are those of the tile's kernel and
// `found` takes the crossings; puts their lists into the caller's memory, tile after tile.
template <class T, class Work>
void record_crossings(const Problem& p, const T* kernel, int64_t events, const Parallel& parallel,
                      const Allocate& allocate, Work work) {
  const int64_t tiles = Tiles<T>::count(p), columns = p.columns();
  const Pieces pieces(p, tiles, columns);
  std::vector<std::vector<Crossing<T>>> found(tiles * pieces.count);
  std::vector<int64_t> starts(1 + tiles * columns);
  const int64_t cost = 20 * (1 + events / std::max<int64_t>(pieces.count, 1));
  parallel(tiles * pieces.count, cost, [&](int64_t first, int64_t last) {
    Tiles<T> weights(p, 1);  // the tile at hand, loaded where it is used, stays in the cache
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

// Simulates a tile of neurons of a column.
template <class T>
struct Simulation {
  T* times;  // (neurons, capacity)
  int32_t* counts;
  int64_t capacity;
  int used;  // neurons
  std::vector<Crossing<T>>* crossings;
  int64_t truncated;

  // Integrates the events; `rows` are those of the tile's kernel.
  void run(const Neuron& n, const List<Event<T>> events, const Lanes<T>* rows) {
    const T c = T(n.threshold_rate), half = T(0.5) / c;
    const size_t before = crossings->size();
    std::fill_n(times, used * capacity, kInfinity<T>);
    std::fill_n(counts, used, 0);
    Tile<T> a, b;
    for (const Event<T>& event : events) {
      const Lanes<T>* w = rows + int64_t(event.row) * Tile<T>::vectors;
      for (int v = 0; v < Tile<T>::vectors; ++v) {
        a.v[v] += w[v];
        b.v[v] += w[v];
      }
      const T growth = event.growth;
      if (!(growth > T(1))) continue;  // more input at the same time
      Hits<T> hits;
      for (int v = 0; v < Tile<T>::vectors; ++v) hits[v] = crosses(a.v[v], b.v[v], c, half, growth);
      if (hits.any()) {
        const Tile<T> drive = a, before = b;  // copies, so that a and b can stay in registers
        b = fire_lanes(hits.lanes(used), drive, before, growth, int32_t(&event - events.begin()), n);
      }
      for (int v = 0; v < Tile<T>::vectors; ++v) {
        a.v[v] *= event.decay * event.decay;
        b.v[v] *= event.decay;
      }
    }
    for (auto crossing = crossings->begin() + before; crossing != crossings->end(); ++crossing) {
      crossing->time = spike_time(events.begin(), events.size(), crossing->event, crossing->growth, n);
      times[crossing->lane * capacity + crossing->index] = crossing->time;
    }
  }

  // Adds the spikes of the neurons in those lanes, but for their times, which take logarithms, and returns b after the
  // resets. A function of its own, so that the registers belong to the loop that calls it in one of several events.
  __attribute__((noinline)) Tile<T> fire_lanes(uint64_t lanes, const Tile<T>& a, const Tile<T>& b, T last,
                                               int32_t event, const Neuron& n) {
    Tile<T> after = b;
    for (; lanes; lanes &= lanes - 1) {
      const int lane = __builtin_ctzll(lanes);
      auto spike = [&](T growth, T slope) {
        if (counts[lane] == capacity) {
          ++truncated;
          return false;
        }
        Crossing<T>& crossing = crossings->emplace_back();
        crossing.event = event;
        crossing.lane = lane;
        crossing.index = counts[lane]++;
        crossing.growth = growth;
        crossing.slope = slope;
        return true;
      };
      const T before = lane_array(b)[lane];
      add_to_lane(&after, lane, T(fire(lane_array(a)[lane], before, last, n, spike) - before));
    }
    return after;
  }
};

// Sweeps backwards over the events of a column and calls visit(event, l1, l2) with, for every neuron of the tile,
// l1 = sum q exp(-2 (t_k - t_j)/tau) and l2 = sum q exp(-(t_k - t_j)/tau) over its spikes t_k after the event.
template <class T, class Visit>
void sweep(const List<Event<T>> events, const List<Echo<T>> echoes, Visit visit) {
  if (echoes.size() == 0) return;
  Tile<T> l1, l2;
  const Echo<T>* next = echoes.end();
  for (int32_t i = next[-1].event; i >= 0; --i) {
    const T decay = events[i].decay, decay_squared = decay * decay;
    for (int v = 0; v < Tile<T>::vectors; ++v) {
      l1.v[v] *= decay_squared;
      l2.v[v] *= decay;
    }
    for (; next != echoes.begin() && next[-1].event == i; --next) {
      add_to_lane(&l1, next[-1].lane, next[-1].l1);
      add_to_lane(&l2, next[-1].lane, next[-1].l2);
    }
    visit(events[i], l1, l2);
  }
}

}  // namespace

template <class T>
int64_t tile_width() {
  return Tiles<T>::width;
}

template <class T>
int64_t trains_lists(const Problem& p) {
  return Tiles<T>::count(p) * p.columns();
}

template <class T>
int64_t spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
               int64_t* overflow, const Parallel& parallel, const Record& record) {
  int64_t bad;
  const void* memory = find_events(p, n, inputs, parallel, record.events, &bad);
  *overflow = 0;
  if (!memory) return bad;
  const Lists<Event<T>> events(p.columns(), memory);
  std::atomic<int64_t> truncated{0};
  auto work = [&](int64_t tile, int64_t column, const Lanes<T>* rows, std::vector<Crossing<T>>* crossings) {
    const int64_t neuron = column * p.units + tile * Tiles<T>::width;
    const int used = Tiles<T>::used(p, tile);
    Simulation<T> simulation{times + neuron * p.capacity, counts + neuron, p.capacity, used, crossings, 0};
    simulation.run(n, events[column], rows);
    if (simulation.truncated) truncated += simulation.truncated;
  };
  record_crossings(p, kernel, events.total(), parallel, record.crossings, work);
  *overflow = truncated;
  return 0;
}

template <class T>
bool belong(const Problem& p, const Lists<Crossing<T>>& crossings) {
  for (int64_t list = 0; list < trains_lists<T>(p); ++list) {
    const int used = Tiles<T>::used(p, list / p.columns());
    for (const Crossing<T>& crossing : crossings[list])
      if (crossing.lane >= used || crossing.index >= p.capacity) return false;
  }
  return true;
}

template <class T>
bool belong(const Problem& p, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes) {
  for (int64_t list = 0; list < trains_lists<T>(p); ++list) {
    const List<Echo<T>> ordered = echoes[list];
    if (ordered.size() > 0 && ordered.end()[-1].event >= events[list % p.columns()].size()) return false;
  }
  return true;
}

template <class T>
void coefficients(const Problem& p, const Neuron& n, T min_slope, const Lists<Crossing<T>>& crossings,
                  const T* gradient, const Allocate& allocate, Totals<T>* totals, const Parallel& parallel) {
  const int64_t lists = trains_lists<T>(p);
  Echo<T>* echoes = Lists<Echo<T>>::room(crossings.starts(), lists, allocate).second;
  if (!echoes) return;
  parallel(lists, 40 * (1 + crossings.total() / std::max<int64_t>(lists, 1)), [&](int64_t first, int64_t last) {
    for (int64_t list = first; list < last; ++list) {
      const int64_t tile = list / p.columns(), column = list % p.columns();
      const int64_t neuron = column * p.units + tile * Tiles<T>::width;
      const Crossing<T>* spikes = crossings.items() + crossings.starts()[list];
      const int64_t count = crossings[list].size();
      Echo<T>* to = echoes + crossings.starts()[list];
      // Each spike's gradient is somewhere else: all of them are asked for before the first is waited for.
      auto slot = [&](int64_t i) { return gradient + (neuron + spikes[i].lane) * p.capacity + spikes[i].index; };
      for (int64_t i = 0; i < count; ++i) __builtin_prefetch(slot(i));
      Adjoint<T> adjoints[Tiles<T>::width];
      Totals<T> sum{};
      for (int64_t i = count - 1; i >= 0; --i) {
        const Crossing<T>& spike = spikes[i];
        const T q = adjoints[spike.lane].coefficient(spike.time, spike.slope, *slot(i), min_slope, n, &sum);
        const T decay = T(1) / spike.growth;
        to[i].event = spike.event;
        to[i].lane = spike.lane;
        to[i].l1 = q * decay * decay;
        to[i].l2 = q * decay;
      }
      totals[list] = sum;
    }
  });
}

template <class T>
void kernel_gradient(const Problem& p, const Neuron& n, const Lists<Event<T>>& events, const Lists<Echo<T>>& echoes,
                     T* gradient, const Parallel& parallel) {
  const int64_t tiles = Tiles<T>::count(p);
  const Pieces pieces(p, tiles, events.total() / std::max<int64_t>(4 * p.rows(), 1));
  const int64_t cost = 10 * (1 + events.total() / pieces.count);
  auto sum = [&](int64_t tile, int64_t piece, Tiles<T>* sums, int64_t place) {
    sums->zero(place);
    auto add = [rows = sums->rows(place)](const Event<T>& event, const Tile<T>& l1, const Tile<T>& l2) {
      Lanes<T>* row = rows + int64_t(event.row) * Tile<T>::vectors;
      for (int v = 0; v < Tile<T>::vectors; ++v) row[v] += l1.v[v] - l2.v[v];
    };
    for (int64_t column = pieces.first(piece); column < pieces.first(piece + 1); ++column)
      sweep(events[column], echoes[tile * p.columns() + column], add);
  };
  if (pieces.count == 1) {
    parallel(tiles, cost, [&](int64_t first, int64_t last) {
      Tiles<T> sums(p, 1);  // stays in the cache
      for (int64_t tile = first; tile < last; ++tile) {
        sum(tile, 0, &sums, 0);
        for (int64_t row = 0; row < p.rows(); ++row) sums.store_row(0, 0, 1, row, T(n.tau), tile, gradient);
      }
    });
    return;
  }
  // Each piece of the columns has sums of its own, added in order: the same bits whatever the number of threads.
  Tiles<T> sums(p, tiles * pieces.count);
  parallel(tiles * pieces.count, cost, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) sum(task % tiles, task / tiles, &sums, task);
  });
  parallel(p.rows(), 2 * p.units * pieces.count, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      for (int64_t tile = 0; tile < tiles; ++tile)
        sums.store_row(tile, tiles, pieces.count, row, T(n.tau), tile, gradient);
  });
}

template <class T>
void times_gradient(const Problem& p, const T* kernel, const Lists<Event<T>>& events,
                    const Lists<Echo<T>>& echoes, T* gradient, const Parallel& parallel) {
  Tiles<T> weights = tiled(p, kernel, parallel);
  const int64_t tiles = weights.count(p);
  const int64_t cost = p.sample_slots() / 8 + 10 * tiles * (1 + events.total() / std::max<int64_t>(p.batch, 1));
  parallel(p.batch, cost, [&](int64_t first, int64_t last) {
    for (int64_t sample = first; sample < last; ++sample) {
      T* slots = gradient + sample * p.sample_slots();
      std::fill_n(slots, p.sample_slots(), T(0));
      for (int64_t column = sample * p.positions(); column < (sample + 1) * p.positions(); ++column) {
        for (int64_t tile = 0; tile < tiles; ++tile) {
          auto add = [slots, rows = weights.rows(tile)](const Event<T>& event, const Tile<T>& l1, const Tile<T>& l2) {
            const Lanes<T>* w = rows + int64_t(event.row) * Tile<T>::vectors;
            Lanes<T> sum = {};
            for (int v = 0; v < Tile<T>::vectors; ++v) {
              const Lanes<T> factor = T(2) * l1.v[v] - l2.v[v];
              sum += factor != T(0) ? w[v] * factor : Lanes<T>();  // no weight, be it NaN, acts on silent neurons
            }
            for (int lane = 0; lane < Tile<T>::lanes; ++lane) slots[event.slot] += sum[lane];
          };
          sweep(events[column], echoes[tile * p.columns() + column], add);
        }
      }
    }
  });
}

template <class T>
int64_t peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
              int32_t* slots, const Parallel& parallel, const Record& record) {
  int64_t bad;
  const void* memory = find_events(p, n, inputs, parallel, record.events, &bad);
  if (!memory) return bad;
  const Lists<Event<T>> events(p.columns(), memory);
  auto work = [&](int64_t tile, int64_t column, const Lanes<T>* rows, std::vector<Crossing<T>>* crossings) {
    const List<Event<T>> list = events[column];
    Tile<T> a, b, best, at, slope;
    Mask<T> where[Tile<T>::vectors];  // the event that starts the interval of the peak
    for (int v = 0; v < Tile<T>::vectors; ++v) {
      best.v[v] = Lanes<T>() - kInfinity<T>;
      where[v] = Mask<T>() - 1;
    }
    for (int32_t i = 0; i < list.size(); ++i) {
      const Event<T>& event = list[i];
      const Lanes<T>* w = rows + int64_t(event.row) * Tile<T>::vectors;
      for (int v = 0; v < Tile<T>::vectors; ++v) {
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
    for (int lane = 0; lane < Tiles<T>::used(p, tile); ++lane) {
      const int64_t neuron = column * p.units + tile * Tiles<T>::width + lane;
      const int32_t event = int32_t(where[lane / Tile<T>::lanes][lane % Tile<T>::lanes]);
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
  record_crossings(p, kernel, 2 * events.total(), parallel, record.crossings, work);
  return 0;
}

#define BATS_INSTANTIATE(T)                                                                                            \
  template int64_t tile_width<T>();                                                                                    \
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
