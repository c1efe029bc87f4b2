#include "passes/io/torch/aten/argument.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lathe::io::aten {
namespace {

using ir::DataType;

// c10::ScalarType's numbers.
constexpr std::array<std::pair<int64_t, DataType>, 16> kTypes{
    {{0, DataType::kUint8},
     {1, DataType::kInt8},
     {2, DataType::kInt16},
     {3, DataType::kInt32},
     {4, DataType::kInt64},
     {5, DataType::kFloat16},
     {6, DataType::kFloat},
     {7, DataType::kDouble},
     {9, DataType::kComplex64},
     {10, DataType::kComplex128},
     {11, DataType::kBool},
     {15, DataType::kBfloat16},
     {23, DataType::kFloat8E5M2},
     {24, DataType::kFloat8E4M3FN},
     {27, DataType::kUint16},
     {28, DataType::kUint32}}};

const char* kind_name(Argument::Kind kind) {
  switch (kind) {
    case Argument::Kind::kNone:
      return "None";
    case Argument::Kind::kTensor:
      return "tensor";
    case Argument::Kind::kInt:
      return "int";
    case Argument::Kind::kFloat:
      return "float";
    case Argument::Kind::kBool:
      return "bool";
    case Argument::Kind::kString:
      return "string";
    case Argument::Kind::kList:
      return "list";
  }
  return "";
}

}  // namespace

Argument Argument::tensor(ir::Value* value) {
  Argument argument;
  argument.kind = Kind::kTensor;
  argument.value = value;
  return argument;
}

Argument Argument::of_int(int64_t value) {
  Argument argument;
  argument.kind = Kind::kInt;
  argument.integer = value;
  return argument;
}

Argument Argument::of_float(double value) {
  Argument argument;
  argument.kind = Kind::kFloat;
  argument.real = value;
  return argument;
}

Argument Argument::of_bool(bool value) {
  Argument argument;
  argument.kind = Kind::kBool;
  argument.integer = value ? 1 : 0;
  return argument;
}

Argument Argument::of_string(std::string value) {
  Argument argument;
  argument.kind = Kind::kString;
  argument.text = std::move(value);
  return argument;
}

Argument Argument::list(std::vector<Argument> items) {
  Argument argument;
  argument.kind = Kind::kList;
  argument.items = std::move(items);
  return argument;
}

Argument Argument::list(const std::vector<int64_t>& items) {
  std::vector<Argument> arguments;
  for (int64_t item : items) arguments.push_back(of_int(item));
  return list(std::move(arguments));
}

Argument Argument::computed(Kind kind, ir::Value* value) {
  Argument argument;
  argument.kind = kind;
  argument.value = value;
  return argument;
}

bool Argument::is_constant() const {
  if (is_list())
    return std::ranges::all_of(
        items, [](const Argument& item) { return item.is_constant(); });
  return !is_tensor() && !value;
}

double Argument::number() const {
  return kind == Kind::kFloat ? real : static_cast<double>(integer);
}

std::string describe(const Argument& argument) {
  if (!argument.is_list())
    return (argument.is_number() && argument.value ? "computed " : "") +
           std::string(kind_name(argument.kind));
  if (argument.items.empty()) return "empty list";
  const Argument::Kind kind = argument.items.front().kind;
  const bool alike = std::ranges::all_of(
      argument.items, [&](const Argument& item) { return item.kind == kind; });
  return alike ? "list of " + std::string(kind_name(kind)) : "list";
}

std::optional<DataType> data_type_from_torch(int64_t scalar_type) {
  for (const auto& [number, type] : kTypes)
    if (number == scalar_type) return type;
  return std::nullopt;
}

int64_t torch_from_data_type(DataType type) {
  for (const auto& [number, known] : kTypes)
    if (known == type) return number;
  return -1;
}

}  // namespace lathe::io::aten
