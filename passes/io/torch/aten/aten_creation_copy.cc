// Copies: another element type, another device, another name.
#include "passes/io/torch/aten/aten_creation.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

Arguments emit_same(const AtenCall& call) { return one(call.tensor("self")); }

Arguments emit_to(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* x = call.tensor("self");
  if (const auto type = call.dtype("dtype")) return one(builder.cast(x, *type));
  if (call.given("other"))
    return one(builder.cast(x, builder.elem(call.tensor("other"))));
  return one(x);
}

// `src` as it would stand in `self`.
Arguments emit_copy(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* target = call.tensor("self");
  Value* source = builder.as_tensor(call["src"], builder.elem(target));
  return one(builder.expand(source, builder.shape_of(target)));
}

struct Cast {
  const char* name;
  DataType type;
};
constexpr Cast kCasts[] = {
    {"_cast_Byte", DataType::kUint8},    {"_cast_Char", DataType::kInt8},
    {"_cast_Double", DataType::kDouble}, {"_cast_Float", DataType::kFloat},
    {"_cast_Half", DataType::kFloat16},  {"_cast_Int", DataType::kInt32},
    {"_cast_Long", DataType::kInt64},    {"_cast_Short", DataType::kInt16},
};

Arguments emit_cast(const AtenCall& call) {
  for (const Cast& cast : kCasts)
    if (call.name() == cast.name)
      return one(call.builder().cast(call.tensor("self"), cast.type));
  return emit_same(call);
}

constexpr const char* kSame[] = {
    "clone",       "contiguous",      "detach",   "detach_copy",
    "alias",       "alias_copy",      "lift",     "lift_fresh",
    "cpu",         "lift_fresh_copy", "cuda",     "pin_memory",
    "resolve_neg", "resolve_conj",    "conj",     "_conj",
    "real",        "conj_physical",   "positive", "data",
};

}  // namespace

std::span<const AtenRow> copy_rows() {
  static const std::vector<AtenRow> kAll = [] {
    std::vector<AtenRow> rows{{"to", emit_to},
                              {"_to_copy", emit_to},
                              {"type_as", emit_to},
                              {"copy", emit_copy}};
    for (const Cast& cast : kCasts) rows.push_back({cast.name, emit_cast});
    for (const char* name : kSame) rows.push_back({name, emit_same});
    return rows;
  }();
  return kAll;
}

}  // namespace lathe::io::aten
