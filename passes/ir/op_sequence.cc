// Sequences, optionals and strings. Their types are kept as the file has them;
// only tensors of a fixed form are inferred.
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

void infer_length(InferContext& ctx) { ctx.set(0, DataType::kInt64, Shape()); }

void infer_has_element(InferContext& ctx) {
  ctx.set(0, DataType::kBool, Shape());
}

void infer_same_sequence(InferContext& ctx) { ctx.set_like(0, 0); }

void infer_string_concat(InferContext& ctx) {
  ctx.set(0, DataType::kString, broadcast_inputs(ctx, {0, 1}));
}

void infer_string_split(InferContext& ctx) {
  auto shape = ctx.shape_copy(0);
  ctx.set(1, DataType::kInt64, shape);
  if (shape) shape->push_back(Dim());
  ctx.set(0, DataType::kString, shape);
}

void infer_tf_idf(InferContext& ctx) { ctx.set(0, DataType::kFloat); }

constexpr Operator row(const char* name, int min_inputs, int max_inputs,
                       void (*infer)(InferContext&) = nullptr,
                       int outputs = 1) {
  return {name,    "",      OpClass::kOther, min_inputs, max_inputs,
          outputs, outputs, infer,           nullptr};
}

constexpr Operator kRows[] = {
    row("ConcatFromSequence", 1, 1),
    row("Optional", 0, 1),
    row("OptionalGetElement", 1, 1),
    row("OptionalHasElement", 0, 1, infer_has_element),
    row("RegexFullMatch", 1, 1, infer_bool_like),
    row("SequenceAt", 2, 2),
    row("SequenceConstruct", 1, -1),
    row("SequenceEmpty", 0, 0),
    row("SequenceErase", 1, 2, infer_same_sequence),
    row("SequenceInsert", 2, 3, infer_same_sequence),
    row("SequenceLength", 1, 1, infer_length),
    row("SplitToSequence", 1, 2),
    row("StringConcat", 2, 2, infer_string_concat),
    row("StringNormalizer", 1, 1),
    row("StringSplit", 1, 1, infer_string_split, 2),
    row("TfIdfVectorizer", 1, 1, infer_tf_idf),
};

}  // namespace

std::span<const Operator> sequence_operators() { return kRows; }

}  // namespace lathe::ir
