// Sums, products, means and extremes over axes.
#include "passes/io/torch/aten/aten_reduction.h"

#include "passes/io/torch/aten/aten_families.h"

namespace lathe::io::aten {

using ir::DataType;

std::vector<int64_t> reduced_axes(const AtenCall& call, const Term& x) {
  const Argument& dims = call["dim"];
  if (dims.is_none() || (dims.is_list() && dims.items.empty())) return {};
  return call.axes("dim", call.builder().rank(x.value()),
                   /*empty_means_all=*/true);
}

Term summable(const AtenCall& call, const Term& x) {
  if (const auto type = call.dtype("dtype")) return x.cast(*type);
  return x.is_floating() ? x : x.cast(DataType::kInt64);
}

ir::Value* first_index(OnnxBuilder& builder) { return builder.scalar_int(0); }

namespace {

Term reduce(const AtenCall& call, const char* op, const Term& x) {
  return reduce(op, x, reduced_axes(call, x), call.flag("keepdim", false));
}

Arguments emit_sum(const AtenCall& call) {
  return one(reduce(call, "ReduceSum", summable(call, term(call, "self"))));
}

Arguments emit_prod(const AtenCall& call) {
  return one(reduce(call, "ReduceProd", summable(call, term(call, "self"))));
}

Arguments emit_mean(const AtenCall& call) {
  Term x = term(call, "self");
  if (const auto type = call.dtype("dtype")) x = x.cast(*type);
  return one(reduce(call, "ReduceMean", x));
}

Term without_nan(const Term& x) {
  if (!x.is_floating()) return x;
  const Term zero = x.number(0);
  return where(is_nan(x), zero, x);
}

Arguments emit_nansum(const AtenCall& call) {
  return one(reduce(call, "ReduceSum",
                    summable(call, without_nan(term(call, "self")))));
}

Arguments emit_nanmean(const AtenCall& call) {
  const Term x = summable(call, term(call, "self"));
  const Term count = reduce(call, "ReduceSum", (!is_nan(x)).cast(x.elem()));
  return one(reduce(call, "ReduceSum", without_nan(x)) / count);
}

Arguments emit_amax(const AtenCall& call) {
  return one(reduce(call, "ReduceMax", term(call, "self")));
}

Arguments emit_amin(const AtenCall& call) {
  return one(reduce(call, "ReduceMin", term(call, "self")));
}

Arguments emit_aminmax(const AtenCall& call) {
  const Term x = term(call, "self");
  return {Argument::tensor(reduce(call, "ReduceMin", x).value()),
          Argument::tensor(reduce(call, "ReduceMax", x).value())};
}

// PyTorch answers bytes with bytes.
Arguments quantified(const AtenCall& call, const char* op) {
  const Term x = term(call, "self");
  const Term answer = reduce(call, op, truth(x));
  return one(x.elem() == DataType::kUint8 ? answer.cast(x.elem()) : answer);
}

Arguments emit_any(const AtenCall& call) {
  return quantified(call, "ReduceMax");
}

Arguments emit_all(const AtenCall& call) {
  return quantified(call, "ReduceMin");
}

Arguments emit_count_nonzero(const AtenCall& call) {
  return one(reduce(call, "ReduceSum",
                    truth(term(call, "self")).cast(DataType::kInt64)));
}

constexpr AtenRow kRows[] = {
    {"sum", emit_sum},
    {"prod", emit_prod},
    {"mean", emit_mean},
    {"nansum", emit_nansum},
    {"nanmean", emit_nanmean},
    {"amax", emit_amax},
    {"amin", emit_amin},
    {"aminmax", emit_aminmax},
    {"any", emit_any},
    {"all", emit_all},
    {"count_nonzero", emit_count_nonzero},
};

}  // namespace

std::span<const AtenRow> reduction_rows() {
  static const std::vector<AtenRow> kAll =
      join_rows({kRows, moment_rows(), ordering_rows(), scan_rows()});
  return kAll;
}

}  // namespace lathe::io::aten
