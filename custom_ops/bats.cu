// The BATS kernels on the GPU. A thread is a neuron; the threads of a block share a column, and so its events.
#include "cuda.h"

#ifndef BATS_LAUNCH  // testing/host_execution.h has one of its own
#define BATS_LAUNCH(kernel, grid, block, stream, ...) kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)
#endif

#ifdef __CUDACC__
#define BATS_UNROLL _Pragma("unroll")
#else
#define BATS_UNROLL
#endif

namespace bats::cuda {
namespace {

constexpr int kLanes = 128;         // the most neurons of a block
constexpr int kStagedEvents = 128;  // the most events that a block fetches at a time
constexpr int kStagedWeights = 4096;
constexpr int kFetch = 8;  // weights that a thread asks for at a time
constexpr int kGatherThreads = 512;
constexpr int kSharedEvents = 2560;  // lists up to this length are sorted in shared memory
constexpr int kAhead = 4;            // input slots that a thread asks for at a time
constexpr uint32_t kWeights = 4;     // of a thread that sums them up
constexpr int kShare = 8;            // threads that share an input slot
constexpr int kWarp = 32;
constexpr int kPartial = 8;  // sums of chunks at a time
constexpr int64_t kListBytes = int64_t(256) << 20;
constexpr int64_t kEchoBytes = int64_t(64) << 20;
constexpr int64_t kSumThreads = int64_t(1) << 17;  // enough to occupy a GPU
constexpr int64_t kMostChunks = 256;
constexpr int64_t kMost32 = std::numeric_limits<uint32_t>::max() / 2;

// The input events of `columns` columns, starting with column `first`, in the workspace.
template <class T>
struct Lists {
  Event<T>* events;  // (columns, field)
  int32_t* counts;   // (columns), -1 where a time is NaN
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

// An input spike of a column; see Event.
template <class T>
struct Arrival {
  T time;
  int32_t row, slot;
};

// Sorts by time and, at equal times, slot. No two events share both, so the result does not depend on the order before.
// All comparators of this bitonic network point upwards: what pads the list to a power of two would be +inf and would
// never move, so it need not exist.
template <class Spike>
__device__ void sort(Spike* events, int64_t count) {
  for (int64_t size = 2; size < 2 * count; size *= 2) {
    for (int64_t stride = size / 2; stride > 0; stride /= 2) {
      const int64_t mask = stride == size / 2 ? size - 1 : stride;
      for (int64_t i = threadIdx.x; 2 * i - (i & (stride - 1)) < count; i += blockDim.x) {
        const int64_t lower = 2 * i - (i & (stride - 1)), upper = lower ^ mask;
        if (upper >= count) continue;
        const Spike x = events[lower], y = events[upper];
        if (y.time < x.time || (y.time == x.time && y.slot < x.slot)) {
          events[lower] = y;
          events[upper] = x;
        }
      }
      __syncthreads();
    }
  }
}

template <class T>
__device__ void copy(const Arrival<T>& from, Event<T>* to) {
  to->time = from.time;
  to->row = from.row;
  to->slot = from.slot;
}

template <class T>
__device__ void copy(const Event<T>&, Event<T>*) {}  // which are in place

// Writes the events that spikes make until `end`, in time order.
template <class T, class Spike>
__device__ void list_sorted(Spike* spikes, int count, T end, T tau, Event<T>* events) {
  sort(spikes, count);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    const T step = (i + 1 < count ? spikes[i + 1].time : end) - spikes[i].time;
    const T growth = step < kInfinity<T> ? growth_over(step, tau) : T(1);
    copy(spikes[i], &events[i]);
    events[i].growth = growth;
    events[i].decay = T(1) / growth;
  }
}

// A block lists the spikes before `end` of its column, as Gatherer and list_events of events.h do.
template <class T>
__global__ void gather(Problem p, const T* __restrict__ inputs, T end, T tau, Lists<T> lists) {
  __shared__ Arrival<T> shared[kSharedEvents];
  __shared__ int count;
  __shared__ bool nan;
  const int64_t column = lists.first + blockIdx.x;
  const int64_t y = column % p.positions() / p.out_width(), x = column % p.positions() % p.out_width();
  const T* corner = inputs + column / p.positions() * p.sample_slots();
  const int64_t corner_slot = (y * p.width + x) * p.channels * p.slots;
  Event<T>* events = lists.events + blockIdx.x * lists.field;
  if (threadIdx.x == 0) {
    count = 0;
    nan = false;
  }
  __syncthreads();
  // All of these are below 2^31, where a division is several times cheaper.
  const uint32_t field = lists.field, slots = p.slots, line = p.kernel_width * p.channels * p.slots;
  for (uint32_t first = threadIdx.x; first < field; first += kAhead * blockDim.x) {
    T ahead[kAhead];  // asked for before the first is waited for
    BATS_UNROLL
    for (uint32_t k = 0; k < kAhead; ++k) {
      const uint32_t i = first + k * blockDim.x;
      ahead[k] = i < field ? corner[corner_slot + i / line * p.width * p.channels * p.slots + i % line] : kInfinity<T>;
    }
    BATS_UNROLL
    for (uint32_t k = 0; k < kAhead; ++k) {
      if (ahead[k] != ahead[k]) nan = true;
      if (!(ahead[k] >= T(0) && ahead[k] < end)) continue;
      const uint32_t i = first + k * blockDim.x;
      const int place = atomicAdd(&count, 1);
      const int64_t slot = corner_slot + i / line * p.width * p.channels * p.slots + i % line;
      const Arrival<T> arrival{ahead[k], int32_t(i / slots), int32_t(slot)};
      if (place < kSharedEvents)
        shared[place] = arrival;
      else
        copy(arrival, &events[place]);
    }
  }
  __syncthreads();
  const int found = count;
  if (found <= kSharedEvents) {
    list_sorted(shared, found, end, tau, events);
  } else {
    for (int i = threadIdx.x; i < kSharedEvents; i += blockDim.x) copy(shared[i], &events[i]);
    __syncthreads();
    list_sorted(events, found, end, tau, events);
  }
  if (threadIdx.x == 0) lists.counts[blockIdx.x] = nan ? -1 : found;
}

// Calls visit(index, event, weight) for the events of the lane's column in time order. All threads of the block, of
// which a narrow layer has more than neurons, fetch the next events and their weights first: no thread waits for each
// weight in turn.
template <class T, class Visit>
__device__ void for_each_event(const Problem& p, const Lists<T>& lists, const Lane& lane, const T* __restrict__ kernel,
                               Visit visit) {
  __shared__ Event<T> events[kStagedEvents];
  __shared__ T weights[kStagedWeights];
  int shift = 0;  // weights of an event are a power of two apart
  while (1 << shift < lane.used) ++shift;
  const unsigned column = threadIdx.x & ((1u << shift) - 1), step = blockDim.x >> shift;
  const unsigned at_once = min(unsigned(kStagedEvents), unsigned(kStagedWeights) >> shift);
  const T* unit = kernel + (lane.unit - threadIdx.x + column);
  const Event<T>* list = lists.events + lane.block * lists.field;
  const int64_t count = lists.counts[lane.block];
  for (int64_t first = 0; first < count; first += at_once) {
    const unsigned staged = unsigned(min(int64_t(at_once), count - first));
    __syncthreads();  // the events before have been read
    for (unsigned i = threadIdx.x; i < staged; i += blockDim.x) events[i] = list[first + i];
    __syncthreads();
    for (unsigned i = threadIdx.x >> shift; i < staged && column < unsigned(lane.used); i += kFetch * step) {
      T fetched[kFetch];
      BATS_UNROLL
      for (unsigned k = 0; k < kFetch; ++k) fetched[k] = unit[events[min(i + k * step, staged - 1)].row * p.units];
      BATS_UNROLL
      for (unsigned k = 0; k < kFetch; ++k)
        if (i + k * step < staged) weights[((i + k * step) << shift) + column] = fetched[k];
    }
    __syncthreads();
    for (unsigned i = 0; lane.active && i < staged; ++i)
      visit(first + i, events[i], weights[(i << shift) + threadIdx.x]);
  }
}

// Whether a neuron of a column with so many events, which ends with this `a`, is NaN.
template <class T>
__device__ bool is_nan(int64_t events, T a) {
  return events < 0 || a - a != T(0);
}

template <class T>
__global__ void simulate(Problem p, Neuron n, Lists<T> lists, const T* __restrict__ kernel, T* times, int32_t* counts,
                         T* slopes, unsigned long long* overflow) {
  const Lane lane(p);
  const int64_t neuron = (lists.first + lane.block) * p.units + lane.unit;
  const Event<T>* list = lists.events + lane.block * lists.field;
  const int64_t listed = lists.counts[lane.block];
  // All trains of the block, coalesced; for_each_event waits for everybody before a spike can overwrite any of it.
  const int64_t block_trains = (neuron - threadIdx.x) * p.max_spikes;
  for (int64_t i = threadIdx.x; i < lane.used * p.max_spikes; i += blockDim.x)
    times[block_trains + i] = listed < 0 ? kNaN<T> : kInfinity<T>;
  times += neuron * p.max_spikes;
  slopes += neuron * p.max_spikes;
  int32_t count = 0;
  bool truncated = false;
  const T c = T(n.threshold_rate), half = T(0.5) / c;
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
  const bool nan = is_nan(listed, a);
  for (int64_t k = 0; nan && k < p.max_spikes; ++k) times[k] = slopes[k] = kNaN<T>;
  counts[neuron] = nan ? 0 : count;
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
    if (!(event.growth > T(1))) return;  // more input at the same time
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
  const Event<T>* list = lists.events + lane.block * lists.field;
  const int64_t listed = lists.counts[lane.block];
  const bool nan = is_nan(listed, a);
  peak[neuron] = nan ? kNaN<T> : T(n.tau) * best;
  const Peak<T> found = nan ? Peak<T>{kNaN<T>, kNaN<T>, -1} : locate_peak(list, listed, start, at, slope, n);
  times[neuron] = found.time;
  slopes[neuron] = found.slope;
  slots[neuron] = found.slot;
  ones[neuron] = T(1);
}

// Whether an input time has a gradient: it is a spike or NaN.
template <class T>
__device__ bool is_event(T time) {
  return !(time < T(0) || time == kInfinity<T>);
}

// How many of the slots of a train are not empty.
template <class T>
__device__ int64_t spikes_of(const T* train, int64_t max_spikes) {
  int64_t count = 0;
  while (count < max_spikes && train[count] != kInfinity<T>) ++count;
  return count;
}

template <class T>
__global__ void divide_by_slopes(Problem p, Neuron n, T min_slope, const T* times, const T* slopes, const T* gradient,
                                 T* q, Totals<T>* totals) {
  const int64_t neuron = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (neuron >= p.neurons()) return;
  const int64_t train = neuron * p.max_spikes;
  const int64_t count = spikes_of(times + train, p.max_spikes);
  Totals<T> sum{T(0), T(0), T(0)};
  Adjoint<T> adjoint;
  for (int64_t k = train + count - 1; k >= train; --k)
    q[k] = adjoint.coefficient(times[k], slopes[k], gradient[k], min_slope, n, &sum);
  totals[neuron] = sum;
}

// What the spikes of the neurons of some columns add to the kernel's gradient, transposed: neighbouring threads, which
// are neighbouring neurons, read neighbouring memory, and only where there are spikes.
template <class T>
struct Echoes {
  T *times, *l1, *l2;  // (columns, max_spikes, units); sums as in list_echoes
  int32_t* counts;     // (columns, units)
  int64_t first, columns;
};

// For each spike t_k of a neuron, l1 = sum q_m exp(-2 (t_m - t_k)/tau) and l2 = sum q_m exp(-(t_m - t_k)/tau) over it
// and the later spikes t_m.
template <class T>
__global__ void list_echoes(Problem p, T tau, const T* __restrict__ times, const T* __restrict__ q, Echoes<T> echoes) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= echoes.columns * p.units) return;
  const int64_t train = (echoes.first * p.units + i) * p.max_spikes;
  const int64_t count = spikes_of(times + train, p.max_spikes);
  echoes.counts[i] = int32_t(count);
  int64_t place = i / p.units * p.max_spikes * p.units + i % p.units + count * p.units;
  T l1 = T(0), l2 = T(0), next = T(0);
  for (int64_t k = count - 1; k >= 0; --k) {
    const T time = times[train + k], coefficient = q[train + k];
    const T e = k + 1 < count ? std::exp((time - next) / tau) : T(0);
    l1 = l1 * (e * e) + coefficient;
    l2 = l2 * e + coefficient;
    next = time;
    place -= p.units;
    echoes.times[place] = time;
    echoes.l1[place] = l1;
    echoes.l2[place] = l2;
  }
}

