#include "calibration/latency/kernel_describe.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "passes/ir/op_table.h"

namespace lathe::latency {
namespace {

constexpr std::string_view kNchwc = "com.microsoft.nchwc";
constexpr std::string_view kNhwc = "com.ms.internal.nhwc";
constexpr std::string_view kMicrosoft = "com.microsoft";

using ValueSet = std::unordered_set<const ir::Value*>;

bool is_own_domain(const ir::Node& node) {
  return node.domain.empty() || node.domain == kMicrosoft ||
         node.domain == kNchwc || node.domain == kNhwc;
}

// Kinds that do not follow from the operator's name.
struct KindRow {
  std::string_view op, kind;
};
constexpr KindRow kKinds[] = {
    {"MatMul", "matmul"},
    {"MatMulInteger", "matmul"},
    {"MatMulInteger16", "matmul"},
    {"MatMulIntegerToFloat", "matmul"},
    {"FusedMatMul", "matmul"},
    {"FusedMatMulActivation", "matmul"},
    {"TransposeMatMul", "matmul"},
    {"DynamicQuantizeMatMul", "dynamic_quantize_matmul"},
    {"MatMulNBits", "matmul_nbits"},
    {"FusedGemm", "gemm"},
    {"QGemm", "gemm"},
    {"NhwcMaxPool", "max_pool"},
    {"QAttention", "attention"},
    {"Upsample", "resize"},
    {"Sum", "add"},
    // Views of memory that stays where it is.
    {"Reshape", "reshape"},
    {"Flatten", "reshape"},
    {"Squeeze", "reshape"},
    {"Unsqueeze", "reshape"},
    {"Identity", "reshape"},
    {"Dropout", "reshape"},
    {"RMSNormalization", "simplified_layer_normalization"},
};

// Convolutions by base name and the place of their weights.
struct ConvRow {
  std::string_view op, base;
  size_t weight;
};
constexpr ConvRow kConvs[] = {
    {"Conv", "conv", 1},
    {"FusedConv", "conv", 1},
    {"NhwcConv", "conv", 1},
    {"NhwcFusedConv", "conv", 1},
    {"ConvInteger", "conv", 1},
    {"QLinearConv", "conv", 3},
    {"ConvTranspose", "conv_transpose", 1},
    {"QLinearConvTranspose", "conv_transpose", 3},
    {"DeformConv", "deform_conv", 1},
};

std::string conv_kind(const ir::Node& node, const ConvRow& row) {
  auto weight = dims_of(node.input(row.weight));
  if (!weight || weight->size() < 3) return std::string(row.base) + "2d";
  // One-dimensional ones are conv2d of height 1.
  size_t spatial = std::max<size_t>(weight->size() - 2, 2);
  std::string kind = std::string(row.base) + std::to_string(spatial) + "d";
  int64_t group = node.attr_int("group", 1);
  if (group <= 1 || row.base != "conv") return kind;
  return ((*weight)[1] == 1 ? "depthwise_" : "grouped_") + kind;
}

bool is_view(std::string_view kind) { return kind == "reshape"; }

// The runtime multiplies for the exponents 2 and 3 and calls pow() for others.
std::string pow_kind(const ir::Node& node) {
  const ir::Value* exponent = node.input(1);
  if (!exponent || !exponent->has_initializer() ||
      exponent->type.element_count() != 1)
    return "pow";
  const double value = exponent->tensor().to_doubles().front();
  return value == 2 ? "square" : value == 3 ? "cube" : "pow";
}

Precision precision_of(ir::DataType type) {
  switch (type) {
    case ir::DataType::kFloat:
      return Precision::kFp32;
    case ir::DataType::kFloat16:
    case ir::DataType::kBfloat16:
      return Precision::kFp16;
    case ir::DataType::kUint8:
    case ir::DataType::kInt8:
      return Precision::kInt8;
    default:
      return Precision::kOther;
  }
}

// That of the arithmetic.
Precision kernel_precision(const ir::Node& node) {
  const std::string& op = node.op_type;
  auto elem = [](const ir::Value* value) {
    return value ? value->type.elem : ir::DataType::kUndefined;
  };
  if (op == "QuantizeLinear" || op == "DynamicQuantizeLinear")
    return precision_of(elem(node.input(0)));
  if (op == "DequantizeLinear") return precision_of(elem(node.output()));
  if (op == "MatMulNBits" && node.attr_int("accuracy_level", 0) != 4)
    return precision_of(elem(node.input(0)));
  constexpr std::string_view kInteger[] = {
      "MatMulInteger",         "MatMulIntegerToFloat",
      "DynamicQuantizeMatMul", "DynamicQuantizeLSTM",
      "ConvInteger",           "QAttention",
      "MatMulNBits",           "QGemm"};
  if (op.starts_with("QLinear") ||
      std::ranges::find(kInteger, op) != std::end(kInteger))
    return Precision::kInt8;
  // Of what is computed with: comparisons give bool, Shape integers.
  ir::DataType type = elem(node.input(op == "Where" ? 1 : 0));
  if (type == ir::DataType::kUndefined || op == "Cast")
    type = ir::is_floating(elem(node.output())) ? elem(node.output()) : type;
  return precision_of(type);
}

bool channels_last(const ir::Node& node) {
  return node.domain == kNhwc || node.op_type.starts_with("Nhwc") ||
         node.attr_int("channels_last", 0) != 0;
}

// Only part of the table or the source is read.
bool reads_what_it_writes(const ir::Node& node) {
  for (const char* op : {"Gather", "GatherND", "GatherElements", "Slice"})
    if (node.is(op)) return true;
  return false;
}

bool same_number(const ir::Value* a, const ir::Value* b) {
  if (a == b) return true;
  if (!a || !b || !a->has_initializer() || !b->has_initializer()) return false;
  return a->tensor().to_doubles() == b->tensor().to_doubles();
}

// Concat copies inputs whose scale and zero point are the result's and looks
// up every code of the others.
int64_t recoded_flops(const ir::Node& node) {
  constexpr int64_t kEach = 4;
  int64_t flops = 0;
  for (size_t i = 2; i + 2 < node.inputs().size(); i += 3) {
    if (!node.input(i) || (same_number(node.input(i + 1), node.input(0)) &&
                           same_number(node.input(i + 2), node.input(1))))
      continue;
    const int64_t count = node.input(i)->type.element_count().value_or(0);
    flops = saturating_add(flops, saturating_multiply(kEach, count));
  }
  return flops;
}

class Describer {
 public:
  Describer(const ir::Graph& graph, int64_t opset)
      : graph_(graph), opset_(opset) {}

