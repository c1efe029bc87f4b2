// fold_constants: what needs no input is computed now.
//
//   before: s = Shape(x); i = Gather(s, 1); y = Reshape(x, Concat(i, …))
//   after:  y = Reshape(x, constant)                   x: float[N,8]
//
// Conditions: a deterministic operator with a host kernel (host_kernels.h),
// all of whose inputs are constant; Shape and Size where the shape is known,
// and Gather or Slice of a Shape where the dimensions they take are. An If with
// a constant condition becomes its branch; bodies of Loop and Scan are folded
// inside. A result of more than 1 MiB that is larger than the node's inputs
// stays computed. DequantizeLinear stays: the runtime fuses it.
// Source: ONNX operator definitions, opset 7 to 21.
#include <algorithm>

#include "passes/base/error.h"
#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/host_kernels.h"
#include "passes/rewrite/inline_if.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

constexpr uint64_t kMaxGrownBytes = uint64_t{1} << 20;
constexpr int kMaxInlineRounds = 8;
// Stands for a dimension that is not known, which no shape can hold.
constexpr int64_t kUnknownDim = INT64_MIN;

// What a Shape node gives, unknown dimensions as kUnknownDim.
std::optional<std::vector<int64_t>> shape_output(const ir::Node& node) {
  const ir::Value* x = node.input(0);
  if (!x || !x->type.shape) return std::nullopt;
  std::vector<int64_t> dims;
  for (const ir::Dim& dim : *x->type.shape)
    dims.push_back(dim.known() ? dim.value : kUnknownDim);
  auto rank = static_cast<int64_t>(dims.size());
  auto clamp = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t start = clamp(node.attr_int("start", 0));
  int64_t end = clamp(node.attr_int("end", rank));
  if (end <= start) return std::vector<int64_t>{};
  return std::vector<int64_t>(dims.begin() + start, dims.begin() + end);
}

bool all_known(const std::vector<int64_t>& dims) {
  return std::ranges::count(dims, kUnknownDim) == 0;
}

// The inputs' tensors, a partly known Shape's output among them; nullopt when
// one is not constant.
std::optional<std::vector<ir::Tensor>> constant_inputs(const ir::Node& node,
                                                       bool& partial) {
  std::vector<ir::Tensor> tensors;
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    const ir::Value* value = node.input(i);
    if (!value) {
      tensors.emplace_back();
      continue;
    }
    if (const ir::Tensor* tensor = constant_tensor(value)) {
      tensors.push_back(*tensor);
      continue;
    }
    const ir::Node* producer = value->producer();
    bool takes_dims = i == 0 && (node.is("Gather") || node.is("Slice"));
    if (!takes_dims || !producer || !producer->is("Shape")) return std::nullopt;
    auto dims = shape_output(*producer);
    if (!dims) return std::nullopt;
    partial = !all_known(*dims);
    tensors.push_back(ir::Tensor::vector_i64(*dims));
  }
  return tensors;
}

// The node's results, or nullopt where they do not follow. NotFoldable where
// they should not be folded.
std::optional<Tensors> evaluate(const ir::Node& node) {
  if (node.is("Shape")) {
    auto dims = shape_output(node);
    if (!dims || !all_known(*dims)) return std::nullopt;
    return Tensors{ir::Tensor::vector_i64(*dims)};
  }
  if (node.is("Size")) {
    auto count =
        node.input(0) ? node.input(0)->type.element_count() : std::nullopt;
    if (!count) return std::nullopt;
    return Tensors{ir::Tensor::scalar<int64_t>(*count)};
  }
  bool partial = false;
  auto tensors = constant_inputs(node, partial);
  if (!tensors) return std::nullopt;
  HostKernel kernel = find_host_kernel(node);
  if (!kernel)
    throw NotFoldable("its inputs are constant, but " + node.op_type +
                      " is not computed on the host");
  std::vector<const ir::Tensor*> inputs;
  uint64_t input_bytes = 0;
  for (size_t i = 0; i < tensors->size(); ++i) {
    inputs.push_back(node.input(i) ? &(*tensors)[i] : nullptr);
    input_bytes += (*tensors)[i].size_bytes();
  }
  Tensors results = kernel(KernelCall(node, std::move(inputs),
                                      std::max(input_bytes, kMaxGrownBytes)));
  if (partial && !all_known(results.front().to_int64s())) return std::nullopt;
  return results;
}

