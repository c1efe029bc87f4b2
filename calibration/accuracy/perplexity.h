// How well a language model foretells the tokens it reads. Internal.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "calibration/accuracy/metrics.h"
#include "passes/ir/tensor.h"

namespace lathe::accuracy {

// Of the tokens after the first of each sequence; perplexity = exp(sum /
// count).
struct TokenLoss {
  double sum = 0;  // of -log p(token), in nats
  int64_t count = 0;
  void add(const TokenLoss& other) {
    sum += other.sum;
    count += other.count;
  }
};

// -log softmax(scores)[token], at least 0. Infinity where that is not a number.
// `token` lies in [0, scores.count).
double token_loss(const Scores& scores, int64_t token);

// Of `ids` [S] under the scores of the next token after each, [S, V]. nullopt
// where an id is outside the vocabulary of V.
std::optional<TokenLoss> sequence_loss(std::span<const int64_t> ids,
                                       std::span<const float> scores);

// Whether token ids [B, S] and scores [B, S, V] of the next one can be what
// these two tensors hold, by type and shape; V is 2 or more.
bool foretells(const ir::Tensor& ids, const ir::Tensor& scores);

}  // namespace lathe::accuracy
