// Which products can have their weights quantized by blocks.
#pragma once

#include <vector>

#include "passes/ir/graph.h"
#include "passes/pass.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {

// y = x W for MatMul and Gemm; rows of W for Gather; for Conv W is [columns,
// depth] with depth the weights of one output channel.
struct WeightSite {
  ir::Node* node = nullptr;
  ir::Value* weights = nullptr;
  // The weights are stored as [columns, depth]: Gemm with transB, Gather, Conv.
  bool transposed = false;
  bool table = false;   // a Gather
  bool filter = false;  // a Conv

  int64_t depth() const {
    return columns() == 0 ? 0 : weights->tensor().size() / columns();
  }
  int64_t columns() const {
    return weights->tensor().dims()[transposed ? 0 : 1];
  }
};

struct WeightSites {
  std::vector<WeightSite> sites;  // in the order of the graph
  std::vector<Remark> remarks;    // one for each compute node left alone
};

WeightSites find_weight_sites(const ir::Model& model,
                              const WeightOptions& options);

}  // namespace lathe::quantize
