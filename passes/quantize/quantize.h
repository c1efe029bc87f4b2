// Static int8 quantization in QDQ form.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "passes/ir/data_type.h"
#include "passes/pass.h"

namespace lathe::quantize {

struct QuantizeOptions {
  // uint8 on x86, int8 on Arm.
  ir::DataType activation_type = ir::DataType::kUint8;
  bool per_channel = true;
  // Nodes (Node::id()) and operator types to leave in float.
  std::vector<std::string> exclude_nodes = {}, exclude_operators = {};
};

// Needs context.ranges. Expects a simplified model of opset 13 and more (it
// raises lower ones itself through rewrite). Each compute node left in float
// has a remark that says why.
std::unique_ptr<Pass> make_quantize_static(QuantizeOptions options);

struct BlockPixelsOptions {
  // The most channels of a result that is blocked; 0: none are.
  int64_t max_channels = default_max_channels();

  // 16 where it was measured to pay (x86-64), 0 elsewhere.
  static int64_t default_max_channels();
};

// On the model that quantize_static leaves: holds the pixels of narrow images
// in blocks of 2x2, so that their convolutions fill the integer kernels. The
// codes that come out are the same. Asks context.latency, where that is
// calibrated, whether it pays. Each narrow convolution left alone has a remark
// that says why.
std::unique_ptr<Pass> make_block_pixels(BlockPixelsOptions options);

}  // namespace lathe::quantize
