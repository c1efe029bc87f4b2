// Which positions along the axes of values belong together, so that they can
// only be removed together: what rows of the operator table say about their
// axes, and the session that follows a graph.
//
// Every position of an axis has a slot. Slots are unknowns that rules unify; a
// slot may also stand for a conjunction: of the positions h * d + j of an axis
// that holds heads of width d, position (h, j) stays where head h and element j
// both stay. The unknowns that are left are the units of pruning. (Dependency
// graphs of Fang et al. 2023, "DepGraph", arXiv 2301.12900, element by
// element.)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/ir/infer_context.h"

namespace lathe::ir {

using Slot = int32_t;

// One axis. Without slots it is fixed: all of it stays.
struct Axis {
  int64_t size = 0;
  std::vector<Slot> slots;  // none, or `size`

  static Axis fixed(int64_t size) { return {size, {}}; }
  bool is_fixed() const { return slots.empty(); }
};

// The unknowns.
class SlotTable {
 public:
  Slot fresh();
  // Stays where all of them stay; `slots` is not empty.
  Slot conjunction(std::vector<Slot> slots);
  // Makes both the same. Where conjunctions meet that differ in length, more is
  // tied together than would have to be.
  void unify(Slot a, Slot b);
  // Can never be removed; the first reason is kept.
  void fix(Slot slot, const std::string& reason);
  // Removing it changes what the rest computes, beyond its own absence.
  void mark_rescaling(Slot slot);

  // Equal for slots that are known to be the same.
  Slot root(Slot slot) const { return find(slot); }
  // The unknowns that a slot stands for, outer factors first.
  std::vector<Slot> units(Slot slot) const;
  // Of a unit: why it is fixed; null where it is not.
  const std::string* fixed(Slot unit) const;
  bool rescaling(Slot unit) const;

 private:
  struct Term {
    Slot parent = -1;           // another term that it is
    std::vector<Slot> factors;  // of a conjunction
    int32_t reason = -1;        // into reasons_
    bool rescaling = false;
  };
  Slot find(Slot slot) const;  // shortens the path to it
  void collect(Slot slot, std::vector<Slot>& units) const;
  void merge(Slot a, Slot b);  // two unknowns

  mutable std::vector<Term> terms_;
  std::vector<std::string> reasons_;
  std::map<std::vector<Slot>, Slot> conjunctions_;  // of roots
};

// A constant axis that a product computes with.
struct ProductAxis {
  const Node* node = nullptr;
  size_t input = 0;  // the constant
  int64_t axis = 0;
  bool output = false;  // of what it computes; else of what it reads
};

class AxisSession;

// A rule met a rank that its operator does not have: the node is not followed.
struct RankMismatch {};

// What a rule sees of a node. Axes have the sizes of the inferred shapes, which
// are static; indices count inputs and outputs.
class AxisLinks {
 public:
  AxisLinks(const Node& node, AxisSession& session)
      : node_(node), session_(session) {}

  const Node& node() const { return node_; }
  bool has_input(size_t i) const { return node_.input(i) != nullptr; }
  // Empty for an absent input and for a scalar.
  const std::vector<Axis>& in(size_t i) const;
  // One of them; RankMismatch where there is no such axis.
  const Axis& in(size_t i, size_t axis) const;
  // Of the shape that inference found.
  std::vector<int64_t> out_dims(size_t i = 0) const;
  // Elements of a small integer input, when all are known.
  std::optional<std::vector<int64_t>> ints(size_t i) const;

  void set_out(size_t i, std::vector<Axis> axes);
  // Of the output's shape, all of them fixed.
  std::vector<Axis> fixed_out(size_t i = 0) const;
  void set_fixed(size_t i);

  // Both are the same axis, which is returned. Sizes must be equal.
  Axis same(const Axis& a, const Axis& b);
  void fix(const Axis& axis, const std::string& reason);
  void fix(Slot slot, const std::string& reason);
  void fix_input(size_t i, const std::string& reason);
  void mark_rescaling(const Axis& axis);
  Axis fresh(int64_t size);
  // Row-major product of axes, and the other way round; sizes multiply up to
  // the axis's.
  Axis joined(std::span<const Axis> axes);
  std::vector<Axis> parted(const Axis& axis, std::span<const int64_t> sizes);

