#include "calibration/latency/kernels.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "calibration/latency/integer_kernel.h"
#include "calibration/latency/kernel_describe.h"
#include "passes/ir/op_table.h"

namespace lathe::latency {
namespace {

using NodeSet = std::unordered_set<const ir::Node*>;

bool is_quantization(const ir::Node& node) {
  return node.op_type == "QuantizeLinear" || node.op_type == "DequantizeLinear";
}

bool is_activation(const ir::Node& node) {
  for (const char* op :
       {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "Tanh"})
    if (node.is(op)) return true;
  return false;
}

class Grouping {
 public:
  explicit Grouping(const ir::Graph& graph) : graph_(graph) {}

  std::vector<Kernel> run() {
    size_t position = 0;
    for (const auto& node : graph_.nodes()) {
      positions_[node.get()] = position++;
      if (vanishes(*node)) constant_.insert(node.get());
    }
    for (const auto& node : graph_.nodes()) visit(*node);
    for (Kernel& kernel : kernels_)
      std::sort(kernel.nodes.begin(), kernel.nodes.end(),
                [&](const ir::Node* a, const ir::Node* b) {
                  return positions_.at(a) < positions_.at(b);
                });
    return std::move(kernels_);
  }

 private:
  bool is_constant(const ir::Value* value) const {
    return !value || value->is_constant() ||
           (value->producer() && constant_.contains(value->producer()));
  }

  // Leaves no kernel: gone or computed once before the first run.
  bool vanishes(const ir::Node& node) const {
    if (!node.domain.empty() || is_quantization(node)) return false;
    if (node.is("Constant")) return true;
    if (node.is("Shape") || node.is("Size"))
      return node.input(0) && node.input(0)->type.has_static_shape();
    const ir::Operator* op = ir::find_operator(node);
    if (!op || !op->deterministic || !node.subgraphs().empty()) return false;
    return std::all_of(node.inputs().begin(), node.inputs().end(),
                       [&](const ir::Value* v) { return is_constant(v); });
  }

  void visit(const ir::Node& node) {
    if (covered_.contains(&node) || constant_.contains(&node)) return;
    if (node.is("Identity") || node.is("Dropout")) return;
    if (std::optional<IntegerKernel> group = integer_kernel(node))
      return add_integer(node, *group);
    if (node.op_type == "DequantizeLinear" && only_for_integer_kernels(node))
      return;
    Kernel kernel = start(node);
    const ir::Value* end = node.output();
    if (node.is("Conv") || node.is("ConvTranspose"))
      end = follow_conv(node, kernel);
    else if (node.is("MatMul") || node.is("Gemm"))
      end = follow_product(node, kernel);
    finish(std::move(kernel), node, end);
  }

  bool only_for_integer_kernels(const ir::Node& dequantize) const {
    const ir::Value* output = dequantize.output();
    if (!output || output->is_graph_output()) return false;
    return std::all_of(output->uses().begin(), output->uses().end(),
                       [](const ir::Use& use) {
                         return integer_kernel(*use.node).has_value();
                       });
  }

  Kernel start(const ir::Node& node) {
    Kernel kernel;
    kernel.main = &node;
    cover(kernel, node);
    if (std::optional<ir::Cost> cost = ir::node_cost(node))
      kernel.flops = cost->flops;
    else
      kernel.known = false;
    if (!ir::find_operator(node)) kernel.known = false;
    kernel.integer = node.op_type.starts_with("QLinear") ||
                     node.op_type == "QGemm" || node.is("ConvInteger") ||
                     node.is("MatMulInteger");
    return kernel;
  }

  void cover(Kernel& kernel, const ir::Node& node) {
    kernel.nodes.push_back(&node);
    covered_.insert(&node);
  }

  void read_or_write(Kernel& kernel, const ir::Value* value) const {
    if (!value) return;
    if (std::optional<int64_t> bytes = value_bytes(*value))
      kernel.bytes = saturating_add(kernel.bytes, *bytes);
    else
      kernel.known = false;
  }

  void add_integer(const ir::Node& node, const IntegerKernel& group) {
    Kernel kernel = start(node);
    kernel.integer = true;
    for (const ir::Value* input : node.inputs()) {
      const ir::Node* producer = input ? input->producer() : nullptr;
      bool coded = producer &&
                   std::find(group.dequantize.begin(), group.dequantize.end(),
                             producer) != group.dequantize.end();
      read_or_write(kernel, coded ? producer->input(0) : input);
    }
    for (const ir::Node* dequantize : group.dequantize)
      if (!covered_.contains(dequantize) &&
          only_for_integer_kernels(*dequantize))
        cover(kernel, *dequantize);
    bool quantized = false;
    for (const ir::Node* after : group.after) {
      cover(kernel, *after);
      if (after->op_type != "QuantizeLinear") continue;
      read_or_write(kernel, after->output());
      quantized = true;
    }
    if (!quantized) read_or_write(kernel, node.output());
    kernels_.push_back(std::move(kernel));
  }

