// Where extremes stand, sorting, and distinct elements.
#include "passes/io/torch/aten/aten_reduction.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

Value* flat(OnnxBuilder& builder, Value* x) {
  return builder.known_rank(x) == 1 ? x : builder.reshape(x, {-1});
}

// --- extremes ---

struct Extreme {
  const char* reduce;
  const char* index;
  Term (*of_two)(const Term&, const Term&);
};
constexpr Extreme kLargest{"ReduceMax", "ArgMax", larger};
constexpr Extreme kSmallest{"ReduceMin", "ArgMin", smaller};

// The first of equal ones.
Value* extreme_index(const Term& x, const Extreme& extreme, int64_t axis,
                     bool keep) {
  OnnxBuilder& builder = x.builder();
  if (builder.known_rank(x.value()) == 0) return first_index(builder);
  const Term input = x.cast(kernel_type(extreme.index, x.elem()));
  return builder.op(extreme.index, {input.value()},
                    {{"axis", axis}, {"keepdims", int64_t{keep}}});
}

Arguments extreme_of(const AtenCall& call, const Extreme& extreme) {
  if (call.given("other")) {
    const std::vector<Term> terms = promoted(call, {"self", "other"});
    return one(extreme.of_two(terms[0], terms[1]));
  }
  const Term x = term(call, "self");
  if (!call.given("dim"))
    return one(reduce(extreme.reduce, x, {}, /*keep_dims=*/false));
  const bool keep = call.flag("keepdim", false);
  const int64_t axis = call.axis("dim", call.builder().rank(x.value()));
  return {Argument::tensor(reduce(extreme.reduce, x, {axis}, keep).value()),
          Argument::tensor(extreme_index(x, extreme, axis, keep))};
}

Arguments emit_max(const AtenCall& call) { return extreme_of(call, kLargest); }
Arguments emit_min(const AtenCall& call) { return extreme_of(call, kSmallest); }

Arguments index_of(const AtenCall& call, const Extreme& extreme) {
  OnnxBuilder& builder = call.builder();
  const Term x = term(call, "self");
  const bool keep = call.flag("keepdim", false);
  if (call.given("dim"))
    return one(extreme_index(x, extreme,
                             call.axis("dim", builder.rank(x.value())), keep));
  const Term row(builder, flat(builder, x.value()));
  Value* index = extreme_index(row, extreme, 0, /*keep=*/false);
  if (!keep) return one(index);
  const auto rank = static_cast<size_t>(builder.rank(x.value()));
  return one(builder.reshape(index, std::vector<int64_t>(rank, 1)));
}

Arguments emit_argmax(const AtenCall& call) { return index_of(call, kLargest); }
Arguments emit_argmin(const AtenCall& call) {
  return index_of(call, kSmallest);
}

// --- sorting: TopK of as many as wanted ---

struct Ranking {
  Value* values;
  Value* indices;
};

Arguments results(const Ranking& ranking) {
  return {Argument::tensor(ranking.values), Argument::tensor(ranking.indices)};
}

Ranking top(const Term& x, const Argument& count, int64_t axis, bool largest,
            bool sorted = true) {
  OnnxBuilder& builder = x.builder();
  if (builder.known_rank(x.value()) == 0)
    return {x.value(), first_index(builder)};
  const Term input = x.cast(kernel_type("TopK", x.elem()));
  const auto outputs =
      builder.op_n("TopK", {input.value(), builder.int_vector(count)}, 2,
                   {{"axis", axis},
                    {"largest", int64_t{largest}},
                    {"sorted", int64_t{sorted}}});
  return {builder.cast(outputs[0], x.elem()), outputs[1]};
}

Argument size_along(const Term& x, int64_t axis) {
  OnnxBuilder& builder = x.builder();
  return builder.known_rank(x.value()) == 0 ? Argument::of_int(1)
                                            : builder.size(x.value(), axis);
}

int64_t axis_of(const AtenCall& call, const Term& x, int64_t fallback) {
  return call.axis("dim", call.builder().rank(x.value()), fallback);
}

Ranking sorted(const AtenCall& call, int64_t default_axis) {
  const Term x = term(call, "self");
  const int64_t axis = axis_of(call, x, default_axis);
  return top(x, size_along(x, axis), axis, call.flag("descending", false));
}

