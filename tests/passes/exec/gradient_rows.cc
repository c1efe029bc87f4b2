#include "tests/passes/exec/gradient_rows.h"

namespace lathe::test {
namespace {

// Functions of one tensor; random values are from 0.1 to 1.5 either way.
constexpr const char* kUnary[] = {
    "Abs",         "Asinh",
    "Atan",        "Ceil",
    "Celu",        "Cos",
    "Cosh",        "Elu",
    "Erf",         "Exp",
    "Flatten",     "Floor",
    "HardSigmoid", "HardSwish",
    "Identity",    "LeakyRelu",
    "LogSoftmax",  "LpNormalization",
    "Neg",         "Reciprocal",
    "ReduceL1",    "ReduceL2",
    "ReduceMax",   "ReduceLogSumExp",
    "ReduceMean",  "ReduceMin",
    "ReduceProd",  "ReduceSum",
    "Relu",        "Round",
    "Selu",        "ReduceSumSquare",
    "Shrink",      "Sigmoid",
    "Sign",        "Sin",
    "Sinh",        "Softmax",
    "Softplus",    "Softsign",
    "Squeeze",     "Tan",
    "Tanh",        "ThresholdedRelu",
    "Transpose",   "Trilu",
    "Dropout",     "Unique",
};
// On positive values.
constexpr const char* kOfPositive[] = {"Log", "Sqrt", "ReduceLogSum"};
// Between -1 and 1.
constexpr const char* kOfSmall[] = {"Acos", "Asin", "Atanh"};
// Of images.
constexpr const char* kOfImage[] = {"GlobalAveragePool", "GlobalLpPool",
                                    "GlobalMaxPool",
                                    "MeanVarianceNormalization"};
constexpr const char* kVariadic[] = {"Add", "Sub", "Mul", "Div"};
constexpr const char* kOfThree[] = {"Max", "Mean", "Min", "Sum"};

const GradientRow kRows[] = {
    {"Acosh",
     "input %x: double[$n,$c] init %o = double[] {1.5} %m = Mul(%x, %x) "
     "%p = Add(%m, %o) %y = Acosh(%p) output %y"},
    {"AffineGrid",
     "input %t: double[$n,2,3] init %s = int64[4] {$n, $c, $h, $w} "
     "%y = AffineGrid(%t, %s) {align_corners = $q} output %y",
     20},
    {"AveragePool",
     "input %x: double[$n,$c,6,5] %y = AveragePool(%x) "
     "{kernel_shape = [$h,$w], pads = [1,0,1,1], count_include_pad = $q} "
     "output %y"},
    {"BatchNormalization",
     "input %x: double[$n,$c,$h] input %s: double[$c] input %b: double[$c] "
     "input %m: double[$c] input %q: double[$c] %v = Mul(%q, %q) "
     "%y = BatchNormalization(%x, %s, %b, %m, %v) output %y"},
    {"Cast", "input %x: double[$n,$c] %y = Cast(%x) {to = 11} output %y"},
    {"CastLike",
     "input %x: double[$n,$c] init %l = double[] {1.0} "
     "%y = CastLike(%x, %l) output %y"},
    {"CenterCropPad",
     "input %x: double[$n,$c,$h] init %s = int64[3] {$c, $h, $n} "
     "%y = CenterCropPad(%x, %s) output %y",
     18},
    {"Clip",
     "input %x: double[$n,$c] init %l = double[] {-0.7} "
     "init %h = double[] {0.6} %y = Clip(%x, %l, %h) output %y"},
    {"Col2Im",
     "input %x: double[$n,$C,12] init %i = int64[2] {5, 4} "
     "init %b = int64[2] {2, 1} %y = Col2Im(%x, %i, %b) "
     "{strides = [2,1], pads = [1,0,0,0], dilations = [1,2]} output %y",
     18},
    {"Compress",
     "input %x: double[3,$c] init %k = bool[3] {1, $q, 1} "
     "%y = Compress(%x, %k) {axis = 0} output %y"},
    {"Concat",
     "input %a: double[$n,$c] input %b: double[$n,$h] "
     "%y = Concat(%a, %b) {axis = 1} output %y"},
    {"Conv",
     "input %x: double[$n,$C,5,4] input %w: double[2,$c,$h,2] "
     "input %b: double[2] %y = Conv(%x, %w, %b) "
     "{group = 2, pads = [1,0,0,1], strides = [1,2]} output %y"},
    {"ConvTranspose",
     "input %x: double[$n,$C,$h,2] input %w: double[$C,$w,2,3] "
     "%y = ConvTranspose(%x, %w) {group = 2, strides = [2,1]} output %y"},
    {"CumSum",
     "input %x: double[$n,$c] init %a = int64[] {$q} "
     "%y = CumSum(%x, %a) {exclusive = $q} output %y"},
    {"DFT", "input %x: double[$n,$h,2] %y = DFT(%x) {axis = 1} output %y"},
    {"DeformConv",
     "input %x: double[1,$c,4,4] input %w: double[$n,$c,2,2] "
     "input %u: double[1,8,3,3] init %k = double[] {0.17} "
     "%o = Mul(%u, %k) %y = DeformConv(%x, %w, %o) output %y",
     19},
    {"DepthToSpace",
     "input %x: double[$n,8,$h,$w] %y = DepthToSpace(%x) {blocksize = 2} "
     "output %y"},
    {"DequantizeLinear",
     "init %x = int8[4] {-3, 5, 100, -128} input %s: double[] "
     "%y = DequantizeLinear(%x, %s) output %y"},
    {"Det", "input %x: double[$n,$c,$c] %y = Det(%x) output %y"},
    {"Einsum",
     "input %a: double[$n,$c] input %b: double[$n,$c,$h] "
     "%y = Einsum(%a, %b) {equation = \"ij,ijk->ki\"} output %y"},
    {"Expand",
     "input %x: double[$n,1,$h] init %s = int64[3] {1, $c, 1} "
     "%y = Expand(%x, %s) output %y"},
    {"GRU",
     "input %x: double[$n,$c,3] input %w: double[1,6,3] input %r: double[1,6,2]"
     " %y, %h = GRU(%x, %w, %r) {hidden_size = 2, linear_before_reset = $q} "
     "output %y output %h"},
    {"Gather",
     "input %x: double[$n,$c,$h] init %i = int64[3] {0, -1, 1} "
     "%y = Gather(%x, %i) {axis = $q} output %y"},
    {"GatherElements",
     "input %x: double[$n,$c] init %i = int64[2,2] {1, 0, -1, 1} "
     "%y = GatherElements(%x, %i) {axis = $q} output %y"},
    {"GatherND",
     "input %x: double[$n,$c,$h] init %i = int64[2,2] {0, -1, 1, 1} "
     "%y = GatherND(%x, %i) output %y"},
    {"Gelu", "input %x: double[$n,$c] %y = Gelu(%x) output %y", 20},
    {"Gemm",
     "input %a: double[$n,$c] input %b: double[$h,$c] input %d: double[$h] "
     "%y = Gemm(%a, %b, %d) {transB = 1, alpha = 0.5, beta = 2.0} output %y"},
    {"GridSample",
     "input %x: double[$n,$c,4,5] input %u: double[$n,$h,$w,2] "
     "init %k = double[] {0.61} %g = Mul(%u, %k) "
     "%y = GridSample(%x, %g) {align_corners = $q} output %y"},
    {"GroupNormalization",
     "input %x: double[$n,$C,$h] input %s: double[$C] input %b: double[$C] "
     "%y = GroupNormalization(%x, %s, %b) {num_groups = 2} output %y",
     21},
    {"If",
     "init %q = bool[] {$q} input %x: double[$n,$c] "
     "%y = If(%q) {then_branch = graph t { %a = Mul(%x, %x) output %a }, "
     "else_branch = graph e { %b = Exp(%x) output %b }} output %y"},
    {"InstanceNormalization",
     "input %x: double[$n,$c,$h,2] input %s: double[$c] input %b: double[$c] "
     "%y = InstanceNormalization(%x, %s, %b) output %y"},
    {"LRN",
     "input %x: double[$n,$c,$h,$w] %y = LRN(%x) {size = 3, alpha = 0.1} "
     "output %y"},
    {"LSTM",
     "input %x: double[$n,$c,3] input %w: double[1,8,3] input %r: double[1,8,2]"
     " input %b: double[1,16] %y, %h, %k = LSTM(%x, %w, %r, %b) "
     "{hidden_size = 2} output %y output %h output %k"},
    {"LayerNormalization",
     "input %x: double[$n,$c,$h] input %s: double[$h] input %b: double[$h] "
     "%y = LayerNormalization(%x, %s, %b) output %y"},
    {"Loop",
     "init %k = int64[] {$n} input %x: double[$c,$h] input %w: double[$h] "
     "%s, %ys = Loop(%k, _, %x) {body = graph b { input %i: int64[] "
     "input %g: bool[] input %a: double[$c,$h] %m = Mul(%a, %w) "
     "%o = Add(%m, %x) %go = Identity(%g) output %go output %o output %m }} "
     "output %s output %ys"},
    {"LpPool",
     "input %x: double[$n,$c,5,4] %y = LpPool(%x) {kernel_shape = [2,2], "
     "strides = [2,1]} output %y"},
    {"MatMul",
     "input %a: double[$n,1,$c,$h] input %b: double[$w,$h,$c] "
     "%y = MatMul(%a, %b) output %y"},
    {"MaxPool",
     "input %x: double[$n,$c,5,4] %y = MaxPool(%x) {kernel_shape = [$h,2], "
     "pads = [1,0,1,0]} output %y"},
    {"MaxRoiPool",
     "input %x: double[$n,$c,5,6] init %r = double[2,5] {1.0, 1.0, 0.0, 5.0, "
     "4.0, 0.0, 2.0, 1.0, 3.0, 3.0} %y = MaxRoiPool(%x, %r) "
     "{pooled_shape = [2,2]} output %y"},
    {"MaxUnpool",
     "input %x: double[1,1,2,2] init %i = int64[1,1,2,2] {1, 3, 8, 14} "
     "%y = MaxUnpool(%x, %i) {kernel_shape = [2,2], strides = [2,2]} "
     "output %y"},
    {"Mish", "input %x: double[$n,$c] %y = Mish(%x) output %y", 18},
    {"Mod",
     "input %x: double[$n,$c] init %m = double[] {0.7} "
     "%y = Mod(%x, %m) {fmod = 1} output %y"},
    {"NegativeLogLikelihoodLoss",
     "input %x: double[2,3] init %t = int64[2] {2, $q} input %w: double[3] "
     "%y = NegativeLogLikelihoodLoss(%x, %t, %w) output %y"},
    {"OneHot",
     "input %v: double[2] init %i = int64[3] {0, 2, -1} init %d = int64[] {3} "
     "%y = OneHot(%i, %d, %v) {axis = $q} output %y"},
    {"PRelu",
     "input %x: double[$n,$c,$h] input %s: double[$c,1] %y = PRelu(%x, %s) "
     "output %y"},
    {"Pad",
     "input %x: double[$n,$c] init %p = int64[4] {1, -1, 0, 2} "
     "input %v: double[] %y = Pad(%x, %p, %v) output %y"},
    {"Pow",
     "input %x: double[$n,$c] input %e: double[$c] %p = Abs(%x) "
     "%y = Pow(%p, %e) output %y"},
    {"RMSNormalization",
     "input %x: double[$n,$c,$h] input %s: double[$h] "
     "%y = RMSNormalization(%x, %s) output %y",
     23},
    {"RNN",
     "input %x: double[$n,$c,3] input %w: double[2,2,3] input %r: double[2,2,2]"
     " %y, %h = RNN(%x, %w, %r) {hidden_size = 2, "
     "direction = \"bidirectional\"} output %y output %h"},
    {"Range",
     "input %s: double[] init %l = double[] {7.3} init %d = double[] {1.0} "
     "%y = Range(%s, %l, %d) output %y"},
    {"Reshape",
     "input %x: double[$n,$c,$h] init %s = int64[2] {$c, -1} "
     "%y = Reshape(%x, %s) output %y"},
    {"Resize",
     "input %x: double[$n,$c,$h,$w] init %s = float[4] {1.0, 1.0, 1.7, 0.6} "
     "%y = Resize(%x, _, %s) {mode = \"cubic\"} output %y"},
    {"ReverseSequence",
     "input %x: double[4,3,$c] init %l = int64[3] {1, 4, 3} "
     "%y = ReverseSequence(%x, %l) output %y"},
    {"RoiAlign",
     "input %x: double[$n,$c,5,6] init %r = double[2,4] {0.3, 0.6, 4.1, 3.7, "
     "-1.2, 2.1, 5.9, 6.4} init %i = int64[2] {1, 0} "
     "%y = RoiAlign(%x, %r, %i) {output_height = $h, output_width = $w, "
     "sampling_ratio = $q} output %y"},
    {"STFT",
     "input %x: double[$n,9,1] init %s = int64[] {2} init %l = int64[] {4} "
     "input %w: double[4] %y = STFT(%x, %s, %w, %l) output %y"},
    {"Scan",
     "input %s: double[$c] input %x: double[$n,$c] %e, %ys = Scan(%s, %x) "
     "{num_scan_inputs = 1, body = graph b { input %a: double[$c] "
     "input %i: double[$c] %m = Mul(%a, %i) %o = Add(%m, %i) "
     "output %o output %m }} output %e output %ys"},
    {"Scatter",
     "input %x: double[$n,$c] input %u: double[2,2] "
     "init %i = int64[2,2] {0, 1, 1, 0} %y = Scatter(%x, %i, %u) "
     "{axis = $q} output %y",
     9},
    {"ScatterElements",
     "input %x: double[$n,$c] input %u: double[2,2] "
     "init %i = int64[2,2] {0, 1, 1, 0} %y = ScatterElements(%x, %i, %u) "
     "{axis = $q, reduction = \"add\"} output %y"},
    {"ScatterND",
     "input %x: double[$n,$c,$h] input %u: double[2,$h] "
     "init %i = int64[2,2] {0, 1, 1, 0} %y = ScatterND(%x, %i, %u) output %y"},
    {"SimplifiedLayerNormalization",
     "input %x: double[$n,$c] input %s: double[$c] "
     "%y = SimplifiedLayerNormalization(%x, %s) output %y"},
    {"Slice",
     "input %x: double[$n,5] init %s = int64[2] {1, 4} "
     "init %e = int64[2] {9, 0} init %a = int64[2] {0, 1} "
     "init %t = int64[2] {1, -2} %y = Slice(%x, %s, %e, %a, %t) output %y"},
    {"SoftmaxCrossEntropyLoss",
     "input %x: double[2,3] init %t = int64[2] {2, $q} "
     "%y, %p = SoftmaxCrossEntropyLoss(%x, %t) {ignore_index = 0} "
     "output %y output %p"},
    {"SpaceToDepth",
     "input %x: double[$n,$c,4,2] %y = SpaceToDepth(%x) {blocksize = 2} "
     "output %y"},
    {"Split",
     "input %x: double[$n,5] init %s = int64[2] {2, 3} "
     "%a, %b = Split(%x, %s) {axis = 1} output %a output %b"},
    {"Swish", "input %x: double[$n,$c] %y = Swish(%x) {alpha = 1.5} output %y",
     24},
    {"Tile",
     "input %x: double[$n,$c] init %r = int64[2] {2, $h} %y = Tile(%x, %r) "
     "output %y"},
    {"TopK",
     "input %x: double[$n,4] init %k = int64[1] {2} %y, %i = TopK(%x, %k) "
     "{largest = $q} output %y"},
    {"Unsqueeze",
     "input %x: double[$n,$c] init %a = int64[2] {$q, -1} "
     "%y = Unsqueeze(%x, %a) output %y"},
    {"Upsample",
     "input %x: double[$n,$c,$h,$w] init %s = float[4] {1.0, 1.0, 2.0, 1.5} "
     "%y = Upsample(%x, %s) {mode = \"linear\"} output %y",
     9},
    {"Where",
     "input %a: double[$n,$c] input %b: double[$c] %g = Greater(%a, %b) "
     "%y = Where(%g, %a, %b) output %y"},
    {"com.microsoft::Attention",
     "input %x: double[$n,$h,4] input %w: double[4,12] input %b: double[12] "
     "%y = com.microsoft::Attention(%x, %w, %b) {num_heads = 2} output %y"},
    {"com.microsoft::BiasGelu",
     "input %x: double[$n,$c] input %b: double[$c] "
     "%y = com.microsoft::BiasGelu(%x, %b) output %y"},
    {"com.microsoft::FastGelu",
     "input %x: double[$n,$c] input %b: double[$c] "
     "%y = com.microsoft::FastGelu(%x, %b) output %y"},
    {"com.microsoft::FusedConv",
     "input %x: double[$n,$c,4] input %w: double[$h,$c,2] input %b: double[$h] "
     "%y = com.microsoft::FusedConv(%x, %w, %b) {activation = \"Sigmoid\"} "
     "output %y"},
    {"com.microsoft::FusedGemm",
     "input %a: double[$n,$c] input %b: double[$c,$h] input %d: double[$h] "
     "%y = com.microsoft::FusedGemm(%a, %b, %d) {activation = \"Tanh\", "
     "alpha = 0.5, beta = 2.0} output %y"},
    {"com.microsoft::FusedMatMul",
     "input %a: double[$c,$n] input %b: double[$c,$h] "
     "%y = com.microsoft::FusedMatMul(%a, %b) {transA = 1, alpha = 0.5} "
     "output %y"},
    {"com.microsoft::Gelu",
     "input %x: double[$n,$c] %y = com.microsoft::Gelu(%x) output %y"},
    {"com.microsoft::MatMulNBits",
     "input %x: double[$n,16] init %w = uint8[1,1,8] {1, 23, 200, 17, 90, 255, "
     "0, 66} input %s: double[1] %y = com.microsoft::MatMulNBits(%x, %w, %s) "
     "{K = 16, N = 1, bits = 4, block_size = 16} output %y"},
    {"com.microsoft::QuickGelu",
     "input %x: double[$n,$c] %y = com.microsoft::QuickGelu(%x) output %y"},
    {"com.microsoft::SimplifiedLayerNormalization",
     "input %x: double[$n,$c] input %s: double[$c] "
     "%y = com.microsoft::SimplifiedLayerNormalization(%x, %s) output %y"},
    {"com.microsoft::SkipLayerNormalization",
     "input %x: double[$n,$h,$c] input %k: double[$n,$h,$c] "
     "input %s: double[$c] input %b: double[$c] "
     "%y = com.microsoft::SkipLayerNormalization(%x, %k, %s, %b) "
     "{epsilon = 0.01} output %y"},
    {"com.microsoft::SkipSimplifiedLayerNormalization",
     "input %x: double[$n,$h,$c] input %k: double[$n,$h,$c] "
     "input %s: double[$c] "
     "%y = com.microsoft::SkipSimplifiedLayerNormalization(%x, %k, %s) "
     "{epsilon = 0.01} output %y"},
    {"com.microsoft::TransposeMatMul",
     "input %a: double[$c,$n] input %b: double[$c,$h] "
     "%y = com.microsoft::TransposeMatMul(%a, %b) {transA = 1} output %y"},
};

constexpr std::string_view kTruth = "its results are truth values";
constexpr std::string_view kBits = "on integers or truth values alone";
constexpr std::string_view kIndices = "its results are indices";
constexpr std::string_view kMade = "makes tensors of no input";
constexpr std::string_view kDrawn = "its results are drawn at random";
constexpr std::string_view kCodes = "its results are integer codes";
constexpr std::string_view kInteger = "products of integers";
constexpr std::string_view kSteps = "constant but for steps";

constexpr NoGradient kWithout[] = {
    {"And", kBits},
    {"ArgMax", kIndices},
    {"ArgMin", kIndices},
    {"Bernoulli", kDrawn},
    {"BitShift", kBits},
    {"BitwiseAnd", kBits},
    {"BitwiseNot", kBits},
    {"BitwiseOr", kBits},
    {"BitwiseXor", kBits},
    {"BlackmanWindow", kMade},
    {"Constant", kMade},
    {"ConstantOfShape", kMade},
    {"ConvInteger", kInteger},
    {"DynamicQuantizeLinear", kCodes},
    {"Equal", kTruth},
    {"EyeLike", kMade},
    {"Greater", kTruth},
    {"GreaterOrEqual", kTruth},
    {"HammingWindow", kMade},
    {"HannWindow", kMade},
    {"Hardmax", kSteps},
    {"IsInf", kTruth},
    {"IsNaN", kTruth},
    {"Less", kTruth},
    {"LessOrEqual", kTruth},
    {"MatMulInteger", kInteger},
    {"MelWeightMatrix", kMade},
    {"Multinomial", kDrawn},
    {"NonMaxSuppression", kIndices},
    {"NonZero", kIndices},
    {"Not", kBits},
    {"Or", kBits},
    {"QLinearConv", kCodes},
    {"QLinearMatMul", kCodes},
    {"QuantizeLinear", kCodes},
    {"RandomNormal", kDrawn},
    {"RandomNormalLike", kDrawn},
    {"RandomUniform", kDrawn},
    {"RandomUniformLike", kDrawn},
    {"Shape", "its results are sizes"},
    {"Size", "its results are sizes"},
    {"Xor", kBits},
    {"com.microsoft::DequantizeLinear", "as DequantizeLinear, in one form"},
    {"com.microsoft::DynamicQuantizeMatMul",
     "straight through its rounding: no finite difference agrees"},
    {"com.microsoft::MatMulIntegerToFloat", kInteger},
    {"com.microsoft::QGemm", kCodes},
    {"com.microsoft::QLinearAdd", kCodes},
    {"com.microsoft::QLinearAveragePool", kCodes},
    {"com.microsoft::QLinearConcat", kCodes},
    {"com.microsoft::QLinearConv", kCodes},
    {"com.microsoft::QLinearGlobalAveragePool", kCodes},
    {"com.microsoft::QLinearLeakyRelu", kCodes},
    {"com.microsoft::QLinearMatMul", kCodes},
    {"com.microsoft::QLinearMul", kCodes},
    {"com.microsoft::QLinearSigmoid", kCodes},
    {"com.microsoft::QLinearSoftmax", kCodes},
    {"com.microsoft::QuantizeLinear", kCodes},
};

template <size_t N>
void add(std::vector<GradientRow>& rows, const char* const (&ops)[N],
         const std::string& inputs, const std::string& arguments) {
  for (const std::string op : ops)
    rows.push_back({op, inputs + "%y = " + op + arguments + " output %y"});
}

}  // namespace

const std::vector<GradientRow>& gradient_rows() {
  static const auto* const rows = [] {
    auto* all =
        new std::vector<GradientRow>(std::begin(kRows), std::end(kRows));
    const std::string x = "input %x: double[$n,$c,$h] ";
    add(*all, kUnary, x, "(%x)");
    add(*all, kOfPositive, x + "%p = Abs(%x) ", "(%p)");
    add(*all, kOfSmall, x + "init %k = double[] {0.6} %p = Mul(%x, %k) ",
        "(%p)");
    add(*all, kOfImage, "input %x: double[$n,$c,$h,$w] ", "(%x)");
    add(*all, kVariadic, "input %a: double[$n,1,$h] input %b: double[$c,1] ",
        "(%a, %b)");
    add(*all, kOfThree,
        "input %a: double[$n,1,$h] input %b: double[$c,1] input %d: double[] ",
        "(%a, %b, %d)");
    return all;
  }();
  return *rows;
}

std::string with_sizes(std::string text, Random& random) {
  const uint64_t channels = 2 + random.below(2);
  const std::pair<std::string, uint64_t> sizes[] = {
      {"$n", 2 + random.below(2)}, {"$c", channels},
      {"$C", 2 * channels},        {"$h", 2 + random.below(3)},
      {"$w", 2 + random.below(3)}, {"$q", random.below(2)}};
  for (const auto& [name, size] : sizes)
    for (size_t at = text.find(name); at != std::string::npos;
         at = text.find(name, at))
      text.replace(at, name.size(), std::to_string(size));
  return text;
}

std::span<const NoGradient> operators_without_gradient() { return kWithout; }

}  // namespace lathe::test
