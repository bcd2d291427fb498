// Finds the input spikes of a column and puts them in time order.
#ifndef TTFS_KERAS_EVENTS_H_
#define TTFS_KERAS_EVENTS_H_

#include <algorithm>
#include <cstring>
#include <vector>

#include "problem.h"

namespace bats {

// Sorts by `time`. Non-negative floats sort as the integers that their bits spell: a stable radix sort, a byte at a time,
// that skips bytes in which all keys agree.
template <class Item>
void sort_by_time(std::vector<Item>* items, std::vector<Item>* scratch) {
  constexpr size_t bytes = sizeof(Item::time);
  auto digit = [](const Item& item, size_t byte) {
    uint64_t bits = 0;
    std::memcpy(&bits, &item.time, bytes);  // little-endian: the low bytes
    return bits >> (8 * byte) & 255;
  };
  scratch->resize(items->size());
  for (size_t byte = 0; byte < bytes; ++byte) {
    size_t starts[257] = {};
    for (const Item& item : *items) ++starts[digit(item, byte) + 1];
    if (!items->empty() && starts[digit(items->front(), byte) + 1] == items->size()) continue;
    for (int i = 0; i < 256; ++i) starts[i + 1] += starts[i];
    for (const Item& item : *items) (*scratch)[starts[digit(item, byte)]++] = item;
    items->swap(*scratch);
  }
}

// An input spike of a column; see Event.
template <class T>
struct Arrival {
  T time;
  int32_t row, slot;
};

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
    slots_.resize(span);
    for (int64_t place = 0; place < p.kernel_height * p.kernel_width; ++place) {
      const int64_t first = ((y + place / p.kernel_width) * p.width + x + place % p.kernel_width) * span;
      int64_t found = 0;
      for (int64_t block = 0; block < span; block += kBlock) {
        const int64_t size = std::min(kBlock, span - block);
        const T* slots = sample + first + block;
        if (size == kBlock && empty(slots, end)) continue;
        for (int64_t k = 0; k < size; ++k) {
          bad += !(slots[k] >= T(0));
          slots_[found] = int32_t(block + k);  // kept if it is a spike: no branch to mispredict
          found += slots[k] >= T(0) && slots[k] < end;
        }
      }
      for (int64_t i = 0; i < found; ++i) {
        const int32_t row = int32_t(place * p.channels) + slots_[i] / int32_t(p.slots);
        const int32_t slot = int32_t(first) + slots_[i];
        // -0.0 + 0.0 is 0.0: the sign bit must not disturb the order of keys.
        arrivals->push_back({sample[slot] + T(0), row, slot});
      }
    }
    sort_by_time(arrivals, &scratch_);
    return bad;
  }

 private:
  // Most slots are empty: 32 bytes of them are looked at together.
  using Block __attribute__((vector_size(32))) = T;
  static constexpr int64_t kBlock = sizeof(Block) / sizeof(T);

  static bool empty(const T* slots, T end) {
    Block times;
    std::memcpy(&times, slots, sizeof(Block));
    const auto late = times >= end;
    int64_t words[4];
    std::memcpy(words, &late, sizeof(Block));
    return (words[0] & words[1] & words[2] & words[3]) == -1;
  }

  std::vector<Arrival<T>> scratch_;
  std::vector<int32_t> slots_;
};

// Writes the events that arrivals in time order make until `end`.
template <class T>
void list_events(const std::vector<Arrival<T>>& arrivals, T end, T tau, Event<T>* events) {
  for (size_t i = 0; i < arrivals.size(); ++i) {
    const Arrival<T>& now = arrivals[i];
    const T step = (i + 1 < arrivals.size() ? arrivals[i + 1].time : end) - now.time;
    // Without an end no growth is asked for after the last event.
    const T growth = step < kInfinity<T> ? growth_over(step, tau) : T(1);
    events[i] = {now.time, growth, T(1) / growth, now.row, now.slot};
  }
}

}  // namespace bats

#endif  // TTFS_KERAS_EVENTS_H_
