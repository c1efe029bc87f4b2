// Which nodes give one of their inputs back unchanged.
#pragma once

#include <string>

#include "passes/ir/graph.h"

namespace lathe::rewrite {

struct NoOp {
  ir::Value* same_as = nullptr;  // what output 0 equals; null: not known to
  std::string reason;  // why a node that looks like one is none; mostly ""
};

// For nodes of ai.onnx, opset 7 and newer. Values must have the types that
// shape inference gives them; what is not known counts as a difference. x + 0
// counts as x although it turns -0 into 0.
NoOp find_no_op(const ir::Node& node);

}  // namespace lathe::rewrite
