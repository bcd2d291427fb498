// The simulation of a tile of neurons of a column, and the backward sweep over its events.
#ifndef TTFS_KERAS_SIMULATION_H_
#define TTFS_KERAS_SIMULATION_H_

#include <vector>

#include "events.h"
#include "layer.h"

namespace bats::cpu {

// The input spikes of a column in time order; see `Events`.
template <class T>
struct Column {
  const Arrival<T>* arrivals;
  const T *growths, *decays;
  int32_t size;
};

// An output spike as it is found.
template <class T>
struct Crossing {
  CrossingPlace place;
  int32_t index;  // in the spike train
  T growth;       // E at the spike, relative to the event
  T slope;        // du/dt
};

// Simulates the tile.
template <class Tile>
struct Simulation {
  using T = typename Tile::Number;

  T* times;  // (neurons of the tile, max_spikes)
  int32_t* counts;
  int64_t max_spikes;
  int first, used;  // unit, and how many
  std::vector<Crossing<T>>* crossings;
  int64_t truncated;  // neurons whose train was full

  // Integrates the events; `rows` are those of the tile's kernel.
  void run(const Neuron& n, const Column<T> events, const Lanes<T>* rows) {
    const T c = T(n.threshold_rate), half = T(0.5) / c;
    const size_t before = crossings->size();
    std::fill_n(times, used * max_spikes, kInfinity<T>);
    std::fill_n(counts, used, 0);
    Tile a, b;
    T decay = T(0);  // since the event before
    for (int32_t i = 0; i < events.size; ++i) {
      const Lanes<T>* w = rows + int64_t(events.arrivals[i].row) * Tile::vectors;
      for (int v = 0; v < Tile::vectors; ++v) {
        a.v[v] = a.v[v] * (decay * decay) + w[v];
        b.v[v] = b.v[v] * decay + w[v];
      }
      decay = events.decays[i];
      const T growth = events.growths[i];
      if (!(growth > T(1))) continue;  // the next input comes at the same time
      Hits<Tile> hits;
      for (int v = 0; v < Tile::vectors; ++v) hits[v] = at_most<T>(lowest(a.v[v], b.v[v], c, half, growth), Lanes<T>());
      if (hits.any()) {
        const Tile drive = a, before = b;  // a and b can stay in registers, as only copies have an address
        b = fire_lanes(hits.lanes(used), drive, before, growth, i, n);
      }
    }
    for (auto crossing = crossings->begin() + before; crossing != crossings->end(); ++crossing) {
      const auto& [event, unit] = crossing->place;
      times[(unit - first) * max_spikes + crossing->index] =
          spike_time(events.arrivals, events.size, event, crossing->growth, n);
    }
    for (int v = 0; v < Tile::vectors; ++v) a.v[v] *= decay;  // NaN if a time is
    if (const uint64_t lanes = lanes_not_finite(a, used)) make_nan(lanes, before, events.size - 1);
  }

  // Puts one crossing in place of those of the neurons in those lanes: it makes their gradients NaN.
  __attribute__((noinline)) void make_nan(uint64_t lanes, size_t before, int32_t last_event) {
    auto is_nan = [&](const Crossing<T>& crossing) { return lanes >> (crossing.place.unit - first) & 1; };
    crossings->erase(std::remove_if(crossings->begin() + before, crossings->end(), is_nan), crossings->end());
    for (; lanes; lanes &= lanes - 1) {
      const int lane = __builtin_ctzll(lanes);
      std::fill_n(times + lane * max_spikes, max_spikes, kNaN<T>);
      counts[lane] = 0;
      crossings->push_back({{last_event, first + lane}, 0, kNaN<T>, kNaN<T>});
    }
  }

  // Adds the spikes of the neurons in those lanes, except for their times, which take logarithms, and returns b after
  // the resets. Not inlined: it is called for one in several events, and the loop over events needs the registers.
  __attribute__((noinline)) Tile fire_lanes(uint64_t lanes, const Tile& a, const Tile& b, T last, int32_t event,
                                            const Neuron& n) {
    Tile after = b;
    for (; lanes; lanes &= lanes - 1) {
      const int lane = __builtin_ctzll(lanes);
      auto spike = [&](T growth, T slope) {
        if (counts[lane] == max_spikes) {
          ++truncated;
          return false;
        }
        crossings->push_back({{event, first + lane}, counts[lane]++, growth, slope});
        return true;
      };
      const T before = lane_array(b)[lane];
      add_to_lane(&after, lane, T(fire(lane_array(a)[lane], before, last, n, spike) - before));
    }
    return after;
  }
};

// Goes backwards over the events of a column and calls visit(place, l1, l2) for each with, for every neuron of the
// tile, l1 = sum q exp(-2 (t_k - t_j)/tau) and l2 = sum q exp(-(t_k - t_j)/tau) over its spikes t_k after the event.
template <class Tile, class T, class Visit>
void sweep(const Backward<T>& from, int64_t column, int64_t tile, int64_t list, Visit visit) {
  const int64_t start = from.events.splits[column], first = from.crossings.splits[list];
  int64_t next = from.crossings.splits[list + 1];  // the crossing before it is the next one to add
  if (next == first) return;
  const EventPlace* events = from.events.places.data + start;
  const T* decays = from.events.decays.data + start;
  const CrossingPlace* crossings = from.crossings.places.data;
  const T *sinces = from.crossings.decays.data, *coefficients = from.coefficients.data;
  const int unit = int(tile * Tile::width);  // the first
  Tile l1, l2;
  for (int32_t i = crossings[next - 1].event; i >= 0; --i) {
    const T decay = decays[i], decay_squared = decay * decay;
    for (int v = 0; v < Tile::vectors; ++v) {
      l1.v[v] *= decay_squared;
      l2.v[v] *= decay;
    }
    for (; next != first && crossings[next - 1].event == i; --next) {
      const int lane = crossings[next - 1].unit - unit;
      const T since = sinces[next - 1], q = coefficients[next - 1];
      add_to_lane(&l1, lane, q * since * since);
      add_to_lane(&l2, lane, q * since);
    }
    visit(events[i], l1, l2);
  }
}

}  // namespace bats::cpu

#endif  // TTFS_KERAS_SIMULATION_H_
