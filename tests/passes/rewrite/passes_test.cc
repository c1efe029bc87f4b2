// Cases of single passes beside their golden pairs.
#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "passes/rewrite/no_op.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/rewrite/rewrite_test_support.h"

namespace lathe::rewrite {
namespace {

ir::Model parse(const std::string& body) {
  return ir::parse_text("ir_version 8 opset 17 graph main {" + body + "}");
}

// The remark on the BatchNormalization of a model that must not fold.
std::string norm_remark(const std::string& body) {
  ir::Model model = parse(
      "input %x: float[1,2,3,3] init %w = float[2,2,1,1] {1, 2, 3, 4} "
      "init %g = float[2] {1, 2} init %v = float[2] {0, -1} " +
      body);
  PassResult result = apply_pass(model, make_fold_batch_norm());
  CHECK(result.changes == 0);
  REQUIRE(result.remarks.size() == 1);
  return texts(result.remarks)[0];
}

TEST_CASE("fold_batch_norm: every node left alone says why") {
  CHECK(norm_remark(R"(%c = Conv(%x, %w) @c
          %y = BatchNormalization(%c, %g, %g, %g, %v) @n output %y)") ==
        "n: channel 1 has no finite factor (scale / sqrt(variance + epsilon))");
  CHECK(norm_remark(R"(%c = Conv(%x, %w) @c
          %y = BatchNormalization(%c, %g, %g, %g, %g) @n
          output %y output %c)") ==
        "n: the output of Conv 'c' is a graph output");
  CHECK(norm_remark(R"(input %s: float[2] %c = Conv(%x, %w) @c
          %y = BatchNormalization(%c, %s, %g, %g, %g) @n output %y)") ==
        "n: its parameters are not constant");
  CHECK(norm_remark(R"(input %k: float[2,2,1,1] %c = Conv(%x, %k) @c
          %y = BatchNormalization(%c, %g, %g, %g, %g) @n output %y)") ==
        "n: the weight of Conv 'c' is not constant");
  CHECK(norm_remark(R"(input %b: float[2] %c = Conv(%x, %w, %b) @c
          %y = BatchNormalization(%c, %g, %g, %g, %g) @n output %y)") ==
        "n: the bias of Conv 'c' is not constant");
  CHECK(norm_remark(R"(%c = Conv(%x, %w) @c
          %y = BatchNormalization(%c, %g, %g, %g, %g) {training_mode = 1} @n
          output %y)") == "n: it is in training mode");
  CHECK(norm_remark(R"(init %t = float[3] {1, 1, 1} %c = Conv(%x, %w) @c
          %y = BatchNormalization(%c, %t, %t, %t, %t) @n output %y)") ==
        "n: it has 3 channels, and the weight before it another number of "
        "outputs");
}

// Four channels of codes.
std::string coded_convolution(const std::string& axis,
                              const std::string& scale) {
  return "input %x: float[1,2,2,2] "
         "init %q = int8[4,2,1,1] {1, -128, 3, 4, 5, 6, 127, 8} "
         "init %s = float[4] " +
         scale +
         " init %z = int8[4] {0, 1, -2, 0} "
         "init %g = float[4] {1, -2, 3, 4} init %b = float[4] {4, 3, 2, 1} "
         "%w = DequantizeLinear(%q, %s, %z) {axis = " +
         axis +
         "} "
         "%c: float[1,4,2,2] = Conv(%x, %w, %b) @c "
         "%y: float[1,4,2,2] = BatchNormalization(%c, %g, %b, %b, %b) @n "
         "output %y";
}

TEST_CASE("fold_batch_norm: scales of codes take the factors") {
  const ir::Model before =
      parse(coded_convolution("0", "{0.1, 0.2, -0.3, 0.4}"));
  ir::Model after = ir::clone(before);
  CHECK(apply_pass(after, make_fold_batch_norm()).changes == 1);
  CHECK(after.graph->nodes().size() == 2);
  CHECK(after.graph->find("q")->tensor().identical(
      before.graph->find("q")->tensor()));
  std::vector<float> x = {1, -2, 0.5, 3, 0.25, -1, 4, -0.75};
  const NamedTensors inputs = {{"x", ir::Tensor::from<float>({1, 2, 2, 2}, x)}};
  CHECK(relative_difference(run_plain(before, inputs)[0],
                            run_plain(after, inputs)[0]) <= 1e-6);
}

TEST_CASE("fold_batch_norm: codes that stay say why") {
  const auto remark = [](const std::string& axis, const std::string& scale) {
    ir::Model model = parse(coded_convolution(axis, scale));
    const PassResult result = apply_pass(model, make_fold_batch_norm());
    CHECK(result.changes == 0);
    REQUIRE(result.remarks.size() == 1);
    return texts(result.remarks)[0];
  };
  CHECK(remark("1", "{0.1, 0.2, 0.3, 0.4}") ==
        "n: the weight of Conv 'c' is not constant");
  CHECK(remark("0", "{0, 0.2, 0.3, 0.4}") ==
        "n: a scale of codes would be 0.000000");
}

TEST_CASE("fold_batch_norm: a grouped ConvTranspose with two outputs a group") {
  ir::Model before = parse(R"(input %x: float[1,4,2,2]
    init %w = float[4,2,1,1] {1, 2, 3, 4, 5, 6, 7, 8}
    init %g = float[4] {1, 2, 3, 4} init %b = float[4] {4, 3, 2, 1}
    %c: float[1,4,2,2] = ConvTranspose(%x, %w, %b) {group = 2}
    %y: float[1,4,2,2] = BatchNormalization(%c, %g, %b, %b, %g) output %y)");
  ir::Model after = ir::clone(before);
  CHECK(apply_pass(after, make_fold_batch_norm()).changes == 1);
  std::vector<float> x(16);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 5;
  NamedTensors inputs = {{"x", ir::Tensor::from<float>({1, 4, 2, 2}, x)}};
  CHECK(relative_difference(run_plain(before, inputs)[0],
                            run_plain(after, inputs)[0]) <= 1e-6);
}

TEST_CASE("drop_identities: what gives its input back and what does not") {
  struct Row {
    const char* node;
    bool same;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"Reshape(%x, %to_same)", true},
           {"Reshape(%x, %to_flat)", false},
           {"Transpose(%x) {perm = [0, 1]}", true},
           {"Transpose(%x) {perm = [1, 0]}", false},
           {"Transpose(%x)", false},
           {"Cast(%x) {to = 1}", true},
           {"Cast(%x) {to = 11}", false},
           {"CastLike(%x, %x)", true},
           {"Slice(%x, %from, %to_three, %rows)", false},
           {"Slice(%x, %from, %to_three, %columns)", true},
           {"Slice(%x, %from, %to_three, %columns, %two)", false},
           {"Slice(%x, %two, %to_three, %columns)", false},
           {"Tile(%x, %ones)", true},
           {"Tile(%x, %to_same)", false},
           {"Expand(%x, %to_same)", true},
           {"Expand(%x, %to_deep)", false},
           {"Add(%x, %zero)", true},
           {"Add(%x, %deep_zero)", false},
           {"Sub(%zero, %x)", false},
           {"Mul(%x, %row_of_one)", true},
           {"Mul(%x, %zero)", false},
           {"Div(%row_of_one, %x)", false},
           {"Sum(%x)", true},
           {"Max(%x, %x)", false},
           {"Flatten(%x)", true},
           {"Flatten(%x) {axis = 0}", false},
           {"Pad(%x, %no_pads)", true},
           {"Dropout(%x)", true},
           {"Dropout(%x, %zero, %training)", false},
       }) {
    ir::Model model = parse(
        R"(input %x: float[4,3] init %to_same = int64[2] {4, 3}
        init %to_flat = int64[1] {12} init %to_deep = int64[3] {1, 4, 3}
        init %from = int64[1] {0} init %to_three = int64[1] {3}
        init %rows = int64[1] {0} init %columns = int64[1] {-1}
        init %two = int64[1] {2} init %ones = int64[2] {1, 1}
        init %zero = float[] {0} init %deep_zero = float[1,1,1] {0}
        init %row_of_one = float[3] {1, 1, 1}
        init %no_pads = int64[4] {0, 0, 0, 0} init %training = bool[] {1}
        %y = )" +
        std::string(row.node) + " output %y");
    CAPTURE(row.node);
    NoOp found = find_no_op(*model.graph->find("y")->producer());
    CHECK((found.same_as == model.graph->find("x")) == row.same);
  }
}

