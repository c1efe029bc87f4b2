// Puts QuantizeLinear and DequantizeLinear around the selected nodes.
//
//   before   x -> Conv(w, b) -> Relu -> y,   y read by Add and by a float node
//   after    x -> Q -> DQ -> Conv(DQ(w8), DQ(b32)) -> Relu -> Q -> DQ -> Add
//                                                              `-> DQ -> float
//
// - A value has one Q and, as the runtime's groups want it, a DQ of its own for
//   each quantized reader; all float readers and the graph output share one.
// - A value computed in float keeps its float readers; only quantized ones get
//   codes.
// - Shape and Size read the codes, so that no DQ runs for them.
// - Pad, Relu and Clip of role kCodes read and write the codes themselves:
//   Pad's fill becomes its code, Relu becomes Clip at zero's code.
// - Weights and biases become int8 and int32 constants behind DQs.
#include "passes/quantize/insert_qdq.h"

#include <cmath>
#include <map>
#include <set>

#include "passes/quantize/keep_matmul_bias.h"
#include "passes/quantize/pad_channels.h"
#include "passes/quantize/saturation.h"
#include "passes/quantize/weights.h"

namespace lathe::quantize {
namespace {

class Inserter {
 public:
  Inserter(ir::Model& model, const Selection& selection,
           const Parameters& parameters, const QuantizeOptions& options,
           bool outline)
      : outline_(outline),
        graph_(*model.graph),
        selection_(selection),
        parameters_(parameters),
        options_(options),
        coder_(graph_) {}

  std::vector<Remark> run() {
    std::vector<ir::Node*> nodes = graph_.node_list();
    for (size_t i = 0; i + 1 < nodes.size(); ++i)
      next_[nodes[i]] = nodes[i + 1];
    first_ = nodes.empty() ? nullptr : nodes[0];
    for (ir::Value* value : parameters_.values()) code_value(value);
    for (ir::Node* node : nodes) code_constants(*node);
    for (ir::Value* value : replaced_)
      if (value->unused() && !value->is_graph_input())
        graph_.remove_value(value);
    return std::move(remarks_);
  }

 private:
  struct Codes {
    ir::Value* value;
    CodedConstant parameters;
  };

  const CodedConstant& parameters_of(const ir::Value* value) {
    const ir::Value* root = parameters_.root(value);
    auto it = shared_.find(root);
    if (it == shared_.end())
      it = shared_
               .emplace(root, coder_.activation(root->name(),
                                                parameters_.affine(root),
                                                options_.activation_type))
               .first;
    return it->second;
  }

  ir::Node* add(const char* op, const std::string& base, ir::Value* input,
                const CodedConstant& parameters, ir::DataType type,
                ir::Node* before) {
    std::vector<ir::Value*> inputs{input, parameters.scale};
    if (parameters.zero_point) inputs.push_back(parameters.zero_point);
    ir::Node* node =
        graph_.add_node(op, inputs, {base + "_" + std::string(op)}, before);
    node->name = node->output()->name();
    node->output()->type.elem = type;
    node->output()->type.shape = input->type.shape;
    if (parameters.axis) node->set_attr("axis", *parameters.axis);
    return node;
  }

  ir::Value* dequantize(const std::string& base, ir::Value* codes,
                        const CodedConstant& parameters, ir::Node* before) {
    return add("DequantizeLinear", base, codes, parameters,
               ir::DataType::kFloat, before)
        ->output();
  }

