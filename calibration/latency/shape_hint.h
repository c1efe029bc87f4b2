// What to tell a user whose model has a free input shape. Internal.
#pragma once

#include <string>

#include "passes/ir/graph.h"

namespace lathe::latency {

// "give --input-shape x:1x3x224x224": the known dimensions, 1 for the others;
// an example where the rank is not known.
std::string input_shape_hint(const ir::Value& input);

// Error kInput, naming the first input whose shape is not fixed.
void require_static_inputs(const ir::Model& model);

}  // namespace lathe::latency
