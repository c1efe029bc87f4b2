#include "calibration/latency/kernel_source.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "calibration/latency/kernel_describe.h"
#include "passes/ir/shape_inference.h"
#include "tests/calibration/fixtures.h"
#include "tests/calibration/kernel_nets.h"

namespace lathe {
namespace {

using latency::DescribedKernel;

// As if the graph were what the runtime made of itself.
std::vector<DescribedKernel> describe(const std::string& body) {
  ir::Model model = test::model_of("graph g {\n" + body + "\n}");
  ir::infer_shapes(model);
  return latency::kernels_of_optimized(model, model);
}

KernelDescriptor only(const std::string& body) {
  std::vector<DescribedKernel> kernels = describe(body);
  REQUIRE(kernels.size() == 1);
  return kernels[0].descriptor;
}

int64_t run_of(const std::string& body) { return only(body).run; }

TEST_CASE("the run of a broadcast is its innermost axes, joined") {
  auto sum = [](const std::string& a, const std::string& b) {
    return run_of("input %a: float[" + a + "] input %b: float[" + b +
                  "] %y = Add(%a, %b) output %y");
  };
  CHECK(sum("2,5,7", "2,5,7") == 0);
  CHECK(sum("2,5,7", "7") == 7);
  CHECK(sum("7", "2,5,7") == 7);
  CHECK(sum("2,3,4,5", "3,1,1") == 20);
  CHECK(sum("2,3,4,5", "1,3,1,1") == 20);
  CHECK(sum("2,3,4,5", "4,5") == 20);
  CHECK(sum("2,3,4,5", "1") == 120);
  CHECK(sum("2,3,4,1", "3,4,1") == 12);
  CHECK(sum("2,3,4,5", "2,3,4,1") == 5);
  // Runs begin at the axes that the operand has: these are of one element.
  CHECK(sum("2,3,4,1", "1") == 1);
  CHECK(sum("2,3,4,1", "") == 1);
  CHECK(sum("2,3,1,1", "1,1") == 1);
  CHECK(sum("2,3,1,1", "3,1,1") == 3);
}

TEST_CASE("the run of data movement") {
  CHECK(run_of("input %a: float[2,3,4] input %b: float[2,5,4] "
               "%y = Concat(%a, %b) {axis = 1} output %y") == 16);
  CHECK(run_of("input %a: float[2,9] init %s = int64[2] {7, 2} "
               "%y, %z = Split(%a, %s) {axis = 1} output %y output %z") == 4);
  auto transpose = [](const std::string& dims, const std::string& perm) {
    return run_of("input %a: float[" + dims + "] %y = Transpose(%a) {perm = [" +
                  perm + "]} output %y");
  };
  CHECK(transpose("2,3,4,5", "0,2,1,3") == 5);
  CHECK(transpose("2,3,4,5", "0,2,3,1") == 1);
  CHECK(transpose("2,3,4,5", "1,0,2,3") == 20);
  CHECK(transpose("1,1,4,5", "0,2,3,1") == 20);
  CHECK(transpose("2,1,4,5", "1,0,2,3") == 40);
  CHECK(run_of("input %a: float[6,8] init %s = int64[1] {2} "
               "init %e = int64[1] {5} init %x = int64[1] {1} "
               "%y = Slice(%a, %s, %e, %x) output %y") == 3);
  CHECK(run_of("input %i: int64[4] init %t = float[3,2] {1.0, 2.0, 3.0, 4.0, "
               "5.0, 6.0} %y = Gather(%t, %i) output %y") == 2);
  CHECK(run_of("input %a: float[1,4] init %s = int64[2] {3, 4} "
               "%y = Expand(%a, %s) output %y") == 4);
  CHECK(run_of("input %a: float[3,4] init %s = int64[2] {1, 2} "
               "%y = Tile(%a, %s) output %y") == 4);
}

TEST_CASE("a transpose that moves several axes goes element by element") {
  auto transpose = [](const std::string& dims, const std::string& perm) {
    return only("input %a: float[" + dims + "] %y = Transpose(%a) {perm = [" +
                perm + "]} output %y");
  };
  CHECK(transpose("1,6,4,5", "0,2,3,1").rows == 6);
  CHECK(transpose("1,6,4,5", "0,2,3,1").columns == 20);
  CHECK(transpose("1,6,4,5", "0,3,1,2").rows == 24);
  // The same move of two axes, one of them of a single element.
  CHECK(transpose("1,1,4,5", "0,2,3,1").run == 20);
  CHECK(transpose("1,1,4,5", "0,3,1,2").rows == 4);
  CHECK(transpose("1,1,4,5", "0,3,2,1").rows == 0);
  CHECK(transpose("4,5", "1,0").rows == 4);
  CHECK(transpose("2,4,5", "2,1,0").rows == 0);
}

TEST_CASE("a quantization's run is what shares a scale") {
  const std::string codes = "init %s = float[3] {1.0, 2.0, 3.0} ";
  CHECK(run_of(codes + "input %a: float[2,3,4] %y = QuantizeLinear(%a, %s) "
                       "{axis = 1} output %y") == 4);
  CHECK(run_of(codes + "input %a: int8[2,3] %y = DequantizeLinear(%a, %s) "
                       "output %y") == 1);
  CHECK(run_of("init %s = float[] {1.0} input %a: int8[2,3] "
               "%y = DequantizeLinear(%a, %s) output %y") == 0);
}

TEST_CASE("powers of two and three are multiplications") {
  auto kind = [](const std::string& exponent) {
    return only("input %a: float[2,3] init %e = float[] {" + exponent +
                "} %y = Pow(%a, %e) output %y")
        .kind;
  };
  CHECK(kind("2.0") == "square");
  CHECK(kind("3.0") == "cube");
  CHECK(kind("0.5") == "pow");
  CHECK(only("input %a: float[2,3] input %e: float[] %y = Pow(%a, %e) "
             "output %y")
            .kind == "pow");
}

TEST_CASE("a resize's window is what a pixel is made of") {
  auto resize = [](const std::string& mode, const std::string& scales) {
    return only("input %a: float[1,2,4,4] init %s = float[4] {1.0, 1.0, " +
                scales + "} %y = Resize(%a, _, %s) {mode = \"" + mode +
                "\"} output %y");
  };
  CHECK(resize("nearest", "2.0, 2.0").kernel_height == 1);
  CHECK(resize("linear", "2.0, 2.0").kernel_height == 2);
  CHECK(resize("cubic", "2.0, 2.0").kernel_width == 4);
  // Doubling copies; any other neighbour is looked up.
  CHECK(resize("nearest", "2.0, 2.0").run == 0);
  CHECK(resize("nearest", "3.0, 3.0").run == 1);
  CHECK(resize("linear", "3.0, 3.0").run == 0);
}

TEST_CASE("what works on blocks of channels says how many channels") {
  ir::Model model = test::model_of(
      "graph g { input %a: float[1,3,8,8] "
      "%b = com.microsoft.nchwc::ReorderInput(%a) "
      "%c = Sigmoid(%b) output %c }");
  ir::infer_shapes(model);
  for (ir::Value* value : model.graph->values())
    value->type.shape = ir::to_shape({1, 3, 8, 8});
  const auto kernels = latency::describe_kernels(model);
  REQUIRE(kernels.size() == 2);
  CHECK(kernels[1].descriptor.layout == Layout::kBlocked);
  CHECK(kernels[1].descriptor.in_channels == 3);
  CHECK(kernels[1].descriptor.out_channels == 3);
  CHECK(kernels[1].descriptor.out_height == 8);
  CHECK(kernels[1].descriptor.kernel_height == 0);
}

TEST_CASE("the run of a reduction is what is reduced") {
  CHECK(run_of("input %a: float[2,3,8] %y = Softmax(%a) {axis = -1} "
               "output %y") == 8);
  CHECK(run_of("input %a: float[2,3,8] init %g = float[8] {1.0, 1.0, 1.0, 1.0, "
               "1.0, 1.0, 1.0, 1.0} %y = LayerNormalization(%a, %g) "
               "{axis = -1} output %y") == 8);
  CHECK(run_of("input %a: float[2,3,4,5] %y = ReduceMean(%a) {axes = [2, 3]} "
               "output %y") == 20);
}

TEST_CASE("reuse distances: what other kernels touch in between") {
  auto kernels = describe(
      "input %x: float[1,8] %a = Relu(%x) %b = Neg(%a) %c = Abs(%b) "
      "%d = Add(%a, %c) output %d");
  // Each unary kernel reads and writes 32 bytes, the Add reads 64.
  for (const auto& kernel : kernels)
    CHECK(kernel.descriptor.traffic == 3 * 64 + 96);
  // The caller's memory was last used in the run before.
  CHECK(kernels[0].descriptor.reuse_distance == 3 * 64 + 96);
  CHECK(kernels[1].descriptor.reuse_distance == 0);
  // %a was last read by Neg, 64 bytes ago; %c was just written.
  CHECK(kernels[3].descriptor.reuse_distance == 32);
  auto views = describe(
      "input %x: float[2,6] init %s = int64[2] {3, 4} %a = Relu(%x) "
      "%b = Reshape(%a, %s) %c = Neg(%b) output %c");
  CHECK(views[2].descriptor.reuse_distance == 0);
}

TEST_CASE("a Concat of codes looks up what has another scale") {
  auto concat = [](const char* second) {
    return only(std::string("input %a: uint8[1,8] input %b: uint8[1,8] "
                            "init %s = float[] {0.5} init %z = uint8[] {3} "
                            "init %t = float[] {") +
                second +
                "} %y = com.microsoft::QLinearConcat(%s, %z, %a, %s, %z, %b, "
                "%t, %z) {axis = 1} output %y");
  };
  CHECK(concat("0.5").flops == 0);
  CHECK(concat("0.25").flops == 4 * 8);
}

TEST_CASE("bytes: what is read once, constants, and what views do not touch") {
  KernelDescriptor gather = only(
      "input %i: int64[4] init %t = float[3,2] {1.0, 2.0, 3.0, 4.0, 5.0, "
      "6.0} %y = Gather(%t, %i) output %y");
  CHECK(gather.kind == "gather");
  CHECK(gather.bytes_weights == 24);
  CHECK(gather.bytes_out == 32);
  CHECK(gather.inputs == 1);

  auto views = describe(
      "input %x: float[2,6] init %s = int64[2] {3, 4} "
      "%a = Reshape(%x, %s) %b = Relu(%a) output %b");
  CHECK(views[0].descriptor.kind == "reshape");
  CHECK(views[0].descriptor.bytes_in == 0);
  CHECK(views[0].descriptor.bytes_out == 0);
  CHECK(views[0].descriptor.flops == 0);
  CHECK(views[1].descriptor.kind == "relu");
  CHECK(views[1].descriptor.bytes_in == 48);
  // Of the caller's memory: copied.
  CHECK(only("input %x: float[2,6] init %s = int64[2] {3, 4} "
             "%a = Reshape(%x, %s) output %a")
            .bytes_out == 48);
  // Weights (the shape) and the largest pair of activations.
  CHECK(views[0].descriptor.working_set == 16 + 96);
}

TEST_CASE("products") {
  KernelDescriptor batched = only(
      "input %a: float[2,3,4,5] input %b: float[2,3,5,6] "
      "%y = MatMul(%a, %b) output %y");
  CHECK(batched.kind == "matmul");
  CHECK(batched.matrices == 6);
  CHECK(batched.rows == 4);
  CHECK(batched.depth == 5);
  CHECK(batched.columns == 6);
  CHECK(!batched.constant_b);
  KernelDescriptor flat = only(
      "input %a: float[2,3,2] init %b = float[2,2] {1.0, 2.0, 3.0, 4.0} "
      "%y = MatMul(%a, %b) output %y");
  CHECK(flat.matrices == 1);
  CHECK(flat.rows == 6);
  CHECK(flat.constant_b);
  KernelDescriptor fused = only(
      "input %a: float[2,4,5] input %b: float[2,6,5] "
      "%y = com.microsoft::FusedMatMul(%a, %b) {transB = 1} output %y");
  CHECK(fused.kind == "matmul");
  CHECK(fused.transposed_b);
  CHECK(fused.columns == 6);
  CHECK(fused.flops == 2 * 2 * 4 * 5 * 6);
}

TEST_CASE("integer operators have the kinds of their float forms") {
  KernelDescriptor sum = only(
      "input %a: uint8[1,8,4,4] input %b: uint8[1,8,1,1] init %s = float[] "
      "{0.1} init %z = uint8[] {0} %y = com.microsoft::QLinearAdd(%a, %s, %z, "
      "%b, %s, %z, %s, %z) output %y");
  CHECK(sum.kind == "add");
  CHECK(sum.precision == Precision::kInt8);
  CHECK(sum.run == 16);
  CHECK(sum.inputs == 2);
  CHECK(sum.bytes_weights == 0);
  KernelDescriptor pool = only(
      "input %a: uint8[1,4,4,8] %y = com.microsoft::NhwcMaxPool(%a) "
      "{kernel_shape = [2, 2], strides = [2, 2]} output %y");
  CHECK(pool.kind == "max_pool");
  CHECK(pool.layout == Layout::kInterleaved);
  CHECK(pool.in_channels == 8);
  CHECK(pool.out_height == 2);
  CHECK(pool.precision == Precision::kInt8);
}

TEST_CASE("what nobody knows says so") {
  auto kernels = describe(
      "input %x: float[4] %y: float[4] = my.domain::Frobnicate(%x) output %y");
  REQUIRE(kernels.size() == 1);
  CHECK(kernels[0].descriptor.kind == "my.domain.Frobnicate");
  CHECK(!kernels[0].known);
  CHECK(kernels[0].descriptor.bytes_in == 16);

  kernels = describe(
      "input %c: bool[] input %x: float[4] %y = If(%c) {then_branch = graph t "
      "{ %a: float[4] = Relu(%x) output %a }, else_branch = graph e { "
      "%b: float[4] = Abs(%x) output %b }} output %y");
  REQUIRE(kernels.size() == 1);
  CHECK(kernels[0].descriptor.kind == "if");
  CHECK(!kernels[0].known);
  CHECK(kernels[0].descriptor.flops == 4);
}

TEST_CASE("the runtime's kernels have logical channels and original nodes") {
  ir::Model model = test::residual_net(/*quantized=*/false, /*width=*/24);
  auto kernels = latency::kernels_by_runtime(model, /*threads=*/1);
  REQUIRE(kernels.size() > 3);
  const KernelDescriptor& stem = kernels[0].descriptor;
  CHECK(stem.kind == "conv2d");
  CHECK(stem.in_channels == 3);
  CHECK(stem.out_channels == 24);
  CHECK(stem.activation == "relu");
  CHECK(stem.bytes_out == 24 * 32 * 32 * 4);
  CHECK(stem.bytes_weights == (24 * 3 * 9 + 24) * 4);
  CHECK(stem.flops == 2 * 24 * 3 * 9 * 32 * 32 + 24 * 32 * 32);
  CHECK(kernels[0].nodes == std::vector<std::string>{"Conv_0", "Relu_1"});
  CHECK(kernels[0].label == "Conv 'Conv_0'");
  auto with_add = std::ranges::find_if(
      kernels, [](const DescribedKernel& k) { return k.descriptor.fused_add; });
  REQUIRE(with_add != kernels.end());
  CHECK(with_add->nodes ==
        std::vector<std::string>{"Conv_4", "Add_5", "Relu_6"});
  CHECK(with_add->descriptor.inputs == 2);
}

TEST_CASE("an int8 network's kernels are int8, with its border kept") {
  ir::Model model = test::residual_net(/*quantized=*/true, /*width=*/24);
  auto kernels = latency::kernels_by_runtime(model, /*threads=*/1);
  for (const DescribedKernel& kernel : kernels) {
    CAPTURE(kernel.name);
    if (kernel.descriptor.kind == "quantize_linear")
      CHECK(kernel.descriptor.precision == Precision::kFp32);
    else
      CHECK(kernel.descriptor.precision == Precision::kInt8);
    CHECK(kernel.known);
    CHECK(kernel.descriptor.working_set > 0);
  }
}

TEST_CASE("a model that the runtime refuses is named") {
  ir::Model model = test::model_of(
      "graph g {\ninput %x: float[2]\n%y = no.domain::Nothing(%x)\n"
      "output %y\n}");
  std::string error =
      test::error_of([&] { latency::kernels_by_runtime(model, 1); });
  CHECK(error.starts_with("input: model: the runtime refuses this model: "));
}

}  // namespace
}  // namespace lathe
