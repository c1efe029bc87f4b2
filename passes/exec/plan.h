// A graph in executable order. Internal to the executor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "passes/exec/operator_kernel.h"
#include "passes/exec/program.h"

namespace lathe::exec {

// Tensors of initializers, those of subgraphs included.
struct Constants {
  std::vector<at::Tensor> tensors;
  std::unordered_map<const ir::Value*, size_t> index;

  size_t at(const ir::Value* value) const { return index.at(value); }
};

// Runs of one plan share nothing but the constants.
class Plan final : public Body {
 public:
  // `constants` must outlive the plan and hold every initializer of the graph
  // and its subgraphs. Error kUnsupported or kInput with the node.
  Plan(const ir::Graph& graph, const ir::Model& model,
       const Constants& constants);

  // Values of outer graphs that this one (or a subgraph of it) reads, in the
  // order in which run() wants them.
  const std::vector<const ir::Value*>& captures() const { return captures_; }
  // Formal inputs, in order: graph inputs without an initializer.
  const std::vector<const ir::Value*>& formals() const { return formals_; }

  Tensors execute(Inputs formal, Inputs captured, const RunState& state,
                  const std::vector<Hook>* hooks = nullptr) const;
  Tensors run(Inputs formal, Inputs node_inputs,
              const RunState& state) const override;
  // Where the captured values begin among the inputs of the owning node.
  void set_first_capture(size_t index) { first_capture_ = index; }

  // The hook of that value stands at this place of the list given to execute;
  // the list is as long as slots().
  size_t slots() const { return slot_count_; }
  // -1: not a computed value of this graph.
  int slot_of(const ir::Value* value) const;

 private:
  // A slot of the frame, or a constant.
  struct Source {
    int slot = -1;
    int constant = -1;
  };
  struct Step {
    Kernel kernel;
    std::vector<Source> inputs;
    std::vector<int> outputs;   // -1: nobody wants it
    std::vector<int> released;  // slots whose last use this was
    std::string label;
  };

  int new_slot(const ir::Value* value);
  Source source(const ir::Value* value);
  void add_step(const ir::Node& node, const ir::Model& model);
  void add_kernel(const ir::Node& node, const ir::Model& model, Step& step);
  bool add_fake_quantization(const ir::Node& node, Step& step);
  void plan_releases();

  const ir::Graph& graph_;
  const Constants& constants_;
  std::vector<const ir::Value*> formals_, captures_;
  std::unordered_map<const ir::Value*, int> slot_;
  std::vector<int> formal_slots_, capture_slots_;
  std::vector<Source> outputs_;
  std::vector<Step> steps_;
  size_t slot_count_ = 0, first_capture_ = 0;
};

}  // namespace lathe::exec
