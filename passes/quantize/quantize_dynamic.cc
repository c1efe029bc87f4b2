// Dynamic int8 quantization: no data is needed, activations are quantized while
// the model runs.
//
//   x -> MatMul(w) (-> Add(b)) -> y    becomes
//   x -> DynamicQuantizeLinear -> MatMulInteger(w8) -> Cast -> Mul (-> Add) ->
//   y
//                         `-> Mul(scale_w) ------------------'
//
// and Gemm likewise, its bias as the Add. ONNX Runtime fuses this at the
// extended level to DynamicQuantizeMatMul, or to MatMulIntegerToFloat where
// several products read the same quantized input: the scales must be multiplied
// input first, and the bias be the Add's second operand, constant, of one value
// a column. Source: its matmul_integer_to_float.cc and
// dynamic_quantize_matmul_fusion.cc; checked in optimized graphs of version
// 1.30. An LSTM becomes com.microsoft's DynamicQuantizeLSTM, the weights
// transposed. ConvInteger, the dynamic form of Conv, is slower than Conv.
//
// Formulas: DynamicQuantizeLinear of ONNX; weights as in weights.cc.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "passes/base/error.h"
#include "passes/device_traits.h"
#include "passes/ir/shape_inference.h"
#include "passes/quantize/dynamic_refusals.h"
#include "passes/quantize/dynamic_weights.h"
#include "passes/quantize/left_alone.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/saturation.h"
#include "passes/quantize/weights.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::quantize {
namespace {

using Reason = std::optional<std::string>;

// The runtime fuses nothing at opset 10 and below.
constexpr int64_t kLowestOpset = 13;
constexpr int64_t kRaisedOpset = 17;
constexpr const char* kMicrosoft = "com.microsoft";

class Rewriter {
 public:
  Rewriter(ir::Model& model, const DynamicOptions& options, PassResult& result)
      : model_(model), options_(options), result_(result), coder_(options) {}

  void run() {
    result_.add({0, unknown_node_remarks(*model_.graph, options_.exclude_nodes,
                                         "exclude_nodes")});
    ir::for_each_graph(*model_.graph, [this](ir::Graph& graph) {
      inputs_.clear();
      for (ir::Node* node : graph.node_list())
        if (is_compute(*node)) visit(*node);
    });
    for (const ir::Function& function : model_.functions)
      ir::for_each_graph(*function.body, [&](ir::Graph& body) {
        for (ir::Node* node : body.node_list())
          if (is_compute(*node))
            leave(*node, "it stands in function '" + function.name +
                             "', which is left as it is");
      });
    drop_replaced();
  }

 private:
  void leave(const ir::Node& node, std::string reason) {
    result_.remarks.push_back({node.id(), std::move(reason)});
  }

  Reason exclusion(const ir::Node& node) const {
    if (std::ranges::count(options_.exclude_nodes, node.id()))
      return "exclude_nodes names it";
    if (std::ranges::count(options_.exclude_operators, node.op_type))
      return fmt::format("exclude_operators names {}", node.op_type);
    return std::nullopt;
  }

  void visit(ir::Node& node) {
    Reason reason = exclusion(node);
    if (!reason) reason = dynamic_refusal(node);
    if (!reason && weight_elements(node) < options_.min_elements)
      reason = fmt::format(
          "its weights have {} elements; below {} quantizing the input costs "
          "more than the integer kernel saves",
          weight_elements(node), options_.min_elements);
    if (reason) return leave(node, *reason);
    ++result_.changes;
    at_ = &node;
    if (node.is("LSTM"))
      replace_lstm(node);
    else
      replace_product(node);
  }

  void note_narrowed(const ir::Node& node, const DynamicWeights& weights) {
    if (weights.narrowed) leave(node, kSaturationRemark);
  }

  // Before the node being replaced, with one output of that shape.
  ir::Node* add(const char* op, const std::string& base,
                std::vector<ir::Value*> inputs, ir::DataType type,
                const ir::ValueType& shape_of) {
    const std::string name = base + "_" + op;
    ir::Node* node = at_->graph().add_node(op, std::move(inputs),
                                           std::vector<std::string>{name}, at_);
    node->name = node->output()->name();
    node->output()->type.shape = shape_of.shape;
    node->output()->type.elem = type;
    return node;
  }

  // DynamicQuantizeLinear of the value, shared by its readers in one graph.
  ir::Node* quantized(ir::Value* value) {
    ir::Node*& node = inputs_[value];
    if (node) return node;
    const std::string& name = value->name();
    node = at_->graph().add_node(
        "DynamicQuantizeLinear", {value},
        std::vector<std::string>{name + "_quantized", name + "_scale",
                                 name + "_zero_point"},
        at_);
    node->name = node->output()->name();
    node->output(0)->type = value->type;
    for (size_t i : {0, 2}) node->output(i)->type.elem = ir::DataType::kUint8;
    node->output(1)->type.elem = ir::DataType::kFloat;
    for (size_t i : {1, 2}) node->output(i)->type.shape = ir::Shape{};
    return node;
  }

