#include "passes/quantize/block_pixels_rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "passes/affine.h"
#include "passes/quantize/block_pixels_weights.h"

namespace lathe::quantize {
namespace {

class Rewriter {
 public:
  explicit Rewriter(ir::Graph& graph) : graph_(graph) {}

  int64_t rewrite(const Region& region) {
    for (const Step* step : region.steps) {
      if (step->kind == StepKind::kConv) rewrite_conv(*step, region);
      if (step->kind == StepKind::kSample) rewrite_sample(*step, region);
      if (step->kind == StepKind::kMaxPool) rewrite_max_pool(*step);
    }
    for (const Cell* cell : region.cells)
      if (region.masked.contains(cell)) mask(*cell, region.layout(cell));
    return std::ranges::count_if(
        region.steps, [](const Step* step) { return step->has_window(); });
  }

  void drop_unused() {
    for (ir::Value* value : old_)
      if (value->is_constant() && value->unused()) graph_.remove_value(value);
  }

 private:
  void rewrite_conv(const Step& step, const Region& region) {
    ir::Node& conv = *step.node;
    const BlockLayout in = region.layout(step.inputs[0]),
                      out = region.layout(step.output);
    const AxisPlan rows = *plan_axis(step.rows, in.rows, out.rows),
                   columns = *plan_axis(step.columns, in.columns, out.columns);
    replace_constant(conv, 1,
                     block_weights(codes(conv, 1), rows, columns, in, out),
                     out.fold());
    if (conv.input(2))
      replace_constant(conv, 2, tiled(codes(conv, 2), out.fold()), out.fold());
    conv.remove_attribute("auto_pad");
    set_window(conv, rows, columns);
  }

  static const ir::Tensor& codes(const ir::Node& conv, size_t input) {
    return conv.input(input)->producer()->input(0)->tensor();
  }

  static void set_window(ir::Node& conv, const AxisPlan& rows,
                         const AxisPlan& columns) {
    using Ints = std::vector<int64_t>;
    conv.set_attr("kernel_shape", Ints{rows.kernel, columns.kernel});
    conv.set_attr("strides", Ints{rows.stride, columns.stride});
    conv.set_attr("pads", Ints{rows.pad_begin, columns.pad_begin, rows.pad_end,
                               columns.pad_end});
  }

  // The constant of a convolution behind a DQ of its own.
  void replace_constant(ir::Node& conv, size_t input, ir::Tensor tensor,
                        int64_t times) {
    ir::Node* old = conv.input(input)->producer();
    std::vector<ir::Value*> inputs = {
        constant(old->input(0), std::move(tensor))};
    for (size_t i = 1; i < old->inputs().size(); ++i)
      inputs.push_back(old->input(i) ? repeated(old->input(i), times)
                                     : nullptr);
    ir::Node* made = graph_.add_node(
        "DequantizeLinear", inputs,
        std::vector<std::string>{blocked(old->output()->name())}, &conv);
    made->name = made->output()->name();
    if (old->has_attribute("axis"))
      made->set_attr("axis", old->attr_int("axis", 0));
    made->output()->type.elem = ir::DataType::kFloat;
    conv.set_input(input, made->output());
    if (old->output()->unused()) remove(old);
  }

  ir::Value* repeated(ir::Value* per_channel, int64_t times) {
    const ir::Tensor& tensor = per_channel->tensor();
    if (times == 1 || tensor.rank() == 0) return per_channel;
    return constant(per_channel, tiled(tensor, times));
  }

  ir::Value* constant(ir::Value* old, ir::Tensor tensor) {
    old_.insert(old);
    return graph_.add_constant(blocked(old->name()), std::move(tensor));
  }

  static std::string blocked(const std::string& name) {
    return name + "_blocked";
  }

  void remove(ir::Node* node) {
    for (ir::Value* value : node->inputs())
      if (value && value->is_constant()) old_.insert(value);
    graph_.remove_node(node);
  }

