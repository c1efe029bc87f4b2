// Units of the axis session, gathered by where they lie.
#include "passes/prune/channel_groups.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::prune {
namespace {

std::string result_of(const ir::Node& node) {
  for (const ir::Value* output : node.outputs())
    if (output) return output->name();
  return "";
}

// Names of values are unique, those of nodes need not be.
std::string use_key(const ir::Node& node, size_t input) {
  return result_of(node) + "\n" + std::to_string(input);
}

UnitKind kind_of(const std::vector<int64_t>& positions) {
  if (positions.size() == 1) return UnitKind::kChannel;
  const bool runs = positions.back() - positions.front() + 1 ==
                    static_cast<int64_t>(positions.size());
  return runs ? UnitKind::kBlock : UnitKind::kElement;
}

}  // namespace

class GroupBuilder {
 public:
  GroupBuilder(ChannelGroups& result, ir::Model& model)
      : result_(result), model_(model), session_(model) {}

  void build() {
    find_units();
    make_groups();
    fill_axes();
    for (const auto& [node, reason] : session_.not_followed())
      result_.remarks_.push_back({node->id(), reason});
  }

 private:
  using Ref = ChannelGroups::UnitRef;
  // Where a unit lies: an axis of a product's constant, or of a value.
  struct Site {
    const ir::ProductAxis* product = nullptr;
    const ir::Value* value = nullptr;
    int64_t axis = 0;
  };

  const std::vector<ir::Axis>* axes_of(const ir::ProductAxis& product) const {
    return session_.input_axes(*product.node, product.input);
  }

  void visit(size_t site, const ir::Axis& axis, bool computes) {
    for (int64_t at = 0; at < static_cast<int64_t>(axis.slots.size()); ++at)
      for (const ir::Slot unit : session_.table().units(axis.slots[at])) {
        auto& places = units_[unit];
        if (places.empty() || places.back().first != site)
          places.emplace_back(site, std::vector<int64_t>());
        places.back().second.push_back(at);
        if (computes) computed_.insert(unit);
      }
  }

  // Every unit's sites and its positions there.
  void find_units() {
    for (const ir::ProductAxis& product : session_.product_axes()) {
      sites_.push_back({&product, nullptr, product.axis});
      const auto* axes = axes_of(product);
      if (axes)
        visit(sites_.size() - 1, (*axes)[static_cast<size_t>(product.axis)],
              product.output);
    }
    for (const auto& node : model_.graph->nodes())
      for (const ir::Value* output : node->outputs()) {
        const auto* axes = output ? session_.axes(*output) : nullptr;
        if (!axes) continue;
        for (size_t axis = 0; axis < axes->size(); ++axis) {
          sites_.push_back({nullptr, output, static_cast<int64_t>(axis)});
          visit(sites_.size() - 1, (*axes)[axis], false);
        }
      }
  }

  // Units that a product computes, grouped: the same sites as often, the same
  // reason for staying.
  void make_groups() {
    using Signature =
        std::tuple<std::vector<std::pair<size_t, size_t>>, std::string, bool>;
    std::map<Signature, std::vector<ir::Slot>> kinds;
    std::vector<ir::Slot> order(computed_.begin(), computed_.end());
    // By their place in the first site, so that unit u is channel u; heads
    // before their elements.
    std::ranges::sort(order, [&](ir::Slot a, ir::Slot b) {
      return units_.at(a).front() < units_.at(b).front();
    });
    std::vector<const std::pair<const Signature, std::vector<ir::Slot>>*> list;
    for (const ir::Slot unit : order) {
      Signature signature;
      for (const auto& [site, positions] : units_.at(unit))
        std::get<0>(signature).emplace_back(site, positions.size());
      if (const std::string* reason = session_.table().fixed(unit))
        std::get<1>(signature) = *reason;
      std::get<2>(signature) = session_.table().rescaling(unit);
      const auto [found, made] = kinds.try_emplace(std::move(signature));
      if (made) list.push_back(&*found);
      found->second.push_back(unit);
    }
    for (const auto* kind : list)
      add_group(kind->second, std::get<1>(kind->first),
                std::get<2>(kind->first));
  }

