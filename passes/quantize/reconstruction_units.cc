#include "passes/quantize/reconstruction_units.h"

#include <algorithm>
#include <set>

#include "passes/exec/model_part.h"

namespace lathe::quantize {
namespace {

// False where the float model has no such value.
bool add_target(const ir::Value& value, const ir::Model& reference,
                ReconstructionUnit& unit) {
  const ir::Value* twin = float_twin(value, reference);
  if (!twin) return false;
  if (std::ranges::count(unit.targets, value.name())) return true;
  unit.targets.push_back(value.name());
  unit.float_targets.push_back(twin->name());
  return true;
}

// Every layer has a target: its result at least.
void add_layer_target(CodedLayer& layer, const ir::Model& reference,
                      ReconstructionUnit& unit) {
  if (!add_target(*after_activation(layer.result), reference, unit))
    add_target(*layer.result, reference, unit);
}

bool is_coded(const ir::Value& value) {
  return value.producer() && value.producer()->is("QuantizeLinear");
}

class BlockFinder {
 public:
  BlockFinder(std::vector<CodedLayer>& layers, const ir::Model& model,
              const ir::Model& reference)
      : layers_(layers),
        reference_(reference),
        order_(*model.graph),
        nodes_(model.graph->node_list()) {
    for (size_t i = 0; i <= nodes_.size(); ++i) {
      const auto alive = order_.alive(i);
      alone_.push_back(alive.size() == 1 ? alive[0] : nullptr);
    }
  }

  std::vector<ReconstructionUnit> run() {
    std::vector<ReconstructionUnit> units;
    for (size_t begin = 0; begin < layers_.size();) {
      size_t end = begin + 1;
      while (end < layers_.size() && !border(end)) ++end;
      add_units(begin, end, units);
      begin = end;
    }
    return units;
  }

 private:
  // The value that is all that goes on somewhere between the layer before and
  // this one; the first that is coded, else the last. Null: there is none.
  const ir::Value* border(size_t layer) const {
    const size_t from = order_.position(*layers_[layer - 1].node) + 1;
    const size_t to = layer < layers_.size()
                          ? order_.position(layers_[layer].first())
                          : nodes_.size();
    const ir::Value* last = nullptr;
    for (size_t i = from; i <= to; ++i) {
      if (alone_[i]) last = alone_[i];
      if (last && is_coded(*last)) break;
    }
    return last;
  }

  void add_units(size_t begin, size_t end,
                 std::vector<ReconstructionUnit>& units) {
    if (end - begin > 1 && end - begin <= kMaxBlockLayers) {
      ReconstructionUnit unit;
      for (size_t i = begin; i < end; ++i) unit.layers.push_back(&layers_[i]);
      if (add_block_targets(end, unit)) return units.push_back(std::move(unit));
    }
    for (size_t i = begin; i < end; ++i) {
      ReconstructionUnit unit;
      unit.layers.push_back(&layers_[i]);
      add_layer_target(layers_[i], reference_, unit);
      units.push_back(std::move(unit));
    }
  }

  bool add_block_targets(size_t end, ReconstructionUnit& unit) {
    const ir::Value* value = border(end);
    if (value && is_coded(*value)) value = value->producer()->input(0);
    if (value && !add_target(*value, reference_, unit)) return false;
    for (CodedLayer* layer : unit.layers)
      if (!leads_on(*layer, unit, value))
        add_layer_target(*layer, reference_, unit);
    return true;
  }

  // To `target` (may be null) or to another layer of the unit.
  static bool leads_on(const CodedLayer& layer, const ReconstructionUnit& unit,
                       const ir::Value* target) {
    std::set<const ir::Node*> wanted, seen;
    for (const CodedLayer* other : unit.layers) wanted.insert(other->node);
    wanted.erase(layer.node);
    if (target) wanted.insert(target->producer());
    std::vector<const ir::Node*> waiting{layer.node};
    while (!waiting.empty()) {
      const ir::Node* node = waiting.back();
      waiting.pop_back();
      if (wanted.contains(node)) return true;
      for (const ir::Value* output : node->outputs()) {
        if (!output) continue;
        for (const ir::Use& use : output->uses())
          if (seen.insert(use.node).second) waiting.push_back(use.node);
      }
    }
    return false;
  }

  std::vector<CodedLayer>& layers_;
  const ir::Model& reference_;
  exec::ExecutionOrder order_;
  std::vector<ir::Node*> nodes_;
  // Before each node, and at the end: the one value that goes on, or null.
  std::vector<const ir::Value*> alone_;
};

}  // namespace

std::vector<ReconstructionUnit> layer_units(std::vector<CodedLayer>& layers,
                                            const ir::Model& reference) {
  std::vector<ReconstructionUnit> units;
  for (CodedLayer& layer : layers) {
    ReconstructionUnit& unit = units.emplace_back();
    unit.layers.push_back(&layer);
    add_layer_target(layer, reference, unit);
  }
  return units;
}

std::vector<ReconstructionUnit> block_units(std::vector<CodedLayer>& layers,
                                            const ir::Model& model,
                                            const ir::Model& reference) {
  return BlockFinder(layers, model, reference).run();
}

}  // namespace lathe::quantize
