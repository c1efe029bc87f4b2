// Adaptive pooling: the windows follow from the sizes of input and output.
#include <algorithm>
#include <utility>

#include "passes/io/torch/aten/aten_pooling.h"

namespace lathe::io::aten::pooling {
namespace {

using ir::DataType;
using ir::Value;

constexpr int64_t kKeep = -1;  // the output has the input's size
// Elements of a matrix of means, and pieces of a maximum.
constexpr int64_t kMaxMatrix = int64_t{1} << 22, kMaxPieces = 4096;

// Whether an int was computed as the size of that dimension of `x`: what
// output_size=None becomes where sizes are free.
bool is_size_of(OnnxBuilder& builder, const Argument& item, const Value* x,
                int64_t axis) {
  if (item.kind != Argument::Kind::kInt || !item.value) return false;
  const ir::Node* gather = item.value->producer();
  if (!gather || !gather->is("Gather")) return false;
  const ir::Node* shape = gather->input(0)->producer();
  return shape && shape->is("Shape") && shape->input(0) == x &&
         builder.known_ints(gather->input(1)) == Sizes{axis};
}

template <size_t kSpatial>
Sizes read_output_size(const AtenCall& call, Value* self) {
  OnnxBuilder& builder = call.builder();
  const Argument& given = call["output_size"];
  if (!given.is_list() || given.items.size() != kSpatial)
    return call.integers_n("output_size", kSpatial, kKeep);
  const int64_t lead =
      builder.known_rank(self).value_or(kSpatial + 2) - int64_t{kSpatial};
  Arguments constant;
  for (size_t i = 0; i < kSpatial; ++i) {
    const Argument& item = given.items[i];
    const bool keep =
        item.is_none() ||
        is_size_of(builder, item, self, lead + static_cast<int64_t>(i));
    constant.push_back(keep ? Argument::of_int(kKeep) : item);
  }
  return AtenCall(call.name(), call.overload(),
                  {{"output_size", Argument::list(std::move(constant))}},
                  builder)
      .integers("output_size");
}

// Windows of PyTorch's adaptive pooling: output i covers
// [floor(i·in/out), ceil((i+1)·in/out)).
struct AdaptiveAxes {
  Pool uniform;  // equal windows side by side; 1 where none
  bool any_uniform = false;
  Sizes whole;  // axes of unknown size that become 1
  std::vector<std::pair<int64_t, int64_t>> uneven;  // axis, output size
  bool all_one = true;
};

AdaptiveAxes plan_adaptive(const AtenCall& call, Value* x, const Sizes& out) {
  OnnxBuilder& builder = call.builder();
  AdaptiveAxes axes;
  axes.uniform.kernel.assign(out.size(), 1);
  axes.uniform.padding.assign(out.size(), 0);
  axes.uniform.dilation.assign(out.size(), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t axis = axis_of(i);
    axes.all_one &= out[i] == 1;
    if (out[i] == kKeep) continue;
    if (out[i] < 1)
      call.unsupported("argument 'output_size' holds " +
                       std::to_string(out[i]) + ", expected at least 1");
    if (out[i] == 1 && !builder.known_dim(x, axis)) {
      axes.whole.push_back(axis);
      continue;
    }
    const int64_t in =
        builder.dim(x, axis, "the size of an adaptively pooled dimension");
    if (in == out[i]) continue;
    if (in % out[i] == 0 && in > 0) {
      axes.uniform.kernel[i] = in / out[i];
      axes.any_uniform = true;
    } else {
      axes.uneven.emplace_back(axis, out[i]);
    }
  }
  axes.uniform.stride = axes.uniform.kernel;
  return axes;
}

int64_t window_begin(int64_t i, int64_t in, int64_t out) {
  return i * in / out;
}

int64_t window_end(int64_t i, int64_t in, int64_t out) {
  return ((i + 1) * in + out - 1) / out;
}

Value* mean_uneven(const AtenCall& call, Value* x, int64_t axis, int64_t out) {
  OnnxBuilder& builder = call.builder();
  const int64_t in = builder.dim(x, axis, "a size"), rank = builder.rank(x);
  if (in < 1 || out > kMaxMatrix || in > kMaxMatrix / out)
    call.unsupported("means of " + std::to_string(in) + " elements to " +
                     std::to_string(out) + " are too many");
  const bool from_left = axis == rank - 2;
  std::vector<double> matrix(static_cast<size_t>(in * out));
  for (int64_t o = 0; o < out; ++o) {
    const int64_t begin = window_begin(o, in, out),
                  end = window_end(o, in, out);
    for (int64_t i = begin; i < end; ++i)
      matrix[static_cast<size_t>(from_left ? o * in + i : i * out + o)] =
          1.0 / static_cast<double>(end - begin);
  }
  Value* weights = builder.constant(ir::Tensor::from_doubles(
      builder.elem(x), from_left ? Sizes{out, in} : Sizes{in, out}, matrix));
  if (from_left) return builder.op("MatMul", {weights, x});
  Sizes order;
  for (int64_t i = 0; i < rank; ++i) order.push_back(i);
  std::swap(order[static_cast<size_t>(axis)], order.back());
  return builder.transpose(
      builder.op("MatMul", {builder.transpose(x, order), weights}), order);
}

Value* max_uneven(const AtenCall& call, Value* x, int64_t axis, int64_t out) {
  OnnxBuilder& builder = call.builder();
  const int64_t in = builder.dim(x, axis, "a size");
  if (in < 1 || in > kMaxMatrix || out > kMaxPieces)
    call.unsupported("maxima of " + std::to_string(in) + " elements to " +
                     std::to_string(out) + " are too many");
  std::vector<Value*> pieces;
  for (int64_t o = 0; o < out; ++o)
    pieces.push_back(
        builder.reduce("ReduceMax",
                       builder.slice(x, axis, window_begin(o, in, out),
                                     window_end(o, in, out)),
                       {axis}, /*keep_dims=*/true));
  return builder.concat(pieces, axis);
}

// Null where windows of several sizes stand beside each other.
Value* adaptive_indices(OnnxBuilder& builder, Value* x,
                        const AdaptiveAxes& axes) {
  if (axes.all_one) {
    Value* flat = builder.op("Reshape", {x, builder.ints({0, 0, -1})});
    Value* index = builder.op("ArgMax", {flat}, {{"axis", int64_t{2}}});
    Sizes rest;
    for (size_t i = 1; i < axes.uniform.spatial(); ++i)
      rest.push_back(axis_of(i));
    return builder.unsqueeze(index, rest);
  }
  if (!axes.whole.empty() || !axes.uneven.empty()) return nullptr;
  return max_indices(builder, x, axes.uniform,
                     round_up(builder, x, axes.uniform));
}

}  // namespace

template <size_t kSpatial>
Arguments emit_adaptive_avg_pool(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const DataType type = builder.elem(self);
  const Sizes out = read_output_size<kSpatial>(call, self);
  const Batched x(builder, builder.cast(self, mean_type(call, type)), kSpatial);
  const AdaptiveAxes axes = plan_adaptive(call, x.value(), out);
  Value* y = x.value();
  if (axes.all_one) {
    y = builder.op("GlobalAveragePool", {y});
  } else {
    if (!axes.whole.empty())
      y = builder.reduce("ReduceMean", y, axes.whole, /*keep_dims=*/true);
    if (axes.any_uniform)
      y = average(builder, y, axes.uniform, axes.uniform.padding,
                  round_up(builder, y, axes.uniform), /*count_padding=*/false);
    for (const auto& [axis, size] : axes.uneven)
      y = mean_uneven(call, y, axis, size);
  }
  return one(builder.cast(x.back(y), type));
}

template <size_t kSpatial>
Arguments emit_adaptive_max_pool(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const Sizes out = read_output_size<kSpatial>(call, self);
  const Batched x(builder, self, kSpatial);
  const AdaptiveAxes axes = plan_adaptive(call, x.value(), out);
  Value* y = x.value();
  if (axes.all_one && builder.elem(y) != DataType::kDouble) {
    y = builder.op("GlobalMaxPool", {y});
  } else {
    if (!axes.whole.empty())
      y = builder.reduce("ReduceMax", y, axes.whole, /*keep_dims=*/true);
    if (axes.any_uniform)
      y = max_values(builder, y, axes.uniform,
                     round_up(builder, y, axes.uniform));
    for (const auto& [axis, size] : axes.uneven)
      y = max_uneven(call, y, axis, size);
  }
  Value* indices = adaptive_indices(builder, x.value(), axes);
  return {Argument::tensor(x.back(y)),
          indices ? Argument::tensor(x.back(indices)) : Argument::none()};
}

template Arguments emit_adaptive_avg_pool<1>(const AtenCall&);
template Arguments emit_adaptive_avg_pool<2>(const AtenCall&);
template Arguments emit_adaptive_avg_pool<3>(const AtenCall&);
template Arguments emit_adaptive_max_pool<1>(const AtenCall&);
template Arguments emit_adaptive_max_pool<2>(const AtenCall&);
template Arguments emit_adaptive_max_pool<3>(const AtenCall&);

}  // namespace lathe::io::aten::pooling
