// The channels, heads and features of a model that can be removed, found in the
// graph itself.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "passes/ir/axis_links.h"
#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"
#include "passes/pass.h"

namespace lathe::prune {

// A constant input of a product, along one axis.
struct WeightAxis {
  std::string node;    // Node::id(), which files may use more than once
  std::string result;  // the node's first output, by which it is found
  std::string op_type;
  size_t input = 0;    // of the node
  std::string weight;  // the constant's name
  std::string value;   // read or computed: the product's other input, or its
                       // output
  int64_t axis = 0;    // of the constant
  // positions[u]: where unit u lies along the axis, ascending.
  std::vector<std::vector<int64_t>> positions;
};

// An axis of a computed value that the group's units lie on.
struct ValueAxis {
  std::string value;
  int64_t axis = 0;
  std::vector<std::vector<int64_t>> positions;  // as above
};

// How a unit lies on the axis of the first weight that computes it.
enum class UnitKind {
  kChannel,  // one position
  kBlock,    // some side by side: a head, a group of a convolution
  kElement   // one or more of each block: an element of every head
};
const char* to_string(UnitKind kind);  // "channel", "block", "element"

// Units of the same kind: each lies on the same axes of the same values, as
// often as the others. A unit is one channel of a convolution, a head of an
// attention, an element of every head, …
struct ChannelGroup {
  std::string name;  // of the first node that computes it: "layer1.conv1"
  int64_t units = 0;
  UnitKind kind = UnitKind::kChannel;
  std::vector<WeightAxis> sources;  // that compute it, in the graph's order
  std::vector<WeightAxis> readers;  // that read it
  std::vector<ValueAxis> values;    // that carry it
  // Why none of its units can go; "" where they can.
  std::string frozen;
  // What is computed from the rest changes by more than the units' absence (a
  // LayerNormalization over them): zeros in their place are not the same.
  bool rescaling = false;
};

// Positions of an axis that need one unit of each of `groups`: as many stay as
// the product of the groups' shares says.
struct AxisTerm {
  int64_t positions = 0;
  std::vector<int32_t> groups;  // into ChannelGroups::groups(), ascending
};

// What is left of each group: [group][unit], true where it stays. A group that
// is frozen is left whole.
using Selection = std::vector<std::vector<bool>>;

class ChannelGroups {
 public:
  // Of the top-level graph. Free dimensions of inputs count as `shapes` says,
  // else as 1. Errors: as ir::infer_shapes.
  explicit ChannelGroups(const ir::Model& model,
                         const ir::InputShapes& shapes = {});

  const std::vector<ChannelGroup>& groups() const { return groups_; }
  // Operators that could not be followed.
  const std::vector<Remark>& remarks() const { return remarks_; }
  // The group of that name, or -1.
  int64_t find(const std::string& name) const;
  Selection everything() const;

  // Positions along each axis that stay, of a value and of an input of a node
  // of the model or a clone of it. Empty where nothing is known of it.
  using Kept = ir::AxisEdits::Kept;
  Kept kept(const std::string& value, const Selection& selection) const;
  Kept kept_input(const ir::Node& node, size_t input,
                  const Selection& selection) const;
  // Sizes before, likewise.
  std::vector<int64_t> dims(const std::string& value) const;
  std::vector<int64_t> input_dims(const ir::Node& node, size_t input) const;
  // How many positions of each axis stay; an axis that is fixed has no terms.
  std::vector<std::vector<AxisTerm>> terms(const std::string& value) const;
  std::vector<std::vector<AxisTerm>> input_terms(const ir::Node& node,
                                                 size_t input) const;

 private:
  struct UnitRef {
    int32_t group = -1, unit = -1;
  };
  // Of each position the units it needs, flattened: one list an axis.
  struct AxisUnits {
    int64_t size = 0;
    std::vector<int32_t> begin;  // size + 1; empty: fixed
    std::vector<UnitRef> units;
  };
  friend class GroupBuilder;
  // Null where nothing is known of it.
  const std::vector<AxisUnits>* find_value(const std::string& value) const;
  const std::vector<AxisUnits>* find_input(const ir::Node& node,
                                           size_t input) const;
  static Kept kept(const std::vector<AxisUnits>* axes,
                   const Selection& selection);
  static std::vector<int64_t> sizes(const std::vector<AxisUnits>* axes);
  static std::vector<std::vector<AxisTerm>> terms(
      const std::vector<AxisUnits>* axes);

  std::vector<ChannelGroup> groups_;
  std::vector<Remark> remarks_;
  std::unordered_map<std::string, std::vector<AxisUnits>> values_;
  std::unordered_map<std::string, std::vector<AxisUnits>> uses_;
};

}  // namespace lathe::prune
