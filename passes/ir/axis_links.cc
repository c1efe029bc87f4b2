#include "passes/ir/axis_links.h"

#include <algorithm>
#include <numeric>

#include "passes/base/error.h"
#include "passes/ir/op_axes.h"
#include "passes/ir/op_table.h"
#include "passes/ir/shape_inference.h"

namespace lathe::ir {
namespace {

// Longer axes are not followed: a merged one has a slot for each position.
constexpr int64_t kLongestAxis = int64_t{1} << 22;

const std::vector<Axis> kNoAxes;

int64_t product_of(std::span<const int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                         std::multiplies<>());
}

// Whose removal the rules follow; sizes, places and flags are no such numbers.
bool carries_channels(const Value& value) {
  return is_floating(value.type.elem) ||
         value.type.elem == DataType::kUndefined;
}

size_t axes_longer_than_one(const Shape& shape) {
  return static_cast<size_t>(std::ranges::count_if(
      shape, [](const Dim& dim) { return dim.value > 1; }));
}

}  // namespace

// --- AxisLinks ----------------------------------------------------------

const std::vector<Axis>& AxisLinks::in(size_t i) const {
  if (!node_.input(i)) return kNoAxes;
  return session_.axes_of_input(node_, i);
}

const Axis& AxisLinks::in(size_t i, size_t axis) const {
  const std::vector<Axis>& axes = in(i);
  if (axis >= axes.size()) throw RankMismatch();
  return axes[axis];
}

std::vector<int64_t> AxisLinks::out_dims(size_t i) const {
  const Value* value = node_.output(i);
  if (!value || !value->type.shape) return {};
  return to_dims(*value->type.shape);
}

std::optional<std::vector<int64_t>> AxisLinks::ints(size_t i) const {
  const Value* value = node_.input(i);
  if (!value) return std::nullopt;
  if (value->has_initializer() && value->tensor().type() == DataType::kInt64)
    return value->tensor().to_int64s();
  const FollowedValue* data = session_.infer_.data(value);
  if (!data) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const Element& element : data->elements) {
    if (!element.is_int()) return std::nullopt;
    numbers.push_back(element.integer);
  }
  return numbers;
}

void AxisLinks::set_out(size_t i, std::vector<Axis> axes) {
  const Value* value = node_.output(i);
  if (!value) return;
  const std::vector<int64_t> dims = out_dims(i);
  const bool fits = std::ranges::equal(
      axes, dims, {}, [](const Axis& axis) { return axis.size; });
  if (fits)
    session_.values_[value] = std::move(axes);
  else
    session_.give_up(node_,
                     node_.label() + " has a shape that was not foreseen");
}

std::vector<Axis> AxisLinks::fixed_out(size_t i) const {
  std::vector<Axis> axes;
  for (const int64_t size : out_dims(i)) axes.push_back(Axis::fixed(size));
  return axes;
}

void AxisLinks::set_fixed(size_t i) { set_out(i, fixed_out(i)); }

Axis AxisLinks::same(const Axis& a, const Axis& b) {
  if (a.size != b.size || a.is_fixed() || b.is_fixed()) {
    for (const Axis* axis : {&a, &b})
      fix(*axis, node_.label() + " joins it with an axis that is fixed");
    return Axis::fixed(a.size);
  }
  for (size_t i = 0; i < a.slots.size(); ++i)
    session_.table_.unify(a.slots[i], b.slots[i]);
  return a;
}

void AxisLinks::fix(Slot slot, const std::string& reason) {
  session_.table_.fix(slot, reason);
}

void AxisLinks::fix(const Axis& axis, const std::string& reason) {
  for (const Slot slot : axis.slots) fix(slot, reason);
}

void AxisLinks::fix_input(size_t i, const std::string& reason) {
  for (const Axis& axis : in(i)) fix(axis, reason);
}

void AxisLinks::mark_rescaling(const Axis& axis) {
  for (const Slot slot : axis.slots) session_.table_.mark_rescaling(slot);
}

