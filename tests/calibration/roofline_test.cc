#include "calibration/latency/roofline.h"

#include "calibration/latency/device_profile.h"
#include "passes/base/text.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "tests/calibration/fixtures.h"
#include "tests/support/shared.h"

namespace lathe::latency {
namespace {

using test::error_of;

// Text in which "[2,3] #zeros" stands for six zeros.
ir::Model model_of(std::string text) {
  for (size_t at; (at = text.find("#zeros")) != std::string::npos;) {
    size_t open = text.rfind('[', at);
    int64_t count = 1;
    for (const std::string& dim :
         split(text.substr(open + 1, text.find(']', open) - open - 1), ','))
      count *= std::stoll(dim);
    std::string zeros = "{0";
    for (int64_t i = 1; i < count; ++i) zeros += ", 0";
    text.replace(at, 6, zeros + "}");
  }
  return test::model_of(text);
}

std::vector<std::string> kinds(const GraphEstimate& estimate) {
  std::vector<std::string> result;
  for (const KernelEstimate& kernel : estimate.kernels)
    result.push_back(kernel.kind);
  return result;
}

using Names = std::vector<std::string>;

const char* const kConvs = R"(graph main {
  input %x: float[1,8,16,16]
  init %w = float[8,8,3,3] #zeros
  init %s = float[8] {1, 1, 1, 1, 1, 1, 1, 1}
  %c: float[1,8,16,16] = Conv(%x, %w) {pads = [1, 1, 1, 1]} @conv
  %b: float[1,8,16,16] = BatchNormalization(%c, %s, %s, %s, %s) @bn
  %a: float[1,8,16,16] = Add(%b, %x) @add
  %r: float[1,8,16,16] = Relu(%a) @relu
  %g: float[1,8,1,1] = GlobalAveragePool(%r) @pool
  output %g
})";

ir::Model convs() { return model_of(kConvs); }

TEST_CASE("profiles by name") {
  CHECK(embedded_devices() ==
        Names{"x86-64-avx512-vnni", "x86-64-avx2", "arm64-neon-dotprod"});
  CHECK(make_roofline("x86-64-avx2", 1)->device() == "x86-64-avx2");
  CHECK_FALSE(make_roofline("x86-64-avx2", 1)->calibrated());
  CHECK(error_of([] { make_roofline("x86-64-avx3", 1); }) ==
        "usage: --device: there is no device profile 'x86-64-avx3'; did you "
        "mean 'x86-64-avx2'? (the embedded ones are x86-64-avx512-vnni, "
        "x86-64-avx2, arm64-neon-dotprod)");
}

// Arm has no blocked layout, so no reorders stand between the kernels.
GraphEstimate on_arm(const ir::Model& model, int threads = 1) {
  return make_roofline("arm64-neon-dotprod", threads)->estimate(model);
}

TEST_CASE("a convolution takes what follows it along") {
  GraphEstimate estimate = on_arm(convs());
  CHECK(kinds(estimate) == Names{"conv2d", "global_average_pool"});
  CHECK(estimate.kernels[0].nodes == Names{"conv", "bn", "add", "relu"});
  CHECK(estimate.kernels[0].seen);
  CHECK(estimate.unseen_share == 0);
}

TEST_CASE("blocked layouts have reorders at their borders") {
  GraphEstimate estimate = make_roofline("x86-64-avx2", 1)->estimate(convs());
  CHECK(join(kinds(estimate), " ") ==
        "reorder_input conv2d reorder_output add relu global_average_pool");
}

TEST_CASE("the formula by hand") {
  GraphEstimate estimate = on_arm(convs());
  REQUIRE(estimate.kernels.size() == 2);
  const KernelDescriptor& conv = estimate.kernels[0].descriptor;
  // x and the residual, w and its folded bias, and the result.
  CHECK(conv.bytes_in + conv.bytes_weights + conv.bytes_out ==
        4 * (2 * 8 * 16 * 16 + 8 * 8 * 3 * 3 + 8));
  CHECK(conv.flops >= 2 * 8 * 8 * 9 * 16 * 16);
  CHECK(conv.flops < 2 * 8 * 8 * 9 * 16 * 16 + 4 * 8 * 16 * 16);

  const DeviceProfile& profile = find_device_profile("arm64-neon-dotprod");
  CHECK(profile.fp32_flops_per_cycle == 16);
  CHECK(profile.int8_ops_per_cycle == 64);
  const double arithmetic_us =
      static_cast<double>(conv.flops) / (2.5e3 * 16 * 0.6);
  CHECK(arithmetic_us > 4 * (2 * 8 * 16 * 16 + 8 * 8 * 3 * 3 + 8) / 20e3);
  CHECK(estimate.kernels[0].latency.p50_us ==
        doctest::Approx(arithmetic_us + 2));
  // The pool only reads.
  const KernelDescriptor& pool = estimate.kernels[1].descriptor;
  CHECK(pool.bytes_in == 4 * 8 * 16 * 16);
  CHECK(estimate.kernels[1].latency.p50_us ==
        doctest::Approx(4 * 8 * 16 * 16 / 20e3 + 2).epsilon(0.2));
  double sum = 0;
  for (const KernelEstimate& kernel : estimate.kernels) {
    CHECK(kernel.latency.p5_us == doctest::Approx(kernel.latency.p50_us / 2.5));
    CHECK(kernel.latency.p95_us ==
          doctest::Approx(kernel.latency.p50_us * 2.5));
    sum += kernel.latency.p50_us;
  }
  CHECK(estimate.latency.p50_us == doctest::Approx(sum));
  CHECK(estimate.latency.p95_us == doctest::Approx(2.5 * sum));
}

