// Which Q/DQ groups become integer kernels. Internal.
#pragma once

#include <optional>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::latency {

struct IntegerKernel {
  std::vector<const ir::Node*> dequantize;  // in front
  std::vector<const ir::Node*> after;       // activation and QuantizeLinear(s)
};

// nullopt when `node` does not stand in a group that the runtime turns into an
// integer kernel (docs/latency.md).
std::optional<IntegerKernel> integer_kernel(const ir::Node& node);

}  // namespace lathe::latency
