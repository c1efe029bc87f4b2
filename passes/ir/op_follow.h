// Arithmetic on followed elements, for values that compute shapes. What cannot
// be told stays unknown; symbols survive neutral operands.
#pragma once

#include <string>
#include <vector>

#include "passes/ir/infer_context.h"

namespace lathe::ir {

// `op` is the node's op_type; operands as many as the operator takes.
Element follow_unary(const std::string& op, const std::vector<Element>& x);
Element follow_arithmetic(const std::string& op, const std::vector<Element>& x);
Element follow_comparison(const std::string& op, const std::vector<Element>& x);
Element follow_where(const std::string& op, const std::vector<Element>& x);
FollowedValue follow_cast(const FollowedValue& value, DataType to);

}  // namespace lathe::ir
