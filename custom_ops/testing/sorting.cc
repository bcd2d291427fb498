// Times sort_by_time of events.h beside std::stable_sort, in turns: benchmarks/bats.py builds and runs it.
#include <chrono>
#include <cstdio>
#include <random>

#include "../events.h"

namespace bats {
namespace {

using Arrivals = std::vector<Arrival<float>>;

constexpr int kLists = 200, kRounds = 101;

template <class Sort>
double nanoseconds_each(const std::vector<Arrivals>& lists, Sort sort) {
  std::vector<Arrivals> copies = lists;
  const auto start = std::chrono::steady_clock::now();
  for (Arrivals& list : copies) sort(&list);
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  return took.count() / double(lists.size() * lists[0].size());
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Lists of so many spikes at random times within 0.2 s, in slot order as they are gathered.
void run(int size) {
  std::mt19937 random(size);
  std::uniform_real_distribution<float> uniform(0, 0.2f);
  std::vector<Arrivals> lists(kLists, Arrivals(size));
  for (Arrivals& list : lists)
    for (int i = 0; i < size; ++i) list[i] = {uniform(random), i, i};
  Arrivals scratch;
  auto radix = [&](Arrivals* list) { sort_by_time(list, &scratch); };
  auto standard = [](Arrivals* list) {
    std::stable_sort(list->begin(), list->end(), [](const auto& x, const auto& y) { return x.time < y.time; });
  };
  std::vector<double> own, other, ratios;
  for (int i = 0; i < kRounds; ++i) {
    own.push_back(nanoseconds_each(lists, radix));
    other.push_back(nanoseconds_each(lists, standard));
    ratios.push_back(other.back() / own.back());
  }
  std::printf("%d %.2f %.2f %.2f\n", size, median(own), median(other), median(ratios));
}

}  // namespace
}  // namespace bats

int main() {
  for (int size : {50, 100, 300, 1000, 5000}) bats::run(size);
}
