// raise_opset: every node in the form of a newer ai.onnx version.
//
//   before: opset 11, Squeeze(x) axes=[1]
//   after:  opset 17, Squeeze(x, axes)     axes = int64[1] {1}
//
// Conditions: ai.onnx between 6 and the target; a model at or above the target
// stays as it is. Subgraphs and model-local functions (by their own opset) are
// raised as well. What a newer version cannot express is Error kUnsupported
// with node and versions.
// Source: the ONNX operator change log, one row here for each (operator,
// version) where a node must change form; versions that only add types or
// optional inputs need no row.
#include <algorithm>

#include "passes/base/error.h"
#include "passes/ir/shape_inference.h"
#include "passes/rewrite/raise_steps.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

struct Row {
  const char* op;
  int64_t version;  // the first with the new form
  void (*apply)(RaiseStep&);
};

// In order of version: a node walks down the table.
constexpr Row kRows[] = {
    {"Add", 7, raise_broadcast_7},
    {"And", 7, raise_broadcast_7},
    {"BatchNormalization", 7, raise_batch_norm_7},
    {"Div", 7, raise_broadcast_7},
    {"Dropout", 7, raise_dropout_7},
    {"Equal", 7, raise_broadcast_7},
    {"GRU", 7, raise_rnn_7},
    {"Gemm", 7, raise_gemm_7},
    {"Greater", 7, raise_broadcast_7},
    {"LSTM", 7, raise_rnn_7},
    {"Less", 7, raise_broadcast_7},
    {"Mul", 7, raise_broadcast_7},
    {"Or", 7, raise_broadcast_7},
    {"PRelu", 7, raise_prelu_7},
    {"Pow", 7, raise_broadcast_7},
    {"RNN", 7, raise_rnn_7},
    {"Sub", 7, raise_broadcast_7},
    {"Upsample", 7, raise_upsample_7},
    {"Xor", 7, raise_broadcast_7},
    {"BatchNormalization", 9, raise_batch_norm_9},
    {"Cast", 9, raise_cast_9},
    {"Scan", 9, raise_scan_9},
    {"Upsample", 9, raise_upsample_9},
    {"ATen", 10, raise_experimental_10},
    {"Affine", 10, raise_experimental_10},
    {"ConstantFill", 10, raise_experimental_10},
    {"Crop", 10, raise_experimental_10},
    {"Dropout", 10, raise_dropout_10},
    {"DynamicSlice", 10, raise_experimental_10},
    {"GRUUnit", 10, raise_experimental_10},
    {"GivenTensorFill", 10, raise_experimental_10},
    {"ImageScaler", 10, raise_experimental_10},
    {"ParametricSoftplus", 10, raise_experimental_10},
    {"Scale", 10, raise_experimental_10},
    {"ScaledTanh", 10, raise_experimental_10},
    {"Slice", 10, raise_slice_10},
    {"TopK", 10, raise_topk_10},
    {"Upsample", 10, raise_upsample_10},
    {"Clip", 11, raise_clip_11},
    {"Pad", 11, raise_pad_11},
    {"Resize", 11, raise_resize_11},
    {"Scatter", 11, raise_scatter_11},
    {"Dropout", 12, raise_dropout_12},
    {"Hardmax", 13, raise_softmax_13},
    {"LogSoftmax", 13, raise_softmax_13},
    {"ReduceSum", 13, raise_axes_to_input},
    {"Resize", 13, raise_resize_13},
    {"Softmax", 13, raise_softmax_13},
    {"Split", 13, raise_split_13},
    {"Squeeze", 13, raise_axes_to_input},
    {"Unsqueeze", 13, raise_axes_to_input},
    {"BatchNormalization", 14, raise_batch_norm_14},
    {"RoiAlign", 16, raise_roi_align_16},
    {"ReduceL1", 18, raise_axes_to_input},
    {"ReduceL2", 18, raise_axes_to_input},
    {"ReduceLogSum", 18, raise_axes_to_input},
    {"ReduceLogSumExp", 18, raise_axes_to_input},
    {"ReduceMax", 18, raise_axes_to_input},
    {"ReduceMean", 18, raise_axes_to_input},
    {"ReduceMin", 18, raise_axes_to_input},
    {"ReduceProd", 18, raise_axes_to_input},
    {"ReduceSumSquare", 18, raise_axes_to_input},
    {"Split", 18, raise_split_18},
    {"DFT", 20, raise_dft_20},
    {"GridSample", 20, raise_grid_sample_20},
    {"GroupNormalization", 21, raise_group_norm_21},
};

constexpr int64_t kOldest = 6, kFirstTarget = 17, kLastTarget = 21;

// The IR version that a file of this opset needs.
int64_t ir_version_for(int64_t opset) {
  if (opset >= 21) return 10;
  if (opset >= 19) return 9;
  return 8;
}

bool needs_shapes(const ir::Model& model) {
  bool found = false;
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes())
      for (const char* op :
           {"Softmax", "LogSoftmax", "Hardmax", "GroupNormalization"})
        found = found ||
                (node->is(op) && node->input(0) && !node->input(0)->type.shape);
  });
  return found;
}

class RaiseOpset final : public Pass {
 public:
  explicit RaiseOpset(int64_t target) : target_(target) {
    if (target < kFirstTarget || target > kLastTarget)
      throw Error(
          ErrorKind::kUsage, "raise_opset",
          "target opset " + std::to_string(target) + " is outside 17 to 21");
  }
  std::string name() const override { return "raise_opset"; }

  PassResult run(ir::Model& model, PassContext&) override {
    PassResult result;
    if (raises(model.opset_imports, "model")) {
      if (needs_shapes(model)) ir::infer_shapes(model);
      raise_graph(model, *model.graph, model.opset(), /*in_function=*/false,
                  result);
      model.opset_imports[""] = target_;
      ++result.changes;
    }
    for (ir::Function& function : model.functions) {
      if (!raises(function.opset_imports, "function '" + function.name + "'"))
        continue;
      raise_graph(model, *function.body, function.opset_imports.at(""),
                  /*in_function=*/true, result);
      function.opset_imports[""] = target_;
      ++result.changes;
    }
    if (result.changes > 0)
      model.ir_version = std::max(model.ir_version, ir_version_for(target_));
    return result;
  }

 private:
  bool raises(const std::map<std::string, int64_t>& imports,
              const std::string& where) const {
    auto it = imports.find("");
    if (it == imports.end() || it->second >= target_) return false;
    if (it->second < kOldest)
      throw_unsupported(where,
                        "opset " + std::to_string(it->second) +
                            " is older than 6, the oldest that can be raised",
                        "export the model again with opset 17 or newer");
    return true;
  }

  void raise_graph(const ir::Model& model, ir::Graph& top, int64_t from,
                   bool in_function, PassResult& result) const {
    ir::for_each_graph(top, [&](ir::Graph& graph) {
      for (ir::Node* node : graph.node_list())
        if (node->domain.empty() && !model.has_function(*node))
          raise_node(*node, from, in_function, result);
    });
  }

  void raise_node(ir::Node& node, int64_t from, bool in_function,
                  PassResult& result) const {
    RaiseStep step(node, from, target_, in_function, result);
    for (const Row& row : kRows) {
      // A step may rename the operator (Upsample), so each row looks again.
      if (row.version <= from || row.version > target_) continue;
      if (node.op_type != row.op) continue;
      row.apply(step);
      ++result.changes;
    }
  }

  int64_t target_;
};

}  // namespace

std::unique_ptr<Pass> make_raise_opset(int64_t target) {
  return std::make_unique<RaiseOpset>(target);
}

}  // namespace lathe::rewrite
