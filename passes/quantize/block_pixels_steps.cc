#include "passes/quantize/block_pixels_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "passes/quantize/block_pixels_sample.h"

namespace lathe::quantize {
namespace {

constexpr int64_t kLongestKernel = 7;
constexpr int64_t kLargestStride = 64;
// Sizes above count as unknown; a mask has an element for each of an image's.
constexpr int64_t kLargestDim = int64_t{1} << 20;
constexpr int64_t kMostElements = int64_t{1} << 26;

bool is_dequantize(const ir::Node* node) {
  return node && node->is("DequantizeLinear");
}

// The node that alone reads the value, as its first input.
ir::Node* only_reader(const ir::Value* value) {
  if (!value || value->is_graph_output() || value->uses().size() != 1 ||
      value->uses()[0].index != 0)
    return nullptr;
  ir::Node* reader = value->uses()[0].node;
  return &reader->graph() == &value->graph() ? reader : nullptr;
}

// Padding before the first pixel of an axis, or nullopt.
std::optional<int64_t> pad_before(const ir::Node& node, size_t axis,
                                  const Window& window) {
  const std::string mode = node.attr_string("auto_pad", "NOTSET");
  if (mode == "VALID") return 0;
  if (mode == "NOTSET") {
    const auto pads = node.attr_ints("pads", {0, 0, 0, 0});
    if (pads.size() != 4 || pads[axis] < 0) return std::nullopt;
    return pads[axis];
  }
  const int64_t total = std::max<int64_t>(
      (window.out - 1) * window.stride + window.kernel - window.in, 0);
  if (mode == "SAME_UPPER") return total / 2;
  if (mode == "SAME_LOWER") return total - total / 2;
  return std::nullopt;
}

}  // namespace

ir::Node* coded_constant(const ir::Node& conv, size_t input) {
  ir::Node* node = conv.input(input) ? conv.input(input)->producer() : nullptr;
  if (!is_dequantize(node)) return nullptr;
  for (const ir::Value* value : node->inputs())
    if (value && !value->is_constant()) return nullptr;
  const bool is_weights = input == 1;
  const ir::Tensor& codes = node->input(0)->tensor();
  if (codes.type() != (is_weights ? ir::DataType::kInt8 : ir::DataType::kInt32))
    return nullptr;
  if (codes.rank() != (is_weights ? 4 : 1)) return nullptr;
  const ir::Tensor& scale = node->input(1)->tensor();
  if (scale.rank() > 1 ||
      (scale.size() != 1 &&
       (scale.size() != codes.dims()[0] || node->attr_int("axis", 1) != 0)))
    return nullptr;
  if (const ir::Value* zero_point = node->input(2))
    for (int64_t code : zero_point->tensor().to_int64s())
      if (code != 0) return nullptr;
  return node;
}

Steps::Steps(ir::Graph& graph, int64_t max_channels)
    : max_channels_(max_channels) {
  for (const auto& node : graph.nodes())
    if (is_dequantize(node.get())) cell_of(node->input(0));
  for (const auto& node : graph.nodes()) {
    if (node->is("Conv"))
      read_conv(*node);
    else if (node->is("Add") || node->is("Mul") || node->is("LeakyRelu"))
      read_elementwise(*node);
    else if (node->is("MaxPool"))
      read_max_pool(*node);
    else if (node->is("Slice"))
      read_sample(*node);
  }
  for (const auto& cell : cells_) find_obstacles(*cell);
}

// Null where the value is no activation of four dimensions with one scale.
Cell* Steps::cell_of(ir::Value* codes) {
  if (!codes || codes->has_initializer() || !codes->type.shape ||
      codes->type.shape->size() != 4)
    return nullptr;
  if (auto found = by_codes_.find(codes); found != by_codes_.end())
    return found->second;
  Cell cell;
  cell.codes = codes;
  bool first = true;
  for (const ir::Use& use : codes->uses()) {
    if (!is_dequantize(use.node) || use.index != 0) continue;
    for (size_t i : {1, 2}) {
      const ir::Value* value = use.node->input(i);
      if (value && (!value->is_constant() || value->tensor().size() != 1))
        return nullptr;
    }
    const ir::Value* value = use.node->input(2);
    const int64_t zero_point = value ? value->tensor().to_int64s()[0] : 0;
    if (std::exchange(first, false)) cell.zero_point = zero_point;
    if (zero_point != cell.zero_point) return nullptr;
  }
  cell.writer = codes->producer();
  if (cell.writer && cell.writer->is("QuantizeLinear"))
    cell.writer = cell.writer->input(0)->producer();
  while (cell.writer && (cell.writer->is("Relu") || cell.writer->is("Clip")) &&
         cell.writer->input(0)->producer())
    cell.writer = cell.writer->input(0)->producer();
  const ir::Shape& shape = *codes->type.shape;
  const auto size = [&](size_t axis) {
    const int64_t value = shape[axis].value;
    return value < 0 || value > kLargestDim ? 0 : value;
  };
  cell.channels = size(1);
  cell.height = size(2);
  cell.width = size(3);
  cells_.push_back(std::make_unique<Cell>(std::move(cell)));
  return by_codes_[codes] = cells_.back().get();
}

Cell* Steps::cell_before(const ir::Node& node, size_t input) {
  const ir::Value* value = node.input(input);
  const ir::Node* dequantize = value ? value->producer() : nullptr;
  return is_dequantize(dequantize) ? cell_of(dequantize->input(0)) : nullptr;
}

// Adds the fused activation and the Q to the chain, and sets the output.
bool Steps::follow_to_codes(Step& step) {
  step.chain = {step.node};
  ir::Node* next = only_reader(step.node->output());
  if (next && (next->is("Relu") || next->is("Clip"))) {
    step.chain.push_back(next);
    next = only_reader(next->output());
  }
  if (!next || !next->is("QuantizeLinear")) return false;
  step.chain.push_back(next);
  step.output = cell_of(next->output());
  return step.output != nullptr;
}

void Steps::add(Step step) {
  steps_.push_back(std::make_unique<Step>(std::move(step)));
  Step* added = steps_.back().get();
  for (size_t i = 0; i < added->inputs.size(); ++i) {
    reads_[{added->node, i}] = added;
    added->inputs[i]->readers.push_back(added);
  }
  added->output->producer = added;
}

void Steps::read_conv(ir::Node& node) {
  const ir::Node* weights = coded_constant(node, 1);
  if (!weights || node.attr_int("group", 1) != 1) return;
  Step step;
  step.node = &node;
  const std::string reason = read_conv_into(node, step);
  if (reason.empty())
    add(std::move(step));
  else if (weights->input(0)->tensor().dims()[0] <= max_channels_)
    unfit_.emplace_back(&node, reason);
}

std::string Steps::read_conv_into(ir::Node& node, Step& step) {
  Cell* input = cell_before(node, 0);
  if (!input) return "its input is no image of codes with one scale";
  step.inputs = {input};
  if (node.input(2) && !coded_constant(node, 2))
    return "its bias is no constant of int32 codes";
  if (!follow_to_codes(step)) return "its result is not quantized alone";
  for (int64_t dilation : node.attr_ints("dilations"))
    if (dilation != 1) return "its taps lie apart";
  const auto& dims = node.input(1)->producer()->input(0)->tensor().dims();
  const auto strides = node.attr_ints("strides", {1, 1});
  if (strides.size() != 2) return "its strides are not two";
  const int64_t in[] = {input->height, input->width};
  const int64_t out[] = {step.output->height, step.output->width};
  for (size_t axis : {0, 1}) {
    Window& window = axis == 0 ? step.rows : step.columns;
    if (in[axis] == 0 || out[axis] == 0)
      return "the size of its image is not known";
    window = {dims[2 + axis], strides[axis], 0, in[axis], out[axis]};
    if (window.stride < 1 || window.stride > kLargestStride)
      return "its strides are out of range";
    if (window.kernel < 1 || window.kernel > kLongestKernel)
      return fmt::format("its kernel is longer than {}", kLongestKernel);
    const auto pad = pad_before(node, axis, window);
    if (!pad || *pad >= window.kernel)
      return "its padding is not that of a window";
    window.pad = *pad;
  }
  return "";
}

void Steps::read_elementwise(ir::Node& node) {
  Step step;
  step.kind = StepKind::kElementwise;
  step.node = &node;
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    Cell* cell = cell_before(node, i);
    if (!cell) return;
    step.inputs.push_back(cell);
  }
  if (!follow_to_codes(step)) return;
  for (const Cell* cell : step.inputs)
    if (ir::to_dims(*cell->codes->type.shape) !=
        ir::to_dims(*step.output->codes->type.shape))
      return;
  add(std::move(step));
}

