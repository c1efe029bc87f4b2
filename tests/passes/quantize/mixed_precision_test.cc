// Mixed precision under a budget.
#include <doctest/doctest.h>

#include <cmath>

#include "passes/base/error.h"
#include "passes/evaluator.h"
#include "passes/executor.h"
#include "tests/passes/quantize/support.h"
#include "tests/passes/quantize/table_latency.h"

namespace lathe::quantize::test {
namespace {

// Three products in a row; the second holds a weight that leaves its column no
// precision.
constexpr const char* kChain = R"(opset 17 graph {
  input %x: float[1,2]
  init %w = float[2,2] {1, 0.25, 0.5, 1}
  init %v = float[2,2] {100, 0.25, 0.003, 1}
  init %u = float[2,2] {1, 0.5, 0.25, 1}
  %a = MatMul(%x, %w) @first
  %b = MatMul(%a, %v) @second
  %y = MatMul(%b, %u) @third
  output %y
})";

// Adds a fixed noise to the output for each product that reads codes.
class NoisyExecutor final : public Executor {
 public:
  explicit NoisyExecutor(std::map<std::string, double> noise)
      : noise_(std::move(noise)) {}

  double noise_of(const ir::Model& model) const {
    double power = 0;
    for (const auto& node : model.graph->nodes()) {
      const auto found = noise_.find(node->name);
      if (found == noise_.end()) continue;
      const ir::Node* before = node->input(0)->producer();
      if (before && before->is("DequantizeLinear")) power += found->second;
    }
    return power;
  }

  std::unique_ptr<Executable> prepare(const ir::Model& model) const override {
    class Fixed final : public Executable {
     public:
      explicit Fixed(double off) : off_(off) {}
      std::vector<ir::Tensor> run(const NamedTensors&) const override {
        return {ir::Tensor::from<float>(
            {1, 1}, std::vector<float>{static_cast<float>(1 + off_)})};
      }

     private:
      double off_;
    };
    return std::make_unique<Fixed>(std::sqrt(noise_of(model)));
  }

 private:
  std::map<std::string, double> noise_;
};

class OneSample final : public BatchSource {
 public:
  int64_t size() const override { return 1; }
  bool has_labels() const override { return false; }
  bool is_synthetic() const override { return false; }
  std::string description() const override { return "one sample"; }
  std::unique_ptr<BatchReader> read(const ReadOptions&) override {
    class Reader final : public BatchReader {
      std::optional<Batch> next() override {
        if (read_++) return std::nullopt;
        Batch batch;
        batch.inputs.emplace_back(
            "x", ir::Tensor::from<float>({1, 2}, std::vector<float>{1, 1}));
        batch.samples = 1;
        return batch;
      }
      int read_ = 0;
    };
    return std::make_unique<Reader>();
  }
};

// Judges by the same noise; counts how often it is asked.
class NoiseEvaluator final : public Evaluator {
 public:
  NoiseEvaluator(const NoisyExecutor& executor, bool classes)
      : executor_(executor), classes_(classes) {}
  Accuracy evaluate(const ir::Model& model) override {
    ++asked;
    const double noise = executor_.noise_of(model);
    Accuracy accuracy;
    accuracy.samples = 1;
    if (classes_) accuracy.agreement = 1 - noise;
    accuracy.outputs = {{"y", -10 * std::log10(std::max(noise, 1e-20)), 1, 0}};
    return accuracy;
  }
  int asked = 0;

 private:
  const NoisyExecutor& executor_;
  bool classes_;
};

struct Trial {
  std::map<std::string, double> noise = {
      {"first", 0.001}, {"second", 0.1}, {"third", 0.002}};
  bool classes = true;
  int asked = 0;

  Outcome run(PrecisionBudget budget) {
    Outcome outcome{ir::parse_text(kChain), {}, {}};
    FixedRanges collector;
    const OperatorTable latency({{"MatMul", 100}, {"MatMul int8", 40}});
    NoisyExecutor executor(noise);
    NoiseEvaluator evaluator(executor, classes);
    OneSample data;
    PassContext context;
    context.ranges = &collector;
    context.latency = &latency;
    context.executor = &executor;
    context.evaluator = &evaluator;
    context.data = &data;
    QuantizeOptions options;
    options.budget = std::move(budget);
    outcome.result = make_quantize_static(options)->run(outcome.model, context);
    ir::verify(*outcome.model.graph, "test");
    asked = evaluator.asked;
    return outcome;
  }
};

