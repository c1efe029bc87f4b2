#include "calibration/accuracy/layer_match.h"

#include "tests/calibration/code_nets.h"
#include "tests/calibration/fixtures.h"

namespace lathe::accuracy {
namespace {

using test::model_of;

// "layer value=other" a line; "*" stands for codes, "-" for no counterpart.
std::string matches(const ir::Model& a, const ir::Model& b) {
  std::string text;
  for (const LayerPair& pair : match_layers(a, b))
    text += pair.name + " " + pair.value + "=" +
            (pair.matched() ? pair.other : "-") + (pair.codes ? "*" : "") +
            "\n";
  return text;
}

const char* const kFloat = R"(graph main {
  input %x: float[N,2,4,4]
  init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
  %c: float[N,2,4,4] = Conv(%x, %w) @conv
  %r: float[N,2,4,4] = Relu(%c) @relu
  %p: float[N,2,1,1] = GlobalAveragePool(%r) @pool
  %s: int64[4] = Shape(%p)
  %y: float[N,2,1,1] = Sigmoid(%p) @gate
  output %y
})";

TEST_CASE("values named by Lathe's quantizer") {
  CHECK(matches(model_of(kFloat), model_of(R"(graph main {
    input %x: float[N,2,4,4]
    init %sx = float[] {0.02}
    init %zx = uint8[] {128}
    init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
    %x_QuantizeLinear: uint8[N,2,4,4] = QuantizeLinear(%x, %sx, %zx)
    %x_DequantizeLinear: float[N,2,4,4] = DequantizeLinear(%x_QuantizeLinear, %sx, %zx)
    %c: float[N,2,4,4] = Conv(%x_DequantizeLinear, %w) @conv
    %r: float[N,2,4,4] = Relu(%c) @relu
    %r_QuantizeLinear: uint8[N,2,4,4] = QuantizeLinear(%r, %sx, %zx)
    %r_DequantizeLinear: float[N,2,4,4] = DequantizeLinear(%r_QuantizeLinear, %sx, %zx)
    %p: float[N,2,1,1] = GlobalAveragePool(%r_DequantizeLinear) @pool
    %p_QuantizeLinear: uint8[N,2,1,1] = QuantizeLinear(%p, %sx, %zx)
    %p_DequantizeLinear: float[N,2,1,1] = DequantizeLinear(%p_QuantizeLinear, %sx, %zx)
    %y_float: float[N,2,1,1] = Sigmoid(%p_DequantizeLinear) @gate
    %y_QuantizeLinear: uint8[N,2,1,1] = QuantizeLinear(%y_float, %sx, %zx)
    %y: float[N,2,1,1] = DequantizeLinear(%y_QuantizeLinear, %sx, %zx)
    output %y
  })")) ==
        "x x=x_DequantizeLinear\nconv c=c\nrelu r=r_DequantizeLinear\n"
        "pool p=p_DequantizeLinear\ngate y=y\n");
}

TEST_CASE("ONNX Runtime's quantizer: its names, and the Relu left to Q") {
  const ir::Model quantized = model_of(R"(graph main {
    input %x: float[N,2,4,4]
    init %sx = float[] {0.02}
    init %zx = uint8[] {128}
    init %sr = float[] {0.03}
    init %zr = uint8[] {0}
    init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
    %x_QuantizeLinear_Output: uint8[N,2,4,4] = QuantizeLinear(%x, %sx, %zx)
    %x_DequantizeLinear_Output: float[N,2,4,4] = DequantizeLinear(%x_QuantizeLinear_Output, %sx, %zx)
    %c: float[N,2,4,4] = Conv(%x_DequantizeLinear_Output, %w) @conv
    %c_QuantizeLinear_Output: uint8[N,2,4,4] = QuantizeLinear(%c, %sr, %zr)
    %c_DequantizeLinear_Output: float[N,2,4,4] = DequantizeLinear(%c_QuantizeLinear_Output, %sr, %zr)
    %p: float[N,2,1,1] = GlobalAveragePool(%c_DequantizeLinear_Output) @pool
    %y: float[N,2,1,1] = Sigmoid(%p) @gate
    output %y
  })");
  CHECK(matches(model_of(kFloat), quantized) ==
        "x x=x_DequantizeLinear_Output\nconv c=-\n"
        "relu r=c_DequantizeLinear_Output\npool p=p\ngate y=y\n");
  const auto layers = match_layers(model_of(kFloat), quantized);
  REQUIRE(layers[2].quantizer);
  CHECK(layers[2].quantizer->affine.scale == 0.03f);
  CHECK(layers[2].quantizer->affine.zero_point == 0);
  CHECK(layers[2].quantizer->type == ir::DataType::kUint8);
  CHECK_FALSE(layers[3].quantizer);
  CHECK(layers[0].operator_type == "Input");
  CHECK(layers[2].inputs == std::vector<size_t>{1});
  CHECK(layers[1].inputs == std::vector<size_t>{0});
}

TEST_CASE("operators on codes: the codes are read with their parameters") {
  const ir::Model quantized = model_of(test::kOnCodes);
  const ir::Model real = model_of(test::kOnFloats);
  CHECK(matches(real, quantized) ==
        "x x=x_quantized*\nconv r=r_quantized*\nmax m=y\nsame y=y\n");
}

