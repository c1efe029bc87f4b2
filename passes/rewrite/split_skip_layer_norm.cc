// split_skip_layer_norm: keeps the runtime from fusing a sum into the
// LayerNormalization after it, where the fused kernel is the slower one.
//
//   before: s = Add(x, y); z = LayerNormalization(s, ...)
//   after:  s = Sum(x, y); z = LayerNormalization(s, ...)
//
// ONNX Runtime's CPU provider makes SkipLayerNormalization of Add and
// LayerNormalization, and looks for Add alone; Sum of two inputs is the same
// addition. Version 1.30 takes 82 us for the fused kernel on 128x128 elements
// and 14 us for the two (Zen 4, one thread); in version 1.21 both take the
// same. So the device's profile decides: the whole graph is estimated both
// ways. Without a calibrated profile nothing changes.
#include <fmt/format.h>

#include <map>

#include "passes/base/error.h"
#include "passes/ir/shape_inference.h"
#include "passes/latency_model.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

// Estimates differ by less than this without a cause.
constexpr double kLeastGain = 0.01;

// The sum that a LayerNormalization reads, or the ReduceMean that one written
// out begins with; null for other nodes.
const ir::Node* normalized_sum(const ir::Node& node) {
  if (!node.is("LayerNormalization") && !node.is("ReduceMean")) return nullptr;
  const ir::Node* sum = node.input(0) ? node.input(0)->producer() : nullptr;
  return sum && sum->is("Add") ? sum : nullptr;
}

class SplitSkipLayerNorm final : public Pass {
 public:
  std::string name() const override { return "split_skip_layer_norm"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    PassResult result;
    if (!context.latency || !context.latency->calibrated()) return result;
    std::vector<size_t> sums;
    try {
      sums = fused_sums(model, context);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInternal ||
          error.kind() == ErrorKind::kInterrupted)
        throw;
      result.remarks.push_back(
          {"", fmt::format("sums stay as they are, because their latency is "
                           "not known: {}",
                           error.what())});
      return result;
    }
    if (sums.empty()) return result;
    const double before = estimate(model, {}, context).latency.p50_us;
    const double after = estimate(model, sums, context).latency.p50_us;
    if (after > before * (1 - kLeastGain)) {
      result.remarks.push_back(
          {"", fmt::format("{} sum{} fused into LayerNormalization: {:.1f} us, "
                           "and {:.1f} us apart, on {}",
                           sums.size(), sums.size() == 1 ? " stays" : "s stay",
                           before, after, context.latency->device())});
      return result;
    }
    split(model, sums);
    result.changes = static_cast<int64_t>(sums.size());
    return result;
  }

 private:
  static void split(ir::Model& model, const std::vector<size_t>& sums) {
    const std::vector<ir::Node*> nodes = model.graph->node_list();
    for (size_t i : sums) nodes[i]->op_type = "Sum";
  }

  static GraphEstimate estimate(const ir::Model& model,
                                const std::vector<size_t>& sums,
                                const PassContext& context) {
    ir::Model bound = ir::clone(model);
    split(bound, sums);
    ir::bind_input_shapes(
        bound, ir::default_input_shapes(bound, context.input_shapes));
    ir::infer_shapes(bound);
    size_t i = 0;
    for (const auto& node : bound.graph->nodes())
      node->name = fmt::format("node {}", i++);
    return context.latency->estimate_outline(bound);
  }

  // Places in the graph's order.
  static std::vector<size_t> fused_sums(const ir::Model& model,
                                        const PassContext& context) {
    const std::vector<ir::Node*> nodes = model.graph->node_list();
    std::map<const ir::Node*, size_t> place;
    std::map<std::string, const ir::Node*> by_name;
    for (size_t i = 0; i < nodes.size(); ++i) {
      place[nodes[i]] = i;
      by_name[fmt::format("node {}", i)] = nodes[i];
    }
    std::vector<size_t> sums;
    for (const KernelEstimate& kernel : estimate(model, {}, context).kernels) {
      if (kernel.kind != "skip_layer_normalization") continue;
      for (const std::string& name : kernel.nodes) {
        const auto node = by_name.find(name);
        if (node == by_name.end()) continue;
        if (const ir::Node* sum = normalized_sum(*node->second)) {
          sums.push_back(place.at(sum));
          break;
        }
      }
    }
    return sums;
  }
};

}  // namespace

std::unique_ptr<Pass> make_split_skip_layer_norm() {
  return std::make_unique<SplitSkipLayerNorm>();
}

}  // namespace lathe::rewrite
