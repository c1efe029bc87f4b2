#include "calibration/latency/probe/join_kernels.h"

#include <map>

#include "passes/base/error.h"

namespace lathe::latency {
namespace {

// As RuntimeProfile::Node::shapes.
std::string shapes_of(const ir::Node& node) {
  std::string shapes;
  for (const ir::Value* value : node.outputs()) {
    if (!value) continue;
    shapes += '[';
    if (value->type.shape)
      for (const ir::Dim& dim : *value->type.shape) {
        if (shapes.back() != '[') shapes += ',';
        shapes += std::to_string(dim.value);
      }
    shapes += ']';
  }
  return shapes;
}

// The node of each kernel: kernels stand in the graph's order.
std::vector<const ir::Node*> nodes_of(
    const ir::Model& optimized, const std::vector<DescribedKernel>& kernels,
    const std::string& where) {
  std::vector<const ir::Node*> nodes;
  auto node = optimized.graph->nodes().begin();
  for (const DescribedKernel& kernel : kernels) {
    while (node != optimized.graph->nodes().end() &&
           (*node)->id() != kernel.name)
      ++node;
    if (node == optimized.graph->nodes().end())
      throw_input(where,
                  "kernel '" + kernel.name + "' is not in the optimized graph");
    nodes.push_back((node++)->get());
  }
  return nodes;
}

using Places = std::map<std::string, std::vector<size_t>>;

class Join {
 public:
  Join(size_t events, size_t kernels)
      : kernel_of_(events, kNone), taken_(kernels, false) {}

  // Pairs what stands equally often on both sides, in order.
  void pair(const Places& events, const Places& kernels, size_t most) {
    for (const auto& [key, places] : events) {
      auto found = kernels.find(key);
      if (key.empty() || found == kernels.end() ||
          found->second.size() != places.size() || places.size() > most)
        continue;
      for (size_t i = 0; i < places.size(); ++i) {
        kernel_of_[places[i]] = found->second[i];
        taken_[found->second[i]] = true;
      }
    }
  }

  bool joined(size_t event) const { return kernel_of_[event] != kNone; }
  bool taken(size_t kernel) const { return taken_[kernel]; }
  size_t kernel_of(size_t event) const { return kernel_of_[event]; }

 private:
  static constexpr size_t kNone = SIZE_MAX;
  std::vector<size_t> kernel_of_;
  std::vector<bool> taken_;
};

}  // namespace

std::vector<const DescribedKernel*> join_kernels(
    const RuntimeProfile& profile, const ir::Model& optimized,
    const std::vector<DescribedKernel>& kernels, const std::string& where) {
  std::vector<const ir::Node*> nodes = nodes_of(optimized, kernels, where);
  Join join(profile.nodes.size(), kernels.size());

  Places by_name, nodes_by_name;
  for (size_t i = 0; i < profile.nodes.size(); ++i)
    by_name[profile.nodes[i].name].push_back(i);
  for (size_t i = 0; i < nodes.size(); ++i)
    nodes_by_name[nodes[i]->name].push_back(i);
  join.pair(by_name, nodes_by_name, /*most=*/1);

  Places by_shape, nodes_by_shape;
  for (size_t i = 0; i < profile.nodes.size(); ++i)
    if (!join.joined(i))
      by_shape[profile.nodes[i].op_type + profile.nodes[i].shapes].push_back(i);
  for (size_t i = 0; i < nodes.size(); ++i)
    if (!join.taken(i))
      nodes_by_shape[nodes[i]->op_type + shapes_of(*nodes[i])].push_back(i);
  join.pair(by_shape, nodes_by_shape, SIZE_MAX);

  std::vector<const DescribedKernel*> result;
  for (size_t i = 0; i < profile.nodes.size(); ++i) {
    if (!join.joined(i))
      throw_input(where, "the profile's node '" + profile.nodes[i].name +
                             "' (" + profile.nodes[i].op_type +
                             ") is no kernel of the optimized graph");
    result.push_back(&kernels[join.kernel_of(i)]);
  }
  for (size_t i = 0; i < kernels.size(); ++i)
    if (!join.taken(i))
      throw_input(where, "the profile has no time for kernel '" +
                             kernels[i].name + "' (" + nodes[i]->op_type + ")");
  return result;
}

}  // namespace lathe::latency
