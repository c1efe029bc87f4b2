// Programs on another device than the CPU: what every operator gives there, and
// what is said where there is none.
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "tests/passes/exec/exec_fixtures.h"
#include "tests/passes/exec/gradient_rows.h"
#include "tests/zoo/zoo.h"

namespace lathe::test {
namespace {

exec::CompileOptions on(at::Device device) {
  exec::CompileOptions options;
  options.device = device;
  return options;
}

bool has_cuda() {
  if (at::hasCUDA()) return true;
  MESSAGE("skipped: the linked LibTorch has no CUDA, or finds no device");
  return false;
}

void check_near(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  REQUIRE(a.sizes() == b.sizes());
  const at::Tensor x = a.cpu().to(at::kDouble), y = b.cpu().to(at::kDouble);
  CHECK(at::allclose(x, y, tolerance, tolerance, /*equal_nan=*/true));
}

TEST_CASE("a device that there is not") {
  const ir::Model model =
      exec_model("input %x: float[2] %y = Relu(%x) output %y");
  CHECK_THROWS_WITH_AS(exec::Program::compile(model, on(at::kMeta)),
                       "device 'meta': the executor runs on the CPU and on "
                       "CUDA",
                       Error);
  if (at::hasCUDA()) return;
  CHECK_THROWS_WITH_AS(
      exec::Program::compile(model, on(at::kCUDA)),
      "device 'cuda': the linked LibTorch has no CUDA, or finds no device (use "
      "the CPU, or link a LibTorch that was built for CUDA)",
      Error);
}

TEST_CASE("every differentiable operator on CUDA") {
  if (!has_cuda()) return;
  for (const GradientRow& row : gradient_rows()) {
    CAPTURE(row.op);
    Random random(1);
    const ir::Model model = exec_model(with_sizes(row.body, random), row.opset);
    std::vector<at::Tensor> results[2];
    for (int side = 0; side < 2; ++side) {
      const at::Device device = side ? at::kCUDA : at::kCPU;
      const auto program = exec::Program::compile(model, on(device));
      at::manual_seed(1);
      exec::Program::Named inputs;
      for (const ir::Value* value : model.graph->inputs())
        if (!value->has_initializer())
          inputs.emplace_back(
              value->name(),
              (at::rand(ir::to_dims(*value->type.shape), at::kDouble) * 0.8 +
               0.1)
                  .to(device)
                  .set_requires_grad(true));
      at::Tensor loss = at::zeros({}, at::kDouble).to(device);
      for (const at::Tensor& output : program->run(inputs)) {
        CHECK(output.is_cuda() == (side == 1));
        results[side].push_back(output.detach());
        if (output.is_floating_point())
          loss = loss + output.to(at::kDouble).pow(2).sum();
      }
      loss.backward();
      for (const auto& [name, tensor] : inputs)
        results[side].push_back(tensor.grad());
    }
    for (size_t i = 0; i < results[0].size(); ++i)
      check_near(results[0][i], results[1][i], 1e-6);
  }
}

TEST_CASE("the zoo on CUDA, with checkpoints") {
  if (!has_cuda()) return;
  for (const zoo::ZooModel& subject : zoo::zoo()) {
    CAPTURE(subject.name);
    const ir::Model model = subject.build(3);
    exec::CompileOptions options = on(at::kCUDA);
    options.checkpoint_segments = exec::kCheckpointsBySize;
    const auto here = exec::Program::compile(model),
               there = exec::Program::compile(model, options);
    exec::Program::Named inputs;
    for (const ir::Value* value : model.graph->inputs())
      if (!value->has_initializer()) {
        const auto dims = ir::to_dims(*value->type.shape);
        inputs.emplace_back(value->name(), ir::is_floating(value->type.elem)
                                               ? at::rand(dims)
                                               : at::ones(dims, at::kLong));
      }
    const at::Tensor a = here->run(inputs)[0], b = there->run(inputs)[0];
    CHECK(b.is_cuda());
    check_near(a.detach(), b.detach(), 1e-3);
    b.pow(2).sum().backward();
    for (const auto& parameter : there->parameters())
      CHECK(parameter.tensor.is_cuda());
  }
}

}  // namespace
}  // namespace lathe::test
