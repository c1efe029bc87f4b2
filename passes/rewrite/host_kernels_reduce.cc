// ReduceSum, ReduceMean, ReduceProd, ReduceMin, ReduceMax. Floats accumulate
// in double, integers in their own (wrapping) arithmetic; an integer mean
// truncates. An empty tensor stays: ONNX defines most of its reductions only
// from opset 20 on, and ONNX Runtime 1.30 gives it back in its own shape. So
// does a minimum or maximum over NaN, which the runtime may or may not skip.
#include <algorithm>
#include <type_traits>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {
namespace {

enum class Kind { kSum, kMean, kProd, kMin, kMax };

Kind kind_of(const ir::Node& node) {
  if (node.op_type == "ReduceSum") return Kind::kSum;
  if (node.op_type == "ReduceMean") return Kind::kMean;
  if (node.op_type == "ReduceProd") return Kind::kProd;
  return node.op_type == "ReduceMin" ? Kind::kMin : Kind::kMax;
}

template <class T>
ir::Tensor reduce(const KernelCall& call, const ir::Tensor& x, Kind kind,
                  const std::vector<bool>& reduced, const Dims& result_dims) {
  using Total = std::conditional_t<
      std::is_floating_point_v<T>, double,
      std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
  using Bits =
      std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
  Dims kept = x.dims();
  for (size_t d = 0; d < kept.size(); ++d)
    if (reduced[d]) kept[d] = 1;
  Writer out(call, x.type(), result_dims);
  int64_t results = product(kept);
  int64_t each = x.size() / results;
  std::vector<Total> totals(static_cast<size_t>(results),
                            kind == Kind::kProd ? Total{1} : Total{0});
  std::vector<bool> started(totals.size(), false);
  auto values = x.data<T>();
  walk<1>(x.dims(), {broadcast_strides(kept, x.dims())}, {0},
          [&](int64_t n, const std::array<int64_t, 1>& at) {
            auto slot = static_cast<size_t>(at[0]);
            auto value = static_cast<Total>(values[static_cast<size_t>(n)]);
            Total& total = totals[slot];
            if (value != value && (kind == Kind::kMin || kind == Kind::kMax))
              throw NotFoldable("it orders NaN, which has no place");
            switch (kind) {
              case Kind::kSum:
              case Kind::kMean:
                total = static_cast<Total>(static_cast<Bits>(total) +
                                           static_cast<Bits>(value));
                break;
              case Kind::kProd:
                total = static_cast<Total>(static_cast<Bits>(total) *
                                           static_cast<Bits>(value));
                break;
              case Kind::kMin:
                if (!started[slot] || value < total) total = value;
                break;
              case Kind::kMax:
                if (!started[slot] || value > total) total = value;
                break;
            }
            started[slot] = true;
          });
  T* y = out.data<T>();
  for (Total total : totals) {
    if (kind == Kind::kMean) total = total / static_cast<Total>(each);
    *y++ = static_cast<T>(total);
  }
  return out.finish();
}

}  // namespace

Tensors run_reduce(const KernelCall& call) {
  if (auto done = run_in_float(call, run_reduce)) return *done;
  const ir::Tensor& x = call.input(0);
  if (x.size() == 0) throw NotFoldable("it reduces an empty tensor");
  std::vector<int64_t> axes =
      call.ints("axes", 1).value_or(std::vector<int64_t>{});
  if (axes.empty() && call.node.attr_int("noop_with_empty_axes", 0) != 0)
    return {x};
  std::vector<bool> reduced(x.dims().size(), axes.empty());
  for (int64_t axis : axes)
    reduced[static_cast<size_t>(call.axis(axis, x.rank()))] = true;
  bool keep = call.node.attr_int("keepdims", 1) != 0;
  Dims dims;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d]) dims.push_back(x.dims()[d]);
    if (reduced[d] && keep) dims.push_back(1);
  }
  Kind kind = kind_of(call.node);
  return {with_type(x.type(), [&]<class T>() {
    return reduce<T>(call, x, kind, reduced, dims);
  })};
}

}  // namespace lathe::rewrite
