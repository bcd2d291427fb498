// Times the CUDA kernels on a GPU, on the layers of real networks, after a comparison with the CPU kernels.
#include <algorithm>
#include <thread>

#include "comparison.h"
#include "networks.h"
#include "timer.h"

namespace bats {
namespace {

// One piece for each thread of the CPU.
void threaded(int64_t total, int64_t, const std::function<void(int64_t, int64_t)>& work) {
  const int64_t count = std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, std::max<int64_t>(total, 1));
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < count; ++i)
    if (total > 0) threads.emplace_back(work, total * i / count, total * (i + 1) / count);
  for (std::thread& thread : threads) thread.join();
}

// All arrays of a layer and of its gradients on the device.
struct Arrays {
  OnDevice<float> inputs, kernel, gradient, times, slopes, q, kernel_gradient, times_gradient;
  OnDevice<float> peak, peak_times, peak_slopes, ones;
  OnDevice<int32_t> counts, slots;
  OnDevice<int64_t> overflow;
  OnDevice<Totals<float>> totals;

  Arrays(const Problem& p, const Data<float>& data)
      : inputs(data.inputs), kernel(data.kernel), gradient(data.gradient), times(p.neurons() * p.max_spikes),
        slopes(p.neurons() * p.max_spikes), q(p.neurons() * p.max_spikes), kernel_gradient(p.rows() * p.units),
        times_gradient(p.batch * p.sample_slots()), peak(p.neurons()), peak_times(p.neurons()),
        peak_slopes(p.neurons()), ones(p.neurons()), counts(p.neurons()), slots(p.neurons()), overflow(1),
        totals(p.neurons()) {}
};

// The fewest bytes that each kernel must move: each input read once, each output written once, but of padded trains
// only the spikes.
struct Bytes {
  int64_t spikes, coefficients, kernel_gradient, times_gradient, peaks;

  Bytes(const Problem& p, const std::vector<int32_t>& counts) {
    int64_t found = 0;
    for (int32_t count : counts) found += count;
    const int64_t inputs = p.batch * p.sample_slots(), kernel = p.rows() * p.units, neurons = p.neurons();
    spikes = 4 * (inputs + kernel + neurons * p.max_spikes + neurons + found);
    coefficients = 4 * (4 * found + 3 * neurons);
    kernel_gradient = 4 * (inputs + 2 * found + kernel);
    times_gradient = 4 * (inputs + 2 * found + kernel + inputs);
    peaks = 4 * (inputs + kernel + 5 * neurons);
  }
};

struct Table {
  double bandwidth;  // bytes/s
  double step = 0;   // microseconds
  int64_t step_bytes = 0;

  void row(const std::string& name, double time, int64_t bytes, const char* note) {
    std::printf("  %-32s %10.2f us %10.3f MB %7.1f %%%s\n", name.c_str(), time, 1e-6 * double(bytes),
                100 * 1e6 * double(bytes) / time / bandwidth, note);
  }
};

