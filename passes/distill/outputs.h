// What a model's outputs hold, as far as losses ask. Shapes must be inferred.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "passes/ir/graph.h"

namespace lathe::distill {

// The axis of classes in an output that holds scores of classes: of a Softmax
// at its end; the last one of [N, C], and of [N, S, V] where every input is of
// integers or bool (a language model); else 1. -1 where there is no such axis
// (rank below 2 or unknown).
int64_t class_axis(const ir::Model& model, size_t output);

// Whether the output is a Softmax over its class axis, perhaps reshaped,
// transposed, cast or quantized behind it: probabilities, not logits.
bool ends_in_softmax(const ir::Model& model, size_t output);

// The loss that fits an output of the teacher: "kl" for scores of classes, else
// "mse". Scores of classes are
//   - what ends in Softmax or LogSoftmax,
//   - [N, C] of two classes or more, unless an activation, a normalization or a
//     quotient computes it (detectors, embeddings),
//   - [N, S, V] that a product with a weight computes, where every input of the
//     model is of integers.
std::string default_loss(const ir::Model& teacher, size_t output);

}  // namespace lathe::distill
