// A small convolutional teacher, students and samples.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "passes/distill/distill.h"
#include "passes/exec/program.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/json.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "passes/pass_context.h"
#include "tests/support/error_of.h"
#include "tests/support/memory_samples.h"

namespace lathe::distill::test {

constexpr int64_t kSamples = 256, kClasses = 4;

// [N,2,4,4] -> two convolutions of so many channels -> scores [N,4].
inline ir::Model conv_net(int64_t channels, uint64_t seed,
                          const std::string& batch = "N") {
  const auto constant = [&](const std::string& name, std::vector<int64_t> dims,
                            double scale) {
    Random random(derive_seed(seed, name));
    int64_t count = 1;
    std::string shape, values;
    for (const int64_t dim : dims) {
      count *= dim;
      shape += (shape.empty() ? "" : ",") + std::to_string(dim);
    }
    for (int64_t i = 0; i < count; ++i)
      values += (i ? ", " : "") + std::to_string(scale * random.normal());
    return "init %" + name + " = float[" + shape + "] {" + values + "}\n";
  };
  const double c = static_cast<double>(channels);
  ir::Model model = ir::parse_text(
      "ir_version 8 opset 17 graph g {\ninput %x: float[" + batch +
      ",2,4,4]\n" + constant("w1", {channels, 2, 3, 3}, 0.33) +
      constant("b1", {channels}, 0.1) +
      constant("w2", {channels, channels, 3, 3}, 0.47 / std::sqrt(c)) +
      constant("b2", {channels}, 0.1) +
      constant("w3", {4 * channels, kClasses}, 1 / std::sqrt(c)) +
      constant("b3", {kClasses}, 0.1) +
      "%c1 = Conv(%x, %w1, %b1) {pads = [1,1,1,1]} @first %r1 = Relu(%c1)\n"
      "%c2 = Conv(%r1, %w2, %b2) {pads = [1,1,1,1], strides = [2,2]} @second\n"
      "%r2 = Relu(%c2) %f = Flatten(%r2)\n"
      "%y = Gemm(%f, %w3, %b3) @head output %y }");
  ir::infer_shapes(model);
  return model;
}

// The same function: what the first convolution of a conv_net gives is so many
// times as large.
inline void scale_inside(ir::Model& model, float factor) {
  for (const auto& [name, by] :
       {std::pair{"w1", factor}, {"b1", factor}, {"w2", 1 / factor}}) {
    ir::Value* value = model.graph->find(name);
    std::vector<float> values = value->tensor().to_floats();
    for (float& v : values) v *= by;
    value->set_tensor(ir::Tensor::from<float>(value->tensor().dims(), values));
  }
}

inline lathe::test::MemorySamples image_samples(
    std::vector<int64_t> labels = {}, int64_t samples = kSamples) {
  Random random(11);
  std::vector<float> x(static_cast<size_t>(samples * 32));
  for (float& value : x) value = static_cast<float>(random.normal());
  return {{{"x", ir::Tensor::from<float>({samples, 2, 4, 4}, x)}},
          std::move(labels)};
}

// The first output of all samples.
inline at::Tensor scores(const ir::Model& model) {
  auto samples = image_samples();
  ReadOptions all;
  all.batch_size = kSamples;
  const auto batch = samples.read(all)->next();
  return exec::to_torch(
      exec::make_torch_executor()->prepare(model)->run(batch->inputs)[0]);
}

// Of samples, the share of which both choose the same class.
inline double agreement(const ir::Model& a, const ir::Model& b) {
  return (scores(a).argmax(1) == scores(b).argmax(1))
      .to(at::kDouble)
      .mean()
      .item<double>();
}

inline DistillOptions quick(int64_t steps = 120) {
  DistillOptions options;
  options.train.steps = steps;
  options.train.batch_size = 32;
  options.train.optimizer.kind = exec::OptimizerKind::kAdamW;
  options.learning_rate = 0.01;
  options.train.held_out = -1;
  return options;
}

struct Distilled {
  PassResult result;
  Json training;
  std::string remarks() const {
    std::string text;
    for (const Remark& remark : result.remarks)
      text += (remark.node.empty() ? "" : remark.node + ": ") + remark.reason +
              "\n";
    return text;
  }
};

// What a run is given beside the models.
struct Bench {
  Bench() {
    context.seed = 5;
    context.jobs = 1;
    context.data = &samples;
  }
  Distilled run(ir::Model& student, const ir::Model& teacher,
                const DistillOptions& options) {
    context.input = &teacher;
    Distilled made{make_distill(options)->run(student, context), {}};
    if (!made.result.training.empty())
      made.training = Json::parse(made.result.training);
    return made;
  }
  lathe::test::MemorySamples samples = image_samples();
  PassContext context;
};

using lathe::test::error_of;

}  // namespace lathe::distill::test