TEST_CASE("drop_identities: two outputs of one value keep their names") {
  ir::Model model = parse(R"(input %x: float[2] %a: float[2] = Exp(%x)
    %y: float[2] = Identity(%a) %z: float[2] = Identity(%a)
    output %y output %z)");
  CHECK(apply_pass(model, make_drop_identities()).changes == 1);
  CHECK(model.graph->outputs()[0]->name() == "y");
  CHECK(model.graph->outputs()[1]->name() == "z");
  CHECK(model.graph->find("y")->producer()->op_type == "Exp");
  CHECK(model.graph->find("z")->producer()->op_type == "Identity");
  // And once more there is nothing to do.
  CHECK(apply_pass(model, make_drop_identities()).changes == 0);
}

TEST_CASE("drop_identities: a branch does not give an outer value directly") {
  ir::Model model = parse(R"(input %c: bool[] input %x: float[2]
    %y: float[2] = If(%c) {
      then_branch = graph t { %a: float[2] = Identity(%x) output %a },
      else_branch = graph e { %n: float[2] = Neg(%x)
        %b: float[2] = Identity(%n) output %b }
    } output %y)");
  CHECK(apply_pass(model, make_drop_identities()).changes == 1);
  CHECK(count_nodes(model, "Identity") == 1);
}

