// Statistics of weights that are drawn anew.
#include "passes/prune/fresh_weights.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "passes/ir/text_format.h"
#include "tests/passes/prune/saliency_support.h"

namespace lathe::prune {
namespace {

// "float[2,3] sevens" in the text form.
std::string written_out(std::string text) {
  const std::string word = "sevens";
  while (true) {
    const size_t at = text.find(word);
    if (at == std::string::npos) return text;
    int64_t count = 1;
    for (size_t i = text.rfind('[', at); text[i] != ']';
         i = text.find_first_of(",]", i + 1))
      count *= std::stoll(text.substr(i + 1));
    std::string numbers = "{7.0";
    for (int64_t i = 1; i < count; ++i) numbers += ", 7.0";
    text.replace(at, word.size(), numbers + "}");
  }
}

struct Drawn {
  ir::Model model;
  int64_t changed = 0;

  std::vector<double> values(const std::string& name) const {
    return model.graph->find(name)->tensor().to_doubles();
  }
  // The one number that it consists of; else NaN.
  double constant(const std::string& name) const {
    const std::vector<double> all = values(name);
    for (const double value : all)
      if (value != all[0]) return NAN;
    return all[0];
  }
  // Its deviation, over what is expected of so many draws.
  double deviation(const std::string& name, double expected) const {
    const std::vector<double> all = values(name);
    double sum = 0, squares = 0;
    for (const double value : all) {
      sum += value;
      squares += value * value;
    }
    const auto n = static_cast<double>(all.size());
    // Five standard errors.
    CHECK(std::abs(sum / n) < 5 * expected / std::sqrt(n));
    return std::sqrt(squares / n) / expected;
  }
};

Drawn drawn(const std::string& body, uint64_t seed = 1) {
  Drawn drawn{test::text_model(written_out(body)), 0};
  drawn.changed = draw_weights(drawn.model, seed);
  return drawn;
}

doctest::Approx about_one() { return doctest::Approx(1).epsilon(0.05); }

TEST_CASE("fresh weights: He before ReLU, Glorot elsewhere") {
  const Drawn net = drawn(R"(
  input %x: float[1,16,8,8]
  init %w1 = float[48,16,3,3] sevens
  init %b1 = float[48] sevens
  init %scale = float[48] sevens
  init %shift = float[48] sevens
  init %mean = float[48] sevens
  init %variance = float[48] sevens
  init %w2 = float[48,1,3,3] sevens
  init %slope = float[48,1,1] sevens
  init %w3 = float[64,48,1,1] sevens
  init %w4 = float[64,100] sevens
  init %b4 = float[100] sevens
  init %shape = int64[2] {1, -1}
  %c1: float[1,48,8,8] = Conv(%x, %w1, %b1) {pads = [1, 1, 1, 1]}
  %n: float[1,48,8,8] = BatchNormalization(%c1, %scale, %shift, %mean, %variance)
  %r: float[1,48,8,8] = Relu(%n)
  %c2: float[1,48,8,8] = Conv(%r, %w2) {group = 48, pads = [1, 1, 1, 1]}
  %p: float[1,48,8,8] = PRelu(%c2, %slope)
  %c3: float[1,64,8,8] = Conv(%p, %w3)
  %s: float[1,64,8,8] = Sigmoid(%c3)
  %m: float[1,64,8,8] = Mul(%c3, %s)
  %g: float[1,64,1,1] = GlobalAveragePool(%m)
  %f: float[1,64] = Reshape(%g, %shape)
  %y: float[1,100] = Gemm(%f, %w4, %b4)
  output %y)");
  CHECK(net.changed == 11);
  CHECK(net.deviation("w1", std::sqrt(2.0 / (16 * 9))) == about_one());
  CHECK(net.deviation("w2", std::sqrt(2.0 / 9)) ==
        doctest::Approx(1).epsilon(0.15));
  CHECK(net.deviation("w3", std::sqrt(2.0 / 48)) == about_one());
  CHECK(net.deviation("w4", std::sqrt(2.0 / (64 + 100))) == about_one());
  for (const char* name : {"b1", "shift", "mean", "b4"})
    CHECK(net.constant(name) == 0);
  for (const char* name : {"scale", "variance"}) CHECK(net.constant(name) == 1);
  CHECK(net.constant("slope") == 0.25);
  CHECK(net.model.graph->find("shape")->tensor().data<int64_t>()[0] == 1);
}

TEST_CASE("fresh weights: products, whichever way their weights lie") {
  const Drawn net = drawn(R"(
  input %x: float[1,200]
  init %a = float[200,50] sevens
  init %b = float[100,50] sevens
  init %c = float[100,60] sevens
  init %bias = float[60] sevens
  init %d = float[80,60] sevens
  init %axes = int64[1] {0}
  %1: float[1,50] = MatMul(%x, %a)
  %2: float[1,100] = Gemm(%1, %b) {transB = 1}
  %3: float[1,60] = MatMul(%2, %c)
  %4: float[1,60] = Add(%bias, %3)
  %5: float[1,60] = Relu(%4)
  %y: float[1,80] = Einsum(%5, %d) {equation = "bi,oi->bo"}
  output %y)");
  CHECK(net.deviation("a", std::sqrt(2.0 / 250)) == about_one());
  CHECK(net.deviation("b", std::sqrt(2.0 / 150)) == about_one());
  CHECK(net.deviation("c", std::sqrt(2.0 / 100)) == about_one());
  CHECK(net.deviation("d", std::sqrt(2.0 / 140)) == about_one());
  CHECK(net.constant("bias") == 0);
}

TEST_CASE("fresh weights: tables, normalizations, factors and other types") {
  const Drawn net = drawn(R"(
  input %i: int64[1,10]
  init %table = float16[500,32] sevens
  init %place = float16[1,10,32] sevens
  init %scale = float16[32] sevens
  init %shift = float16[32] sevens
  init %factor = float16[32] sevens
  %e: float16[1,10,32] = Gather(%table, %i)
  %p: float16[1,10,32] = Add(%e, %place)
  %n: float16[1,10,32] = LayerNormalization(%p, %scale, %shift)
  %y: float16[1,10,32] = Mul(%n, %factor)
  output %y)");
  CHECK(net.model.graph->find("table")->tensor().type() ==
        ir::DataType::kFloat16);
  CHECK(net.deviation("table", 0.02) == about_one());
  CHECK(net.constant("scale") == 1);
  CHECK(net.constant("shift") == 0);
  CHECK(net.constant("factor") == 1);
  CHECK(net.constant("place") == 7);  // no weight
}

TEST_CASE("fresh weights: recurrent layers") {
  const Drawn net = drawn(R"(
  input %x: float[5,1,60]
  init %w = float[1,160,60] sevens
  init %r = float[1,160,40] sevens
  init %b = float[1,320] sevens
  %y: float[5,1,1,40] = LSTM(%x, %w, %r, %b) {hidden_size = 40}
  output %y)");
  CHECK(net.deviation("w", std::sqrt(2.0 / 100)) == about_one());
  CHECK(net.deviation("r", std::sqrt(2.0 / 80)) == about_one());
  CHECK(net.constant("b") == 0);
}

TEST_CASE("fresh weights: what normalizes the model's inputs stays") {
  const Drawn net = drawn(R"(
  input %x: float[1,3,4,4]
  init %mean = float[1,3,1,1] sevens
  init %factor = float[3,1,1] sevens
  init %w = float[8,3,1,1] sevens
  init %after = float[8,1,1] sevens
  %a: float[1,3,4,4] = Add(%x, %mean)
  %b: float[1,3,4,4] = Mul(%a, %factor)
  %c: float[1,8,4,4] = Conv(%b, %w)
  %y: float[1,8,4,4] = Mul(%c, %after)
  output %y)");
  CHECK(net.constant("mean") == 7);
  CHECK(net.constant("factor") == 7);
  CHECK(net.constant("after") == 1);
  CHECK(net.changed == 2);
}

TEST_CASE("fresh weights: each tensor from the seed and its own name") {
  const std::string body = R"(
  input %x: float[1,8]
  init %a = float[8,8] sevens
  init %b = float[8,8] sevens
  %h: float[1,8] = MatMul(%x, %a)
  %y: float[1,8] = MatMul(%h, %b)
  output %y)";
  const Drawn once = drawn(body), again = drawn(body), other = drawn(body, 2);
  CHECK(once.values("a") == again.values("a"));
  CHECK(once.values("a") != once.values("b"));
  CHECK(once.values("a") != other.values("a"));
  ir::Model model = test::text_model(written_out(body));
  draw_weights(model, 1);
  CHECK(draw_weights(model, 1) == 0);
}

}  // namespace
}  // namespace lathe::prune
