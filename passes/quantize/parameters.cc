// Which values share parameters, and what those are.
//
// Operators that move data keep their input's parameters, so a tree of them
// hangs below one source value, whose range all of them lie in: only sources
// are observed. The output of Softmax and Sigmoid is in [0, 1] by definition.
// Below a fused Relu, real 0 must be the lowest code; below a fused Clip, no
// code may lie outside its bounds: onnxruntime drops them only then.
#include "passes/quantize/parameters.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "passes/activation_ranges.h"
#include "passes/base/error.h"

namespace lathe::quantize {
namespace {

bool is_moved(const Selection& selection, const ir::Value* value) {
  return selection.has_role(value->producer(), Role::kMovement) ||
         selection.has_role(value->producer(), Role::kCodes);
}

std::vector<ir::Value*> coded_values(const ir::Model& model,
                                     const Selection& selection) {
  std::vector<ir::Value*> values;
  std::set<const ir::Value*> seen;
  auto add = [&](ir::Value* value) {
    if (!value->is_constant() && seen.insert(value).second)
      values.push_back(value);
  };
  for (const auto& node : model.graph->nodes()) {
    auto it = selection.roles.find(node.get());
    if (it == selection.roles.end()) continue;
    if (it->second != Role::kFused)
      for (size_t i : data_inputs(*node, it->second)) add(node->input(i));
    const bool free = writes_float_for_free(selection, *node);
    for (ir::Value* value : node->outputs())
      if (value && !selection.is_inside(*value) &&
          (!free || selection.is_read(*value)))
        add(value);
  }
  return values;
}

// The range that a value has by definition.
std::optional<Range> fixed_range(const Selection& selection,
                                 const ir::Value* value) {
  if (!selection.has_role(value->producer(), Role::kArithmetic)) return {};
  return find_rule(*value->producer())->fixed_range;
}

// What must hold for the range of a tree of shared parameters.
struct Demands {
  Range observed{0, 0};
  std::optional<Range> bounds;  // of the Relu or Clip fused above the source
};

// The fill values of Pads must be codes as well.
void widen_to_fills(const Selection& selection, const ir::Value* value,
                    Range& range) {
  const ir::Node* node = value->producer();
  if (!selection.contains(node) || !node->is("Pad") || !node->input(2)) return;
  float fill = node->input(2)->tensor().to_floats()[0];
  range.min = std::min(range.min, fill);
  range.max = std::max(range.max, fill);
}

// What a Relu or Clip cuts off needs no codes, where nothing else reads it.
void narrow_to_reader(const Selection& selection, const ir::Value* value,
                      Range& range) {
  if (value->uses().size() != 1 || value->is_graph_output()) return;
  const ir::Node* reader = value->uses()[0].node;
  if (!selection.has_role(reader, Role::kCodes)) return;
  if (!reader->is("Relu") && !reader->is("Clip")) return;
  const Range bounds = *clip_bounds(*reader);
  range.min = std::clamp(range.min, bounds.min, bounds.max);
  range.max = std::clamp(range.max, bounds.min, bounds.max);
}

Remark left_out(const ir::Value& value, uint64_t elements) {
  return {value.producer() ? value.producer()->id() : "",
          std::to_string(elements) + " elements of '" + value.name() +
              "' were NaN or infinite over the calibration data and have no "
              "part in its range"};
}

CodeRange reached_codes(Range range, Affine affine, ir::DataType type) {
  const CodeRange codes = code_range(type);
  return {to_code(std::min(range.min, 0.0f), affine, codes),
          to_code(std::max(range.max, 0.0f), affine, codes)};
}

Affine affine_for(Demands demands, const QuantizeOptions& options) {
  const ir::DataType type = options.activation_type;
  Range range = demands.observed;
  if (!demands.bounds)
    return affine_of(range, type, options.activation_symmetric);
  range.min = std::clamp(range.min, demands.bounds->min, demands.bounds->max);
  range.max = std::clamp(range.max, demands.bounds->min, demands.bounds->max);
  return fit_inside(asymmetric_affine(range, type), code_range(type),
                    *demands.bounds);
}

}  // namespace

Affine fit_inside(Affine affine, CodeRange codes, Range bounds) {
  Affine best{0, affine.zero_point};
  for (int32_t step : {0, -1, 1}) {
    int32_t zero_point =
        std::clamp(affine.zero_point + step, codes.low, codes.high);
    float below = static_cast<float>(codes.low - zero_point);
    float above = static_cast<float>(codes.high - zero_point);
    float scale = affine.scale;
    if (below < 0) scale = std::min(scale, bounds.min / below);
    if (above > 0) scale = std::min(scale, bounds.max / above);
    // The division may have rounded up by a unit in the last place.
    for (int i = 0; i < 2; ++i)
      if (scale * below < bounds.min || scale * above > bounds.max)
        scale = std::nextafter(scale, 0.0f);
    if (scale > best.scale) best = {scale, zero_point};
  }
  return std::isnormal(best.scale) ? best : affine;
}

Parameters Parameters::outline(const ir::Model& model,
                               const Selection& selection) {
  Parameters result;
  result.values_ = coded_values(model, selection);
  for (ir::Value* value : result.values_) {
    const ir::Value* root = value;
    while (is_moved(selection, root)) root = root->producer()->input(0);
    result.root_[value] = root;
  }
  return result;
}

Observations observe(const ir::Model& model, const Selection& selection,
                     const QuantizeOptions& options, PassContext& context) {
  Observations result;
  const Parameters outline = Parameters::outline(model, selection);
  std::vector<const ir::Value*> roots;
  std::set<const ir::Value*> seen;
  for (const ir::Value* value : outline.values())
    if (seen.insert(outline.root(value)).second)
      roots.push_back(outline.root(value));
  if (roots.empty()) return result;
  std::vector<std::string> names;
  for (const ir::Value* root : roots)
    if (!fixed_range(selection, root)) names.push_back(root->name());
  if (!context.ranges)
    throw Error(ErrorKind::kUsage, "quantize_static",
                "needs calibration data to observe activations",
                "give data with --data");
  ObserverOptions observer = options.observer;
  observer.activation_type = options.activation_type;
  observer.symmetric = options.activation_symmetric;
  result.ranges = context.ranges->collect(model, names, observer,
                                          *context.progress, context.cancel);
  const auto not_finite = context.ranges->not_finite();
  for (const ir::Value* root : roots)
    if (auto it = not_finite.find(root->name()); it != not_finite.end())
      result.remarks.push_back(left_out(*root, it->second));
  for (const ir::Value* root : roots)
    if (auto fixed = fixed_range(selection, root))
      result.ranges[root->name()] = *fixed;
  for (const ir::Value* value : outline.values())
    if (auto it = result.ranges.find(outline.root(value)->name());
        it != result.ranges.end())
      result.ranges.insert({value->name(), it->second});
  return result;
}

Parameters choose_parameters(const ir::Model& model, const Selection& selection,
                             const QuantizeOptions& options,
                             const Observations& observed) {
  Parameters result = Parameters::outline(model, selection);
  std::unordered_map<const ir::Value*, Demands> demands;
  for (const auto& [value, root] : result.root_) {
    const auto [entry, added] = demands.try_emplace(root);
    if (!added) continue;
    Demands& demand = entry->second;
    if (auto it = observed.ranges.find(root->name());
        it != observed.ranges.end())
      demand.observed = it->second;
    if (cuts_off(selection, root->producer()))
      demand.bounds = clip_bounds(*root->producer());
  }
  for (const ir::Value* value : result.values_)
    widen_to_fills(selection, value,
                   demands.at(result.root_.at(value)).observed);
  for (auto& [root, demand] : demands) {
    if (options.activation_symmetric)
      narrow_to_reader(selection, root, demand.observed);
    const Affine affine = affine_for(demand, options);
    result.affine_[root] = affine;
    result.reached_[root] =
        reached_codes(demand.observed, affine, options.activation_type);
  }
  return result;
}

}  // namespace lathe::quantize
