// A part of a model as a model of its own, and what crosses its border.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::exec {

// Where the nodes of a top-level graph stand, and from where to where its
// values are needed. A snapshot.
class ExecutionOrder {
 public:
  explicit ExecutionOrder(const ir::Graph& graph);

  size_t position(const ir::Node& node) const { return position_.at(&node); }
  // What constants alone decide.
  bool is_fixed(const ir::Value& value) const {
    return !lives_.contains(&value);
  }
  // Values that exist before the node at `position` runs and that it, or a node
  // behind it, reads. Fixed values are none of them.
  std::vector<const ir::Value*> alive(size_t position) const;

 private:
  struct Life {
    size_t begin = 0, end = 0;  // computed before, last read at
    bool read = false;
  };
  bool depends_on_inputs(const ir::Node& node) const;
  void add(const ir::Value& value, size_t begin);

  std::unordered_map<const ir::Node*, size_t> position_;
  std::unordered_map<const ir::Value*, Life> lives_;
  std::vector<const ir::Value*> values_;  // that are not fixed, in order
};

// A clone of what computes the values `outputs` from the values `inputs` (and
// graph inputs, and constants) of the top-level graph. Its inputs are those of
// them that it reads. Its first outputs are `outputs`; as many more as the
// model had repeat the first.
ir::Model model_part(const ir::Model& model,
                     const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs);

// The first dimension that all inputs without an initializer fix, 1 where they
// disagree; nullopt where none of them fixes it.
std::optional<int64_t> fixed_batch_size(const ir::Graph& graph);

}  // namespace lathe::exec
