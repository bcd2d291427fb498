// What happens to a tile of neurons of a column: its spikes, and backwards what they say about the events before them.
#ifndef TTFS_KERAS_SIMULATION_H_
#define TTFS_KERAS_SIMULATION_H_

#include <vector>

#include "cpu.h"
#include "lanes.h"

namespace bats::cpu {

// Simulates the tile.
template <class Tile>
struct Simulation {
  using T = typename Tile::Number;

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
        b = fire_lanes(hits.lanes(used), drive, before, growth, int32_t(&event - events.begin()), n);
      }
    }
    for (auto crossing = crossings->begin() + before; crossing != crossings->end(); ++crossing) {
      crossing->time = spike_time(events.begin(), events.size(), crossing->event, crossing->growth, n);
      times[crossing->lane * capacity + crossing->index] = crossing->time;
    }
  }

  // Adds the spikes of the neurons in those lanes, but for their times, which take logarithms, and returns b after the
  // resets. A function of its own, so that the registers belong to the loop that calls it in one of several events.
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
        crossings->push_back({event, lane, counts[lane]++, T(0), growth, slope});
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
template <class Tile, class T, class Visit>
void sweep(const List<Event<T>> events, const List<Echo<T>> echoes, Visit visit) {
  if (echoes.size() == 0) return;
  Tile l1, l2;
  const Echo<T>* next = echoes.end();
  for (int32_t i = next[-1].event; i >= 0; --i) {
    const T decay = events[i].decay, decay_squared = decay * decay;
    for (int v = 0; v < Tile::vectors; ++v) {
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

}  // namespace bats::cpu

#endif  // TTFS_KERAS_SIMULATION_H_
