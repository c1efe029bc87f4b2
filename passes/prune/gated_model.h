// A model with a place to look at before everything that reads a unit. Internal
// to saliency.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/prune/channel_groups.h"

namespace lathe::prune {

// Where a group's units lie on a tensor.
struct Gate {
  size_t group = 0;
  int64_t axis = 0;
  const std::vector<std::vector<int64_t>>* positions = nullptr;
};

class GatedModel {
 public:
  // `groups` must outlive it; frozen ones get no gates.
  GatedModel(const ir::Model& model, const std::vector<ChannelGroup>& groups);

  const ir::Model& model() const { return model_; }

  // A value between the model's own and what reads it, which computes nothing
  // that carries the units on.
  struct Site {
    std::string value;
    std::vector<Gate> gates;
  };
  const std::vector<Site>& sites() const { return sites_; }

  // Of constants that read units where no value of the graph is: a recurrent
  // layer's own state.
  const std::map<std::string, std::vector<Gate>>& weights() const {
    return weights_;
  }

 private:
  using Uses = std::map<std::pair<const ir::Node*, size_t>, std::vector<Gate>>;
  void insert(const Uses& uses);

  ir::Model model_;
  std::vector<Site> sites_;
  std::map<std::string, std::vector<Gate>> weights_;
};

// An input of a node where a group's units end: what the node computes does not
// carry them, or it reads them by a weight.
struct UnitEnd {
  const ir::Node* node = nullptr;
  size_t input = 0;
  const ValueAxis* axis = nullptr;  // of the group
};

// In the graph's order. Of a node that takes the units twice (a product of
// queries and keys) one input alone: without it the other counts for nothing.
std::vector<UnitEnd> unit_ends(const ir::Graph& graph,
                               const ChannelGroup& group);

}  // namespace lathe::prune
