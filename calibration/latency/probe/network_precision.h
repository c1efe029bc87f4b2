// A float network in another precision. Internal.
#pragma once

#include "passes/ir/graph.h"

namespace lathe::latency {

// As quantize_static leaves it, for this machine's integer kernels. Ranges are
// made up: times do not depend on them, the runtime's fusions hardly do.
void make_int8(ir::Model& model);

// Every float value and weight as float16; shapes and scales of Resize stay.
void make_fp16(ir::Model& model);

}  // namespace lathe::latency
