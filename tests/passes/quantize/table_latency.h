// A latency model that prices operators by a table.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "passes/latency_model.h"

namespace lathe::quantize::test {

// Every node is a kernel. A node between a DequantizeLinear and a
// QuantizeLinear costs what the table says of "<operator> int8"; Q and DQ that
// belong to such a node cost nothing, others one microsecond. What the table
// does not name takes no time.
class OperatorTable final : public LatencyModel {
 public:
  explicit OperatorTable(std::map<std::string, double> table)
      : table_(std::move(table)) {}

  GraphEstimate estimate(const ir::Model& model) const override {
    GraphEstimate result;
    for (const auto& node : model.graph->nodes()) {
      KernelEstimate kernel;
      kernel.kind = node->op_type;
      kernel.nodes = {node->id()};
      const double us = price(*node);
      kernel.latency = {us, us, us};
      result.latency.p50_us += us;
      result.kernels.push_back(std::move(kernel));
    }
    result.latency.p5_us = result.latency.p95_us = result.latency.p50_us;
    return result;
  }
  LatencyEstimate kernel(const KernelDescriptor& kernel) const override {
    const bool border =
        kernel.kind == "quantize_linear" || kernel.kind == "dequantize_linear";
    return border ? LatencyEstimate{1, 1, 1} : LatencyEstimate{};
  }
  std::string device() const override { return "table"; }
  bool calibrated() const override { return true; }

 private:
  static bool is_integer(const ir::Node& node) {
    if (node.is("QuantizeLinear") || !writes_codes(node)) return false;
    return std::ranges::all_of(node.inputs(), [](const ir::Value* value) {
      return value->producer() && value->producer()->is("DequantizeLinear");
    });
  }

  // Or could, at no cost.
  static bool writes_codes(const ir::Node& node) {
    if (node.is("MatMul") || node.is("Gemm")) return true;
    if (!node.output() || node.output()->uses().empty()) return false;
    const ir::Node* after = node.output()->uses()[0].node;
    return after->is("QuantizeLinear") ||
           (after->is("Relu") && writes_codes(*after));
  }

  double price(const ir::Node& node) const {
    if (node.is("QuantizeLinear")) {
      const ir::Node* before = node.input(0)->producer();
      return before && is_integer(*before) ? 0 : 1;
    }
    if (node.is("DequantizeLinear")) {
      if (node.input(0)->is_constant() || node.output()->unused()) return 0;
      if (node.output()->is_graph_output()) return 1;
      return is_integer(*node.output()->uses()[0].node) ? 0 : 1;
    }
    const auto found =
        table_.find(node.op_type + (is_integer(node) ? " int8" : ""));
    return found == table_.end() ? 0 : found->second;
  }

  std::map<std::string, double> table_;
};

}  // namespace lathe::quantize::test
