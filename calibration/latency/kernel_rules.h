// Rewrites a model into the graph that ONNX Runtime's CPU provider would run:
// the same operators, in the same layouts, without their weights' bytes.
// Internal to kernels_by_rules.
//
// The rules are those of the runtime's optimizer at level ALL (sources under
// onnxruntime/core/optimizer), as the dumps of version 1.30 show them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "calibration/latency/kernel_source.h"
#include "passes/ir/graph.h"

namespace lathe::latency {

inline constexpr const char* kMicrosoftDomain = "com.microsoft";
inline constexpr const char* kNchwcDomain = "com.microsoft.nchwc";

// A model being rewritten. A fused node keeps the place of the last of the
// nodes it is made of. Values keep their logical types.
class RuleGraph {
 public:
  // Shapes in `original` must be inferred. Error kInput where a node lacks an
  // input that its operator needs.
  RuleGraph(const ir::Model& original, const RuntimeTraits& traits);

  ir::Model& model() { return model_; }
  ir::Graph& graph() { return *model_.graph; }
  const RuntimeTraits& traits() const { return traits_; }

  // --- Questions ---
  bool constant(const ir::Value* value) const;
  // Rank 0, or one element.
  std::optional<double> scalar(const ir::Value* value) const;
  std::optional<std::vector<int64_t>> integers(const ir::Value* value) const;
  // The node that alone uses the value, which is no output of the graph.
  static ir::Node* only_user(const ir::Value* value);
  static ir::Node* producer(const ir::Value* value, std::string_view op);
  static std::optional<std::vector<int64_t>> dims(const ir::Value* value);
  static bool is_float(const ir::Value* value);
  static bool is_8_bit(const ir::Value* value);
  // The input of a node of two that is not `value`.
  static ir::Value* other_input(const ir::Node& node, const ir::Value* value);

  // --- Changes ---
  // `last` becomes `op` of `domain` on `inputs`, with the attributes of
  // `attributes_of` (null: none), and does the work of `absorbed` too, which
  // must then be unused; they go.
  void fuse(ir::Node* last, const std::vector<ir::Node*>& absorbed,
            const std::string& op, const std::string& domain,
            std::vector<ir::Value*> inputs,
            const ir::Node* attributes_of = nullptr);
  // The node's first output is `to` from here on; the node goes. Its work is
  // counted with `heir`, if there is one.
  void bypass(ir::Node* node, ir::Value* to, ir::Node* heir = nullptr);
  // A node of our own, with one output of that type.
  ir::Node* insert(const std::string& op, const std::string& domain,
                   std::vector<ir::Value*> inputs, ir::ValueType type,
                   ir::Node* before);
  // A constant of that type without bytes.
  ir::Value* constant_like(ir::ValueType type);
  // Turns a computed value into a constant without bytes.
  void make_constant(ir::Node* node);
  // Nodes that nobody reads any more. What nobody read in the first place runs.
  void remove_dead();
  void inherit(ir::Node* heir, const ir::Node* from);
  // Ends in an order in which every value is defined before it is used.
  void sort();

  const std::vector<const ir::Node*>& origins(const ir::Node* node) const;

 private:
  ir::Model model_;
  const RuntimeTraits& traits_;
  std::unordered_map<const ir::Node*, std::vector<const ir::Node*>> origins_;
  std::unordered_set<std::string> idle_;
};

// --- The steps -----------------------------------------------------------

void widen_halves(RuleGraph& rules);
void fold_and_simplify(RuleGraph& rules);  // constants, no-ops, duplicates
void fold_into_convs(RuleGraph& rules);    // BatchNormalization, Mul, Add, Pad
void fuse_products(RuleGraph& rules);      // MatMul + Add, Transpose + Gemm
void merge_reshapes(RuleGraph& rules);
// `level` of the optimizer, 1 to 3: from 2 on it knows the CPU's kernels.
void push_transposes(RuleGraph& rules, int level);
void drop_saturated_activations(RuleGraph& rules);  // in front of Q
void fuse_quantized(RuleGraph& rules);
void fuse_activations(RuleGraph& rules);  // into Conv and Gemm
void fuse_gelus(RuleGraph& rules);
void fuse_normalizations(RuleGraph& rules);
// MatMul + Add that an attention fusion might have wanted.
void fuse_spared_products(RuleGraph& rules);
void fuse_skips(RuleGraph& rules);           // Add + LayerNormalization
void split_slices(RuleGraph& rules);         // Slice, Gather -> Split
void fuse_product_scales(RuleGraph& rules);  // Transpose, Mul, Div + MatMul
void block_channels(RuleGraph& rules);       // NCHWc
void expand_functions(RuleGraph& rules);     // what has no kernel of its own
void interleave_channels(RuleGraph& rules);  // NHWC of int8
void fuse_plain_adds(RuleGraph& rules);      // Conv + Add + activation

// Which activation a plain convolution takes over.
bool is_fused_activation(const RuleGraph& rules, const ir::Node& node);

}  // namespace lathe::latency
