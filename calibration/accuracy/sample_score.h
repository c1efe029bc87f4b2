// The figures of the samples in one batch of outputs. Internal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "calibration/accuracy/metrics.h"
#include "calibration/accuracy/perplexity.h"
#include "passes/ir/tensor.h"

namespace lathe::accuracy {

struct SampleScore {
  std::optional<bool> top1, top5;
  std::optional<double> agreement;
  std::optional<TokenLoss> next_token;
  // One an output; absent for outputs that are not floating-point or empty.
  std::vector<std::optional<SampleFidelity>> outputs;
};

// Model outputs and what is known about them. `labels` and `reference` may be
// empty (nothing to compare with); `names` are the outputs'. Tensors hold
// `batch_size` samples of which the first `samples` count.
struct ScoredBatch {
  const std::vector<std::string>& names;
  const std::vector<ir::Tensor>& outputs;
  const std::vector<ir::Tensor>& reference;
  const std::vector<int64_t>& labels;
  int64_t batch_size = 1;
  int64_t samples = 1;
  // The tokens, of a model that reads nothing else; null: it reads more.
  const ir::Tensor* token_ids = nullptr;
};

// One score a sample. Where an output cannot be split into samples (its first
// dimension is no multiple of the batch size), agreement and fidelity are of
// the whole batch and stand in the first score.
//
// Classes stand on axis 1 of outputs of rank 2 and of rank 4 and more
// ([N, C], [N, C, H, W]) and on the last axis of rank 3 ([N, S, C]). top1 and
// top5 are of the first output, where it gives each sample one vector of two
// (six) or more classes. Agreement is the share of the first output's positions
// at which both choose the same class; of integer outputs, the share of equal
// elements. next_token is of the first output, where it holds scores of the
// next token for token_ids and all ids lie in its vocabulary.
//
// Errors kInput: a label outside the classes; outputs whose shapes differ from
// the reference's.
std::vector<SampleScore> score_batch(const ScoredBatch& batch);

}  // namespace lathe::accuracy