Arguments emit_sort(const AtenCall& call) { return results(sorted(call, -1)); }

Arguments emit_argsort(const AtenCall& call) {
  return one(sorted(call, -1).indices);
}

Arguments emit_msort(const AtenCall& call) {
  return one(sorted(call, 0).values);
}

Arguments emit_topk(const AtenCall& call) {
  const Term x = term(call, "self");
  return results(top(x, call["k"], axis_of(call, x, -1),
                     call.flag("largest", true), call.flag("sorted", true)));
}

// The last of the smallest `count`.
Ranking smallest(const Term& x, const Argument& count, int64_t axis,
                 bool keep) {
  OnnxBuilder& builder = x.builder();
  const Ranking ranking = top(x, count, axis, /*largest=*/false);
  if (builder.known_rank(x.value()) == 0) return ranking;
  auto last = [&](Value* value) {
    return keep ? builder.slice(value, axis, -1, std::nullopt)
                : builder.select(value, axis, Argument::of_int(-1));
  };
  return {last(ranking.values), last(ranking.indices)};
}

Arguments emit_kthvalue(const AtenCall& call) {
  const Term x = term(call, "self");
  return results(smallest(x, call["k"], axis_of(call, x, -1),
                          call.flag("keepdim", false)));
}

// The lower one of two in the middle.
Argument half_of(OnnxBuilder& builder, const Argument& size) {
  if (size.is_constant()) return Argument::of_int((size.integer + 1) / 2);
  const Term more = Term(builder, builder.int_scalar(size)) + 1;
  return Argument::computed(Argument::Kind::kInt, (more / 2).value());
}

Arguments emit_median(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Term x = term(call, "self");
  if (call.given("dim")) {
    const int64_t axis = axis_of(call, x, -1);
    return results(smallest(x, half_of(builder, size_along(x, axis)), axis,
                            call.flag("keepdim", false)));
  }
  const Term row(builder, flat(builder, x.value()));
  return one(smallest(row, half_of(builder, size_along(row, 0)), 0,
                      /*keep=*/false)
                 .values);
}

Arguments emit_mode(const AtenCall& call) {
  call.unsupported("ONNX cannot pick the most frequent element",
                   "leave it out of the exported model");
}

// --- distinct elements, in order ---

// Values, indices back to them, and counts; what is not asked for is none.
Arguments unique(const AtenCall& call, std::optional<int64_t> axis) {
  OnnxBuilder& builder = call.builder();
  const Term x = term(call, "self");
  const bool inverse = call.flag("return_inverse", false),
             counts = call.flag("return_counts", false);
  NamedAttributes attributes{{"sorted", int64_t{1}}};
  if (axis) attributes.emplace_back("axis", *axis);
  const Term input = x.cast(kernel_type("Unique", x.elem()));
  const auto outputs = builder.op_n("Unique", {input.value()},
                                    counts    ? 4
                                    : inverse ? 3
                                              : 1,
                                    attributes);
  Arguments found{Argument::tensor(builder.cast(outputs[0], x.elem())),
                  Argument::none(), Argument::none()};
  if (inverse)
    found[1] = Argument::tensor(
        axis ? outputs[2]
             : builder.reshape(outputs[2], builder.shape_of(x.value())));
  if (counts) found[2] = Argument::tensor(outputs[3]);
  return found;
}

Arguments emit_unique(const AtenCall& call) {
  return unique(call, std::nullopt);
}

Arguments emit_unique_dim(const AtenCall& call) {
  return unique(call,
                call.axis("dim", call.builder().rank(call.tensor("self"))));
}

constexpr AtenRow kRows[] = {
    {"max", emit_max},
    {"min", emit_min},
    {"argmax", emit_argmax},
    {"argmin", emit_argmin},
    {"sort", emit_sort},
    {"argsort", emit_argsort},
    {"msort", emit_msort},
    {"topk", emit_topk},
    {"kthvalue", emit_kthvalue},
    {"median", emit_median},
    {"mode", emit_mode},
    {"_unique2", emit_unique},
    {"unique_dim", emit_unique_dim},
};

}  // namespace

std::span<const AtenRow> ordering_rows() { return kRows; }

}  // namespace lathe::io::aten
