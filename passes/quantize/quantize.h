// Static int8 quantization in QDQ form.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "passes/ir/data_type.h"
#include "passes/pass.h"

namespace lathe::quantize {

struct QuantizeOptions {
  // uint8 on x86, int8 on Arm.
  ir::DataType activation_type = ir::DataType::kUint8;
  bool per_channel = true;
  // Nodes (Node::id()) and operator types to leave in float.
  std::vector<std::string> exclude_nodes = {}, exclude_operators = {};
};

// Needs context.ranges. Expects a simplified model of opset 13 and more (it
// raises lower ones itself through rewrite). Each compute node left in float
// has a remark that says why.
std::unique_ptr<Pass> make_quantize_static(QuantizeOptions options);

}  // namespace lathe::quantize