Axis AxisLinks::fresh(int64_t size) {
  Axis axis = Axis::fixed(size);
  if (size > kLongestAxis) return axis;
  for (int64_t i = 0; i < size; ++i)
    axis.slots.push_back(session_.table_.fresh());
  return axis;
}

Axis AxisLinks::joined(std::span<const Axis> axes) {
  Axis result = Axis::fixed(1);
  for (const Axis& axis : axes) result.size *= axis.size;
  const auto open = [](const Axis& axis) { return !axis.is_fixed(); };
  const auto count = std::ranges::count_if(axes, open);
  if (count == 0 || result.size == 0) return result;
  if (result.size > kLongestAxis) {
    for (const Axis& axis : axes)
      fix(axis, node_.label() + " joins it with others to an axis of " +
                    std::to_string(result.size) + " elements");
    return result;
  }
  result.slots.resize(static_cast<size_t>(result.size));
  for (int64_t at = 0; at < result.size; ++at) {
    std::vector<Slot> slots;
    int64_t rest = at;
    for (size_t i = axes.size(); i-- > 0;) {
      if (open(axes[i]))
        slots.push_back(
            axes[i].slots[static_cast<size_t>(rest % axes[i].size)]);
      rest /= axes[i].size;
    }
    std::ranges::reverse(slots);
    result.slots[static_cast<size_t>(at)] =
        session_.table_.conjunction(std::move(slots));
  }
  return result;
}

std::vector<Axis> AxisLinks::parted(const Axis& axis,
                                    std::span<const int64_t> sizes) {
  std::vector<Axis> parts;
  for (const int64_t size : sizes) parts.push_back(Axis::fixed(size));
  if (axis.is_fixed()) return parts;
  if (product_of(sizes) != axis.size) {
    fix(axis, node_.label() + " takes it apart unevenly");
    return parts;
  }
  // Parts that the slots do not depend on stay fixed: the pixels of a flattened
  // image.
  std::vector<size_t> depends;
  int64_t stride = axis.size;
  std::vector<int64_t> strides;
  for (size_t i = 0; i < sizes.size(); ++i) {
    stride /= std::max<int64_t>(1, sizes[i]);
    strides.push_back(stride);
    for (int64_t at = 0; at < axis.size; ++at) {
      const int64_t first = at - at / stride % sizes[i] * stride;
      const SlotTable& table = session_.table_;
      if (table.root(axis.slots[at]) == table.root(axis.slots[first])) continue;
      depends.push_back(i);
      break;
    }
  }
  if (depends.empty()) {
    // One slot for all: where it goes, everything does.
    fix(axis, node_.label() + " takes it apart");
    return parts;
  }
  for (const size_t i : depends) {
    Axis& part = parts[i];
    if (depends.size() == 1) {
      for (int64_t at = 0; at < sizes[i]; ++at)
        part.slots.push_back(axis.slots[at * strides[i]]);
      return parts;
    }
    part = fresh(sizes[i]);
  }
  for (int64_t at = 0; at < axis.size; ++at) {
    std::vector<Slot> slots;
    for (const size_t i : depends)
      slots.push_back(parts[i].slots[at / strides[i] % sizes[i]]);
    session_.table_.unify(axis.slots[at],
                          session_.table_.conjunction(std::move(slots)));
  }
  return parts;
}

void AxisLinks::add_product_axis(size_t input, int64_t axis, bool output) {
  const Value* value = node_.input(input);
  if (value && value->is_constant())
    session_.products_.push_back({&node_, input, axis, output});
}

void AxisLinks::computes(size_t input, int64_t axis) {
  add_product_axis(input, axis, true);
}

void AxisLinks::reads(size_t input, int64_t axis) {
  add_product_axis(input, axis, false);
}

// --- AxisSession --------------------------------------------------------

const AxisRule* axis_rule(const Node& node) {
  const Operator* op = find_operator(node);
  if (!op) return nullptr;
  if (op->axes) return op->axes->link ? op->axes : nullptr;
  if (op->op_class == OpClass::kElementwise) return &kElementwiseAxes;
  if (op->op_class == OpClass::kPooling) return &kWindowAxes;
  return nullptr;
}

