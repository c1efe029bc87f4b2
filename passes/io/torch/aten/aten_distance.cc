// Distances and angles between vectors.
#include <cmath>

#include "passes/io/torch/aten/aten_composites.h"
#include "passes/io/torch/aten/aten_vector_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// The p-norm along one axis.
Value* norm(OnnxBuilder& builder, Value* x, double p, int64_t axis,
            bool keep_dim) {
  const DataType type = builder.elem(x);
  auto reduced = [&](const char* how, Value* value) {
    return builder.reduce(how, value, {axis}, keep_dim);
  };
  if (p == 1) return reduced("ReduceL1", x);
  if (p == 2) return reduced("ReduceL2", x);
  Value* size = builder.op("Abs", {x});
  if (std::isinf(p)) return reduced(p > 0 ? "ReduceMax" : "ReduceMin", size);
  if (p == 0) return reduced("ReduceSum", builder.op("Sign", {size}));
  auto power = [&](Value* value, double exponent) {
    return builder.op("Pow", {value, builder.scalar(type, exponent)});
  };
  return power(reduced("ReduceSum", power(size, p)), 1 / p);
}

struct Pair {
  Value *a, *b;
};

// Both in the type that they meet in, which must be floating.
Pair floating_pair(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* a = call.tensor("x1");
  Value* b = call.tensor("x2");
  const DataType type = builder.result_type({&call["x1"], &call["x2"]});
  if (type != DataType::kUndefined && !ir::is_floating(type))
    call.unsupported("the tensors' elements are " +
                     std::string(ir::to_string(type)) +
                     ", expected floating point");
  return {builder.cast(a, type), builder.cast(b, type)};
}

// ‖a‖² + ‖b‖² - 2·a·bᵀ, without a difference for every pair and coordinate.
Value* euclidean_by_product(OnnxBuilder& builder, Value* a, Value* b) {
  const DataType type = builder.elem(a);
  auto squares = [&](Value* x) {
    return builder.reduce("ReduceSumSquare", x, {-1}, /*keep_dims=*/true);
  };
  Value* products =
      builder.op("Mul", {builder.op("MatMul", {a, swap_last_axes(builder, b)}),
                         builder.scalar(type, 2)});
  Value* sum =
      builder.op("Add", {squares(a), swap_last_axes(builder, squares(b))});
  return builder.op("Sqrt",
                    {builder.op("Max", {builder.op("Sub", {sum, products}),
                                        builder.scalar(type, 0)})});
}

// PyTorch takes the product for more rows than this, unless told otherwise.
constexpr int64_t kManyRows = 25;

bool by_product(const AtenCall& call, const Value* a, const Value* b) {
  const int64_t mode = call.integer("compute_mode", 0);
  if (mode != 0) return mode == 1;
  auto many = [&](const Value* x) {
    const auto rows = call.builder().known_dim(x, call.builder().rank(x) - 2);
    return rows && *rows > kManyRows;
  };
  return many(a) || many(b);
}

}  // namespace

Arguments emit_pairwise_distance(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const auto [a, b] = floating_pair(call);
  Value* difference = builder.op(
      "Add", {builder.op("Sub", {a, b}),
              builder.scalar(builder.elem(a), call.real("eps", 1e-6))});
  return one(norm(builder, difference, call.real("p", 2), -1,
                  call.flag("keepdim", false)));
}

// a·b / (max(‖a‖, eps) · max(‖b‖, eps))
Arguments emit_cosine_similarity(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  auto [a, b] = floating_pair(call);
  Value* product = builder.op("Mul", {a, b});
  const int64_t rank = builder.rank(product);
  const int64_t axis = call.axis("dim", rank, 1);
  // Broadcast elements count in the norm.
  auto dim = [&](Value* x) {
    const int64_t own = axis - (rank - builder.rank(x));
    return own < 0 ? ir::Dim(1) : (*x->type.shape)[static_cast<size_t>(own)];
  };
  if (!dim(a).same_as(dim(b))) {
    Value* shape = builder.shape_of(product);
    a = builder.expand(a, shape);
    b = builder.expand(b, shape);
  }
  Value* eps = builder.scalar(builder.elem(a), call.real("eps", 1e-8));
  auto length = [&](Value* x) {
    return builder.op(
        "Max", {norm(builder, x, 2, axis - rank, /*keep_dim=*/false), eps});
  };
  Value* dot =
      builder.reduce("ReduceSum", product, {axis}, /*keep_dims=*/false);
  return one(
      builder.op("Div", {dot, builder.op("Mul", {length(a), length(b)})}));
}

Arguments emit_cdist(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const auto [a, b] = floating_pair(call);
  const double p = call.real("p", 2);
  if (p == 2 && by_product(call, a, b))
    return one(euclidean_by_product(builder, a, b));
  Value* difference = builder.op(
      "Sub", {builder.unsqueeze(a, {-2}), builder.unsqueeze(b, {-3})});
  return one(norm(builder, difference, p, -1, /*keep_dim=*/false));
}

Arguments emit_euclidean_dist(const AtenCall& call) {
  const auto [a, b] = floating_pair(call);
  return one(euclidean_by_product(call.builder(), a, b));
}

}  // namespace lathe::io::aten
