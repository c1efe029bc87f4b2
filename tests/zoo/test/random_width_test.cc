#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

#include "passes/io/onnx/onnx.h"
#include "passes/ir/op_table.h"
#include "tests/zoo/blocks.h"
#include "tests/zoo/test/run_once.h"
#include "tests/zoo/zoo.h"

namespace lathe::zoo {
namespace {

// Output channels of every convolution with weights of its own choosing.
std::vector<int64_t> conv_widths(const ir::Model& model) {
  std::vector<int64_t> widths;
  for (const auto& node : model.graph->nodes())
    if (node->is("Conv")) widths.push_back(node->input(1)->tensor().dims()[0]);
  return widths;
}

TEST_CASE("widths are 0.4 to 1.0 of the published, in the promised mix") {
  Widths widths = random_widths(7);
  std::map<int64_t, int> multiples;
  constexpr int kDraws = 20000;
  // 1600 = 16 * 100: rounding moves a width by at most half a percent.
  for (int i = 0; i < kDraws; ++i) {
    int64_t width = widths(1600);
    CHECK(width >= 0.395 * 1600);
    CHECK(width <= 1600);
    for (int64_t multiple : {16, 8, 4})
      multiples[multiple] += width % multiple == 0;
  }
  auto share = [&](int64_t multiple) {
    return static_cast<double>(multiples[multiple]) / kDraws;
  };
  // Multiples of 16 also come from the others: half of those of 8, a quarter of
  // those of 4, a sixteenth of the arbitrary ones; and so on.
  CHECK(share(16) == doctest::Approx(0.45 + 0.25 / 2 + 0.15 / 4 + 0.15 / 16)
                         .epsilon(0.03)
                         .scale(0));
  CHECK(share(8) ==
        doctest::Approx(0.70 + 0.15 / 2 + 0.15 / 8).epsilon(0.03).scale(0));
  CHECK(share(4) == doctest::Approx(0.85 + 0.15 / 4).epsilon(0.03).scale(0));
  for (int64_t small : {1, 2, 3, 5, 17})
    for (int i = 0; i < 100; ++i) {
      int64_t width = widths(small);
      CHECK(width >= 1);
      CHECK(width <= small);
    }
}

TEST_CASE("random-width variants differ, hold together and run") {
  for (const RandomWidthFamily& family : random_width_families()) {
    CAPTURE(family.name);
    std::set<std::vector<int64_t>> seen;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      CAPTURE(seed);
      ir::Model model = family.build(seed, 64);
      ir::verify(*model.graph, "zoo");
      REQUIRE(ir::total_macs(model));
      seen.insert(conv_widths(model));
      if (seed < 3) test::check_runs(model);
    }
    CHECK(seen.size() == 20);
  }
}

TEST_CASE("variants run at the sizes of images that are usual") {
  for (int64_t size : {96, 160, 224}) {
    CAPTURE(size);
    for (auto build : {random_width_resnet18, random_width_mobilenet_v2}) {
      ir::Model model = build(11, size);
      CHECK(ir::to_dims(*model.graph->inputs()[0]->type.shape) ==
            std::vector<int64_t>{1, 3, size, size});
      test::check_runs(model);
    }
  }
}

TEST_CASE("variants are never larger than what they vary") {
  const int64_t resnet = *ir::total_macs(build_zoo_model("resnet18", 0));
  const int64_t mobilenet = *ir::total_macs(build_zoo_model("mobilenet_v2", 0));
  for (uint64_t seed = 0; seed < 40; ++seed) {
    int64_t macs = *ir::total_macs(random_width_resnet18(seed));
    CHECK(macs < resnet);
    CHECK(macs > resnet / 7);  // 0.4 squared and a little
    macs = *ir::total_macs(random_width_mobilenet_v2(seed));
    CHECK(macs < mobilenet);
    CHECK(macs > mobilenet / 7);
  }
}

TEST_CASE("the same seed gives the same bytes") {
  auto bytes = [](uint64_t seed) {
    return io::export_onnx_bytes(random_width_mobilenet_v2(seed, 64));
  };
  CHECK(bytes(5) == bytes(5));
  CHECK(bytes(5) != bytes(6));
  auto int8 = [](uint64_t seed) {
    return io::export_onnx_bytes(
        quantize_for_latency(random_width_mobilenet_v2(5, 64), seed));
  };
  CHECK(int8(1) == int8(1));
  CHECK(int8(1) != int8(2));
}

}  // namespace
}  // namespace lathe::zoo
