// Integer or float, node by node, by what the device takes.
//
//   sum over nodes     float_us or int8_us
// + sum over values    Q where computed in float and read as codes
//                      DQ where computed as codes and read in float
//
// is least. A value has one Q and one DQ for all its readers; MatMul and Gemm
// write float for free. With two labels and borders that never cost less than
// nothing, this is a minimum s-t cut (Picard and Ratliff 1975), so the answer
// is exact for these costs. They come from two estimates of the whole graph,
// all in float and all as integers. Kernels that fuse differently in between
// make the costs inexact: refine() compares whole graphs.
#include "passes/quantize/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "passes/quantize/insert_qdq.h"
#include "passes/quantize/left_alone.h"

namespace lathe::quantize {
namespace {

// How many changes refine() tries: a whole-graph estimate each.
constexpr size_t kMostTrials = 48;
// Estimates differ by less than this without a cause.
constexpr double kLeastGain = 0.01;

}  // namespace

Placement::Placement(const ir::Model& model, const Selection& candidates,
                     const QuantizeOptions& options,
                     const LatencyModel& latency, const ir::InputShapes& shapes)
    : candidates_(candidates),
      options_(options),
      latency_(latency),
      bound_(ir::clone(model)),
      nodes_(model.graph->node_list()) {
  ir::bind_input_shapes(bound_, ir::default_input_shapes(bound_, shapes));
  ir::infer_shapes(bound_);
  for (ir::Node* node : bound_.graph->node_list()) {
    const size_t i = bound_nodes_.size();
    node->name = fmt::format("node {}", i);
    index_[node] = i;
    bound_nodes_.push_back(node);
    all_.push_back(candidates.contains(nodes_[i]));
  }
  none_.assign(nodes_.size(), 0);
  measure_nodes();
  find_borders();
  find_sandwiches();
}

Selection Placement::select(const Labels& labels) const {
  return candidates_.in(nodes_, nodes_, labels);
}

ir::Model Placement::outlined(const Labels& labels) const {
  ir::Model model = ir::clone(bound_);
  const Selection selection =
      candidates_.in(nodes_, model.graph->node_list(), labels);
  outline_qdq(model, selection,
              choose_parameters(model, selection, options_, {}), options_);
  ir::infer_shapes(model);
  return model;
}

double Placement::latency_us(const Labels& labels) {
  const auto [entry, added] = estimated_.try_emplace(labels, 0);
  if (added)
    entry->second = latency_.estimate_outline(outlined(labels)).latency.p50_us;
  return entry->second;
}

void Placement::measure_nodes() {
  std::map<std::string, size_t> by_name;
  for (size_t i = 0; i < bound_nodes_.size(); ++i)
    by_name[bound_nodes_[i]->name] = i;
  costs_.assign(nodes_.size(), {});
  const auto charge = [&](const Labels& labels, double NodeCost::*side) {
    const GraphEstimate estimate = latency_.estimate_outline(outlined(labels));
    estimated_[labels] = estimate.latency.p50_us;
    for (const KernelEstimate& kernel : estimate.kernels) {
      // The candidate that does most of the work pays for the kernel.
      std::optional<size_t> payer;
      for (const std::string& name : kernel.nodes) {
        const auto found = by_name.find(name);
        if (found == by_name.end() || !all_[found->second]) continue;
        const size_t i = found->second;
        if (!payer || (is_compute(*nodes_[i]) && !is_compute(*nodes_[*payer])))
          payer = i;
      }
      if (payer) costs_[*payer].*side += kernel.latency.p50_us;
    }
  };
  charge(none_, &NodeCost::float_us);
  charge(all_, &NodeCost::int8_us);
}

// A fused node without the node it disappears into is none.
Labels Placement::closed(Labels labels) const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!labels[i] || candidates_.roles.at(nodes_[i]) != Role::kFused) continue;
    labels[i] = std::ranges::any_of(
        bound_nodes_[i]->inputs(), [&](const ir::Value* value) {
          const auto found =
              value ? index_.find(value->producer()) : index_.end();
          return found != index_.end() && labels[found->second] &&
                 value->uses().size() == 1;
        });
  }
  return labels;
}

std::vector<std::vector<size_t>> Placement::parts(const Labels& a,
                                                  const Labels& b) const {
  std::vector<std::vector<size_t>> found;
  Labels seen = none_;
  for (size_t start = 0; start < nodes_.size(); ++start) {
    if (a[start] == b[start] || seen[start]) continue;
    std::vector<size_t> part{start};
    seen[start] = 1;
    const auto visit = [&](const ir::Node* node) {
      const auto it = index_.find(node);
      if (it == index_.end()) return;
      const size_t i = it->second;
      // Parts that would go to different sides are different parts.
      if (a[i] == b[i] || a[i] != a[start] || seen[i]) return;
      seen[i] = 1;
      part.push_back(i);
    };
    for (size_t k = 0; k < part.size(); ++k) {
      const ir::Node& node = *bound_nodes_[part[k]];
      for (const ir::Value* value : node.inputs())
        if (value) visit(value->producer());
      for (const ir::Value* value : node.outputs())
        if (value)
          for (const ir::Use& use : value->uses()) visit(use.node);
    }
    found.push_back(std::move(part));
  }
  return found;
}

Labels Placement::refine(const Labels& from, const Labels& other) {
  Labels best = from;
  double least = latency_us(best);
  if (latency_us(other) < least) {
    best = other;
    least = latency_us(other);
  }
  size_t trials = 0;
  for (const std::vector<size_t>& part : parts(from, other)) {
    if (++trials > kMostTrials) break;
    Labels other_side = changed(best, part);
    if (latency_us(other_side) < least) {
      least = latency_us(other_side);
      best = std::move(other_side);
    }
  }
  return least < latency_us(from) * (1 - kLeastGain) ? best : from;
}

Labels Placement::changed(Labels labels,
                          const std::vector<size_t>& part) const {
  for (size_t i : part) labels[i] = !labels[i];
  return closed(std::move(labels));
}

Labels Placement::alone(size_t node) const {
  Labels labels = none_;
  for (size_t i = 0; i < nodes_.size(); ++i)
    labels[i] = i == node ||
                (all_[i] && candidates_.roles.at(nodes_[i]) == Role::kFused);
  return closed(std::move(labels));
}

Labels Placement::fastest() { return refine(all_, cheapest({})); }

}  // namespace lathe::quantize
