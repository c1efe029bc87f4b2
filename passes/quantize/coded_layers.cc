#include "passes/quantize/coded_layers.h"

#include <algorithm>
#include <cmath>

#include "passes/base/error.h"
#include "passes/quantize/left_alone.h"
#include "passes/quantize/weights.h"

namespace lathe::quantize {
namespace {

constexpr const char* kInFloat = "it is not quantized";
constexpr const char* kNoTwin = "the float model has no such node";
constexpr const char* kRewritten =
    "its weights are not those of the float model: another pass rewrote them";

// A DequantizeLinear, of a constant of that type where one is given.
ir::Node* dequantize_of(const ir::Value* value,
                        ir::DataType constant = ir::DataType::kUndefined) {
  ir::Node* node = value ? value->producer() : nullptr;
  if (!node || !node->is("DequantizeLinear")) return nullptr;
  if (constant != ir::DataType::kUndefined &&
      (!node->input(0)->is_constant() || !node->input(1)->is_constant() ||
       node->input(0)->type.elem != constant))
    return nullptr;
  return node;
}

ir::Value* named_output(const ir::Graph& graph, const std::string& id) {
  ir::Value* value = graph.find(id);
  return value && value->producer() ? value : nullptr;
}

// An unnamed node goes by its output, whose name a DequantizeLinear may have
// taken over.
const ir::Node* twin_of(const ir::Node& node, const ir::Graph& reference) {
  if (!node.name.empty()) {
    for (const auto& other : reference.nodes())
      if (other->name == node.name) return other.get();
    return nullptr;
  }
  if (const ir::Value* same = named_output(reference, node.output()->name()))
    return same->producer();
  for (const ir::Use& quantize : node.output()->uses()) {
    if (!quantize.node->is("QuantizeLinear")) continue;
    for (const ir::Use& use : quantize.node->output()->uses())
      if (const ir::Value* same =
              named_output(reference, use.node->output()->name()))
        return same->producer();
  }
  return nullptr;
}

// The Add behind a MatMul that adds an int32 bias.
ir::Node* biased_sum(const ir::Node& node, ir::Node*& bias) {
  const ir::Value* product = node.output();
  if (!node.is("MatMul") || product->uses().size() != 1 ||
      product->is_graph_output() || !product->uses()[0].node->is("Add"))
    return nullptr;
  const ir::Use& use = product->uses()[0];
  bias = dequantize_of(use.node->input(1 - use.index), ir::DataType::kInt32);
  return bias ? use.node : nullptr;
}

// The float weights, with zeros for the channels of inputs that the quantized
// ones have beyond them.
std::optional<std::vector<float>> fit(const ir::Tensor& floats,
                                      const ir::Tensor& codes) {
  const std::vector<int64_t>&from = floats.dims(), &to = codes.dims();
  if (from.size() != to.size() || from.size() < 2) return {};
  for (size_t i = 0; i < from.size(); ++i)
    if (i == 1 ? from[i] > to[i] : from[i] != to[i]) return {};
  const auto data = floats.data<float>();
  std::vector<float> fitted(static_cast<size_t>(codes.size()), 0);
  if (from[0] == 0) return fitted;
  const size_t row = data.size() / from[0], wide = fitted.size() / from[0];
  for (int64_t i = 0; i < from[0]; ++i)
    std::copy_n(data.begin() + i * row, row, fitted.begin() + i * wide);
  return fitted;
}

bool read_scales(const ir::Node& dequantize, CodedLayer& layer) {
  const std::vector<int64_t>& dims = dequantize.input(0)->tensor().dims();
  layer.scales = dequantize.input(1)->tensor().to_floats();
  if (dequantize.input(1)->tensor().rank() > 1) return false;
  if (layer.scales.size() == 1) return true;
  const auto rank = static_cast<int64_t>(dims.size());
  int64_t axis = dequantize.attr_int("axis", 1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank ||
      dims[axis] != static_cast<int64_t>(layer.scales.size()))
    return false;
  for (int64_t i = axis + 1; i < rank; ++i) layer.inner *= dims[i];
  return true;
}

// Every code is a neighbour of what the float weight is in steps.
bool codes_fit(CodedLayer& layer) {
  const auto codes = layer.weights->input(0)->tensor().data<int8_t>();
  layer.max_code = kMax7BitCode;
  for (size_t i = 0; i < codes.size(); ++i) {
    const float steps = layer.floats[i] / layer.scale(i);
    const float bounded =
        std::clamp(steps, -float{kMaxWeightCode}, float{kMaxWeightCode});
    if (!(std::fabs(static_cast<float>(codes[i]) - bounded) < 1.001f))
      return false;
    if (std::abs(codes[i]) > kMax7BitCode) layer.max_code = kMaxWeightCode;
  }
  return true;
}

int64_t channels_of(const ir::Node& node, const std::vector<int64_t>& dims) {
  const bool first = node.is("Conv") || node.attr_int("transB", 0) != 0;
  return first ? dims[0] : dims.back();
}

// "" where the layer is one.
std::string read_layer(ir::Node& node, const ir::Model& reference,
                       CodedLayer& layer) {
  layer.node = &node;
  layer.input = dequantize_of(node.input(0));
  layer.weights = dequantize_of(node.input(1), ir::DataType::kInt8);
  if (!layer.input || !layer.weights) return kInFloat;
  const ir::Node* twin = twin_of(node, *reference.graph);
  if (!twin || !(twin->op_type == node.op_type ||
                 (twin->is("MatMul") && node.is("Gemm"))))
    return kNoTwin;
  layer.result = node.output();
  if (!node.is("MatMul"))
    layer.bias = dequantize_of(node.input(2), ir::DataType::kInt32);
  else if (ir::Node* sum = biased_sum(node, layer.bias))
    layer.result = sum->output();
  layer.target = float_twin(*layer.result, reference);
  if (!layer.target) return kNoTwin;
  const ir::Value* weights = twin->input(1);
  if (!weights || !weights->is_constant() ||
      weights->type.elem != ir::DataType::kFloat)
    return kRewritten;
  const ir::Tensor& codes = layer.weights->input(0)->tensor();
  auto floats = fit(weights->tensor(), codes);
  if (!floats || !read_scales(*layer.weights, layer)) return kRewritten;
  layer.floats = std::move(*floats);
  if (!codes_fit(layer)) return kRewritten;
  layer.channels = channels_of(node, codes.dims());
  layer.channel_axis = node.is("Conv") ? 1 : -1;
  return "";
}

}  // namespace

std::vector<CodedLayer> find_coded_layers(ir::Model& model,
                                          const ir::Model& reference,
                                          std::vector<Remark>& remarks) {
  std::vector<CodedLayer> layers;
  for (ir::Node* node : model.graph->node_list()) {
    if (!is_compute(*node)) continue;
    CodedLayer layer;
    std::string reason = kInFloat;
    if (node->is("Conv") || node->is("Gemm") || node->is("MatMul"))
      reason = read_layer(*node, reference, layer);
    if (reason.empty())
      layers.push_back(std::move(layer));
    else
      remarks.push_back({node->id(), std::move(reason)});
  }
  for (Remark& remark : inner_node_remarks(model))
    remarks.push_back(std::move(remark));
  return layers;
}

const ir::Value* float_twin(const ir::Value& value,
                            const ir::Model& reference) {
  const ir::Node* node = value.producer();
  const ir::Node* twin = node ? twin_of(*node, *reference.graph) : nullptr;
  return twin ? twin->output(value.producer_index()) : nullptr;
}

ir::Value* after_activation(ir::Value* value) {
  if (value->uses().size() != 1 || value->is_graph_output()) return value;
  const ir::Use& use = value->uses()[0];
  const bool follows = use.index == 0 && &use.node->graph() == &value->graph();
  return follows && (use.node->is("Relu") || use.node->is("Clip"))
             ? use.node->output()
             : value;
}

void require_reference_and_data(const PassContext& context,
                                const std::string& pass) {
  if (!context.reference)
    throw Error(ErrorKind::kUsage, pass,
                "it compares with the float model that was quantized, but no "
                "pass before it quantized one",
                "put it behind quantize_static in the recipe");
  if (!context.data)
    throw Error(ErrorKind::kUsage, pass, "it needs samples, but none are given",
                "give data");
}

}  // namespace lathe::quantize
