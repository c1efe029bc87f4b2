// Division with PyTorch's roundings and remainders, and powers.
#include <cmath>

#include "passes/io/torch/aten/aten_arithmetic.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;

bool is_power_of_two(double value) {
  int exponent = 0;
  return value != 0 && std::isfinite(value) &&
         std::abs(std::frexp(value, &exponent)) == 0.5;
}

// PyTorch's: with the remainder taken off first, the quotient is whole, so
// that 1 // 0.1 is 9 although 1 / 0.1 rounds to 10. A division by zero stays
// what it is.
Term floor_quotient(const Term& a, const Term& b,
                    std::optional<double> divisor) {
  if (!a.is_floating()) return (a - python_mod(a, b)) / b;
  if (divisor && is_power_of_two(*divisor)) return apply("Floor", {a / b});
  const Term whole = apply("Round", {(a - python_mod(a, b)) / b});
  if (divisor.value_or(0) != 0) return whole;
  const Term quotient = a / b;
  return where(b == 0, quotient, whole);
}

Arguments floor_divide(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(
      floor_quotient(terms[0], terms[1], constant_number(call["other"])));
}

Arguments emit_div(const AtenCall& call) {
  const std::string mode = call.text("rounding_mode", "");
  if (mode.empty()) {
    const std::vector<Term> terms = promoted_floating(call, {"self", "other"});
    return one(terms[0] / terms[1]);
  }
  if (mode == "floor") return floor_divide(call);
  if (mode != "trunc")
    call.unsupported("argument 'rounding_mode' is '" + mode +
                     "', expected None, 'trunc' or 'floor'");
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  const Term quotient = terms[0] / terms[1];
  return one(quotient.is_floating() ? truncated(quotient) : quotient);
}

Arguments emit_remainder(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  const auto divisor = constant_number(call["other"]);
  if (!terms[0].is_floating() || !divisor || !(*divisor > 0))
    return one(python_mod(terms[0], terms[1]));
  const Term rest = c_mod(terms[0], terms[1]);
  const Term raised = rest + terms[1];
  return one(where(rest < 0, raised, rest));
}

Arguments emit_fmod(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(c_mod(terms[0], terms[1]));
}

// Exponents that have an operator of their own.
std::optional<Term> simple_power(const Term& x, double exponent) {
  if (exponent == 1) return x;
  if (!x.is_floating()) return std::nullopt;
  if (exponent == 0.5) return apply("Sqrt", {x});
  if (exponent == -0.5) return apply("Reciprocal", {apply("Sqrt", {x})});
  if (exponent == -1) return apply("Reciprocal", {x});
  return std::nullopt;
}

// x^2 stays a Pow: the runtime computes it as x * x, and looks for it where it
// fuses normalizations.
Arguments emit_pow(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "exponent"});
  if (const auto exponent = constant_number(call["exponent"]))
    if (const auto simple = simple_power(terms[0], *exponent))
      return one(*simple);
  return one(apply("Pow", {terms[0], terms[1]}));
}

Arguments emit_float_power(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  auto as_double = [&](const char* argument) {
    return Term(builder, builder.as_tensor(call[argument], DataType::kDouble));
  };
  return one(apply("Pow", {as_double("self"), as_double("exponent")}));
}

constexpr AtenRow kRows[] = {
    {"div", emit_div},
    {"divide", emit_div},
    {"true_divide", emit_div},
    {"floor_divide", floor_divide},
    {"remainder", emit_remainder},
    {"fmod", emit_fmod},
    {"pow", emit_pow},
    {"float_power", emit_float_power},
};

}  // namespace

std::span<const AtenRow> division_rows() { return kRows; }

}  // namespace lathe::io::aten
