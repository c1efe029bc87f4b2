// Which nodes run as integer kernels.
#pragma once

#include <unordered_map>
#include <vector>

#include "passes/pass.h"
#include "passes/quantize/operator_rules.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {

class Selection {
 public:
  // The role of a node that is quantized.
  std::unordered_map<const ir::Node*, Role> roles;
  // One for each compute node left in float.
  std::vector<Remark> remarks;

  bool contains(const ir::Node* node) const {
    return node && roles.contains(node);
  }
  bool has_role(const ir::Node* node, Role role) const {
    auto it = roles.find(node);
    return it != roles.end() && it->second == role;
  }
  // The same nodes of a clone, or those of them that `keeps` is true for; both
  // lists have the graph's order.
  Selection in(const std::vector<ir::Node*>& nodes,
               const std::vector<ir::Node*>& clones,
               const std::vector<char>& keeps) const;

  // The use is data of a quantized node.
  bool reads(const ir::Use& use) const;
  // Some quantized node reads the value as data.
  bool is_read(const ir::Value& value) const;
  // The value lies between a node and the Relu or Clip fused into it, so it is
  // never seen as codes.
  bool is_inside(const ir::Value& value) const;
};

// A fused Relu or Clip: the codes of its result end where it cuts off.
bool cuts_off(const Selection& selection, const ir::Node* node);
// MatMul and Gemm write float where only float is read, the bias added.
bool writes_float_for_free(const Selection& selection, const ir::Node& node);

// The model's types must be inferred. Only the top-level graph's nodes are
// chosen. See the rules at the top of select_nodes.cc.
Selection select_nodes(const ir::Model& model, const QuantizeOptions& options);

}  // namespace lathe::quantize
