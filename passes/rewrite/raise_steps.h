// What raise_opset and its families of steps share. A step changes one node
// from the form before an opset version to the form from that version on; new
// nodes that it adds are in forms that hold from opset 17 to 21.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/pass.h"

namespace lathe::rewrite {

class RaiseStep {
 public:
  // `from` and `to`: the opsets of the model (or function) before and after.
  // In a function's body constants are nodes, elsewhere initializers.
  RaiseStep(ir::Node& node, int64_t from, int64_t to, bool in_function,
            PassResult& result)
      : node(node),
        from(from),
        to(to),
        in_function(in_function),
        result_(result) {}

  ir::Node& node;
  const int64_t from, to;
  const bool in_function;

  // A constant that the node can use, named after it and `role`.
  ir::Value* constant(const std::string& role, ir::Tensor tensor);
  // A node before this one with one output, named after it and `role`.
  ir::Node* insert(const std::string& op, std::vector<ir::Value*> inputs,
                   const std::string& role);
  // Moves a list-of-integers attribute to an int64 input, where it is there.
  // An attribute that the function around gives becomes a Constant node.
  void ints_to_input(const std::string& attribute, size_t index);
  // A scalar of the element type that `like` has; where that is not known, a
  // float behind CastLike.
  ir::Value* scalar_like(const std::string& role, double value,
                         ir::Value* like);
  // The attribute is written out, not taken from the function around. Error
  // kUnsupported otherwise.
  void require_own(const std::string& attribute) const;
  void remark(std::string reason);
  // kUnsupported, naming the node and both opsets.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  PassResult& result_;
};

// Attributes that become inputs (raise_attributes.cc).
void raise_axes_to_input(RaiseStep& step);  // Squeeze, Unsqueeze, Reduce*
void raise_slice_10(RaiseStep& step);
void raise_topk_10(RaiseStep& step);
void raise_clip_11(RaiseStep& step);
void raise_pad_11(RaiseStep& step);
void raise_dropout_12(RaiseStep& step);
void raise_split_13(RaiseStep& step);
void raise_split_18(RaiseStep& step);
void raise_dft_20(RaiseStep& step);

// Softmax, LogSoftmax, Hardmax (raise_softmax.cc).
void raise_softmax_13(RaiseStep& step);

// Upsample and Resize (raise_resize.cc).
void raise_upsample_7(RaiseStep& step);
void raise_upsample_9(RaiseStep& step);
void raise_upsample_10(RaiseStep& step);
void raise_resize_11(RaiseStep& step);
void raise_resize_13(RaiseStep& step);

// Normalization (raise_normalization.cc).
void raise_batch_norm_7(RaiseStep& step);
void raise_batch_norm_9(RaiseStep& step);
void raise_batch_norm_14(RaiseStep& step);
void raise_group_norm_21(RaiseStep& step);

// What is left (raise_legacy.cc).
void raise_broadcast_7(RaiseStep& step);  // Add, Mul, … with `axis`
void raise_prelu_7(RaiseStep& step);
void raise_gemm_7(RaiseStep& step);
void raise_dropout_7(RaiseStep& step);
void raise_rnn_7(RaiseStep& step);  // RNN, GRU, LSTM
void raise_cast_9(RaiseStep& step);
void raise_scan_9(RaiseStep& step);
void raise_dropout_10(RaiseStep& step);
void raise_scatter_11(RaiseStep& step);
void raise_roi_align_16(RaiseStep& step);
void raise_grid_sample_20(RaiseStep& step);
void raise_experimental_10(RaiseStep& step);

}  // namespace lathe::rewrite
