// Constant weights of dynamically quantized layers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {

struct DynamicWeights {
  ir::Value* codes = nullptr;
  ir::Value* scale = nullptr;
  ir::Value* zero_point = nullptr;  // null: 0
  bool narrowed = false;            // 7 bits although 8 were asked for
};

// Makes them in the graph where the float weights lie; nodes that share
// weights share the codes.
class DynamicCoder {
 public:
  explicit DynamicCoder(const DynamicOptions& options) : options_(options) {}

  // Of MatMul, and of Gemm with its transB and alpha taken in: codes
  // [..., depth, columns]; the scale is a scalar or, of a matrix, [columns].
  DynamicWeights matrix(ir::Value* weights, bool transposed, float alpha);
  // Of an LSTM, [directions, 4 * hidden, depth] in ONNX's form: codes
  // [directions, depth, 4 * hidden]; scale and zero point [directions] or
  // [directions, 4 * hidden].
  DynamicWeights recurrent(ir::Value* weights);

 private:
  struct Coded {
    std::vector<int8_t> codes;
    std::vector<float> scales;
    bool narrowed = false;
  };
  Coded code(const ir::Tensor& weights, bool per_channel) const;
  DynamicWeights store(ir::Value* weights, std::vector<int64_t> dims,
                       const Coded& coded, std::vector<int64_t> scale_dims,
                       bool needs_zero_point) const;

  const DynamicOptions& options_;
  std::map<std::tuple<ir::Value*, bool, float, bool>, DynamicWeights> made_;
};

}  // namespace lathe::quantize