TEST_CASE("a folded BatchNormalization stands under the name of the Conv") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,2,4,4]
    init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
    init %g = float[2] {2, 3}
    init %v = float[2] {1, 1}
    %c: float[N,2,4,4] = Conv(%x, %w) @conv
    %n: float[N,2,4,4] = BatchNormalization(%c, %g, %g, %g, %v) @bn
    %r: float[N,2,4,4] = Relu(%n) @relu
    %y: float[N,2,4,4] = Add(%r, %n) @add
    output %y
  })");
  CHECK(matches(real, model_of(R"(graph main {
    input %x: float[N,2,4,4]
    init %w = float[2,2,1,1] {2, 1, -0.75, 6}
    %c: float[N,2,4,4] = Conv(%x, %w) @conv
    %r: float[N,2,4,4] = Relu(%c) @relu
    %y: float[N,2,4,4] = Add(%r, %c) @add
    output %y
  })")) == "conv c=-\nbn n=c\nrelu r=r\nadd y=y\n");
  // Written as Mul it is still there: nothing moves.
  CHECK(matches(real, model_of(R"(graph main {
    input %x: float[N,2,4,4]
    init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
    init %g = float[2,1,1] {2, 3}
    %c: float[N,2,4,4] = Conv(%x, %w) @conv
    %scaled: float[N,2,4,4] = Mul(%c, %g)
    %r: float[N,2,4,4] = Relu(%scaled) @relu
    %y: float[N,2,4,4] = Add(%r, %scaled) @add
    output %y
  })")) == "conv c=c\nbn n=-\nrelu r=r\nadd y=y\n");
}

TEST_CASE("other names: nodes between matched values, forwards and backwards") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,4]
    init %g = float[4] {2, 3, 1, 1}
    %a: float[N,4] = Relu(%x)
    %b: float[N,4] = Mul(%a, %g)
    %c: float[N,4] = Sigmoid(%b)
    %d: float[N,4] = Tanh(%b)
    %e: float[N,4] = Add(%c, %d)
    output %e
  })");
  CHECK(matches(real, model_of(R"(graph main {
    input %x: float[N,4]
    init %g = float[4] {2, 3, 1, 1}
    %1: float[N,4] = Relu(%x)
    %2: float[N,4] = Mul(%1, %g)
    %3: float[N,4] = Tanh(%2)
    %4: float[N,4] = Sigmoid(%2)
    %5: float[N,4] = Add(%4, %3)
    output %5
  })")) == "a a=1\nb b=2\nc c=4\nd d=3\ne e=5\n");
  // The start differs: only from the output back.
  CHECK(matches(real, model_of(R"(graph main {
    input %x: float[N,4]
    %1: float[N,4] = Abs(%x)
    %2: float[N,4] = Exp(%1)
    %3: float[N,4] = Tanh(%2)
    %4: float[N,4] = Sigmoid(%2)
    %5: float[N,4] = Add(%4, %3)
    output %5
  })")) == "a a=-\nb b=-\nc c=4\nd d=3\ne e=5\n");
}

TEST_CASE("twins are told apart by name, or not at all") {
  const auto twins = [](const char* first, const char* second,
                        const char* prefix) {
    std::string text = R"(graph main {
      input %x: float[N,4]
      init %w = float[4,4] {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
      %PQ: float[N,4] = MatMul(%x, %w) @FIRST
      %PK: float[N,4] = MatMul(%x, %w) @SECOND
      %PS: float[N,4] = Sub(%PK, %PQ)
      %PT: float[N,4] = Mul(%PS, %PQ)
      %out: float[N,4] = Max(%PT, %PS, %PK)
      output %out
    })";
    const auto replace = [&](const std::string& from, const std::string& to) {
      for (size_t at; (at = text.find(from)) != std::string::npos;)
        text.replace(at, from.size(), to);
    };
    replace("%P", std::string("%") + prefix);
    replace("FIRST", first);
    replace("SECOND", second);
    return model_of(text);
  };
  CHECK(matches(twins("q", "k", "a"), twins("k", "q", "b")) ==
        "q aQ=bK\nk aK=bQ\naS aS=bS\naT aT=bT\nout out=out\n");
  // The output leads back to Mul and Sub, and they tell the twins.
  CHECK(matches(twins("q", "k", "a"), twins("m", "n", "b")) ==
        "q aQ=bQ\nk aK=bK\naS aS=bS\naT aT=bT\nout out=out\n");
}

TEST_CASE("shapes must agree, but for dimensions of 1") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[1,4]
    %a: float[1,4] = Relu(%x)
    %b: float[1,4] = Tanh(%a)
    output %b
  })");
  CHECK(matches(real, model_of(R"(graph main {
    input %x: float[1,4]
    init %s = int64[2] {2, 2}
    init %t = int64[3] {1, 4, 1}
    %a: float[2,2] = Reshape(%x, %s)
    %c: float[2,2] = Relu(%a)
    %b: float[1,4,1] = Reshape(%c, %t)
    output %b
  })")) == "a a=-\nb b=b\n");
}

TEST_CASE("what stands in a subgraph stands for nothing outside") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,3]
    input %b: bool[]
    %a: float[N,3] = Abs(%x) @abs
    %y: float[N,3] = If(%b) {
      then_branch = graph then {
        %t: float[N,3] = Neg(%a)
        output %t
      },
      else_branch = graph else {
        %e: float[N,3] = Neg(%a)
        output %e
      }
    } @if
    output %y
  })");
  CHECK(matches(real, model_of(R"(graph main {
    input %x: float[N,3]
    input %b: bool[]
    init %s = float[] {0.5}
    init %z = uint8[] {0}
    %a: float[N,3] = Abs(%x) @abs
    %y: float[N,3] = If(%b) {
      then_branch = graph then {
        %q: uint8[N,3] = QuantizeLinear(%a, %s, %z)
        %d: float[N,3] = DequantizeLinear(%q, %s, %z)
        %t: float[N,3] = Neg(%d)
        output %t
      },
      else_branch = graph else {
        %e: float[N,3] = Neg(%a)
        output %e
      }
    } @if
    output %y
  })")) == "abs a=a\nif y=y\n");
}

}  // namespace
}  // namespace lathe::accuracy