std::string precisions(const Outcome& outcome) {
  std::string text;
  for (const LayerDecision& layer : outcome.result.layers)
    text += layer.precision + " ";
  return text;
}

TEST_CASE("mixed precision: the sensitive layer stays in float") {
  Trial trial;
  CHECK(precisions(trial.run({.min_sqnr_db = 20})) == "int8 float int8 ");
  CHECK(precisions(trial.run({.max_drop = 0.05})) == "int8 float int8 ");
}

TEST_CASE("mixed precision: a loose budget keeps what is fastest") {
  Trial trial;
  CHECK(precisions(trial.run({.max_drop = 0.5})) == "int8 int8 int8 ");
  CHECK(trial.asked == 1);
}

TEST_CASE("mixed precision: a budget that only float keeps") {
  Trial trial;
  const Outcome outcome = trial.run({.min_sqnr_db = 90});
  CHECK(precisions(outcome) == "float float float ");
  CHECK(outcome.count("QuantizeLinear") == 0);
  CHECK(outcome.reason("second") ==
        "it stays in float for the budget: 100.0 us in float, 40.0 us as an "
        "integer kernel on table");
}

TEST_CASE("mixed precision: sensitivities and what they cost are reported") {
  Trial trial;
  const Outcome outcome = trial.run({.min_sqnr_db = 20});
  REQUIRE(outcome.result.layers.size() == 3);
  const LayerDecision& second = outcome.result.layers[1];
  CHECK(second.node == "second");
  CHECK(second.op_type == "MatMul");
  CHECK(*second.sqnr_db == doctest::Approx(10));
  CHECK(*second.saved_us == doctest::Approx(60));
  CHECK(outcome.reason("") ==
        "1 of 3 layers stay in float for the budget: 182.0 us by the estimate, "
        "121.0 us with all that pay, 300.0 us in float; no assignment of as "
        "little noise is faster by more than 0.0 us");
}

TEST_CASE("mixed precision: the least noise within a latency") {
  Trial trial;
  const auto within = [&](double us) {
    PrecisionBudget budget;
    budget.latency_limit_us = [us](double) { return us; };
    return trial.run(std::move(budget));
  };
  CHECK(precisions(within(130)) == "int8 int8 int8 ");
  CHECK(precisions(within(190)) == "int8 float int8 ");
  CHECK(precisions(within(250)) == "int8 float float ");
  CHECK(precisions(within(1000)) == "float float float ");
  const Outcome unreachable = within(50);
  CHECK(precisions(unreachable) == "int8 int8 int8 ");
  CHECK(unreachable.reason("") ==
        "the latency limit of 50.0 us is out of reach: the fastest assignment "
        "of precisions takes 121.0 us by the estimate");
}

TEST_CASE("mixed precision: what it lacks is an error") {
  Trial trial;
  trial.classes = false;
  CHECK_THROWS_WITH_AS(
      trial.run({.max_drop = 0.05}),
      "quantize_static: a largest drop of accuracy needs labels or class "
      "scores, and the model has neither (give a least signal to noise instead "
      "(min_sqnr_db))",
      Error);

  ir::Model model = ir::parse_text(kChain);
  QuantizeOptions options;
  options.budget.min_sqnr_db = 20;
  PassContext context;
  FixedRanges collector;
  context.ranges = &collector;
  CHECK_THROWS_WITH_AS(
      make_quantize_static(options)->run(model, context),
      "quantize_static: a budget needs a device profile with measured "
      "latencies (`lathe profile` makes one of this machine, `lathe list "
      "devices` names those that are there)",
      Error);
  const OperatorTable latency({{"MatMul", 100}, {"MatMul int8", 40}});
  context.latency = &latency;
  CHECK_THROWS_WITH_AS(make_quantize_static(options)->run(model, context),
                       "quantize_static: a budget of accuracy needs samples to "
                       "score on (give data with --data)",
                       Error);
}

}  // namespace
}  // namespace lathe::quantize::test
