// Sums, products, larger and smaller ones of two operands.
#include "passes/io/torch/aten/aten_arithmetic.h"

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

// The operands, the one named `scaled` times alpha.
std::pair<Term, Term> alpha_operands(const AtenCall& call,
                                     std::string_view scaled) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  Term self = terms[0], other = terms[1];
  if (call.given("alpha") && constant_number(call["alpha"]) != 1) {
    Term& factor = scaled == "self" ? self : other;
    const auto number = constant_number(call[scaled]);
    const auto alpha = constant_number(call["alpha"]);
    factor = number && alpha ? factor.number(*number * *alpha)
                             : factor * Term(call.builder(),
                                             call.builder().as_tensor(
                                                 call["alpha"], factor.elem()));
  }
  return {self, other};
}

Arguments emit_add(const AtenCall& call) {
  const auto [self, other] = alpha_operands(call, "other");
  return one(self.is_bool() ? either(self, other) : self + other);
}

Arguments emit_sub(const AtenCall& call) {
  const auto [self, other] = alpha_operands(call, "other");
  return one(self - other);
}

Arguments emit_rsub(const AtenCall& call) {
  const auto [self, other] = alpha_operands(call, "self");
  return one(other - self);
}

Arguments emit_mul(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(terms[0].is_bool() ? both(terms[0], terms[1])
                                : terms[0] * terms[1]);
}

Arguments emit_maximum(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(larger(terms[0], terms[1]));
}

Arguments emit_minimum(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(smaller(terms[0], terms[1]));
}

// Of a number and a NaN, the number.
Arguments number_of_two(const AtenCall& call,
                        Term (*choose)(const Term&, const Term&)) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  const Term &a = terms[0], &b = terms[1];
  if (!a.is_floating()) return one(choose(a, b));
  const Term chosen = choose(a, b);
  const Term a_or_chosen = where(is_nan(b), a, chosen);
  return one(where(is_nan(a), b, a_or_chosen));
}

Arguments emit_fmax(const AtenCall& call) {
  return number_of_two(call, larger);
}

Arguments emit_fmin(const AtenCall& call) {
  return number_of_two(call, smaller);
}

constexpr AtenRow kRows[] = {
    {"add", emit_add},         {"sub", emit_sub},
    {"subtract", emit_sub},    {"rsub", emit_rsub},
    {"mul", emit_mul},         {"multiply", emit_mul},
    {"maximum", emit_maximum}, {"minimum", emit_minimum},
    {"fmax", emit_fmax},       {"fmin", emit_fmin},
};

}  // namespace

std::span<const AtenRow> arithmetic_rows() {
  static const std::vector<AtenRow> kAll = join_rows(
      {kRows, unary_rows(), division_rows(), blend_rows(), bitwise_rows()});
  return kAll;
}

}  // namespace lathe::io::aten
