// Where a quantized or otherwise changed model goes wrong, layer by layer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "passes/base/progress.h"
#include "passes/batch_source.h"
#include "passes/evaluator.h"
#include "passes/ir/graph.h"

namespace lathe::accuracy {

// Better than this counts as this where levels are subtracted: an error of 1%
// is no loss yet, and an exact layer has no finite level.
inline constexpr double kGoodSqnrDb = 40;
// The error jumps at a layer that is this much worse than the worst of what it
// reads, and worse than that in all.
inline constexpr double kJumpDropDb = 6;
inline constexpr double kJumpSqnrDb = 20;

struct LayerError {
  std::string name;           // LayerPair::name
  std::string operator_type;  // "Conv"; "Input" for a quantized graph input
  // The layer before, for a Relu or Clip: quantizers take the two as one.
  std::string after;
  // Means over samples, and the largest difference (metrics.h).
  double sqnr_db = 0;
  double cosine = 0;
  double max_abs_diff = 0;
  // How much of min(sqnr_db, kGoodSqnrDb) is lost from the worst of what the
  // layer reads to its own result; negative: the error shrinks.
  double drop_db = 0;
  // The median over channels of their own SQNR, and how much larger the
  // largest channel's values are than the median channel's. Absent without
  // channels.
  std::optional<double> channel_sqnr_db, channel_spread;
  // Absent where the layer's result has no quantizer of one scale.
  std::optional<double> clipped_share, unused_codes_share;
  int64_t elements = 0;        // compared
  int64_t codes = 0;           // of the quantizer; 0 without one
  std::vector<size_t> inputs;  // indices into Comparison::layers
};

struct Comparison {
  int64_t samples = 0;
  std::vector<LayerError> layers;  // in execution order
  // The first layer where the error jumps, else the one of the largest drop;
  // absent when nothing drops.
  std::optional<size_t> first_jump;
  bool jumps = false;  // it is the former
  // A layer that first_jump reads, directly or through others: most of its
  // channels are as bad already, but a few large ones hide it.
  std::optional<size_t> cause;
  int64_t unmatched = 0;  // layers of the reference without a counterpart
  Accuracy accuracy;      // of the changed model, against the reference
  std::optional<double> reference_top1;
};

struct CompareOptions {
  int64_t samples = 0;  // 0: all
  int jobs = 0;
  // Results of layers held at a time, all jobs together. More layers than
  // that are compared in groups, each with a pass over the data.
  uint64_t max_bytes = uint64_t{512} << 20;
};

// Runs both models in ONNX Runtime over the data: whole, at the highest
// optimization level, for `accuracy`; with the layers' results as further
// outputs, Q and DQ computed in float, for `layers`. Both are fed what the
// reference's inputs ask for (align_inputs.h). Memory does not grow with the
// number of samples; results do not depend on jobs.
Comparison compare_layers(const ir::Model& reference, const ir::Model& other,
                          BatchSource& data, const CompareOptions& options,
                          ProgressSink& progress, const CancelToken* cancel);

// "Conv 'conv2'", "Relu 'relu1' after Conv 'conv1'".
std::string describe_layer(const Comparison& comparison, size_t layer);
// Where the error jumps and why, in a sentence or two.
std::string describe_jump(const Comparison& comparison);
// Further lines about what was seen; may be empty.
std::vector<std::string> comparison_remarks(const Comparison& comparison);

}  // namespace lathe::accuracy
