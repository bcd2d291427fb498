// The BATS kernels on the GPU. A thread is a neuron; the threads of a block share a column, and so its events.
#include "cuda.h"

#ifndef BATS_LAUNCH  // testing/host_execution.h has one of its own
#define BATS_LAUNCH(kernel, grid, block, stream, ...) kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)
#endif

namespace bats::cuda {
namespace {

constexpr int kLanes = 128;  // the most neurons of a block
constexpr int kChunk = 32;   // events that a block fetches at a time, one a thread: as many as the smallest has
constexpr int kGatherThreads = 256;
constexpr int kSharedEvents = 1024;  // lists up to this length are sorted in shared memory
constexpr int64_t kListBytes = int64_t(256) << 20;
constexpr int64_t kSumBytes = int64_t(64) << 20;
constexpr int64_t kSumThreads = int64_t(1) << 16;  // enough to occupy a GPU

// The input events of `columns` columns, starting with column `first`, in the workspace.
template <class T>
struct Lists {
  Event<T>* events;  // (columns, field)
  int32_t* counts;   // (columns)
  int64_t field;     // slots of a receptive field
  int64_t first, columns;
};

// The neuron of this thread where a block is one of `tiles` tiles of neurons of one column or one chunk of columns.
struct Lane {
  int64_t block, unit;  // which column or chunk, which neuron there
  int used;             // neurons of the tile
  bool active;          // whether there is such a neuron

  BATS_DEVICE static int64_t tiles(const Problem& p) { return (p.units + kLanes - 1) / kLanes; }

  __device__ explicit Lane(const Problem& p)
      : block(blockIdx.x / tiles(p)), unit(blockIdx.x % tiles(p) * kLanes + threadIdx.x),
        used(int(min(int64_t(kLanes), p.units - (unit - threadIdx.x)))), active(unit < p.units) {}
};

// Sorts by time and, at equal times, slot. No two events share both, so the result does not depend on the order before.
// All comparators of this bitonic network point upwards: what pads the list to a power of two would be +inf and would
// never move, so it need not exist.
template <class T>
__device__ void sort(Event<T>* events, int64_t count) {
  for (int64_t size = 2; size < 2 * count; size *= 2) {
    for (int64_t stride = size / 2; stride > 0; stride /= 2) {
      const int64_t mask = stride == size / 2 ? size - 1 : stride;
      for (int64_t i = threadIdx.x; 2 * i - (i & (stride - 1)) < count; i += blockDim.x) {
        const int64_t lower = 2 * i - (i & (stride - 1)), upper = lower ^ mask;
        if (upper >= count) continue;
        const Event<T> x = events[lower], y = events[upper];
        if (y.time < x.time || (y.time == x.time && y.slot < x.slot)) {
          events[lower] = y;
          events[upper] = x;
        }
      }
      __syncthreads();
    }
  }
}

// A block lists the spikes before `end` of its column, as find_inputs of cpu.cc does.
template <class T>
__global__ void gather(Problem p, const T* __restrict__ inputs, T end, T tau, Lists<T> lists) {
  __shared__ Event<T> shared[kSharedEvents];
  __shared__ int count;
  const int64_t column = lists.first + blockIdx.x;
  const int64_t y = column % p.positions() / p.out_width(), x = column % p.positions() % p.out_width();
  const T* corner = inputs + column / p.positions() * p.sample_slots();
  const int64_t corner_slot = (y * p.width + x) * p.channels * p.slots;
  Event<T>* events = lists.events + blockIdx.x * lists.field;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  // All of these are below 2^31, where a division is several times cheaper.
  const uint32_t field = lists.field, slots = p.slots, line = p.kernel_width * p.channels * p.slots;
  for (uint32_t i = threadIdx.x; i < field; i += blockDim.x) {
    const int64_t slot = corner_slot + i / line * p.width * p.channels * p.slots + i % line;
    const T time = corner[slot];
    if (time >= T(0) && time < end)
      events[atomicAdd(&count, 1)] = {time, T(0), T(0), int32_t(i / slots), int32_t(slot)};
  }
  __syncthreads();
  Event<T>* sorted = count <= kSharedEvents ? shared : events;
  if (sorted != events) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) sorted[i] = events[i];
  }
  __syncthreads();
  sort(sorted, count);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    if (sorted != events) events[i] = sorted[i];
    const T step = (i + 1 < count ? sorted[i + 1].time : end) - sorted[i].time;
    const T growth = step < kInfinity<T> ? growth_over(step, tau) : T(1);
    events[i].growth = growth;
    events[i].decay = T(1) / growth;
  }
  if (threadIdx.x == 0) lists.counts[blockIdx.x] = count;
}