// Weights of a thread of sum_weights: of one row, and so many neurons apart.
BATS_DEVICE inline int64_t weights_apart(const Problem& p) { return (p.units + kWeights - 1) / kWeights; }

// A thread has some weights of a row and a chunk of the columns. Of each input spike there it finds, in the neurons of
// its weights, what the later spikes add, and keeps the sums: no other thread adds to them, and the order is the same
// in every run. The first columns start from 0. All numbers but those of memory are below 2^32.
template <class T>
__global__ void sum_weights(Problem p, T tau, const T* __restrict__ inputs, Echoes<T> echoes, uint32_t chunks, T scale,
                            T* sums) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, apart = uint32_t(weights_apart(p)),
                 units = uint32_t(p.units);
  const uint32_t chunk = i / (uint32_t(p.rows()) * apart), place = i % (uint32_t(p.rows()) * apart);
  if (chunk >= chunks) return;
  const uint32_t row = place / apart, unit = place % apart, line = uint32_t(p.kernel_width * p.channels);
  const uint32_t columns = uint32_t(echoes.columns), share = (columns + chunks - 1) / chunks;
  const uint32_t first = min(chunk * share, columns), end = min(first + share, columns);
  // Where in the image the next column is, and how far it is to the one after.
  const uint32_t out_width = uint32_t(p.out_width()), out_height = uint32_t(p.out_height());
  const uint32_t position = uint32_t(echoes.first) + first, slots = uint32_t(p.slots);
  uint32_t x = position % out_width, y = position / out_width % out_height;
  const int64_t pixel = p.channels * p.slots, to_line = (p.width - out_width + 1) * pixel;
  const int64_t to_sample = p.sample_slots() - ((out_height - 1) * p.width + out_width - 1) * pixel;
  const T* from = inputs + position / out_width / out_height * p.sample_slots() + (y * p.width + x) * pixel +
                  (row / line * p.width * p.channels + row % line) * p.slots;
  sums += int64_t(chunk) * p.rows() * units + int64_t(row) * units + unit;
  T sum[kWeights];
  BATS_UNROLL
  for (uint32_t w = 0; w < kWeights; ++w)
    sum[w] = echoes.first > 0 && unit + w * apart < units ? sums[w * apart] : T(0);
  for (uint32_t column = first, slot = 0; column < end;) {
    // Several input slots are asked for before the first is waited for.
    T ahead[kAhead];
    uint32_t where[kAhead];
    BATS_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      ahead[k] = column < end ? from[slot] : kInfinity<T>;
      where[k] = column;
      if (++slot < slots) continue;
      slot = 0;
      ++column;
      const bool last = ++x == out_width;
      x = last ? 0 : x;
      y += last;
      const bool bottom = y == out_height;
      y = bottom ? 0 : y;
      from += bottom ? to_sample : last ? to_line : pixel;
    }
    BATS_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      const T time = ahead[k];
      if (!is_event(time)) continue;
      const int32_t* counts = echoes.counts + int64_t(where[k]) * units + unit;
      int32_t count[kWeights];
      BATS_UNROLL
      for (uint32_t w = 0; w < kWeights; ++w) count[w] = unit + w * apart < units ? counts[w * apart] : 0;
      const int64_t trains = int64_t(where[k]) * p.max_spikes * units + unit;
      BATS_UNROLL
      for (uint32_t w = 0; w < kWeights; ++w) {
        const int64_t train = trains + w * apart;
        int32_t later = 0, last = count[w];  // the first spike after the input is in between
        while (later < last) {
          const int32_t middle = (later + last) / 2;
          if (echoes.times[train + int64_t(middle) * units] <= time)
            later = middle + 1;
          else  // NaN too
            last = middle;
        }
        if (later == count[w]) continue;
        const int64_t at = train + int64_t(later) * units;
        const T e = std::exp((time - echoes.times[at]) / tau);
        sum[w] += (echoes.l1[at] * e - echoes.l2[at]) * e;
      }
    }
  }
  BATS_UNROLL
  for (uint32_t w = 0; w < kWeights; ++w)
    if (unit + w * apart < units) sums[w * apart] = scale * sum[w];
}

