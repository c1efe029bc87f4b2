// Formulas in ONNX: tensors with operators, written as mathematics, and the
// element types that they are computed in.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "passes/io/torch/aten/aten_call.h"

namespace lathe::io::aten {

// The element type nearest to `type` that ONNX Runtime's CPU kernel of `op`
// takes: float for the floating ones it lacks, a wider integer (and only then
// a floating type) for integers and bools. `type` itself for operators without
// a row and for kUndefined.
ir::DataType kernel_type(std::string_view op, ir::DataType type);

// A tensor of the graph in a formula. Operators add nodes; operands must have
// one element type, which numbers take over; where the runtime's kernel lacks
// it, the node is computed in kernel_type() and its result cast back.
class Term {
 public:
  Term(OnnxBuilder& builder, ir::Value* value)
      : builder_(&builder), value_(value) {}

  OnnxBuilder& builder() const { return *builder_; }
  ir::Value* value() const { return value_; }
  ir::DataType elem() const { return value_->type.elem; }
  bool is_floating() const { return ir::is_floating(elem()); }
  bool is_bool() const { return elem() == ir::DataType::kBool; }
  Term cast(ir::DataType type) const {
    return {*builder_, builder_->cast(value_, type)};
  }
  // Integers and bools as float.
  Term floating() const;
  // A 0-D constant of this term's type.
  Term number(double value) const;

 private:
  OnnxBuilder* builder_;
  ir::Value* value_;
};

inline Arguments one(const Term& term) { return one(term.value()); }

// Any operator whose inputs have one element type; its output has the same, or
// bool (comparisons) or int64 (ArgMax, …).
Term apply(const char* op, std::initializer_list<Term> inputs,
           const NamedAttributes& attributes = {});

Term operator+(const Term& a, const Term& b);
Term operator-(const Term& a, const Term& b);
Term operator*(const Term& a, const Term& b);
Term operator/(const Term& a, const Term& b);  // integers: towards zero
Term operator+(const Term& a, double b);
Term operator-(const Term& a, double b);
Term operator*(const Term& a, double b);
Term operator/(const Term& a, double b);
Term operator-(double a, const Term& b);
Term operator-(const Term& a);

// Results of type bool.
Term operator==(const Term& a, const Term& b);
Term operator<(const Term& a, const Term& b);
Term operator>(const Term& a, const Term& b);
Term operator<=(const Term& a, const Term& b);
Term operator==(const Term& a, double b);
Term operator<(const Term& a, double b);
Term operator>(const Term& a, double b);
Term operator!(const Term& a);
Term is_nan(const Term& a);  // floating only
// Bools only: no short circuit, every operand is computed.
Term both(const Term& a, const Term& b);
Term either(const Term& a, const Term& b);
Term differ(const Term& a, const Term& b);
// The element-by-element maximum and minimum; NaN where either is.
Term larger(const Term& a, const Term& b);
Term smaller(const Term& a, const Term& b);
// Any type as bool: whether it is not zero.
Term truth(const Term& a);

Term where(const Term& condition, const Term& yes, const Term& no);
Term truncated(const Term& a);  // towards zero; floating only
// The sign of the divisor, as Python's %; the sign of the dividend, as C's.
Term python_mod(const Term& a, const Term& b);
Term c_mod(const Term& a, const Term& b);

// A reduction (see OnnxBuilder::reduce); `axes` of a 0-D tensor count for
// nothing.
Term reduce(const char* op, const Term& a, const std::vector<int64_t>& axes,
            bool keep_dims);

// --- operands of a call ---
inline Term term(const AtenCall& call, std::string_view argument) {
  return {call.builder(), call.tensor(argument)};
}
// As floating().
inline Term floating_term(const AtenCall& call, std::string_view argument) {
  return term(call, argument).floating();
}
// Tensors and numbers as tensors of the type PyTorch computes in.
std::vector<Term> promoted(const AtenCall& call,
                           const std::vector<const char*>& arguments);
// The same, integers and bools as float.
std::vector<Term> promoted_floating(const AtenCall& call,
                                    const std::vector<const char*>& arguments);
// The number, where it is known (also when it stands in a 0-D constant).
std::optional<double> constant_number(const Argument& argument);

// `rows` of one family that is written in several files.
std::vector<AtenRow> join_rows(
    std::initializer_list<std::span<const AtenRow>> parts);

}  // namespace lathe::io::aten