// Calls visit(index, event, weight) for the events of the lane's column in time order. It would wait for each weight in
// turn, did it not ask for those of a whole chunk at once: of full length always, so that the loop can be unrolled.
template <class T, class Visit>
__device__ void for_each_event(const Problem& p, const Lists<T>& lists, const Lane& lane, const T* __restrict__ kernel,
                               Visit visit) {
  __shared__ Event<T> events[kChunk];
  __shared__ T weights[kChunk][kLanes];
  const Event<T>* list = lists.events + lane.block * lists.field;
  const int64_t count = lists.counts[lane.block];
  for (int64_t first = 0; first < count; first += kChunk) {
    const unsigned staged = unsigned(min(int64_t(kChunk), count - first));
    __syncthreads();  // the previous chunk has been read
    if (threadIdx.x < kChunk) events[threadIdx.x] = list[first + min(threadIdx.x, staged - 1)];
    __syncthreads();
    if (!lane.active) continue;
    for (int i = 0; i < kChunk; ++i) weights[i][threadIdx.x] = kernel[events[i].row * p.units + lane.unit];
    for (unsigned i = 0; i < staged; ++i) visit(first + i, events[i], weights[i][threadIdx.x]);
  }
}

template <class T>
__global__ void simulate(Problem p, Neuron n, Lists<T> lists, const T* __restrict__ kernel, T* times, int32_t* counts,
                         T* slopes, unsigned long long* overflow) {
  const Lane lane(p);
  const int64_t neuron = (lists.first + lane.block) * p.units + lane.unit;
  // All trains of the block, coalesced; for_each_event waits for everybody before a spike can overwrite any of it.
  const int64_t block_trains = (neuron - threadIdx.x) * p.max_spikes;
  for (int64_t i = threadIdx.x; i < lane.used * p.max_spikes; i += blockDim.x) {
    times[block_trains + i] = kInfinity<T>;
    slopes[block_trains + i] = T(0);
  }
  times += neuron * p.max_spikes;
  slopes += neuron * p.max_spikes;
  int32_t count = 0;
  bool truncated = false;
  const T c = T(n.threshold_rate), half = T(0.5) / c;
  const Event<T>* list = lists.events + lane.block * lists.field;
  const int64_t listed = lists.counts[lane.block];
  T a = T(0), b = T(0), decay = T(0);  // decay since the event before
  for_each_event(p, lists, lane, kernel, [&](int64_t index, const Event<T>& event, T weight) {
    a = a * (decay * decay) + weight;
    b = b * decay + weight;
    decay = event.decay;
    if (!(event.growth > T(1))) return;  // more input at the same time
    auto spike = [&](T growth, T slope) {
      truncated = count == p.max_spikes;
      if (truncated) return false;
      times[count] = spike_time(list, listed, index, growth, n);
      slopes[count++] = slope;
      return true;
    };
    if (lowest(a, b, c, half, event.growth) <= T(0)) b = T(fire(a, b, event.growth, n, spike));
  });
  if (!lane.active) return;
  counts[neuron] = count;
  if (truncated) atomicAdd(overflow, 1ULL);
}

template <class T>
__global__ void find_peaks(Problem p, Neuron n, Lists<T> lists, const T* __restrict__ kernel, T* peak, T* times,
                           T* slopes, int32_t* slots, T* ones) {
  const Lane lane(p);
  T a = T(0), b = T(0), best = -kInfinity<T>, at = T(0), slope = T(0);
  int64_t start = -1;
  for_each_event(p, lists, lane, kernel, [&](int64_t index, const Event<T>& event, T weight) {
    a += weight;
    b += weight;
    if (!(event.growth > T(1))) return;
    T value, where, rise;
    interval_peak(a, b, event.growth, event.decay, &value, &where, &rise);
    if (value > best) {
      best = value;
      at = where;
      start = index;
      slope = rise;
    }
    a *= event.decay * event.decay;
    b *= event.decay;
  });
  if (!lane.active) return;
  const int64_t neuron = (lists.first + lane.block) * p.units + lane.unit;
  peak[neuron] = T(n.tau) * best;
  const Event<T>* list = lists.events + lane.block * lists.field;
  const Peak<T> found = locate_peak(list, lists.counts[lane.block], start, at, slope, n);
  times[neuron] = found.time;
  slopes[neuron] = found.slope;
  slots[neuron] = found.slot;
  ones[neuron] = T(1);
}

