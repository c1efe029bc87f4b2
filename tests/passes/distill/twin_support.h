// What the tests of twins share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "passes/distill/training_twin.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include "calibration/latency/bench.h"
#include "passes/ir/text_format.h"
#include "tests/passes/quantize/support.h"

namespace lathe::distill::test {

inline std::unique_ptr<exec::Program> compile(const TrainingTwin& twin) {
  exec::CompileOptions options;
  options.trainable = [&twin](const ir::Value& value) {
    return twin.trainable(value);
  };
  return exec::Program::compile(twin.model(), options);
}

inline at::Tensor parameter(const exec::Program& program,
                            const std::string& name) {
  for (const auto& [known, tensor] : program.parameters())
    if (known == name) return tensor;
  FAIL("no parameter " << name);
  return {};
}

inline NamedTensors inputs_of(const ir::Model& model, uint64_t seed) {
  return latency::random_inputs(model, ir::default_input_shapes(model), seed);
}

// The first output.
inline at::Tensor run(const exec::Program& program, const ir::Model& model,
                      uint64_t seed) {
  exec::Program::Named inputs;
  for (const auto& [name, tensor] : inputs_of(model, seed))
    inputs.emplace_back(name, exec::to_torch(tensor));
  const at::NoGradGuard no_grad;
  return program.run(inputs)[0];
}

inline at::Tensor evaluate(const ir::Model& model, uint64_t seed) {
  return exec::to_torch(exec::make_torch_executor()->prepare(model)->run(
      inputs_of(model, seed))[0]);
}

inline std::vector<std::string> different_initializers(const ir::Model& a,
                                                       const ir::Model& b) {
  std::vector<std::string> names;
  for (const ir::Value* value : a.graph->initializers()) {
    const ir::Value* other = b.graph->find(value->name());
    if (!other || !other->has_initializer() ||
        !other->tensor().identical(value->tensor()))
      names.push_back(value->name());
  }
  return names;
}

// The model with zeros for constants.
inline ir::Model form_of(const ir::Model& model) {
  ir::Model form = ir::clone(model);
  for (ir::Value* value : form.graph->initializers())
    value->set_tensor(
        ir::Tensor::zeros(value->tensor().type(), value->tensor().dims()));
  return form;
}

}  // namespace lathe::distill::test
