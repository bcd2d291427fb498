// Finds the input spikes of the columns and puts them in time order.
#ifndef TTFS_KERAS_EVENTS_H_
#define TTFS_KERAS_EVENTS_H_

#include <vector>

#include "lanes.h"
#include "lists.h"

namespace bats {

// An input spike of a column; see Event.
template <class T>
struct Arrival {
  T time;
  int32_t row, slot;
};

// Sorts by time. Non-negative floats sort as the integers that their bits spell: a stable radix sort, a byte at a time,
// that skips bytes in which all keys agree.
template <class T>
void sort_by_time(std::vector<Arrival<T>>* items, std::vector<Arrival<T>>* scratch) {
  auto digit = [](const Arrival<T>& item, size_t byte) {
    uint64_t bits = 0;
    std::memcpy(&bits, &item.time, sizeof(T));  // little-endian: the low bytes
    return bits >> (8 * byte) & 255;
  };
  uint32_t counts[sizeof(T)][256] = {};
  for (const Arrival<T>& item : *items)
    for (size_t byte = 0; byte < sizeof(T); ++byte) ++counts[byte][digit(item, byte)];
  scratch->resize(items->size());
  for (size_t byte = 0; byte < sizeof(T); ++byte) {
    if (items->empty() || counts[byte][digit(items->front(), byte)] == items->size()) continue;
    Arrival<T>* next[256];
    Arrival<T>* start = scratch->data();
    for (int i = 0; i < 256; start += counts[byte][i++]) next[i] = start;
    for (const Arrival<T>& item : *items) *next[digit(item, byte)]++ = item;
    items->swap(*scratch);
  }
}

template <class T>
class Gatherer {
 public:
  // Appends the spikes before `end` in the receptive field of a column, in time order; those at equal times keep the
  // order of their slots. Returns the number of times that are neither inf nor 0 or later: negative ones and NaN.
  int64_t gather(const Problem& p, const T* times, int64_t column, T end, std::vector<Arrival<T>>* arrivals) {
    const T* sample = times + column / p.positions() * p.sample_slots();
    const int64_t y = column % p.positions() / p.out_width(), x = column % p.positions() % p.out_width();
    const int64_t span = p.channels * p.slots;  // contiguous, a kernel position's worth
    int64_t bad = 0;
    found_.resize(span + kAtOnce);
    for (int64_t place = 0; place < p.kernel_height * p.kernel_width; ++place) {
      const int64_t first = ((y + place / p.kernel_width) * p.width + x + place % p.kernel_width) * span;
      const T* slots = sample + first;
      int64_t found = 0, k = 0;
      for (; k + Tile<T>::width <= span; k += Tile<T>::width) {  // most slots are empty: a tile of them at once
        Hits<T> spikes, valid;
        for (int v = 0; v < Tile<T>::vectors; ++v) {
          Lanes<T> lanes;
          std::memcpy(&lanes, slots + k + v * Tile<T>::lanes, sizeof(lanes));
          valid[v] = lanes >= T(0);
          spikes[v] = (lanes < end) & valid[v];
        }
        bad += Tile<T>::width - __builtin_popcountll(valid.lanes());
        uint64_t left = spikes.lanes();
        const int64_t after = found + __builtin_popcountll(left);
        // How many are found is hard to predict: several are written without asking.
        for (; found < after; found += kAtOnce) {
          for (int i = 0; i < kAtOnce; ++i, left &= left - 1) found_[found + i] = int32_t(k) + __builtin_ctzll(left | kTop);
        }
        found = after;
      }
      for (; k < span; ++k) {
        bad += !(slots[k] >= T(0));
        found_[found] = int32_t(k);
        found += slots[k] >= T(0) && slots[k] < end;
      }
      arrivals->resize(arrivals->size() + found);
      Arrival<T>* arrival = arrivals->data() + arrivals->size() - found;
      for (int64_t i = 0; i < found; ++i) {
        arrival[i].time = slots[found_[i]] + T(0);  // -0.0 + 0.0 is 0.0: the sign bit must not disturb the order of keys
        arrival[i].row = int32_t(place * p.channels) + found_[i] / int32_t(p.slots);
        arrival[i].slot = int32_t(first) + found_[i];
      }
    }
    sort_by_time(arrivals, &scratch_);
    return bad;
  }

 private:
  static constexpr int kAtOnce = 4;
  static constexpr uint64_t kTop = uint64_t(1) << 63;

  std::vector<Arrival<T>> scratch_;
  std::vector<int32_t> found_;
};

// Writes the events that arrivals in time order make until `end`.
template <class T>
void list_events(const std::vector<Arrival<T>>& arrivals, T end, T tau, Event<T>* events) {
  for (size_t i = 0; i < arrivals.size(); ++i) {
    const Arrival<T>& now = arrivals[i];
    const T step = (i + 1 < arrivals.size() ? arrivals[i + 1].time : end) - now.time;
    const T growth = growth_over(step, tau);
    events[i] = {now.time, growth, T(1) / growth, now.row, now.slot};
  }
}

}  // namespace bats

#endif  // TTFS_KERAS_EVENTS_H_
