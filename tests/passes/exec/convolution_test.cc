// Convolutions beside ONNX Runtime and finite differences.
#include <string>

#include "passes/base/error.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::same_as_runtime;

// "float[1,3,8,8]" and so on; b may be empty.
std::string graph(const std::string& op, const std::string& x,
                  const std::string& w, const std::string& b,
                  const std::string& attributes,
                  const std::string& type = "float") {
  std::string text =
      "input %x: " + type + "[" + x + "] input %w: " + type + "[" + w + "] ";
  if (!b.empty()) text += "input %b: " + type + "[" + b + "] ";
  text += "%y = " + op + "(%x, %w" + (b.empty() ? "" : ", %b") + ") ";
  if (!attributes.empty()) text += "{" + attributes + "} ";
  return text + "output %y";
}

void same(const std::string& op, const std::string& x, const std::string& w,
          const std::string& b, const std::string& attributes) {
  same_as_runtime(graph(op, x, w, b, attributes));
}

void differentiates(const std::string& op, const std::string& x,
                    const std::string& w, const std::string& b,
                    const std::string& attributes) {
  gradients_agree(graph(op, x, w, b, attributes, "double"));
}

TEST_CASE("Conv of one, two and three axes") {
  same("Conv", "2,3,8", "4,3,3", "4", "");
  same("Conv", "2,3,8", "4,3,3", "", "pads = [1, 2], strides = [2]");
  same("Conv", "1,3,8,7", "4,3,3,3", "4", "");
  same("Conv", "1,3,8,7", "4,3,3,3", "", "pads = [1, 1, 1, 1]");
  same("Conv", "1,3,8,7", "4,3,1,1", "4", "kernel_shape = [1, 1]");
  same("Conv", "1,3,9,8", "4,3,3,2", "4", "strides = [2, 3]");
  same("Conv", "1,3,9,8", "4,3,3,2", "4", "dilations = [2, 3]");
  same("Conv", "1,2,5,6,7", "3,2,3,2,3", "3", "pads = [1, 0, 1, 1, 0, 1]");
  same("Conv", "1,2,5,6,7", "3,2,3,2,3", "",
       "pads = [1, 0, 1, 0, 1, 2], strides = [2, 1, 2]");
}

TEST_CASE("Conv with pads of different ends") {
  same("Conv", "1,3,8,8", "4,3,3,3", "4",
       "pads = [0, 0, 1, 1], strides = [2, 2]");
  same("Conv", "1,3,8,8", "4,3,3,3", "4", "pads = [2, 1, 1, 0]");
  same("Conv", "1,3,8,8", "4,3,3,3", "", "pads = [0, 3, 2, 1]");
}

TEST_CASE("Conv in groups") {
  same("Conv", "1,4,6,6", "8,2,3,3", "8", "group = 2, pads = [1, 1, 1, 1]");
  same("Conv", "1,4,6,6", "4,1,3,3", "4", "group = 4");
  same("Conv", "1,4,6,6", "8,1,3,3", "", "group = 4, strides = [2, 2]");
  same("Conv", "2,4,9", "4,1,3", "", "group = 4, dilations = [2]");
}

TEST_CASE("Conv with automatic pads") {
  for (const std::string pad : {"SAME_UPPER", "SAME_LOWER", "VALID"})
    for (const std::string stride : {"1", "2", "3"}) {
      const std::string attributes = "auto_pad = \"" + pad + "\", strides = [" +
                                     stride + ", " + stride + "]";
      same("Conv", "1,2,7,8", "3,2,3,4", "3", attributes);
      same("Conv", "1,2,7,8", "3,2,2,1", "", attributes);
    }
  same("Conv", "1,2,9", "3,2,4", "3", "auto_pad = \"SAME_LOWER\"");
}