void Steps::read_max_pool(ir::Node& node) {
  using Ints = std::vector<int64_t>;
  Step step;
  step.kind = StepKind::kMaxPool;
  step.node = &node;
  Cell* cell = cell_before(node, 0);
  const Ints two = {2, 2}, one = {1, 1};
  if (!cell || node.attr_ints("kernel_shape") != two ||
      node.attr_ints("strides", one) != two ||
      node.attr_ints("dilations", one) != one ||
      node.attr_ints("pads", {0, 0, 0, 0}) != Ints{0, 0, 0, 0} ||
      node.outputs().size() != 1)
    return;
  step.inputs = {cell};
  if (!follow_to_codes(step) || step.chain.size() != 2 ||
      !same_parameters(*step.chain[1], *node.input(0)->producer()))
    return;
  step.output->obstacle = "its result is that of a MaxPool";
  add(std::move(step));
}

void Steps::read_sample(ir::Node& node) {
  Cell* cell = cell_before(node, 0);
  if (!cell || cell->channels == 0) return;
  std::optional<SampleChain> chain =
      follow_sample(node, cell->channels, cell->height, cell->width);
  if (!chain) return;
  Step step;
  step.kind = StepKind::kSample;
  step.node = &node;
  step.chain = chain->nodes;
  step.inputs = {cell};
  step.output = cell_of(chain->nodes.back()->output());
  if (!step.output) return;
  step.rows = chain->rows;
  step.columns = chain->columns;
  step.channels = std::move(chain->channels);
  add(std::move(step));
}

