#include "calibration/latency/shape_hint.h"

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

}  // namespace lathe::latency