TEST_CASE("threads divide the work and not the overhead") {
  ir::Model model = convs();
  double one = on_arm(model, 1).kernels[0].latency.p50_us;
  double two = on_arm(model, 2).kernels[0].latency.p50_us;
  CHECK(two - 2 == doctest::Approx((one - 2) / 2));
}

const char* const kQdq = R"(graph main {
  input %x: float[1,8,16,16]
  init %w = int8[8,8,3,3] #zeros
  init %ws = float[8] {1, 1, 1, 1, 1, 1, 1, 1}
  init %wz = int8[8] {0, 0, 0, 0, 0, 0, 0, 0}
  init %s = float[] {0.1}
  init %z = uint8[] {0}
  init %shape = int64[2] {1, 2048}
  %xq: uint8[1,8,16,16] = QuantizeLinear(%x, %s, %z) @q0
  %xd: float[1,8,16,16] = DequantizeLinear(%xq, %s, %z) @d0
  %wd: float[8,8,3,3] = DequantizeLinear(%w, %ws, %wz) {axis = 0} @dw
  %c: float[1,8,16,16] = Conv(%xd, %wd) {pads = [1, 1, 1, 1]} @conv
  %r: float[1,8,16,16] = Relu(%c) @relu
  %rq: uint8[1,8,16,16] = QuantizeLinear(%r, %s, %z) @q1
  %rd: float[1,8,16,16] = DequantizeLinear(%rq, %s, %z) @d1
  %f: float[1,2048] = Reshape(%rd, %shape) @reshape
  %fq: uint8[1,2048] = QuantizeLinear(%f, %s, %z) @q2
  %fd: float[1,2048] = DequantizeLinear(%fq, %s, %z) @d2
  %t: float[1,2048] = Tanh(%fd) @tanh
  output %t
})";

Names precisions(const GraphEstimate& estimate, const std::string& kind) {
  Names result;
  for (const KernelEstimate& kernel : estimate.kernels)
    if (kernel.kind == kind)
      result.push_back(to_string(kernel.descriptor.precision));
  return result;
}

TEST_CASE("Q/DQ groups become integer kernels, the rest costs") {
  GraphEstimate estimate =
      make_roofline("x86-64-avx512-vnni", 1)->estimate(model_of(kQdq));
  CHECK(precisions(estimate, "conv2d") == Names{"int8"});
  CHECK(precisions(estimate, "reshape") == Names{"int8"});
  CHECK(precisions(estimate, "tanh") == Names{"fp32"});
  CHECK(precisions(estimate, "quantize_linear").size() == 1);
  CHECK(precisions(estimate, "dequantize_linear").size() == 1);
  for (const KernelEstimate& kernel : estimate.kernels) {
    if (kernel.kind != "conv2d") continue;
    // Codes in, codes out, codes of weights.
    CHECK(kernel.descriptor.bytes_in == 8 * 16 * 16);
    CHECK(kernel.descriptor.bytes_out == 8 * 16 * 16);
    CHECK(kernel.descriptor.bytes_weights >= 8 * 8 * 3 * 3);
    CHECK(kernel.descriptor.bytes_weights < 8 * 8 * 3 * 3 + 100);
  }
}

TEST_CASE("groups that the runtime does not fuse stay floating-point") {
  // The convolution's result is an output as well, so no Q alone follows.
  std::string text = kQdq;
  text.replace(text.find("output %t"), 9, "output %t\n  output %c");
  GraphEstimate estimate =
      make_roofline("x86-64-avx512-vnni", 1)->estimate(model_of(text));
  CHECK(precisions(estimate, "conv2d") == Names{"fp32"});

  // Reshape between different scales.
  text = kQdq;
  text.replace(text.find("%fq: uint8[1,2048] = QuantizeLinear(%f, %s"), 42,
               "%fq: uint8[1,2048] = QuantizeLinear(%f, %s2");
  text.replace(text.find("init %z"), 7, "init %s2 = float[] {0.2}\n  init %z");
  estimate = make_roofline("x86-64-avx512-vnni", 1)->estimate(model_of(text));
  CHECK(precisions(estimate, "reshape") == Names{"fp32"});
}

