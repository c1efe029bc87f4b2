// Which scales belong together, and which are trained.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "passes/affine.h"
#include "passes/base/error.h"
#include "passes/distill/twin_parts.h"
#include "passes/exec/model_part.h"
#include "passes/exec/quantization_pairs.h"
#include "passes/ir/op_table.h"

namespace lathe::distill {
namespace {

bool is_main(const ir::Node& node) { return node.graph().owner() == nullptr; }

// Elements come out as they go in.
bool moves_data(const ir::Node& node) {
  if (!node.domain.empty()) return false;
  for (const char* op : {"MaxPool", "ReduceMax", "ReduceMin"})
    if (node.is(op)) return true;
  const ir::Operator* row = ir::find_operator(node);
  return row && row->op_class == ir::OpClass::kDataMovement;
}

class Ties {
 public:
  explicit Ties(TwinParts& parts) : parts_(parts) {}

  void tie(const ir::Node& a, const ir::Node& b) {
    ir::Value *left = a.input(1), *right = b.input(1);
    if (left == right || !same_constant(left, right) ||
        !same_constant(a.input(2), b.input(2)) ||
        &left->graph() != &right->graph() || right->is_graph_output())
      return;
    const std::vector<ir::Use> uses = right->uses();
    for (const ir::Use& use : uses)
      if (use.index != 1 || !is_main(*use.node) ||
          !(is_quantize(*use.node) || is_dequantize(*use.node)))
        return;
    for (const ir::Use& use : uses) use.node->set_input(1, left);
    for (auto& [name, representative] : parts_.tied)
      if (representative == right->name()) representative = left->name();
    parts_.tied[right->name()] = left->name();
    right->graph().remove_value(right);
  }

 private:
  TwinParts& parts_;
};

// The farthest code from the zero point.
double farthest(const ir::Node& quantize, CodeRange codes) {
  double far = 0;
  std::vector<double> zeros = {0};
  if (quantize.input(2) && quantize.input(2)->has_initializer())
    zeros = quantize.input(2)->tensor().to_doubles();
  for (double zero : zeros)
    far = std::max({far, codes.high - zero, zero - codes.low});
  return far;
}

// Of one sample; unknown dimensions count as 1.
double elements_of(const ir::Value& value, double batch) {
  double count = 1;
  if (value.has_initializer())
    return static_cast<double>(value.tensor().size());
  if (value.type.shape)
    for (const ir::Dim& dim : *value.type.shape)
      if (dim.known()) count *= static_cast<double>(dim.value);
  return std::max(count / batch, 1.0);
}

std::optional<double> bound_of(const ir::Node& clip, size_t input) {
  const ir::Value* value = clip.input(input);
  if (!value || !value->is_constant() || value->tensor().size() != 1)
    return std::nullopt;
  return value->tensor().to_doubles()[0];
}

// The largest scale for which no code lies outside the Clip in front of a Q: it
// is then that the runtime drops the Clip. 0: there is no such limit.
double largest_scale(const ir::Node& quantize, CodeRange codes) {
  const ir::Node* clip = quantize.input(0)->producer();
  const ir::Value* scale = quantize.input(1);
  if (!clip || !clip->is("Clip") || scale->tensor().size() != 1) return 0;
  double zero = 0;
  if (const ir::Value* point = quantize.input(2)) {
    if (!point->has_initializer() || point->tensor().size() != 1) return 0;
    zero = point->tensor().to_doubles()[0];
  }
  double limit = std::numeric_limits<double>::infinity();
  const auto high = bound_of(*clip, 2), low = bound_of(*clip, 1);
  if (high && codes.high > zero) limit = *high / (codes.high - zero);
  if (low && codes.low < zero)
    limit = std::min(limit, -*low / (zero - codes.low));
  constexpr double kRounding = 1e-6;
  const double start = scale->tensor().to_doubles()[0];
  if (!std::isfinite(limit) || !(start <= limit * (1 + kRounding))) return 0;
  return std::max(limit * (1 - kRounding), start);
}

class ScaleChooser {
 public:
  ScaleChooser(TwinParts& parts, const ir::InputShapes& shapes)
      : parts_(parts), shaped_(ir::clone(parts.model)) {
    batch_ =
        static_cast<double>(exec::fixed_batch_size(*shaped_.graph).value_or(1));
    const bool ranked = std::ranges::all_of(
        shaped_.graph->inputs(), [](const ir::Value* input) {
          return input->has_initializer() || input->type.shape;
        });
    if (!ranked) return;
    ir::bind_input_shapes(shaped_, ir::default_input_shapes(shaped_, shapes));
    ir::infer_shapes(shaped_);
  }

