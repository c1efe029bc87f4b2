// What a pass is: a named change of a model that explains itself.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/pass_context.h"

namespace lathe {

// A node left alone (or changed in a way worth knowing), and why.
struct Remark {
  std::string node;    // Node::id(), or "" for the whole model
  std::string reason;  // one sentence without a full stop
  bool operator==(const Remark&) const = default;
};

// What a pass decided for a layer.
struct LayerDecision {
  std::string node;  // Node::id()
  std::string op_type;
  std::string precision;  // "int8", "float"
  // The model's outputs against its own, with this layer alone so changed.
  std::optional<double> sqnr_db;
  // Microseconds that the layer by itself takes less than in float on the
  // device, its borders aside.
  std::optional<double> saved_us;
  std::string reason;  // one sentence without a full stop
  bool operator==(const LayerDecision&) const = default;
};

struct PassResult {
  int64_t changes = 0;  // how many places changed
  std::vector<Remark> remarks;
  std::vector<LayerDecision> layers = {};  // in the graph's order
  // JSON of what was decided, where it can be edited and fed back; else empty.
  std::string plan = {};
  // JSON of how training went (exec::TrainingReport); else empty.
  std::string training = {};

  void add(PassResult other) {
    changes += other.changes;
    for (Remark& remark : other.remarks) remarks.push_back(std::move(remark));
    for (LayerDecision& layer : other.layers)
      layers.push_back(std::move(layer));
    if (!other.plan.empty()) plan = std::move(other.plan);
    if (!other.training.empty()) training = std::move(other.training);
  }
};

class Pass {
 public:
  virtual ~Pass() = default;
  // The registered name, as in recipes and reports.
  virtual std::string name() const = 0;
  // Changes the model in place. What cannot be done to a node is a remark;
  // errors are thrown only for models and options the pass cannot take at all.
  virtual PassResult run(ir::Model& model, PassContext& context) = 0;
};

// Runs the passes in order, each followed by ir::verify and a check for
// cancellation.
PassResult run_passes(ir::Model& model,
                      const std::vector<std::unique_ptr<Pass>>& passes,
                      PassContext& context);

}  // namespace lathe