  // The constant input's axis is one of a product.
  void computes(size_t input, int64_t axis);
  void reads(size_t input, int64_t axis);

 private:
  void add_product_axis(size_t input, int64_t axis, bool output);
  const Node& node_;
  AxisSession& session_;
};

// Shrinks a node after its inputs' and outputs' removed positions are known:
// attributes and integer inputs that hold sizes and places.
class AxisEdits {
 public:
  // `kept` as KeptAxes below says.
  using Kept = std::vector<std::vector<int64_t>>;  // [axis] -> positions
  AxisEdits(Node& node, std::vector<Kept> in, std::vector<Kept> out,
            std::vector<std::vector<int64_t>> in_dims,
            std::vector<std::vector<int64_t>> out_dims)
      : node_(node),
        in_(std::move(in)),
        out_(std::move(out)),
        in_dims_(std::move(in_dims)),
        out_dims_(std::move(out_dims)) {}

  Node& node() const { return node_; }
  // Positions that stay, and the size before.
  const std::vector<int64_t>& in(size_t i, size_t axis) const {
    return in_[i][axis];
  }
  const std::vector<int64_t>& out(size_t i, size_t axis) const {
    return out_[i][axis];
  }
  int64_t in_size(size_t i, size_t axis) const { return in_dims_[i][axis]; }
  int64_t out_size(size_t i, size_t axis) const { return out_dims_[i][axis]; }
  size_t in_rank(size_t i) const { return in_dims_[i].size(); }
  size_t out_rank(size_t i) const { return out_dims_[i].size(); }
  bool in_changed(size_t i, size_t axis) const {
    return static_cast<int64_t>(in_[i][axis].size()) != in_dims_[i][axis];
  }
  bool out_changed(size_t i, size_t axis) const {
    return static_cast<int64_t>(out_[i][axis].size()) != out_dims_[i][axis];
  }

  // The constant elements of an integer input; nullopt where it is computed.
  std::optional<std::vector<int64_t>> ints(size_t i) const;
  // Replaces the input by a constant of its element type.
  void set_ints(size_t i, const std::vector<int64_t>& values);
  // Replaces these elements of a vector of `size` elements, computed or not.
  void patch_ints(size_t i, int64_t size,
                  const std::map<int64_t, int64_t>& elements);

 private:
  Node& node_;
  std::vector<Kept> in_, out_;
  std::vector<std::vector<int64_t>> in_dims_, out_dims_;
};

// A row's knowledge of its axes.
struct AxisRule {
  void (*link)(AxisLinks&) = nullptr;
  void (*shrink)(AxisEdits&) = nullptr;  // null: the sizes follow
};

// The rule of a node's operator: its row's, or its class's; null: there is
// none.
const AxisRule* axis_rule(const Node& node);

// Follows the top-level graph of a model with static shapes.
class AxisSession {
 public:
  // Shapes are inferred here, in the model. It must outlive the session.
  explicit AxisSession(Model& model);

  const SlotTable& table() const { return table_; }
  // Of a computed value or graph input; null where its shape is not known.
  const std::vector<Axis>* axes(const Value& value) const;
  // Of an input of a node; constants of one axis have slots for each use.
  const std::vector<Axis>* input_axes(const Node& node, size_t input) const;
  const std::vector<ProductAxis>& product_axes() const { return products_; }
  // Nodes that could not be followed, with the reason, where that fixed
  // something.
  const std::vector<std::pair<const Node*, std::string>>& not_followed() const {
    return not_followed_;
  }

 private:
  friend class AxisLinks;
  void follow(const Node& node);
  void give_up(const Node& node, const std::string& reason);
  std::vector<Axis>& axes_of_input(const Node& node, size_t input);
  std::vector<Axis> make_axes(const Value& value);
  bool fix_axes(const std::vector<Axis>& axes, const std::string& reason);
  void fix_captured(const Node& owner, const Graph& subgraph);

  Model& model_;
  InferSession infer_;
  SlotTable table_;
  std::unordered_map<const Value*, std::vector<Axis>> values_;
  std::map<std::pair<const Node*, size_t>, std::vector<Axis>> uses_;
  std::vector<ProductAxis> products_;
  std::vector<std::pair<const Node*, std::string>> not_followed_;
};

}  // namespace lathe::ir
