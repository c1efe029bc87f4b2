#include <doctest/doctest.h>

#include "calibration/latency/bench.h"
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/rewrite/rewrite_test_support.h"

namespace lathe::rewrite {
namespace {

constexpr double kTolerance = 1e-5;

ir::Model parse(const std::string& opset, const std::string& body) {
  return ir::parse_text("ir_version 6 opset " + opset + " graph main {" + body +
                        "}");
}

// The model in the runtime, before and after.
void check_same_when_raised(const ir::Model& before, int64_t target) {
  ir::Model after = ir::clone(before);
  apply_pass(after, make_raise_opset(target));
  std::string text = ir::to_text(before), raised = ir::to_text(after);
  CAPTURE(text);
  CAPTURE(raised);
  NamedTensors inputs =
      latency::random_inputs(before, ir::default_input_shapes(before), 3);
  auto expected = run_plain(before, inputs), found = run_plain(after, inputs);
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(relative_difference(expected[i], found[i]) <= kTolerance);
}

std::string raise_error(const std::string& opset, const std::string& body,
                        int64_t target = 17) {
  ir::Model model = parse(opset, body);
  return error_of(model, make_raise_opset(target));
}

TEST_CASE("raise_opset: what newer versions cannot express") {
  const std::string hint = " (export the model again with opset 17 or newer)";
  CHECK(raise_error("8", R"(input %x: float[1,2,3]
          %y = Scan(_, %x) {num_scan_inputs = 1} @loop output %y)") ==
        "Scan 'loop': cannot be raised from opset 8 to 17: Scan of opset 8 "
        "runs over a batch, which Scan of opset 9 cannot" +
            hint);
  CHECK(raise_error("8", R"(input %x: float[1,3,2,2]
          %y = ImageScaler(%x) {scale = 2.0} output %y)") ==
        "ImageScaler -> 'y': cannot be raised from opset 8 to 17: this "
        "experimental operator was removed in opset 10" +
            hint);
  CHECK(raise_error("7", R"(input %x: float[1,2] init %g = float[2] {1, 1}
          %y = BatchNormalization(%x, %g, %g, %g, %g) {spatial = 0} @bn
          output %y)") ==
        "BatchNormalization 'bn': cannot be raised from opset 7 to 17: "
        "spatial=0 (statistics for each position) has no newer form" +
            hint);
  CHECK(raise_error("9", R"(input %x: float[1,2] init %g = float[2] {1, 1}
          %y, %m = BatchNormalization(%x, %g, %g, %g, %g) @bn
          output %y output %m)") ==
        "BatchNormalization 'bn': cannot be raised from opset 9 to 17: output "
        "'m' is a training statistic that is used" +
            hint);
  CHECK(raise_error("10", R"(input %x: float[1,1,4,4]
          init %s = float[4] {1, 1, 2, 0.5}
          %y = Resize(%x, %s) @resize output %y)") ==
        "Resize 'resize': cannot be raised from opset 10 to 17: it shrinks one "
        "axis and enlarges another, with a rounding of its own for each" +
            hint);
  CHECK(raise_error("18", R"(input %x: float[1,C,2,2]
          init %g = float[2] {1, 1}
          %y = GroupNormalization(%x, %g, %g) {num_groups = 2} @gn
          output %y)",
                    21) ==
        "GroupNormalization 'gn': cannot be raised from opset 18 to 21: its "
        "channels are not a known multiple of num_groups 2" +
            hint);
  CHECK(raise_error("5", "input %x: float[1] output %x") ==
        "model: opset 5 is older than 6, the oldest that can be raised" + hint);
}

TEST_CASE("raise_opset: a target outside 17 to 21 is refused") {
  CHECK_THROWS_WITH(make_raise_opset(13),
                    "raise_opset: target opset 13 is outside 17 to 21");
}

TEST_CASE("raise_opset: a model at or above the target stays as it is") {
  for (const char* opset : {"17", "21"}) {
    ir::Model model = parse(opset, "input %x: float[2] %y = Exp(%x) output %y");
    std::string before = ir::to_text(model);
    CHECK(apply_pass(model, make_raise_opset(17)).changes == 0);
    CHECK(ir::to_text(model) == before);
  }
}

TEST_CASE("raise_opset: the IR version follows the opset") {
  for (auto [target, ir_version] : {std::pair<int64_t, int64_t>{17, 8},
                                    {18, 8},
                                    {19, 9},
                                    {20, 9},
                                    {21, 10}}) {
    ir::Model model = parse("9", "input %x: float[2] %y = Exp(%x) output %y");
    apply_pass(model, make_raise_opset(target));
    CHECK(model.opset() == target);
    CHECK(model.ir_version == ir_version);
  }
}

TEST_CASE("raise_opset: Softmax of any rank and axis, in the runtime") {
  const std::string shapes[] = {"5", "2,5", "2,3,4", "1,7,1,1", "2,1,3,2"};
  const int64_t ranks[] = {1, 2, 3, 4, 4};
  for (const char* op : {"Softmax", "LogSoftmax", "Hardmax"})
    for (size_t i = 0; i < 5; ++i)
      for (int64_t axis = -ranks[i]; axis < ranks[i]; ++axis)
        check_same_when_raised(
            parse("11", "input %x: float[" + shapes[i] + "] %y: float = " + op +
                            "(%x) {axis = " + std::to_string(axis) +
                            "} output %y"),
            axis % 2 ? 17 : 21);
}

TEST_CASE("raise_opset: Resize 10 and 11, in the runtime") {
  for (const char* scales : {"1, 1, 2, 2", "1, 1, 0.5, 0.5", "1, 1, 0.4, 1"})
    for (const char* mode : {"nearest", "linear"})
      check_same_when_raised(
          parse("10", std::string("input %x: float[1,2,5,6] init %s = "
                                  "float[4] {") +
                          scales + "} %y: float = Resize(%x, %s) {mode = \"" +
                          mode + "\"} output %y"),
          18);
  check_same_when_raised(
      parse("11", R"(input %x: float[1,2,5,6] init %r = float[0] {}
        init %s = float[4] {1, 1, 1.7, 2.5}
        %y: float = Resize(%x, %r, %s) {mode = "nearest", nearest_mode = "floor",
          coordinate_transformation_mode = "tf_half_pixel_for_nn"} output %y)"),
      17);
}

TEST_CASE("raise_opset: attributes of all kinds, in the runtime") {
  for (int64_t target : {17, 18, 21}) {
    CAPTURE(target);
    for (const char* body :
         {"%y: float = Upsample(%x) {scales = [1.0, 1.0, 2.0, 3.0]}",
          "%y: float = ReduceL2(%x) {axes = [1, -1]}",
          "%y: float = ReduceSum(%x)", "%y: float = Clip(%x) {min = 0.5}",
          "%y: float = Dropout(%x)",
          "%y: float, %i: int64 = TopK(%x) {k = 1, axis = 2}",
          "%y: float = Slice(%x) {starts = [-3], ends = [-1], axes = [3]}"})
      check_same_when_raised(
          parse(std::string(body).find("Upsample") != std::string::npos ? "8"
                                                                        : "9",
                std::string("input %x: float[1,2,3,4] ") + body + " output %y"),
          target);
  }
}

TEST_CASE(
    "raise_opset: RoiAlign 10, GridSample 16 and DFT 17 keep their "
    "meaning") {
  check_same_when_raised(
      parse("10", R"(input %x: float[1,1,6,6] init %r = float[1,4] {0, 0, 5, 4}
        init %b = int64[1] {0}
        %y: float = RoiAlign(%x, %r, %b) {output_height = 2, output_width = 3,
          sampling_ratio = 2} output %y)"),
      17);
  for (const char* mode : {"bilinear", "nearest", "bicubic"})
    check_same_when_raised(parse("16", std::string(R"(input %x: float[1,1,4,4]
          input %g: float[1,3,3,2] %y: float = GridSample(%x, %g) {mode = ")") +
                                           mode + "\"} output %y"),
                           20);
  check_same_when_raised(
      parse("17",
            "input %x: float[1,4,3,1] %y: float = DFT(%x) {axis = 2} "
            "output %y"),
      20);
}

TEST_CASE("raise_opset: legacy broadcasting aligns along its axis") {
  ir::Model model = parse("6", R"(input %x: float[2,3,4]
    input %v: float[3] init %w = float[3] {1, 2, 3}
    %a: float[2,3,4] = Add(%x, %w) {broadcast = 1, axis = 1} @a
    %b = Mul(%a, %v) {broadcast = 1, axis = -2} @b
    %c = Sub(%b, %x) {broadcast = 1} @c
    output %c)");
  apply_pass(model, make_raise_opset(17));
  std::vector<float> x(24);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  auto found = run_plain(
      model,
      {{"x", ir::Tensor::from<float>({2, 3, 4}, x)},
       {"v", ir::Tensor::from<float>({3}, std::vector<float>{2, 3, 4})}});
  for (size_t i = 0; i < x.size(); ++i) {
    auto channel = static_cast<float>(i / 4 % 3);
    CHECK(found[0].data<float>()[i] ==
          (x[i] + channel + 1) * (channel + 2) - x[i]);
  }
}

TEST_CASE("raise_opset: the mask of Dropout keeps its type for its users") {
  ir::Model model = parse("9", R"(input %x: float[2]
    %d: float[2], %m: float[2] = Dropout(%x) @drop
    %y: float[2] = Mul(%d, %m) output %y)");
  apply_pass(model, make_raise_opset(17));
  const ir::Node* user = model.graph->find("y")->producer();
  CHECK(user->input(1)->producer()->op_type == "Cast");
  NamedTensors inputs = {
      {"x", ir::Tensor::from<float>({2}, std::vector<float>{3, 4})}};
  CHECK(run_plain(model, inputs)[0].data<float>()[1] == 4);
}

TEST_CASE("raise_opset: a function's Clip takes the type of its input") {
  ir::Model model = ir::parse_text(R"(ir_version 8 opset 17 opset local 1
    function local::Six { opset 9 graph { input %a: ?
      %b = Clip(%a) {min = 0.0, max = 6.0} output %b } }
    graph main { input %x: double[3] %y: double[3] = local::Six(%x) output %y })");
  apply_pass(model, make_raise_opset(17));
  std::vector<double> x = {-1, 5, 9};
  auto found = run_plain(model, {{"x", ir::Tensor::from<double>({3}, x)}});
  CHECK(found[0].to_doubles() == std::vector<double>{0, 5, 6});
}

}  // namespace
}  // namespace lathe::rewrite
