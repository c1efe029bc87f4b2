// What a model's inputs ask of the data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"

namespace lathe::data {

struct ModelInput {
  std::string name;
  ir::DataType type = ir::DataType::kUndefined;
  // -1 for a dimension that is not known; absent when the rank is not.
  std::optional<std::vector<int64_t>> dims;
  std::vector<std::string> symbols;  // of each dimension, "" without one
  // The batch that --input-shape gave where the model leaves it open: `dims`
  // keeps it open, for data is read in batches of any size.
  int64_t given_batch = -1;

  // "float[N,3,32,32]".
  std::string to_string() const;
};

// The inputs without an initializer, `bound` filled into their unknown
// dimensions. Errors kUsage: a bound name or shape that does not fit;
// kUnsupported: an input that is no tensor or one of strings.
std::vector<ModelInput> model_inputs(const ir::Model& model,
                                     const ir::InputShapes& bound);

// The input of that name, or, without one, the only input. Errors kInput with
// `where`: no such input, or several where only one is fed.
const ModelInput& choose_input(const std::vector<ModelInput>& inputs,
                               const std::optional<std::string>& name,
                               const std::string& where);

// The dims a sample of shape `dims` takes for an input of which the first
// dimension is the batch: the same, or reshaped where the input only has
// dimensions of 1 more or fewer or is flat ([28,28] for [N,1,28,28] or
// [N,784]). Error kInput with `where` and `hint` when it does not fit.
std::vector<int64_t> fit_sample(const std::vector<int64_t>& dims,
                                const ModelInput& input,
                                const std::string& where,
                                const std::string& hint);

// True where `dims` fit all of the input's dimensions, the batch included.
bool fits_whole(const std::vector<int64_t>& dims, const ModelInput& input);

}  // namespace lathe::data
