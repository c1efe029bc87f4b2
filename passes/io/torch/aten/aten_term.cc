#include "passes/io/torch/aten/aten_term.h"

#include <algorithm>
#include <unordered_map>

namespace lathe::io::aten {
namespace {

using ir::DataType;

constexpr uint32_t bits(std::initializer_list<DataType> types) {
  uint32_t set = 0;
  for (DataType type : types) set |= 1u << static_cast<int>(type);
  return set;
}

constexpr uint32_t kFloats = bits({DataType::kFloat, DataType::kFloat16});
constexpr uint32_t kReals = kFloats | bits({DataType::kDouble});
constexpr uint32_t kNumbers =
    kReals | bits({DataType::kInt32, DataType::kInt64});
constexpr uint32_t kBytes = bits({DataType::kInt8, DataType::kUint8});
constexpr uint32_t kAny =
    kNumbers | kBytes |
    bits({DataType::kInt16, DataType::kUint32, DataType::kUint64});

// Element types of ONNX Runtime's CPU kernels for opset 17. Half counts where
// ONNX allows it: the runtime casts around its own kernels.
const std::unordered_map<std::string_view, uint32_t>& kernels() {
  static const std::unordered_map<std::string_view, uint32_t> kRows{
      {"Abs", kAny},
      {"Acos", kFloats},
      {"Acosh", kFloats},
      {"Add", kNumbers},
      {"ArgMax", kNumbers | kBytes},
      {"ArgMin", kNumbers | kBytes},
      {"Asin", kFloats},
      {"Asinh", kFloats},
      {"Atan", kFloats},
      {"Atanh", kFloats},
      {"BitShift",
       bits({DataType::kUint8, DataType::kUint32, DataType::kUint64})},
      {"Ceil", kReals},
      {"Celu", bits({DataType::kFloat})},
      {"Clip", kNumbers | kBytes},
      {"Cos", kReals},
      {"Cosh", kFloats},
      {"CumSum", kNumbers},
      {"Div", kNumbers},
      {"Elu", kFloats},
      {"Equal", kNumbers | bits({DataType::kBool})},
      {"Erf", kFloats},
      {"Exp", kReals},
      {"EyeLike", kNumbers},
      {"Floor", kReals},
      {"Greater", kNumbers},
      {"GreaterOrEqual", kNumbers},
      {"HardSigmoid", kFloats},
      {"HardSwish", kFloats},
      {"IsInf", bits({DataType::kFloat, DataType::kDouble})},
      {"IsNaN", kReals},
      {"LeakyRelu", kReals},
      {"Less", kNumbers},
      {"LessOrEqual", kNumbers},
      {"Log", kReals},
      {"LogSoftmax", kReals},
      {"Max", kNumbers},
      {"Min", kNumbers},
      {"Mod", kAny},
      {"Mul", kNumbers},
      {"Neg", kNumbers | bits({DataType::kInt8})},
      {"NonZero", kFloats | bits({DataType::kBool, DataType::kUint8,
                                  DataType::kInt32, DataType::kInt64})},
      {"PRelu", kReals},
      {"Pow", kNumbers},
      {"Reciprocal", kReals},
      {"ReduceL1", kReals},
      {"ReduceL2", kReals},
      {"ReduceLogSumExp", kReals},
      {"ReduceMax", kNumbers | kBytes},
      {"ReduceMean", kReals},
      {"ReduceMin", kNumbers | kBytes},
      {"ReduceProd", kNumbers},
      {"ReduceSum", kNumbers},
      {"Relu", kReals},
      {"Round", kReals},
      {"Selu", kFloats},
      {"Shrink", kReals},
      {"Sigmoid", kReals},
      {"Sign", kAny},
      {"Sin", kReals},
      {"Sinh", kFloats},
      {"Softmax", kReals},
      {"Softplus", kFloats},
      {"Sqrt", kReals},
      {"Sub", kNumbers},
      {"Tan", kFloats},
      {"Tanh", kReals},
      {"ThresholdedRelu", kFloats},
      {"TopK", kNumbers},
      {"Trilu",
       kReals | bits({DataType::kInt64, DataType::kInt32, DataType::kBool})},
      {"Unique", kReals | bits({DataType::kInt64, DataType::kInt8})},
      {"Where", kNumbers | bits({DataType::kUint8})},
  };
  return kRows;
}

// What to try, nearest first.
std::initializer_list<DataType> wider_types(DataType type) {
  static constexpr auto kFloating = {DataType::kFloat};
  static constexpr auto kSmall = {DataType::kInt32, DataType::kInt64,
                                  DataType::kFloat};
  static constexpr auto kLarge = {DataType::kInt64, DataType::kDouble,
                                  DataType::kFloat};
  if (ir::is_floating(type)) return kFloating;
  return type == DataType::kBool || bits_per_element(type) < 32 ? kSmall
                                                                : kLarge;
}

std::vector<Term> as_terms(const AtenCall& call,
                           const std::vector<const char*>& arguments,
                           bool floating) {
  std::vector<const Argument*> operands;
  for (const char* argument : arguments) operands.push_back(&call[argument]);
  DataType type = call.builder().result_type(operands);
  if (floating && type != DataType::kUndefined && !ir::is_floating(type))
    type = DataType::kFloat;
  std::vector<Term> terms;
  for (const Argument* operand : operands)
    terms.emplace_back(call.builder(),
                       call.builder().as_tensor(*operand, type));
  return terms;
}

}  // namespace

DataType kernel_type(std::string_view op, DataType type) {
  const auto row = kernels().find(op);
  if (row == kernels().end() || type == DataType::kUndefined) return type;
  auto has = [&](DataType wanted) {
    return (row->second >> static_cast<int>(wanted) & 1) != 0;
  };
  if (has(type)) return type;
  for (DataType wider : wider_types(type))
    if (has(wider)) return wider;
  return type;
}

Term Term::floating() const {
  return is_floating() || elem() == DataType::kUndefined
             ? *this
             : cast(DataType::kFloat);
}

Term Term::number(double value) const {
  const DataType type =
      elem() == DataType::kUndefined ? DataType::kFloat : elem();
  return {*builder_, builder_->scalar(type, value)};
}

Term apply(const char* op, std::initializer_list<Term> inputs,
           const NamedAttributes& attributes) {
  const Term& first = *inputs.begin();
  const DataType from = first.elem(), type = kernel_type(op, from);
  std::vector<ir::Value*> values;
  for (const Term& input : inputs)
    values.push_back(first.builder().cast(input.value(), type));
  const Term result(first.builder(),
                    first.builder().op(op, values, attributes));
  return type != from && result.elem() == type ? result.cast(from) : result;
}

Term operator+(const Term& a, const Term& b) { return apply("Add", {a, b}); }
Term operator-(const Term& a, const Term& b) { return apply("Sub", {a, b}); }
Term operator*(const Term& a, const Term& b) { return apply("Mul", {a, b}); }
Term operator/(const Term& a, const Term& b) { return apply("Div", {a, b}); }
Term operator+(const Term& a, double b) { return a + a.number(b); }
Term operator-(const Term& a, double b) { return a - a.number(b); }
Term operator*(const Term& a, double b) { return a * a.number(b); }
Term operator/(const Term& a, double b) { return a / a.number(b); }
Term operator-(double a, const Term& b) { return b.number(a) - b; }
Term operator-(const Term& a) { return apply("Neg", {a}); }

Term operator==(const Term& a, const Term& b) { return apply("Equal", {a, b}); }
Term operator<(const Term& a, const Term& b) { return apply("Less", {a, b}); }
Term operator>(const Term& a, const Term& b) {
  return apply("Greater", {a, b});
}
Term operator<=(const Term& a, const Term& b) {
  return apply("LessOrEqual", {a, b});
}
Term operator==(const Term& a, double b) { return a == a.number(b); }
Term operator<(const Term& a, double b) { return a < a.number(b); }
Term operator>(const Term& a, double b) { return a > a.number(b); }
Term operator!(const Term& a) { return apply("Not", {a}); }
Term is_nan(const Term& a) { return apply("IsNaN", {a}); }
Term both(const Term& a, const Term& b) { return apply("And", {a, b}); }
Term either(const Term& a, const Term& b) { return apply("Or", {a, b}); }
Term differ(const Term& a, const Term& b) { return apply("Xor", {a, b}); }
Term truth(const Term& a) { return a.cast(DataType::kBool); }

Term larger(const Term& a, const Term& b) {
  return a.is_bool() ? either(a, b) : apply("Max", {a, b});
}

Term smaller(const Term& a, const Term& b) {
  return a.is_bool() ? both(a, b) : apply("Min", {a, b});
}

Term where(const Term& condition, const Term& yes, const Term& no) {
  const DataType from = yes.elem(), type = kernel_type("Where", from);
  OnnxBuilder& builder = condition.builder();
  return Term(builder,
              builder.op("Where", {condition.value(), yes.cast(type).value(),
                                   no.cast(type).value()}))
      .cast(from);
}

Term truncated(const Term& a) {
  const Term size = apply("Floor", {apply("Abs", {a})});
  return apply("Sign", {a}) * size;
}

Term c_mod(const Term& a, const Term& b) {
  return apply("Mod", {a, b}, {{"fmod", int64_t{1}}});
}

Term python_mod(const Term& a, const Term& b) {
  // ONNX has Python's rule for integers only.
  if (!a.is_floating()) return apply("Mod", {a, b});
  const Term rest = c_mod(a, b);
  const Term turned = rest + b;
  return where(apply("Sign", {rest}) * b < 0, turned, rest);
}

Term reduce(const char* op, const Term& a, const std::vector<int64_t>& axes,
            bool keep_dims) {
  const DataType type = kernel_type(op, a.elem());
  const bool scalar = a.builder().known_rank(a.value()) == 0;
  return Term(a.builder(),
              a.builder().reduce(op, a.cast(type).value(),
                                 scalar ? std::vector<int64_t>{} : axes,
                                 keep_dims))
      .cast(a.elem());
}

std::vector<Term> promoted(const AtenCall& call,
                           const std::vector<const char*>& arguments) {
  return as_terms(call, arguments, /*floating=*/false);
}

std::vector<Term> promoted_floating(const AtenCall& call,
                                    const std::vector<const char*>& arguments) {
  return as_terms(call, arguments, /*floating=*/true);
}

std::optional<double> constant_number(const Argument& argument) {
  if (argument.is_number() && argument.is_constant()) return argument.number();
  if (argument.is_tensor() && argument.value->is_constant() &&
      argument.value->tensor().rank() == 0)
    return argument.value->tensor().to_doubles().front();
  return std::nullopt;
}

std::vector<AtenRow> join_rows(
    std::initializer_list<std::span<const AtenRow>> parts) {
  std::vector<AtenRow> rows;
  for (const auto& part : parts)
    rows.insert(rows.end(), part.begin(), part.end());
  return rows;
}

}  // namespace lathe::io::aten
