// Variances, norms and log-sum-exp.
#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/io/torch/aten/aten_reduction.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// --- variance ---

// Elements along the axes; -1 when a size is not known.
double element_count(const Term& x, const std::vector<int64_t>& axes) {
  double count = 1;
  if (x.builder().known_rank(x.value()) == 0) return count;
  for (int64_t axis : axes) {
    const auto size = x.builder().known_dim(x.value(), axis);
    if (!size) return -1;
    count *= static_cast<double>(*size);
  }
  return count;
}

// The elements less the correction (but not below 0), as a 0-D tensor of x's
// type.
Term divisor(const Term& x, const std::vector<int64_t>& axes,
             double correction) {
  OnnxBuilder& builder = x.builder();
  const double count = element_count(x, axes);
  if (count >= 0) return x.number(std::max(count - correction, 0.0));
  Value* sizes =
      builder.op("Gather", {builder.shape_of(x.value()), builder.ints(axes)});
  const Term all(builder,
                 builder.reduce("ReduceProd", sizes, {}, /*keep_dims=*/false));
  const Term corrected = all.cast(x.elem()) - correction;
  return larger(corrected, x.number(0));
}

struct Moments {
  Term variance, mean;
};

Moments moments(const AtenCall& call) {
  const Term x = term(call, "self");
  OnnxBuilder& builder = call.builder();
  const std::vector<int64_t> axes =
      call.axes("dim", builder.rank(x.value()), /*empty_means_all=*/true);
  const bool keep = call.flag("keepdim", false);
  const double correction = call.given("correction")
                                ? call.real("correction")
                                : (call.flag("unbiased", true) ? 1 : 0);
  const Term mean = reduce("ReduceMean", x, axes, /*keep_dims=*/true);
  const Term deviation = x - mean;
  const Term square = deviation * deviation;
  const Term total =
      reduce(correction == 0 ? "ReduceMean" : "ReduceSum", square, axes, keep);
  const Term variance =
      correction == 0 ? total : total / divisor(x, axes, correction);
  const bool squeezes = !keep && builder.known_rank(x.value()) != 0;
  return {variance,
          squeezes ? Term(builder, builder.squeeze(mean.value(), axes)) : mean};
}

Arguments emit_var(const AtenCall& call) { return one(moments(call).variance); }

Arguments emit_std(const AtenCall& call) {
  return one(apply("Sqrt", {moments(call).variance}));
}

Arguments emit_var_mean(const AtenCall& call) {
  const Moments found = moments(call);
  return {Argument::tensor(found.variance.value()),
          Argument::tensor(found.mean.value())};
}

Arguments emit_std_mean(const AtenCall& call) {
  const Moments found = moments(call);
  return {Argument::tensor(apply("Sqrt", {found.variance}).value()),
          Argument::tensor(found.mean.value())};
}

// --- norms ---

Term vector_norm(const Term& x, double order, const std::vector<int64_t>& axes,
                 bool keep) {
  if (order == 2) return reduce("ReduceL2", x, axes, keep);
  if (order == 1) return reduce("ReduceL1", x, axes, keep);
  if (order == 0)
    return reduce("ReduceSum", truth(x).cast(x.elem()), axes, keep);
  const Term size = apply("Abs", {x});
  if (order == kInfinity) return reduce("ReduceMax", size, axes, keep);
  if (order == -kInfinity) return reduce("ReduceMin", size, axes, keep);
  const Term sum =
      reduce("ReduceSum", apply("Pow", {size, size.number(order)}), axes, keep);
  return apply("Pow", {sum, sum.number(1 / order)});
}

Term normed(const AtenCall& call) {
  const Term x = term(call, "self");
  if (const auto type = call.dtype("dtype")) return x.cast(*type);
  return x;
}

// The order in `argument`; absent and "fro" are 2.
double order_of(const AtenCall& call, const char* argument) {
  const Argument& found = call[argument];
  if (found.kind == Argument::Kind::kString) {
    if (found.text == "fro") return 2;
    call.unsupported("argument '" + std::string(argument) + "' is '" +
                         found.text + "', expected a number or 'fro'",
                     "ONNX has no singular values");
  }
  return call.real(argument, 2);
}

Arguments vector_norm(const AtenCall& call, double order) {
  const Term x = normed(call);
  return one(vector_norm(x, order, reduced_axes(call, x),
                         call.flag("keepdim", false)));
}

Arguments emit_norm(const AtenCall& call) {
  return vector_norm(call, order_of(call, "p"));
}

Arguments emit_vector_norm(const AtenCall& call) {
  return vector_norm(call, order_of(call, "ord"));
}

Arguments emit_frobenius_norm(const AtenCall& call) {
  return vector_norm(call, 2);
}

// Sums of the columns' (rows') magnitudes, of which the largest or smallest.
Arguments matrix_norm(const AtenCall& call, const Term& x) {
  OnnxBuilder& builder = call.builder();
  const bool keep = call.flag("keepdim", false);
  const int64_t rank = builder.rank(x.value());
  std::vector<int64_t> axes = call.integers("dim", {-2, -1});
  for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  if (axes.size() != 2)
    call.unsupported("argument 'dim' has " + std::to_string(axes.size()) +
                     " elements, expected 2");
  if (call["ord"].kind == Argument::Kind::kString || !call.given("ord")) {
    order_of(call, "ord");
    return one(reduce("ReduceL2", x, axes, keep));
  }
  const double order = call.real("ord");
  const bool by_rows = std::isinf(order);
  if (!by_rows && std::abs(order) != 1)
    call.unsupported(
        "argument 'ord' asks for singular values, which ONNX lacks",
        "use the Frobenius norm, 1 or infinity");
  const Term sums = reduce("ReduceSum", apply("Abs", {x}),
                           {axes[by_rows ? 1 : 0]}, /*keep_dims=*/true);
  const Term norm = reduce(order > 0 ? "ReduceMax" : "ReduceMin", sums,
                           {axes[by_rows ? 0 : 1]}, /*keep_dims=*/true);
  return one(keep ? norm.value() : builder.squeeze(norm.value(), axes));
}

Arguments emit_matrix_norm(const AtenCall& call) {
  return matrix_norm(call, normed(call));
}

Arguments emit_linalg_norm(const AtenCall& call) {
  const Term x = normed(call);
  const int64_t rank = call.builder().rank(x.value());
  const size_t dims = call.given("dim") ? call.integers("dim").size()
                                        : static_cast<size_t>(rank);
  if (call.given("ord") && dims == 2) return matrix_norm(call, x);
  return emit_vector_norm(call);
}

Arguments emit_dist(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(vector_norm(terms[0] - terms[1], call.real("p", 2), {},
                         /*keep=*/false));
}

Arguments emit_logsumexp(const AtenCall& call) {
  const Term x = floating_term(call, "self");
  return one(reduce("ReduceLogSumExp", x, reduced_axes(call, x),
                    call.flag("keepdim", false)));
}

constexpr AtenRow kRows[] = {
    {"var", emit_var},
    {"std", emit_std},
    {"var_mean", emit_var_mean},
    {"std_mean", emit_std_mean},
    {"norm", emit_norm},
    {"linalg_vector_norm", emit_vector_norm},
    {"linalg_matrix_norm", emit_matrix_norm},
    {"linalg_norm", emit_linalg_norm},
    {"frobenius_norm", emit_frobenius_norm},
    {"dist", emit_dist},
    {"logsumexp", emit_logsumexp},
    {"special_logsumexp", emit_logsumexp},
};

}  // namespace

std::span<const AtenRow> moment_rows() { return kRows; }

}  // namespace lathe::io::aten
