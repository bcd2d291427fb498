// The networks of ttfs_keras/models/bats.py, with as many spikes as they have when they are trained.
#ifndef TTFS_KERAS_TESTING_NETWORKS_H_
#define TTFS_KERAS_TESTING_NETWORKS_H_

#include "layer.h"

namespace bats {

struct NetworkLayer {
  const char* name;
  int64_t kernel, units, max_spikes;  // kernel 0: dense; a convolution is followed by 2 x 2 pooling
  double threshold, lowest, highest;  // of the weights
};

struct Network {
  std::string name;
  int64_t batch;
  double simulation_time;
  std::vector<NetworkLayer> layers;
};

inline std::vector<Network> networks() {
  std::vector<Network> all;
  for (int64_t batch : {50, 512}) {
    all.push_back({"784-800-10, K = 30",
                   batch,
                   0.2,
                   {{"hidden", 0, 800, 30, 0.2, -1.02, 0.98}, {"output", 0, 10, 30, 1.3, -0.8, 1.2}}});
    all.push_back({"784-800-10, K = 1",
                   batch,
                   1.0,
                   {{"hidden", 0, 800, 1, 0.7, -0.94, 1.06}, {"output", 0, 10, 1, 2.0, -0.7, 1.3}}});
  }
  all.push_back({"convolutional",
                 20,
                 0.2,
                 {{"15 5x5", 5, 15, 1, 0.04, -1.0, 1.0},
                  {"40 5x5", 5, 40, 3, 0.8, -0.96, 1.04},
                  {"300", 0, 300, 10, 0.6, -1.0, 1.0},
                  {"10", 0, 10, 30, 0.3, -0.95, 1.05}}});
  return all;
}

// What a layer of a network sends to the next one: spike times (batch, height, width, channels, slots).
struct Trains {
  int64_t height, width, channels, slots;
  std::vector<float> times;
};

// Images as MNIST's: 19 % of the pixels are lit and spike within 0.1 s, 40 % of these at once.
inline Trains images(int64_t batch, std::mt19937_64* random) {
  std::uniform_real_distribution<float> uniform(0, 1);
  Trains trains{28, 28, 1, 1, std::vector<float>(batch * 28 * 28, kInfinity<float>)};
  for (float& time : trains.times)
    if (uniform(*random) < 0.19f) time = uniform(*random) < 0.4f ? 0.0f : 0.1f * uniform(*random);
  return trains;
}

// The layer as a problem, with random weights and gradients.
inline Case layer_of(const Network& network, const NetworkLayer& layer, const Trains& in, std::mt19937_64* random,
                     Data<float>* data) {
  const bool dense = layer.kernel == 0;
  const Problem p{network.batch,
                  dense ? 1 : in.height,
                  dense ? 1 : in.width,
                  dense ? in.height * in.width * in.channels : in.channels,
                  in.slots,
                  dense ? 1 : layer.kernel,
                  dense ? 1 : layer.kernel,
                  layer.units,
                  layer.max_spikes};
  std::uniform_real_distribution<float> weights(layer.lowest, layer.highest), gradients(-1, 1);
  data->inputs = in.times;
  data->kernel.resize(p.rows() * p.units);
  data->gradient.resize(p.neurons() * p.max_spikes);
  for (float& weight : data->kernel) weight = weights(*random);
  for (float& gradient : data->gradient) gradient = gradients(*random);
  const double tau = 0.26;
  return {network.name + ", batch " + std::to_string(network.batch) + ", " + layer.name,
          p,
          {tau, layer.threshold / tau, layer.threshold / tau, network.simulation_time}};
}

// The trains of the layer, pooled after a convolution: those of 2 x 2 neurons become one.
inline Trains next(const Problem& p, bool pooled, const std::vector<float>& times) {
  if (!pooled) return {p.out_height(), p.out_width(), p.units, p.max_spikes, times};
  const int64_t height = p.out_height() / 2, width = p.out_width() / 2, slots = 4 * p.max_spikes;
  Trains trains{height, width, p.units, slots, {}};
  for (int64_t i = 0; i < p.batch * height * width * p.units; ++i) {
    const int64_t unit = i % p.units, x = i / p.units % width, y = i / p.units / width % height;
    const int64_t sample = i / p.units / width / height;
    for (int64_t dy = 0; dy < 2; ++dy) {
      for (int64_t dx = 0; dx < 2; ++dx) {
        const int64_t pixel = (sample * p.out_height() + 2 * y + dy) * p.out_width() + 2 * x + dx;
        const auto train = times.begin() + (pixel * p.units + unit) * p.max_spikes;
        trains.times.insert(trains.times.end(), train, train + p.max_spikes);
      }
    }
    std::sort(trains.times.end() - slots, trains.times.end());
  }
  return trains;
}

}  // namespace bats

#endif  // TTFS_KERAS_TESTING_NETWORKS_H_