  std::vector<DescribedKernel> run() {
    std::vector<DescribedKernel> kernels;
    std::vector<const ir::Node*> nodes;
    for (const auto& node : graph_.nodes()) {
      if (node->is("Constant")) continue;
      kernels.push_back(describe(*node));
      nodes.push_back(node.get());
    }
    int64_t working_set = saturating_add(constants_, most_activations_);
    for (DescribedKernel& kernel : kernels)
      kernel.descriptor.working_set = working_set;
    add_reuse_distances(nodes, kernels);
    return kernels;
  }

 private:
  DescribedKernel describe(const ir::Node& node) {
    DescribedKernel kernel;
    kernel.name = node.id();
    kernel.label = node.label();
    KernelDescriptor& d = kernel.descriptor;
    d.kind = kernel_kind(node);
    d.precision = kernel_precision(node);
    d.layout = layout(node);
    NodeView view{node, opset_, d.layout, channels_last(node)};
    kernel.known = ir::find_operator(node) != nullptr;
    add_bytes(node, d, kernel.known);
    if (auto cost = ir::node_cost(node))
      d.flops = cost->flops;
    else
      kernel.known = false;
    if (node.op_type == "QLinearConcat") d.flops = recoded_flops(node);
    for (const ir::Value* value : data_inputs(node))
      if (value && !is_constant_value(value)) ++d.inputs;
    describe_window(view, d);
    describe_product(view, d);
    describe_transpose(view, d);
    d.run = contiguous_run(view);
    add_fusions(node, d);
    if (!node.subgraphs().empty()) {
      add_subgraphs(node, d);
      kernel.known = false;
    }
    if (is_view(d.kind)) become_view(node, d);
    return kernel;
  }

