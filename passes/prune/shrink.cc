// before: Conv [64, 32, 3, 3] -> Conv [16, 64, 1, 1]
// after:  Conv [48, 32, 3, 3] -> Conv [16, 48, 1, 1]
// Constants are cut use by use: where two uses of one differ, they get their
// own. Then each node adapts what names sizes and places.
#include <algorithm>
#include <numeric>

#include "passes/base/error.h"
#include "passes/prune/prune.h"

namespace lathe::prune {
namespace {

using Kept = ChannelGroups::Kept;

bool is_whole(const Kept& kept, const std::vector<int64_t>& dims) {
  return std::ranges::equal(kept, dims, {}, [](const auto& positions) {
    return static_cast<int64_t>(positions.size());
  });
}

// The elements at the positions that stay; of any type of whole bytes.
ir::Tensor cut(const ir::Tensor& tensor, const Kept& kept) {
  std::vector<int64_t> dims;
  for (const auto& positions : kept)
    dims.push_back(static_cast<int64_t>(positions.size()));
  const size_t rank = dims.size();
  const size_t width =
      tensor.size() == 0
          ? 0
          : tensor.size_bytes() / static_cast<size_t>(tensor.size());
  // Whole axes at the end are copied at once.
  size_t whole = rank;
  size_t run = width;
  while (whole > 0 && dims[whole - 1] == tensor.dims()[whole - 1])
    run *= static_cast<size_t>(dims[--whole]);
  std::vector<size_t> strides(rank, width);
  for (size_t axis = rank; axis-- > 1;)
    strides[axis - 1] =
        strides[axis] * static_cast<size_t>(tensor.dims()[axis]);
  std::vector<std::byte> bytes;
  const int64_t count = std::accumulate(dims.begin(), dims.end(), int64_t{1},
                                        std::multiplies<>());
  bytes.reserve(static_cast<size_t>(count) * width);
  std::vector<size_t> index(whole, 0);
  const std::byte* source = tensor.bytes().data();
  const int64_t runs =
      std::accumulate(dims.begin(), dims.begin() + static_cast<int64_t>(whole),
                      int64_t{1}, std::multiplies<>());
  for (int64_t i = 0; i < runs; ++i) {
    size_t offset = 0;
    for (size_t axis = 0; axis < whole; ++axis)
      offset += static_cast<size_t>(kept[axis][index[axis]]) * strides[axis];
    bytes.insert(bytes.end(), source + offset, source + offset + run);
    for (size_t axis = whole; axis-- > 0;) {
      if (++index[axis] < kept[axis].size()) break;
      index[axis] = 0;
    }
  }
  return ir::Tensor(tensor.type(), std::move(dims),
                    ir::Bytes::own(std::move(bytes)));
}

// Takes the first use that needs it cut in place, and a copy for others that
// differ from it.
class ConstantCutter {
 public:
  ConstantCutter(const ChannelGroups& groups, const Selection& selection)
      : groups_(groups), selection_(selection) {}

  void cut_input(ir::Node& node, size_t input) {
    ir::Value* value = node.input(input);
    if (!value || !value->is_constant()) return;
    const Kept kept = groups_.kept_input(node, input, selection_);
    if (kept.empty()) return;
    const auto [found, first] = done_.try_emplace(value, kept);
    if (first) {
      originals_.emplace(value, value->tensor());
      set(value, kept);
      return;
    }
    if (found->second == kept) return;
    for (const auto& [copy, copied] : copies_[value])
      if (copied == kept) return node.set_input(input, copy);
    const ir::Tensor& original = originals_.at(value);
    ir::Value* copy = value->graph().add_constant(value->name(), original);
    done_.emplace(copy, kept);
    set(copy, kept);
    copies_[value].emplace_back(copy, kept);
    node.set_input(input, copy);
  }

 private:
  void set(ir::Value* value, const Kept& kept) {
    const ir::Tensor& tensor = value->tensor();
    if (is_whole(kept, tensor.dims())) return;
    value->set_tensor(cut(tensor, kept));
  }

