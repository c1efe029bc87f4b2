// Runs a model over samples stage by stage, while the stages ahead may change.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "passes/batch_source.h"
#include "passes/exec/program.h"
#include "passes/pass_context.h"

namespace lathe::exec {

// A model's inputs, one entry a sample: `count` samples in an order drawn by
// seed (a batch each where the model fixes its batch size). Where the model
// leaves its batch size free, `at_once` samples make an entry, and what is left
// over is left out. Error kInput where there are none.
std::vector<Program::Named> draw_samples(const ir::Graph& graph,
                                         BatchSource& data, int64_t count,
                                         uint64_t seed, int64_t at_once = 1);

// For every sample (or batch, as above) the values that what is still to run
// reads, as the executor holds them: codes take a byte an element, floats four.
// Nothing else is kept.
class StagedRun {
 public:
  // The model must stay. What is behind the last advance() may be changed in
  // any way that keeps values' names; what is before it must not.
  StagedRun(const ir::Model& model, std::vector<Program::Named> samples,
            const PassContext& context);

  size_t samples() const { return held_.size(); }
  // Of what is held for all samples.
  size_t bytes() const;
  // Runs up to the node, which is not before that of an earlier call.
  void advance(const ir::Node& node);

  // Calls take(sample, values) once a sample, from several threads. Values lie
  // behind the last advance(), or it kept them.
  using Take = std::function<void(size_t sample, std::vector<at::Tensor>)>;
  void compute(const std::vector<std::string>& values, const Take& take) const;

  // What computes `values` from what is held; its inputs as names.
  ir::Model part(const std::vector<std::string>& values) const;
  // All that is held of a sample, and the value of one name.
  const Program::Named& held(size_t sample) const { return held_[sample]; }
  const at::Tensor& held(size_t sample, const std::string& name) const;

 private:
  using Held = Program::Named;
  std::vector<std::string> held_names() const;

  const ir::Model& model_;
  const PassContext& context_;
  std::vector<Held> held_;
};

}  // namespace lathe::exec