  // Outputs of blocked operators go on as they are through the plain ones.
  Layout layout(const ir::Node& node) {
    bool blocked = node.domain == kNchwc;
    if (!blocked && !node.inputs().empty())
      for (const ir::Value* input : node.inputs())
        blocked = blocked || (input && blocked_.contains(input));
    if (blocked && node.op_type != "ReorderOutput")
      for (const ir::Value* output : node.outputs())
        if (output) blocked_.insert(output);
    if (node.domain == kNchwc && node.op_type.starts_with("Reorder"))
      return channels_last(node) ? Layout::kInterleaved : Layout::kPlain;
    if (blocked) return Layout::kBlocked;
    return channels_last(node) ? Layout::kInterleaved : Layout::kPlain;
  }

  void add_bytes(const ir::Node& node, KernelDescriptor& d, bool& known) {
    ValueSet seen;
    int64_t activations = 0, read = 0;
    for (const ir::Value* input : node.inputs()) {
      if (!input || !seen.insert(input).second) continue;
      std::optional<int64_t> bytes = value_bytes(*input);
      known = known && bytes;
      if (!bytes) continue;
      if (is_constant_value(input)) {
        // Single numbers (scales, zero points, axes) are no weights.
        if (input->type.element_count() == 1) continue;
        d.bytes_weights = saturating_add(d.bytes_weights, *bytes);
        if (counted_.insert(input).second)
          constants_ = saturating_add(constants_, *bytes);
      } else {
        read = saturating_add(read, *bytes);
      }
    }
    activations = d.bytes_in = read;
    for (const ir::Value* output : node.outputs()) {
      if (!output || (output->unused() && output != node.output())) continue;
      std::optional<int64_t> bytes = value_bytes(*output);
      known = known && bytes;
      if (!bytes) continue;
      d.bytes_out = saturating_add(d.bytes_out, *bytes);
    }
    activations = saturating_add(activations, d.bytes_out);
    most_activations_ = std::max(most_activations_, activations);
    if (reads_what_it_writes(node)) {
      d.bytes_in = std::min(d.bytes_in, d.bytes_out);
      d.bytes_weights = std::min(d.bytes_weights, d.bytes_out);
    }
    if (node.output() && node.output()->type.element_count())
      d.elements = *node.output()->type.element_count();
  }

  // Kernels run in the graph's order. What the caller hands in was last touched
  // in the run before.
  static void add_reuse_distances(const std::vector<const ir::Node*>& nodes,
                                  std::vector<DescribedKernel>& kernels) {
    auto bytes_of = [](const KernelDescriptor& d) {
      return static_cast<double>(d.bytes_in) +
             static_cast<double>(d.bytes_weights) +
             static_cast<double>(d.bytes_out);
    };
    double total = 0, touched = 0;
    for (const DescribedKernel& kernel : kernels)
      total += bytes_of(kernel.descriptor);
    total = std::min(total, static_cast<double>(INT64_MAX / 4));
    std::unordered_map<const ir::Value*, double> last_use;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const ir::Node& node = *nodes[i];
      KernelDescriptor& d = kernels[i].descriptor;
      d.traffic = static_cast<int64_t>(total);
      double weighted = 0, bytes = 0, oldest = touched;
      for (const ir::Value* input : data_inputs(node)) {
        if (!input || is_constant_value(input)) continue;
        auto found = last_use.find(input);
        const double used = found != last_use.end() ? found->second : -total;
        const double size =
            static_cast<double>(value_bytes(*input).value_or(0)) + 1;
        weighted += size * (touched - used);
        bytes += size;
        oldest = std::min(oldest, used);
      }
      if (bytes > 0)
        d.reuse_distance = static_cast<int64_t>(
            std::min(weighted / bytes, static_cast<double>(INT64_MAX / 4)));
      touched += bytes_of(d);
      // A view touches nothing: its result is as old as its source.
      const bool view = is_view(d.kind) && d.bytes_out == 0;
      for (const ir::Value* input : data_inputs(node))
        if (input && !view) last_use[input] = touched;
      for (const ir::Value* output : node.outputs())
        if (output) last_use[output] = view ? oldest : touched;
    }
  }

