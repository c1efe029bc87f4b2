// scatter and index_add, index_copy, index_fill: writing at indices along one
// axis.
#include "passes/io/torch/aten/aten_scatter.h"

#include <string>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// ONNX Runtime reduces in these types.
DataType reducing_type(DataType type) {
  if (type == DataType::kFloat16 || type == DataType::kBfloat16)
    return DataType::kFloat;
  if (type == DataType::kBool) return DataType::kInt32;
  return type;
}

// The part of `source` that lies under `index`, which may be smaller.
Value* under_index(OnnxBuilder& builder, Value* source, Value* index) {
  if (same_shape(source, index)) return source;
  const int64_t rank = builder.rank(index);
  return builder.op(
      "Slice",
      {source, builder.ints(std::vector<int64_t>(static_cast<size_t>(rank), 0)),
       builder.shape_of(index)});
}

Value* scatter_elements(OnnxBuilder& builder, Value* self, Value* index,
                        Value* updates, int64_t axis,
                        const std::string& reduction) {
  const DataType type = builder.elem(self);
  const DataType within = reduction == "none" ? type : reducing_type(type);
  NamedAttributes attributes{{"axis", axis}};
  if (reduction != "none") attributes.emplace_back("reduction", reduction);
  return builder.cast(builder.op("ScatterElements",
                                 {builder.cast(self, within), index,
                                  builder.cast(updates, within)},
                                 attributes),
                      type);
}

// What scatter's forms have in common: tensors with dimensions, and updates of
// the shape of the index.
struct Scatter {
  Value *self, *index, *updates;
  int64_t axis;
  bool scalar;  // self has none: the result loses its axis again
};

Scatter prepare(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Scatter s{call.tensor("self"), call.tensor("index"), nullptr, 0, false};
  const DataType type = builder.elem(s.self);
  s.scalar = builder.rank(s.self) == 0;
  auto raised = [&](Value* value) {
    return builder.rank(value) == 0 ? builder.unsqueeze(value, {0}) : value;
  };
  s.self = raised(s.self);
  s.index = raised(s.index);
  s.axis = call.axis("dim", builder.rank(s.self));
  const bool by_value = call.given("value");
  const Argument& given = call[by_value ? "value" : "src"];
  if (given.is_none()) call.unsupported("argument 'src' is absent");
  Value* source = builder.as_tensor(given, type);
  if (by_value || (!given.is_tensor()))
    s.updates = builder.expand(source, builder.shape_of(s.index));
  else
    s.updates = under_index(builder, raised(source), s.index);
  return s;
}

Arguments finish(const AtenCall& call, const Scatter& s, Value* result) {
  return one(s.scalar ? call.builder().squeeze(result, {0}) : result);
}

Value* filled_like(OnnxBuilder& builder, Value* value, DataType type,
                   double fill) {
  return builder.expand(builder.scalar(type, fill), builder.shape_of(value));
}

// Sums by how many elements went into each.
Value* averaged(const AtenCall& call, const Scatter& s, Value* base,
                bool include_self) {
  OnnxBuilder& builder = call.builder();
  const DataType type = builder.elem(s.self);
  if (!ir::is_floating(type))
    call.unsupported("takes the mean of integers",
                     "convert the tensor to float first");
  Value* sum =
      scatter_elements(builder, base, s.index, s.updates, s.axis, "add");
  Value* count = scatter_elements(
      builder, filled_like(builder, s.self, type, include_self ? 1 : 0),
      s.index, filled_like(builder, s.index, type, 1), s.axis, "add");
  if (!include_self)
    count = builder.op("Max", {count, builder.scalar(type, 1)});
  return builder.op("Div", {sum, count});
}

Arguments scatter_reducing(const AtenCall& call, const std::string& reduce,
                           bool include_self) {
  OnnxBuilder& builder = call.builder();
  const bool adds = reduce == "sum" || reduce == "add" || reduce == "mean";
  const bool multiplies = reduce == "prod" || reduce == "multiply";
  if (!adds && !multiplies)
    call.unsupported("reduces by '" + reduce +
                         "', but ONNX opset 17 scatters with sum and product "
                         "only",
                     "use 'sum', 'prod' or 'mean'");
  const Scatter s = prepare(call);
  Value* base = s.self;
  if (!include_self) {
    const DataType type = builder.elem(s.self);
    base = scatter_elements(
        builder, s.self, s.index,
        filled_like(builder, s.index, type, multiplies ? 1 : 0), s.axis,
        "none");
  }
  if (reduce == "mean")
    return finish(call, s, averaged(call, s, base, include_self));
  return finish(call, s,
                scatter_elements(builder, base, s.index, s.updates, s.axis,
                                 multiplies ? "mul" : "add"));
}

