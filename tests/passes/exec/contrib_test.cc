// Operators of com.microsoft, and on quantized tensors, beside the runtime.
// Scales are powers of two where results must agree to the last code.
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

// Every "M::" is the domain.
std::string ms(std::string text) {
  for (size_t at = 0; (at = text.find("M::", at)) != std::string::npos;)
    text.replace(at, 3, "com.microsoft::");
  return text;
}

void check(const std::string& text, double tolerance = 1e-5) {
  same_as_runtime(ms(text), {.tolerance = tolerance});
}

TEST_CASE("exec contrib: FusedConv") {
  const std::string inputs =
      "input %x: float[2,4,7,6] input %w: float[6,2,3,3] input %b: float[6] "
      "input %z: float[2,6,7,6] %y = M::FusedConv(%x, %w, ";
  const std::string attributes =
      "{group = 2, pads = [1, 1, 1, 1], activation = ";
  check(inputs + "%b) " + attributes + "\"Relu\"} output %y");
  check(inputs + "%b, %z) " + attributes + "\"Sigmoid\"} output %y");
  check(inputs + "%b) " + attributes +
        "\"Clip\", activation_params = [0.5, 5.0]} output %y");
  check(inputs +
        "%b) {group = 2, auto_pad = \"SAME_UPPER\", strides = [2, 2], "
        "activation = \"HardSigmoid\", "
        "activation_params = [0.01, 0.2]} output %y");
  check(
      "input %x: float[1,2,7] input %w: float[3,2,3] "
      "%y = M::FusedConv(%x, %w) {pads = [0, 2], activation = \"LeakyRelu\", "
      "activation_params = [0.1]} output %y");
}

TEST_CASE("exec contrib: products") {
  check(
      "input %a: float[4,3] input %b: float[5,4] input %c: float[5] "
      "%y = M::FusedGemm(%a, %b, %c) {transA = 1, transB = 1, alpha = 0.5, "
      "beta = 2.0, activation = \"LeakyRelu\", activation_alpha = 0.1} "
      "output %y");
  check(
      "input %a: float[2,4,3] input %b: float[2,5,4] "
      "%y = M::FusedMatMul(%a, %b) {transA = 1, transB = 1, alpha = 0.25} "
      "output %y");
  check(
      "input %a: float[3,2,4] input %b: float[2,4,5] "
      "%y = M::FusedMatMul(%a, %b) {transBatchA = 1} output %y");
}

TEST_CASE("exec contrib: Gelu and its kin") {
  const std::string x =
      "input %raw: float[3,4] input %b: float[4] init %h = float[] {0.5} "
      "%x = Sub(%raw, %h) ";
  check(x + "%y = M::Gelu(%x) output %y");
  check(x + "%y = M::BiasGelu(%x, %b) output %y");
  check(x + "%y = M::FastGelu(%x) output %y");
  check(x + "%y = M::FastGelu(%x, %b) output %y");
  check(x + "%y = M::QuickGelu(%x) output %y");
  check(x + "%y = M::QuickGelu(%x) {alpha = 1.0} output %y");
}

TEST_CASE("exec contrib: layer normalizations") {
  const std::string inputs =
      "input %x: float[2,3,8] input %s: float[2,3,8] input %g: float[8] "
      "input %b: float[8] input %c: float[8] ";
  check(inputs +
            "%y = M::SkipLayerNormalization(%x, %s, %g, %b) "
            "{epsilon = 0.00001} output %y",
        1e-4);
  check(inputs +
            "%y, _, _, %t = M::SkipLayerNormalization(%x, %s, %g, _, %c) "
            "{epsilon = 0.00001} output %y output %t",
        1e-4);
  check(inputs +
            "%y, _, _, %t = M::SkipSimplifiedLayerNormalization(%x, %s, %g, "
            "%c) {epsilon = 0.00001} output %y output %t",
        1e-4);
  check(inputs +
            "%y = SimplifiedLayerNormalization(%x, %g) {axis = -1, "
            "epsilon = 0.00001} output %y",
        1e-4);
}

