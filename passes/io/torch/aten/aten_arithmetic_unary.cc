// Functions of one operand.
#include <array>
#include <cmath>
#include <numbers>

#include "passes/io/torch/aten/aten_arithmetic.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;

struct Pair {
  const char* aten;
  const char* onnx;
};

// One ONNX operator each, integers computed as float.
constexpr Pair kFunctions[] = {
    {"sigmoid", "Sigmoid"},
    {"special_expit", "Sigmoid"},
    {"tanh", "Tanh"},
    {"sqrt", "Sqrt"},
    {"exp", "Exp"},
    {"log", "Log"},
    {"reciprocal", "Reciprocal"},
    {"erf", "Erf"},
    {"special_erf", "Erf"},
    {"sin", "Sin"},
    {"cos", "Cos"},
    {"tan", "Tan"},
    {"asin", "Asin"},
    {"arcsin", "Asin"},
    {"acos", "Acos"},
    {"arccos", "Acos"},
    {"atan", "Atan"},
    {"arctan", "Atan"},
    {"sinh", "Sinh"},
    {"cosh", "Cosh"},
    {"asinh", "Asinh"},
    {"arcsinh", "Asinh"},
    {"acosh", "Acosh"},
    {"arccosh", "Acosh"},
    {"atanh", "Atanh"},
    {"arctanh", "Atanh"},
};

// Those that leave integers as they are.
constexpr Pair kRoundings[] = {
    {"floor", "Floor"},
    {"ceil", "Ceil"},
};

// One ONNX operator each for integers, too.
constexpr Pair kSigned[] = {
    {"abs", "Abs"},      {"absolute", "Abs"}, {"neg", "Neg"},
    {"negative", "Neg"}, {"sign", "Sign"},    {"sgn", "Sign"},
};

template <size_t N>
const char* onnx_name(const Pair (&pairs)[N], const AtenCall& call) {
  for (const Pair& pair : pairs)
    if (call.name() == pair.aten) return pair.onnx;
  call.unsupported("it has no ONNX operator");
}

Arguments emit_function(const AtenCall& call) {
  return one(apply(onnx_name(kFunctions, call), {floating_term(call, "self")}));
}

Arguments emit_rounding(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x.is_floating() ? apply(onnx_name(kRoundings, call), {x}) : x);
}

Arguments emit_signed(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x.is_bool() ? x : apply(onnx_name(kSigned, call), {x}));
}

Arguments emit_round(const AtenCall& call) {
  const Term x = term(call, "self");
  const int64_t decimals = call.integer("decimals", 0);
  if (!x.is_floating()) return one(x);
  if (decimals == 0) return one(apply("Round", {x}));
  const double power = std::pow(10.0, std::abs(static_cast<double>(decimals)));
  return one(decimals > 0 ? apply("Round", {x * power}) / power
                          : apply("Round", {x / power}) * power);
}

Arguments emit_trunc(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x.is_floating() ? truncated(x) : x);
}

Arguments emit_frac(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x - truncated(x));
}

Arguments emit_square(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x * x);
}

Arguments emit_rsqrt(const AtenCall& call) {
  const Term x = floating_term(call, "self");
  return one(apply("Reciprocal", {apply("Sqrt", {x})}));
}

Arguments emit_exp2(const AtenCall& call) {
  const Term x = floating_term(call, "self");
  return one(apply("Pow", {x.number(2), x}));
}

Arguments emit_expm1(const AtenCall& call) {
  return one(apply("Exp", {floating_term(call, "self")}) - 1);
}

Arguments emit_log2(const AtenCall& call) {
  return one(apply("Log", {floating_term(call, "self")}) / std::numbers::ln2);
}

Arguments emit_log10(const AtenCall& call) {
  return one(apply("Log", {floating_term(call, "self")}) / std::numbers::ln10);
}

Arguments emit_log1p(const AtenCall& call) {
  return one(apply("Log", {floating_term(call, "self") + 1}));
}

Arguments emit_erfc(const AtenCall& call) {
  return one(1 - apply("Erf", {floating_term(call, "self")}));
}

Arguments emit_logit(const AtenCall& call) {
  Term x = floating_term(call, "self");
  if (call.given("eps")) {
    const double eps = call.real("eps");
    x = apply("Min", {apply("Max", {x, x.number(eps)}), x.number(1 - eps)});
  }
  return one(apply("Log", {x / (1 - x)}));
}

Arguments emit_deg2rad(const AtenCall& call) {
  return one(floating_term(call, "self") * (std::numbers::pi / 180));
}

Arguments emit_rad2deg(const AtenCall& call) {
  return one(floating_term(call, "self") * (180 / std::numbers::pi));
}

// Infinities become the type's largest numbers unless the call says otherwise.
Arguments emit_nan_to_num(const AtenCall& call) {
  const Term x = term(call, "self");
  if (!x.is_floating()) return one(x);
  const double infinity = HUGE_VAL;
  const double limit = x.elem() == DataType::kFloat16  ? 65504.0
                       : x.elem() == DataType::kDouble ? 0x1.fffffffffffffp1023
                       : x.elem() == DataType::kBfloat16 ? 0x1.fep127
                                                         : 0x1.fffffep127;
  const Term nan = x.number(call.real("nan", 0)),
             highest = x.number(call.real("posinf", limit)),
             lowest = x.number(call.real("neginf", -limit));
  const Term numbers = where(is_nan(x), nan, x);
  const Term below = where(numbers == infinity, highest, numbers);
  return one(where(numbers == -infinity, lowest, below));
}

Arguments emit_erfinv(const AtenCall& call) {
  call.unsupported("ONNX has no inverse error function",
                   "leave it out of the exported model");
}

constexpr AtenRow kOthers[] = {
    {"round", emit_round},         {"special_round", emit_round},
    {"trunc", emit_trunc},         {"fix", emit_trunc},
    {"frac", emit_frac},           {"square", emit_square},
    {"rsqrt", emit_rsqrt},         {"exp2", emit_exp2},
    {"special_exp2", emit_exp2},   {"expm1", emit_expm1},
    {"special_expm1", emit_expm1}, {"log2", emit_log2},
    {"log10", emit_log10},         {"log1p", emit_log1p},
    {"special_log1p", emit_log1p}, {"erfc", emit_erfc},
    {"special_erfc", emit_erfc},   {"logit", emit_logit},
    {"special_logit", emit_logit}, {"deg2rad", emit_deg2rad},
    {"rad2deg", emit_rad2deg},     {"nan_to_num", emit_nan_to_num},
    {"erfinv", emit_erfinv},       {"special_erfinv", emit_erfinv},
};

}  // namespace

std::span<const AtenRow> unary_rows() {
  static const std::vector<AtenRow> kAll = [] {
    std::vector<AtenRow> rows = join_rows({kOthers});
    for (const Pair& pair : kFunctions)
      rows.push_back({pair.aten, emit_function});
    for (const Pair& pair : kRoundings)
      rows.push_back({pair.aten, emit_rounding});
    for (const Pair& pair : kSigned) rows.push_back({pair.aten, emit_signed});
    return rows;
  }();
  return kAll;
}

}  // namespace lathe::io::aten
