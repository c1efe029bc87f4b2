// What an importer gives, whatever the format.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/tensor.h"

namespace lathe::io {

struct ImportOptions {
  // Rank and sizes of inputs that the file does not say (TorchScript). The
  // first dimension, the batch, stays free. "" is the only tensor input. Names
  // of no input are ignored.
  ir::InputShapes input_shapes;
  // Of tensor inputs without a shape above; 0: unknown.
  int64_t assumed_rank = 0;
};

// One call of the source program by the framework it comes from, for a
// comparison with what the model gives.
struct Reference {
  // By the model's input and output names.
  std::vector<std::pair<std::string, ir::Tensor>> inputs, outputs;
};

struct Imported {
  ir::Model model;
  // What a user should know: state that became inputs, values held constant.
  std::vector<std::string> notes;
  // Calls on random inputs, in order; where the program keeps state, each
  // starts from what the one before left. Empty where the source cannot be run
  // (`no_reference_reason` then says why; empty for ONNX, which is no source).
  std::vector<Reference> references;
  std::string no_reference_reason;
};

}  // namespace lathe::io
