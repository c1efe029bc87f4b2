#include "calibration/latency/shape_hint.h"

#include "passes/base/error.h"

namespace lathe::latency {

std::string input_shape_hint(const ir::Value& input) {
  std::string shape;
  if (input.type.shape)
    for (const ir::Dim& dim : *input.type.shape)
      shape += (shape.empty() ? "" : "x") +
               std::to_string(dim.known() ? dim.value : 1);
  if (shape.empty()) shape = "1x3x224x224";
  return "give --input-shape " + input.name() + ":" + shape;
}

void require_static_inputs(const ir::Model& model) {
  for (const ir::Value* input : model.graph->inputs()) {
    if (input->has_initializer() || !input->type.is_tensor() ||
        input->type.has_static_shape())
      continue;
    throw_input("input '" + input->name() + "'",
                "its shape is not fixed (" + ir::to_string(input->type) +
                    "), and a latency is that of one shape",
                input_shape_hint(*input));
  }
}

}  // namespace lathe::latency
