// What the CPU kernels make of a layer.
#ifndef TTFS_KERAS_TESTING_ON_CPU_H_
#define TTFS_KERAS_TESTING_ON_CPU_H_

#include <algorithm>
#include <memory>
#include <vector>

#include "../cpu.h"
#include "layer.h"

namespace bats {

// What a forward kernel records, in exactly as much memory as it asks for: address sanitizers see the end of it.
template <class T>
class Found final : public Record<T> {
 public:
  Events<T> events(int64_t splits, int64_t events) override {
    events_ = {array<int64_t>(splits), array<EventPlace>(events), array<T>(events)};
    return events_;
  }
  Crossings<T> crossings(int64_t splits, int64_t crossings, int64_t slopes) override {
    crossings_ = {array<int64_t>(splits), array<CrossingPlace>(crossings), array<T>(crossings), array<T>(slopes)};
    return crossings_;
  }
  const Events<T>& events() const { return events_; }
  const Crossings<T>& crossings() const { return crossings_; }

 private:
  template <class Item>
  Array<Item> array(int64_t size) {
    std::shared_ptr<Item[]> memory(new Item[size]);
    memory_.push_back(memory);
    return {memory.get(), size};
  }

  std::vector<std::shared_ptr<void>> memory_;
  Events<T> events_;
  Crossings<T> crossings_;
};

// Moves the crossings to where the trains are now, each to the last event before it.
template <class T>
void move_crossings(const Case& c, const Data<T>& data, const Results<T>& r, const Found<T>& found) {
  struct Moved {
    CrossingPlace place;
    T decay, slope;
  };
  const Problem& p = c.p;
  const Events<T>& events = found.events();
  const Crossings<T>& crossings = found.crossings();
  for (int64_t list = 0; list + 1 < crossings.splits.size; ++list) {
    const int64_t column = list % p.columns();
    const T* sample = data.inputs.data() + column / p.positions() * p.sample_slots();
    auto event_time = [&](int32_t event) { return sample[events.places[events.splits[column] + event].slot]; };
    std::vector<Moved> moved;
    std::vector<int64_t> next(p.units);  // spike of each unit
    for (int64_t i = crossings.splits[list]; i < crossings.splits[list + 1]; ++i) {
      auto [place, decay, slope] = Moved{crossings.places[i], crossings.decays[i], crossings.slopes[i]};
      const int64_t at = (column * p.units + place.unit) * p.max_spikes + next[place.unit]++;
      if (r.times[at] != r.trains[at]) {
        while (place.event >= 0 && event_time(place.event) >= r.trains[at]) --place.event;
        decay = T(0);  // without a cause, without an effect
        if (place.event >= 0) decay = std::exp((event_time(place.event) - r.trains[at]) / T(c.n.tau));
        place.event = std::max(place.event, 0);
      }
      moved.push_back({place, decay, slope});
    }
    std::stable_sort(moved.begin(), moved.end(),
                     [](const Moved& x, const Moved& y) { return x.place.event < y.place.event; });
    int64_t i = crossings.splits[list];
    for (const auto& [place, decay, slope] : moved) {
      crossings.places[i] = place;
      crossings.decays[i] = decay;
      crossings.slopes[i++] = slope;
    }
  }
}

// The gradients of a layer, or of its peaks.
template <class T>
std::vector<T> backward_on_cpu(const Problem& p, const Neuron& n, T min_slope, const Data<T>& data,
                               const std::vector<T>& times, const Found<T>& found, std::vector<T>* kernel_gradient,
                               std::vector<T>* times_gradient, const cpu::Parallel& parallel) {
  const auto layer = cpu::layer<T>(p, parallel);
  std::vector<T> q(found.crossings().places.size);
  std::vector<Totals<T>> totals(layer->groups());
  layer->coefficients(n, min_slope, times.data(), data.gradient.data(), found.crossings(), q.data(), totals.data());
  const Backward<T> from{
      data.inputs.data(), times.data(), found.events(), found.crossings(), {q.data(), int64_t(q.size())}};
  layer->kernel_gradient(n, from, kernel_gradient->data());
  layer->times_gradient(n, data.kernel.data(), from, times_gradient->data());
  return sum(totals);
}

template <class T>
Results<T> on_cpu(const Case& c, const Data<T>& data, const cpu::Parallel& parallel) {
  const Problem& p = c.p;
  const Neuron& n = c.n;
  Results<T> r(p);
  const T *inputs = data.inputs.data(), *kernel = data.kernel.data();
  Found<T> spikes, peaks;
  cpu::layer<T>(p, parallel)->spikes(n, inputs, kernel, r.times.data(), r.counts.data(), &r.overflow, &spikes);
  r.slopes.assign(r.slopes.size(), T(0));
  const Crossings<T>& crossings = spikes.crossings();
  for (int64_t list = 0; list + 1 < crossings.splits.size; ++list) {
    const int64_t column = list % p.columns();
    std::vector<int64_t> next(p.units);  // spike of each unit
    for (int64_t i = crossings.splits[list]; i < crossings.splits[list + 1]; ++i) {
      const auto& [event, unit] = crossings.places[i];
      const int64_t neuron = column * p.units + unit, index = next[unit]++, slot = neuron * p.max_spikes + index;
      const EventPlace& cause = spikes.events().places[spikes.events().splits[column] + event];
      expect(r.times[slot] < kInfinity<T> && index < r.counts[neuron], "a crossing is no spike");
      expect(r.times[slot] > inputs[column / p.positions() * p.sample_slots() + cause.slot],
             "a spike is not after its cause");
      r.slopes[slot] = crossings.slopes[i];
    }
  }
  r.trains = moved_onto_inputs(p, data.inputs, r.times);
  move_crossings(c, data, r, spikes);
  r.totals =
      backward_on_cpu(p, n, kMinSlope<T>, data, r.trains, spikes, &r.kernel_gradient, &r.times_gradient, parallel);
  const Problem one = with_max_spikes(p, 1);
  cpu::layer<T>(one, parallel)
      ->peaks(n, inputs, kernel, r.peak.data(), r.peak_times.data(), r.peak_slopes.data(), r.peak_slots.data(), &peaks);
  backward_on_cpu(one, n, T(0), data, r.peak_times, peaks, &r.peak_kernel_gradient, &r.peak_times_gradient, parallel);
  return r;
}

}  // namespace bats

#endif  // TTFS_KERAS_TESTING_ON_CPU_H_
