// What readers read, as features of one value, for Gram matrices. Internal to
// saliency.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "passes/exec/gram_matrix.h"
#include "passes/prune/saliency_methods.h"

namespace lathe::prune {

using Positions = std::vector<std::vector<int64_t>>;

// A weight that reads units. Without one, a value where units end that no
// weight reads (queries and keys).
struct FeatureReader {
  size_t group = 0;
  const Positions* positions = nullptr;  // among a block's channels
  const WeightAxis* weight = nullptr;
  int64_t blocks = 1;  // of a grouped convolution
};

// The channels of a value; the windows that a convolution lays over them are
// further features. A Gram matrix over [channel, offset] would be large: it is
// taken as the Kronecker product of one over channels, summed over offsets, and
// one over offsets, summed over channels (compare Grosse and Martens 2016,
// arXiv 1602.01407).
struct FeatureSet {
  std::string value;
  int64_t axis = 0;
  size_t rank = 0;
  int64_t channels = 0, window = 1;       // offsets
  const ir::Node* convolution = nullptr;  // where the window is larger than 1
  std::vector<FeatureReader> readers;
};

// One for each value that is read in one way, in the graph's order. Error
// kUnsupported, with the node, where a set is too large for a Gram matrix.
std::vector<FeatureSet> feature_sets(const SaliencyTask& task);

struct FeatureGrams {
  // Of the channels, and a last feature that is always 1.
  exec::GramMatrix channels;
  exec::GramMatrix offsets;  // where the window is larger than 1
};

// In order; one pass over the data.
std::vector<FeatureGrams> feature_grams(const SaliencyTask& task,
                                        std::span<const FeatureSet> sets);

}  // namespace lathe::prune
