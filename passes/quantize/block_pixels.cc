// Holds the pixels of narrow quantized images in blocks of 2x2.
//
//   before   x [N,C,H,W] -> DQ -> Conv 3x3 -> Relu -> Q -> DQ -> Conv 3x3 …
//   after    x [N,4C,H/2,W/2] -> DQ -> Conv 2x2 -> Relu -> Q -> Min(mask)
//            [N,4C,H/2+1,W/2+1] -> DQ -> Conv 2x2 … [N,4C,H/2,W/2]
//
// The runtime's int8 convolution on AVX512-VNNI computes 64 output channels at
// a time and sets up as many pointers a pixel as the window has taps. With 16
// channels most of both is wasted; four pixels side by side make 64 channels,
// and the image a quarter as large. Where the pixels of the results are shifted
// against those of the input by one, a window of 3x3 pixels lies in 2x2 blocks,
// which costs 64/36 of the products instead of the 144/36 of 3x3 blocks.
//
// Shifted blocks at the border reach beyond the image. The next convolution
// must find zero's code there, as its padding was: Min (and Max, where zero's
// code is not the lowest) with a constant mask puts it there.
//
// Every sum has the same products and terms of zero, so the results are the
// same, bit for bit, on a runtime that sums exactly.
//
// Conditions and choice of shifts: block_pixels_region.h; weights:
// block_pixels_weights.cc; when it pays: block_pixels_cost.cc and
// docs/quantize.md.
#include <fmt/format.h>

#include "passes/ir/shape_inference.h"
#include "passes/quantize/block_pixels_cost.h"
#include "passes/quantize/block_pixels_region.h"
#include "passes/quantize/block_pixels_rewrite.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {
namespace {

// Per-channel DequantizeLinear, and Min of codes.
constexpr int64_t kLowestOpset = 13;

// The reason of a cell that stays plain, and of the cell it follows from.
std::string reason_of(const Cell& cell) {
  const Cell* root = &cell;
  while (root->cause) root = root->cause;
  if (root == &cell) return cell.obstacle;
  return fmt::format("blocks would reach {}, and {}",
                     root->writer ? root->writer->label() : "the input",
                     root->obstacle);
}

class BlockPixels final : public Pass {
 public:
  explicit BlockPixels(BlockPixelsOptions options) : options_(options) {}

  std::string name() const override { return "block_pixels"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    PassResult result;
    if (options_.max_channels <= 0) {
      result.remarks.push_back(
          {"",
           "max_channels is 0, so nothing is blocked: whether it pays was "
           "measured on x86-64 only"});
      return result;
    }
    if (model.opset() < kLowestOpset) return result;
    ir::infer_shapes(model);
    Steps steps(*model.graph, options_.max_channels);
    std::vector<Region> regions = find_regions(steps);
    std::erase_if(regions, [&](const Region& region) {
      const std::string reason = why_not_worth(region, context.latency);
      for (Cell* cell : region.cells) cell->obstacle = reason;
      return !reason.empty();
    });
    add_remarks(steps, result);
    result.changes = rewrite_regions(*model.graph, regions);
    if (result.changes > 0) ir::infer_shapes(model);
    return result;
  }

 private:
  void add_remarks(const Steps& steps, PassResult& result) const {
    for (const auto& [node, reason] : steps.unfit())
      result.remarks.push_back({node->id(), reason});
    for (const auto& step : steps.steps())
      if (step->kind == StepKind::kConv && !step->output->obstacle.empty() &&
          step->output->channels <= options_.max_channels)
        result.remarks.push_back({step->node->id(), reason_of(*step->output)});
  }

  BlockPixelsOptions options_;
};

}  // namespace

int64_t BlockPixelsOptions::default_max_channels() {
#if defined(__x86_64__) || defined(_M_X64)
  return 16;
#else
  return 0;
#endif
}

std::unique_ptr<Pass> make_block_pixels(BlockPixelsOptions options) {
  return std::make_unique<BlockPixels>(options);
}

}  // namespace lathe::quantize
