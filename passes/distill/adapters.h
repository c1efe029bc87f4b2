// Trainable maps from a student's channels to its teacher's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "passes/distill/feature_pairs.h"
#include "passes/exec/torch.h"

namespace lathe::distill {

// One 1x1 convolution, or linear layer where channels are the last axis, for
// each pair whose channel counts differ: the regressors of FitNets (Romero et
// al. 2015, arXiv 1412.6550, section 2.2).
class Adapters {
 public:
  // Weights start as N(0, 1 / student channels), which keeps variances and, on
  // average, angles; biases at 0. The same seed and pairs: the same bits. Float
  // tensors on `device`.
  Adapters(std::span<const FeaturePair> pairs, uint64_t seed,
           at::Device device = at::kCPU);

  // Leaves that require gradients: "adapter.<student value>.weight"
  // [teacher channels, student channels] and ".bias" [teacher channels].
  std::vector<std::pair<std::string, at::Tensor>> parameters() const;

  // The student's value of pairs[pair] with the teacher's channels; itself
  // where the counts are equal. Half types come back as float. Error kInput
  // where the value does not have the pair's channels along its axis.
  at::Tensor apply(size_t pair, const at::Tensor& student) const;

 private:
  struct Map {
    FeaturePair pair;
    at::Tensor weight, bias;  // undefined where the counts are equal
  };
  std::vector<Map> maps_;
};

}  // namespace lathe::distill