TEST_CASE("exec contrib: Attention") {
  const std::string inputs =
      "input %x: float[2,3,8] input %w: float[8,24] input %b: float[24] "
      "input %m: int32[2,3] input %m3: int32[2,3,3] "
      "init %n = int32[2] {2, 3} ";
  check(inputs + "%y = M::Attention(%x, %w, %b) {num_heads = 2} output %y");
  check(inputs + "%y = M::Attention(%x, %w, %b, %m) {num_heads = 2} output %y");
  check(inputs +
        "%y = M::Attention(%x, %w, %b, %m3) {num_heads = 4} output %y");
  check(inputs + "%y = M::Attention(%x, %w, %b, %n) {num_heads = 2} output %y");
  check(inputs +
        "%y = M::Attention(%x, %w, %b) {num_heads = 2, unidirectional = 1, "
        "scale = 0.1} output %y");
}

TEST_CASE("exec contrib: MatMulNBits") {
  auto product = [](const std::string& bytes, const std::string& inputs,
                    const std::string& attributes) {
    return "input %a: float[2,32] input %raw: float[3,2," + bytes +
           "] input %s: float[6] input %bias: float[3] input %rz: float[ZEROS] "
           "init %u = float[] {0.00390625} %b = QuantizeLinear(%raw, %u) "
           "%z = QuantizeLinear(%rz, %u) %y = M::MatMulNBits(%a, %b, %s" +
           inputs + ") {K = 32, N = 3, block_size = 16, " + attributes +
           "} output %y";
  };
  auto zeros = [](std::string text, const std::string& count) {
    return text.replace(text.find("ZEROS"), 5, count);
  };
  check(zeros(product("8", "", "bits = 4"), "3"), 1e-4);
  check(zeros(product("8", ", %z", "bits = 4"), "3"), 1e-4);
  check(zeros(product("8", ", %z, _, %bias", "bits = 4"), "3"), 1e-4);
  check(zeros(product("16", "", "bits = 8"), "6"), 1e-4);
  check(zeros(product("16", ", %z", "bits = 8"), "6"), 1e-4);
}

// Codes of an input, with their scale and zero point: %n, %n_s, %n_z.
std::string codes(const std::string& name, const std::string& dims,
                  const std::string& type, int zero,
                  const std::string& scale = "0.0078125") {
  return "input %" + name + "_raw: float[" + dims + "] init %" + name +
         "_s = float[] {" + scale + "} init %" + name + "_z = " + type +
         "[] {" + std::to_string(zero) + "} %" + name + " = QuantizeLinear(%" +
         name + "_raw, %" + name + "_s, %" + name + "_z) ";
}
std::string of_output(const std::string& type, int zero,
                      const std::string& scale) {
  return "init %y_s = float[] {" + scale + "} init %y_z = " + type + "[] {" +
         std::to_string(zero) + "} ";
}

TEST_CASE("exec QLinearConv") {
  const std::string x = codes("x", "1,4,6,5", "uint8", 12);
  const std::string tail =
      "%y = QLinearConv(%x, %x_s, %x_z, %w, %w_s, %w_z, %y_s, %y_z";
  check(x + codes("w", "6,2,3,3", "uint8", 30) +
        of_output("uint8", 4, "0.0625") + "input %b: int32[6] " + tail +
        ", %b) {group = 2, pads = [1, 1, 1, 1]} output %y");
  // A scale a channel.
  check(x +
        "input %w_raw: float[2,4,3,3] init %u = float[] {0.0078125} "
        "init %v = int8[] {-60} %w = QuantizeLinear(%w_raw, %u, %v) "
        "init %w_s = float[2] {0.0078125, 0.003} init %w_z = int8[2] {0, 0} " +
        of_output("uint8", 100, "0.05") + tail +
        ") {strides = [2, 1], auto_pad = \"SAME_LOWER\"} output %y");
}

