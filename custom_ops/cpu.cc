#include "cpu.h"

#include <atomic>
#include <string>

#include "events.h"
#include "simulation.h"

namespace bats::cpu {
namespace {

// The input spikes of all columns until the end of the simulation, and what is recorded of them.
template <class T>
struct Inputs {
  std::vector<std::vector<Arrival<T>>> columns;
  std::unique_ptr<T[]> growths;  // (events), E of the next event, or of the end of the simulation, relative to each
  Events<T> events;

  int64_t total() const { return events.places.size; }
  Column<T> operator[](int64_t column) const {
    const int64_t start = events.splits[column];
    return {columns[column].data(), growths.get() + start, events.decays.data + start, int32_t(columns[column].size())};
  }
};

template <class T>
Inputs<T> find_inputs(const Problem& p, const Neuron& n, const T* times, const Parallel& parallel, Record<T>* record) {
  const T end = T(n.simulation_time), tau = T(n.tau);
  Inputs<T> inputs{std::vector<std::vector<Arrival<T>>>(p.columns()), nullptr, {}};
  std::atomic<int64_t> negative{0};
  parallel(p.columns(), 2 * p.rows() * p.slots, [&](int64_t first, int64_t last) {
    Gatherer<T> gatherer;
    for (int64_t i = first; i < last; ++i) negative += gatherer.gather(p, times, i, end, &inputs.columns[i]);
  });
  if (negative)
    throw std::invalid_argument("expected spike times of 0 or later, or inf. Received: " + std::to_string(negative) +
                                " that are negative");
  std::vector<int64_t> splits{0};
  for (const auto& column : inputs.columns) splits.push_back(splits.back() + int64_t(column.size()));
  const int64_t total = splits.back();
  inputs.growths.reset(new T[total]);
  inputs.events = record->events(splits.size(), total);
  std::copy(splits.begin(), splits.end(), inputs.events.splits.data);
  parallel(p.columns(), 40 * (1 + total / std::max<int64_t>(p.columns(), 1)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Column<T> column = inputs[i];
      EventPlace* places = inputs.events.places.data + splits[i];
      T *growths = inputs.growths.get() + splits[i], *decays = inputs.events.decays.data + splits[i];
      for (int32_t k = 0; k < column.size; ++k) {
        const Arrival<T>& now = column.arrivals[k];
        const T growth = growth_over((k + 1 < column.size ? column.arrivals[k + 1].time : end) - now.time, tau);
        growths[k] = growth;
        decays[k] = T(1) / growth;
        places[k] = {now.row, now.slot};
      }
    }
  });
  return inputs;
}

// Cuts the columns into pieces of equal length: enough tasks, one per tile and piece, to occupy many threads, but not
// more pieces than `worth`, as each has a cost of its own.
struct Pieces {
  int64_t count, columns;
  Pieces(const Problem& p, int64_t tiles, int64_t worth)
      : count(std::clamp<int64_t>(std::min(32 / std::max<int64_t>(tiles, 1), worth), 1,
                                  std::max<int64_t>(p.columns(), 1))),
        columns(p.columns()) {}
  int64_t first(int64_t piece) const { return columns * piece / count; }
};

// A layer whose units are cut into tiles of this type.
template <class Tile>
class TiledLayer final : public Layer<typename Tile::Number> {
 public:
  using T = typename Tile::Number;

  TiledLayer(const Problem& p, const Parallel& parallel)
      : p_(p), tiles_(Tiles<Tile>::count(p)), lists_(tiles_ * p.columns()), parallel_(parallel) {}

  int64_t groups() const override { return lists_; }

  void spikes(const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts, int64_t* overflow,
              Record<T>* record) override {
    const Inputs<T> found = find_inputs(p_, n, inputs, parallel_, record);
    std::atomic<int64_t> truncated{0};
    auto simulate = [&](int64_t tile, int64_t column, const Lanes<T>* rows, auto* crossings) {
      const int64_t first = tile * Tile::width, neuron = column * p_.units + first;
      Simulation<Tile> simulation{
          times + neuron * p_.max_spikes, counts + neuron, p_.max_spikes, int(first), used(tile), crossings, 0};
      simulation.run(n, found[column], rows);
      if (simulation.truncated) truncated += simulation.truncated;
    };
    record_crossings(kernel, 20 * found.total(), record, simulate);
    *overflow = truncated;
  }

