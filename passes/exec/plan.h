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
  at::Device device = at::kCPU;
  // Floating ones on the device, the others on the host.
  std::vector<at::Tensor> tensors;
  // All of them on the device; empty when that is the CPU.
  std::vector<at::Tensor> moved;
  std::unordered_map<const ir::Value*, size_t> index;

  size_t at(const ir::Value* value) const { return index.at(value); }
};

// Consecutive steps of which nothing is kept but what stands behind them.
struct Segment {
  size_t begin = 0, end = 0;       // steps
  std::vector<int> inputs;         // slots that it reads
  std::vector<int> outputs;        // slots that are read behind it
  std::vector<size_t> parameters;  // floating constants that it reads
};

// Runs of one plan share nothing but the constants.
class Plan final : public Body, public std::enable_shared_from_this<Plan> {
 public:
  // Holds every initializer of the graph and its subgraphs. Error kUnsupported
  // or kInput with the node.
  Plan(const ir::Graph& graph, const ir::Model& model,
       std::shared_ptr<const Constants> constants);

  // Values of outer graphs that this one (or a subgraph of it) reads, in the
  // order in which run() wants them.
  const std::vector<const ir::Value*>& captures() const { return captures_; }
  // Formal inputs, in order: graph inputs without an initializer.
  const std::vector<const ir::Value*>& formals() const { return formals_; }

  // With segments, of a shared plan, all but the last run as checkpoints.
  Tensors execute(Inputs formal, Inputs captured, const RunState& state,
                  const std::vector<Hook>* hooks = nullptr,
                  const std::vector<Segment>* segments = nullptr) const;
  Tensors run(Inputs formal, Inputs node_inputs,
              const RunState& state) const override;
  // Where the captured values begin among the inputs of the owning node.
  void set_first_capture(size_t index) { first_capture_ = index; }

  // The hook of that value stands at this place of the list given to execute;
  // the list is as long as slots().
  size_t slots() const { return slot_bytes_.size(); }
  // -1: not a computed value of this graph.
  int slot_of(const ir::Value* value) const;

  size_t steps() const { return steps_.size(); }
  // About `count` segments that keep about equally much, cut where little is
  // alive, and behind every step that computes a hooked value.
  std::vector<Segment> segments(size_t count,
                                const std::vector<Hook>& hooks) const;

 private:
  // A slot of the frame, or a constant.
  struct Source {
    int slot = -1;
    int constant = -1;
  };
  struct Step {
    Kernel kernel;
    Takes takes;
    std::vector<Source> inputs;
    std::vector<int> outputs;   // -1: nobody wants it
    std::vector<int> released;  // slots whose last use this was
    std::vector<std::shared_ptr<Plan>> bodies;
    std::vector<ir::DataType> types;  // of the outputs, as the graph says
    std::string label;
  };
  using Frame = std::vector<at::Tensor>;

  int new_slot(const ir::Value* value);
  Source source(const ir::Value* value);
  void add_step(const ir::Node& node, const ir::Model& model);
  void add_kernel(const ir::Node& node, const ir::Model& model, Step& step);
  bool add_fake_quantization(const ir::Node& node, Step& step);
  void plan_releases();

  at::Tensor fetch(const Source& from, const Frame& frame) const;
  void run_steps(size_t begin, size_t end, Frame& frame, const RunState& state,
                 const std::vector<Hook>* hooks) const;
  Tensors run_step(const Step& step, Tensors& inputs,
                   const RunState& state) const;
  void bring_together(const Step& step, Tensors& inputs) const;
  void run_checkpoint(const Segment& segment, Frame& frame,
                      const RunState& state,
                      const std::vector<Hook>* hooks) const;
  Tensors run_segment(const Segment& segment, Inputs inputs,
                      const RunState& state) const;

  std::vector<size_t> cuts(size_t count, const std::vector<Hook>& hooks) const;
  Segment segment(size_t begin, size_t end) const;
  void add_parameters(size_t begin, size_t end,
                      std::vector<size_t>& parameters) const;
  bool is_hooked(const Step& step, const std::vector<Hook>& hooks) const;

  const std::shared_ptr<const Constants> constants_;
  std::vector<const ir::Value*> formals_, captures_;
  std::unordered_map<const ir::Value*, int> slot_;
  std::vector<int> formal_slots_, capture_slots_;
  std::vector<Source> outputs_;
  std::vector<Step> steps_;
  std::vector<double> slot_bytes_;  // unknown dimensions count as 1
  size_t first_capture_ = 0;
};

}  // namespace lathe::exec
