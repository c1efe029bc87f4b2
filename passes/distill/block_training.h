// Block-wise training: every block of a student by itself. Internal.
#pragma once

#include "passes/distill/distill.h"

namespace lathe::distill {

// As DistillOptions::mode kBlocks says.
PassResult train_blocks(ir::Model& model, const DistillOptions& options,
                        PassContext& context);

}  // namespace lathe::distill
