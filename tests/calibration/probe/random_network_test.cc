#include "calibration/latency/probe/random_network.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "calibration/latency/bench.h"
#include "calibration/latency/probe/measure.h"
#include "calibration/latency/probe/network_builder.h"
#include "calibration/latency/session.h"
#include "passes/io/onnx/onnx.h"
#include "tests/calibration/fixtures.h"

namespace lathe::latency {
namespace {

using test::error_of;

TEST_CASE("a spec names its network") {
  CHECK(name_of({"residual", 17, Precision::kFp32}) == "residual-17");
  CHECK(name_of({"residual", 17, Precision::kInt8}) == "residual-17-int8");
  CHECK(name_of({"tiny", 0, Precision::kFp16}) == "tiny-0-fp16");
}

TEST_CASE("unknown families and precisions") {
  CHECK(error_of([] {
          random_network({"residuel", 1});
        })
            .starts_with("usage: there is no family of networks 'residuel'; "
                         "did you mean 'residual'? (the families are "));
  CHECK(error_of([] {
          random_network({"tiny", 1, Precision::kOther});
        }) == "unsupported: tiny-1-other: networks are fp32, int8 or fp16");
}

TEST_CASE("the same spec gives the same bytes, another seed others") {
  for (std::string_view family : network_families()) {
    CAPTURE(family);
    NetworkSpec spec{std::string(family), 3, Precision::kFp32};
    std::string bytes = io::export_onnx_bytes(random_network(spec));
    CHECK(bytes == io::export_onnx_bytes(random_network(spec)));
    spec.seed = 4;
    CHECK(bytes != io::export_onnx_bytes(random_network(spec)));
  }
}

TEST_CASE("every family is sound and runs, in each precision") {
  for (std::string_view family : network_families())
    for (Precision precision :
         {Precision::kFp32, Precision::kInt8, Precision::kFp16}) {
      NetworkSpec spec{std::string(family), 11, precision};
      CAPTURE(name_of(spec));
      ir::Model model = random_network(spec);
      ir::verify(*model.graph, "random_network");
      for (const auto& node : model.graph->nodes())
        for (const ir::Value* value : node->outputs())
          CHECK(value->type.has_static_shape());
      auto session = Session::open(model, {}, name_of(spec));
      auto outputs = session->run(random_inputs(model, {}, 1));
      REQUIRE(!outputs.empty());
      // What the builder believes of shapes is what the runtime does.
      CHECK(outputs[0].dims() ==
            ir::to_dims(*model.graph->outputs()[0]->type.shape));
    }
}

TEST_CASE("int8 networks hold quantized convolutions") {
  ir::Model model = random_network({"residual", 5, Precision::kInt8});
  int64_t quantized = 0;
  for (const auto& node : model.graph->nodes())
    quantized += node->is("DequantizeLinear");
  CHECK(quantized > 5);
}

TEST_CASE("activations stay in a range where no number is special") {
  for (std::string_view family : network_families()) {
    NetworkSpec spec{std::string(family), 21};
    CAPTURE(name_of(spec));
    ir::Model model = random_network(spec);
    auto outputs = Session::open(model)->run(random_inputs(model, {}, 1));
    int special = 0;
    for (float value : outputs[0].to_floats())
      special += !std::isfinite(value) || std::abs(value) > 1e6f;
    CHECK(special == 0);
  }
}

TEST_CASE("widths: 45% multiples of 16, 25% of 8, 15% of 4, 15% any") {
  NetworkBuilder builder(1);
  constexpr int kDraws = 20000;
  int by_16 = 0, by_8 = 0, by_4 = 0;
  for (int i = 0; i < kDraws; ++i) {
    int64_t width = builder.width(64, 1024);
    REQUIRE(width >= 56);
    REQUIRE(width <= 1040);
    by_16 += width % 16 == 0;
    by_8 += width % 8 == 0;
    by_4 += width % 4 == 0;
  }
  // Of those drawn as multiples of 8 half are also ones of 16, and so on.
  CHECK(by_16 / double{kDraws} ==
        doctest::Approx(0.45 + 0.25 / 2 + 0.15 / 4 + 0.15 / 16).epsilon(0.04));
  CHECK(by_8 / double{kDraws} ==
        doctest::Approx(0.70 + 0.15 / 2 + 0.15 / 8).epsilon(0.04));
  CHECK(by_4 / double{kDraws} ==
        doctest::Approx(0.85 + 0.15 / 4).epsilon(0.04));
}

TEST_CASE("the first plan takes families and precisions in turn") {
  size_t families = network_families().size();
  std::vector<NetworkSpec> plan = first_plan(4 * families, 7);
  CHECK(plan.size() == 4 * families);
  CHECK(plan == first_plan(4 * families, 7));
  CHECK(plan != first_plan(4 * families, 8));
  std::set<std::string> names;
  std::map<std::string, std::set<Precision>> precisions;
  for (const NetworkSpec& spec : plan) {
    CHECK(names.insert(name_of(spec)).second);
    precisions[spec.family].insert(spec.precision);
  }
  CHECK(precisions.size() == families);
  CHECK(precisions["residual"].size() == 2);
  CHECK(precisions["transformer"].size() == 2);
  // Nothing in these has an integer kernel.
  CHECK(precisions["recurrent"].size() == 1);
  // A shorter plan is the start of a longer one.
  std::vector<NetworkSpec> shorter = first_plan(10, 7);
  CHECK(std::equal(shorter.begin(), shorter.end(), plan.begin()));
}

TEST_CASE("the first plan meets the kernels that networks are made of") {
  std::set<std::string> kinds;
  std::set<std::string> int8;
  // Every family twice, once in each precision.
  for (const NetworkSpec& spec : first_plan(2 * network_families().size(), 1))
    for (const KernelDescriptor& kernel : preview(spec, 1)) {
      kinds.insert(kernel.kind);
      if (kernel.precision == Precision::kInt8) int8.insert(kernel.kind);
    }
  for (const char* kind : {"conv2d",
                           "depthwise_conv2d",
                           "grouped_conv2d",
                           "conv_transpose2d",
                           "gemm",
                           "matmul",
                           "max_pool",
                           "average_pool",
                           "global_average_pool",
                           "softmax",
                           "layer_normalization",
                           "concat",
                           "split",
                           "transpose",
                           "resize",
                           "reorder_input",
                           "reorder_output",
                           "quantize_linear",
                           "dequantize_linear",
                           "add",
                           "mul",
                           "relu",
                           "sigmoid",
                           "reduce_mean",
                           "batch_normalization",
                           "gelu",
                           "gather",
                           "slice",
                           "pad"}) {
    CAPTURE(std::string(kind));
    CHECK(kinds.contains(kind));
  }
  for (const char* kind : {"conv2d", "depthwise_conv2d", "grouped_conv2d",
                           "gemm", "add", "concat", "average_pool"}) {
    CAPTURE(std::string(kind));
    CHECK(int8.contains(kind));
  }
}

}  // namespace
}  // namespace lathe::latency