  void code_value(ir::Value* value) {
    const std::string name = value->name();
    const CodedConstant parameters = parameters_of(value);
    ir::Node* producer = value->producer();
    ir::Node* after = producer ? next_[producer] : first_;
    bool on_codes = selection_.has_role(producer, Role::kCodes);

    std::vector<ir::Use> readers, shape_readers, float_readers;
    for (const ir::Use& use : value->uses()) {
      if (selection_.reads(use))
        readers.push_back(use);
      else if (use.node->is("Shape") || use.node->is("Size"))
        shape_readers.push_back(use);
      else
        float_readers.push_back(use);
    }
    ir::Value* codes = value;
    if (on_codes) {
      work_on_codes(*producer, parameters);
      value->type.elem = options_.activation_type;
    } else {
      codes = add("QuantizeLinear", name, value, parameters,
                  options_.activation_type, after)
                  ->output();
    }
    for (const ir::Use& use : readers) {
      const bool reads_codes = selection_.has_role(use.node, Role::kCodes);
      ir::Value* read =
          reads_codes ? codes : dequantize(name, codes, parameters, use.node);
      use.node->set_input(use.index, read);
      coded_[read] = value;
    }
    if (!selection_.contains(producer)) return;  // it stays there in float

    for (const ir::Use& use : shape_readers)
      use.node->set_input(use.index, codes);
    if (!float_readers.empty() || value->is_graph_output()) {
      ir::Value* real = dequantize(name, codes, parameters, after);
      for (const ir::Use& use : float_readers)
        use.node->set_input(use.index, real);
      if (value->is_graph_output()) hand_over_output(value, real);
    }
    if (value->name() != name || on_codes)
      graph_.rename(value, graph_.unique_name(
                               name + (on_codes ? "_quantized" : "_float")));
  }

  // `real` becomes the graph output under the name of `value`, whose other uses
  // stay.
  void hand_over_output(ir::Value* value, ir::Value* real) {
    std::vector<ir::Use> uses = value->uses();
    graph_.replace_all_uses(value, real);
    for (const ir::Use& use : uses) use.node->set_input(use.index, value);
  }

  // The node's data input is on codes already (inputs come first).
  void work_on_codes(ir::Node& node, const CodedConstant& parameters) {
    ir::DataType type = options_.activation_type;
    const Affine& affine = parameters_.affine(node.output());
    auto code_of = [&](float value) {
      double code = to_code(value, affine, code_range(type));
      return graph_.add_constant(
          node.output()->name() + "_bound",
          ir::Tensor::from_doubles(type, {}, std::span(&code, 1)));
    };
    if (node.is("Pad")) {
      bool constant = node.attr_string("mode", "constant") == "constant";
      if (ir::Value* fill = node.input(2)) {
        node.set_input(2, code_of(fill->tensor().to_floats()[0]));
        replaced_.insert(fill);
      } else if (constant) {
        node.set_input(2, parameters.zero_point);
      }
      return;
    }
    Range bounds = *clip_bounds(node);
    for (size_t i : {1, 2})
      if (ir::Value* bound = node.input(i)) replaced_.insert(bound);
    node.op_type = "Clip";
    node.resize_inputs(1);
    if (std::isfinite(bounds.min)) node.set_input(1, code_of(bounds.min));
    if (std::isfinite(bounds.max)) node.set_input(2, code_of(bounds.max));
  }

  void code_constants(ir::Node& node) {
    auto it = selection_.roles.find(&node);
    if (it == selection_.roles.end()) return;
    if (it->second == Role::kCompute) return code_weights(node);
    if (it->second != Role::kArithmetic) return;
    for (size_t i : data_inputs(node, it->second)) {
      ir::Value* value = node.input(i);
      if (!value->is_constant()) continue;
      CodedConstant coded = coder_.operand(value, options_.activation_type,
                                           options_.activation_symmetric);
      use_constant(node, i, coded);
    }
  }

  void use_constant(ir::Node& node, size_t index, const CodedConstant& coded) {
    ir::Value* value = node.input(index);
    node.set_input(index, dequantize(value->name(), coded.codes, coded, &node));
    replaced_.insert(value);
  }

  std::optional<int64_t> channel_axis(const ir::Node& node) const {
    if (!options_.per_channel) return std::nullopt;
    if (node.is("Conv")) return 0;
    if (node.is("Gemm")) return node.attr_int("transB", 0) ? 0 : 1;
    // MatMul: one scale a column for a matrix; stacks of them have one.
    if (node.input(1)->tensor().rank() == 2) return 1;
    return std::nullopt;
  }

