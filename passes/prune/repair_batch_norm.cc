// BatchNormalization statistics over samples (Li et al. 2020, "EagleEye", arXiv
// 2007.02491, section 3.3):
//
//   mean'[c] = E(x[c]),  var'[c] = E(x[c]^2) - E(x[c])^2
//
// over all samples and positions of what each one reads, those before it with
// their new statistics. Not averages over batches in training mode: nothing
// depends on a batch size.
#include "passes/exec/model_part.h"
#include "passes/prune/repair_passes.h"

namespace lathe::prune {
namespace {

constexpr const char* kNotFinite = "its input is not finite over the samples";

class ReestimateBatchNorm final : public Pass {
 public:
  explicit ReestimateBatchNorm(RepairOptions options) : options_(options) {}

  std::string name() const override { return "reestimate_batch_norm"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    require_samples(context, options_, name());
    PassResult result;
    std::vector<Stop> stops;
    std::vector<ir::Node*> nodes;
    const exec::ExecutionOrder order(*model.graph);
    for (ir::Node* node : model.graph->node_list()) {
      if (!is_fixed_batch_norm(*node) || order.is_fixed(*node->input(0)))
        continue;
      nodes.push_back(node);
      stops.push_back({node, nullptr});
    }
    if (nodes.empty()) return result;
    Sweep sweep(model, nullptr, stops, options_.samples, options_.memory,
                context);
    remark_samples(sweep, options_, context, result);
    context.progress->begin("re-estimate statistics", nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) {
      sweep.advance(stops[i]);
      reestimate(sweep, *nodes[i], result);
      context.progress->advance(1);
    }
    context.progress->end();
    return result;
  }

 private:
  RepairOptions options_;
};

}  // namespace

void reestimate(const Sweep& sweep, ir::Node& node, PassResult& result) {
  at::Tensor mean, variance;
  sweep.channel_moments(node.input(0)->name(), mean, variance);
  if (!at::isfinite(variance).all().item<bool>()) {
    result.remarks.push_back({node.id(), kNotFinite});
    return;
  }
  set_constant(node, 3, mean, node.id() + "_mean");
  set_constant(node, 4, variance, node.id() + "_variance");
  ++result.changes;
}

std::unique_ptr<Pass> make_reestimate_batch_norm(RepairOptions options) {
  return std::make_unique<ReestimateBatchNorm>(options);
}

}  // namespace lathe::prune
