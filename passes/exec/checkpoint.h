// Gradients of a function without keeping what it computes in between: it runs
// a second time on the way back (Chen et al. 2016, "Training Deep Nets with
// Sublinear Memory Cost"). Internal to the executor.
#pragma once

#include <functional>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {

// The second time with `again`. Must compute the same both times, given the
// same random numbers.
using Recomputed = std::function<Tensors(Inputs inputs, bool again)>;

// run(inputs), whose gradients go to the inputs and to the leaves among
// `parameters`, which it reads by itself. `device`: where it draws random
// numbers; the second time it draws the same ones. Gradients of gradients:
// error kUsage.
Tensors checkpointed(Recomputed run, Inputs inputs, Inputs parameters,
                     at::Device device);

}  // namespace lathe::exec