void Steps::find_obstacles(Cell& cell) {
  if (!cell.obstacle.empty()) return;
  auto& reason = cell.obstacle;
  if (!cell.producer) {
    reason = "it writes no blocks";
  } else if (cell.codes->type.elem != ir::DataType::kUint8) {
    reason = fmt::format(
        "its result has {} codes, around whose masks the runtime computes in "
        "float",
        ir::to_string(cell.codes->type.elem));
  } else if (cell.channels == 0 || cell.height == 0 || cell.width == 0) {
    reason = "the size of its result is not known";
  } else if (cell.channels > max_channels_) {
    reason = fmt::format("its result has {} channels, more than {}",
                         cell.channels, max_channels_);
  } else if (cell.channels * cell.height > kMostElements / cell.width) {
    reason = "its result is too large for a mask";
  } else if (cell.height % 2 != 0 || cell.width % 2 != 0) {
    reason = fmt::format("its result of {}x{} pixels has an odd size",
                         cell.height, cell.width);
  } else if (cell.codes->is_graph_output()) {
    reason = "its result leaves the graph";
  }
  const auto claimed = [&](const ir::Use& use) {
    return reads_.contains({use.node, use.index});
  };
  for (const ir::Use& use : cell.codes->uses()) {
    if (!reason.empty()) return;
    if (!is_dequantize(use.node) || use.index != 0) {
      reason = "its result is read as codes by " + use.node->label();
      return;
    }
    const ir::Value* real = use.node->output();
    if (real->is_graph_output()) reason = "its result leaves the graph";
    for (const ir::Use& read : real->uses())
      if (reason.empty() && !claimed(read))
        reason = fmt::format("its result is read by {}, which reads no blocks",
                             read.node->label());
  }
}

}  // namespace lathe::quantize
