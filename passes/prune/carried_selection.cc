// A unit is known again by where it lies on a weight: positions that are left
// are positions of the dense weight, some units before them gone.
#include "passes/prune/carried_selection.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include "passes/base/error.h"

namespace lathe::prune {
namespace {

using AxisKey = std::tuple<std::string, size_t, int64_t>;

class DenseUnits {
 public:
  DenseUnits(const ChannelGroups& groups, const Selection& done)
      : groups_(groups), done_(done) {
    for (size_t i = 0; i < groups.groups().size(); ++i)
      for (const WeightAxis& source : groups.groups()[i].sources)
        axes_[{source.result, source.input, source.axis}].emplace_back(i,
                                                                       &source);
  }

  // The unit whose positions, those that are left, are exactly these.
  void remove(const AxisKey& axis, const std::vector<int64_t>& positions,
              const std::vector<int64_t>& left, Selection& selection) const {
    const auto found = axes_.find(axis);
    if (found != axes_.end())
      for (const auto& [group, source] : found->second)
        for (size_t unit = 0; unit < source->positions.size(); ++unit) {
          if (!done_[group][unit]) continue;
          std::vector<int64_t> here;
          std::ranges::set_intersection(source->positions[unit], left,
                                        std::back_inserter(here));
          if (here != positions) continue;
          selection[group][unit] = false;
          return;
        }
    throw_internal("prune_channels", "a unit of node '" + std::get<0>(axis) +
                                         "' is none of the dense model's");
  }

 private:
  const ChannelGroups& groups_;
  const Selection& done_;
  std::map<AxisKey, std::vector<std::pair<size_t, const WeightAxis*>>> axes_;
};

}  // namespace

Selection carried_selection(const ir::Model& dense_model,
                            const ChannelGroups& dense, const Selection& done,
                            const ChannelGroups& pruned,
                            const Selection& more) {
  Selection result = done;
  const DenseUnits units(dense, done);
  std::unordered_map<std::string, const ir::Node*> nodes;
  for (const auto& node : dense_model.graph->nodes())
    for (const ir::Value* output : node->outputs())
      if (output) nodes.emplace(output->name(), node.get());
  for (size_t i = 0; i < pruned.groups().size(); ++i) {
    const WeightAxis& source = pruned.groups()[i].sources[0];
    const auto node = nodes.find(source.result);
    if (node == nodes.end())
      throw_internal("prune_channels",
                     "the dense model has no '" + source.result + "'");
    const std::vector<int64_t> left = dense.kept_input(
        *node->second, source.input, done)[static_cast<size_t>(source.axis)];
    for (size_t unit = 0; unit < more[i].size(); ++unit) {
      if (more[i][unit]) continue;
      std::vector<int64_t> positions;
      for (const int64_t at : source.positions[unit])
        positions.push_back(left[static_cast<size_t>(at)]);
      units.remove({source.result, source.input, source.axis}, positions, left,
                   result);
    }
  }
  return result;
}

}  // namespace lathe::prune
