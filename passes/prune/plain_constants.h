// What is constant in a model, where surgery can reach it. Internal.
#pragma once

#include "passes/pass.h"

namespace lathe::prune {

// Constant nodes, and what is computed from constants alone, become
// initializers: the amounts of a Pad, the shape of a Reshape. Nothing changes
// in a simplified model. Returns the changes, without remarks.
PassResult make_constants_plain(ir::Model& model, const PassContext& context);

}  // namespace lathe::prune
