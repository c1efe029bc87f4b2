// The kernels that a graph becomes in the runtime, as far as that follows from
// the graph alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::latency {

struct Kernel {
  const ir::Node* main = nullptr;      // the node whose arithmetic it is
  std::vector<const ir::Node*> nodes;  // all it covers, in the graph's order
  bool integer = false;                // computes in int8
  int64_t flops = 0;
  int64_t bytes = 0;  // read and written once
  bool known = true;  // false: only bytes stand behind it, and maybe not all
};

// In the graph's order:
// - Q/DQ around an operator that the runtime has in int8: one int8 kernel that
//   covers its DQs, the operator, a Relu or Clip after it, and its Q. A DQ that
//   others need as well stays a kernel of its own.
// - Conv + BatchNormalization + Add + activation, MatMul + bias, Gemm +
//   activation: one kernel.
// - Nodes without a kernel: Constant, Identity, Dropout, Shape and what else
//   depends on constants only (Q/DQ excepted).
// - Subgraphs: an If counts its dearer branch's bytes and flops, a Loop or Scan
//   its body once, and both are marked as not known.
std::vector<Kernel> group_kernels(const ir::Graph& graph);

// "conv2d", "depthwise_conv2d", "qconv2d", "gemm", "global_average_pool", …
std::string kernel_kind(const Kernel& kernel);
bool is_depthwise(const ir::Node& node);

}  // namespace lathe::latency
