#include "passes/quantize/half_rules.h"

namespace lathe::quantize {
namespace {

constexpr const char* kExponential = "exponentials leave half's range early";
constexpr const char* kSquares = "squares leave half's range early";
constexpr const char* kSums =
    "long sums leave half's range or lose their small terms";

const HalfRule kRules[] = {
    // Weights times activations.
    {"Conv"},
    {"ConvTranspose"},
    {"Gemm"},
    {"MatMul"},
    {"Einsum"},
    {"LSTM"},
    {"GRU"},
    {"RNN"},
    // Elementwise.
    {"Abs"},
    {"Add"},
    {"Ceil"},
    {"Clip"},
    {"Cos"},
    {"Div"},
    {"Elu"},
    {"Equal"},
    {"Erf"},
    {"Floor"},
    {"Gelu"},
    {"Greater"},
    {"GreaterOrEqual"},
    {"HardSigmoid"},
    {"HardSwish"},
    {"IsNaN"},
    {"LeakyRelu"},
    {"Less"},
    {"LessOrEqual"},
    {"Log"},
    {"Max"},
    {"Mean"},
    {"Min"},
    {"Mish"},
    {"Mul"},
    {"Neg"},
    {"PRelu"},
    {"Reciprocal"},
    {"Relu"},
    {"Round"},
    {"Selu"},
    {"Sigmoid"},
    {"Sign"},
    {"Sin"},
    {"Softplus"},
    {"Softsign"},
    {"Sqrt"},
    {"Sub"},
    {"Sum"},
    {"Tan"},
    {"Tanh"},
    {"ThresholdedRelu"},
    {"Where"},
    {"Exp", kExponential},
    {"Pow", kSquares},
    // Normalization.
    {"BatchNormalization"},
    {"GroupNormalization"},
    {"Hardmax"},
    {"InstanceNormalization"},
    {"LayerNormalization"},
    {"LogSoftmax"},
    {"Softmax"},
    {"LRN", kSquares},
    {"LpNormalization", kSquares},
    {"MeanVarianceNormalization", kSquares},
    // Reductions and pooling.
    {"ArgMax"},
    {"ArgMin"},
    {"AveragePool"},
    {"GlobalAveragePool"},
    {"GlobalMaxPool"},
    {"MaxPool"},
    {"ReduceMax"},
    {"ReduceMean"},
    {"ReduceMin"},
    {"TopK"},
    {"CumSum", kSums},
    {"GlobalLpPool", kSquares},
    {"LpPool", kSquares},
    {"ReduceL1", kSums},
    {"ReduceL2", kSquares},
    {"ReduceLogSum", kSums},
    {"ReduceLogSumExp", kExponential},
    {"ReduceProd", kSums},
    {"ReduceSum", kSums},
    {"ReduceSumSquare", kSquares},
    // Data movement.
    {"Compress"},
    {"Concat"},
    {"ConstantOfShape"},
    {"DepthToSpace"},
    {"Dropout", nullptr, {1, -1}},
    {"Expand"},
    {"Flatten"},
    {"Gather"},
    {"GatherElements"},
    {"GatherND"},
    {"GridSample", nullptr, {1, -1}},
    {"Identity"},
    {"OneHot", nullptr, {1, -1}},
    {"Pad"},
    {"Reshape"},
    {"Resize", nullptr, {1, 2}},
    {"ReverseSequence"},
    {"ScatterElements"},
    {"ScatterND"},
    {"Slice"},
    {"SpaceToDepth"},
    {"Split"},
    {"Squeeze"},
    {"Tile"},
    {"Transpose"},
    {"Trilu"},
    {"Unsqueeze"},
};

}  // namespace

const HalfRule* find_half_rule(const ir::Node& node) {
  for (const HalfRule& rule : kRules)
    if (node.is(rule.name)) return &rule;
  return nullptr;
}

std::span<const HalfRule> half_rules() { return kRules; }

bool reads_any_float(const ir::Node& node) {
  return node.is("Shape") || node.is("Size") || node.is("NonZero") ||
         (node.is("Cast") &&
          node.attr_int("to", 0) != static_cast<int64_t>(ir::DataType::kFloat));
}

}  // namespace lathe::quantize
