// Sequences, grids and identity matrices: constants where their size is known
// and small.
#include <algorithm>
#include <cmath>

#include "passes/io/torch/aten/aten_creation.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Tensor;
using ir::Value;

bool is_whole(const Argument& number) {
  if (number.is_tensor()) return !ir::is_floating(number.value->type.elem);
  return number.kind != Argument::Kind::kFloat;
}

// A number, computed or not, or a tensor of one element, as a 0-D tensor.
Term scalar(OnnxBuilder& builder, const Argument& number, DataType type) {
  Value* value = builder.as_tensor(number, type);
  return {builder, builder.known_rank(value).value_or(0) == 0
                       ? value
                       : builder.reshape(value, std::vector<int64_t>{})};
}

// 0, 1, …, count - 1 as int64.
Term indices(OnnxBuilder& builder, const Term& count) {
  return {builder, builder.op("Range", {builder.scalar_int(0), count.value(),
                                        builder.scalar_int(1)})};
}

// --- arange ---

struct Bounds {
  Argument start, end, step;
  bool constant() const {
    return start.is_constant() && end.is_constant() && step.is_constant();
  }
  bool whole() const {
    return is_whole(start) && is_whole(end) && is_whole(step);
  }
};

double difference(const Argument& end, const Argument& start) {
  if (!is_whole(end) || !is_whole(start)) return end.number() - start.number();
  const auto high = static_cast<uint64_t>(end.integer),
             low = static_cast<uint64_t>(start.integer);
  return end.integer >= start.integer ? static_cast<double>(high - low)
                                      : -static_cast<double>(low - high);
}

// Elements of a constant range.
double range_size(const AtenCall& call, const Bounds& bounds) {
  const double step = bounds.step.number();
  const double count = std::ceil(difference(bounds.end, bounds.start) / step);
  if (step == 0 || !(count >= 0) || std::isinf(count))
    call.unsupported("it has no elements from " +
                     std::to_string(bounds.start.number()) + " to " +
                     std::to_string(bounds.end.number()) + " in steps of " +
                     std::to_string(step));
  return count;
}

// PyTorch cuts fractions off the bounds of an integer range.
uint64_t as_bits(const AtenCall& call, const Argument& number) {
  if (number.kind != Argument::Kind::kFloat)
    return static_cast<uint64_t>(number.integer);
  if (!(std::abs(number.real) < 0x1p63))
    call.unsupported("a bound of " + std::to_string(number.real) +
                     " is no int64");
  return static_cast<uint64_t>(static_cast<int64_t>(number.real));
}

Tensor constant_range(const AtenCall& call, const Bounds& bounds, int64_t count,
                      DataType type) {
  const auto n = static_cast<size_t>(count);
  if (!ir::is_floating(type)) {
    std::vector<int64_t> elements(n);
    const uint64_t start = as_bits(call, bounds.start),
                   step = as_bits(call, bounds.step);
    for (size_t i = 0; i < n; ++i)
      elements[i] = static_cast<int64_t>(start + i * step);
    if (type == DataType::kInt64) return Tensor::vector_i64(elements);
    return vector_of({elements.begin(), elements.end()}, type);
  }
  std::vector<double> elements(n);
  const double start = bounds.start.number(), step = bounds.step.number();
  for (size_t i = 0; i < n; ++i)
    elements[i] = start + static_cast<double>(i) * step;
  return vector_of(elements, type);
}

// start + step * (0, 1, …, count - 1): Range itself would add up the step's
// rounding errors.
Value* scaled_range(OnnxBuilder& builder, const Bounds& bounds, DataType type) {
  const Term start = scalar(builder, bounds.start, type),
             end = scalar(builder, bounds.end, type),
             step = scalar(builder, bounds.step, type);
  const Term count = apply("Ceil", {(end - start) / step});
  const Term order = indices(builder, count.cast(DataType::kInt64)).cast(type);
  return (order * step + start).value();
}

Arguments emit_arange(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Bounds bounds{call.given("start") ? call["start"] : Argument::of_int(0),
                      call["end"],
                      call.given("step") ? call["step"] : Argument::of_int(1)};
  const bool whole = bounds.whole();
  const DataType type =
      call.dtype("dtype").value_or(whole ? DataType::kInt64 : DataType::kFloat);
  if (bounds.constant()) {
    const double count = range_size(call, bounds);
    if (count <= kMaxConstantElements)
      return one(builder.constant(
          constant_range(call, bounds, static_cast<int64_t>(count), type)));
  }
  if (!whole) {
    const DataType wide =
        type == DataType::kDouble ? DataType::kDouble : DataType::kFloat;
    return one(builder.cast(scaled_range(builder, bounds, wide), type));
  }
  auto bound = [&](const Argument& number) {
    return scalar(builder, number, DataType::kInt64).value();
  };
  return one(builder.cast(
      builder.op("Range",
                 {bound(bounds.start), bound(bounds.end), bound(bounds.step)}),
      type));
}

// --- linspace ---

Tensor constant_linspace(double start, double end, int64_t steps,
                         DataType type) {
  std::vector<double> elements(static_cast<size_t>(steps), start);
  const double step =
      steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  // From both ends, so that the last one is exact.
  for (int64_t i = 0; i < steps; ++i) {
    const double element =
        i < steps / 2 || steps == 1
            ? start + static_cast<double>(i) * step
            : end - static_cast<double>(steps - 1 - i) * step;
    elements[static_cast<size_t>(i)] =
        ir::is_floating(type) ? element : std::trunc(element);
  }
  return vector_of(elements, type);
}

