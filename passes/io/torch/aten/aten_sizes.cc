#include "passes/io/torch/aten/aten_sizes.h"

#include <algorithm>
#include <string>

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Dim;
using ir::Value;
using Kind = Argument::Kind;

// Longer lists of indices are computed by the graph.
constexpr int64_t kMaxListed = 1 << 16;

bool is_size(const Argument& argument) {
  return argument.kind == Kind::kInt || argument.kind == Kind::kBool ||
         argument.is_tensor();
}

// A tensor in place of an int is the int that the graph computes.
Argument as_int(const Argument& size) {
  return size.value ? Argument::computed(Kind::kInt, size.value) : size;
}

[[noreturn]] void wrong_size(const AtenCall& call, std::string_view argument,
                             const Argument& found, const char* expected) {
  call.unsupported("argument '" + std::string(argument) + "' is " +
                   (found.is_none() ? "absent" : describe(found)) +
                   ", expected " + expected);
}

int64_t fold(const OnnxBuilder& builder, const std::string& type, int64_t a,
             int64_t b) {
  int64_t result = 0;
  bool bad = false;
  if (type == "Add") {
    bad = __builtin_add_overflow(a, b, &result);
  } else if (type == "Sub") {
    bad = __builtin_sub_overflow(a, b, &result);
  } else if (type == "Mul") {
    bad = __builtin_mul_overflow(a, b, &result);
  } else if (type == "Max") {
    result = std::max(a, b);
  } else if (type == "Min") {
    result = std::min(a, b);
  } else {
    bad = b == 0 || b == -1;
    if (!bad) result = type == "Div" ? a / b : a % b;
    if (!bad && type == "Mod" && result != 0 && (result < 0) != (b < 0))
      result += b;
  }
  if (bad)
    builder.fail_input("the sizes " + std::to_string(a) + " and " +
                       std::to_string(b) + " cannot be combined by " + type);
  return result;
}

}  // namespace

Sizes size_list(const AtenCall& call, std::string_view argument) {
  const Argument& found = call[argument];
  if (found.kind == Kind::kInt) return {found};
  if (!found.is_list()) wrong_size(call, argument, found, "a list of ints");
  Sizes sizes;
  for (const Argument& item : found.items) {
    if (!is_size(item)) wrong_size(call, argument, found, "a list of ints");
    sizes.push_back(as_int(item));
  }
  return sizes;
}

Argument size_argument(const AtenCall& call, std::string_view argument,
                       std::optional<int64_t> fallback) {
  const Argument& found = call[argument];
  if (found.is_none() && fallback) return Argument::of_int(*fallback);
  if (!is_size(found)) wrong_size(call, argument, found, "an int");
  return as_int(found);
}

std::vector<int64_t> ordered_axes(const AtenCall& call,
                                  std::string_view argument, int64_t rank) {
  std::vector<int64_t> axes = call.integers(argument, {});
  const int64_t limit = std::max<int64_t>(rank, 1);
  for (int64_t& axis : axes) {
    if (axis < -limit || axis >= limit)
      call.unsupported("argument '" + std::string(argument) + "' holds " +
                       std::to_string(axis) + ", but the tensor has rank " +
                       std::to_string(rank));
    if (axis < 0) axis += limit;
  }
  return axes;
}

bool is_constant_int(const Argument& size) {
  return !size.value && (size.kind == Kind::kInt || size.kind == Kind::kBool);
}

bool is_int(const Argument& size, int64_t value) {
  return is_constant_int(size) && size.integer == value;
}

Argument compute(OnnxBuilder& builder, const char* type, const Argument& a,
                 const Argument& b) {
  if (is_constant_int(a) && is_constant_int(b))
    return Argument::of_int(fold(builder, type, a.integer, b.integer));
  const std::string name = type;
  const bool adds = name == "Add", scales = name == "Mul";
  if ((is_int(b, 0) && (adds || name == "Sub")) ||
      (is_int(b, 1) && (scales || name == "Div")))
    return a;
  if ((adds && is_int(a, 0)) || (scales && is_int(a, 1))) return b;
  return Argument::computed(
      Kind::kInt, builder.op(type, {builder.int_scalar(settled(builder, a)),
                                    builder.int_scalar(settled(builder, b))}));
}

Argument ceil_div(OnnxBuilder& builder, const Argument& a, int64_t b) {
  const Argument up = compute(builder, "Add", a, Argument::of_int(b - 1));
  return compute(builder, "Div", up, Argument::of_int(b));
}

Argument size_of(OnnxBuilder& builder, Value* value, int64_t axis) {
  if (const auto known = builder.known_dim(value, axis))
    return Argument::of_int(*known);
  Argument size = Argument::tensor(value);
  size.integer = axis;
  return size;
}

Argument settled(OnnxBuilder& builder, const Argument& size) {
  return size.is_tensor() ? builder.size(size.value, size.integer) : size;
}

