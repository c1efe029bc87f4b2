#include "tests/passes/exec/exec_fixtures.h"

#include <cmath>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"

namespace lathe::test {
namespace {

void check_close(const at::Tensor& mine, const at::Tensor& theirs,
                 double tolerance) {
  REQUIRE(mine.sizes() == theirs.sizes());
  if (mine.numel() == 0) return;
  if (!mine.is_floating_point()) {
    CHECK(at::equal(mine.to(at::kLong), theirs.to(at::kLong)));
    return;
  }
  const at::Tensor a = mine.to(at::kDouble), b = theirs.to(at::kDouble);
  const at::Tensor same_kind =
      (a.isnan() & b.isnan()) | (a == b);  // NaN and infinities
  const at::Tensor off =
      at::where(same_kind, at::zeros_like(a), (a - b).abs() / (1 + b.abs()));
  const double worst = off.max().item<double>();
  CHECK_MESSAGE(worst <= tolerance, "largest error " << worst);
}

at::Tensor random_double(at::IntArrayRef sizes, Random& random) {
  at::Tensor tensor = at::empty(sizes, at::kDouble);
  double* data = tensor.data_ptr<double>();
  // Away from 0, where many functions have a kink.
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const double value = random.uniform(0.1, 1.5);
    data[i] = random.uniform() < 0.5 ? -value : value;
  }
  return tensor;
}

}  // namespace

ir::Model exec_model(const std::string& body, int64_t opset) {
  ir::Model model =
      ir::parse_text("ir_version 8\nopset " + std::to_string(opset) +
                     "\nopset com.microsoft 1\ngraph g {\n" + body + "\n}");
  ir::infer_shapes(model);
  return model;
}

void same_as_runtime(const std::string& body, const CompareOptions& options) {
  CAPTURE(body);
  const ir::Model model = exec_model(body, options.opset);
  const NamedTensors inputs = latency::random_inputs(model, {}, options.seed);
  const std::vector<ir::Tensor> theirs =
      latency::Session::open(model, {}, "test")->run(inputs);
  exec::Program::Named mine_in;
  for (const auto& [name, tensor] : inputs)
    mine_in.emplace_back(name, exec::to_torch(tensor));
  at::NoGradGuard no_grad;
  const auto mine = exec::Program::compile(model)->run(mine_in);
  REQUIRE(mine.size() == theirs.size());
  for (size_t i = 0; i < mine.size(); ++i) {
    CAPTURE(i);
    const at::Tensor expected = exec::to_torch(theirs[i]);
    CHECK((mine[i].scalar_type() == expected.scalar_type()));
    check_close(mine[i], expected, options.tolerance);
  }
}

void gradients_agree(const std::string& body, const CompareOptions& options) {
  CAPTURE(body);
  const ir::Model model = exec_model(body, options.opset);
  const auto program = exec::Program::compile(model);
  Random random(options.seed);
  exec::Program::Named inputs;
  for (const ir::Value* value : model.graph->inputs()) {
    if (value->has_initializer()) continue;
    REQUIRE(value->type.elem == ir::DataType::kDouble);
    inputs.emplace_back(value->name(),
                        random_double(ir::to_dims(*value->type.shape), random));
  }
  std::vector<at::Tensor> weights;
  auto loss = [&]() {
    at::Tensor sum = at::zeros({}, at::kDouble);
    const auto outputs = program->run(inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i].is_floating_point()) continue;
      if (weights.size() <= i) weights.resize(i + 1);
      if (!weights[i].defined())
        weights[i] = random_double(outputs[i].sizes(), random);
      sum = sum + (outputs[i].to(at::kDouble) * weights[i]).sum();
    }
    return sum;
  };
  for (auto& [name, tensor] : inputs) tensor.set_requires_grad(true);
  loss().backward();
  std::vector<at::Tensor> gradients;
  for (auto& [name, tensor] : inputs) {
    REQUIRE(tensor.grad().defined());
    gradients.push_back(tensor.grad().clone());
    tensor = tensor.detach();
  }
  at::NoGradGuard no_grad;
  constexpr double kStep = 1e-6;
  for (size_t i = 0; i < inputs.size(); ++i) {
    CAPTURE(inputs[i].first);
    at::Tensor& tensor = inputs[i].second;
    double* data = tensor.data_ptr<double>();
    const at::Tensor flat = gradients[i].contiguous().reshape({-1});
    for (int64_t at = 0; at < tensor.numel(); ++at) {
      const double kept = data[at];
      data[at] = kept + kStep;
      const double up = loss().item<double>();
      data[at] = kept - kStep;
      const double down = loss().item<double>();
      data[at] = kept;
      const double expected = (up - down) / (2 * kStep);
      const double mine = flat[at].item<double>();
      const double off = std::abs(mine - expected) / (1 + std::abs(expected));
      CHECK_MESSAGE(off <= options.tolerance, "element " << at << ": " << mine
                                                         << " against "
                                                         << expected);
    }
  }
}

std::vector<at::Tensor> run_program(const std::string& body,
                                    const std::vector<at::Tensor>& inputs,
                                    int64_t opset) {
  const ir::Model model = exec_model(body, opset);
  exec::Program::Named named;
  size_t at = 0;
  for (const ir::Value* value : model.graph->inputs())
    if (!value->has_initializer())
      named.emplace_back(value->name(), inputs.at(at++));
  return exec::Program::compile(model)->run(named);
}

}  // namespace lathe::test