TEST_CASE("gradients of Conv") {
  differentiates("Conv", "1,2,5,4", "3,2,3,2", "3", "pads = [1, 0, 0, 1]");
  differentiates("Conv", "2,2,5", "2,1,3", "2",
                 "group = 2, pads = [1, 1], dilations = [2]");
  differentiates("Conv", "1,2,5,4", "2,2,3,3", "2",
                 "auto_pad = \"SAME_UPPER\", strides = [2, 2]");
  differentiates("Conv", "1,2,5,4", "2,2,2,2", "2",
                 "auto_pad = \"SAME_LOWER\", dilations = [2, 1]");
  differentiates("Conv", "1,1,3,3,3", "2,1,2,2,2", "2", "");
}

TEST_CASE("ConvTranspose") {
  same("ConvTranspose", "1,3,5", "3,2,3", "2", "");
  same("ConvTranspose", "1,3,5,4", "3,2,3,3", "2", "strides = [2, 2]");
  same("ConvTranspose", "1,3,5,4", "3,2,3,2", "2",
       "strides = [2, 3], pads = [1, 0, 1, 0], output_padding = [1, 2]");
  same("ConvTranspose", "1,3,5,4", "3,2,3,3", "",
       "strides = [2, 2], pads = [0, 1, 1, 0]");
  same("ConvTranspose", "1,3,5,4", "3,2,3,3", "2",
       "strides = [2, 2], pads = [1, 0, 0, 2], output_padding = [1, 1]");
  same("ConvTranspose", "1,4,5,4", "4,3,3,3", "6",
       "group = 2, dilations = [2, 1]");
  same("ConvTranspose", "1,2,3,4,3", "2,3,2,2,2", "3",
       "strides = [2, 1, 2], pads = [0, 1, 0, 0, 1, 1]");
}

TEST_CASE("ConvTranspose to a given shape") {
  same("ConvTranspose", "1,3,5,4", "3,2,3,3", "2",
       "strides = [2, 2], output_shape = [10, 8]");
  same("ConvTranspose", "1,3,5,4", "3,2,3,3", "2",
       "strides = [3, 2], output_shape = [16, 8], auto_pad = \"SAME_UPPER\"");
  same("ConvTranspose", "1,3,5,4", "3,2,3,3", "2",
       "strides = [2, 2], auto_pad = \"SAME_UPPER\"");
  same("ConvTranspose", "1,3,5,4", "3,2,4,3", "2",
       "strides = [2, 2], auto_pad = \"SAME_LOWER\"");
  same("ConvTranspose", "1,3,5,4", "3,2,1,3", "",
       "strides = [2, 2], auto_pad = \"SAME_UPPER\"");
}

TEST_CASE("ConvTranspose to a shape that it does not reach") {
  // The runtime refuses; behind what is reached only the bias stands.
  const at::Tensor x = at::randn({1, 3, 5, 4}, at::kDouble);
  const at::Tensor w = at::randn({3, 2, 3, 3}, at::kDouble);
  const at::Tensor b = at::randn({2}, at::kDouble);
  const at::Tensor y = test::run_program(
      graph("ConvTranspose", "1,3,5,4", "3,2,3,3", "2",
            "strides = [2, 2], output_shape = [15, 9]", "double"),
      {x, w, b})[0];
  const at::Tensor reached = at::conv_transpose2d(x, w, {}, {2, 2});
  const at::Tensor bias = b.reshape({1, 2, 1, 1});
  CHECK(at::allclose(y, at::constant_pad_nd(reached, {0, 0, 0, 4}) + bias));
}

TEST_CASE("gradients of ConvTranspose") {
  differentiates("ConvTranspose", "1,2,3,4", "2,2,3,2", "2",
                 "strides = [2, 2], pads = [1, 0, 0, 1]");
  differentiates("ConvTranspose", "1,2,3,4", "2,1,3,2", "2",
                 "group = 2, strides = [2, 2], output_shape = [10, 9]");
  differentiates("ConvTranspose", "1,2,4", "2,2,3", "2",
                 "strides = [2], output_padding = [1], pads = [1, 1]");
}