// Times the five calls on a layer; the first layer of a network needs no gradient by its input times.
void time(const Case& c, const Data<float>& data, const std::vector<int32_t>& counts, bool first, Table* table) {
  const Problem& p = c.p;
  const Neuron& n = c.n;
  const Bytes bytes(p, counts);
  // So many sets of arrays that none is in the cache when its turn comes.
  const int64_t cache = device::cache_bytes(), set = bytes.kernel_gradient + p.neurons() * p.max_spikes * 4;
  const int64_t count = std::clamp<int64_t>(2 * cache / std::max<int64_t>(set, 1) + 2, 2, 48);
  const char* note = count * set < cache ? "  (in L2)" : "";
  std::vector<Arrays> sets;
  sets.reserve(count);
  for (int64_t i = 0; i < count; ++i) sets.emplace_back(p, data);
  const Space space(
      std::max({cuda::spikes_bytes<float>(p), cuda::kernel_gradient_bytes<float>(p), cuda::peaks_bytes<float>(p)}));
  auto measure = [&](const char* name, int64_t moved, bool in_step, auto call) {
    const double time = device::microseconds(count, [&](int64_t i, void* stream) { expect_ok(call(sets[i], stream)); });
    table->row(name, time, moved, note);
    if (!in_step) return;
    table->step += time;
    table->step_bytes += moved;
  };
  measure("spikes", bytes.spikes, true, [&](const Arrays& a, void* stream) {
    return cuda::spikes(p, n, a.inputs.get(), a.kernel.get(), a.times.get(), a.counts.get(), a.slopes.get(),
                        a.overflow.get(), space, stream);
  });
  measure("coefficients", bytes.coefficients, true, [&](const Arrays& a, void* stream) {
    return cuda::coefficients(p, n, kMinSlope<float>, a.times.get(), a.slopes.get(), a.gradient.get(), a.q.get(),
                              a.totals.get(), stream);
  });
  measure("kernel gradient", bytes.kernel_gradient, true, [&](const Arrays& a, void* stream) {
    return cuda::kernel_gradient(p, n, a.inputs.get(), a.times.get(), a.q.get(), a.kernel_gradient.get(), space,
                                 stream);
  });
  measure(first ? "times gradient (not in the sum)" : "times gradient", bytes.times_gradient, !first,
          [&](const Arrays& a, void* stream) {
            return cuda::times_gradient(p, n, a.inputs.get(), a.kernel.get(), a.times.get(), a.q.get(),
                                        a.times_gradient.get(), stream);
          });
  measure("peaks (not in the sum)", bytes.peaks, false, [&](const Arrays& a, void* stream) {
    return cuda::peaks(p, n, a.inputs.get(), a.kernel.get(), a.peak.get(), a.peak_times.get(), a.peak_slopes.get(),
                       a.slots.get(), a.ones.get(), space, stream);
  });
  auto same = [&](auto array) {
    const auto once = (sets.front().*array).read();
    for (const Arrays& a : sets) expect(same_bits((a.*array).read(), once), "timed calls differ in their results");
  };
  same(&Arrays::times);
  same(&Arrays::kernel_gradient);
  same(&Arrays::times_gradient);
  same(&Arrays::peak);
}

void run(int64_t largest_batch) {
  Table table{device::copy_bandwidth()};
  std::printf("Large copy on the device: %.0f GB/s, read and written\n", 1e-9 * table.bandwidth);
  std::printf("Float; medians of replayed graphs; MB: the fewest that must move, and their share of that bandwidth\n");
  for (const Network& network : networks()) {
    if (network.batch > largest_batch) continue;
    std::mt19937_64 random(1);
    Trains in = images(network.batch, &random);
    table.step = 0;
    table.step_bytes = 0;
    std::printf("\n%s, batch %ld\n", network.name.c_str(), long(network.batch));
    for (const NetworkLayer& layer : network.layers) {
      Data<float> data;
      const Case c = layer_of(network, layer, in, &random, &data);
      now = c.name;
      const Results<float> cpu = on_cpu(c, data, threaded);
      attempt([&] { compare(c, data, cpu); });
      int64_t spikes = 0;
      for (int32_t count : cpu.counts) spikes += count;
      std::printf(" %s: %ld inputs a neuron, %ld spikes a sample\n", layer.name, long(c.p.rows()),
                  long(spikes / network.batch));
      attempt([&] { time(c, data, cpu.counts, &layer == &network.layers.front(), &table); });
      std::fflush(stdout);
      in = next(c.p, layer.kernel > 0, cpu.times);
    }
    table.row("training step", table.step, table.step_bytes, "");
  }
  std::printf("\nThe results of these layers: ");
  attempt(report);
}

}  // namespace
}  // namespace bats

// The argument is the largest batch.
int main(int count, char** arguments) {
  std::string why_none;
  const std::string name = bats::device::name(&why_none);
  if (name.empty()) return std::printf("There is no GPU: %s.\n", why_none.c_str()), bats::device::kNone;
  std::printf("%s\n", name.c_str());
  bats::attempt([&] { bats::run(count > 1 ? std::atoll(arguments[1]) : 512); });
  return bats::failures > 0;
}
