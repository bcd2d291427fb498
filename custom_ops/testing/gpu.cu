// The device where a GPU runs the kernels, and how long they take there.
#include <cuda_runtime.h>

#include <algorithm>
#include <string>
#include <vector>

#include "device.h"
#include "layer.h"
#include "timer.h"

namespace bats {
namespace {

void require(cudaError_t error, const char* what) {
  if (error != cudaSuccess) fail("CUDA: %s: %s", what, cudaGetErrorString(error));
}

constexpr int kWarm = 3, kRepetitions = 25;

class Events {
 public:
  Events() {
    require(cudaEventCreate(&start_), "event");
    require(cudaEventCreate(&stop_), "event");
  }
  ~Events() {
    cudaEventDestroy(start_);
    cudaEventDestroy(stop_);
  }

  // The median of the microseconds that work takes on the stream.
  template <class Work>
  double median(cudaStream_t stream, Work work) {
    std::vector<double> times;
    for (int i = 0; i < kWarm + kRepetitions; ++i) {
      require(cudaEventRecord(start_, stream), "event");
      work();
      require(cudaEventRecord(stop_, stream), "event");
      require(cudaEventSynchronize(stop_), "timed work");
      float milliseconds;
      require(cudaEventElapsedTime(&milliseconds, start_, stop_), "event");
      if (i >= kWarm) times.push_back(1e3 * milliseconds);
    }
    std::nth_element(times.begin(), times.begin() + kRepetitions / 2, times.end());
    return times[kRepetitions / 2];
  }

 private:
  cudaEvent_t start_, stop_;
};

class Stream {
 public:
  Stream() { require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_;
};

}  // namespace

namespace device {

std::string name(std::string* why_none) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    *why_none = error != cudaSuccess ? cudaGetErrorString(error) : "CUDA sees none";
    return "";
  }
  cudaDeviceProp properties;
  require(cudaGetDeviceProperties(&properties, 0), "device properties");
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  auto version = [](int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); };
  return std::string(properties.name) + ", sm_" + std::to_string(10 * properties.major + properties.minor) + ", " +
         std::to_string(properties.multiProcessorCount) + " multiprocessors, L2 " +
         std::to_string(properties.l2CacheSize >> 20) + " MiB, CUDA " + version(runtime) + ", driver for CUDA " +
         version(driver);
}

const bool kParallel = true;

void* allocate(int64_t bytes) {
  void* data = nullptr;
  require(cudaMalloc(&data, bytes), "cudaMalloc");
  if (bytes > 0) require(cudaMemset(data, 0xee, bytes), "cudaMemset");
  return data;
}

void release(void* data) { cudaFree(data); }

void write(void* to, const void* from, int64_t bytes) {
  require(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "cudaMemcpy to the device");
}

void read(void* to, const void* from, int64_t bytes) {
  require(cudaDeviceSynchronize(), "a kernel");
  require(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy from the device");
}

int64_t cache_bytes() {
  int bytes = 0;
  require(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, 0), "L2 size");
  return bytes;
}

double microseconds(int64_t sets, const std::function<void(int64_t set, void* stream)>& call) {
  require(cudaDeviceSynchronize(), "what came before");  // another stream does not wait for it
  Stream stream;
  for (int64_t set = 0; set < sets; ++set) call(set, stream);  // what is loaded at a first launch cannot be captured
  require(cudaStreamSynchronize(stream), "a first call");
  cudaGraph_t graph;
  cudaGraphExec_t replay;
  require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (int64_t set = 0; set < sets; ++set) call(set, stream);
  require(cudaStreamEndCapture(stream, &graph), "capture");
  require(cudaGraphInstantiate(&replay, graph, 0), "graph");
  Events events;
  const double median = events.median(stream, [&] { require(cudaGraphLaunch(replay, stream), "graph launch"); });
  require(cudaGraphExecDestroy(replay), "graph");
  require(cudaGraphDestroy(graph), "graph");
  return median / double(sets);
}

double copy_bandwidth() {
  size_t free = 0, total = 0;
  require(cudaMemGetInfo(&free, &total), "free memory");
  const size_t bytes = std::min<size_t>(free / 4, size_t(1) << 30);
  void *from = allocate(bytes), *to = allocate(bytes);
  Stream stream;
  Events events;
  const double time = events.median(
      stream, [&] { require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copy"); });
  release(from);
  release(to);
  return 2e6 * double(bytes) / time;
}

}  // namespace device
}  // namespace bats
