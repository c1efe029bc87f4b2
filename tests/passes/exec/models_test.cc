// Real models and the zoo in the executor and in the runtime. Differences are
// relative to the largest element of each output.
#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/exec/program.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "tests/passes/exec/exec_fixtures.h"
#include "tests/support/real_models.h"
#include "tests/support/shared.h"
#include "tests/zoo/zoo.h"

namespace lathe {
namespace {

void compare(const ir::Model& model, NamedTensors inputs, double tolerance) {
  const auto theirs = latency::Session::open(model, {}, "model")->run(inputs);
  const auto mine = exec::make_torch_executor()->prepare(model)->run(inputs);
  REQUIRE(mine.size() == theirs.size());
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < mine.size(); ++i) {
    CAPTURE(i);
    REQUIRE(mine[i].dims() == theirs[i].dims());
    const at::Tensor a = exec::to_torch(mine[i]).to(at::kDouble),
                     b = exec::to_torch(theirs[i]).to(at::kDouble);
    const double largest = b.abs().max().item<double>();
    const double off = (a - b).abs().max().item<double>();
    INFO("differs by " << off << " of " << largest);
    CHECK(off <= tolerance * std::max(largest, 1e-6));
  }
}

TEST_CASE("real models give what the runtime gives") {
  for (const test::RealModel& subject : test::real_models()) {
    const auto path = test::shared_file("models/" + subject.file);
    if (path.empty()) continue;
    CAPTURE(subject.file);
    ir::Model model = io::import_onnx(path);
    NamedTensors inputs = latency::random_inputs(
        model, ir::default_input_shapes(model, subject.shapes), 11);
    for (auto& [name, tensor] : inputs)
      if (name == "sr") tensor = ir::Tensor::scalar<int64_t>(16000);
    compare(model, std::move(inputs), subject.half ? 1e-2 : 1e-4);
  }
}

TEST_CASE("the zoo gives what the runtime gives") {
  for (const zoo::ZooModel& subject : zoo::zoo()) {
    CAPTURE(subject.name);
    const ir::Model model = subject.build(3);
    compare(model, latency::random_inputs(model, {}, 11), 1e-4);
  }
}

}  // namespace
}  // namespace lathe
