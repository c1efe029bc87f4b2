#include "passes/distill/training_units.h"

#include <cmath>

namespace lathe::distill {
namespace {

constexpr double kFilterNorm = 1.4142135623730951;

// The weight's axis of outputs; -1: it has no filters.
int64_t filter_axis(const ir::Node& node, int64_t rank) {
  if (rank < 2) return -1;
  if (node.is("Conv")) return 0;
  if (node.is("ConvTranspose")) return 1;
  if (node.is("Gemm")) return node.attr_int("transB", 0) != 0 ? 0 : 1;
  if (node.is("MatMul")) return rank - 1;
  return -1;
}

// The norms of filters over sqrt(2), with the weight's rank. Filters of zeros
// have the mean of the others.
at::Tensor filter_units(const at::Tensor& weight, int64_t axis) {
  const at::Tensor filters = weight.to(at::kDouble).movedim(axis, 0).flatten(1);
  at::Tensor units = filters.square().sum(1).sqrt() / kFilterNorm;
  const at::Tensor used = units.masked_select(units > 0);
  const double mean = used.numel() > 0 ? used.mean().item<double>() : 1;
  units.masked_fill_(units <= 0, mean);
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[static_cast<size_t>(axis)] = -1;
  return units.to(at::kFloat).reshape(shape);
}

class Units {
 public:
  explicit Units(const TrainingTwin& twin) {
    ir::for_each_graph(*twin.model().graph, [&](const ir::Graph& graph) {
      for (const auto& node : graph.nodes()) weight_of(*node);
      for (const ir::Value* value : graph.initializers())
        step_of(*value, twin.info(value->name()));
    });
  }
  std::map<std::string, at::Tensor> units;

 private:
  void weight_of(const ir::Node& node) {
    if (filter_axis(node, 2) < 0) return;
    std::vector<const ir::Value*> steps;
    const ir::Value* value = node.input(1);
    while (value && value->producer() &&
           (value->producer()->is("QuantizeLinear") ||
            value->producer()->is("DequantizeLinear") ||
            value->producer()->is("Clip"))) {
      if (!value->producer()->is("Clip"))
        steps.push_back(value->producer()->input(1));
      value = value->producer()->input(0);
    }
    if (!value || !value->is_constant() ||
        !ir::is_floating(value->tensor().type()))
      return;
    const auto rank = static_cast<int64_t>(value->tensor().dims().size());
    const int64_t axis = filter_axis(node, rank);
    if (axis < 0) return;
    const at::Tensor unit = filter_units(exec::to_torch(value->tensor()), axis);
    units[value->name()] = unit;
    for (const ir::Value* step : steps)
      if (step->is_constant())
        units[step->name()] =
            step->tensor().dims() == std::vector<int64_t>{unit.numel()}
                ? unit.flatten()
                : unit.mean();
  }

  void step_of(const ir::Value& value, const ParameterInfo& info) {
    if (info.kind != ParameterKind::kScale || units.contains(value.name()))
      return;
    const at::Tensor step = exec::to_torch(value.tensor()).to(at::kFloat);
    at::Tensor unit = step.abs() * (std::sqrt(info.farthest_code) / 2);
    unit.masked_fill_(unit <= 0, 1);
    units[value.name()] = unit;
  }
};

}  // namespace

std::map<std::string, at::Tensor> training_units(const TrainingTwin& twin) {
  return Units(twin).units;
}

}  // namespace lathe::distill
