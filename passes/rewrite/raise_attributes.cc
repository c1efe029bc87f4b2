// Steps of raise_opset where attributes become inputs.
#include "passes/rewrite/raise_steps.h"

namespace lathe::rewrite {

// Squeeze and Unsqueeze (13), ReduceSum (13), the other Reduce* (18):
//   op(x) axes=[a]  ->  op(x, axes)
void raise_axes_to_input(RaiseStep& step) { step.ints_to_input("axes", 1); }

// Slice(x) starts ends [axes]  ->  Slice(x, starts, ends[, axes])
void raise_slice_10(RaiseStep& step) {
  if (!step.node.has_attribute("starts") || !step.node.has_attribute("ends"))
    step.fail("it has no attributes 'starts' and 'ends'");
  step.ints_to_input("starts", 1);
  step.ints_to_input("ends", 2);
  step.ints_to_input("axes", 3);
}

// TopK(x) k  ->  TopK(x, k)
void raise_topk_10(RaiseStep& step) {
  if (!step.node.has_attribute("k")) step.fail("it has no attribute 'k'");
  step.require_own("k");
  int64_t k = step.node.attr_int("k", 0);
  step.node.set_input(1, step.constant("k", ir::Tensor::vector_i64({k})));
  step.node.remove_attribute("k");
}

// Clip(x) min max  ->  Clip(x, min, max); scalars of x's type
void raise_clip_11(RaiseStep& step) {
  size_t index = 1;
  for (const char* bound : {"min", "max"}) {
    if (step.node.has_attribute(bound)) {
      step.require_own(bound);
      float value = step.node.attr_float(bound, 0);
      step.node.set_input(index,
                          step.scalar_like(bound, value, step.node.input(0)));
      step.node.remove_attribute(bound);
    }
    ++index;
  }
}

// Pad(x) pads value  ->  Pad(x, pads[, value]); 0 is the default
void raise_pad_11(RaiseStep& step) {
  if (!step.node.has_attribute("pads")) step.fail("it has no attribute 'pads'");
  step.ints_to_input("pads", 1);
  step.require_own("value");
  float value = step.node.attr_float("value", 0);
  if (value != 0)
    step.node.set_input(2,
                        step.scalar_like("value", value, step.node.input(0)));
  step.node.remove_attribute("value");
}

// Dropout(x) ratio  ->  Dropout(x, ratio); no training_mode: inference
void raise_dropout_12(RaiseStep& step) {
  if (!step.node.has_attribute("ratio")) return;
  step.require_own("ratio");
  float ratio = step.node.attr_float("ratio", 0.5f);
  step.node.set_input(1,
                      step.constant("ratio", ir::Tensor::scalar<float>(ratio)));
  step.node.remove_attribute("ratio");
}

// Split(x) split  ->  Split(x, split)
void raise_split_13(RaiseStep& step) { step.ints_to_input("split", 1); }

// Split(x) in equal parts must say how many.
void raise_split_18(RaiseStep& step) {
  if (step.node.input(1)) return;
  step.node.set_attr("num_outputs",
                     static_cast<int64_t>(step.node.outputs().size()));
}

// DFT(x[, length]) axis=1  ->  DFT(x, length, axis)
void raise_dft_20(RaiseStep& step) {
  step.require_own("axis");
  int64_t axis = step.node.attr_int("axis", 1);
  step.node.set_input(2,
                      step.constant("axis", ir::Tensor::scalar<int64_t>(axis)));
  step.node.remove_attribute("axis");
}

}  // namespace lathe::rewrite
