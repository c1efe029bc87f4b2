// Upsample and Resize. Upsample (7, 9) and Resize 10 map an output coordinate
// to floor(x / scale); Resize 11 names that coordinate_transformation_mode
// "asymmetric" with nearest_mode "floor". When Resize 10 shrinks an axis, the
// runtime rounds up instead.
#include <algorithm>

#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/raise_steps.h"

namespace lathe::rewrite {
namespace {

bool is_empty_constant(const ir::Value* value) {
  const ir::Tensor* tensor = constant_tensor(value);
  return tensor && tensor->size() == 0;
}

}  // namespace

// Upsample 1: attributes height_scale and width_scale for an NCHW input.
void raise_upsample_7(RaiseStep& step) {
  ir::Node& node = step.node;
  if (!node.has_attribute("height_scale") || !node.has_attribute("width_scale"))
    step.fail("it has no attributes 'height_scale' and 'width_scale'");
  node.set_attr("scales",
                std::vector<float>{1, 1, node.attr_float("height_scale", 1),
                                   node.attr_float("width_scale", 1)});
  node.remove_attribute("height_scale");
  node.remove_attribute("width_scale");
}

// Upsample(x) scales  ->  Upsample(x, scales)
void raise_upsample_9(RaiseStep& step) {
  ir::Node& node = step.node;
  if (!node.has_attribute("scales")) step.fail("it has no attribute 'scales'");
  step.require_own("scales");
  std::vector<float> scales = node.attr_floats("scales");
  node.set_input(
      1, step.constant("scales",
                       ir::Tensor::from<float>(
                           {static_cast<int64_t>(scales.size())}, scales)));
  node.remove_attribute("scales");
}

// Upsample is Resize 10 by another name.
void raise_upsample_10(RaiseStep& step) { step.node.op_type = "Resize"; }

// Resize(x, scales)  ->  Resize(x, -, scales) asymmetric, floor
void raise_resize_11(RaiseStep& step) {
  ir::Node& node = step.node;
  ir::Value* scales = node.input(1);
  if (!scales) step.fail("its scales are missing");
  std::string rounding = "floor";
  bool nearest = node.attr_string("mode", "nearest") == "nearest";
  const ir::Tensor* known = constant_tensor(scales);
  if (nearest && known) {
    std::vector<double> values = known->to_doubles();
    bool shrinks = std::ranges::any_of(values, [](double s) { return s < 1; });
    bool grows = std::ranges::any_of(values, [](double s) { return s > 1; });
    if (shrinks && grows)
      step.fail(
          "it shrinks one axis and enlarges another, with a rounding of "
          "its own for each");
    if (shrinks) rounding = "ceil";
  } else if (nearest) {
    step.remark(
        "scales are computed while running; the raised Resize rounds "
        "down, also where it shrinks");
  }
  node.set_input(1, nullptr);
  node.set_input(2, scales);
  node.set_attr("coordinate_transformation_mode", std::string("asymmetric"));
  if (nearest) node.set_attr("nearest_mode", rounding);
}

// Empty roi, scales and sizes become absent. tf_half_pixel_for_nn is gone:
// floor((x + 0.5) / s) is half_pixel rounded half up.
void raise_resize_13(RaiseStep& step) {
  ir::Node& node = step.node;
  for (size_t i = 1; i < node.inputs().size(); ++i)
    if (is_empty_constant(node.input(i))) node.set_input(i, nullptr);
  size_t used = node.inputs().size();
  while (used > 1 && !node.input(used - 1)) --used;
  node.resize_inputs(used);
  std::string mode =
      node.attr_string("coordinate_transformation_mode", "half_pixel");
  if (mode != "tf_half_pixel_for_nn") return;
  if (node.attr_string("mode", "nearest") != "nearest" ||
      node.attr_string("nearest_mode", "round_prefer_floor") != "floor")
    step.fail(
        "coordinate_transformation_mode 'tf_half_pixel_for_nn' can only "
        "be expressed for mode 'nearest' with nearest_mode 'floor'");
  node.set_attr("coordinate_transformation_mode", std::string("half_pixel"));
  node.set_attr("nearest_mode", std::string("round_prefer_ceil"));
}

}  // namespace lathe::rewrite