TEST_CASE("int8 is priced below fp32") {
  std::string fp32 = R"(graph main {
    input %x: float[1,64,32,32]
    init %w = float[64,64,3,3] #zeros
    %c: float[1,64,32,32] = Conv(%x, %w) {pads = [1, 1, 1, 1]}
    output %c
  })";
  std::string int8 = R"(graph main {
    input %x: uint8[1,64,32,32]
    init %w = int8[64,64,3,3] #zeros
    init %s = float[] {0.1}
    init %z = uint8[] {0}
    init %wz = int8[] {0}
    %xd: float[1,64,32,32] = DequantizeLinear(%x, %s, %z)
    %wd: float[64,64,3,3] = DequantizeLinear(%w, %s, %wz)
    %c: float[1,64,32,32] = Conv(%xd, %wd) {pads = [1, 1, 1, 1]}
    %q: uint8[1,64,32,32] = QuantizeLinear(%c, %s, %z)
    output %q
  })";
  for (const std::string& device : embedded_devices()) {
    auto roofline = make_roofline(device, 1);
    double slow = roofline->estimate(model_of(fp32)).latency.p50_us;
    double fast = roofline->estimate(model_of(int8)).latency.p50_us;
    CAPTURE(device);
    CHECK(slow > 1.5 * fast);
  }
}

TEST_CASE("unknown operators are priced by their bytes, never at nothing") {
  GraphEstimate estimate =
      make_roofline("x86-64-avx2", 1)->estimate(model_of(R"(graph main {
    input %x: float[1,1000000]
    %y: float[1,1000000] = my.domain::Frobnicate(%x) @frob
    %z: float[1,1000000] = Relu(%y) @relu
    output %z
  })"));
  REQUIRE(estimate.kernels.size() == 2);
  CHECK(estimate.kernels[0].kind == "my.domain.Frobnicate");
  CHECK_FALSE(estimate.kernels[0].seen);
  CHECK(estimate.kernels[0].latency.p50_us == doctest::Approx(8e6 / 25e3 + 2));
  CHECK(estimate.kernels[1].seen);
  CHECK(estimate.unseen_share == doctest::Approx(0.5).epsilon(0.1));
}

TEST_CASE("a shape that is not fixed is asked for") {
  CHECK(error_of([] {
          make_roofline("x86-64-avx2", 1)->estimate(model_of(R"(graph main {
            input %x: float[N,3,32,32]
            %y: float[N,3,32,32] = Relu(%x)
            output %y
          })"));
        }) ==
        "input: input 'x': its shape is not fixed (float[N,3,32,32]), and a "
        "latency is that of one shape (give --input-shape x:1x3x32x32)");
}

TEST_CASE("what depends on constants only costs nothing") {
  GraphEstimate estimate =
      make_roofline("x86-64-avx2", 1)->estimate(model_of(R"(graph main {
    input %x: float[2,3]
    init %one = float[] {1}
    %shape: int64[2] = Shape(%x)
    %flat: float[2,3] = Reshape(%x, %shape) @reshape
    %two: float[] = Add(%one, %one)
    %same: float[2,3] = Identity(%flat)
    %y: float[2,3] = Mul(%same, %two) @mul
    output %y
  })"));
  CHECK(kinds(estimate) == Names{"reshape", "mul"});
}

TEST_CASE("every model in the shared folder has a price") {
  std::filesystem::path models = test::shared_file("models");
  if (models.empty()) return;
  auto roofline = make_roofline(embedded_devices().front(), 1);
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(models)) {
    if (entry.path().extension() != ".onnx") continue;
    CAPTURE(entry.path().string());
    ir::Model model = io::import_onnx(entry.path());
    ir::InputShapes shapes;
    // One sample of audio is shorter than the model's window.
    if (entry.path().filename().string().starts_with("silero"))
      shapes["input"] = {1, 576};
    ir::bind_input_shapes(model, ir::default_input_shapes(model, shapes));
    ir::infer_shapes(model);
    GraphEstimate estimate = roofline->estimate(model);
    CHECK(estimate.latency.p50_us > 2);
    CHECK(estimate.latency.p50_us < 1e6);
    CHECK(estimate.unseen_share >= 0);
    CHECK(estimate.unseen_share <= 1);
  }
}

}  // namespace
}  // namespace lathe::latency
