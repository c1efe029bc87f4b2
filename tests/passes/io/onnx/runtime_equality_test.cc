// Converting a model changes no bit of what the runtime answers.
#include <doctest/doctest.h>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/io/onnx/onnx.h"
#include "tests/passes/io/onnx/real_models.h"
#include "tests/support/shared.h"

namespace lathe::test {
namespace {

// Inputs that the model accepts, beyond what default shapes give.
NamedTensors inputs_of(const ir::Model& model, const std::string& path) {
  ir::InputShapes shapes;
  if (path.find("vad_silero") != std::string::npos)
    shapes = {{"input", {1, 576}}, {"state", {2, 1, 128}}, {"sr", {}}};
  else if (path.find("lm_stories") != std::string::npos)
    shapes = {{"input_ids", {2, 9}}};
  else
    shapes = ir::default_input_shapes(model);
  NamedTensors inputs = latency::random_inputs(model, shapes, /*seed=*/1);
  for (auto& [name, tensor] : inputs)
    if (name == "sr") tensor = ir::Tensor::scalar<int64_t>(16000);
  return inputs;
}

bool same(const std::vector<ir::Tensor>& a, const std::vector<ir::Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!a[i].identical(b[i])) return false;
  return true;
}

TEST_CASE("converted real models answer the same, bit for bit") {
  TempDir folder;
  for (const auto& path : real_models()) {
    CAPTURE(path.string());
    ir::Model model = io::import_onnx(path);
    NamedTensors inputs = inputs_of(model, path.string());
    auto expected = latency::Session::open(path)->run(inputs);
    REQUIRE(!expected.empty());
    auto one_file = folder.path() / "one.onnx";
    io::export_onnx(model, one_file);
    CHECK(same(latency::Session::open(one_file)->run(inputs), expected));
    // The same with nearly all weights beside the model.
    auto two_files = folder.path() / "two.onnx";
    io::export_onnx(model, two_files, {.max_file_bytes = 1});
    CHECK(same(latency::Session::open(two_files)->run(inputs), expected));
  }
}

}  // namespace
}  // namespace lathe::test
