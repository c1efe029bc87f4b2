// Codes the bias that the runtime is going to merge into an integer MatMul.
//
//   before   DQ -> MatMul <- DQ <- w8,   MatMul -> Add <- float b -> y
//   after    DQ -> MatMul <- DQ <- w8,   MatMul -> Add <- DQ <- b32 -> y
//
// ONNX Runtime merges MatMul and Add into a Gemm (with a Reshape on both sides
// where the rank is not 2) before it looks for groups of Q and DQ. A Gemm whose
// bias is float stays in float and has a DequantizeLinear in front of both
// operands; one whose bias is int32 behind a DQ becomes QGemm, which writes
// float, or codes where a Q follows, and has no Add left. So the bias gets the
// scale input scale * weight scale, as that of Conv and Gemm does.
//
// What the runtime merges (its MatMulAddFusion, checked in the optimized graphs
// of version 1.30): MatMul by a matrix, read by nothing but the Add, with
// - rank 2: an operand of rank 1 or 2 whose last dimension is that of the
//   product, or both dimensions where it is 1;
// - another rank: one of rank 1 and that length, all of the input's dimensions
//   being known.
// An operand that cannot be coded (computed, one value a row, beyond int32)
// is kept out of the merge, and the MatMul stays an integer kernel with an Add
// after it: with rank 2 the MatMul is written as a Gemm without bias, which is
// not merged; else the operand gets a leading dimension of 1.
#include "passes/quantize/keep_matmul_bias.h"

#include <algorithm>
#include <cmath>

#include "passes/ir/shape_inference.h"
#include "passes/quantize/refusals.h"
#include "passes/quantize/weights.h"

namespace lathe::quantize {
namespace {

// The Add that alone reads the MatMul, and which of its inputs is the other.
struct Sum {
  ir::Node* add = nullptr;
  size_t other = 0;
  ir::Value* operand() const { return add->input(other); }
};

std::optional<Sum> sum_after(const ir::Node& matmul) {
  const ir::Value* product = matmul.output();
  if (product->uses().size() != 1 || product->is_graph_output()) return {};
  const ir::Use& use = product->uses()[0];
  if (!use.node->is("Add") || &use.node->graph() != &matmul.graph()) return {};
  return Sum{use.node, 1 - use.index};
}

bool is_merged(const ir::Value& x, const ir::Value& operand, int64_t columns) {
  if (!x.type.shape || !operand.type.shape) return false;
  const auto& dims = *operand.type.shape;
  if (x.type.shape->size() != 2)
    return x.type.has_static_shape() && dims.size() == 1 &&
           dims[0].value == columns;
  if (dims.empty() || dims.size() > 2) return false;
  return dims.back().value == columns || dims.size() == 2;
}

// One value a column.
bool is_row(const ir::Tensor& tensor, int64_t columns) {
  return tensor.size() == columns && tensor.rank() > 0 &&
         tensor.dims().back() == columns;
}

class BiasKeeper {
 public:
  explicit BiasKeeper(ir::Graph& graph) : graph_(graph), coder_(graph) {}

  void keep(ir::Node& matmul) {
    std::optional<Sum> sum = sum_after(matmul);
    if (!sum) return;
    const ir::Value& x = *matmul.input(0);
    const ir::Value& w = *matmul.input(1);
    const ir::Node* weights = w.producer();
    if (weights->input(0)->tensor().rank() != 2) return;
    const int64_t columns = weights->input(0)->tensor().dims()[1];
    ir::Value* operand = sum->operand();
    if (!is_merged(x, *operand, columns)) return;
    const float input_scale = x.producer()->input(1)->tensor().data<float>()[0];
    const std::vector<float> scales = weights->input(1)->tensor().to_floats();
    if (can_code(*operand, columns, input_scale, scales))
      code(*sum, columns, input_scale, scales);
    else if (x.type.shape->size() == 2)
      matmul.op_type = "Gemm";
    else if (x.type.shape->size() > 2)
      add_dimension(*sum);
    if (operand->unused() && operand->is_constant())
      graph_.remove_value(operand);
  }

 private:
  // One finite value a column, each a code that leaves room for the products.
  bool can_code(const ir::Value& operand, int64_t columns, double input_scale,
                const std::vector<float>& scales) const {
    if (!operand.is_constant() || !is_row(operand.tensor(), columns))
      return false;
    auto values = operand.tensor().data<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      float scale = input_scale * scales[scales.size() == 1 ? 0 : i];
      if (!(std::fabs(values[i]) <= kMaxBiasCode * scale)) return false;
    }
    return true;
  }

  void code(const Sum& sum, int64_t columns, float input_scale,
            const std::vector<float>& scales) {
    ir::Value* operand = sum.operand();
    CodedConstant coded = coder_.bias(operand, columns, input_scale, scales);
    ir::Node* node = graph_.add_node(
        "DequantizeLinear", {coded.codes, coded.scale, coded.zero_point},
        std::vector<std::string>{operand->name() + "_DequantizeLinear"},
        sum.add);
    node->name = node->output()->name();
    node->output()->type = coded.codes->type;
    node->output()->type.elem = ir::DataType::kFloat;
    if (coded.axis) node->set_attr("axis", *coded.axis);
    sum.add->set_input(sum.other, node->output());
  }

  void add_dimension(const Sum& sum) {
    ir::Value* operand = sum.operand();
    ir::Value* wider = nullptr;
    const std::string name = operand->name() + "_row";
    if (operand->is_constant()) {
      const ir::Tensor& tensor = operand->tensor();
      wider = graph_.add_constant(
          name,
          ir::Tensor::from<float>({1, tensor.size()}, tensor.data<float>()));
    } else {
      ir::Value* axes = graph_.add_constant(operand->name() + "_axes",
                                            ir::Tensor::vector_i64({0}));
      ir::Node* node = graph_.add_node("Unsqueeze", {operand, axes},
                                       std::vector<std::string>{name}, sum.add);
      wider = node->output();
      node->name = wider->name();
      wider->type = operand->type;
      wider->type.shape->insert(wider->type.shape->begin(), ir::Dim(1));
    }
    sum.add->set_input(sum.other, wider);
  }

  ir::Graph& graph_;
  ConstantCoder coder_;
};

}  // namespace

bool adds_constant_bias(const ir::Node& add, const ir::Node& matmul) {
  if (!matmul.is("MatMul") || matmul.input(1)->tensor().rank() != 2)
    return false;
  const std::optional<Sum> sum = sum_after(matmul);
  if (!sum || sum->add != &add) return false;
  const int64_t columns = matmul.input(1)->tensor().dims()[1];
  return !constant_refusal(sum->operand(), "bias") &&
         is_row(sum->operand()->tensor(), columns) &&
         is_merged(*matmul.input(0), *sum->operand(), columns);
}

void keep_matmul_bias(ir::Model& model, const Selection& selection) {
  BiasKeeper keeper(*model.graph);
  for (ir::Node* node : model.graph->node_list())
    if (node->is("MatMul") && selection.has_role(node, Role::kCompute))
      keeper.keep(*node);
}

}  // namespace lathe::quantize
