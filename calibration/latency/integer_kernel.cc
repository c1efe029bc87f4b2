// The operators and rules of ONNX Runtime's QDQ transformer (sources under
// onnxruntime/core/optimizer/qdq_transformer), reduced to what a price needs:
// every data input behind a DequantizeLinear of 8-bit codes, every output to
// one QuantizeLinear; MatMul and Gemm may give floats.
#include "calibration/latency/integer_kernel.h"

#include <algorithm>
#include <string_view>

namespace lathe::latency {
namespace {

enum class Form { kCompute, kMovement };

struct Row {
  std::string_view op;
  Form form;
  size_t first, last;  // data inputs
  bool float_output = false;
};

constexpr size_t kAll = 1000;
constexpr Row kRows[] = {
    {"Conv", Form::kCompute, 0, 1},
    {"MatMul", Form::kCompute, 0, 1, /*float_output=*/true},
    {"Gemm", Form::kCompute, 0, 1, /*float_output=*/true},
    {"Add", Form::kCompute, 0, 1},
    {"Mul", Form::kCompute, 0, 1},
    {"Concat", Form::kCompute, 0, kAll},
    {"Where", Form::kCompute, 1, 2},
    {"AveragePool", Form::kCompute, 0, 0},
    {"GlobalAveragePool", Form::kCompute, 0, 0},
    {"LeakyRelu", Form::kCompute, 0, 0},
    {"Sigmoid", Form::kCompute, 0, 0},
    {"Softmax", Form::kCompute, 0, 0},
    {"MaxPool", Form::kMovement, 0, 0},
    {"ReduceMax", Form::kMovement, 0, 0},
    {"ReduceMin", Form::kMovement, 0, 0},
    {"Resize", Form::kMovement, 0, 0},
    {"Reshape", Form::kMovement, 0, 0},
    {"Transpose", Form::kMovement, 0, 0},
    {"Flatten", Form::kMovement, 0, 0},
    {"Squeeze", Form::kMovement, 0, 0},
    {"Unsqueeze", Form::kMovement, 0, 0},
    {"Slice", Form::kMovement, 0, 0},
    {"Gather", Form::kMovement, 0, 0},
    {"GatherElements", Form::kMovement, 0, 0},
    {"Expand", Form::kMovement, 0, 0},
    {"Tile", Form::kMovement, 0, 0},
    {"Split", Form::kMovement, 0, 0},
};

const Row* find_row(const ir::Node& node) {
  if (!node.domain.empty()) return nullptr;
  for (const Row& row : kRows)
    if (row.op == node.op_type) return &row;
  return nullptr;
}

bool is_8_bit(const ir::Value* value) {
  return value && (value->type.elem == ir::DataType::kInt8 ||
                   value->type.elem == ir::DataType::kUint8);
}

const ir::Node* dequantizer(const ir::Value* value) {
  if (!value || !value->producer()) return nullptr;
  const ir::Node* node = value->producer();
  return node->op_type == "DequantizeLinear" ? node : nullptr;
}

const ir::Node* only_consumer(const ir::Value& value) {
  if (value.is_graph_output() || value.uses().size() != 1) return nullptr;
  return value.uses()[0].node;
}

// The Q behind an output, with an activation between where `activation`.
bool find_quantizer(const ir::Value& output, bool activation,
                    std::vector<const ir::Node*>& after) {
  const ir::Node* next = only_consumer(output);
  if (next && activation && (next->is("Relu") || next->is("Clip")) &&
      next->output()) {
    const ir::Node* behind = only_consumer(*next->output());
    if (!behind || behind->op_type != "QuantizeLinear") return false;
    after.push_back(next);
    next = behind;
  }
  if (!next || next->op_type != "QuantizeLinear") return false;
  if (!is_8_bit(next->output())) return false;
  after.push_back(next);
  return true;
}

bool same_constant(const ir::Value* a, const ir::Value* b) {
  if (a == b) return true;
  return a && b && a->is_constant() && b->is_constant() &&
         a->tensor().identical(b->tensor());
}

// Around data movement Q and DQ go only where they undo each other.
bool same_parameters(const ir::Node& dequantize, const ir::Node& quantize) {
  return same_constant(dequantize.input(1), quantize.input(1)) &&
         same_constant(dequantize.input(2), quantize.input(2));
}

}  // namespace

std::optional<IntegerKernel> integer_kernel(const ir::Node& node) {
  const Row* row = find_row(node);
  if (!row) return std::nullopt;
  // Interpolation stays in floats.
  if (node.is("Resize") && node.attr_string("mode", "nearest") != "nearest")
    return std::nullopt;
  IntegerKernel kernel;
  size_t last = std::min(row->last + 1, node.inputs().size());
  for (size_t i = row->first; i < last; ++i) {
    const ir::Node* dequantize = dequantizer(node.input(i));
    if (!dequantize || !is_8_bit(dequantize->input(0))) return std::nullopt;
    kernel.dequantize.push_back(dequantize);
  }
  if (kernel.dequantize.empty()) return std::nullopt;
  // The bias is int32 behind a DQ.
  if ((node.is("Conv") || node.is("Gemm")) && node.input(2)) {
    const ir::Node* dequantize = dequantizer(node.input(2));
    if (!dequantize) return std::nullopt;
    kernel.dequantize.push_back(dequantize);
  }
  for (const ir::Value* output : node.outputs()) {
    if (!output || output->unused()) continue;
    bool quantized =
        find_quantizer(*output, row->form == Form::kCompute, kernel.after);
    if (!quantized && !row->float_output) return std::nullopt;
    if (quantized && row->form == Form::kMovement &&
        !same_parameters(*kernel.dequantize[0], *kernel.after.back()))
      return std::nullopt;
  }
  return kernel;
}

}  // namespace lathe::latency
