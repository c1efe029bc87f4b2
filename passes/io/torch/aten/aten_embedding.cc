// Rows of a table by their numbers, and numbers as rows.
#include <optional>

#include "passes/io/torch/aten/aten_composites.h"
#include "passes/io/torch/aten/aten_vector_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// Bags of indices one after another: bag b begins at offsets[b].
struct Bags {
  Value *rows, *indices, *offsets;  // [n, D], [n], [bags] or [bags + 1]
  bool last_offset = false;         // offsets hold the end of the last bag
  int64_t mode = 0;                 // sum, mean, max
  int64_t padding_index = -1;       // an index that does not count
};

// The size of every bag, when it is known and the same.
std::optional<int64_t> even_bags(OnnxBuilder& builder, const Bags& bags) {
  auto begins = builder.known_ints(bags.offsets);
  const auto count = builder.known_dim(bags.indices, 0);
  if (!begins || !count || bags.padding_index >= 0) return std::nullopt;
  if (!bags.last_offset) begins->push_back(*count);
  if (begins->size() < 2 || begins->front() != 0 || begins->back() != *count)
    return std::nullopt;
  const int64_t size = (*begins)[1];
  for (size_t i = 1; i < begins->size(); ++i)
    if ((*begins)[i] - (*begins)[i - 1] != size) return std::nullopt;
  return size > 0 ? std::optional(size) : std::nullopt;
}

Value* reduce_even(OnnxBuilder& builder, const Bags& bags, int64_t size) {
  constexpr const char* kReductions[] = {"ReduceSum", "ReduceMean",
                                         "ReduceMax"};
  Value* split = builder.op(
      "Reshape",
      {bags.rows,
       builder.ints(
           {-1, size, builder.dim(bags.rows, 1, "the embedding's size")})});
  return builder.reduce(kReductions[bags.mode], split, {1},
                        /*keep_dims=*/false);
}

// Which index belongs to which bag: bool [bags, n].
Value* membership(OnnxBuilder& builder, const Bags& bags) {
  Value* offsets = builder.cast(bags.offsets, DataType::kInt64);
  const Argument count = builder.size(bags.indices, 0);
  Value* positions =
      builder.op("Range", {builder.scalar_int(0), builder.int_scalar(count),
                           builder.scalar_int(1)});
  Value* begins = bags.last_offset ? builder.slice(offsets, 0, 0, -1) : offsets;
  Value* ends = builder.slice(offsets, 0, 1, std::nullopt);
  if (!bags.last_offset)
    ends = builder.concat({ends, builder.int_vector(count)}, 0);
  Value* inside = builder.op(
      "And", {builder.op("GreaterOrEqual",
                         {positions, builder.unsqueeze(begins, {1})}),
              builder.op("Less", {positions, builder.unsqueeze(ends, {1})})});
  if (bags.padding_index < 0) return inside;
  Value* padding = builder.op(
      "Equal",
      {bags.indices, builder.scalar(builder.elem(bags.indices),
                                    static_cast<double>(bags.padding_index))});
  return builder.op("And", {inside, builder.op("Not", {padding})});
}

Value* reduce_bags(OnnxBuilder& builder, const Bags& bags) {
  const DataType type = builder.elem(bags.rows);
  Value* inside = membership(builder, bags);
  Value* member = builder.cast(inside, type);
  if (bags.mode == 0) return builder.op("MatMul", {member, bags.rows});
  Value* count = builder.reduce("ReduceSum", member, {1}, /*keep_dims=*/true);
  if (bags.mode == 1)
    return builder.op("Div",
                      {builder.op("MatMul", {member, bags.rows}),
                       builder.op("Max", {count, builder.scalar(type, 1)})});
  Value* candidates =
      builder.op("Where", {builder.unsqueeze(inside, {2}), bags.rows,
                           builder.scalar(type, lowest_of(type))});
  Value* largest =
      builder.reduce("ReduceMax", candidates, {1}, /*keep_dims=*/false);
  Value* zero = builder.scalar(type, 0);
  return builder.op("Where",
                    {builder.op("Greater", {count, zero}), largest, zero});
}

}  // namespace

Arguments emit_embedding(const AtenCall& call) {
  return one(call.builder().op(
      "Gather", {call.tensor("weight"), call.tensor("indices")}));
}

// The other results (of which bag an index is, sizes of bags, where the maxima
// stand) are for the backward pass.
Arguments emit_embedding_bag(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* weight = call.tensor("weight");
  Bags bags;
  bags.indices = call.tensor("indices");
  bags.offsets = call.tensor("offsets");
  bags.last_offset = call.flag("include_last_offset", false);
  bags.mode = call.integer("mode", 0);
  if (bags.mode < 0 || bags.mode > 2)
    call.unsupported("argument 'mode' is " + std::to_string(bags.mode) +
                     ", expected 0 (sum), 1 (mean) or 2 (max)");
  bags.padding_index = call.integer("padding_idx", -1);
  // Only the public operator counts negative ones from the end.
  if (bags.padding_index < 0 && call.given("padding_idx") &&
      call.name() == "embedding_bag")
    bags.padding_index += builder.dim(weight, 0, "the number of embeddings");
  bags.rows = builder.op("Gather", {weight, bags.indices});
  if (Value* factors = call.tensor_or_null("per_sample_weights"))
    bags.rows = builder.op("Mul", {bags.rows, builder.unsqueeze(factors, {1})});
  const auto even = even_bags(builder, bags);
  Value* result =
      even ? reduce_even(builder, bags, *even) : reduce_bags(builder, bags);
  return {Argument::tensor(result), {}, {}, {}};
}

Arguments emit_one_hot(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* indices = call.tensor("self");
  const Argument& classes = call["num_classes"];
  const bool as_found =
      classes.is_none() || (classes.is_constant() && classes.number() < 0);
  Value* depth =
      as_found ? builder.op("Add", {builder.reduce("ReduceMax", indices, {},
                                                   /*keep_dims=*/false),
                                    builder.scalar_int(1)})
               : builder.int_scalar(classes);
  const bool single = builder.known_rank(indices) == 0;
  if (single) indices = builder.unsqueeze(indices, {0});
  Value* rows = builder.op("OneHot", {indices, depth, builder.ints({0, 1})});
  return one(single ? builder.squeeze(rows, {0}) : rows);
}

}  // namespace lathe::io::aten
