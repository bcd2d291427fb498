// What the CPU kernels make of a layer.
#ifndef TTFS_KERAS_TESTING_ON_CPU_H_
#define TTFS_KERAS_TESTING_ON_CPU_H_

#include <algorithm>
#include <memory>

#include "../cpu.h"
#include "layer.h"

namespace bats {

// What a forward kernel leaves in exactly as much memory as it asks for: address sanitizers see the end of it.
class Memory {
 public:
  Allocate allocate() {
    return [this](int64_t bytes) {
      bytes_ = bytes;
      data_.reset(new char[bytes]);
      return data_.get();
    };
  }
  template <class Item>
  Lists<Item> lists(int64_t count) const {
    expect(Lists<Item>::fit(count, data_.get(), bytes_), "lists do not fit their memory");
    expect(!Lists<Item>::fit(count, data_.get(), bytes_ + 1), "lists fit memory of another size");
    return {count, data_.get()};
  }

 private:
  int64_t bytes_ = 0;
  std::unique_ptr<char[]> data_;
};

// What the CPU's backward pass starts from: the events of a layer and its spikes.
struct Found {
  Memory events, crossings;
  cpu::Record record() { return {events.allocate(), crossings.allocate()}; }
};

// Moves the crossings to where the trains are now, each to the last event before it.
template <class T>
void move_crossings(const Problem& p, const Neuron& n, const std::vector<T>& trains, Found* found) {
  const Lists<Event<T>> events = found->events.lists<Event<T>>(p.columns());
  const int64_t count = cpu::trains_lists<T>(p), tiles = count / std::max<int64_t>(p.columns(), 1);
  const Lists<cpu::Crossing<T>> crossings = found->crossings.lists<cpu::Crossing<T>>(count);
  const int64_t width = cpu::tile_width<T>(p);
  std::vector<int64_t> starts{0};
  std::vector<cpu::Crossing<T>> moved;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t column = 0; column < p.columns(); ++column) {
      for (cpu::Crossing<T> crossing : crossings[tile * p.columns() + column]) {
        const int64_t neuron = column * p.units + tile * width + crossing.lane;
        const T time = trains[neuron * p.capacity + crossing.index];
        if (crossing.time == time) {
          moved.push_back(crossing);
          continue;
        }
        crossing.time = time;
        const List<Event<T>> list = events[column];
        while (crossing.event >= 0 && list[crossing.event].time >= crossing.time) --crossing.event;
        crossing.growth = kInfinity<T>;  // without a cause, without an effect
        if (crossing.event >= 0) crossing.growth = std::exp((crossing.time - list[crossing.event].time) / T(n.tau));
        crossing.event = std::max(crossing.event, 0);
        moved.push_back(crossing);
      }
      auto by_event = [](const auto& x, const auto& y) { return x.event < y.event; };
      std::stable_sort(moved.begin() + starts.back(), moved.end(), by_event);
      starts.push_back(int64_t(moved.size()));
    }
  }
  auto [memory, items] = Lists<cpu::Crossing<T>>::room(starts.data(), count, found->crossings.allocate());
  std::copy(moved.begin(), moved.end(), items);
}

// The gradients of a layer, or of its peaks.
template <class T>
std::vector<T> backward_on_cpu(const Problem& p, const Neuron& n, T min_slope, const Data<T>& data, const T* upstream,
                               const Found& found, std::vector<T>* kernel_gradient, std::vector<T>* times_gradient,
                               const cpu::Parallel& parallel) {
  const int64_t count = cpu::trains_lists<T>(p);
  Memory memory;
  std::vector<Totals<T>> totals(count);
  cpu::coefficients(p, n, min_slope, found.crossings.lists<cpu::Crossing<T>>(count), upstream, memory.allocate(),
                    totals.data(), parallel);
  const Lists<Event<T>> events = found.events.lists<Event<T>>(p.columns());
  const Lists<cpu::Echo<T>> echoes = memory.lists<cpu::Echo<T>>(count);
  expect(cpu::belong(p, found.crossings.lists<cpu::Crossing<T>>(count)) && cpu::belong(p, events, echoes),
         "lists do not belong to their layer");
  cpu::kernel_gradient(p, n, events, echoes, kernel_gradient->data(), parallel);
  cpu::times_gradient(p, data.kernel.data(), events, echoes, times_gradient->data(), parallel);
  return sum(totals);
}

template <class T>
Results<T> on_cpu(const Case& c, const Data<T>& data, const cpu::Parallel& parallel) {
  const Problem& p = c.p;
  const Neuron& n = c.n;
  Results<T> r(p);
  const T *inputs = data.inputs.data(), *kernel = data.kernel.data();
  Found spikes, peaks;
  expect(cpu::spikes(p, n, inputs, kernel, r.times.data(), r.counts.data(), &r.overflow, parallel, spikes.record()) ==
             0, "good input times are refused");
  r.slopes.assign(r.slopes.size(), T(0));
  const int64_t count = cpu::trains_lists<T>(p);
  const Lists<Event<T>> events = spikes.events.lists<Event<T>>(p.columns());
  for (int64_t list = 0; list < count; ++list) {
    for (const cpu::Crossing<T>& crossing : spikes.crossings.lists<cpu::Crossing<T>>(count)[list]) {
      const int64_t tile = list / p.columns(), column = list % p.columns();
      const int64_t neuron = column * p.units + tile * cpu::tile_width<T>(p) + crossing.lane;
      const int64_t slot = neuron * p.capacity + crossing.index;
      expect(r.times[slot] == crossing.time && crossing.index < r.counts[neuron], "a crossing is no spike");
      expect(crossing.time > events[column][crossing.event].time, "a spike is not after its cause");
      r.slopes[slot] = crossing.slope;
    }
  }
  r.trains = moved_onto_inputs(p, data.inputs, r.times);
  move_crossings(p, n, r.trains, &spikes);
  r.totals = backward_on_cpu(p, n, kMinSlope<T>, data, data.gradient.data(), spikes, &r.kernel_gradient,
                             &r.times_gradient, parallel);
  cpu::peaks(p, n, inputs, kernel, r.peak.data(), r.peak_times.data(), r.peak_slopes.data(), r.peak_slots.data(),
             parallel, peaks.record());
  backward_on_cpu(with_capacity(p, 1), n, T(0), data, data.gradient.data(), peaks, &r.peak_kernel_gradient,
                  &r.peak_times_gradient, parallel);
  return r;
}

}  // namespace bats

#endif  // TTFS_KERAS_TESTING_ON_CPU_H_
