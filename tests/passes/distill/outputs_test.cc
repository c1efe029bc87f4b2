#include "passes/distill/outputs.h"

#include <doctest/doctest.h>

#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "tests/zoo/zoo.h"

namespace lathe {
namespace {

// "loss axis", and " probabilities".
std::string shown(const ir::Model& model) {
  return distill::default_loss(model, 0) + " " +
         std::to_string(distill::class_axis(model, 0)) +
         (distill::ends_in_softmax(model, 0) ? " probabilities" : "");
}

std::string shown(const std::string& body, int64_t opset = 17) {
  CAPTURE(body);
  ir::Model model =
      ir::parse_text("ir_version 8 opset " + std::to_string(opset) +
                     " graph g {\n" + body + " output %y }");
  ir::infer_shapes(model);
  return shown(model);
}

TEST_CASE("scores of classes are compared by kl, other outputs by mse") {
  CHECK(shown("input %x: float[N,8] %y = Neg(%x)") == "kl 1");
  CHECK(shown("input %x: float[N,1] %y = Neg(%x)") == "mse 1");
  CHECK(shown("input %x: float[N] %y = Neg(%x)") == "mse -1");
  CHECK(shown("input %x: float[N,8] %y = Sigmoid(%x)") == "mse 1");
  CHECK(shown("input %x: float[N,8] %s = Tanh(%x) %y = Identity(%s)") ==
        "mse 1");
  CHECK(shown("input %x: float[N,8] %y = LpNormalization(%x)") == "mse 1");
  CHECK(shown("input %x: float[N,8] %y = ArgMax(%x) {axis = 1}") == "mse 1");
  CHECK(shown("input %x: float[N,8,4,4] %y = Neg(%x)") == "mse 1");
  CHECK(shown("input %y: float[N,8]") == "mse 1");
  CHECK(shown("input %x: float[N,5,8] %y = Neg(%x)") == "mse 1");
}

TEST_CASE("a softmax at the end is found behind what moves its values") {
  const std::string image = "input %x: float[N,8,4,4] ";
  CHECK(shown(image + "%y = Softmax(%x) {axis = 1}") == "kl 1 probabilities");
  CHECK(shown(image + "%y = LogSoftmax(%x) {axis = 1}") == "kl 1");
  CHECK(shown(image + "%y = Softmax(%x)") == "kl 3 probabilities");
  CHECK(shown(image + "%s = Softmax(%x) {axis = 0} %y = Identity(%s)") ==
        "mse 1");
  CHECK(shown(image + R"(%s = Softmax(%x) {axis = 1}
      %y = Transpose(%s) {perm = [0, 2, 3, 1]})") == "kl 3 probabilities");
  CHECK(shown("input %x: float[3,8] %s = Softmax(%x) {axis = 0} "
              "%y = Transpose(%s)") == "kl 1 probabilities");
  CHECK(shown(R"(input %x: float[N,8,1,1] init %dims = int64[2] {0, -1}
      %s = Softmax(%x) {axis = 1} %c = Cast(%s) {to = 10}
      %y = Reshape(%c, %dims))") == "kl 1 probabilities");
  CHECK(shown("input %x: float[N,8,1,1] %s = Softmax(%x) {axis = 1} "
              "%y = Flatten(%s)") == "kl 1 probabilities");
  // Classes and positions become one axis.
  CHECK(shown(image + "%s = Softmax(%x) {axis = 1} %y = Flatten(%s)") ==
        "kl 1");
  // Before opset 13, a matrix.
  CHECK(shown("input %x: float[N,8] %y = Softmax(%x)", 11) ==
        "kl 1 probabilities");
  CHECK(shown(image + "%y = Softmax(%x)", 11) == "mse 1");
}

TEST_CASE("quantized probabilities are probabilities") {
  CHECK(shown(R"(input %x: float[N,8] init %scale = float[] {0.004}
      init %zero = uint8[] {0} %s = Softmax(%x)
      %q = QuantizeLinear(%s, %scale, %zero)
      %y = DequantizeLinear(%q, %scale, %zero))") == "kl 1 probabilities");
}

TEST_CASE("language models have words on their last axis") {
  const std::string embedding = R"(input %ids: int64[N,5]
      init %table = float[4,2] {1, 2, 3, 4, 5, 6, 7, 8}
      init %w = float[2,3] {1, 2, 3, 4, 5, 6} init %b = float[3] {1, 2, 3}
      %e = Gather(%table, %ids) )";
  CHECK(shown(embedding + "%y = MatMul(%e, %w)") == "kl 2");
  CHECK(shown(embedding + "%m = MatMul(%e, %w) %y = Add(%b, %m)") == "kl 2");
  CHECK(shown(embedding + "%m = MatMul(%e, %w) %y = Add(%m, %m)") == "mse 2");
  CHECK(shown(embedding + "%y = Tanh(%e)") == "mse 2");
  CHECK(shown(embedding + "input %x: float[3] %m = MatMul(%e, %w) "
                          "%y = Add(%m, %x)") == "mse 1");
}

TEST_CASE("default losses of well-known architectures") {
  for (const char* name : {"resnet18", "squeezenet1_1", "vit_tiny"}) {
    CAPTURE(name);
    CHECK(shown(zoo::build_zoo_model(name, 1)) == "kl 1");
  }
  CHECK(shown(zoo::build_zoo_model("bert_tiny", 1)) == "mse 2");
}

}  // namespace
}  // namespace lathe