AxisSession::AxisSession(Model& model) : model_(model), infer_(model) {
  if (model.opset() < 13)
    throw Error(ErrorKind::kUnsupported, "channel groups",
                "the model has opset " + std::to_string(model.opset()) +
                    ", expected 13 or more",
                "run the pass simplify before");
  infer_.infer(*model.graph);
  for (const auto& node : model.graph->nodes()) follow(*node);
  for (const Value* output : model.graph->outputs())
    if (const std::vector<Axis>* found = axes(*output))
      fix_axes(*found, "'" + output->name() + "' is an output of the model");
}

const std::vector<Axis>* AxisSession::axes(const Value& value) const {
  const auto found = values_.find(&value);
  return found == values_.end() ? nullptr : &found->second;
}

const std::vector<Axis>* AxisSession::input_axes(const Node& node,
                                                 size_t input) const {
  const auto found = uses_.find({&node, input});
  if (found != uses_.end()) return &found->second;
  const Value* value = node.input(input);
  return value ? axes(*value) : nullptr;
}

// Constants are open along every axis; what is computed and not known yet, and
// inputs of the graph, are fixed.
std::vector<Axis> AxisSession::make_axes(const Value& value) {
  std::vector<Axis> axes;
  if (!value.type.shape) return axes;
  const bool open = value.is_constant() && carries_channels(value);
  for (const Dim& dim : *value.type.shape) {
    Axis axis = Axis::fixed(std::max<int64_t>(0, dim.value));
    if (open && axis.size > 1 && axis.size <= kLongestAxis)
      for (int64_t i = 0; i < axis.size; ++i)
        axis.slots.push_back(table_.fresh());
    axes.push_back(std::move(axis));
  }
  return axes;
}

std::vector<Axis>& AxisSession::axes_of_input(const Node& node, size_t input) {
  const Value& value = *node.input(input);
  // A vector (a bias) that several nodes share can be kept for each of them.
  if (value.is_constant() && value.type.shape &&
      axes_longer_than_one(*value.type.shape) <= 1) {
    const auto [found, made] = uses_.try_emplace({&node, input});
    if (made) found->second = make_axes(value);
    return found->second;
  }
  const auto [found, made] = values_.try_emplace(&value);
  if (made) found->second = make_axes(value);
  return found->second;
}

bool AxisSession::fix_axes(const std::vector<Axis>& axes,
                           const std::string& reason) {
  bool open = false;
  for (const Axis& axis : axes)
    for (const Slot slot : axis.slots) {
      open = true;
      table_.fix(slot, reason);
    }
  return open;
}

void AxisSession::give_up(const Node& node, const std::string& reason) {
  bool fixed = false;
  for (size_t i = 0; i < node.inputs().size(); ++i)
    if (node.input(i))
      fixed = fix_axes(axes_of_input(node, i), reason) || fixed;
  AxisLinks links(node, *this);
  for (size_t i = 0; i < node.outputs().size(); ++i)
    if (node.output(i)) links.set_fixed(i);
  if (fixed || !node.subgraphs().empty())
    not_followed_.emplace_back(&node, reason);
}

void AxisSession::fix_captured(const Node& owner, const Graph& subgraph) {
  for (const auto& node : subgraph.nodes()) {
    for (size_t i = 0; i < node->inputs().size(); ++i)
      if (const Value* value = node->input(i);
          value && &value->graph() == model_.graph.get())
        fix_axes(axes_of_input(*node, i),
                 "it is used in a subgraph of " + owner.label());
    for (const Graph* inner : node->subgraphs()) fix_captured(owner, *inner);
  }
  for (const Value* output : subgraph.outputs())
    if (const auto found = values_.find(output); found != values_.end())
      fix_axes(found->second, "a subgraph of " + owner.label() + " returns it");
}

