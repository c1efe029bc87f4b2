// Models as this folder looks at them. Internal.
#pragma once

#include "passes/ir/graph.h"
#include "passes/pass_context.h"

namespace lathe::distill {

// A clone with the run's input shapes bound, unknown dimensions 1, and the
// shapes of all values.
ir::Model with_shapes(const ir::Model& model, const PassContext& context);

// context.input, simplified.
ir::Model simplified_teacher(const PassContext& context);

// The float model of a quantized student, for TrainingTwin; null where none is
// known. Where it is context.input, its simplified form `teacher`: folded
// weights are found again in folded ones.
const ir::Model* float_reference(const PassContext& context,
                                 const ir::Model& teacher);

}  // namespace lathe::distill
