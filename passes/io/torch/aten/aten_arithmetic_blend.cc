// Functions of two and more operands that ONNX composes.
#include <numbers>

#include "passes/io/torch/aten/aten_arithmetic.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

Arguments emit_lerp(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "end", "weight"});
  return one(terms[0] + terms[2] * (terms[1] - terms[0]));
}

// The operands and the factor `value` of addcmul and addcdiv.
std::vector<Term> fused_operands(const AtenCall& call) {
  std::vector<Term> terms = promoted(call, {"self", "tensor1", "tensor2"});
  if (call.given("value") && constant_number(call["value"]) != 1)
    terms[1] = terms[1] *
               Term(call.builder(),
                    call.builder().as_tensor(call["value"], terms[1].elem()));
  return terms;
}

Arguments emit_addcmul(const AtenCall& call) {
  const std::vector<Term> terms = fused_operands(call);
  return one(terms[0] + terms[1] * terms[2]);
}

Arguments emit_addcdiv(const AtenCall& call) {
  const std::vector<Term> terms = fused_operands(call);
  return one(terms[0] + terms[1] / terms[2]);
}

// The angle of (x, y): atan(y / x) in the right half plane, turned by half a
// circle in the left one.
Arguments emit_atan2(const AtenCall& call) {
  const std::vector<Term> terms = promoted_floating(call, {"self", "other"});
  const Term &y = terms[0], &x = terms[1];
  const Term up = y.number(std::numbers::pi),
             down = y.number(-std::numbers::pi), none = y.number(0);
  const Term turned = where(y < 0, down, up);
  const Term turn = where(x < 0, turned, none);
  const Term upright = apply("Sign", {y}) * (std::numbers::pi / 2);
  const Term slanted = apply("Atan", {y / x}) + turn;
  return one(where(x == 0, upright, slanted));
}

Arguments emit_hypot(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  const Term &a = terms[0], &b = terms[1];
  const Term a_squared = a * a, b_squared = b * b;
  return one(apply("Sqrt", {a_squared + b_squared}));
}

// max + log(1 + exp(-|a - b|)); equal ones apart, where infinities would give
// NaN.
Arguments emit_logaddexp(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  const Term &a = terms[0], &b = terms[1];
  const Term rest = apply("Softplus", {-apply("Abs", {a - b})});
  const Term apart = apply("Max", {a, b}) + rest;
  const Term alike = a + std::numbers::ln2;
  return one(where(a == b, alike, apart));
}

Arguments emit_xlogy(const AtenCall& call) {
  const std::vector<Term> terms = promoted_floating(call, {"self", "other"});
  const Term &x = terms[0], &y = terms[1];
  const Term product = x * apply("Log", {y});
  const Term zero = x.number(0), is_number = !is_nan(y);
  return one(where(both(x == zero, is_number), zero, product));
}

constexpr AtenRow kRows[] = {
    {"lerp", emit_lerp},           {"addcmul", emit_addcmul},
    {"addcdiv", emit_addcdiv},     {"atan2", emit_atan2},
    {"arctan2", emit_atan2},       {"hypot", emit_hypot},
    {"logaddexp", emit_logaddexp}, {"xlogy", emit_xlogy},
    {"special_xlogy", emit_xlogy},
};

}  // namespace

std::span<const AtenRow> blend_rows() { return kRows; }

}  // namespace lathe::io::aten
