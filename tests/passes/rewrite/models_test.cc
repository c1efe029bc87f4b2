// Real models answer the same after simplify and after raise_opset. Tolerance:
// 1e-4 of the largest element of each output, since folded weights round and
// the runtime then takes other kernels.
#include <doctest/doctest.h>

#include "calibration/latency/bench.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/rewrite/rewrite_test_support.h"
#include "tests/support/real_models.h"
#include "tests/support/shared.h"

namespace lathe::rewrite {
namespace {

constexpr double kTolerance = 1e-4;

using Subject = test::RealModel;

// Both at the level that devices use.
void check_same(const ir::Model& before, const ir::Model& after,
                const Subject& subject) {
  NamedTensors inputs = latency::random_inputs(
      before, ir::default_input_shapes(before, subject.shapes), 11);
  for (auto& [name, tensor] : inputs)
    if (name == "sr") tensor = ir::Tensor::scalar<int64_t>(16000);
  auto expected = latency::Session::open(before, {}, "before")->run(inputs);
  auto found = latency::Session::open(after, {}, "after")->run(inputs);
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    double difference = relative_difference(expected[i], found[i]);
    INFO("output " << i << " differs by " << difference);
    CHECK(difference <= kTolerance);
  }
}

TEST_CASE("simplify: every model answers the same") {
  for (const Subject& subject : test::real_models()) {
    CAPTURE(subject.file);
    auto path = test::shared_file("models/" + subject.file);
    if (path.empty()) continue;
    ir::Model before = io::import_onnx(path);
    ir::Model after = ir::clone(before);
    apply_pass(after, make_simplify(17));
    CHECK(after.opset() >= 17);
    check_same(before, after, subject);
    // A second run finds nothing left to do.
    CHECK(apply_pass(after, make_simplify(17)).changes == 0);
  }
}

TEST_CASE(
    "simplify: batch normalization is gone from the ResNets and "
    "UltraFace") {
  for (const char* file :
       {"cifar10_resnet20/model.onnx", "cifar10_resnet56/model.onnx",
        "face_ultraface_rfb_320/model.onnx"}) {
    CAPTURE(file);
    auto path = test::shared_file(std::string("models/") + file);
    if (path.empty()) continue;
    ir::Model model = io::import_onnx(path);
    REQUIRE(count_nodes(model, "BatchNormalization") > 0);
    apply_pass(model, make_simplify(17));
    CHECK(count_nodes(model, "BatchNormalization") == 0);
    CHECK(count_nodes(model, "Shape") == 0);
    CHECK(count_nodes(model, "Constant") == 0);
    CHECK(model.graph->inputs().size() == 1);
  }
}

TEST_CASE("raise_opset: old models load and answer the same on 17, 18, 21") {
  for (const Subject& subject : test::real_models()) {
    auto path = test::shared_file("models/" + subject.file);
    if (path.empty()) continue;
    ir::Model before = io::import_onnx(path);
    if (before.opset() >= 13 &&
        subject.file.find("stories") == std::string::npos)
      continue;
    for (int64_t target : {17, 18, 21}) {
      CAPTURE(subject.file);
      CAPTURE(target);
      ir::Model after = ir::clone(before);
      apply_pass(after, make_raise_opset(target));
      CHECK(after.opset() == target);
      check_same(before, after, subject);
    }
  }
}

}  // namespace
}  // namespace lathe::rewrite
