// Saliency that looks at weights alone.
//
// l1, l2: norms of a unit's weights (Li et al. 2017, "Pruning Filters for
// Efficient ConvNets", arXiv 1608.08710); a unit that several weights compute
// has one norm over all of them. bn_scale: Liu et al. 2017, "Learning Efficient
// Convolutional Networks through Network Slimming", arXiv 1708.06519.
#include <cmath>
#include <unordered_map>

#include "passes/base/error.h"
#include "passes/prune/saliency_methods.h"

namespace lathe::prune {
namespace {

double magnitude(double weight) { return std::abs(weight); }
double square(double weight) { return weight * weight; }

template <double (*kTerm)(double), class T>
void add_terms(std::span<const T> data, size_t inner,
               std::vector<double>& sums) {
  const size_t size = sums.size();
  for (size_t at = 0, block = 0; at < data.size(); at += inner, ++block) {
    double sum = 0;
    for (size_t i = 0; i < inner; ++i)
      sum += kTerm(static_cast<double>(data[at + i]));
    sums[block % size] += sum;
  }
}

// One a position along the axis, over all other axes.
template <double (*kTerm)(double)>
std::vector<double> sums_along(const ir::Tensor& tensor, int64_t axis) {
  const std::vector<int64_t>& dims = tensor.dims();
  std::vector<double> sums(static_cast<size_t>(dims[axis]), 0.0);
  size_t inner = 1;
  for (size_t i = static_cast<size_t>(axis) + 1; i < dims.size(); ++i)
    inner *= static_cast<size_t>(dims[i]);
  if (tensor.size() == 0) return sums;
  if (tensor.type() == ir::DataType::kFloat)
    add_terms<kTerm>(tensor.data<float>(), inner, sums);
  else
    add_terms<kTerm>(std::span<const double>(tensor.to_doubles()), inner, sums);
  return sums;
}

const ir::Tensor& constant(const ir::Model& model, const WeightAxis& weight) {
  const ir::Value* value = model.graph->find(weight.weight);
  if (!value || !value->has_initializer() ||
      weight.axis >= value->tensor().rank())
    throw_internal("saliency", "'" + weight.weight +
                                   "' is not the constant "
                                   "that its group was made of");
  return value->tensor();
}

// The third input of a convolution or Gemm, which norms of filters leave out.
bool is_bias(const WeightAxis& weight) {
  return weight.input >= 2 && weight.op_type != "LSTM" &&
         weight.op_type != "GRU" && weight.op_type != "RNN";
}

template <double (*kTerm)(double)>
void add_weights(const ir::Model& model, const std::vector<WeightAxis>& weights,
                 std::vector<double>& units) {
  for (const WeightAxis& weight : weights) {
    if (is_bias(weight)) continue;
    const std::vector<double> sums =
        sums_along<kTerm>(constant(model, weight), weight.axis);
    for (size_t u = 0; u < units.size(); ++u)
      for (const int64_t at : weight.positions[u])
        units[u] += sums[static_cast<size_t>(at)];
  }
}

template <double (*kTerm)(double)>
Saliency weight_sums(const SaliencyTask& task) {
  Saliency saliency = no_saliency(task.groups.groups());
  for (size_t g = 0; g < task.groups.groups().size(); ++g) {
    const ChannelGroup& group = task.groups.groups()[g];
    if (!group.frozen.empty()) continue;
    add_weights<kTerm>(task.model, group.sources, saliency[g]);
    if (task.readers)
      add_weights<kTerm>(task.model, group.readers, saliency[g]);
  }
  return saliency;
}

// Scales of the BatchNormalizations that the group's values go through.
using Scales = std::unordered_map<std::string, const ir::Tensor*>;

Scales batch_norm_scales(const ir::Graph& graph) {
  Scales scales;
  for (const auto& node : graph.nodes()) {
    if (!node->is("BatchNormalization") || !node->output()) continue;
    const ir::Value* scale = node->input(1);
    if (scale && scale->has_initializer())
      scales.emplace(node->output()->name(), &scale->tensor());
  }
  return scales;
}

// How many of them there are.
int64_t add_scales(const Scales& scales, const ChannelGroup& group,
                   std::vector<double>& units) {
  int64_t count = 0;
  for (const ValueAxis& value : group.values) {
    const auto found = scales.find(value.value);
    if (found == scales.end() || value.axis != 1) continue;
    const std::vector<double> scale = found->second->to_doubles();
    for (size_t u = 0; u < units.size(); ++u)
      for (const int64_t at : value.positions[u])
        units[u] += std::abs(scale[static_cast<size_t>(at)]);
    ++count;
  }
  return count;
}

}  // namespace

Saliency l1_saliency(const SaliencyTask& task) {
  return weight_sums<magnitude>(task);
}

Saliency l2_saliency(const SaliencyTask& task) {
  Saliency saliency = weight_sums<square>(task);
  for (std::vector<double>& units : saliency)
    for (double& unit : units) unit = std::sqrt(unit);
  return saliency;
}

Saliency bn_scale_saliency(const SaliencyTask& task) {
  const Scales scales = batch_norm_scales(*task.model.graph);
  Saliency saliency = no_saliency(task.groups.groups());
  std::vector<size_t> others;
  bool any = false;
  for (size_t g = 0; g < task.groups.groups().size(); ++g) {
    const ChannelGroup& group = task.groups.groups()[g];
    if (!group.frozen.empty()) continue;
    if (add_scales(scales, group, saliency[g]) > 0)
      any = true;
    else
      others.push_back(g);
  }
  if (!any)
    throw Error(ErrorKind::kUsage, "saliency 'bn_scale'",
                "no channels go through a BatchNormalization",
                "where it was folded into weights, prune the model as it was "
                "trained, or use l2");
  if (others.empty()) return saliency;
  const Saliency norms = l2_saliency(task);
  for (const size_t g : others) saliency[g] = norms[g];
  task.context.progress->warn(
      "saliency 'bn_scale': " + std::to_string(others.size()) +
      " groups go through no BatchNormalization and are judged by l2, '" +
      task.groups.groups()[others.front()].name + "' first");
  return saliency;
}

}  // namespace lathe::prune
