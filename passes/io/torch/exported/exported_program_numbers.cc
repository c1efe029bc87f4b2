#include "passes/io/torch/exported/exported_program_numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>
#include <set>

namespace lathe::io::exported {
namespace {

using aten::Argument;
using aten::Arguments;
using ir::DataType;
using ir::Value;
using Kind = Argument::Kind;

// "_operator.add" -> "add"; "" for what is no such function.
std::string short_name(const std::string& target) {
  static const std::set<std::string> kOperators{
      "add", "sub", "mul", "floordiv", "mod", "pow", "truediv", "neg", "pos",
      "eq",  "ne",  "lt",  "le",       "gt",  "ge",  "and_",    "or_", "not_"};
  static const std::map<std::string, std::string> kOthers{
      {"math.trunc", "trunc"},     {"math.floor", "floor"},
      {"math.ceil", "ceil"},       {"math.sqrt", "sqrt"},
      {"builtins.round", "round"}, {"builtins.int", "trunc"},
      {"torch.sym_int", "trunc"},  {"torch.sym_float", "float"},
      {"torch.sym_max", "max"},    {"torch.sym_min", "min"},
      {"torch.sym_not", "not_"},   {"torch.sym_ite", "ite"},
      {"torch.sym_sum", "sum"},    {"torch.sym_sqrt", "sqrt"},
      {"torch._sym_sqrt", "sqrt"}};
  for (const std::string head : {"_operator.", "operator."})
    if (target.starts_with(head) &&
        kOperators.contains(target.substr(head.size())))
      return target.substr(head.size());
  const auto found = kOthers.find(target);
  return found == kOthers.end() ? "" : found->second;
}

bool is_int(const Argument& a) {
  return a.kind == Kind::kInt || a.kind == Kind::kBool;
}

// Python rounds the quotient down.
int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

// Nullopt on overflow, division by zero and negative exponents.
std::optional<int64_t> fold(const std::string& op, int64_t a, int64_t b) {
  int64_t result = 0;
  if (op == "add" && !__builtin_add_overflow(a, b, &result)) return result;
  if (op == "sub" && !__builtin_sub_overflow(a, b, &result)) return result;
  if (op == "mul" && !__builtin_mul_overflow(a, b, &result)) return result;
  if (op == "max") return std::max(a, b);
  if (op == "min") return std::min(a, b);
  const bool divisible = b != 0 && !(a == INT64_MIN && b == -1);
  if (op == "floordiv" && divisible) return floor_div(a, b);
  if (op == "mod" && divisible) return a - floor_div(a, b) * b;
  if (op != "pow" || b < 0) return std::nullopt;
  result = 1;
  for (int64_t i = 0; i < b; ++i) {
    if (a == 1 || a == 0) return a;
    if (a == -1) return b % 2 == 0 ? 1 : -1;
    if (__builtin_mul_overflow(result, a, &result)) return std::nullopt;
  }
  return result;
}

double fold(const std::string& op, double a, double b) {
  if (op == "add") return a + b;
  if (op == "sub") return a - b;
  if (op == "mul") return a * b;
  if (op == "truediv") return a / b;
  if (op == "max") return std::max(a, b);
  if (op == "min") return std::min(a, b);
  if (op == "floordiv") return std::floor(a / b);
  if (op == "mod") return a - std::floor(a / b) * b;
  return std::pow(a, b);
}

template <class T>
bool fold_compare(const std::string& op, T a, T b) {
  if (op == "eq") return a == b;
  if (op == "ne") return a != b;
  if (op == "lt") return a < b;
  if (op == "le") return a <= b;
  if (op == "gt") return a > b;
  return a >= b;
}

bool is_constant_int(const Argument& a, int64_t value) {
  return is_int(a) && !a.value && a.integer == value;
}

const char* onnx_name(const std::string& op) {
  static const std::map<std::string, const char*> kNames{
      {"add", "Add"},        {"sub", "Sub"},    {"mul", "Mul"},
      {"truediv", "Div"},    {"max", "Max"},    {"min", "Min"},
      {"pow", "Pow"},        {"eq", "Equal"},   {"lt", "Less"},
      {"le", "LessOrEqual"}, {"gt", "Greater"}, {"ge", "GreaterOrEqual"},
      {"floor", "Floor"},    {"ceil", "Ceil"},  {"round", "Round"}};
  return kNames.at(op);
}

}  // namespace

bool Numbers::has(const std::string& target) {
  return !short_name(target).empty();
}

Argument Numbers::call(const std::string& target, const Arguments& arguments) {
  const std::string op = short_name(target);
  // torch.sym_sum takes a list.
  const Arguments& operands = arguments.size() == 1 && arguments[0].is_list()
                                  ? arguments[0].items
                                  : arguments;
  for (const Argument& operand : operands)
    if (!operand.is_number())
      builder_.fail("an operand is " + aten::describe(operand) +
                    ", expected a number");
  static const std::set<std::string> kUnary{
      "neg", "pos", "not_", "trunc", "floor", "ceil", "sqrt", "round", "float"};
  const size_t expected = kUnary.contains(op) ? 1 : op == "ite" ? 3 : 2;
  if (op == "sum") {
    Argument sum = Argument::of_int(0);
    for (const Argument& operand : operands) sum = binary("add", sum, operand);
    return sum;
  }
  if (operands.size() != expected)
    builder_.fail(
        fmt::format("has {} operands, expected {}", operands.size(), expected));
  if (op == "ite") return choose(operands[0], operands[1], operands[2]);
  if (expected == 1) return unary(op, operands[0]);
  return binary(op, operands[0], operands[1]);
}

Argument Numbers::size(Value* tensor, int64_t axis) {
  Argument size = builder_.size(tensor, axis);
  if (size.value) non_negative_.insert(size.value);
  return size;
}

Argument Numbers::element_count(Value* tensor) {
  Argument count = Argument::of_int(1);
  for (int64_t axis = 0; axis < builder_.rank(tensor); ++axis)
    count = binary("mul", count, size(tensor, axis));
  return count;
}

Value* Numbers::real_value(const Argument& a) {
  return builder_.as_tensor(a, DataType::kFloat);
}

Value* Numbers::bool_value(const Argument& a) {
  return builder_.as_tensor(a, DataType::kBool);
}

bool Numbers::non_negative(const Argument& a) const {
  if (a.kind == Kind::kBool) return true;
  return a.value ? non_negative_.contains(a.value) : a.integer >= 0;
}

Argument Numbers::computed_int(Value* value, bool non_negative) {
  if (non_negative) non_negative_.insert(value);
  return Argument::computed(Kind::kInt, value);
}

Argument Numbers::binary(const std::string& op, const Argument& a,
                         const Argument& b) {
  static const std::set<std::string> kComparisons{"eq", "ne", "lt",
                                                  "le", "gt", "ge"};
  if (kComparisons.contains(op)) return compare(op, a, b);
  if (op == "and_" || op == "or_") return logic(op, a, b);
  const bool whole_power =
      op != "pow" || (b.is_constant() && is_int(b) && b.integer >= 0);
  if (is_int(a) && is_int(b) && op != "truediv" && whole_power)
    return int_binary(op, a, b);
  return real_binary(op, a, b);
}

Argument Numbers::int_binary(const std::string& op, const Argument& a,
                             const Argument& b) {
  if (a.is_constant() && b.is_constant()) {
    const auto folded = fold(op, a.integer, b.integer);
    if (!folded)
      builder_.fail(fmt::format("{}({}, {}) has no int of 64 bits as its value",
                                op, a.integer, b.integer));
    return Argument::of_int(*folded);
  }
  const bool keeps_a =
      ((op == "add" || op == "sub") && is_constant_int(b, 0)) ||
      ((op == "mul" || op == "floordiv" || op == "pow") &&
       is_constant_int(b, 1));
  if (keeps_a && a.kind == Kind::kInt) return a;
  const bool keeps_b = (op == "add" && is_constant_int(a, 0)) ||
                       (op == "mul" && is_constant_int(a, 1));
  if (keeps_b && b.kind == Kind::kInt) return b;
  if ((op == "floordiv" || op == "mod") && is_constant_int(b, 0))
    builder_.fail("divides by zero");

  Value* x = builder_.int_scalar(a);
  Value* y = builder_.int_scalar(b);
  const bool positive = non_negative(a) && non_negative(b) && op != "sub";
  if (op == "mod")
    return computed_int(builder_.op("Mod", {x, y}), non_negative(b));
  if (op != "floordiv")
    return computed_int(builder_.op(onnx_name(op), {x, y}), positive);
  // Div truncates; what Mod leaves has the divisor's sign.
  if (!positive) x = builder_.op("Sub", {x, builder_.op("Mod", {x, y})});
  return computed_int(builder_.op("Div", {x, y}), positive);
}

Argument Numbers::real_binary(const std::string& op, const Argument& a,
                              const Argument& b) {
  if (a.is_constant() && b.is_constant()) {
    if (b.number() == 0 && (op == "truediv" || op == "floordiv" || op == "mod"))
      builder_.fail("divides by zero");
    return Argument::of_float(fold(op, a.number(), b.number()));
  }
  Value* x = real_value(a);
  Value* y = real_value(b);
  if (op == "floordiv" || op == "mod") {
    Value* quotient = builder_.op("Floor", {builder_.op("Div", {x, y})});
    if (op == "floordiv") return Argument::computed(Kind::kFloat, quotient);
    return Argument::computed(
        Kind::kFloat,
        builder_.op("Sub", {x, builder_.op("Mul", {quotient, y})}));
  }
  return Argument::computed(Kind::kFloat, builder_.op(onnx_name(op), {x, y}));
}

Argument Numbers::compare(const std::string& op, const Argument& a,
                          const Argument& b) {
  const bool ints = is_int(a) && is_int(b);
  if (a.is_constant() && b.is_constant())
    return Argument::of_bool(ints ? fold_compare(op, a.integer, b.integer)
                                  : fold_compare(op, a.number(), b.number()));
  Value* x = ints ? builder_.int_scalar(a) : real_value(a);
  Value* y = ints ? builder_.int_scalar(b) : real_value(b);
  if (op != "ne")
    return Argument::computed(Kind::kBool, builder_.op(onnx_name(op), {x, y}));
  return Argument::computed(Kind::kBool,
                            builder_.op("Not", {builder_.op("Equal", {x, y})}));
}

Argument Numbers::logic(const std::string& op, const Argument& a,
                        const Argument& b) {
  const bool conjunction = op == "and_";
  if (a.kind != Kind::kBool || b.kind != Kind::kBool)
    builder_.fail("bits of an int are combined, which is not translated");
  for (const auto& [known, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    if (known->is_constant())
      return (known->integer != 0) == conjunction
                 ? *other
                 : Argument::of_bool(!conjunction);
  return Argument::computed(
      Kind::kBool, builder_.op(conjunction ? "And" : "Or", {a.value, b.value}));
}

Argument Numbers::unary(const std::string& op, const Argument& a) {
  if (op == "pos") return a;
  if (op == "neg")
    return binary("sub",
                  is_int(a) ? Argument::of_int(0) : Argument::of_float(0), a);
  if (op == "not_") {
    if (a.is_constant()) return Argument::of_bool(a.number() == 0);
    return Argument::computed(Kind::kBool, builder_.op("Not", {bool_value(a)}));
  }
  if (op == "float" || op == "sqrt") {
    const bool root = op == "sqrt";
    if (a.is_constant())
      return Argument::of_float(root ? std::sqrt(a.number()) : a.number());
    Value* value = real_value(a);
    return Argument::computed(Kind::kFloat,
                              root ? builder_.op("Sqrt", {value}) : value);
  }
  return rounded(op, a);
}

Argument Numbers::rounded(const std::string& op, const Argument& a) {
  if (a.kind == Kind::kInt) return a;
  if (!a.is_constant()) {
    Value* value = a.value;
    if (op != "trunc" && a.kind == Kind::kFloat)
      value = builder_.op(onnx_name(op), {value});
    return computed_int(builder_.cast(value, DataType::kInt64),
                        /*non_negative=*/a.kind == Kind::kBool);
  }
  const double number = a.number();
  const double whole = op == "floor"   ? std::floor(number)
                       : op == "ceil"  ? std::ceil(number)
                       : op == "round" ? std::nearbyint(number)
                                       : std::trunc(number);
  if (!(std::abs(whole) < 0x1p63))
    builder_.fail(fmt::format("{} has no int of 64 bits as its value", number));
  return Argument::of_int(static_cast<int64_t>(whole));
}

Argument Numbers::choose(const Argument& condition, const Argument& a,
                         const Argument& b) {
  if (condition.is_constant()) return condition.number() != 0 ? a : b;
  const bool ints = is_int(a) && is_int(b);
  const Kind kind = a.kind == b.kind ? a.kind
                    : ints           ? Kind::kInt
                                     : Kind::kFloat;
  const DataType type = kind == Kind::kInt    ? DataType::kInt64
                        : kind == Kind::kBool ? DataType::kBool
                                              : DataType::kFloat;
  Value* value =
      builder_.op("Where", {bool_value(condition), builder_.as_tensor(a, type),
                            builder_.as_tensor(b, type)});
  if (kind != Kind::kInt) return Argument::computed(kind, value);
  return computed_int(value, non_negative(a) && non_negative(b));
}

}  // namespace lathe::io::exported
