#include "tests/passes/prune/plan_support.h"

#include <algorithm>
#include <cmath>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/base/random.h"

namespace lathe::test {

prune::Selection random_selection(const prune::ChannelGroups& groups,
                                  uint64_t seed, bool rescaling) {
  Random random(seed);
  prune::Selection selection = groups.everything();
  for (size_t i = 0; i < selection.size(); ++i) {
    const prune::ChannelGroup& group = groups.groups()[i];
    if (!group.frozen.empty() || (group.rescaling && !rescaling)) continue;
    if (random.uniform() < 0.2) continue;
    const double share = random.uniform(0, 0.9);
    for (size_t unit = 0; unit < selection[i].size(); ++unit)
      selection[i][unit] = random.uniform() >= share;
    selection[i][random.below(selection[i].size())] = true;
  }
  return selection;
}

MaskedDifference masked_against_shrunk(const ir::Model& model,
                                       const prune::ChannelGroups& groups,
                                       const prune::Selection& selection,
                                       const ir::InputShapes& shapes) {
  ir::Model masked = ir::clone(model), shrunk = ir::clone(model);
  prune::mask(masked, groups, selection);
  prune::shrink(shrunk, groups, selection);
  ir::verify(*shrunk.graph, "shrink");
  NamedTensors inputs = latency::random_inputs(
      model, ir::default_input_shapes(model, shapes), 11);
  for (auto& [name, tensor] : inputs)
    if (name == "sr") tensor = ir::Tensor::scalar<int64_t>(16000);
  latency::SessionOptions options;
  options.level = latency::OptimizationLevel::kBasic;
  const auto dense = latency::Session::open(masked, options)->run(inputs);
  const auto pruned = latency::Session::open(shrunk, options)->run(inputs);
  MaskedDifference result;
  for (size_t i = 0; i < dense.size(); ++i) {
    if (dense[i].dims() != pruned[i].dims()) {
      result.same_shapes = false;
      continue;
    }
    if (!ir::is_floating(dense[i].type())) continue;
    const std::vector<double> a = dense[i].to_doubles(),
                              b = pruned[i].to_doubles();
    double largest = 1e-6, off = 0;
    for (size_t k = 0; k < a.size(); ++k) {
      largest = std::max(largest, std::abs(a[k]));
      const double here = std::abs(a[k] - b[k]);
      off = std::isnan(here) && std::isnan(a[k]) && std::isnan(b[k])
                ? off
                : std::max(off, std::isnan(here) ? INFINITY : here);
    }
    result.difference = std::max(result.difference, off / largest);
  }
  return result;
}

}  // namespace lathe::test
