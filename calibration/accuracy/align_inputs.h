// A changed model that takes what its reference is fed. Internal.
#pragma once

#include <optional>
#include <vector>

#include "calibration/latency/session.h"
#include "passes/ir/graph.h"

namespace lathe::accuracy {

// A copy of `model` that takes `inputs`, or nullopt where it does already.
// Inputs of another floating-point type get the one asked for, with a Cast
// behind; where the number is the same and no name is shared, they get the
// names asked for, in order; where the model has some of `inputs` and no
// others, the rest is added, without readers. Samples that were read for
// `inputs` then fit.
std::optional<ir::Model> align_inputs(
    const std::vector<latency::TensorInfo>& inputs, const ir::Model& model);

// As the reference's inputs without initializer.
std::optional<ir::Model> align_inputs(const ir::Model& reference,
                                      const ir::Model& model);

}  // namespace lathe::accuracy
