// Finds the input spikes of each column and sorts them by time.
#ifndef TTFS_KERAS_EVENTS_H_
#define TTFS_KERAS_EVENTS_H_

#include <utility>
#include <vector>

#include "lanes.h"

namespace bats {

// An input spike of a column; see EventPlace.
template <class T>
struct Arrival {
  T time;
  int32_t row, slot;
};

// Sorts by time and keeps the order of equal times. Long lists are sorted by radix: with std::stable_sort instead, a
// training step of the convolutional network of benchmarks/bats.py took 1.25 times as long, with std::sort 1.3 times.
// (784-800-10: no difference.) Non-negative floats have the order of the integers with the same bits; the digits are
// those of the difference from the least key.
template <class T>
void sort_by_time(std::vector<Arrival<T>>* items, std::vector<Arrival<T>>* scratch) {
  using Key = std::conditional_t<sizeof(T) == sizeof(uint32_t), uint32_t, uint64_t>;
  constexpr int kDigit = 9, kValues = 1 << kDigit, kDigits = (8 * sizeof(Key) + kDigit - 1) / kDigit, kFew = 64;
  if (items->size() < kFew) {
    std::stable_sort(items->begin(), items->end(), [](const auto& x, const auto& y) { return x.time < y.time; });
    return;
  }
  auto key = [](const Arrival<T>& item) {
    Key bits;
    std::memcpy(&bits, &item.time, sizeof(bits));
    return bits;
  };
  Key least = key(items->front()), largest = least;
  for (const Arrival<T>& item : *items) {
    least = std::min(least, key(item));
    largest = std::max(largest, key(item));
  }
  uint32_t places[kDigits][kValues];  // counts of each value of a digit, then where its next item goes
  int digits = 0;
  for (Key left = largest - least; left; left >>= kDigit) std::fill_n(places[digits++], kValues, 0);
  for (const Arrival<T>& item : *items) {
    Key left = key(item) - least;
    for (int digit = 0; digit < digits; ++digit, left >>= kDigit) ++places[digit][left % kValues];
  }
  scratch->resize(items->size());
  for (int digit = 0; digit < digits; ++digit) {
    uint32_t next = 0;
    for (uint32_t& place : places[digit]) next += std::exchange(place, next);
    for (const Arrival<T>& item : *items)
      (*scratch)[places[digit][(key(item) - least) >> (digit * kDigit) & (kValues - 1)]++] = item;
    items->swap(*scratch);
  }
}

template <class T>
class Gatherer {
  using Tile = WideTile<T>;

 public:
  // Appends the spikes before `end` in the receptive field of a column, in time order; those at equal times keep the
  // order of their slots. Where a time is NaN, all are. Returns how many times are negative.
  int64_t gather(const Problem& p, const T* times, int64_t column, T end, std::vector<Arrival<T>>* arrivals) {
    const T* sample = times + column / p.positions() * p.sample_slots();
    const int64_t y = column % p.positions() / p.out_width(), x = column % p.positions() % p.out_width();
    const int64_t pixel = p.channels * p.slots, span = p.kernel_width * pixel;  // contiguous, a kernel row's worth
    const double rows_per_slot = 1.0 / double(p.slots);
    int64_t negative = 0, nan = 0;
    found_.resize(span + kAtOnce);
    for (int64_t line = 0; line < p.kernel_height; ++line) {
      const int64_t first = ((y + line) * p.width + x) * pixel;
      const T* slots = sample + first;
      const int64_t found = find(slots, span, end, &negative, &nan);
      arrivals->resize(arrivals->size() + found);
      Arrival<T>* arrival = arrivals->data() + arrivals->size() - found;
      for (int64_t i = 0; i < found; ++i) {
        arrival[i].time = slots[found_[i]] + T(0);  // turns -0.0 into 0.0, whose key is 0
        // An integer division, but faster; with the 0.5 no index below 2^31 is rounded into another row.
        arrival[i].row = int32_t(line * p.kernel_width * p.channels) + int32_t((found_[i] + 0.5) * rows_per_slot);
        arrival[i].slot = int32_t(first) + found_[i];
      }
    }
    if (nan) {
      for (Arrival<T>& arrival : *arrivals) arrival.time = kNaN<T>;
    } else if (!negative) {
      sort_by_time(arrivals, &scratch_);
    }
    return negative;
  }

 private:
  static constexpr int kAtOnce = 4;
  static constexpr uint64_t kTop = uint64_t(1) << 63;

  // Lists in found_ the indices of the times before `end` or NaN, counts times that are negative or NaN, and returns
  // the number found.
  int64_t find(const T* times, int64_t size, T end, int64_t* negative, int64_t* nan) {
    const Lanes<T> zero = {}, ends = zero + end;
    Truths<T> valid = at_most<T>(zero, zero);
    int64_t found = 0, k = 0;
    for (; k + Tile::width <= size; k += Tile::width) {  // most slots are empty: test a whole tile at once
      Hits<Tile> spikes;
      for (int v = 0; v < Tile::vectors; ++v) {
        Lanes<T> lanes;
        std::memcpy(&lanes, times + k + v * Tile::lanes, sizeof(lanes));
        valid &= at_most<T>(zero, lanes);
        spikes[v] = ~at_most<T>(ends, lanes);
      }
      uint64_t left = spikes.lanes();
      const int64_t after = found + __builtin_popcountll(left);
      // A branch for each spike would be mispredicted often: several indices are written at once, needed or not.
      do {
        for (int i = 0; i < kAtOnce; ++i, left &= left - 1)
          found_[found + i] = int32_t(k) + __builtin_ctzll(left | kTop);
        found += kAtOnce;
      } while (found < after);
      found = after;
    }
    for (; k < size; ++k) {
      found_[found] = int32_t(k);
      found += !(times[k] >= end);
    }
    const int64_t checked = bits<T>(~valid) ? 0 : size - size % Tile::width;
    for (const T* time = times + checked; time < times + size; ++time) {
      *negative += *time < T(0);
      *nan += *time != *time;
    }
    return found;
  }

  std::vector<Arrival<T>> scratch_;
  std::vector<int32_t> found_;
};

}  // namespace bats

#endif  // TTFS_KERAS_EVENTS_H_