  // The node that alone uses the value and has no kernel yet.
  const ir::Node* next(const ir::Value* value) const {
    if (!value || value->is_graph_output() || value->uses().size() != 1)
      return nullptr;
    const ir::Node* node = value->uses()[0].node;
    if (&node->graph() != &graph_ || covered_.contains(node)) return nullptr;
    return integer_kernel(*node) ? nullptr : node;
  }

  const ir::Value* absorb(Kernel& kernel, const ir::Node& node) {
    cover(kernel, node);
    if (std::optional<ir::Cost> cost = ir::node_cost(node))
      kernel.flops = saturating_add(kernel.flops, cost->flops);
    return node.output();
  }

  const ir::Value* follow_activation(Kernel& kernel, const ir::Value* end) {
    const ir::Node* node = next(end);
    return node && is_activation(*node) ? absorb(kernel, *node) : end;
  }

  const ir::Value* follow_conv(const ir::Node& conv, Kernel& kernel) {
    const ir::Value* end = conv.output();
    const ir::Node* node = next(end);
    if (node && node->is("BatchNormalization")) {
      // Folded into the weights.
      cover(kernel, *node);
      end = node->output();
      node = next(end);
    }
    if (node && node->is("Add") && node->inputs().size() == 2) {
      const ir::Value* other = node->input(node->input(0) == end ? 1 : 0);
      bool same_shape = other && value_bytes(*other) &&
                        value_bytes(*other) == value_bytes(*end);
      if (same_shape && other != end && !is_constant(other)) {
        end = absorb(kernel, *node);
        read_or_write(kernel, other);
      }
    }
    return follow_activation(kernel, end);
  }

  const ir::Value* follow_product(const ir::Node& product, Kernel& kernel) {
    const ir::Value* end = product.output();
    const ir::Node* node = next(end);
    if (product.is("MatMul") && node && node->is("Add")) {
      const ir::Value* other = node->input(node->input(0) == end ? 1 : 0);
      if (!is_constant(other)) return end;
      end = absorb(kernel, *node);
      read_or_write(kernel, other);
    }
    return follow_activation(kernel, end);
  }

  void finish(Kernel kernel, const ir::Node& node, const ir::Value* end) {
    for (const ir::Value* input : node.inputs()) read_or_write(kernel, input);
    if (node.outputs().size() > 1 && end == node.output()) {
      for (const ir::Value* output : node.outputs())
        read_or_write(kernel, output);
    } else {
      read_or_write(kernel, end);
    }
    add_subgraphs(kernel, node);
    kernels_.push_back(std::move(kernel));
  }

  static void add_subgraphs(Kernel& kernel, const ir::Node& node) {
    std::vector<ir::Graph*> graphs = node.subgraphs();
    if (graphs.empty()) return;
    int64_t flops = 0, bytes = 0;
    for (const ir::Graph* graph : graphs) {
      int64_t inner_flops = 0, inner_bytes = 0;
      for (const Kernel& inner : group_kernels(*graph)) {
        inner_flops = saturating_add(inner_flops, inner.flops);
        inner_bytes = saturating_add(inner_bytes, inner.bytes);
      }
      flops = std::max(flops, inner_flops);
      bytes = std::max(bytes, inner_bytes);
    }
    kernel.flops = saturating_add(kernel.flops, flops);
    kernel.bytes = saturating_add(kernel.bytes, bytes);
    kernel.known = false;
  }

  const ir::Graph& graph_;
  std::unordered_map<const ir::Node*, size_t> positions_;
  NodeSet constant_, covered_;
  std::vector<Kernel> kernels_;
};

}  // namespace

std::vector<Kernel> group_kernels(const ir::Graph& graph) {
  return Grouping(graph).run();
}

bool is_depthwise(const ir::Node& node) {
  if (!node.is("Conv") || node.attr_int("group", 1) <= 1) return false;
  const ir::Value* weight = node.input(1);
  return weight && weight->type.shape && weight->type.shape->size() > 2 &&
         (*weight->type.shape)[1].value == 1;
}

std::string kernel_kind(const Kernel& kernel) {
  std::string base = kernel_kind(*kernel.main);
  bool grouped = kernel.integer && (kernel.nodes.size() > 1);
  return grouped ? "q" + base : base;
}

}  // namespace lathe::latency