Arguments emit_linspace(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Argument &start = call["start"], &end = call["end"],
                 &steps = call["steps"];
  const DataType type = call.dtype("dtype").value_or(DataType::kFloat);
  if (steps.is_constant() && call.integer("steps") < 0)
    call.unsupported("argument 'steps' is negative");
  if (start.is_constant() && end.is_constant() && steps.is_constant() &&
      steps.integer <= kMaxConstantElements)
    return one(builder.constant(constant_linspace(
        call.real("start"), call.real("end"), steps.integer, type)));
  const DataType wide =
      type == DataType::kDouble ? DataType::kDouble : DataType::kFloat;
  const Term from = scalar(builder, start, wide);
  const Term count(builder, builder.int_scalar(steps));
  const Term fewer = count - 1;
  const Term gaps = larger(fewer, count.number(1)).cast(wide);
  const Term step = (scalar(builder, end, wide) - from) / gaps;
  const Term sequence = indices(builder, count).cast(wide) * step + from;
  return one(sequence.cast(type));
}

// --- matrices ---

Arguments emit_eye(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const DataType type = call.dtype("dtype").value_or(DataType::kFloat);
  const Argument& rows = call["n"];
  const Argument& columns = call.given("m") ? call["m"] : rows;
  if (rows.is_constant() && columns.is_constant()) {
    const int64_t n = rows.integer, m = columns.integer;
    if (n >= 0 && m >= 0 && n <= kMaxConstantElements &&
        m <= kMaxConstantElements && n * m <= kMaxConstantElements) {
      std::vector<double> elements(static_cast<size_t>(n * m), 0.0);
      for (int64_t i = 0; i < std::min(n, m); ++i)
        elements[static_cast<size_t>(i * m + i)] = 1;
      return one(
          builder.constant(Tensor::from_doubles(type, {n, m}, elements)));
    }
  }
  const DataType kernel = kernel_type("EyeLike", type);
  Value* zeros =
      builder.op("ConstantOfShape", {builder.int_vector({rows, columns})},
                 {{"value", Tensor::zeros(kernel, {1})}});
  return one(builder.cast(builder.op("EyeLike", {zeros}), type));
}

// The positions on one side of a diagonal, row by row: [2, count].
Arguments triangle_indices(const AtenCall& call, bool upper) {
  const int64_t rows = call.integer("row"), columns = call.integer("col"),
                offset = call.integer("offset", 0);
  if (rows < 0 || columns < 0 || rows > kMaxTableElements ||
      columns > kMaxTableElements || rows * columns > kMaxTableElements)
    call.unsupported("a matrix of " + std::to_string(rows) + " by " +
                     std::to_string(columns) + " elements is too large");
  std::vector<double> all, along;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      if (upper ? column - row >= offset : column - row <= offset) {
        all.push_back(static_cast<double>(row));
        along.push_back(static_cast<double>(column));
      }
  const auto count = static_cast<int64_t>(all.size());
  all.insert(all.end(), along.begin(), along.end());
  return one(call.builder().constant(Tensor::from_doubles(
      call.dtype("dtype").value_or(DataType::kInt64), {2, count}, all)));
}

Arguments emit_tril_indices(const AtenCall& call) {
  return triangle_indices(call, /*upper=*/false);
}
Arguments emit_triu_indices(const AtenCall& call) {
  return triangle_indices(call, /*upper=*/true);
}

// --- grids ---

// Every tensor along an axis of its own, expanded over the others'.
Arguments emit_meshgrid(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const std::vector<Value*> tensors = call.tensors("tensors");
  const std::string indexing = call.text("indexing", "ij");
  if (indexing != "ij" && indexing != "xy")
    call.unsupported("argument 'indexing' is '" + indexing +
                     "', expected 'ij' or 'xy'");
  const size_t rank = tensors.size();
  std::vector<size_t> axes(rank);
  for (size_t i = 0; i < rank; ++i) axes[i] = i;
  if (indexing == "xy" && rank >= 2) std::swap(axes[0], axes[1]);
  Arguments sizes(rank), grids;
  for (size_t i = 0; i < rank; ++i)
    sizes[axes[i]] = builder.known_rank(tensors[i]) == 0
                         ? Argument::of_int(1)
                         : builder.size(tensors[i], 0);
  Value* shape = builder.int_vector(sizes);
  for (size_t i = 0; i < rank; ++i) {
    std::vector<int64_t> dims(rank, 1);
    dims[axes[i]] = -1;
    Value* along = rank == 1 && builder.known_rank(tensors[i]) == 1
                       ? tensors[i]
                       : builder.reshape(tensors[i], dims);
    grids.push_back(Argument::tensor(builder.expand(along, shape)));
  }
  return {Argument::list(std::move(grids))};
}

constexpr AtenRow kRows[] = {
    {"arange", emit_arange},
    {"linspace", emit_linspace},
    {"eye", emit_eye},
    {"tril_indices", emit_tril_indices},
    {"triu_indices", emit_triu_indices},
    {"meshgrid", emit_meshgrid},
};

}  // namespace

std::span<const AtenRow> sequence_rows() { return kRows; }

}  // namespace lathe::io::aten