  void add_fusions(const ir::Node& node, KernelDescriptor& d) const {
    std::string activation = node.attr_string("activation", "");
    bool is_conv = d.kind.find("conv") != std::string::npos;
    bool is_product = d.kind == "gemm" || d.kind == "matmul";
    if (is_conv || is_product) d.activation = snake_case(activation);
    if (!is_conv || node.op_type.starts_with("QLinear")) return;
    // FusedConv, NhwcFusedConv and the blocked Conv add their fourth input.
    if (node.domain.empty()) return;
    d.fused_add = node.input(3) != nullptr;
  }

  // An If counts its dearer branch, a Loop or Scan its body once.
  void add_subgraphs(const ir::Node& node, KernelDescriptor& d) const {
    int64_t flops = 0, bytes = 0;
    for (const ir::Graph* graph : node.subgraphs()) {
      int64_t inner_flops = 0, inner_bytes = 0;
      for (const DescribedKernel& inner : Describer(*graph, opset_).run()) {
        const KernelDescriptor& k = inner.descriptor;
        inner_flops = saturating_add(inner_flops, k.flops);
        for (int64_t part : {k.bytes_in, k.bytes_weights, k.bytes_out})
          inner_bytes = saturating_add(inner_bytes, part);
      }
      flops = std::max(flops, inner_flops);
      bytes = std::max(bytes, inner_bytes);
    }
    d.flops = saturating_add(d.flops, flops);
    d.bytes_in = saturating_add(d.bytes_in, bytes);
  }

  // The result is the source's memory, but for an output of the model, which
  // is memory of the caller.
  static void become_view(const ir::Node& node, KernelDescriptor& d) {
    d.flops = d.bytes_weights = 0;
    if (node.output() && node.output()->is_graph_output()) {
      d.bytes_in = std::min(d.bytes_in, d.bytes_out);
      return;
    }
    d.bytes_in = d.bytes_out = 0;
  }

  const ir::Graph& graph_;
  int64_t opset_;
  ValueSet blocked_, counted_;
  int64_t constants_ = 0, most_activations_ = 0;
};

}  // namespace