// Adds the chunks, some of them to each of several sums and then these: always in the same order.
template <class T>
__global__ void add_chunks(int64_t size, int64_t chunks, T tau, const T* __restrict__ sums, T* gradient) {
  __shared__ T partial[kPartial][kWarp];
  const int lane = int(threadIdx.x) % kWarp, part = int(threadIdx.x) / kWarp;
  const int64_t i = int64_t(blockIdx.x) * kWarp + lane;
  T sum = T(0);
  for (int64_t chunk = part; i < size && chunk < chunks; chunk += kPartial) sum += sums[chunk * size + i];
  partial[part][lane] = sum;
  __syncthreads();
  if (part > 0 || i >= size) return;
  for (int k = 1; k < kPartial; ++k) sum += partial[k][lane];
  gradient[i] = tau * sum;
}

// A block has kLanes input slots of a sample. Several threads share a slot with a spike, and look at every later spike
// of the neurons that it reaches. A neuron spikes about once, so these are hardly more exponentials than a sweep has
// steps, without its lists.
template <class T>
__global__ void gather_gradient(Problem p, T tau, const T* __restrict__ inputs, const T* __restrict__ kernel,
                                const T* __restrict__ times, const T* __restrict__ q, T* gradient) {
  __shared__ uint32_t spikes[kLanes];
  __shared__ T parts[kLanes];
  __shared__ int count;
  const uint32_t tiles = uint32_t((p.sample_slots() + kLanes - 1) / kLanes);
  const int64_t sample = blockIdx.x / tiles;
  const uint32_t own = blockIdx.x % tiles * kLanes + threadIdx.x;  // these are below 2^31, see gather
  inputs += sample * p.sample_slots();
  gradient += sample * p.sample_slots();
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (own < p.sample_slots()) {
    if (is_event(inputs[own]))
      spikes[atomicAdd(&count, 1)] = own;
    else
      gradient[own] = T(0);
  }
  __syncthreads();
  const int found = count, part = int(threadIdx.x) % kShare;
  const uint32_t slots = uint32_t(p.slots), channels = uint32_t(p.channels), width = uint32_t(p.width);
  for (int first = 0; first < found; first += kLanes / kShare) {
    const int mine = first + int(threadIdx.x) / kShare;
    T sum = T(0);
    if (mine < found) {
      const T time = inputs[spikes[mine]];
      const uint32_t pixel = spikes[mine] / slots / channels, channel = spikes[mine] / slots % channels;
      const int64_t y = pixel / width, x = pixel % width;
      const int64_t last_y = min(y, p.out_height() - 1), last_x = min(x, p.out_width() - 1);
      for (int64_t out_y = max(int64_t(0), y - p.kernel_height + 1); out_y <= last_y; ++out_y) {
        for (int64_t out_x = max(int64_t(0), x - p.kernel_width + 1); out_x <= last_x; ++out_x) {
          const int64_t row = ((y - out_y) * p.kernel_width + x - out_x) * p.channels + channel;
          const int64_t neuron = (sample * p.positions() + out_y * p.out_width() + out_x) * p.units;
          for (int64_t unit = part; unit < p.units; unit += kShare) {
            const int64_t train = (neuron + unit) * p.max_spikes;
            T factor = T(0);
            for (int64_t k = train; k < train + p.max_spikes && times[k] != kInfinity<T>; ++k) {
              if (times[k] <= time) continue;
              const T e = std::exp((time - times[k]) / tau);
              factor += q[k] * (T(2) * e * e - e);
            }
            if (factor != T(0)) sum += kernel[row * p.units + unit] * factor;  // no weight, be it NaN, acts on silence
          }
        }
      }
    }
    parts[threadIdx.x] = sum;
    __syncthreads();
    if (mine < found && part == 0) {
      for (int k = 1; k < kShare; ++k) sum += parts[threadIdx.x + k];
      gradient[spikes[mine]] = sum;
    }
    __syncthreads();
  }
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

// For simulate and find_peaks: a power of two, a thread for each neuron of the tile, and more of them where there may
// be many events to fetch.
int64_t lane_threads(const Problem& p) {
  int64_t count = kWarp;
  while (count < kLanes && (count < p.units || count < field(p))) count *= 2;
  return count;
}

template <class T>
int64_t list_bytes(const Problem& p) {
  return field(p) * sizeof(Event<T>) + sizeof(int32_t);
}

template <class T>
int64_t lists_bytes(const Problem& p) {
  return min(p.columns(), max(kListBytes / list_bytes<T>(p), int64_t(1))) * list_bytes<T>(p);
}

// As many chunks of the columns as it takes to occupy a GPU, but not so many that to add them up takes long.
int64_t sum_count(const Problem& p) {
  const int64_t enough = kSumThreads / max(p.rows() * weights_apart(p), int64_t(1));
  return max(min(p.columns(), min(enough, kMostChunks)), int64_t(1));
}

template <class T>
int64_t sums_bytes(const Problem& p) {
  return sum_count(p) > 1 ? sum_count(p) * p.rows() * p.units * int64_t(sizeof(T)) : 0;
}

// Of a column.
template <class T>
int64_t echo_bytes(const Problem& p) {
  return p.units * (3 * p.max_spikes * int64_t(sizeof(T)) + int64_t(sizeof(int32_t)));
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
  const int64_t group = max(kEchoBytes / max(echo_bytes<T>(p), int64_t(1)), int64_t(1));
  return sums_bytes<T>(p) + min(p.columns(), group) * echo_bytes<T>(p);
}

template <class T>
const char* spikes(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* times, int32_t* counts,
                   T* slopes, int64_t* overflow, Workspace workspace, void* stream) {
  const cudaError_t error = cudaMemsetAsync(overflow, 0, sizeof(*overflow), static_cast<cudaStream_t>(stream));
  if (error != cudaSuccess) return cudaGetErrorString(error);
  return for_each_group(p, inputs, T(n.simulation_time), T(n.tau), workspace, stream, [&](const Lists<T>& lists) {
    return launch(simulate<T>, lists.columns * Lane::tiles(p), lane_threads(p), stream, p, n, lists, kernel, times,
                  counts, slopes, reinterpret_cast<unsigned long long*>(overflow));
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
  const int64_t chunks = sum_count(p), size = p.rows() * p.units;
  if (size > kMost32 || p.columns() > kMost32) return "more weights or columns than 32 bits count";
  T* const sums = chunks > 1 ? static_cast<T*>(workspace.data) : gradient;
  T* const rest = static_cast<T*>(workspace.data) + sums_bytes<T>(p) / int64_t(sizeof(T));
  const int64_t group = (workspace.bytes - sums_bytes<T>(p)) / max(echo_bytes<T>(p), int64_t(1));
  if (group < 1 && p.columns() > 0) return "workspace too small for a column";
  for (int64_t first = 0; first == 0 || first < p.columns(); first += group) {
    const int64_t columns = min(group, p.columns() - first), slots = columns * p.max_spikes * p.units;
    const Echoes<T> echoes{rest,  rest + slots, rest + 2 * slots, reinterpret_cast<int32_t*>(rest + 3 * slots),
                           first, columns};
    const char* error = launch_each(list_echoes<T>, columns * p.units, stream, p, T(n.tau), times, q, echoes);
    if (error) return error;
    const T scale = chunks == 1 && first + columns == p.columns() ? T(n.tau) : T(1);
    error = launch_each(sum_weights<T>, chunks * p.rows() * weights_apart(p), stream, p, T(n.tau), inputs, echoes,
                        uint32_t(chunks), scale, sums);
    if (error) return error;
    if (p.columns() == 0) break;
  }
  if (chunks == 1) return nullptr;
  return launch(add_chunks<T>, (size + kWarp - 1) / kWarp, kWarp * kPartial, stream, size, chunks, T(n.tau), sums,
                gradient);
}

template <class T>
const char* times_gradient(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, const T* times,
                           const T* q, T* gradient, void* stream) {
  return launch(gather_gradient<T>, p.batch * ((p.sample_slots() + kLanes - 1) / kLanes), kLanes, stream, p, T(n.tau),
                inputs, kernel, times, q, gradient);
}

template <class T>
const char* peaks(const Problem& p, const Neuron& n, const T* inputs, const T* kernel, T* peak, T* times, T* slopes,
                  int32_t* slots, T* ones, Workspace workspace, void* stream) {
  return for_each_group(p, inputs, T(n.simulation_time), T(n.tau), workspace, stream, [&](const Lists<T>& lists) {
    return launch(find_peaks<T>, lists.columns * Lane::tiles(p), lane_threads(p), stream, p, n, lists, kernel, peak,
                  times, slopes, slots, ones);
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
