// The costs of borders and the minimum cut; placement.cc says what for.
#include <algorithm>
#include <cmath>

#include "passes/quantize/min_cut.h"
#include "passes/quantize/placement.h"

namespace lathe::quantize {
namespace {

bool is_windowed(const ir::Node* node) {
  if (!node) return false;
  for (const char* op : {"Conv", "MaxPool", "AveragePool", "GlobalAveragePool"})
    if (node->is(op)) return true;
  return false;
}

int64_t nanoseconds(double us) {
  return std::max<int64_t>(0, std::llround(us * 1000));
}

}  // namespace

// Images lie in blocks between float convolutions and interleaved between
// integer ones.
bool Placement::is_image(const ir::Value& value) const {
  if (!value.type.shape || value.type.shape->size() != 4) return false;
  return is_windowed(value.producer()) ||
         std::ranges::any_of(value.uses(), [](const ir::Use& use) {
           return is_windowed(use.node);
         });
}

double Placement::border_us(const ir::Value& value, bool to_codes) const {
  std::vector<int64_t> dims;
  if (value.type.shape)
    for (const ir::Dim& dim : *value.type.shape)
      dims.push_back(std::max<int64_t>(dim.value, 1));
  const bool image = is_image(value);
  const ValueForm real{Precision::kFp32,
                       image ? Layout::kBlocked : Layout::kPlain};
  const ValueForm codes{Precision::kInt8,
                        image ? Layout::kInterleaved : Layout::kPlain};
  return to_codes ? latency_.border(dims, real, codes).p50_us
                  : latency_.border(dims, codes, real).p50_us;
}

void Placement::find_borders() {
  const auto label_of = [&](const ir::Node* node) -> std::optional<size_t> {
    const auto found = index_.find(node);
    if (found == index_.end() || !all_[found->second]) return std::nullopt;
    return found->second;
  };
  for (const ir::Value* value : bound_.graph->values()) {
    if (value->is_constant()) continue;
    Border border;
    border.producer = label_of(value->producer());
    border.read_in_float = value->is_graph_output();
    bool inside = false;
    for (const ir::Use& use : value->uses()) {
      if (use.node->is("Shape") || use.node->is("Size")) continue;
      const std::optional<size_t> reader = label_of(use.node);
      if (!reader) {
        border.read_in_float = true;
      } else if (role(*reader) == Role::kFused) {
        inside = true;
      } else {
        const std::vector<size_t> data = data_inputs(*use.node, role(*reader));
        if (std::ranges::count(data, use.index))
          border.readers.push_back(*reader);
      }
    }
    if (inside && border.producer) {
      const size_t fused = index_.at(value->uses()[0].node);
      ties_.emplace_back(*border.producer, fused);
      continue;
    }
    if (border.readers.empty() && !border.producer) continue;
    border.to_codes_us = border_us(*value, /*to_codes=*/true);
    if (!border.producer ||
        !writes_float_for_free(candidates_, *nodes_[*border.producer]))
      border.to_float_us = border_us(*value, /*to_codes=*/false);
    borders_.push_back(std::move(border));
  }
}

// Integer kernels lie on the source's side.
Labels Placement::cheapest(const std::vector<double>& penalties_us) const {
  MinCut cut(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!all_[i]) continue;
    const double penalty = penalties_us.empty() ? 0 : penalties_us[i];
    cut.at_sink(i, nanoseconds(costs_[i].float_us));
    cut.at_source(i, nanoseconds(costs_[i].int8_us + penalty));
  }
  for (const auto& [a, b] : ties_) {
    cut.between(a, b, MinCut::kNever);
    cut.between(b, a, MinCut::kNever);
  }
  for (const Border& border : borders_) {
    // One Q where some reader wants codes, one DQ where some wants floats.
    if (!border.readers.empty()) {
      const size_t codes = cut.add_node();
      for (size_t reader : border.readers)
        cut.between(reader, codes, MinCut::kNever);
      if (border.producer)
        cut.between(codes, *border.producer, nanoseconds(border.to_codes_us));
      else
        cut.at_source(codes, nanoseconds(border.to_codes_us));
    }
    if (!border.producer) continue;
    if (border.read_in_float) {
      cut.at_source(*border.producer, nanoseconds(border.to_float_us));
      continue;
    }
    const size_t real = cut.add_node();
    for (size_t reader : border.readers)
      cut.between(real, reader, MinCut::kNever);
    cut.between(*border.producer, real, nanoseconds(border.to_float_us));
  }
  cut.solve();
  Labels labels = none_;
  for (size_t i = 0; i < nodes_.size(); ++i)
    labels[i] = all_[i] && cut.on_source_side(i);
  return without_sandwiches(closed(std::move(labels)), penalties_us);
}

