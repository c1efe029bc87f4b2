// Python's arithmetic on ints, floats and bools that may be computed from
// sizes: operator.add, math.floor, torch.sym_max, …
#pragma once

#include <string>
#include <unordered_set>

#include "passes/io/torch/aten/argument.h"
#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::exported {

class Numbers {
 public:
  explicit Numbers(aten::OnnxBuilder& builder) : builder_(builder) {}

  // Whether `target` ("_operator.add") is one of these functions.
  static bool has(const std::string& target);
  // A constant where all arguments are, else nodes on 0-D tensors: int64 for
  // ints, float for floats. Error kUnsupported on overflow, division by zero
  // and operands of another kind.
  aten::Argument call(const std::string& target,
                      const aten::Arguments& arguments);

  // A size: >= 0, so that floor and truncating division are the same.
  aten::Argument size(ir::Value* tensor, int64_t axis);
  // The product of all sizes.
  aten::Argument element_count(ir::Value* tensor);

 private:
  using Argument = aten::Argument;

  Argument binary(const std::string& op, const Argument& a, const Argument& b);
  Argument int_binary(const std::string& op, const Argument& a,
                      const Argument& b);
  Argument real_binary(const std::string& op, const Argument& a,
                       const Argument& b);
  Argument compare(const std::string& op, const Argument& a, const Argument& b);
  Argument logic(const std::string& op, const Argument& a, const Argument& b);
  Argument unary(const std::string& op, const Argument& a);
  Argument rounded(const std::string& op, const Argument& a);
  Argument choose(const Argument& condition, const Argument& a,
                  const Argument& b);
  ir::Value* real_value(const Argument& a);
  ir::Value* bool_value(const Argument& a);
  bool non_negative(const Argument& a) const;
  Argument computed_int(ir::Value* value, bool non_negative);

  aten::OnnxBuilder& builder_;
  std::unordered_set<const ir::Value*> non_negative_;
};

}  // namespace lathe::io::exported
