// Reductions over axes, indices of extremes, and running sums.
#include <ATen/Dispatch.h>
#include <ATen/WrapDimUtils.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

using Axes = std::vector<int64_t>;

// `axes` are sorted, from the last to the first.
using Reduction = at::Tensor (*)(const at::Tensor& x, const Axes& axes,
                                 bool keep);

// Integers in double where `floating`.
template <class F>
at::Tensor in_wider(const at::Tensor& x, bool floating, F&& f) {
  if (floating && !x.is_floating_point())
    return f(x.to(at::kDouble)).to(x.scalar_type());
  return f(x);
}

at::Tensor sum_of(const at::Tensor& x, const Axes& axes, bool keep) {
  return at::sum(x, axes, keep, x.scalar_type());
}

at::Tensor mean_of(const at::Tensor& x, const Axes& axes, bool keep) {
  if (x.is_floating_point()) return at::mean(x, axes, keep);
  int64_t count = 1;
  for (int64_t axis : axes) count *= x.size(axis);
  return at::div(sum_of(x, axes, keep), at::Scalar(count), "trunc");
}

// Of no elements: the least or the greatest value of the type.
at::Tensor extreme_of_none(const at::Tensor& x, const Axes& axes, bool keep,
                           bool least) {
  const at::Scalar value = AT_DISPATCH_ALL_TYPES_AND2(
      at::kBool, at::kHalf, x.scalar_type(), "extreme_of_none", [&] {
        using Limits = std::numeric_limits<scalar_t>;
        if (Limits::has_infinity)
          return at::Scalar(least ? -Limits::infinity() : Limits::infinity());
        return at::Scalar(least ? Limits::lowest() : Limits::max());
      });
  return sum_of(x.to(at::kLong), axes, keep).to(x.scalar_type()).fill_(value);
}

bool has_none(const at::Tensor& x, const Axes& axes) {
  return std::ranges::any_of(axes,
                             [&](int64_t axis) { return x.size(axis) == 0; });
}

at::Tensor max_of(const at::Tensor& x, const Axes& axes, bool keep) {
  if (has_none(x, axes)) return extreme_of_none(x, axes, keep, /*least=*/true);
  return at::amax(x, axes, keep);
}

at::Tensor min_of(const at::Tensor& x, const Axes& axes, bool keep) {
  if (has_none(x, axes)) return extreme_of_none(x, axes, keep, /*least=*/false);
  return at::amin(x, axes, keep);
}

at::Tensor product_of(const at::Tensor& x, const Axes& axes, bool keep) {
  at::Tensor result = x;
  for (int64_t axis : axes)
    result = at::prod(result, axis, keep, x.scalar_type());
  return result;
}

at::Tensor l1_of(const at::Tensor& x, const Axes& axes, bool keep) {
  return sum_of(at::abs(x), axes, keep);
}

// Its gradient at 0 is 0, that of sqrt is none.
at::Tensor l2_of(const at::Tensor& x, const Axes& axes, bool keep) {
  return at::linalg_vector_norm(x, 2, at::IntArrayRef(axes), keep);
}

at::Tensor log_sum_of(const at::Tensor& x, const Axes& axes, bool keep) {
  return at::log(sum_of(x, axes, keep));
}

at::Tensor log_sum_exp_of(const at::Tensor& x, const Axes& axes, bool keep) {
  return at::logsumexp(x, axes, keep);
}

at::Tensor sum_square_of(const at::Tensor& x, const Axes& axes, bool keep) {
  return sum_of(at::mul(x, x), axes, keep);
}

// Axes from the attribute (older opsets) or from input 1.
class AxesOf {
 public:
  explicit AxesOf(const NodeInfo& info) {
    const ir::Value* given = info.node.input(1);
    if (info.node.has_attribute("axes"))
      fixed_ = info.node.attr_ints("axes");
    else if (!given)
      fixed_ = Axes();
    else if (given->is_constant())
      fixed_ = given->tensor().to_int64s();
  }

  // As the node says it; empty when it says nothing.
  Axes operator()(Inputs in) const {
    return fixed_ ? *fixed_ : int64s(input(in, 1));
  }