Value* size_vector(OnnxBuilder& builder, const Sizes& sizes) {
  std::vector<Value*> parts;
  for (size_t i = 0; i < sizes.size();) {
    const Argument& first = sizes[i];
    size_t end = i + 1;
    if (!first.is_tensor()) {
      // What int_vector writes best in one go.
      while (end < sizes.size() && !sizes[end].is_tensor()) ++end;
      parts.push_back(builder.int_vector(
          Sizes(sizes.begin() + static_cast<ptrdiff_t>(i),
                sizes.begin() + static_cast<ptrdiff_t>(end))));
    } else {
      const auto follows = [&](size_t at) {
        return sizes[at].is_tensor() && sizes[at].value == first.value &&
               sizes[at].integer ==
                   first.integer + static_cast<int64_t>(at - i);
      };
      while (end < sizes.size() && follows(end)) ++end;
      const int64_t last = first.integer + static_cast<int64_t>(end - i);
      parts.push_back(builder.slice(builder.op("Shape", {first.value}), 0,
                                    first.integer, last));
    }
    i = end;
  }
  return parts.empty() ? builder.ints({}) : builder.concat(parts, 0);
}

Sizes sizes_of(OnnxBuilder& builder, Value* value) {
  Sizes sizes;
  const int64_t rank = builder.rank(value);
  for (int64_t i = 0; i < rank; ++i)
    sizes.push_back(size_of(builder, value, i));
  return sizes;
}

Dim dim_of(OnnxBuilder& builder, const Argument& size) {
  if (is_constant_int(size))
    return size.integer < 0 ? Dim() : Dim(size.integer);
  if (size.is_tensor())
    return (*size.value->type.shape)[static_cast<size_t>(size.integer)];
  const auto known = builder.followed_sizes(size.value);
  return known && known->size() == 1 ? known->front() : Dim();
}

bool same_shape(const Value* a, const Value* b) {
  return a->type.shape && b->type.shape &&
         std::ranges::equal(
             *a->type.shape, *b->type.shape,
             [](const Dim& x, const Dim& y) { return x.same_as(y); });
}

Value* range(OnnxBuilder& builder, const Argument& count) {
  return progression(builder, Argument::of_int(0), count, Argument::of_int(1));
}

Value* progression(OnnxBuilder& builder, const Argument& first,
                   const Argument& count, const Argument& step) {
  if (is_constant_int(first) && is_constant_int(count) &&
      is_constant_int(step) && count.integer <= kMaxListed) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < count.integer; ++i)
      values.push_back(fold(builder, "Add", first.integer,
                            fold(builder, "Mul", i, step.integer)));
    return builder.ints(values);
  }
  auto scalar = [&](const Argument& size) {
    return builder.int_scalar(settled(builder, size));
  };
  Value* values = builder.op(
      "Range", {builder.scalar_int(0), scalar(count), builder.scalar_int(1)});
  if (!is_int(step, 1)) values = builder.op("Mul", {values, scalar(step)});
  return is_int(first, 0) ? values : builder.op("Add", {values, scalar(first)});
}

Value* index_grid(OnnxBuilder& builder, const Argument& rows, int64_t row_step,
                  const Argument& columns, int64_t column_step) {
  if (is_constant_int(rows) && is_constant_int(columns) && rows.integer >= 0 &&
      columns.integer >= 0 && rows.integer <= kMaxListed &&
      columns.integer <= kMaxListed &&
      rows.integer * columns.integer <= kMaxListed) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < rows.integer; ++i)
      for (int64_t j = 0; j < columns.integer; ++j)
        values.push_back(i * row_step + j * column_step);
    return builder.constant(
        ir::Tensor::from<int64_t>({rows.integer, columns.integer}, values));
  }
  auto scaled = [&](const Argument& count, int64_t step) {
    return progression(builder, Argument::of_int(0), count,
                       Argument::of_int(step));
  };
  return builder.op("Add", {builder.unsqueeze(scaled(rows, row_step), {1}),
                            scaled(columns, column_step)});
}

std::vector<int64_t> order_with_first(const std::vector<int64_t>& first,
                                      int64_t rank) {
  std::vector<int64_t> order = first;
  for (int64_t i = 0; i < rank; ++i)
    if (std::ranges::find(first, i) == first.end()) order.push_back(i);
  return order;
}

Value* where(OnnxBuilder& builder, Value* condition, Value* x, Value* y) {
  const DataType type = builder.elem(y);
  DataType within = type;
  if (type == DataType::kBool)
    within = DataType::kUint8;
  else if (type == DataType::kInt8 || type == DataType::kInt16)
    within = DataType::kInt32;
  else if (type == DataType::kFloat16 || type == DataType::kBfloat16)
    within = DataType::kFloat;
  return builder.cast(builder.op("Where", {condition, builder.cast(x, within),
                                           builder.cast(y, within)}),
                      type);
}

}  // namespace lathe::io::aten
