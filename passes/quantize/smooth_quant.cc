// smooth_quant: even channels between a normalization and products.
//
//   before: y = MatMul(LayerNormalization(x, g, b), w)
//   after:  y = MatMul(LayerNormalization(x, g / s, b / s), w * s)
//
// and with insert_mul, where nothing takes 1/s in:
//
//   before: y = MatMul(Gelu(x), w)
//   after:  y = MatMul(Mul(Gelu(x), 1 / s), w * s)
//
// Conditions and operators: channel_groups, channel_sites and channel_axis. The
// formula of s: channel_factors.
// Source: Xiao et al., "SmoothQuant" (2022), section 4.
#include <algorithm>
#include <unordered_set>

#include "passes/base/error.h"
#include "passes/ir/shape_inference.h"
#include "passes/quantize/channel_scaling.h"
#include "passes/quantize/operator_rules.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {
namespace {

// Values that an integer kernel computes: a Mul after them comes too late.
std::unordered_set<const ir::Value*> coded_values(const ir::Graph& graph) {
  std::unordered_set<const ir::Value*> coded;
  for (const ir::Node* node : graph.node_list()) {
    const OperatorRule* rule = find_rule(*node);
    if (!rule) continue;
    const auto is_coded = [&](size_t i) {
      const ir::Value* input = node->input(i);
      return input->is_constant() || coded.contains(input);
    };
    const bool codes =
        rule->role == Role::kCompute
            ? node->input(1) && node->input(1)->is_constant()
            : std::ranges::all_of(data_inputs(*node, rule->role), is_coded);
    if (codes) coded.insert(node->outputs().begin(), node->outputs().end());
  }
  return coded;
}

bool reads_matrix(const ScaleSite& site) {
  return site.node->is("MatMul") || site.node->is("Gemm");
}

class SmoothQuant final : public Pass {
 public:
  explicit SmoothQuant(SmoothOptions options) : options_(options) {}

  std::string name() const override { return "smooth_quant"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    if (!context.ranges)
      throw Error(ErrorKind::kUsage, name(),
                  "needs samples to see the ranges of channels",
                  "give --data, or in a recipe the key 'data'");
    ir::infer_shapes(model);
    const auto coded = coded_values(*model.graph);
    std::vector<ChannelGroup> chosen;
    for (ChannelGroup& group : find_channel_groups(*model.graph)) {
      const size_t before = chosen.size();
      if (options_.insert_mul && !group.frozen.empty())
        add_readers(group, coded, chosen);
      if (group.normalized && chosen.size() == before)
        chosen.push_back(std::move(group));
    }
    const ScalingOptions& options = options_.scaling;
    const ChannelScaling scaling{
        .factors = {.alpha = options_.alpha,
                    .power_of_two = options.power_of_two},
        .min_gain_db = options.min_gain_db,
        .min_mul_gain_db = options_.min_mul_gain_db,
        .samples = options.samples};
    return scale_groups(model, chosen, scaling, context);
  }

 private:
  static void add_readers(const ChannelGroup& group,
                          const std::unordered_set<const ir::Value*>& coded,
                          std::vector<ChannelGroup>& chosen) {
    for (const ChannelMember& member : group.members) {
      if (coded.contains(member.value)) continue;
      ChannelGroup readers = readers_only(member);
      if (!readers.products.empty() &&
          std::ranges::all_of(readers.products, reads_matrix))
        chosen.push_back(std::move(readers));
    }
  }

  SmoothOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_smooth_quant(SmoothOptions options) {
  return std::make_unique<SmoothQuant>(options);
}

}  // namespace lathe::quantize
