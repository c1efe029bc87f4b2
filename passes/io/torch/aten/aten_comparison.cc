// Comparisons, logic, choices, and looking up in sorted boundaries.
#include <cmath>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// --- comparisons ---

Arguments compare(const AtenCall& call, const char* op) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(apply(op, {terms[0], terms[1]}));
}

Arguments emit_eq(const AtenCall& call) { return compare(call, "Equal"); }
Arguments emit_lt(const AtenCall& call) { return compare(call, "Less"); }
Arguments emit_le(const AtenCall& call) { return compare(call, "LessOrEqual"); }
Arguments emit_gt(const AtenCall& call) { return compare(call, "Greater"); }
Arguments emit_ge(const AtenCall& call) {
  return compare(call, "GreaterOrEqual");
}

Arguments emit_ne(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(!(terms[0] == terms[1]));
}

Arguments emit_equal(const AtenCall& call) {
  call.unsupported("it compares whole tensors to one Python bool",
                   "decide before the export, or compare with torch.eq");
}

// --- logic ---

Arguments logic(const AtenCall& call, Term (*op)(const Term&, const Term&)) {
  const Term self = truth(term(call, "self"));
  return one(op(self, truth(term(call, "other"))));
}

Arguments emit_logical_and(const AtenCall& call) { return logic(call, both); }
Arguments emit_logical_or(const AtenCall& call) { return logic(call, either); }
Arguments emit_logical_xor(const AtenCall& call) { return logic(call, differ); }
Arguments emit_logical_not(const AtenCall& call) {
  return one(!truth(term(call, "self")));
}

// --- kinds of numbers ---

// What holds for every integer, in x's shape.
Term everywhere(const Term& x, bool answer) {
  OnnxBuilder& builder = x.builder();
  return {builder, builder.expand(builder.scalar(DataType::kBool, answer),
                                  builder.shape_of(x.value()))};
}

Arguments emit_isnan(const AtenCall& call) {
  const Term x = term(call, "self");
  return one(x.is_floating() ? is_nan(x) : everywhere(x, false));
}

Arguments infinite(const AtenCall& call, bool negative, bool positive) {
  const Term x = term(call, "self");
  if (!x.is_floating()) return one(everywhere(x, false));
  NamedAttributes attributes;
  if (!negative) attributes.emplace_back("detect_negative", int64_t{0});
  if (!positive) attributes.emplace_back("detect_positive", int64_t{0});
  return one(apply("IsInf", {x}, attributes));
}

Arguments emit_isinf(const AtenCall& call) {
  return infinite(call, /*negative=*/true, /*positive=*/true);
}
Arguments emit_isposinf(const AtenCall& call) {
  return infinite(call, /*negative=*/false, /*positive=*/true);
}
Arguments emit_isneginf(const AtenCall& call) {
  return infinite(call, /*negative=*/true, /*positive=*/false);
}

Term is_finite(const Term& x) {
  return x.is_floating() ? apply("Abs", {x}) < HUGE_VAL : everywhere(x, true);
}

Arguments emit_isfinite(const AtenCall& call) {
  return one(is_finite(term(call, "self")));
}

// |a - b| <= atol + rtol * |b|, and what is equal in any case.
Arguments emit_isclose(const AtenCall& call) {
  const std::vector<Term> terms = promoted_floating(call, {"self", "other"});
  const Term &a = terms[0], &b = terms[1];
  const Term allowed =
      apply("Abs", {b}) * call.real("rtol", 1e-5) + call.real("atol", 1e-8);
  const Term distance = apply("Abs", {a - b});
  const Term finite = is_finite(distance);
  const Term near = both(finite, distance <= allowed);
  const Term close = either(a == b, near);
  if (!call.flag("equal_nan", false)) return one(close);
  const Term nan = is_nan(a);
  return one(either(close, both(nan, is_nan(b))));
}

// --- choices ---

// The indices of what is not zero, one tensor an axis.
Arguments nonzero_by_axis(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Term x = term(call, "condition");
  if (kernel_type("NonZero", x.elem()) != x.elem()) x = truth(x);
  const int64_t rank = builder.rank(x.value());
  Value* all = rank == 0 ? builder.reshape(x.value(), {1}) : x.value();
  Value* indices = builder.op("NonZero", {all});
  Arguments rows;
  for (int64_t axis = 0; axis < std::max<int64_t>(rank, 1); ++axis)
    rows.push_back(
        Argument::tensor(builder.select(indices, 0, Argument::of_int(axis))));
  return {Argument::list(std::move(rows))};
}