TEST_CASE("fold_constants: bad constants stay, with the reason") {
  ir::Model model = parse(R"(init %i = int64[2] {5, 7} init %f = float[2] {1, 2}
    init %nan = float[1] {nan} init %text = string[1] {"a"}
    init %minus = int64[1] {-3} init %axis = int64[1] {4}
    %a = Gather(%f, %i) @gather
    %b = Cast(%nan) {to = 7} @cast
    %c = Identity(%text)
    %d = Transpose(%text) @strings
    %e = ConstantOfShape(%minus) @shape
    %g = ReduceSum(%f, %axis) @sum
    %h = Reshape(%f, %f) @reshape
    output %a output %b output %d output %e output %g output %h)");
  PassResult result = apply_pass(model, make_fold_constants());
  CHECK(texts(result.remarks) ==
        std::vector<std::string>{
            "gather: index 5 is outside a dimension of 2",
            "cast: a number is outside the range of int64",
            "strings: elements of type string are not moved on the host",
            "shape: the result has a negative dimension",
            "sum: axis 4 is outside rank 1",
            "reshape: expected integers, found float"});
}

TEST_CASE("fold_constants: a Loop's body folds inside, the Loop stays") {
  ir::Model model = parse(R"(input %n: int64[] input %x: float[2]
    init %go = bool[] {1}
    %y: float[2] = Loop(%n, %go, %x) { body = graph body {
      input %i: int64[] input %c: bool[] input %v: float[2]
      init %two = float[] {2} init %three = float[] {3}
      %six: float[] = Mul(%two, %three)
      %w: float[2] = Add(%v, %six)
      %keep: bool[] = Identity(%c)
      output %keep output %w } } output %y)");
  ir::Model after = ir::clone(model);
  CHECK(apply_pass(after, make_simplify()).changes > 0);
  CHECK(count_nodes(after, "Loop") == 1);
  CHECK(count_nodes(after, "Mul") == 0);
  NamedTensors inputs = {
      {"n", ir::Tensor::scalar<int64_t>(3)},
      {"x", ir::Tensor::from<float>({2}, std::vector<float>{1, 2})}};
  CHECK(relative_difference(run_plain(model, inputs)[0],
                            run_plain(after, inputs)[0]) == 0);
}

TEST_CASE("fold_constants: nested known Ifs leave nothing behind") {
  ir::Model model = parse(R"(input %x: float[2] init %yes = bool[1] {1}
    %y: float[2] = If(%yes) {
      then_branch = graph t {
        init %no = bool[] {0}
        %a: float[2] = Exp(%x)
        %r: float[2] = If(%no) {
          then_branch = graph tt { %q: float[2] = Neg(%a) output %q },
          else_branch = graph te { %a2: float[2] = Abs(%a) output %a2 }
        }
        output %r
      },
      else_branch = graph e { %b: float[2] = Neg(%x) output %b }
    } output %y)");
  PassResult result = apply_pass(model, make_fold_constants());
  CHECK(result.changes == 2);
  CHECK(count_nodes(model, "If") == 0);
  CHECK(model.graph->find("y")->producer()->op_type == "Abs");
}

TEST_CASE("remove_dead_code: an input stays, also with a default") {
  ir::Model model =
      parse(R"(input %x: float[2] input %d: float[1] = float[1] {1}
    %y: float[2] = Neg(%x) output %y)");
  CHECK(apply_pass(model, make_remove_dead_code()).changes == 0);
  CHECK(model.graph->inputs().size() == 2);
}

TEST_CASE("simplify: the same input gives the same text") {
  const char* body = R"(input %x: float[N,4] init %w = float[4,2] {1, 2, 3, 4,
      5, 6, 7, 8} init %t = int64[2] {0, -1}
    %r = Reshape(%x, %t) %m = MatMul(%r, %w) %y: float[N,2] = Identity(%m)
    output %y)";
  ir::Model first = parse(body), second = parse(body);
  apply_pass(first, make_simplify());
  apply_pass(second, make_simplify());
  CHECK(ir::to_text(first) == ir::to_text(second));
  CHECK(count_nodes(first, "MatMul") == 1);
  CHECK(first.graph->nodes().size() == 1);
}

}  // namespace
}  // namespace lathe::rewrite