template <class T>
__global__ void divide_by_slopes(Problem p, Neuron n, T min_slope, const T* times, const T* slopes, const T* gradient,
                                 T* q, Totals<T>* totals) {
  const int64_t neuron = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (neuron >= p.neurons()) return;
  const int64_t train = neuron * p.max_spikes;
  int64_t count = 0;
  while (count < p.max_spikes && times[train + count] < kInfinity<T>) ++count;
  for (int64_t k = train + count; k < train + p.max_spikes; ++k) q[k] = T(0);
  Totals<T> sum{T(0), T(0), T(0)};
  Adjoint<T> adjoint;
  for (int64_t k = train + count - 1; k >= train; --k)
    q[k] = adjoint.coefficient(times[k], slopes[k], gradient[k], min_slope, n, &sum);
  totals[neuron] = sum;
}

// A block sweeps backwards over the events of the columns of its chunk, as cpu.cc does, and adds to the chunk's own
// sums: the columns of a chunk come in order and nobody else writes there. The first group of columns starts from 0.
template <class T>
__global__ void sum_chunks(Problem p, T tau, Lists<T> lists, const T* __restrict__ times, const T* __restrict__ q,
                           int64_t chunks, T* __restrict__ sums) {
  __shared__ Event<T> events[kChunk];
  const Lane lane(p);
  T* sum = sums + lane.block * p.rows() * p.units + lane.unit;
  for (int64_t row = 0; lane.active && lists.first == 0 && row < p.rows(); ++row) sum[row * p.units] = T(0);
  const int64_t end = lists.columns * (lane.block + 1) / chunks;
  for (int64_t column = lists.columns * lane.block / chunks; column < end; ++column) {
    const int64_t train = ((lists.first + column) * p.units + lane.unit) * p.max_spikes;
    int64_t spikes = 0;
    while (lane.active && spikes < p.max_spikes && times[train + spikes] < kInfinity<T>) ++spikes;
    const Event<T>* list = lists.events + column * lists.field;
    int64_t before = spikes;  // spikes that the sweep has not passed yet, and the last of them
    T spike = before > 0 ? times[train + before - 1] : -kInfinity<T>;
    T l1 = T(0), l2 = T(0);
    for (int64_t left = lists.counts[column]; left > 0; left -= kChunk) {
      const unsigned staged = unsigned(min(int64_t(kChunk), left));
      __syncthreads();  // the previous chunk has been read
      if (threadIdx.x < staged) events[threadIdx.x] = list[left - 1 - threadIdx.x];
      __syncthreads();
      for (unsigned i = 0; i < staged; ++i) {
        l1 *= events[i].decay * events[i].decay;
        l2 *= events[i].decay;
        while (spike > events[i].time) {
          const T e = std::exp((events[i].time - spike) / tau), coefficient = q[train + --before];
          l1 += coefficient * e * e;
          l2 += coefficient * e;
          spike = before > 0 ? times[train + before - 1] : -kInfinity<T>;
        }
        if (before < spikes) sum[events[i].row * p.units] += l1 - l2;
      }
    }
  }
}

// Adds the chunks in order: the same bits in every run.
template <class T>
__global__ void add_chunks(int64_t size, int64_t chunks, T tau, const T* __restrict__ sums, T* gradient) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  T sum = T(0);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * size + i];
  gradient[i] = tau * sum;
}