  void choose(const ir::Value& scale) {
    if (!scale.is_constant() || !ir::is_floating(scale.type.elem) ||
        scale.is_graph_output())
      return;
    TwinScale made{scale.name()};
    double count = 0, far = 0;
    for (const ir::Use& use : scale.uses()) {
      const ir::Node& node = *use.node;
      if (use.index != 1 || !is_main(node)) return;
      if (is_dequantize(node)) continue;
      if (!is_quantize(node) || !trains_through(node)) return;
      const CodeRange codes = codes_of(node);
      count = std::max(count, count_of(*node.input(0)));
      far = std::max(far, farthest(node, codes));
      const double limit = largest_scale(node, codes);
      if (limit > 0)
        made.largest = made.largest > 0 ? std::min(made.largest, limit) : limit;
    }
    if (count == 0) return;
    count = std::max(count / static_cast<double>(scale.tensor().size()), 1.0);
    made.gradient_factor = 1 / std::sqrt(count * far);
    made.far = far;
    parts_.scales.push_back(std::move(made));
    parts_.trained.insert(scale.name());
  }

 private:
  // Every DQ of its codes undoes it, and there is one.
  static bool trains_through(const ir::Node& quantize) {
    bool undone = false;
    for (const ir::Use& use : quantize.output()->uses()) {
      const ir::Node& reader =
          use.node->is("Clip") && !use.node->output()->uses().empty()
              ? *use.node->output()->uses()[0].node
              : *use.node;
      if (!is_dequantize(reader)) continue;
      const auto pair = exec::undone_quantization(reader);
      if (!pair || pair->quantize != &quantize) return false;
      undone = true;
    }
    return undone;
  }

  static CodeRange codes_of(const ir::Node& quantize) {
    for (const ir::Use& use : quantize.output()->uses()) {
      if (!use.node->is("Clip")) continue;
      for (const ir::Use& reader : use.node->output()->uses())
        if (const auto pair = exec::undone_quantization(*reader.node))
          return pair->codes;
    }
    return code_range(quantize.output()->type.elem);
  }

  double count_of(const ir::Value& value) const {
    const ir::Value* shaped = shaped_.graph->find(value.name());
    return elements_of(shaped ? *shaped : value, batch_);
  }

  TwinParts& parts_;
  ir::Model shaped_;  // with every dimension
  double batch_ = 1;
};

}  // namespace

void tie_scales(TwinParts& parts) {
  Ties ties(parts);
  for (ir::Node* node : parts.model.graph->node_list()) {
    if (is_dequantize(*node)) {
      if (const auto pair = exec::undone_quantization(*node))
        ties.tie(*pair->quantize, *node);
      if (reads_codes(*node) && !reads_bias(*node))
        for (const ir::Use& use : node->input(0)->uses())
          if (is_dequantize(*use.node)) ties.tie(*node, *use.node);
    }
    if (!is_quantize(*node) || !node->input(0)) continue;
    const ir::Node* moved = node->input(0)->producer();
    if (!moved || !moves_data(*moved) || !moved->input(0)) continue;
    const ir::Node* before = moved->input(0)->producer();
    if (before && is_dequantize(*before)) ties.tie(*before, *node);
  }
}

void choose_scales(TwinParts& parts, const ir::InputShapes& shapes) {
  ScaleChooser chooser(parts, shapes);
  for (const ir::Value* value : parts.model.graph->initializers())
    chooser.choose(*value);
}

}  // namespace lathe::distill