// The 1-D int64 positions of index_add and its like.
Value* row_positions(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* index = builder.cast(call.tensor("index"), DataType::kInt64);
  const int64_t rank = builder.rank(index);
  if (rank > 1)
    call.unsupported("argument 'index' has rank " + std::to_string(rank) +
                     ", expected 1");
  return rank == 0 ? builder.unsqueeze(index, {0}) : index;
}

Arguments emit_rows(const AtenCall& call, const std::string& reduction) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) call.unsupported("found a tensor without dimensions");
  const int64_t axis = call.axis("dim", rank);
  const DataType type = builder.elem(self);
  Value* source = builder.cast(call.tensor("source"), type);
  if (builder.rank(source) < rank) source = builder.unsqueeze(source, {axis});
  if (call.given("alpha") &&
      !(call["alpha"].is_constant() && call["alpha"].number() == 1))
    source =
        builder.op("Mul", {source, builder.as_tensor(call["alpha"], type)});
  return one(scatter_rows(builder, self, axis, row_positions(call), source,
                          reduction));
}

}  // namespace

std::vector<int64_t> inverse_order(const std::vector<int64_t>& order) {
  std::vector<int64_t> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return inverse;
}

Value* scatter_nd(OnnxBuilder& builder, Value* data, Value* positions,
                  Value* updates, const std::string& reduction) {
  if (reduction == "none")
    return builder.op("ScatterND", {data, positions, updates});
  const DataType type = builder.elem(data);
  const DataType within = reducing_type(type);
  return builder.cast(builder.op("ScatterND",
                                 {builder.cast(data, within), positions,
                                  builder.cast(updates, within)},
                                 {{"reduction", reduction}}),
                      type);
}

Value* scatter_rows(OnnxBuilder& builder, Value* self, int64_t axis,
                    Value* positions, Value* source,
                    const std::string& reduction) {
  const auto order = order_with_first({axis}, builder.rank(self));
  Value* result = scatter_nd(builder, builder.transpose(self, order),
                             builder.unsqueeze(positions, {1}),
                             builder.transpose(source, order), reduction);
  return builder.transpose(result, inverse_order(order));
}

Arguments emit_scatter(const AtenCall& call) {
  if (call.given("reduce"))
    return scatter_reducing(call, call.text("reduce", ""),
                            /*include_self=*/true);
  const Scatter s = prepare(call);
  return finish(call, s,
                scatter_elements(call.builder(), s.self, s.index, s.updates,
                                 s.axis, "none"));
}

Arguments emit_scatter_add(const AtenCall& call) {
  return scatter_reducing(call, "sum", /*include_self=*/true);
}

Arguments emit_scatter_reduce(const AtenCall& call) {
  return scatter_reducing(call, call.text("reduce", ""),
                          call.flag("include_self", true));
}

Arguments emit_index_add(const AtenCall& call) {
  return emit_rows(call, "add");
}

Arguments emit_index_copy(const AtenCall& call) {
  return emit_rows(call, "none");
}

Arguments emit_index_fill(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) call.unsupported("found a tensor without dimensions");
  const int64_t axis = call.axis("dim", rank);
  Value* positions = row_positions(call);
  Sizes sizes = sizes_of(builder, self);
  sizes[static_cast<size_t>(axis)] = size_of(builder, positions, 0);
  Value* rows =
      builder.expand(builder.as_tensor(call["value"], builder.elem(self)),
                     size_vector(builder, sizes));
  return one(scatter_rows(builder, self, axis, positions, rows, "none"));
}

// The first elements of source, as many as the mask has ones, in its places.
Arguments emit_masked_scatter(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  Value* mask = builder.cast(call.tensor("mask"), DataType::kBool);
  Value* source = builder.cast(call.tensor("source"), builder.elem(self));
  broadcast(builder, self, mask);
  if (builder.rank(self) == 0)
    call.unsupported("found a tensor without dimensions");
  Value* places = builder.transpose(builder.op("NonZero", {mask}), {1, 0});
  Value* first = builder.slice(
      reshape_to(builder, source, {Argument::of_int(-1)}), 0,
      Argument::of_int(0), builder.size(places, 0), Argument::of_int(1));
  return one(scatter_nd(builder, self, places, first, "none"));
}

}  // namespace lathe::io::aten