  void coefficients(const Neuron& n, T min_slope, const T* times, const T* gradient, const Crossings<T>& crossings,
                    T* q, Totals<T>* totals) override {
    expect_handed_on(belong(crossings, crossings.slopes, nullptr));
    const int64_t cost = 40 * (1 + crossings.places.size / std::max<int64_t>(lists_, 1));
    std::atomic<bool> fit{true};
    parallel_(lists_, cost, [&](int64_t first, int64_t last) {
      for (int64_t list = first; list < last; ++list) {
        const int64_t start = crossings.splits[list], end = crossings.splits[list + 1];
        const int32_t unit = int32_t(list / p_.columns() * Tile::width);
        const int64_t train = (list % p_.columns() * p_.units + unit) * p_.max_spikes;  // of the first neuron
        // Times and gradients are scattered over the trains: prefetch all of them before the first is used.
        int64_t slots[Tile::width];  // of the next spike of each neuron
        for (int lane = 0; lane < Tile::width; ++lane) slots[lane] = train + lane * p_.max_spikes;
        for (int64_t i = start; i < end; ++i) {
          const int64_t slot = slots[crossings.places[i].unit - unit]++;
          __builtin_prefetch(gradient + slot);
          __builtin_prefetch(times + slot);
        }
        for (int lane = 0; lane < Tile::width; ++lane)
          if (slots[lane] > train + (lane + 1) * p_.max_spikes) fit = false;
        if (!fit) return;
        Adjoint<T> adjoints[Tile::width];
        Totals<T> sum{};
        for (int64_t i = end - 1; i >= start; --i) {
          const int lane = crossings.places[i].unit - unit;
          const int64_t slot = --slots[lane];
          q[i] = adjoints[lane].coefficient(times[slot], crossings.slopes[i], gradient[slot], min_slope, n, &sum);
        }
        totals[list] = sum;
      }
    });
    expect_handed_on(fit);
  }

