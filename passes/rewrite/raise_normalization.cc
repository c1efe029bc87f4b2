// BatchNormalization and GroupNormalization in raise_opset.
#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/raise_steps.h"

namespace lathe::rewrite {
namespace {

// [G] -> [C]: each element C/G times.
ir::Value* per_channel(RaiseStep& step, ir::Value* value, int64_t groups,
                       int64_t channels, const std::string& role) {
  int64_t repeat = channels / groups;
  if (const ir::Tensor* known = constant_tensor(value)) {
    if (known->rank() == 1 && known->dims()[0] == groups) {
      std::vector<double> values;
      for (double v : known->to_doubles())
        values.insert(values.end(), static_cast<size_t>(repeat), v);
      return step.constant(
          role, ir::Tensor::from_doubles(known->type(), {channels}, values));
    }
  }
  ir::Value* column =
      step.constant(role + "_column", ir::Tensor::vector_i64({groups, 1}));
  ir::Value* wide =
      step.constant(role + "_wide", ir::Tensor::vector_i64({groups, repeat}));
  ir::Value* flat =
      step.constant(role + "_flat", ir::Tensor::vector_i64({channels}));
  ir::Node* reshaped = step.insert("Reshape", {value, column}, role + "_rows");
  ir::Node* expanded =
      step.insert("Expand", {reshaped->output(), wide}, role + "_expanded");
  return step.insert("Reshape", {expanded->output(), flat}, role)->output();
}

}  // namespace

void raise_batch_norm_7(RaiseStep& step) {
  step.node.remove_attribute("is_test");
  step.node.remove_attribute("consumed_inputs");
}

void raise_batch_norm_9(RaiseStep& step) {
  step.require_own("spatial");
  if (step.node.attr_int("spatial", 1) == 0)
    step.fail("spatial=0 (statistics for each position) has no newer form");
  step.node.remove_attribute("spatial");
}

// The further outputs (mean, var, saved_mean, saved_var) were training's.
void raise_batch_norm_14(RaiseStep& step) {
  for (size_t i = 1; i < step.node.outputs().size(); ++i)
    if (ir::Value* output = step.node.output(i); output && !output->unused())
      step.fail("output '" + output->name() +
                "' is a training statistic that is used");
  step.node.resize_outputs(1);
}

// scale and bias: one element a group before 21, one a channel from then on.
void raise_group_norm_21(RaiseStep& step) {
  ir::Node& node = step.node;
  step.require_own("num_groups");
  int64_t groups = node.attr_int("num_groups", 0);
  const ir::Value* x = node.input(0);
  int64_t channels = -1;
  if (x && x->type.shape && x->type.shape->size() > 1)
    channels = (*x->type.shape)[1].value;
  if (groups <= 0 || channels <= 0 || channels % groups != 0 ||
      !node.input(1) || !node.input(2))
    step.fail("its channels are not a known multiple of num_groups " +
              std::to_string(groups));
  node.set_input(1,
                 per_channel(step, node.input(1), groups, channels, "scale"));
  node.set_input(2, per_channel(step, node.input(2), groups, channels, "bias"));
}

}  // namespace lathe::rewrite