  void add_group(const std::vector<ir::Slot>& units, const std::string& frozen,
                 bool rescaling) {
    ChannelGroup group;
    group.units = static_cast<int64_t>(units.size());
    group.frozen = frozen;
    group.rescaling = rescaling;
    const auto& places = units_.at(units[0]);
    for (size_t place = 0; place < places.size(); ++place) {
      const Site& site = sites_[places[place].first];
      std::vector<std::vector<int64_t>> positions;
      for (const ir::Slot unit : units)
        positions.push_back(units_.at(unit)[place].second);
      if (!site.product) {
        group.values.push_back(
            {site.value->name(), site.axis, std::move(positions)});
        continue;
      }
      const ir::Node& node = *site.product->node;
      const size_t other = site.product->input == 0 ? 1 : 0;
      const ir::Value* value =
          site.product->output ? node.output() : node.input(other);
      WeightAxis weight{node.id(),
                        result_of(node),
                        node.op_type,
                        site.product->input,
                        node.input(site.product->input)->name(),
                        value ? value->name() : "",
                        site.axis,
                        std::move(positions)};
      (site.product->output ? group.sources : group.readers)
          .push_back(std::move(weight));
    }
    group.kind = kind_of(group.sources[0].positions[0]);
    group.name = unique_name(group.sources[0]);
    const auto index = static_cast<int32_t>(result_.groups_.size());
    for (size_t unit = 0; unit < units.size(); ++unit)
      refs_[units[unit]] = {index, static_cast<int32_t>(unit)};
    result_.groups_.push_back(std::move(group));
  }

  std::string unique_name(const WeightAxis& source) {
    std::string name = source.node;
    for (int i = 2; !names_.insert(name).second; ++i)
      name = source.node + "#" + std::to_string(i);
    return name;
  }

  ChannelGroups::AxisUnits flatten(const ir::Axis& axis) const {
    ChannelGroups::AxisUnits result;
    result.size = axis.size;
    if (axis.is_fixed()) return result;
    for (const ir::Slot slot : axis.slots) {
      result.begin.push_back(static_cast<int32_t>(result.units.size()));
      for (const ir::Slot unit : session_.table().units(slot))
        if (const auto found = refs_.find(unit); found != refs_.end())
          result.units.push_back(found->second);
    }
    result.begin.push_back(static_cast<int32_t>(result.units.size()));
    if (result.units.empty()) result.begin.clear();
    return result;
  }

  std::vector<ChannelGroups::AxisUnits> flatten(
      const std::vector<ir::Axis>& axes) const {
    std::vector<ChannelGroups::AxisUnits> result;
    for (const ir::Axis& axis : axes) result.push_back(flatten(axis));
    return result;
  }

  void fill_axes() {
    for (const ir::Value* value : model_.graph->values())
      if (const auto* axes = session_.axes(*value))
        result_.values_[value->name()] = flatten(*axes);
    for (const auto& node : model_.graph->nodes())
      for (size_t i = 0; i < node->inputs().size(); ++i) {
        const ir::Value* input = node->input(i);
        const auto* axes = input ? session_.input_axes(*node, i) : nullptr;
        if (axes && axes != session_.axes(*input))
          result_.uses_[use_key(*node, i)] = flatten(*axes);
      }
  }

  ChannelGroups& result_;
  ir::Model& model_;
  ir::AxisSession session_;
  std::vector<Site> sites_;
  std::map<ir::Slot, std::vector<std::pair<size_t, std::vector<int64_t>>>>
      units_;
  std::set<ir::Slot> computed_;
  std::map<ir::Slot, Ref> refs_;
  std::set<std::string> names_;
};

ChannelGroups::ChannelGroups(const ir::Model& model,
                             const ir::InputShapes& shapes) {
  ir::Model bound = ir::clone(model);
  ir::bind_input_shapes(bound, ir::default_input_shapes(bound, shapes));
  GroupBuilder(*this, bound).build();
}

