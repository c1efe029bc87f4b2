// A QDQ graph as integer steps between activations, for block_pixels.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::quantize {

// A window along one spatial axis: input pixel = stride * output pixel - pad +
// tap. A negative pad skips pixels at the start.
struct Window {
  int64_t kernel = 1, stride = 1, pad = 0;
  int64_t in = 0, out = 0;  // pixels
};

struct Step;

// An activation [N, C, H, W] as codes.
struct Cell {
  ir::Value* codes = nullptr;
  // C, H, W; 0 where not known.
  int64_t channels = 0, height = 0, width = 0;
  int64_t zero_point = 0;
  const ir::Node* writer = nullptr;  // of its real values; null: an input
  Step* producer = nullptr;
  std::vector<Step*> readers;
  // Why it must stay as it is, a sentence about the result of a node; empty: it
  // need not. `cause` is the cell that it follows from, if it is another's.
  std::string obstacle;
  const Cell* cause = nullptr;
};

enum class StepKind {
  kConv,         // DQ -> Conv (-> Relu or Clip) -> Q
  kSample,       // Slices that take every second pixel, and Pad of channels
  kElementwise,  // DQ -> Add, Mul or LeakyRelu (-> Relu or Clip) -> Q
  kMaxPool,      // 2x2 with stride 2, on codes
};

struct Step {
  StepKind kind = StepKind::kConv;
  ir::Node* node = nullptr;  // the operator; of a sample the first Slice
  // The nodes from `node` to the one that writes the output's codes.
  std::vector<ir::Node*> chain;
  std::vector<Cell*> inputs;
  Cell* output = nullptr;
  Window rows, columns;  // kConv, kSample
  std::vector<int64_t>
      channels;  // kSample: the input's for each output's, or -1

  bool has_window() const { return kind != StepKind::kElementwise; }
};

class Steps {
 public:
  // Types must be inferred. Only the top-level graph is read. Cells have
  // obstacles where a reader or the producer is no step, where the size is not
  // known or odd, and above `max_channels`.
  Steps(ir::Graph& graph, int64_t max_channels);

  // In the order of the graph.
  const std::vector<std::unique_ptr<Cell>>& cells() const { return cells_; }
  const std::vector<std::unique_ptr<Step>>& steps() const { return steps_; }
  // Quantized convolutions of at most max_channels outputs and one group that
  // are no step, and why.
  const std::vector<std::pair<ir::Node*, std::string>>& unfit() const {
    return unfit_;
  }

 private:
  Cell* cell_of(ir::Value* codes);
  Cell* cell_before(const ir::Node& node, size_t input);
  void read_conv(ir::Node& node);
  std::string read_conv_into(ir::Node& node, Step& step);
  void read_elementwise(ir::Node& node);
  void read_max_pool(ir::Node& node);
  void read_sample(ir::Node& node);
  bool follow_to_codes(Step& step);
  void add(Step step);
  void find_obstacles(Cell& cell);

  int64_t max_channels_;
  std::vector<std::unique_ptr<Cell>> cells_;
  std::vector<std::unique_ptr<Step>> steps_;
  std::map<const ir::Value*, Cell*> by_codes_;
  std::map<std::pair<const ir::Node*, size_t>, Step*> reads_;
  std::vector<std::pair<ir::Node*, std::string>> unfit_;
};

// A convolution's weights (input 1) or bias (input 2): constant codes behind a
// DequantizeLinear. Null where they are something else, or where a zero point
// is not 0.
ir::Node* coded_constant(const ir::Node& conv, size_t input);

}  // namespace lathe::quantize
