// Weights in half the bytes, computing in float.
//
//   w -> Conv    becomes    w16 -> Cast -> Conv
//
// for float initializers of Conv, MatMul, Gather and whatever else reads them.
// bfloat16 has float's range and 8 bits of its precision; rounded to nearest
// even. ONNX Runtime computes a Cast of a constant when it loads the model, so
// the graph that runs is the one of before.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/ir/shape_inference.h"
#include "passes/quantize/narrow_floats.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::quantize {
namespace {

// Cast knows bfloat16 from here on.
constexpr int64_t kLowestOpset = 13;
constexpr int64_t kRaisedOpset = 17;

std::string refusal(const ir::Value& value, const ir::Tensor& rounded) {
  if (value.is_graph_input())
    return fmt::format(
        "'{}' is a model input that can be overridden at run time",
        value.name());
  if (value.is_graph_output())
    return fmt::format("'{}' is an output of the model", value.name());
  const auto from = value.tensor().data<float>();
  const auto to = rounded.to_floats();
  for (size_t i = 0; i < to.size(); ++i)
    if (std::isinf(to[i]) && !std::isinf(from[i]))
      return fmt::format("'{}' holds {:.3g}, which bfloat16 rounds to infinity",
                         value.name(), from[i]);
  return "";
}

class Bfloat16Weights final : public Pass {
 public:
  explicit Bfloat16Weights(Bfloat16Options options) : options_(options) {}

  std::string name() const override { return "bfloat16_weights"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    PassResult result;
    if (model.opset() < kLowestOpset)
      result.add(rewrite::make_raise_opset(kRaisedOpset)->run(model, context));
    result.add(rewrite::make_constants_to_initializers()->run(model, context));
    ir::for_each_graph(*model.graph,
                       [&](ir::Graph& graph) { convert(graph, result); });
    return result;
  }

 private:
  void convert(ir::Graph& graph, PassResult& result) const {
    ir::Node* first =
        graph.nodes().empty() ? nullptr : graph.nodes().front().get();
    for (ir::Value* value : graph.initializers()) {
      const ir::Tensor& tensor = value->tensor();
      if (tensor.type() != ir::DataType::kFloat || value->uses().empty() ||
          tensor.size() < options_.min_elements)
        continue;
      const ir::Tensor rounded = narrowed(tensor, ir::DataType::kBfloat16);
      if (std::string reason = refusal(*value, rounded); !reason.empty()) {
        result.remarks.push_back({value->uses()[0].node->id(), reason});
        continue;
      }
      ir::Value* stored =
          graph.add_constant(value->name() + "_bfloat16", rounded);
      ir::Node* cast = graph.add_node(
          "Cast", {stored}, std::vector<std::string>{value->name() + "_float"},
          first);
      cast->name = cast->output()->name() + "_Cast";
      cast->set_attr("to", static_cast<int64_t>(ir::DataType::kFloat));
      cast->output()->type = value->type;
      graph.replace_all_uses(value, cast->output());
      graph.remove_value(value);
      ++result.changes;
    }
  }

  Bfloat16Options options_;
};

}  // namespace

std::unique_ptr<Pass> make_bfloat16_weights(Bfloat16Options options) {
  return std::make_unique<Bfloat16Weights>(options);
}

}  // namespace lathe::quantize