  void code_weights(ir::Node& node) {
    ir::Value* weights = node.input(1);
    ir::Value* bias = node.is("MatMul") ? nullptr : node.input(2);
    // The input is a DQ now; its scale is what the parameters say.
    float input_scale =
        node.input(0)->producer()->input(1)->tensor().data<float>()[0];
    std::optional<int64_t> axis = channel_axis(node);
    const ir::Tensor& tensor = weights->tensor();
    auto scales_for = [&](int32_t max_code) {
      if (outline_)
        return std::vector<float>(axis ? tensor.dims()[*axis] : 1, 1.0f);
      return weight_scales(tensor, axis, bias ? &bias->tensor() : nullptr,
                           input_scale, max_code);
    };
    int32_t max_code = max_weight_code(options_.weight_bits);
    std::vector<float> scales = scales_for(max_code);
    if (saturates(node, axis, scales, max_code)) {
      max_code = kMax7BitCode;
      scales = scales_for(max_code);
      remarks_.push_back({node.id(), kSaturationRemark});
    }
    CodedConstant coded = outline_
                              ? coder_.outline(weights, axis, scales)
                              : coder_.weights(weights, axis, scales, max_code);
    use_constant(node, 1, coded);
    if (!bias) return;
    int64_t channels = node.is("Conv") || node.attr_int("transB", 0)
                           ? tensor.dims()[0]
                           : tensor.dims()[1];
    use_constant(node, 2, coder_.bias(bias, channels, input_scale, scales));
  }

  // The weights as they would be coded, with the activations that occur.
  bool saturates(const ir::Node& node, std::optional<int64_t> axis,
                 const std::vector<float>& scales, int32_t max_code) const {
    const ir::DataType type = options_.activation_type;
    if (outline_ || !options_.pairs_saturate.value_or(false) ||
        max_code <= kMax7BitCode || ir::bits_per_element(type) != 8)
      return false;
    CodeRange activations = parameters_.reached(coded_.at(node.input(0)));
    if (type == ir::DataType::kInt8)
      activations = {activations.low + 128, activations.high + 128};
    const ir::Tensor& weights = node.input(1)->tensor();
    return pairs_can_saturate(node, weights.dims(),
                              weight_codes(weights, axis, scales, max_code),
                              activations);
  }

  const bool outline_;
  ir::Graph& graph_;
  const Selection& selection_;
  const Parameters& parameters_;
  const QuantizeOptions& options_;
  ConstantCoder coder_;
  std::map<const ir::Node*, ir::Node*> next_;
  ir::Node* first_ = nullptr;
  std::map<const ir::Value*, CodedConstant> shared_;
  // What each quantized reader reads -> the value it stands for.
  std::map<const ir::Value*, const ir::Value*> coded_;
  std::vector<Remark> remarks_;
  // Float constants that codes stand for now.
  std::set<ir::Value*> replaced_;
};

void suit_kernels(ir::Model& model, const Selection& selection,
                  const QuantizeOptions& options) {
  if (ir::bits_per_element(options.activation_type) != 8) return;
  keep_matmul_bias(model, selection);
  pad_channels(model, selection);
}

}  // namespace

std::vector<Remark> insert_qdq(ir::Model& model, const Selection& selection,
                               const Parameters& parameters,
                               const QuantizeOptions& options) {
  std::vector<Remark> remarks =
      Inserter(model, selection, parameters, options, /*outline=*/false).run();
  suit_kernels(model, selection, options);
  return remarks;
}

void outline_qdq(ir::Model& model, const Selection& selection,
                 const Parameters& parameters, const QuantizeOptions& options) {
  Inserter(model, selection, parameters, options, /*outline=*/true).run();
  suit_kernels(model, selection, options);
}

}  // namespace lathe::quantize
