// Well-known architectures, built in code with seeded random weights: what the
// estimator is judged by. The same name, seed and sizes give the same model on
// every machine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::zoo {

struct ZooModel {
  std::string name;
  std::function<ir::Model(uint64_t seed)> build;
};
// Widths and input sizes as published. Opset 17, fp32, batch 1, all shapes
// static and inferred.
const std::vector<ZooModel>& zoo();
// Error kUsage, with the nearest name, for an unknown one.
ir::Model build_zoo_model(const std::string& name, uint64_t seed);

// ResNet-18 whose BatchNormalization nodes are not folded into the Convs.
ir::Model resnet18_with_batch_norm(uint64_t seed);

// Variants of an architecture: each width that can be chosen freely is 0.4 to
// 1.0 times the published one (45% multiples of 16, 25% of 8, 15% of 4, 15%
// arbitrary); the seed draws widths and weights. Images are [1, 3, size, size].
struct RandomWidthFamily {
  std::string name;
  std::function<ir::Model(uint64_t seed, int64_t size)> build;
};
const std::vector<RandomWidthFamily>& random_width_families();
ir::Model random_width_resnet18(uint64_t seed, int64_t size = 224);
ir::Model random_width_mobilenet_v2(uint64_t seed, int64_t size = 224);

// The model simplified and in QDQ int8 form, by the passes that `lathe
// quantize` runs, with ranges drawn from the seed in the place of a
// calibration.
ir::Model quantize_for_latency(const ir::Model& model, uint64_t seed);

}  // namespace lathe::zoo