// A float node between DQ and Q is what the runtime makes an integer kernel of.
// It becomes one, or its readers leave as well.
Labels Placement::without_sandwiches(
    Labels labels, const std::vector<double>& penalties_us) const {
  const auto cost = [&](const Labels& trial) {
    double total = modelled_us(trial);
    for (size_t i = 0; i < penalties_us.size(); ++i)
      if (trial[i]) total += penalties_us[i];
    return total;
  };
  for (size_t rounds = 0; rounds < nodes_.size(); ++rounds) {
    const auto found = std::ranges::find_if(
        sandwiches_, [&](const Sandwich& s) { return is_between(s, labels); });
    if (found == sandwiches_.end()) break;
    Labels inside = labels, outside = labels;
    inside[found->node] = 1;
    for (size_t reader : borders_[found->output].readers) outside[reader] = 0;
    outside = closed(std::move(outside));
    labels =
        cost(inside) <= cost(outside) ? std::move(inside) : std::move(outside);
  }
  return labels;
}

bool Placement::is_coded(const Border& border, const Labels& labels) const {
  return (border.producer && labels[*border.producer]) ||
         std::ranges::any_of(border.readers,
                             [&](size_t reader) { return labels[reader]; });
}

bool Placement::is_between(const Sandwich& sandwich,
                           const Labels& labels) const {
  const Border& output = borders_[sandwich.output];
  return !labels[sandwich.node] &&
         std::ranges::all_of(
             sandwich.inputs,
             [&](size_t i) { return is_coded(borders_[i], labels); }) &&
         !output.read_in_float &&
         std::ranges::all_of(output.readers,
                             [&](size_t reader) { return labels[reader]; });
}

// Nodes of one result that others read, by the borders around them.
void Placement::find_sandwiches() {
  std::vector<Sandwich> found(nodes_.size());
  std::vector<bool> written(nodes_.size(), false);
  for (size_t k = 0; k < borders_.size(); ++k) {
    const Border& border = borders_[k];
    for (size_t reader : border.readers) found[reader].inputs.push_back(k);
    if (!border.producer || border.readers.empty()) continue;
    found[*border.producer].output = k;
    written[*border.producer] = true;
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!written[i] || found[i].inputs.empty() ||
        (role(i) != Role::kArithmetic && role(i) != Role::kCompute))
      continue;
    found[i].node = i;
    sandwiches_.push_back(std::move(found[i]));
  }
}

double Placement::modelled_us(const Labels& labels) const {
  double total = 0;
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (all_[i]) total += labels[i] ? costs_[i].int8_us : costs_[i].float_us;
  for (const Border& border : borders_) {
    const bool coded = border.producer && labels[*border.producer];
    const auto is_coded = [&](size_t reader) { return labels[reader] != 0; };
    if (!coded && std::ranges::any_of(border.readers, is_coded))
      total += border.to_codes_us;
    if (coded && (border.read_in_float ||
                  !std::ranges::all_of(border.readers, is_coded)))
      total += border.to_float_us;
  }
  return total;
}

}  // namespace lathe::quantize