void AxisSession::follow(const Node& node) {
  for (const Graph* subgraph : node.subgraphs()) fix_captured(node, *subgraph);
  if (!node.subgraphs().empty())
    return give_up(node, "the subgraphs of operator '" + node.op_type +
                             "' are not followed (" + node.label() + ")");
  const auto unknown = [](const Value* value) {
    return value && !value->type.has_static_shape();
  };
  if (std::ranges::any_of(node.inputs(), unknown) ||
      std::ranges::any_of(node.outputs(), unknown))
    return give_up(node, node.label() + " has a shape that is not known");
  const auto counts = [](const Value* value) {
    return value && !carries_channels(*value);
  };
  // Sizes and places that are computed.
  if (std::ranges::all_of(node.outputs(), counts)) {
    AxisLinks links(node, *this);
    for (size_t i = 0; i < node.outputs().size(); ++i)
      if (node.output(i)) links.set_fixed(i);
    if (find_operator(node) && find_operator(node)->op_class == OpClass::kShape)
      return;
    for (size_t i = 0; i < node.inputs().size(); ++i)
      if (node.input(i))
        fix_axes(axes_of_input(node, i),
                 node.label() + " computes integers from it");
    return;
  }
  const AxisRule* rule = axis_rule(node);
  if (!rule || model_.has_function(node))
    return give_up(node, "operator '" + node.op_type +
                             "' cannot be followed (" + node.label() + ")");
  AxisLinks links(node, *this);
  try {
    rule->link(links);
  } catch (const RankMismatch&) {
    return give_up(node, node.label() + " has inputs of unexpected ranks");
  }
  for (size_t i = 0; i < node.outputs().size(); ++i)
    if (node.output(i) && !values_.contains(node.output(i))) links.set_fixed(i);
}

// --- AxisEdits ----------------------------------------------------------

std::optional<std::vector<int64_t>> AxisEdits::ints(size_t i) const {
  const Value* value = node_.input(i);
  if (!value || !value->is_constant()) return std::nullopt;
  return value->tensor().to_int64s();
}

void AxisEdits::set_ints(size_t i, const std::vector<int64_t>& values) {
  Value* before = node_.input(i);
  const std::vector<double> numbers(values.begin(), values.end());
  const DataType type = before && before->has_initializer()
                            ? before->tensor().type()
                            : DataType::kInt64;
  std::vector<int64_t> dims{static_cast<int64_t>(values.size())};
  if (before && before->has_initializer() && before->tensor().rank() != 1 &&
      before->tensor().size() == dims[0])
    dims = before->tensor().dims();
  Tensor tensor = Tensor::from_doubles(type, dims, numbers);
  if (before && before->is_constant() && before->uses().size() == 1) {
    before->set_tensor(std::move(tensor));
    return;
  }
  const std::string base = before ? before->name() : node_.id() + "_sizes";
  node_.set_input(i, node_.graph().add_constant(base, std::move(tensor)));
}

void AxisEdits::patch_ints(size_t i, int64_t size,
                           const std::map<int64_t, int64_t>& elements) {
  if (elements.empty()) return;
  if (std::optional<std::vector<int64_t>> values = ints(i)) {
    for (const auto& [at, value] : elements)
      (*values)[static_cast<size_t>(at)] = value;
    return set_ints(i, *values);
  }
  // Where(is new, new, computed).
  std::vector<int64_t> numbers(static_cast<size_t>(size), 0);
  std::vector<std::byte> flags(static_cast<size_t>(size), std::byte{0});
  for (const auto& [at, value] : elements) {
    numbers[static_cast<size_t>(at)] = value;
    flags[static_cast<size_t>(at)] = std::byte{1};
  }
  Graph& graph = node_.graph();
  Value* computed = node_.input(i);
  Value* mask = graph.add_constant(
      computed->name() + "_replaced",
      Tensor(DataType::kBool, {size}, Bytes::own(std::move(flags))));
  Value* replacement = graph.add_constant(computed->name() + "_replacement",
                                          Tensor::vector_i64(numbers));
  Node* where = graph.add_node(
      "Where", {mask, replacement, computed},
      std::vector<std::string>{computed->name() + "_pruned"}, &node_);
  where->name = graph.unique_name(node_.id() + "_where");
  node_.set_input(i, where->output());
}

}  // namespace lathe::ir