  // The node itself becomes the last of the chain, so that its name and output
  // stay.
  void replace_product(ir::Node& node) {
    const bool is_gemm = node.is("Gemm");
    ir::Value *y = node.output(), *w = node.input(1),
              *bias = is_gemm ? node.input(2) : nullptr;
    const DynamicWeights weights =
        coder_.matrix(w, is_gemm && node.attr_int("transB", 0),
                      is_gemm ? node.attr_float("alpha", 1) : 1);
    note_narrowed(node, weights);
    replace(w);
    if (bias && bias->is_constant()) {
      ir::Value* row = added_bias(*bias, weights.codes->tensor().dims()[1],
                                  node.attr_float("beta", 1));
      if (row != bias) replace(bias);
      bias = row;
    }
    const std::string base = y->name();
    const ir::Node* x = quantized(node.input(0));
    std::vector<ir::Value*> operands{x->output(0), weights.codes, x->output(2)};
    if (weights.zero_point) operands.push_back(weights.zero_point);
    ir::Node* product =
        add("MatMulInteger", base, operands, ir::DataType::kInt32, y->type);
    ir::Node* real =
        add("Cast", base, {product->output()}, ir::DataType::kFloat, y->type);
    real->set_attr("to", static_cast<int64_t>(ir::DataType::kFloat));
    ir::Node* scale = add("Mul", base + "_scale", {x->output(1), weights.scale},
                          ir::DataType::kFloat, weights.scale->type);
    std::vector<ir::Value*> last{real->output(), scale->output()};
    if (bias)
      last = {add("Mul", base, last, ir::DataType::kFloat, y->type)->output(),
              bias};
    become(node, bias ? "Add" : "Mul", last);
    if (!bias) put_constant_second(*y);
  }

  static void become(ir::Node& node, const char* op,
                     const std::vector<ir::Value*>& inputs) {
    node.op_type = op;
    while (!node.attributes().empty())
      node.remove_attribute(std::string(node.attributes().front().first));
    node.resize_inputs(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) node.set_input(i, inputs[i]);
  }

  // Gemm's bias as the runtime wants it for its fusion: one value a column.
  static ir::Value* added_bias(ir::Value& bias, int64_t columns, float beta) {
    std::vector<float> values = bias.tensor().to_floats();
    std::vector<int64_t> dims = bias.tensor().dims();
    if (values.size() == 1) {
      values.assign(static_cast<size_t>(columns), values[0]);
      dims = {columns};
    } else if (beta == 1) {
      return &bias;
    }
    for (float& value : values) value *= beta;
    return bias.graph().add_constant(bias.name() + "_row",
                                     ir::Tensor::from<float>(dims, values));
  }

  // The sum after a MatMul: the runtime looks for the constant on the right.
  static void put_constant_second(const ir::Value& product) {
    if (product.uses().size() != 1 || product.is_graph_output()) return;
    const ir::Use use = product.uses()[0];
    if (!use.node->is("Add") || use.index != 1) return;
    ir::Value* left = use.node->input(0);
    if (!left || !left->is_constant()) return;
    ir::Value* right = use.node->input(1);
    use.node->set_input(0, right);
    use.node->set_input(1, left);
  }

  void replace_lstm(ir::Node& node) {
    const int64_t hidden = node.input(2)->tensor().dims()[2];
    const DynamicWeights weights = coder_.recurrent(node.input(1)),
                         recurrence = coder_.recurrent(node.input(2));
    note_narrowed(node, {nullptr, nullptr, nullptr,
                         weights.narrowed || recurrence.narrowed});
    for (size_t i : {1, 2}) replace(node.input(i));
    node.op_type = "DynamicQuantizeLSTM";
    node.domain = kMicrosoft;
    node.remove_attribute("layout");
    node.set_attr("hidden_size", hidden);
    size_t at = 8;
    for (const DynamicWeights* one : {&weights, &recurrence}) {
      node.set_input(at == 8 ? 1 : 2, one->codes);
      node.set_input(at++, one->scale);
      node.set_input(at++, one->zero_point);
    }
    model_.opset_imports.try_emplace(kMicrosoft, 1);
  }

  void replace(ir::Value* constant) {
    if (std::ranges::find(replaced_, constant) == replaced_.end())
      replaced_.push_back(constant);
  }

  // Float constants that codes stand for now.
  void drop_replaced() {
    for (ir::Value* value : replaced_) {
      if (value->unused()) {
        value->graph().remove_value(value);
        continue;
      }
      const std::string reader = value->uses().empty()
                                     ? "the model's outputs"
                                     : value->uses()[0].node->label();
      result_.remarks.push_back(
          {"", fmt::format("'{}' is stored twice, as codes and in float: {} "
                           "reads it in float",
                           value->name(), reader)});
    }
  }

  ir::Model& model_;
  const DynamicOptions& options_;
  PassResult& result_;
  DynamicCoder coder_;
  // The node being replaced; new ones go before it.
  ir::Node* at_ = nullptr;
  std::map<ir::Value*, ir::Node*> inputs_;  // of the graph being visited
  std::vector<ir::Value*> replaced_;
};

class QuantizeDynamic final : public Pass {
 public:
  explicit QuantizeDynamic(DynamicOptions options)
      : options_(std::move(options)) {}

  std::string name() const override { return "quantize_dynamic"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    require_weight_bits(options_.weight_bits, name());
    if (options_.weight_type != ir::DataType::kInt8 &&
        options_.weight_type != ir::DataType::kUint8)
      throw Error(ErrorKind::kUsage, name(),
                  std::string("weight type is ") +
                      ir::to_string(options_.weight_type) +
                      ", expected int8 or uint8");
    DynamicOptions options = options_;
    if (!options.pairs_saturate)
      options.pairs_saturate = context.device && context.device->pairs_saturate;
    PassResult result;
    if (model.opset() < kLowestOpset)
      result.add(rewrite::make_raise_opset(kRaisedOpset)->run(model, context));
    ir::infer_shapes(model);
    Rewriter(model, options, result).run();
    return result;
  }

 private:
  DynamicOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_quantize_dynamic(DynamicOptions options) {
  return std::make_unique<QuantizeDynamic>(std::move(options));
}

}  // namespace lathe::quantize