  const ChannelGroups& groups_;
  const Selection& selection_;
  std::unordered_map<ir::Value*, Kept> done_;
  std::unordered_map<ir::Value*, ir::Tensor> originals_;
  std::unordered_map<ir::Value*, std::vector<std::pair<ir::Value*, Kept>>>
      copies_;
};

void set_type(ir::Value& value, const Kept& kept,
              const std::vector<int64_t>& dims) {
  if (!value.type.shape || value.type.shape->size() != kept.size()) return;
  for (size_t axis = 0; axis < kept.size(); ++axis)
    if (static_cast<int64_t>(kept[axis].size()) != dims[axis])
      (*value.type.shape)[axis] = static_cast<int64_t>(kept[axis].size());
}

void adapt(ir::Node& node, const ChannelGroups& groups,
           const Selection& selection) {
  const ir::AxisRule* rule = ir::axis_rule(node);
  if (!rule || !rule->shrink) return;
  std::vector<Kept> in, out;
  std::vector<std::vector<int64_t>> in_dims, out_dims;
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    in.push_back(groups.kept_input(node, i, selection));
    in_dims.push_back(groups.input_dims(node, i));
  }
  for (const ir::Value* output : node.outputs()) {
    const std::string name = output ? output->name() : "";
    out.push_back(groups.kept(name, selection));
    out_dims.push_back(groups.dims(name));
  }
  // Something that the groups know nothing of, and that therefore stays.
  const auto unknown = [](const ir::Value* value, const Kept& kept) {
    return value && kept.empty() && ir::is_floating(value->type.elem) &&
           value->type.shape && !value->type.shape->empty();
  };
  for (size_t i = 0; i < in.size(); ++i)
    if (unknown(node.input(i), in[i])) return;
  for (size_t i = 0; i < out.size(); ++i)
    if (unknown(node.output(i), out[i])) return;
  ir::AxisEdits edits(node, std::move(in), std::move(out), std::move(in_dims),
                      std::move(out_dims));
  rule->shrink(edits);
}

void require_units(const ChannelGroups& groups, const Selection& selection) {
  for (size_t i = 0; i < groups.groups().size(); ++i) {
    const ChannelGroup& group = groups.groups()[i];
    const auto left = std::ranges::count(selection[i], true);
    if (left == 0)
      throw Error(
          ErrorKind::kUsage, "group '" + group.name + "'",
          "none of its " + std::to_string(group.units) + " units would be left",
          "keep at least one");
    if (left < group.units && !group.frozen.empty())
      throw Error(ErrorKind::kUsage, "group '" + group.name + "'",
                  "its units cannot be removed: " + group.frozen);
  }
}

void shrink_to(ir::Model& model, const ChannelGroups& groups,
               const Selection& selection) {
  require_units(groups, selection);
  ConstantCutter cutter(groups, selection);
  const std::vector<ir::Node*> nodes = model.graph->node_list();
  for (ir::Node* node : nodes)
    for (size_t i = 0; i < node->inputs().size(); ++i)
      cutter.cut_input(*node, i);
  for (ir::Node* node : nodes) adapt(*node, groups, selection);
  for (ir::Node* node : nodes)
    for (ir::Value* output : node->outputs())
      if (output)
        set_type(*output, groups.kept(output->name(), selection),
                 groups.dims(output->name()));
}

}  // namespace

void shrink(ir::Model& model, const ChannelGroups& groups,
            const Selection& selection) {
  shrink_to(model, groups, selection);
  ir::infer_shapes(model);
  for (const auto& node : model.graph->nodes())
    for (const ir::Value* output : node->outputs()) {
      if (!output || !output->type.shape) continue;
      const Kept kept = groups.kept(output->name(), selection);
      const std::vector<int64_t> dims = groups.dims(output->name());
      for (size_t axis = 0; axis < kept.size(); ++axis) {
        const ir::Dim& dim = (*output->type.shape)[axis];
        const auto left = static_cast<int64_t>(kept[axis].size());
        if (left != dims[axis] && dim.known() && dim.value != left)
          throw Error(ErrorKind::kUnsupported, node->label(),
                      "its output would have " + std::to_string(dim.value) +
                          " elements along axis " + std::to_string(axis) +
                          ", expected " + std::to_string(left),
                      "its shape is computed while the model runs; keep the "
                      "groups that it depends on");
      }
    }
}

}  // namespace lathe::prune