// A thread is an input slot and looks at every later spike of the neurons that it reaches. A neuron spikes about once,
// so these are hardly more exponentials than a sweep has steps, without its lists, barriers and sums over neurons.
template <class T>
__global__ void gather_gradient(Problem p, T tau, const T* __restrict__ inputs, const T* __restrict__ kernel,
                                const T* __restrict__ times, const T* __restrict__ q, T* gradient) {
  const int64_t slot = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (slot >= p.batch * p.sample_slots()) return;
  const T time = inputs[slot];
  T sum = T(0);
  if (time >= T(0) && time < kInfinity<T>) {
    const int64_t pixel = slot / p.slots / p.channels, channel = slot / p.slots % p.channels;
    const int64_t sample = pixel / (p.height * p.width), y = pixel / p.width % p.height, x = pixel % p.width;
    const int64_t last_y = min(y, p.out_height() - 1), last_x = min(x, p.out_width() - 1);
    for (int64_t out_y = max(int64_t(0), y - p.kernel_height + 1); out_y <= last_y; ++out_y) {
      for (int64_t out_x = max(int64_t(0), x - p.kernel_width + 1); out_x <= last_x; ++out_x) {
        const int64_t row = ((y - out_y) * p.kernel_width + x - out_x) * p.channels + channel;
        const int64_t neuron = (sample * p.positions() + out_y * p.out_width() + out_x) * p.units;
        for (int64_t unit = 0; unit < p.units; ++unit) {
          const int64_t train = (neuron + unit) * p.max_spikes;
          for (int64_t k = train; k < train + p.max_spikes && times[k] < kInfinity<T>; ++k) {
            if (!(times[k] > time)) continue;
            const T e = std::exp((time - times[k]) / tau);
            sum += kernel[row * p.units + unit] * q[k] * (T(2) * e * e - e);
          }
        }
      }
    }
  }
  gradient[slot] = sum;
}

// Blocks in x only: as many as fit there are more than a GPU's memory has work for.
template <class... Parameters, class... Arguments>
const char* launch(void (*kernel)(Parameters...), int64_t blocks, int64_t threads, void* stream,
                   const Arguments&... arguments) {
  if (blocks == 0) return nullptr;
  if (blocks > std::numeric_limits<int32_t>::max()) return "more blocks than a CUDA grid holds";
  BATS_LAUNCH(kernel, unsigned(blocks), unsigned(threads), static_cast<cudaStream_t>(stream), arguments...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

// One thread for each of `count` things.
template <class... Parameters, class... Arguments>
const char* launch_each(void (*kernel)(Parameters...), int64_t count, void* stream, const Arguments&... arguments) {
  return launch(kernel, (count + kLanes - 1) / kLanes, kLanes, stream, arguments...);
}

// Whole warps.
int64_t threads(int64_t wanted, int64_t limit) { return min(limit, max(int64_t(1), (wanted + 31) / 32) * 32); }

int64_t field(const Problem& p) { return p.rows() * p.slots; }

template <class T>
int64_t list_bytes(const Problem& p) {
  return field(p) * sizeof(Event<T>) + sizeof(int32_t);
}

template <class T>
int64_t lists_bytes(const Problem& p) {
  return min(p.columns(), max(kListBytes / list_bytes<T>(p), int64_t(1))) * list_bytes<T>(p);
}

// More chunks occupy more threads and take more memory.
template <class T>
int64_t sum_count(const Problem& p) {
  const int64_t size = max(p.rows() * p.units, int64_t(1));
  const int64_t enough = kSumThreads / threads(p.units, kSumThreads);
  return min(p.columns(), max(min(enough, kSumBytes / (size * int64_t(sizeof(T)))), int64_t(1)));
}

// Lists the events of as many columns as the workspace holds, calls use(lists), and so on until all columns had their
// turn.
template <class T, class Use>
const char* for_each_group(const Problem& p, const T* inputs, T end, T tau, Workspace workspace, void* stream,
                           Use use) {
  const int64_t group = workspace.bytes / list_bytes<T>(p);
  if (group < 1 && p.columns() > 0) return "workspace too small for a column";
  Event<T>* events = static_cast<Event<T>*>(workspace.data);
  for (int64_t first = 0; first < p.columns(); first += group) {
    const int64_t columns = min(group, p.columns() - first);
    const Lists<T> lists{events, reinterpret_cast<int32_t*>(events + columns * field(p)), field(p), first, columns};
    const int64_t block = threads(field(p), kGatherThreads);
    if (const char* error = launch(gather<T>, columns, block, stream, p, inputs, end, tau, lists)) return error;
    if (const char* error = use(lists)) return error;
  }
  return nullptr;
}

}  // namespace

template <class T>
int64_t spikes_bytes(const Problem& p) {
  return lists_bytes<T>(p);
}

template <class T>
int64_t peaks_bytes(const Problem& p) {
  return lists_bytes<T>(p);
}

template <class T>
int64_t kernel_gradient_bytes(const Problem& p) {
  return lists_bytes<T>(p) + sum_count<T>(p) * p.rows() * p.units * sizeof(T);
}

template <class T>
const char* spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
                   T* slopes, int64_t* overflow, Workspace workspace, void* stream) {
  const cudaError_t error = cudaMemsetAsync(overflow, 0, sizeof(*overflow), static_cast<cudaStream_t>(stream));
  if (error != cudaSuccess) return cudaGetErrorString(error);
  return for_each_group(p, inputs, T(n.simulation_time), T(n.tau), workspace, stream, [&](const Lists<T>& lists) {
    return launch(simulate<T>, lists.columns * Lane::tiles(p), threads(p.units, kLanes), stream, p, n, lists, kernel,
                  times, counts, slopes, reinterpret_cast<unsigned long long*>(overflow));
  });
}