// Puts the results in the place of the node's outputs.
void replace(ir::Node& node, Tensors results) {
  ir::Graph& graph = node.graph();
  std::vector<ir::Value*> outputs = node.outputs();
  bool is_output = std::ranges::any_of(outputs, [](const ir::Value* output) {
    return output && output->is_graph_output();
  });
  if (!is_output) {
    graph.detach_node(&node);
    for (size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i]) outputs[i]->set_tensor(std::move(results[i]));
    return;
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i])
      graph.replace_all_uses(
          outputs[i], graph.add_constant(outputs[i]->name() + "_constant",
                                         std::move(results[i])));
  graph.remove_node(&node);
}

class FoldConstants final : public Pass {
 public:
  std::string name() const override { return "fold_constants"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    PassResult result;
    fold_graph(model, *model.graph, context, result);
    if (result.changes > 0)
      model.ir_version = std::max<int64_t>(model.ir_version, 4);
    return result;
  }

 private:
  static void fold_graph(const ir::Model& model, ir::Graph& graph,
                         PassContext& context, PassResult& result) {
    for (int round = 0; round < kMaxInlineRounds; ++round) {
      bool inlined = false;
      for (ir::Node* node : graph.node_list()) {
        context.check_cancelled();
        if (is_known_if(*node))
          inlined = inline_node(*node, result) || inlined;
        else
          fold_node(model, *node, result);
      }
      if (!inlined) break;
    }
    for (ir::Node* node : graph.node_list())
      for (ir::Graph* sub : node->subgraphs())
        fold_graph(model, *sub, context, result);
  }

  static bool is_known_if(const ir::Node& node) {
    return node.is("If") && constant_int(node.input(0)).has_value();
  }

  static bool inline_node(ir::Node& node, PassResult& result) {
    std::string id = node.id();
    std::string reason = inline_if(node);
    if (reason.empty()) {
      ++result.changes;
      return true;
    }
    add_remark(id, reason, result);
    return false;
  }

  static void fold_node(const ir::Model& model, ir::Node& node,
                        PassResult& result) {
    if (!node.domain.empty() || !node.subgraphs().empty() || !node.output() ||
        node.is("Constant") || model.has_function(node))
      return;
    if (node.inputs().empty()) return;  // random numbers
    if (node.is("Identity") && node.output()->is_graph_output()) return;
    try {
      auto results = evaluate(node);
      if (!results) return;
      if (results->size() < node.outputs().size())
        throw NotFoldable("it has more outputs than the host computes");
      replace(node, std::move(*results));
      ++result.changes;
    } catch (const NotFoldable& reason) {
      add_remark(node.id(), reason.what(), result);
    } catch (const Error& error) {
      // Attributes or tensors of wrong types: the runtime's to complain about.
      if (error.kind() == ErrorKind::kInternal) throw;
      add_remark(node.id(), error.message(), result);
    }
  }

  // Rounds over one graph say a thing once.
  static void add_remark(const std::string& node, std::string reason,
                         PassResult& result) {
    Remark remark{node, std::move(reason)};
    if (std::ranges::find(result.remarks, remark) == result.remarks.end())
      result.remarks.push_back(std::move(remark));
  }
};

}  // namespace

std::unique_ptr<Pass> make_fold_constants() {
  return std::make_unique<FoldConstants>();
}

}  // namespace lathe::rewrite
