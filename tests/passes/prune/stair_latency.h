// A device whose products cost a staircase: output channels in steps of 4.
#pragma once

#include <string>

#include "passes/ir/op_table.h"
#include "passes/latency_model.h"

namespace lathe::test {

class StairLatency : public LatencyModel {
 public:
  GraphEstimate estimate(const ir::Model& model) const override {
    double us = 1;
    for (const auto& node : model.graph->nodes()) {
      const ir::Operator* op = ir::find_operator(*node);
      if (!op || op->op_class != ir::OpClass::kCompute) continue;
      const ir::Shape& shape = *node->output()->type.shape;
      const size_t at = node->is("Conv") ? 1 : shape.size() - 1;
      const auto out = static_cast<double>(shape[at].value);
      const auto macs = static_cast<double>(ir::node_cost(*node)->macs);
      us += macs / out * (4 * static_cast<int64_t>((out + 3) / 4)) / 1000;
    }
    GraphEstimate result;
    result.latency = {0.9 * us, us, 1.1 * us};
    return result;
  }
  LatencyEstimate kernel(const KernelDescriptor&) const override { return {}; }
  std::string device() const override { return "stairs"; }
  bool calibrated() const override { return true; }
};

}  // namespace lathe::test