template <class T>
const char* coefficients(const Problem& p, const Neuron& n, T min_slope, const T* times, const T* slopes,
                         const T* gradient, T* q, Totals<T>* totals, void* stream) {
  return launch_each(divide_by_slopes<T>, p.neurons(), stream, p, n, min_slope, times, slopes, gradient, q, totals);
}

template <class T>
const char* kernel_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* times, const T* q, T* gradient,
                            Workspace workspace, void* stream) {
  const int64_t chunks = sum_count<T>(p), size = p.rows() * p.units;
  T* sums = static_cast<T*>(workspace.data);
  const Workspace rest{sums + chunks * size, workspace.bytes - chunks * size * int64_t(sizeof(T))};
  const char* error = for_each_group(p, inputs, kInfinity<T>, T(n.tau), rest, stream, [&](const Lists<T>& lists) {
    return launch(sum_chunks<T>, chunks * Lane::tiles(p), threads(p.units, kLanes), stream, p, T(n.tau), lists, times,
                  q, chunks, sums);
  });
  if (error) return error;
  return launch_each(add_chunks<T>, size, stream, size, chunks, T(n.tau), sums, gradient);
}

template <class T>
const char* times_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, const T* times,
                           const T* q, T* gradient, void* stream) {
  return launch_each(gather_gradient<T>, p.batch * p.sample_slots(), stream, p, T(n.tau), inputs, kernel, times, q,
                     gradient);
}

template <class T>
const char* peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
                  int32_t* slots, T* ones, Workspace workspace, void* stream) {
  return for_each_group(p, inputs, T(n.simulation_time), T(n.tau), workspace, stream, [&](const Lists<T>& lists) {
    return launch(find_peaks<T>, lists.columns * Lane::tiles(p), threads(p.units, kLanes), stream, p, n, lists, kernel,
                  peak, times, slopes, slots, ones);
  });
}

#define BATS_INSTANTIATE(T)                                                                                            \
  template int64_t spikes_bytes<T>(const Problem&);                                                                    \
  template int64_t kernel_gradient_bytes<T>(const Problem&);                                                           \
  template int64_t peaks_bytes<T>(const Problem&);                                                                     \
  template const char* spikes<T>(const Problem&, const Neuron&, const T*, const T*, T*, int32_t*, T*, int64_t*,        \
                                 Workspace, void*);                                                                    \
  template const char* coefficients<T>(const Problem&, const Neuron&, T, const T*, const T*, const T*, T*, Totals<T>*, \
                                       void*);                                                                         \
  template const char* kernel_gradient<T>(const Problem&, const Neuron&, const T*, const T*, const T*, T*, Workspace,  \
                                          void*);                                                                      \
  template const char* times_gradient<T>(const Problem&, const Neuron&, const T*, const T*, const T*, const T*, T*,    \
                                         void*);                                                                       \
  template const char* peaks<T>(const Problem&, const Neuron&, const T*, const T*, T*, T*, T*, int32_t*, T*,           \
                                Workspace, void*);

BATS_INSTANTIATE(float)
BATS_INSTANTIATE(double)

}  // namespace bats::cuda
