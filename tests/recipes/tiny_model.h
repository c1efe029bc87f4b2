// A small image classifier and a meter with a table in the runtime's place.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "passes/base/random.h"
#include "passes/ir/graph.h"
#include "recipes/run.h"

namespace lathe::test {

inline ir::Tensor random_tensor(std::vector<int64_t> dims, uint64_t seed) {
  Random random(seed);
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values)
    value = static_cast<float>(random.uniform(-0.3, 0.3));
  return ir::Tensor::from<float>(std::move(dims), values);
}

// Input image [N, 3, 32, 32], output logits [N, 10]: Conv, Relu, Identity,
// GlobalAveragePool, Flatten, Gemm at opset 17.
inline ir::Model tiny_classifier() {
  ir::Model model;
  model.opset_imports[""] = 17;
  model.producer_name = "lathe test";
  ir::Graph& graph = *model.graph;
  graph.name = "tiny";
  ir::ValueType image{
      ir::DataType::kFloat, ir::Shape{ir::Dim::named("N"), 3, 32, 32}, {}, {}};
  ir::Value* x = graph.add_input("image", image);
  ir::Value* w = graph.add_initializer("w", random_tensor({16, 3, 3, 3}, 1));
  ir::Value* b = graph.add_initializer("b", random_tensor({16}, 2));
  ir::Node* conv =
      graph.add_node("Conv", {x, w, b}, std::vector<std::string>{"features"});
  conv->name = "conv";
  conv->set_attr("pads", std::vector<int64_t>{1, 1, 1, 1});
  const auto one = [&](const char* op, ir::Value* input, const char* output) {
    ir::Node* node =
        graph.add_node(op, {input}, std::vector<std::string>{output});
    node->name = op;
    return node->output();
  };
  ir::Value* y = one("Relu", conv->output(), "activated");
  y = one("Identity", y, "same");
  y = one("GlobalAveragePool", y, "pooled");
  y = one("Flatten", y, "flat");
  ir::Value* gw = graph.add_initializer("gw", random_tensor({10, 16}, 3));
  ir::Value* gb = graph.add_initializer("gb", random_tensor({10}, 4));
  ir::Node* gemm =
      graph.add_node("Gemm", {y, gw, gb}, std::vector<std::string>{"logits"});
  gemm->name = "classify";
  gemm->set_attr("transB", int64_t{1});
  gemm->output()->type = {
      ir::DataType::kFloat, ir::Shape{ir::Dim::named("N"), 10}, {}, {}};
  graph.add_output(gemm->output());
  return model;
}

// Medians in microseconds by what a path contains; 1000 for the rest.
class TableMeter final : public recipes::LatencyMeter {
 public:
  explicit TableMeter(std::map<std::string, double> medians_us)
      : medians_us_(std::move(medians_us)) {}

  std::vector<MeasuredLatency> measure(
      const std::vector<std::filesystem::path>& models) override {
    std::vector<MeasuredLatency> measured;
    for (const std::filesystem::path& model : models) {
      double median = 1000;
      for (const auto& [part, value] : medians_us_)
        if (model.string().find(part) != std::string::npos) median = value;
      measured.push_back(
          {median * 0.9, median * 0.95, median, median * 1.1, 100, false});
      exists = exists && std::filesystem::exists(model);
    }
    return measured;
  }

  bool exists = true;  // every file was there when it was to be measured

 private:
  std::map<std::string, double> medians_us_;
};

}  // namespace lathe::test