  // The chain becomes a convolution whose weights are 1 with scale 1: what it
  // reads comes out with the same codes.
  void rewrite_sample(const Step& step, const Region& region) {
    const Cell& input = *step.inputs[0];
    const BlockLayout in = region.layout(&input),
                      out = region.layout(step.output);
    const AxisPlan rows = *plan_axis(step.rows, in.rows, out.rows),
                   columns = *plan_axis(step.columns, in.columns, out.columns);
    ir::Node* last = step.chain.back();
    ir::Value* old = last->output();
    const std::string name = step.node->output()->name();
    ir::Node* weights = graph_.add_node(
        "DequantizeLinear",
        {graph_.add_constant(
             name + "_weights",
             block_weights(selecting_weights(step.channels, input.channels),
                           rows, columns, in, out)),
         graph_.add_constant(name + "_weights_scale", ir::Tensor::scalar(1.0f)),
         graph_.add_constant(name + "_weights_zero_point",
                             ir::Tensor::scalar(int8_t{0}))},
        std::vector<std::string>{name + "_weights_DequantizeLinear"}, last);
    ir::Node* dequantize = step.node->input(0)->producer();
    ir::Node* conv =
        graph_.add_node("Conv", {dequantize->output(), weights->output()},
                        std::vector<std::string>{name + "_sampled"}, last);
    set_window(*conv, rows, columns);
    std::vector<ir::Value*> parameters = dequantize->inputs();
    parameters[0] = conv->output();
    ir::Node* quantize = graph_.add_node(
        "QuantizeLinear", parameters,
        std::vector<std::string>{name + "_sampled_QuantizeLinear"}, last);
    for (ir::Node* node : {weights, conv, quantize})
      node->name = node->output()->name();
    weights->output()->type.elem = conv->output()->type.elem =
        ir::DataType::kFloat;
    quantize->output()->type.elem = old->type.elem;
    graph_.replace_all_uses(old, quantize->output());
    for (auto node = step.chain.rbegin(); node != step.chain.rend(); ++node)
      remove(*node);
  }

  // The four pixels of a block are four runs of channels: the largest of each.
  void rewrite_max_pool(const Step& step) {
    const Cell& input = *step.inputs[0];
    ir::Node *pool = step.node, *quantize = step.chain.back();
    ir::Value* old = quantize->output();
    const std::string name = pool->output()->name();
    std::vector<std::string> parts;
    for (int i = 0; i < 4; ++i) parts.push_back(fmt::format("{}_{}", name, i));
    const std::vector<int64_t> sizes(4, input.channels);
    ir::Node* split = graph_.add_node(
        "Split",
        {input.codes,
         graph_.add_constant(name + "_sizes", ir::Tensor::vector_i64(sizes))},
        parts, quantize);
    split->set_attr("axis", int64_t{1});
    ir::Node* max =
        graph_.add_node("Max", split->outputs(),
                        std::vector<std::string>{name + "_codes"}, quantize);
    split->name = name + "_split";
    max->name = max->output()->name();
    for (ir::Value* part : split->outputs()) part->type.elem = old->type.elem;
    max->output()->type.elem = old->type.elem;
    ir::Node* dequantize = pool->input(0)->producer();
    graph_.replace_all_uses(old, max->output());
    remove(quantize);
    remove(pool);
    if (dequantize->output()->unused()) remove(dequantize);
  }

  // Codes outside the image become zero's.
  void mask(const Cell& cell, const BlockLayout& layout) {
    ir::Value* codes = cell.codes;
    const ir::DataType type = codes->type.elem;
    const CodeRange range = code_range(type);
    ir::Node* writer = codes->producer();
    const std::vector<ir::Use> readers = codes->uses();
    ir::Node* before = next_of(writer);
    ir::Value* result = codes;
    const auto limit = [&](const char* op, int64_t inside) {
      ir::Node* node = graph_.add_node(
          op, {result, mask_constant(cell, layout, inside)},
          std::vector<std::string>{codes->name() + "_masked"}, before);
      node->name = node->output()->name();
      node->output()->type = codes->type;
      result = node->output();
    };
    if (cell.zero_point < range.high) limit("Min", range.high);
    if (cell.zero_point > range.low) limit("Max", range.low);
    for (const ir::Use& use : readers) use.node->set_input(use.index, result);
  }

  ir::Node* next_of(const ir::Node* node) const {
    const auto& nodes = graph_.nodes();
    for (auto it = nodes.begin(); it != nodes.end(); ++it)
      if (it->get() == node) return std::next(it)->get();
    return nullptr;
  }

  ir::Value* mask_constant(const Cell& cell, const BlockLayout& layout,
                           int64_t inside) {
    const ir::DataType type = cell.codes->type.elem;
    ir::Value*& mask = masks_[{
        cell.channels, cell.height, cell.width, layout.rows.shift,
        layout.columns.shift, static_cast<int>(type), cell.zero_point, inside}];
    if (!mask)
      mask = graph_.add_constant(
          "block_mask", block_mask(layout, cell.channels, cell.height,
                                   cell.width, type, inside, cell.zero_point));
    return mask;
  }

  ir::Graph& graph_;
  std::set<ir::Value*> old_;
  std::map<std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int, int64_t,
                      int64_t>,
           ir::Value*>
      masks_;
};

}  // namespace

int64_t rewrite_regions(ir::Graph& graph, const std::vector<Region>& regions) {
  Rewriter rewriter(graph);
  int64_t changes = 0;
  for (const Region& region : regions) changes += rewriter.rewrite(region);
  rewriter.drop_unused();
  return changes;
}

}  // namespace lathe::quantize
