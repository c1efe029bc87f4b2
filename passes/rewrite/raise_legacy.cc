// Steps of raise_opset for forms that few models still have.
#include <algorithm>

#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/raise_steps.h"

namespace lathe::rewrite {
namespace {

// Appends `count` dimensions of 1 to input `index`.
void append_ones(RaiseStep& step, size_t index, size_t count) {
  ir::Value* value = step.node.input(index);
  if (const ir::Tensor* known = constant_tensor(value)) {
    std::vector<int64_t> dims = known->dims();
    dims.insert(dims.end(), count, 1);
    step.node.set_input(index, step.constant("operand", known->reshaped(dims)));
    return;
  }
  std::vector<int64_t> axes;
  for (size_t i = 0; i < count; ++i)
    axes.push_back(static_cast<int64_t>(value->type.shape->size() + i));
  ir::Value* where = step.constant("axes", ir::Tensor::vector_i64(axes));
  step.node.set_input(
      index, step.insert("Unsqueeze", {value, where}, "operand")->output());
}

}  // namespace

// op(a, b) broadcast=1 axis=k: b's dimensions lie along a's from k on. NumPy's
// broadcasting, the only one from 7 on, aligns the last ones.
void raise_broadcast_7(RaiseStep& step) {
  ir::Node& node = step.node;
  step.require_own("axis");
  bool aligned =
      node.attr_int("broadcast", 0) != 0 && node.has_attribute("axis");
  int64_t axis = node.attr_int("axis", -1);
  for (const char* gone : {"broadcast", "axis", "consumed_inputs"})
    node.remove_attribute(gone);
  if (!aligned) return;
  const ir::Value *a = node.input(0), *b = node.input(1);
  if (!a || !b || !a->type.shape || !b->type.shape)
    step.fail("broadcast along axis " + std::to_string(axis) +
              " needs the ranks of both inputs");
  auto rank_a = static_cast<int64_t>(a->type.shape->size());
  auto rank_b = static_cast<int64_t>(b->type.shape->size());
  auto start = normalize_axis(axis, rank_a);
  if (!start || *start + rank_b > rank_a)
    step.fail("broadcast along axis " + std::to_string(axis) +
              " does not fit ranks " + std::to_string(rank_a) + " and " +
              std::to_string(rank_b));
  int64_t missing = rank_a - *start - rank_b;
  if (missing > 0) append_ones(step, 1, static_cast<size_t>(missing));
}

// A slope of one element a channel must reach axis 1.
void raise_prelu_7(RaiseStep& step) {
  const ir::Value *x = step.node.input(0), *slope = step.node.input(1);
  step.node.remove_attribute("consumed_inputs");
  if (!x || !slope || !slope->type.shape)
    step.fail("the rank of its slope is not known");
  if (slope->type.shape->size() != 1 || slope->type.shape->front().value == 1)
    return;
  if (!x->type.shape) step.fail("the rank of its input is not known");
  size_t rank = x->type.shape->size();
  if (rank > 2) append_ones(step, 1, rank - 2);
}

void raise_gemm_7(RaiseStep& step) { step.node.remove_attribute("broadcast"); }

void raise_dropout_7(RaiseStep& step) { step.node.remove_attribute("is_test"); }

void raise_rnn_7(RaiseStep& step) {
  step.node.remove_attribute("output_sequence");
}

// Some old files still name the type: to="FLOAT".
void raise_cast_9(RaiseStep& step) {
  const ir::Attribute* to = step.node.attribute("to");
  const std::string* text = to ? to->get_if<std::string>() : nullptr;
  if (!text) return;
  std::string lower = *text;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  auto type = ir::data_type_from_string(lower);
  if (!type) step.fail("it casts to '" + *text + "', which is no type");
  step.node.set_attr("to", static_cast<int64_t>(*type));
}

void raise_scan_9(RaiseStep& step) {
  step.fail("Scan of opset 8 runs over a batch, which Scan of opset 9 cannot");
}

// The mask became bool; who uses it still sees the type of the data.
void raise_dropout_10(RaiseStep& step) {
  ir::Node& node = step.node;
  ir::Value* mask = node.output(1);
  if (!mask || mask->unused()) return;
  ir::DataType type =
      node.input(0) ? node.input(0)->type.elem : ir::DataType::kUndefined;
  if (type == ir::DataType::kUndefined)
    step.fail("its mask is used and the type of its input is not known");
  if (mask->is_graph_output()) step.fail("its mask is a graph output");
  ir::Graph& graph = node.graph();
  auto after = std::ranges::find_if(
      graph.nodes(), [&](const auto& other) { return other.get() == &node; });
  ++after;
  ir::Node* next = after == graph.nodes().end() ? nullptr : after->get();
  std::vector<ir::Use> uses = mask->uses();
  ir::Node* cast = graph.add_node("Cast", {mask}, {node.id() + "_mask"}, next);
  cast->set_attr("to", static_cast<int64_t>(type));
  cast->output()->type = mask->type;
  mask->type.elem = ir::DataType::kBool;
  for (const ir::Use& use : uses)
    use.node->set_input(use.index, cast->output());
}

void raise_scatter_11(RaiseStep& step) {
  step.node.op_type = "ScatterElements";
}

// Before 16 there was no half-pixel shift; from then on it is the default.
void raise_roi_align_16(RaiseStep& step) {
  if (!step.node.has_attribute("coordinate_transformation_mode"))
    step.node.set_attr("coordinate_transformation_mode",
                       std::string("output_half_pixel"));
}

void raise_grid_sample_20(RaiseStep& step) {
  step.require_own("mode");
  std::string mode = step.node.attr_string("mode", "bilinear");
  if (mode == "bilinear") step.node.set_attr("mode", std::string("linear"));
  if (mode == "bicubic") step.node.set_attr("mode", std::string("cubic"));
}

void raise_experimental_10(RaiseStep& step) {
  step.fail("this experimental operator was removed in opset 10");
}

}  // namespace lathe::rewrite