 private:
  std::optional<Axes> fixed_;
};

Axes from_last(Axes axes, int64_t rank) {
  if (axes.empty()) {
    axes.resize(static_cast<size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (int64_t& axis : axes) axis = at::maybe_wrap_dim(axis, rank);
  std::ranges::sort(axes, std::greater<>());
  return axes;
}

template <Reduction F, bool Floating = false>
Kernel make_reduction(const NodeInfo& info) {
  const AxesOf axes_of(info);
  const bool keep = info.node.attr_int("keepdims", 1) != 0;
  const bool noop = info.node.attr_int("noop_with_empty_axes", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    const Axes axes = axes_of(in);
    if (axes.empty() && noop) return {x};
    return {in_wider(x, Floating, [&](const at::Tensor& wide) {
      if (wide.dim() == 0) return F(wide.reshape({1}), {0}, /*keep=*/false);
      return F(wide, from_last(axes, wide.dim()), keep);
    })};
  };
}

template <bool Max>
Kernel make_arg(const NodeInfo& info) {
  const int64_t given = info.node.attr_int("axis", 0);
  const bool keep = info.node.attr_int("keepdims", 1) != 0;
  const bool last = info.node.attr_int("select_last_index", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    const int64_t axis = at::maybe_wrap_dim(given, x.dim());
    // LibTorch gives the first of equal elements.
    const at::Tensor from = last ? at::flip(x, {axis}) : x;
    const at::Tensor index =
        Max ? at::argmax(from, axis, keep) : at::argmin(from, axis, keep);
    if (!last || x.dim() == 0) return {index};
    return {at::rsub(index, at::Scalar(x.size(axis) - 1))};
  };
}

at::Tensor running_sum(const at::Tensor& x, int64_t axis, bool exclusive) {
  const at::Tensor sums = at::cumsum(x, axis, x.scalar_type());
  const int64_t size = x.size(axis);
  if (!exclusive || size == 0) return sums;
  const at::Tensor first = at::zeros_like(x.narrow(axis, 0, 1));
  return at::cat({first, sums.narrow(axis, 0, size - 1)}, axis);
}

Kernel make_cum_sum(const NodeInfo& info) {
  const bool exclusive = info.node.attr_int("exclusive", 0) != 0;
  const bool reverse = info.node.attr_int("reverse", 0) != 0;
  std::optional<int64_t> fixed;
  const ir::Value* value = info.node.input(1);
  if (!value) info.invalid("input 'axis' is missing");
  if (value->is_constant()) {
    if (value->tensor().size() != 1) info.invalid("'axis' is not one number");
    fixed = value->tensor().to_int64s().front();
  }
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    const int64_t given = fixed ? *fixed : input(in, 1).item<int64_t>();
    const int64_t axis = at::maybe_wrap_dim(given, x.dim());
    if (!reverse) return {running_sum(x, axis, exclusive)};
    return {
        at::flip(running_sum(at::flip(x, {axis}), axis, exclusive), {axis})};
  };
}

constexpr Takes kAxes{.host = 0b10};

constexpr OperatorRow kRows[] = {
    {"ArgMax", make_arg<true>},
    {"ArgMin", make_arg<false>},
    {"CumSum", make_cum_sum, "", kAxes},
    {"ReduceL1", make_reduction<l1_of>, "", kAxes},
    {"ReduceL2", make_reduction<l2_of, true>, "", kAxes},
    {"ReduceLogSum", make_reduction<log_sum_of, true>, "", kAxes},
    {"ReduceLogSumExp", make_reduction<log_sum_exp_of, true>, "", kAxes},
    {"ReduceMax", make_reduction<max_of>, "", kAxes},
    {"ReduceMean", make_reduction<mean_of>, "", kAxes},
    {"ReduceMin", make_reduction<min_of>, "", kAxes},
    {"ReduceProd", make_reduction<product_of>, "", kAxes},
    {"ReduceSum", make_reduction<sum_of>, "", kAxes},
    {"ReduceSumSquare", make_reduction<sum_square_of>, "", kAxes},
};

}  // namespace

std::span<const OperatorRow> reduction_rows() { return kRows; }

}  // namespace lathe::exec
