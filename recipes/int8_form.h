// What a model becomes by the preset int8-latency, as far as its latency goes.
#pragma once

#include "passes/ir/graph.h"
#include "passes/pass_context.h"

namespace lathe::recipes {

// Runs the preset's stages from quantize_static on, without samples: where
// integer kernels stand follows from shapes and context.latency, not from
// ranges. The stages before change numbers alone. For a simplified model;
// errors as the stages throw them.
ir::Model int8_form(const ir::Model& model, const PassContext& context);

}  // namespace lathe::recipes