Arguments emit_where(const AtenCall& call) {
  if (!call.given("self") && !call.given("other")) return nonzero_by_axis(call);
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  return one(where(truth(term(call, "condition")), terms[0], terms[1]));
}

Arguments emit_masked_fill(const AtenCall& call) {
  const Term x = term(call, "self");
  const Term filler(call.builder(),
                    call.builder().as_tensor(call["value"], x.elem()));
  return one(where(truth(term(call, "mask")), filler, x));
}

// --- lookups ---

// Every element against all of a list; an axis is added for the list.
Arguments emit_isin(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const char* elements = call.given("elements") ? "elements" : "element";
  const char* tests =
      call.given("test_elements") ? "test_elements" : "test_element";
  const std::vector<Term> terms = promoted(call, {elements, tests});
  Value* x = terms[0].value();
  const int64_t rank = builder.rank(x);
  const Term list(builder, builder.reshape(terms[1].value(), {-1}));
  const Term match = Term(builder, builder.unsqueeze(x, {rank})) == list;
  const Term found = reduce("ReduceMax", match, {rank}, /*keep_dims=*/false);
  return one(call.flag("invert", false) ? !found : found);
}

// How many of the boundaries (along the last axis of both) lie below.
Arguments count_below(const AtenCall& call, const Term& boundaries,
                      const Term& values, bool right) {
  const DataType type =
      call.flag("out_int32", false) ? DataType::kInt32 : DataType::kInt64;
  const Term below = right ? boundaries <= values : boundaries < values;
  const int64_t axis = call.builder().rank(below.value()) - 1;
  return one(reduce("ReduceSum", below.cast(type), {axis},
                    /*keep_dims=*/false));
}

Term with_axis(const Term& x, int64_t axis) {
  return {x.builder(), x.builder().unsqueeze(x.value(), {axis})};
}

Arguments emit_bucketize(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"boundaries", "self"});
  const int64_t rank = call.builder().rank(terms[1].value());
  return count_below(call, terms[0], with_axis(terms[1], rank),
                     call.flag("right", false));
}

Arguments emit_searchsorted(const AtenCall& call) {
  if (call.given("sorter"))
    call.unsupported("argument 'sorter' is given",
                     "sort the sequence before the call");
  const std::vector<Term> terms = promoted(call, {"sorted_sequence", "self"});
  const bool right = call.given("side") ? call.text("side", "left") == "right"
                                        : call.flag("right", false);
  OnnxBuilder& builder = call.builder();
  const int64_t rank = builder.rank(terms[0].value());
  const Term values = with_axis(terms[1], builder.rank(terms[1].value()));
  return count_below(call, rank == 1 ? terms[0] : with_axis(terms[0], rank - 1),
                     values, right);
}

constexpr AtenRow kRows[] = {
    {"eq", emit_eq},
    {"ne", emit_ne},
    {"not_equal", emit_ne},
    {"lt", emit_lt},
    {"less", emit_lt},
    {"le", emit_le},
    {"less_equal", emit_le},
    {"gt", emit_gt},
    {"greater", emit_gt},
    {"ge", emit_ge},
    {"greater_equal", emit_ge},
    {"equal", emit_equal},
    {"logical_and", emit_logical_and},
    {"logical_or", emit_logical_or},
    {"logical_xor", emit_logical_xor},
    {"logical_not", emit_logical_not},
    {"isnan", emit_isnan},
    {"isinf", emit_isinf},
    {"isposinf", emit_isposinf},
    {"isneginf", emit_isneginf},
    {"isfinite", emit_isfinite},
    {"isclose", emit_isclose},
    {"where", emit_where},
    {"masked_fill", emit_masked_fill},
    {"isin", emit_isin},
    {"bucketize", emit_bucketize},
    {"searchsorted", emit_searchsorted},
};

}  // namespace

std::span<const AtenRow> comparison_rows() { return kRows; }

}  // namespace lathe::io::aten
