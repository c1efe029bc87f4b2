#include "passes/quantize/channel_axis.h"

#include "passes/quantize/channel_hops.h"

namespace lathe::quantize {
namespace {

struct Row {
  const char* name;
  Carried (*carry)(const Hop&);
  bool all_inputs = false;  // else only the first
};

// Operators of ai.onnx with f(x / s) = f(x) / s.
const Row kRows[] = {
    {"Abs", same},
    {"Identity", same},
    {"LeakyRelu", same},
    {"Neg", same},
    {"PRelu", broadcast},
    {"Relu", same},
    {"AveragePool", pooled},
    {"GlobalAveragePool", pooled},
    {"GlobalMaxPool", pooled},
    {"MaxPool", pooled},
    {"Resize", resized},
    {"Add", broadcast, /*all_inputs=*/true},
    {"Sub", broadcast, /*all_inputs=*/true},
    {"Mul", broadcast},
    {"Div", broadcast},
    {"Flatten", reshaped},
    {"Reshape", reshaped},
    {"Squeeze", reshaped},
    {"Unsqueeze", reshaped},
    {"Transpose", transposed},
    {"Concat", concatenated, /*all_inputs=*/true},
    {"Split", split},
    {"Slice", sliced},
    {"Pad", padded},
    {"Gather", gathered},
    {"ReduceMax", reduced},
    {"ReduceMean", reduced},
    {"ReduceMin", reduced},
    {"ReduceSum", reduced},
};

const Row* find_row(const ir::Node& node) {
  for (const Row& row : kRows)
    if (node.is(row.name)) return &row;
  return nullptr;
}

// A bounded factor that does not scale with its input.
bool is_gate(const ir::Value* value) {
  const ir::Node* node = value ? value->producer() : nullptr;
  if (!node) return false;
  constexpr const char* kGates[] = {"Sigmoid", "HardSigmoid", "Tanh",
                                    "Softmax", "HardSwish",   "Gelu"};
  for (const char* gate : kGates)
    if (node->is(gate)) return true;
  // x * Sigmoid(x)
  if (!node->is("Mul")) return false;
  for (size_t i : {0, 1}) {
    const ir::Value* other = node->input(1 - i);
    const ir::Node* sigmoid = other ? other->producer() : nullptr;
    if (sigmoid && sigmoid->is("Sigmoid") &&
        sigmoid->input(0) == node->input(i))
      return true;
  }
  return false;
}

std::vector<size_t> scaled_factor(const ir::Node& node) {
  const ir::Value *a = node.input(0), *b = node.input(1);
  if (!a || !b) return {};
  if (b->is_constant()) return {0};
  if (node.is("Div")) return {};
  if (a->is_constant()) return {1};
  if (is_gate(a) == is_gate(b)) return {};
  return {is_gate(b) ? size_t{0} : size_t{1}};
}

}  // namespace

int64_t rank_of(const ir::Value& value) {
  return value.type.shape ? static_cast<int64_t>(value.type.shape->size()) : -1;
}

int64_t extent_of(const ir::Value& value, int64_t axis) {
  if (axis < 0 || axis >= rank_of(value)) return -1;
  return (*value.type.shape)[static_cast<size_t>(axis)].value;
}

std::vector<size_t> scaled_inputs(const ir::Node& node) {
  const Row* row = find_row(node);
  if (!row) return {};
  if (node.is("Mul") || node.is("Div")) return scaled_factor(node);
  if (!row->all_inputs) return {0};
  std::vector<size_t> all(node.inputs().size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

std::optional<ChannelAxis> carry(const ir::Node& node, size_t input,
                                 size_t output, ChannelAxis at, bool forward) {
  const Row* row = find_row(node);
  const ir::Value *in = node.input(input), *out = node.output(output);
  if (!row || !in || !out || rank_of(*in) < 0 || rank_of(*out) < 0)
    return std::nullopt;
  const Hop hop{node, input, output, *in, *out, at, forward};
  if (extent_of(hop.from(), at.axis) < 0) return std::nullopt;
  Carried carried = row->carry(hop);
  if (!carried) return std::nullopt;
  const int64_t extent = extent_of(hop.to(), carried->axis);
  if (extent < 0 || extent % carried->inner != 0) return std::nullopt;
  return carried;
}

int64_t joined_channels(const ir::Node& node, size_t input, size_t output,
                        ChannelAxis at, bool forward) {
  const Row* row = find_row(node);
  const ir::Value *in = node.input(input), *out = node.output(output);
  if (!row || row->carry != reshaped || !in || !out || rank_of(*in) < 0 ||
      rank_of(*out) < 0)
    return 1;
  return joined_by_reshape({node, input, output, *in, *out, at, forward});
}

bool reads_shape_only(const ir::Node& node) {
  return node.is("Shape") || node.is("Size");
}

}  // namespace lathe::quantize
