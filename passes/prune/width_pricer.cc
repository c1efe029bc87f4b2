#include "passes/prune/width_pricer.h"

#include <cmath>
#include <map>
#include <mutex>
#include <utility>

#include "passes/prune/prune.h"

namespace lathe::prune {

// A copy of the model whose types follow the widths.
class WidthPricer::Outline {
 public:
  Outline(const ir::Model& model, const ChannelGroups& groups,
          const std::vector<std::string>& removed)
      : model_(ir::clone(model)) {
    remove_blocks(model_, removed);
    for (ir::Value* value : model_.graph->values())
      add(value, groups.terms(value->name()));
    for (const auto& node : model_.graph->nodes()) {
      for (size_t i = 0; i < node->inputs().size(); ++i)
        if (node->input(i) && node->input(i)->has_initializer())
          add(node->input(i), groups.input_terms(*node, i));
      if (node->has_attribute("group") && node->attr_int("group", 1) > 1)
        grouped_.push_back(node.get());
    }
  }

  const ir::Model& at(const std::vector<int64_t>& units,
                      const std::vector<ChannelGroup>& groups) {
    for (const Place& place : places_) {
      double count = 0;
      for (const AxisTerm& term : place.terms) {
        double part = static_cast<double>(term.positions);
        for (const int32_t group : term.groups)
          part *= static_cast<double>(units[static_cast<size_t>(group)]) /
                  static_cast<double>(groups[static_cast<size_t>(group)].units);
        count += part;
      }
      (*place.value->type.shape)[place.axis] = std::llround(count);
    }
    for (ir::Node* node : grouped_) {
      const bool transposed = node->is("ConvTranspose");
      const ir::Value* image = transposed ? node->output() : node->input(0);
      const int64_t each = (*node->input(1)->type.shape)[1].value;
      const int64_t channels = (*image->type.shape)[1].value;
      if (each > 0 && channels % each == 0)
        node->set_attr("group", channels / each);
    }
    return model_;
  }

 private:
  struct Place {
    ir::Value* value;
    size_t axis;
    std::vector<AxisTerm> terms;
  };

  void add(ir::Value* value, std::vector<std::vector<AxisTerm>> axes) {
    if (!value->type.shape || value->type.shape->size() != axes.size()) return;
    for (size_t axis = 0; axis < axes.size(); ++axis)
      if (!axes[axis].empty())
        places_.push_back({value, axis, std::move(axes[axis])});
  }

  ir::Model model_;
  std::vector<Place> places_;
  std::vector<ir::Node*> grouped_;
};

// Outlines that no thread uses at the moment.
class WidthPricer::Outlines {
 public:
  std::unique_ptr<Outline> take(const std::vector<bool>& gone) {
    const std::lock_guard lock(mutex_);
    auto& idle = idle_[gone];
    if (idle.empty()) return nullptr;
    std::unique_ptr<Outline> outline = std::move(idle.back());
    idle.pop_back();
    return outline;
  }
  void give_back(const std::vector<bool>& gone,
                 std::unique_ptr<Outline> outline) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() > kMost) idle_.clear();
    idle_[gone].push_back(std::move(outline));
  }

 private:
  static constexpr size_t kMost = 64;
  std::mutex mutex_;
  std::map<std::vector<bool>, std::vector<std::unique_ptr<Outline>>> idle_;
};

WidthPricer::WidthPricer(const ir::Model& model, const ChannelGroups& groups,
                         const std::vector<ResidualBlock>& blocks,
                         const LatencyModel& latency)
    : model_(model),
      groups_(groups),
      blocks_(blocks),
      latency_(latency),
      outlines_(std::make_unique<Outlines>()) {}

WidthPricer::~WidthPricer() = default;

double WidthPricer::price(const Widths& widths) const {
  std::unique_ptr<Outline> outline = outlines_->take(widths.gone);
  if (!outline) {
    std::vector<std::string> removed;
    for (size_t i = 0; i < blocks_.size(); ++i)
      if (widths.gone[i]) removed.push_back(blocks_[i].name);
    outline = std::make_unique<Outline>(model_, groups_, removed);
  }
  const double us =
      latency_.estimate_outline(outline->at(widths.units, groups_.groups()))
          .latency.p50_us;
  outlines_->give_back(widths.gone, std::move(outline));
  return us;
}

}  // namespace lathe::prune
