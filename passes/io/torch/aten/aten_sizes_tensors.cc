// Tensors of given sizes: reshape_to, expand_to and their like.
#include <algorithm>
#include <string>

#include "passes/io/torch/aten/aten_sizes.h"

namespace lathe::io::aten {
namespace {

using ir::Dim;
using ir::Value;

// The size that -1 stands for, when all others are known.
std::optional<int64_t> rest_of(const std::vector<int64_t>& input,
                               const ir::Shape& target) {
  int64_t whole = 1, part = 1;
  for (int64_t dim : input)
    if (__builtin_mul_overflow(whole, dim, &whole)) return std::nullopt;
  for (const Dim& dim : target)
    if (dim.known() && __builtin_mul_overflow(part, dim.value, &part))
      return std::nullopt;
  if (part == 0 || whole % part != 0) return std::nullopt;
  return whole / part;
}

}  // namespace

Value* reshape_to(OnnxBuilder& builder, Value* value, const Sizes& sizes) {
  const auto input = value->type.shape;
  ir::Shape dims;
  std::optional<size_t> rest;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (is_int(sizes[i], -1)) rest = i;
    dims.push_back(dim_of(builder, sizes[i]));
  }
  auto stays = [&](size_t i) {
    return input && i < input->size() && dims[i].same_as((*input)[i]);
  };
  size_t moved = 0;
  for (size_t i = 0; i < dims.size(); ++i) moved += rest != i && !stays(i);
  if (input && input->size() == dims.size() && moved == 0) return value;
  if (const auto known = builder.known_dims(value); known && rest)
    if (const auto left = rest_of(*known, dims)) dims[*rest] = Dim(*left);
  const auto open =
      std::ranges::count_if(dims, [](const Dim& dim) { return !dim.known(); });
  const bool zero = std::ranges::any_of(
      dims, [](const Dim& dim) { return dim.known() && dim.value == 0; });
  // What is open becomes one -1 and, at its old place, 0: a copy.
  std::vector<int64_t> target = ir::to_dims(dims);
  if (open <= 1 && (open == 0 || !zero)) return builder.reshape(value, target);
  if (!zero) {
    int64_t left = 0;
    for (size_t i = 0; i < target.size(); ++i) {
      if (rest != i && stays(i) && !dims[i].known()) target[i] = 0;
      left += target[i] == -1;
    }
    if (left <= 1) return builder.op("Reshape", {value, builder.ints(target)});
  }
  Sizes filled = sizes;
  for (size_t i = 0; i < dims.size(); ++i)
    if (dims[i].known()) filled[i] = Argument::of_int(dims[i].value);
  return builder.reshape(value, size_vector(builder, filled));
}

Value* expand_to(OnnxBuilder& builder, Value* value, const Sizes& sizes) {
  const int64_t rank = builder.rank(value);
  const size_t lead = sizes.size() - static_cast<size_t>(rank);
  if (static_cast<int64_t>(sizes.size()) < rank)
    builder.fail_input("cannot expand a tensor of rank " +
                       std::to_string(rank) + " to rank " +
                       std::to_string(sizes.size()));
  Sizes target = sizes;
  bool changes = false, ones = true;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i < lead) {
      ones = ones && is_int(sizes[i], 1);
      continue;
    }
    const Dim& input = (*value->type.shape)[i - lead];
    if (is_int(sizes[i], -1) || input.same_as(dim_of(builder, sizes[i])) ||
        (input.known() && input.value != 1))
      target[i] = Argument::of_int(1);
    else
      changes = true;
  }
  if (!changes && ones) {
    std::vector<int64_t> axes;
    for (size_t i = 0; i < lead; ++i) axes.push_back(static_cast<int64_t>(i));
    return builder.unsqueeze(value, axes);
  }
  return builder.expand(value, size_vector(builder, target));
}

void broadcast(OnnxBuilder& builder, Value*& a, Value*& b) {
  if (same_shape(a, b)) return;
  Value *a_shape = builder.shape_of(a), *b_shape = builder.shape_of(b);
  auto covers = [](const Value* x, const Value* y) {
    // Whether y expands to the very shape of x.
    if (!x->type.shape || !y->type.shape ||
        y->type.shape->size() > x->type.shape->size())
      return false;
    const size_t lead = x->type.shape->size() - y->type.shape->size();
    for (size_t i = 0; i < y->type.shape->size(); ++i) {
      const Dim& dim = (*y->type.shape)[i];
      if (!dim.same_as((*x->type.shape)[lead + i]) && dim.value != 1)
        return false;
    }
    return true;
  };
  const bool a_stays = covers(a, b), b_stays = covers(b, a);
  if (!a_stays) a = builder.expand(a, b_shape);
  if (!b_stays) b = builder.expand(b, a_shape);
}

Value* at_least_rank(OnnxBuilder& builder, Value* value, int64_t wanted) {
  const int64_t rank = builder.rank(value);
  if (rank >= wanted) return value;
  // A vector is a row, and a matrix one of many along a new last axis.
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < wanted; ++i)
    if (rank == 0 || (rank == 1 && i != 1) || (rank == 2 && i == 2))
      axes.push_back(i);
  return builder.unsqueeze(value, axes);
}

}  // namespace lathe::io::aten