  void kernel_gradient(const Neuron& n, const Backward<T>& from, T* gradient) override {
    expect_handed_on(belong(from));
    const int64_t events = from.events.places.size;
    const Pieces pieces(p_, tiles_, events / std::max<int64_t>(4 * p_.rows(), 1));
    const int64_t cost = 10 * (1 + events / pieces.count);
    auto sum = [&](int64_t tile, int64_t piece, Tiles<Tile>* sums, int64_t place) {
      sums->zero(place);
      auto add = [rows = sums->rows(place)](const EventPlace& event, const Tile& l1, const Tile& l2) {
        Lanes<T>* row = rows + int64_t(event.row) * Tile::vectors;
        for (int v = 0; v < Tile::vectors; ++v) row[v] += l1.v[v] - l2.v[v];
      };
      for (int64_t column = pieces.first(piece); column < pieces.first(piece + 1); ++column)
        sweep<Tile>(from, column, tile, tile * p_.columns() + column, add);
    };
    if (pieces.count == 1) {
      parallel_(tiles_, cost, [&](int64_t first, int64_t last) {
        Tiles<Tile> sums(p_, 1);  // stays in the cache
        for (int64_t tile = first; tile < last; ++tile) {
          sum(tile, 0, &sums, 0);
          for (int64_t row = 0; row < p_.rows(); ++row) sums.store_row(0, 0, 1, row, T(n.tau), tile, gradient);
        }
      });
      return;
    }
    // The sums of the pieces are added in order: the same bits for any number of threads.
    Tiles<Tile> sums(p_, tiles_ * pieces.count);
    parallel_(tiles_ * pieces.count, cost, [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) sum(task % tiles_, task / tiles_, &sums, task);
    });
    parallel_(p_.rows(), 2 * p_.units * pieces.count, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row)
        for (int64_t tile = 0; tile < tiles_; ++tile)
          sums.store_row(tile, tiles_, pieces.count, row, T(n.tau), tile, gradient);
    });
  }

  void times_gradient(const Neuron&, const T* kernel, const Backward<T>& from, T* gradient) override {
    expect_handed_on(belong(from));
    Tiles<Tile> weights(p_, tiles_);
    parallel_(tiles_, 8 * p_.rows(), [&](int64_t first, int64_t last) {
      for (int64_t tile = first; tile < last; ++tile) weights.load(tile, tile, kernel);
    });
    const int64_t events = from.events.places.size / std::max<int64_t>(p_.batch, 1);
    const int64_t cost = p_.sample_slots() / 8 + 10 * tiles_ * (1 + events);
    parallel_(p_.batch, cost, [&](int64_t first, int64_t last) {
      for (int64_t sample = first; sample < last; ++sample) {
        T* slots = gradient + sample * p_.sample_slots();
        std::fill_n(slots, p_.sample_slots(), T(0));
        for (int64_t column = sample * p_.positions(); column < (sample + 1) * p_.positions(); ++column) {
          for (int64_t tile = 0; tile < tiles_; ++tile) {
            auto add = [slots, rows = weights.rows(tile)](const EventPlace& event, const Tile& l1, const Tile& l2) {
              const Lanes<T>* w = rows + int64_t(event.row) * Tile::vectors;
              Lanes<T> sum = {};
              for (int v = 0; v < Tile::vectors; ++v) {
                const Lanes<T> factor = T(2) * l1.v[v] - l2.v[v];
                sum += factor != T(0) ? w[v] * factor : Lanes<T>();  // a NaN weight of a silent neuron has no effect
              }
              for (int lane = 0; lane < Tile::lanes; ++lane) slots[event.slot] += sum[lane];
            };
            sweep<Tile>(from, column, tile, tile * p_.columns() + column, add);
          }
        }
      }
    });
  }

  void peaks(const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes, int32_t* slots,
             Record<T>* record) override {
    const Inputs<T> found = find_inputs(p_, n, inputs, parallel_, record);
    auto find_peaks = [&](int64_t tile, int64_t column, const Lanes<T>* rows, auto* crossings) {
      const Column<T> events = found[column];
      Tile a, b, best, at, slope;
      Mask<T> where[Tile::vectors];  // the event that starts the interval of the peak
      for (int v = 0; v < Tile::vectors; ++v) {
        best.v[v] = Lanes<T>() - kInfinity<T>;
        where[v] = Mask<T>() - 1;
      }
      for (int32_t i = 0; i < events.size; ++i) {
        const T growth = events.growths[i], decay = events.decays[i];
        const Lanes<T>* w = rows + int64_t(events.arrivals[i].row) * Tile::vectors;
        for (int v = 0; v < Tile::vectors; ++v) {
          a.v[v] += w[v];
          b.v[v] += w[v];
          if (growth > T(1)) {
            Lanes<T> value, vertex, rise;
            interval_peak(a.v[v], b.v[v], growth, decay, &value, &vertex, &rise);
            const auto higher = value > best.v[v];
            best.v[v] = higher ? value : best.v[v];
            at.v[v] = higher ? vertex : at.v[v];
            slope.v[v] = higher ? rise : slope.v[v];
            where[v] = higher ? Mask<T>() + i : where[v];
          }
          a.v[v] *= decay * decay;
          b.v[v] *= decay;
        }
      }
      const uint64_t nan = lanes_not_finite(a, used(tile));
      const size_t before = crossings->size();
      for (int lane = 0; lane < used(tile); ++lane) {
        const int64_t unit = tile * Tile::width + lane, neuron = column * p_.units + unit;
        if (nan >> lane & 1) {
          peak[neuron] = times[neuron] = slopes[neuron] = kNaN<T>;
          slots[neuron] = -1;
          crossings->push_back({{events.size - 1, int32_t(unit)}, 0, kNaN<T>, kNaN<T>});
          continue;
        }
        const int32_t event = int32_t(where[lane / Tile::lanes][lane % Tile::lanes]);
        const T vertex = lane_array(at)[lane];
        const Peak<T> located = locate_peak(events.arrivals, events.size, event, vertex, lane_array(slope)[lane], n);
        peak[neuron] = T(n.tau) * lane_array(best)[lane];
        times[neuron] = located.time;
        slopes[neuron] = located.slope;
        slots[neuron] = located.slot;
        if (event < 0) continue;
        crossings->push_back({{event, int32_t(unit)}, 0, vertex > T(0) ? vertex : events.growths[event], T(1)});
      }
      std::stable_sort(crossings->begin() + before, crossings->end(),
                       [](const auto& x, const auto& y) { return x.place.event < y.place.event; });
    };
    record_crossings(kernel, 40 * found.total(), record, find_peaks);
  }

 private:
  int used(int64_t tile) const { return Tiles<Tile>::used(p_, tile); }

  static bool within(int64_t index, int64_t size) { return uint64_t(index) < uint64_t(size); }

  static bool split(const Array<int64_t>& splits, int64_t lists, int64_t items) {
    return splits.size == lists + 1 && splits[0] == 0 && splits[lists] == items &&
           std::is_sorted(splits.begin(), splits.end());
  }

  // Whether crossings with such values, and the events that they refer to if there are any, can be those of this layer.
  bool belong(const Crossings<T>& crossings, const Array<T>& values, const Events<T>* events) const {
    if (!split(crossings.splits, lists_, crossings.places.size) || values.size != crossings.places.size) return false;
    for (int64_t list = 0; list < lists_; ++list) {
      const int64_t column = list % p_.columns(), tile = list / p_.columns();
      uint32_t last_event = 0, last_lane = 0;  // negative values count as large ones
      for (int64_t i = crossings.splits[list]; i < crossings.splits[list + 1]; ++i) {
        last_event = std::max(last_event, uint32_t(crossings.places[i].event));
        last_lane = std::max(last_lane, uint32_t(crossings.places[i].unit - int32_t(tile * Tile::width)));
      }
      if (crossings.splits[list] == crossings.splits[list + 1]) continue;
      if (int64_t(last_lane) >= used(tile)) return false;
      if (events && last_event >= events->splits[column + 1] - events->splits[column]) return false;
    }
    return true;
  }

  bool belong(const Backward<T>& from) const {
    const Events<T>& events = from.events;
    return split(events.splits, p_.columns(), events.places.size) && events.decays.size == events.places.size &&
           std::all_of(events.places.begin(), events.places.end(),
                       [&](const EventPlace& place) {
                         return within(place.row, p_.rows()) && within(place.slot, p_.sample_slots());
                       }) &&
           from.coefficients.size == from.crossings.places.size &&
           belong(from.crossings, from.crossings.decays, &events);
  }

  // Runs work(tile, column, rows, found) for all tiles of all columns, where `rows` are those of the tile's kernel and
  // `found` takes the crossings, and records these; `cost` is in cycles per tile.
  template <class Work>
  void record_crossings(const T* kernel, int64_t cost, Record<T>* record, Work work) {
    const Pieces pieces(p_, tiles_, p_.columns());
    const int64_t tasks = tiles_ * pieces.count;
    std::vector<std::vector<Crossing<T>>> found(tasks);
    std::vector<int64_t> splits(1 + lists_);
    parallel_(tasks, 20 + cost / pieces.count, [&](int64_t first, int64_t last) {
      Tiles<Tile> weights(p_, 1);  // the current tile, which stays in the cache
      for (int64_t task = first, loaded = -1; task < last; ++task) {
        const int64_t tile = task / pieces.count, piece = task % pieces.count;
        if (tile != loaded) weights.load(0, loaded = tile, kernel);
        for (int64_t column = pieces.first(piece); column < pieces.first(piece + 1); ++column) {
          const int64_t before = found[task].size();
          work(tile, column, weights.rows(0), &found[task]);
          splits[tile * p_.columns() + column + 1] = int64_t(found[task].size()) - before;
        }
      }
    });
    for (int64_t i = 0; i < lists_; ++i) splits[i + 1] += splits[i];
    const Crossings<T> crossings = record->crossings(splits.size(), splits[lists_], splits[lists_]);
    std::copy(splits.begin(), splits.end(), crossings.splits.data);
    parallel_(tasks, 10 * (1 + splits[lists_] / std::max<int64_t>(tasks, 1)), [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) {
        int64_t k = splits[task / pieces.count * p_.columns() + pieces.first(task % pieces.count)];
        for (const Crossing<T>& crossing : found[task]) {
          crossings.places[k] = crossing.place;
          crossings.decays[k] = T(1) / crossing.growth;
          crossings.slopes[k++] = crossing.slope;
        }
      }
    });
  }

  const Problem p_;
  const int64_t tiles_, lists_;
  const Parallel parallel_;
};

}  // namespace

// Few units fit into tiles of one or two registers.
template <class T>
std::unique_ptr<Layer<T>> layer(const Problem& p, const Parallel& parallel) {
  if (p.units <= Tile<T, 1>::width) return std::make_unique<TiledLayer<Tile<T, 1>>>(p, parallel);
  if (p.units <= Tile<T, 2>::width) return std::make_unique<TiledLayer<Tile<T, 2>>>(p, parallel);
  return std::make_unique<TiledLayer<WideTile<T>>>(p, parallel);
}

template std::unique_ptr<Layer<float>> layer(const Problem&, const Parallel&);
template std::unique_ptr<Layer<double>> layer(const Problem&, const Parallel&);

}  // namespace bats::cpu