const char* to_string(UnitKind kind) {
  switch (kind) {
    case UnitKind::kChannel:
      return "channel";
    case UnitKind::kBlock:
      return "block";
    case UnitKind::kElement:
      return "element";
  }
  return "";
}

int64_t ChannelGroups::find(const std::string& name) const {
  for (size_t i = 0; i < groups_.size(); ++i)
    if (groups_[i].name == name) return static_cast<int64_t>(i);
  return -1;
}

Selection ChannelGroups::everything() const {
  Selection selection;
  for (const ChannelGroup& group : groups_)
    selection.emplace_back(static_cast<size_t>(group.units), true);
  return selection;
}

const std::vector<ChannelGroups::AxisUnits>* ChannelGroups::find_value(
    const std::string& value) const {
  const auto found = values_.find(value);
  return found == values_.end() ? nullptr : &found->second;
}

const std::vector<ChannelGroups::AxisUnits>* ChannelGroups::find_input(
    const ir::Node& node, size_t input) const {
  const auto use = uses_.find(use_key(node, input));
  if (use != uses_.end()) return &use->second;
  const ir::Value* value = node.input(input);
  return value ? find_value(value->name()) : nullptr;
}

ChannelGroups::Kept ChannelGroups::kept(const std::vector<AxisUnits>* axes,
                                        const Selection& selection) {
  Kept kept;
  if (!axes) return kept;
  for (const AxisUnits& axis : *axes) {
    std::vector<int64_t> positions;
    for (int64_t at = 0; at < axis.size; ++at) {
      bool stays = true;
      if (!axis.begin.empty())
        for (int32_t i = axis.begin[at]; i < axis.begin[at + 1]; ++i)
          stays = stays && selection[axis.units[i].group][axis.units[i].unit];
      if (stays) positions.push_back(at);
    }
    kept.push_back(std::move(positions));
  }
  return kept;
}

std::vector<int64_t> ChannelGroups::sizes(const std::vector<AxisUnits>* axes) {
  std::vector<int64_t> sizes;
  if (axes)
    for (const AxisUnits& axis : *axes) sizes.push_back(axis.size);
  return sizes;
}

std::vector<std::vector<AxisTerm>> ChannelGroups::terms(
    const std::vector<AxisUnits>* axes) {
  std::vector<std::vector<AxisTerm>> result;
  if (!axes) return result;
  for (const AxisUnits& axis : *axes) {
    std::map<std::vector<int32_t>, int64_t> counts;
    for (int64_t at = 0; !axis.begin.empty() && at < axis.size; ++at) {
      std::vector<int32_t> groups;
      for (int32_t i = axis.begin[at]; i < axis.begin[at + 1]; ++i)
        groups.push_back(axis.units[i].group);
      std::ranges::sort(groups);
      ++counts[groups];
    }
    result.emplace_back();
    for (const auto& [groups, positions] : counts)
      result.back().push_back({positions, groups});
  }
  return result;
}

ChannelGroups::Kept ChannelGroups::kept(const std::string& value,
                                        const Selection& selection) const {
  return kept(find_value(value), selection);
}

ChannelGroups::Kept ChannelGroups::kept_input(
    const ir::Node& node, size_t input, const Selection& selection) const {
  return kept(find_input(node, input), selection);
}

std::vector<int64_t> ChannelGroups::dims(const std::string& value) const {
  return sizes(find_value(value));
}

std::vector<int64_t> ChannelGroups::input_dims(const ir::Node& node,
                                               size_t input) const {
  return sizes(find_input(node, input));
}

std::vector<std::vector<AxisTerm>> ChannelGroups::terms(
    const std::string& value) const {
  return terms(find_value(value));
}

std::vector<std::vector<AxisTerm>> ChannelGroups::input_terms(
    const ir::Node& node, size_t input) const {
  return terms(find_input(node, input));
}

}  // namespace lathe::prune
