// Running sums, products and extremes.
#include <limits>
#include <numeric>

#include "passes/io/torch/aten/aten_reduction.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Keeps a damaged file from asking for a giant graph.
constexpr int64_t kMaxSize = int64_t{1} << 20;

Arguments emit_cumsum(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Term x = summable(call, term(call, "self"));
  const int64_t rank = builder.rank(x.value());
  const int64_t axis = call.axis("dim", rank);
  if (rank == 0) return one(x);
  const Term input = x.cast(kernel_type("CumSum", x.elem()));
  return one(builder.cast(
      builder.op("CumSum", {input.value(), builder.scalar_int(axis)}),
      x.elem()));
}

using Combine = Term (*)(const Term&, const Term&);

Term times(const Term& a, const Term& b) { return a * b; }

// The running `combine` along an axis of `size` elements, in log2(size) steps
// (W. D. Hillis, G. L. Steele, "Data Parallel Algorithms", 1986): each step
// joins every element with the one `shift` before it. `neutral` (0-D) stands
// before the first.
Term scan(const Term& x, int64_t axis, int64_t size, Combine combine,
          const Term& neutral) {
  OnnxBuilder& builder = x.builder();
  const auto rank = static_cast<size_t>(builder.rank(x.value()));
  Term y = x;
  for (int64_t shift = 1; shift < size; shift *= 2) {
    std::vector<int64_t> pads(2 * rank, 0);
    pads[static_cast<size_t>(axis)] = shift;
    Value* head = builder.slice(y.value(), axis, 0, size - shift);
    Value* before =
        builder.op("Pad", {head, builder.ints(pads), neutral.value()});
    y = combine(y, Term(builder, before));
  }
  return y;
}

struct Run {
  int64_t axis, size;
};

// The axis and its size, which is 1 for a 0-D tensor.
Run run_of(const AtenCall& call, const Term& x) {
  OnnxBuilder& builder = call.builder();
  const int64_t rank = builder.rank(x.value());
  const int64_t axis = call.axis("dim", rank);
  if (rank == 0) return {axis, 1};
  const int64_t size =
      builder.dim(x.value(), axis, "the size of the axis that it runs along");
  if (size > kMaxSize)
    call.unsupported("it runs along " + std::to_string(size) +
                     " elements, more than " + std::to_string(kMaxSize));
  return {axis, size};
}

Arguments emit_cumprod(const AtenCall& call) {
  const Term x = summable(call, term(call, "self"));
  const Run run = run_of(call, x);
  const Term input = x.cast(kernel_type("Mul", x.elem()));
  return one(
      scan(input, run.axis, run.size, times, input.number(1)).cast(x.elem()));
}

// The number that no element of this type lies below (above).
Term bound(const Term& x, bool lower) {
  if (x.is_floating()) return x.number(lower ? -kInfinity : kInfinity);
  using Long = std::numeric_limits<int64_t>;
  using Int = std::numeric_limits<int32_t>;
  const int64_t limit = x.elem() == DataType::kInt64
                            ? (lower ? Long::min() : Long::max())
                            : (lower ? Int::min() : Int::max());
  return {x.builder(),
          x.builder().as_tensor(Argument::of_int(limit), x.elem())};
}

// 0, 1, … along the axis, to be broadcast over the axes before it.
Term positions(const Term& x, const Run& run) {
  OnnxBuilder& builder = x.builder();
  std::vector<int64_t> order(static_cast<size_t>(run.size)), dims;
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = run.axis; i < builder.rank(x.value()); ++i)
    dims.push_back(i == run.axis ? run.size : 1);
  return {builder, builder.constant(ir::Tensor::from(dims, order))};
}

// An element that equals the running extreme is the newest one, so the largest
// index of such an element so far is the extreme's.
Arguments running_extreme(const AtenCall& call, Combine combine, bool lower) {
  const Term x = term(call, "self");
  const Run run = run_of(call, x);
  const Term input = x.cast(kernel_type("Max", x.elem()));
  const Term values =
      scan(input, run.axis, run.size, combine, bound(input, lower));
  const Term order = positions(x, run);
  const Term first = order.number(0);
  const Term newest = where(input == values, order, first);
  const Term indices = scan(newest, run.axis, run.size, larger, first);
  return {Argument::tensor(values.cast(x.elem()).value()),
          Argument::tensor(indices.value())};
}

Arguments emit_cummax(const AtenCall& call) {
  return running_extreme(call, larger, /*lower=*/true);
}

Arguments emit_cummin(const AtenCall& call) {
  return running_extreme(call, smaller, /*lower=*/false);
}

Arguments emit_logcumsumexp(const AtenCall& call) {
  call.unsupported("ONNX has no running log-sum-exp",
                   "write it as torch.log(torch.cumsum(torch.exp(x), dim))");
}

constexpr AtenRow kRows[] = {
    {"cumsum", emit_cumsum},
    {"cumprod", emit_cumprod},
    {"cummax", emit_cummax},
    {"cummin", emit_cummin},
    {"logcumsumexp", emit_logcumsumexp},
};

}  // namespace

std::span<const AtenRow> scan_rows() { return kRows; }

}  // namespace lathe::io::aten
