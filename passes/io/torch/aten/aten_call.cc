#include "passes/io/torch/aten/aten_call.h"

#include <algorithm>

namespace lathe::io::aten {
namespace {

using Kind = Argument::Kind;

[[noreturn]] void wrong(const AtenCall& call, std::string_view argument,
                        const char* expected) {
  const Argument& found = call[argument];
  call.unsupported(
      "argument '" + std::string(argument) + "' is " +
          (found.is_none() ? std::string("absent") : describe(found)) +
          ", expected " + expected,
      found.value && found.is_number()
          ? "it is computed from input sizes; give them with --input-shape"
          : "");
}

}  // namespace

const Argument& AtenCall::operator[](std::string_view argument) const {
  static const Argument kAbsent;
  for (const auto& [name, value] : arguments_)
    if (name == argument) return value;
  return kAbsent;
}

ir::Value* AtenCall::tensor(std::string_view argument) const {
  ir::Value* value = tensor_or_null(argument);
  if (!value) wrong(*this, argument, "a tensor");
  return value;
}

ir::Value* AtenCall::tensor_or_null(std::string_view argument) const {
  const Argument& found = (*this)[argument];
  if (found.is_none()) return nullptr;
  if (!found.is_tensor()) wrong(*this, argument, "a tensor");
  return found.value;
}

std::vector<ir::Value*> AtenCall::tensors(std::string_view argument) const {
  const Argument& found = (*this)[argument];
  std::vector<ir::Value*> values;
  if (!found.is_list()) wrong(*this, argument, "a list of tensors");
  for (const Argument& item : found.items) {
    if (!item.is_tensor()) wrong(*this, argument, "a list of tensors");
    values.push_back(item.value);
  }
  return values;
}

int64_t AtenCall::integer(std::string_view argument) const {
  const Argument& found = (*this)[argument];
  if ((found.kind != Kind::kInt && found.kind != Kind::kBool) || found.value)
    wrong(*this, argument, "a constant int");
  return found.integer;
}

int64_t AtenCall::integer(std::string_view argument, int64_t fallback) const {
  return given(argument) ? integer(argument) : fallback;
}

double AtenCall::real(std::string_view argument) const {
  const Argument& found = (*this)[argument];
  if (!found.is_number() || found.value)
    wrong(*this, argument, "a constant number");
  return found.number();
}

double AtenCall::real(std::string_view argument, double fallback) const {
  return given(argument) ? real(argument) : fallback;
}

bool AtenCall::flag(std::string_view argument, bool fallback) const {
  if (!given(argument)) return fallback;
  const Argument& found = (*this)[argument];
  if ((found.kind != Kind::kBool && found.kind != Kind::kInt) || found.value)
    wrong(*this, argument, "a constant bool");
  return found.integer != 0;
}

std::string AtenCall::text(std::string_view argument,
                           const std::string& fallback) const {
  if (!given(argument)) return fallback;
  const Argument& found = (*this)[argument];
  if (found.kind != Kind::kString) wrong(*this, argument, "a string");
  return found.text;
}

std::vector<int64_t> AtenCall::integers(std::string_view argument) const {
  const Argument& found = (*this)[argument];
  if (!found.is_list()) {
    if (found.kind != Kind::kInt || found.value)
      wrong(*this, argument, "a list of constant ints");
    return {found.integer};
  }
  std::vector<int64_t> values;
  for (const Argument& item : found.items) {
    if ((item.kind != Kind::kInt && item.kind != Kind::kBool) || item.value)
      unsupported("argument '" + std::string(argument) + "' holds " +
                      describe(item) + ", expected constant ints",
                  item.value ? "it is computed from input sizes; give them "
                               "with --input-shape"
                             : "");
    values.push_back(item.integer);
  }
  return values;
}

std::vector<int64_t> AtenCall::integers(std::string_view argument,
                                        std::vector<int64_t> fallback) const {
  return given(argument) ? integers(argument) : fallback;
}

std::vector<int64_t> AtenCall::integers_n(std::string_view argument,
                                          size_t count,
                                          int64_t fallback) const {
  std::vector<int64_t> values = integers(argument, {});
  if (values.empty()) return std::vector<int64_t>(count, fallback);
  if (values.size() == 1) return std::vector<int64_t>(count, values.front());
  if (values.size() != count)
    unsupported("argument '" + std::string(argument) + "' has " +
                std::to_string(values.size()) + " elements, expected " +
                std::to_string(count));
  return values;
}

std::optional<ir::DataType> AtenCall::dtype(std::string_view argument) const {
  if (!given(argument)) return std::nullopt;
  const int64_t number = integer(argument);
  const auto type = data_type_from_torch(number);
  if (!type)
    unsupported("argument '" + std::string(argument) +
                "' is PyTorch's scalar type " + std::to_string(number) +
                ", which ONNX lacks");
  return type;
}

int64_t AtenCall::axis(std::string_view argument, int64_t rank) const {
  const int64_t given_axis = integer(argument);
  // PyTorch reads a 0-D tensor as one with a single dimension here.
  const int64_t limit = std::max<int64_t>(rank, 1);
  if (given_axis < -limit || given_axis >= limit)
    unsupported("argument '" + std::string(argument) + "' is " +
                std::to_string(given_axis) + ", but the tensor has rank " +
                std::to_string(rank));
  return given_axis < 0 ? given_axis + limit : given_axis;
}

int64_t AtenCall::axis(std::string_view argument, int64_t rank,
                       int64_t fallback) const {
  if (given(argument)) return axis(argument, rank);
  return fallback < 0 ? fallback + std::max<int64_t>(rank, 1) : fallback;
}

std::vector<int64_t> AtenCall::axes(std::string_view argument, int64_t rank,
                                    bool empty_means_all) const {
  std::vector<int64_t> axes = integers(argument, {});
  if (axes.empty() && empty_means_all)
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  const int64_t limit = std::max<int64_t>(rank, 1);
  for (int64_t& axis : axes) {
    if (axis < -limit || axis >= limit)
      unsupported("argument '" + std::string(argument) + "' holds " +
                  std::to_string(axis) + ", but the tensor has rank " +
                  std::to_string(rank));
    if (axis < 0) axis += limit;
  }
  std::ranges::sort(axes);
  return axes;
}

void AtenCall::unsupported(const std::string& what,
                           const std::string& hint) const {
  builder_.fail("aten::" + name_ + ": " + what, hint);
}

}  // namespace lathe::io::aten