TEST_CASE("exec quantized products") {
  check(codes("a", "2,3,4", "uint8", 12) + codes("b", "4,5", "uint8", 30) +
        of_output("uint8", 4, "0.03125") +
        "%y = QLinearMatMul(%a, %a_s, %a_z, %b, %b_s, %b_z, %y_s, %y_z) "
        "output %y");
  check(codes("a", "3,4", "int8", 12) + codes("b", "4,5", "int8", -30) +
        of_output("int8", 4, "0.03") +
        "%y = QLinearMatMul(%a, %a_s, %a_z, %b, %b_s, %b_z, %y_s, %y_z) "
        "output %y");
  const std::string gemm =
      codes("a", "3,4", "uint8", 12) + codes("b", "5,4", "int8", -30) +
      of_output("uint8", 4, "0.03125") + "input %c: int32[5] ";
  check(gemm +
        "%y = M::QGemm(%a, %a_s, %a_z, %b, %b_s, %b_z, %c, %y_s, %y_z) "
        "{transB = 1} output %y");
  check(gemm +
        "%y = M::QGemm(%a, %a_s, %a_z, %b, %b_s, %b_z, %c) {transB = 1, "
        "alpha = 0.5} output %y");
  check(codes("a", "3,4", "uint8", 12) + codes("b", "4,5", "int8", -30) +
        "input %c: float[5] %y = M::MatMulIntegerToFloat(%a, %b, %a_s, %b_s, "
        "%a_z, %b_z, %c) output %y");
  check("input %a: float[3,4] input %c: float[5] " +
            codes("b", "4,5", "uint8", 30) +
            "%y = M::DynamicQuantizeMatMul(%a, %b, %b_s, %b_z, %c) output %y",
        1e-4);
}

TEST_CASE("exec quantized elementwise operators") {
  const std::string pair = codes("a", "2,3,4", "uint8", 12) +
                           codes("b", "3,1", "uint8", 30, "0.015625") +
                           of_output("uint8", 4, "0.03125");
  for (const char* op : {"Add", "Mul"})
    check(pair + "%y = M::QLinear" + op +
          "(%a, %a_s, %a_z, %b, %b_s, %b_z, %y_s, %y_z) output %y");
  const std::string one =
      codes("x", "2,8", "uint8", 12) + of_output("uint8", 0, "0.00390625");
  const std::string call = "(%x, %x_s, %x_z, %y_s, %y_z) ";
  check(one + "%y = M::QLinearSigmoid" + call + "output %y");
  check(one + "%y = M::QLinearLeakyRelu" + call + "{alpha = 0.25} output %y");
  check(one + "%y = M::QLinearSoftmax" + call +
        "{axis = -1, opset = 13} output %y");
  check(codes("a", "2,3", "uint8", 12) +
        codes("b", "2,2", "uint8", 30, "0.015625") +
        of_output("uint8", 4, "0.03125") +
        "%y = M::QLinearConcat(%y_s, %y_z, %a, %a_s, %a_z, %b, %b_s, %b_z) "
        "{axis = 1} output %y");
}

TEST_CASE("exec quantized pooling") {
  const std::string x =
      codes("x", "1,3,8,8", "uint8", 12) + of_output("uint8", 4, "0.015625");
  const std::string call = "(%x, %x_s, %x_z, %y_s, %y_z) ";
  check(x + "%y = M::QLinearGlobalAveragePool" + call + "output %y");
  check(x + "%y = M::QLinearAveragePool" + call +
        "{kernel_shape = [2, 2], strides = [2, 2]} output %y");
  check(x + "%y = M::QLinearAveragePool" + call +
        "{kernel_shape = [4, 2], pads = [1, 0, 1, 0], count_include_pad = 1} "
        "output %y");
}

TEST_CASE("exec contrib: gradients") {
  auto gradients = [](const std::string& text) { gradients_agree(ms(text)); };
  gradients(
      "input %x: double[1,2,4,4] input %w: double[2,2,3,3] "
      "input %z: double[1,2,2,2] %y = M::FusedConv(%x, %w, _, %z) "
      "{activation = \"Tanh\"} output %y");
  gradients(
      "input %a: double[2,3] input %b: double[3,2] "
      "%y = M::FusedMatMul(%a, %b) {alpha = 0.5, transA = 1, transB = 1} "
      "output %y");
  gradients(
      "input %x: double[2,3] input %b: double[3] %g = M::Gelu(%x) "
      "%f = M::FastGelu(%x, %b) %q = M::QuickGelu(%x) "
      "output %g output %f output %q");
  gradients(
      "input %x: double[2,4] input %s: double[2,4] input %g: double[4] "
      "input %b: double[4] "
      "%y = M::SkipLayerNormalization(%x, %s, %g, %b) {epsilon = 0.01} "
      "%z = SimplifiedLayerNormalization(%x, %g) {epsilon = 0.01} "
      "output %y output %z");
  gradients(
      "input %x: double[1,3,4] input %w: double[4,12] input %b: double[12] "
      "%y = M::Attention(%x, %w, %b) {num_heads = 2} output %y");
}

}  // namespace
}  // namespace lathe::test