std::string snake_case(const std::string& name) {
  std::string text;
  for (size_t i = 0; i < name.size(); ++i) {
    bool upper = std::isupper(static_cast<unsigned char>(name[i]));
    bool after_lower =
        i > 0 && std::islower(static_cast<unsigned char>(name[i - 1]));
    if (upper && after_lower) text += '_';
    text +=
        static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  return text;
}

std::string kernel_kind(const ir::Node& node) {
  if (!is_own_domain(node)) return node.domain + "." + node.op_type;
  for (const ConvRow& row : kConvs)
    if (row.op == node.op_type) return conv_kind(node, row);
  std::string op = node.op_type;
  if (op == "Pow") return pow_kind(node);
  if (op.starts_with("QLinear")) op = op.substr(7);
  for (const KindRow& row : kKinds)
    if (row.op == op) return std::string(row.kind);
  return snake_case(op);
}

std::vector<DescribedKernel> describe_kernels(const ir::Model& optimized) {
  return Describer(*optimized.graph, optimized.opset()).run();
}

void fix_old_initializers(ir::Model& model) {
  if (model.ir_version >= 4) return;
  std::vector<ir::Value*> inputs = model.graph->inputs();
  for (ir::Value* input : inputs)
    if (input->has_initializer()) model.graph->remove_input(input);
}

bool is_constant_value(const ir::Value* value) {
  return value && (value->is_constant() ||
                   (value->producer() && value->producer()->is("Constant")));
}

std::optional<int64_t> value_bytes(const ir::Value& value) {
  std::optional<int64_t> count = value.type.element_count();
  if (!count || value.type.elem == ir::DataType::kUndefined)
    return std::nullopt;
  uint64_t bytes =
      ir::packed_bytes(value.type.elem, static_cast<uint64_t>(*count));
  return static_cast<int64_t>(
      std::min(bytes, static_cast<uint64_t>(INT64_MAX / 4)));
}

int64_t saturating_add(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t saturating_multiply(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

std::optional<std::vector<int64_t>> dims_of(const ir::Value* value) {
  if (!value || !value->type.has_static_shape()) return std::nullopt;
  return ir::to_dims(*value->type.shape);
}

std::vector<const ir::Value*> data_inputs(const ir::Node& node) {
  struct Row {
    std::string_view op;
    std::array<int, 4> inputs;  // -1: none
  };
  constexpr Row kRows[] = {
      {"QLinearAdd", {0, 3, -1, -1}},
      {"QLinearMul", {0, 3, -1, -1}},
      {"QLinearMatMul", {0, 3, -1, -1}},
      {"QLinearConv", {0, 3, 8, -1}},
      {"QGemm", {0, 3, 6, -1}},
      {"QLinearWhere", {0, 1, 4, -1}},
      {"MatMulIntegerToFloat", {0, 1, 6, -1}},
      {"DynamicQuantizeMatMul", {0, 1, 4, -1}},
      {"MatMulInteger", {0, 1, -1, -1}},
      {"ConvInteger", {0, 1, -1, -1}},
      {"MatMulNBits", {0, 1, 5, -1}},
      {"QuantizeLinear", {0, -1, -1, -1}},
      {"DequantizeLinear", {0, -1, -1, -1}},
      {"QLinearSigmoid", {0, -1, -1, -1}},
      {"QLinearLeakyRelu", {0, -1, -1, -1}},
      {"QLinearSoftmax", {0, -1, -1, -1}},
      {"QLinearAveragePool", {0, -1, -1, -1}},
      {"QLinearGlobalAveragePool", {0, -1, -1, -1}},
      {"QLinearReduceMean", {0, -1, -1, -1}},
      {"Reshape", {0, -1, -1, -1}},
      {"Squeeze", {0, -1, -1, -1}},
      {"Unsqueeze", {0, -1, -1, -1}},
      {"Expand", {0, -1, -1, -1}},
      {"Tile", {0, -1, -1, -1}},
      {"Slice", {0, -1, -1, -1}},
      {"Split", {0, -1, -1, -1}},
      {"Pad", {0, -1, -1, -1}},
      {"Resize", {0, -1, -1, -1}},
      {"Upsample", {0, -1, -1, -1}},
      {"Clip", {0, -1, -1, -1}},
      {"TopK", {0, -1, -1, -1}},
      {"CumSum", {0, -1, -1, -1}},
  };
  std::vector<const ir::Value*> values;
  if (node.op_type == "QLinearConcat") {
    for (size_t i = 2; i < node.inputs().size(); i += 3)
      if (node.input(i)) values.push_back(node.input(i));
    return values;
  }
  for (const Row& row : kRows) {
    if (row.op != node.op_type) continue;
    for (int index : row.inputs)
      if (index >= 0 && node.input(static_cast<size_t>(index)))
        values.push_back(node.input(static_cast<size_t>(index)));
    return values;
  }
  bool reduces = node.op_type.starts_with("Reduce");
  for (const ir::Value* input : node.inputs())
    if (input && !(reduces && input != node.input(0))) values.push_back(input);
  return values;
}

}  // namespace lathe::latency