TEST_CASE("ConvInteger") {
  const std::string inputs =
      "input %x: uint8[1,3,6,6] input %w: int8[4,3,3,3] "
      "init %z = uint8[] {3} init %k = int8[] {-2} "
      "init %c = int8[4] {-2, 0, 1, 2} ";
  same_as_runtime(
      "input %x: uint8[1,3,6,6] input %w: uint8[4,3,3,3] "
      "init %z = uint8[] {3} "
      "%y = ConvInteger(%x, %w, %z) {pads = [1, 1, 1, 1]} output %y");
  same_as_runtime(
      "input %x: uint8[1,3,6,6] input %w: uint8[4,3,3,3] "
      "%y = ConvInteger(%x, %w) {strides = [2, 2]} output %y");
  same_as_runtime(inputs +
                  "%y = ConvInteger(%x, %w, %z, %k) {pads = [0, 0, 1, 1]} "
                  "output %y");
  // A zero point a filter: that of one filter is what the whole gives there.
  const at::Tensor x = at::randint(0, 256, {1, 3, 6, 6}).to(at::kByte);
  const at::Tensor w = at::randint(-128, 128, {4, 3, 3, 3}).to(at::kChar);
  const at::Tensor y = test::run_program(
      inputs + "%y = ConvInteger(%x, %w, %z, %c) output %y", {x, w})[0];
  const at::Tensor zeros =
      at::tensor({-2, 0, 1, 2}, at::kDouble).reshape({4, 1, 1, 1});
  const at::Tensor expected =
      at::conv2d(x.to(at::kDouble) - 3, w.to(at::kDouble) - zeros);
  CHECK((y.scalar_type() == at::kInt));
  CHECK(at::equal(y.to(at::kDouble), expected));
}

TEST_CASE("DeformConv without offsets is Conv, and a whole offset shifts") {
  const std::string body =
      "input %x: double[1,4,6,5] input %w: double[2,2,3,2] "
      "input %o: double[1,24,3,2] input %b: double[2] "
      "input %m: double[1,12,3,2] "
      "%y = DeformConv(%x, %w, %o, %b, %m) {group = 2, offset_group = 2, "
      "pads = [1, 0, 1, 0], strides = [2, 3], dilations = [1, 1]} output %y";
  const at::Tensor x = at::randn({1, 4, 6, 5}, at::kDouble);
  const at::Tensor w = at::randn({2, 2, 3, 2}, at::kDouble);
  const at::Tensor b = at::randn({2}, at::kDouble);
  const at::Tensor offsets = at::zeros({1, 24, 3, 2}, at::kDouble);
  const at::Tensor mask = at::ones({1, 12, 3, 2}, at::kDouble);
  const at::Tensor y = test::run_program(body, {x, w, offsets, b, mask}, 19)[0];
  CHECK(at::allclose(y, at::conv2d(x, w, b, {2, 3}, {1, 0}, {1, 1}, 2)));
  // Every row offset is 1.
  at::Tensor down = offsets.reshape({1, 2, 6, 2, 3, 2}).clone();
  down.select(3, 0).fill_(1);
  const at::Tensor shifted = test::run_program(
      body, {x, w, down.reshape({1, 24, 3, 2}), b, mask * 2}, 19)[0];
  // Pads of 1 and an offset of 1: rows begin at 0.
  const at::Tensor expected =
      at::conv2d(at::constant_pad_nd(x, {0, 0, 0, 2}), w * 2, b, {2, 3},
                 at::IntArrayRef{0, 0}, {1, 1}, 2);
  CHECK(at::allclose(shifted, expected.slice(2, 0, 3)));
  gradients_agree(body, {.opset = 19, .tolerance = 1e-5, .seed = 3});
}

TEST_CASE("what a convolution does not take") {
  auto fails = [](const std::string& attributes) {
    const std::string body =
        "input %x: float[1,3,8,8] input %w: float[4,3,3,3] %y = Conv(%x, %w) "
        "{" +
        attributes + "} output %y";
    // Shape inference may refuse first.
    CHECK_THROWS_AS(test::run_program(body, {at::randn({1, 3, 8, 8}),
                                             at::randn({4, 3, 3, 3})}),
                    Error);
  };
  fails("strides = [1]");
  fails("pads = [1, 1]");
  fails("dilations = [0, 1]");
  fails("group = 0");
  fails("auto_pad = \"SAME\"");
}

}  // namespace
}  // namespace lathe
