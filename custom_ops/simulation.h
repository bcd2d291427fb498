// A tile of neurons of a column: forwards its spikes, backwards the sums over them that the gradients are made of.
#ifndef TTFS_KERAS_SIMULATION_H_
#define TTFS_KERAS_SIMULATION_H_

#include <vector>

#include "lanes.h"
#include "layer.h"

namespace bats::cpu {

// An output spike as it is found.
template <class T>
struct Crossing {
  CrossingPlace place;
  T growth;  // E at the spike, relative to the event
  T slope;   // du/dt
};

// Simulates the tile.
template <class Tile>
struct Simulation {
  using T = typename Tile::Number;

  T* times;  // (neurons of the tile, capacity)
  int32_t* counts;
  int64_t capacity;
  int first, used;  // unit, and how many
  std::vector<Crossing<T>>* crossings;
  int64_t truncated;  // neurons whose train was full

  // Integrates the events; `rows` are those of the tile's kernel.
  void run(const Neuron& n, const std::vector<Event<T>>& events, const Lanes<T>* rows) {
    const T c = T(n.threshold_rate), half = T(0.5) / c;
    const size_t before = crossings->size();
    std::fill_n(times, used * capacity, kInfinity<T>);
    std::fill_n(counts, used, 0);
    Tile a, b;
    T decay = T(0);  // since the event before
    for (const Event<T>& event : events) {
      const Lanes<T>* w = rows + int64_t(event.row) * Tile::vectors;
      for (int v = 0; v < Tile::vectors; ++v) {
        a.v[v] = a.v[v] * (decay * decay) + w[v];
        b.v[v] = b.v[v] * decay + w[v];
      }
      decay = event.decay;
      const T growth = event.growth;
      if (!(growth > T(1))) continue;  // more input at the same time
      Hits<Tile> hits;
      for (int v = 0; v < Tile::vectors; ++v) hits[v] = at_most<T>(lowest(a.v[v], b.v[v], c, half, growth), Lanes<T>());
      if (hits.any()) {
        const Tile drive = a, before = b;  // copies, so that a and b can stay in registers
        b = fire_lanes(hits.lanes(used), drive, before, growth, int32_t(&event - events.data()), n);
      }
    }
    for (auto crossing = crossings->begin() + before; crossing != crossings->end(); ++crossing) {
      const auto& [event, unit, index] = crossing->place;
      times[(unit - first) * capacity + index] =
          spike_time(events.data(), int64_t(events.size()), event, crossing->growth, n);
    }
  }

  // Adds the spikes of the neurons in those lanes, except for their times, which take logarithms, and returns b after the
  // resets. A function of its own, so that the registers belong to the loop, which calls it for one in several events.
  __attribute__((noinline)) Tile fire_lanes(uint64_t lanes, const Tile& a, const Tile& b, T last, int32_t event,
                                            const Neuron& n) {
    Tile after = b;
    for (; lanes; lanes &= lanes - 1) {
      const int lane = __builtin_ctzll(lanes);
      auto spike = [&](T growth, T slope) {
        if (counts[lane] == capacity) {
          ++truncated;
          return false;
        }
        crossings->push_back({{event, first + lane, counts[lane]++}, growth, slope});
        return true;
      };
      const T before = lane_array(b)[lane];
      add_to_lane(&after, lane, T(fire(lane_array(a)[lane], before, last, n, spike) - before));
    }
    return after;
  }
};

// Goes backwards over the events of a column and calls visit(place, l1, l2) for each with, for every neuron of the tile,
// l1 = sum q exp(-2 (t_k - t_j)/tau) and l2 = sum q exp(-(t_k - t_j)/tau) over its spikes t_k after the event.
template <class Tile, class T, class Visit>
void sweep(const Backward<T>& from, int64_t column, int64_t tile, int64_t list, Visit visit) {
  const Crossings<T>& crossings = from.crossings;
  const int64_t first = crossings.splits[list], start = from.events.splits[column];
  int64_t next = crossings.splits[list + 1];  // the crossing before it is the next one to add
  if (next == first) return;
  Tile l1, l2;
  for (int32_t i = crossings.places[next - 1].event; i >= 0; --i) {
    const T decay = from.events.decays[start + i], decay_squared = decay * decay;
    for (int v = 0; v < Tile::vectors; ++v) {
      l1.v[v] *= decay_squared;
      l2.v[v] *= decay;
    }
    for (; next != first && crossings.places[next - 1].event == i; --next) {
      const int lane = crossings.places[next - 1].unit - int(tile * Tile::width);
      const T since = crossings.decays[next - 1], q = from.coefficients[next - 1];
      add_to_lane(&l1, lane, q * since * since);
      add_to_lane(&l2, lane, q * since);
    }
    visit(from.events.places[start + i], l1, l2);
  }
}

}  // namespace bats::cpu

#endif  // TTFS_KERAS_SIMULATION_H_
