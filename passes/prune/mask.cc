// Zeros in the place of what would go: in the products' weights on both sides,
// so that removed units neither arise nor are read.
#include <cstring>
#include <unordered_map>

#include "passes/prune/prune.h"

namespace lathe::prune {
namespace {

void zero_positions(ir::Value& value, size_t axis,
                    const std::vector<int64_t>& positions) {
  const ir::Tensor& tensor = value.tensor();
  const auto size = static_cast<size_t>(tensor.dims()[axis]);
  size_t run = tensor.size_bytes() / static_cast<size_t>(tensor.size());
  size_t outer = 1;
  for (size_t i = 0; i < tensor.dims().size(); ++i)
    (i < axis ? outer : run) *=
        i == axis ? 1 : static_cast<size_t>(tensor.dims()[i]);
  std::vector<std::byte> bytes(tensor.bytes().begin(), tensor.bytes().end());
  for (size_t block = 0; block < outer; ++block)
    for (const int64_t at : positions)
      std::memset(bytes.data() + (block * size + static_cast<size_t>(at)) * run,
                  0, run);
  value.set_tensor(ir::Tensor(tensor.type(), tensor.dims(),
                              ir::Bytes::own(std::move(bytes))));
}

// Biases that other nodes share are masked for one of them alone.
ir::Value* own_constant(ir::Node& node, size_t input) {
  ir::Value* value = node.input(input);
  if (value->uses().size() == 1 || value->tensor().rank() > 1) return value;
  ir::Value* copy =
      value->graph().add_constant(value->name(), ir::Tensor(value->tensor()));
  node.set_input(input, copy);
  return copy;
}

}  // namespace

void mask(ir::Model& model, const ChannelGroups& groups,
          const Selection& selection) {
  std::unordered_map<std::string, ir::Node*> nodes;
  for (const auto& node : model.graph->nodes())
    for (const ir::Value* output : node->outputs())
      if (output) nodes.emplace(output->name(), node.get());
  for (size_t i = 0; i < groups.groups().size(); ++i) {
    const ChannelGroup& group = groups.groups()[i];
    for (const auto* side : {&group.sources, &group.readers})
      for (const WeightAxis& weight : *side) {
        std::vector<int64_t> gone;
        for (size_t unit = 0; unit < weight.positions.size(); ++unit)
          if (!selection[i][unit])
            gone.insert(gone.end(), weight.positions[unit].begin(),
                        weight.positions[unit].end());
        const auto found = nodes.find(weight.result);
        if (found != nodes.end() && !gone.empty())
          zero_positions(*own_constant(*found->second, weight.input),
                         static_cast<size_t>(weight.axis), gone);
      }
  }
}

}  // namespace lathe::prune
