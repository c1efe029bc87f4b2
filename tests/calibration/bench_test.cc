#include "calibration/latency/bench.h"

#include <cmath>

#include "calibration/latency/statistics.h"
#include "tests/calibration/fixtures.h"

namespace lathe::latency {
namespace {

using test::error_of;
using test::model_of;

// `count` Tanh nodes in a row on `elements` floats.
ir::Model tower(int count, int64_t elements) {
  ir::Model model = model_of("graph main {\n input %x: float[1," +
                             std::to_string(elements) + "]\n output %x\n}");
  ir::Value* value = model.graph->find("x");
  for (int i = 0; i < count; ++i)
    value = model.graph
                ->add_node("Tanh", {value},
                           std::vector<std::string>{"t" + std::to_string(i)})
                ->output();
  model.graph->set_output(0, value);
  model.graph->outputs()[0]->type = model.graph->inputs()[0]->type;
  return model;
}

TEST_CASE("quantiles interpolate between order statistics") {
  std::vector<double> values = {1, 2, 3, 4, 10};
  CHECK(quantile(values, 0) == 1);
  CHECK(quantile(values, 0.5) == 3);
  CHECK(quantile(values, 0.1) == doctest::Approx(1.4));
  CHECK(quantile(values, 0.9) == doctest::Approx(7.6));
  CHECK(quantile(values, 1) == 10);
  CHECK(quantile({7}, 0.9) == 7);
}

TEST_CASE("noise: too few runs, spread, drift") {
  std::vector<double> steady(30, 100.0);
  CHECK_FALSE(is_noisy(steady));
  CHECK(is_noisy(std::vector<double>(9, 100.0)));
  CHECK_FALSE(is_noisy(std::vector<double>(10, 100.0)));
  CHECK(is_noisy({}));

  // A few outliers leave median and p90 as they are.
  std::vector<double> outliers = steady;
  outliers[3] = outliers[20] = 1000;
  CHECK_FALSE(is_noisy(outliers));
  std::vector<double> spread = steady;
  for (size_t i = 0; i < spread.size(); i += 3) spread[i] = 160;
  CHECK(is_noisy(spread));

  std::vector<double> drift;
  for (int i = 0; i < 30; ++i)
    drift.push_back(100 + i);  // thirds: 104.5, 124.5
  CHECK(is_noisy(drift));
  std::vector<double> slight;
  for (int i = 0; i < 30; ++i) slight.push_back(100 + 0.4 * i);
  CHECK_FALSE(is_noisy(slight));
}

TEST_CASE("noise: a steady load on the core") {
  std::vector<double> wall(20, 100.0), busy(20, 80.0), alone(20, 95.0);
  CHECK(is_interrupted(wall, busy));
  CHECK_FALSE(is_interrupted(wall, alone));
  // Half of the runs decide.
  for (size_t i = 0; i < 9; ++i) alone[i] = 10;
  CHECK_FALSE(is_interrupted(wall, alone));
  CHECK_FALSE(is_interrupted({}, {}));
}

TEST_CASE("a summary of runs") {
  MeasuredLatency latency = summarize({5, 1, 3, 2, 4, 5, 1, 3, 2, 4, 3});
  CHECK(latency.runs == 11);
  CHECK(latency.min_us == 1);
  CHECK(latency.p10_us == 1);
  CHECK(latency.median_us == 3);
  CHECK(latency.p90_us == 5);
  CHECK(latency.noisy);
  CHECK(summarize({}).runs == 0);
}

TEST_CASE("the slower model is measured as slower") {
  ir::Model small = tower(1, 64), large = tower(40, 4096);
  auto fast = Session::open(small), slow = Session::open(large);
  BenchOptions options;
  options.runs = 40;
  auto results = bench({{"fast", fast.get(), random_inputs(small, {}, 0)},
                        {"slow", slow.get(), random_inputs(large, {}, 0)}},
                       options, silent_progress(), nullptr);
  REQUIRE(results.size() == 2);
  for (const MeasuredLatency& result : results) {
    CHECK(result.runs == 40);
    CHECK(result.min_us > 0);
    CHECK(result.min_us <= result.p10_us);
    CHECK(result.p10_us <= result.median_us);
    CHECK(result.median_us <= result.p90_us);
  }
  CHECK(results[1].median_us > 2 * results[0].median_us);
}

TEST_CASE("runs are chosen by time, within limits") {
  ir::Model model = tower(1, 64);
  auto session = Session::open(model);
  std::vector<BenchSubject> subjects = {
      {"a", session.get(), random_inputs(model, {}, 0)}};
  BenchOptions options;
  options.min_seconds = 0;
  options.min_runs = 17;
  CHECK(bench(subjects, options, silent_progress(), nullptr)[0].runs == 17);
  options.min_seconds = 1000;
  options.max_runs = 25;
  CHECK(bench(subjects, options, silent_progress(), nullptr)[0].runs == 25);
  options.runs = 3;
  MeasuredLatency three =
      bench(subjects, options, silent_progress(), nullptr)[0];
  CHECK(three.runs == 3);
  CHECK(three.noisy);
}

TEST_CASE("progress is whole and cancelling stops") {
  struct Sink : ProgressSink {
    void begin(std::string_view task, uint64_t steps) override {
      name = task;
      total = steps;
    }
    void advance(uint64_t steps, std::string_view) override { done += steps; }
    void end() override { ended = true; }
    std::string name;
    uint64_t total = 0, done = 0;
    bool ended = false;
  } sink;
  ir::Model model = tower(1, 64);
  auto session = Session::open(model);
  std::vector<BenchSubject> subjects = {
      {"a", session.get(), random_inputs(model, {}, 0)},
      {"b", session.get(), random_inputs(model, {}, 1)}};
  BenchOptions options;
  options.runs = 12;
  bench(subjects, options, sink, nullptr);
  CHECK(sink.name == "bench");
  CHECK(sink.total == 200);
  CHECK(sink.done == 200);
  CHECK(sink.ended);

  CancelToken cancel;
  cancel.cancel();
  CHECK(error_of([&] {
          bench(subjects, options, silent_progress(), &cancel);
        }).starts_with("interrupted"));
}

TEST_CASE("random inputs are seeded and in range") {
  ir::Model model = model_of(R"(graph main {
    input %x: float[N,1000]
    input %h: float16[50]
    input %i: int64[N,50]
    input %u: uint8[50]
    input %b: bool[4]
    input %w: float[1] = float[1] {1}
    output %x
  })");
  ir::InputShapes shapes = {{"x", {2, 1000}}, {"i", {2, 50}}};
  NamedTensors inputs = random_inputs(model, shapes, 7);
  REQUIRE(inputs.size() == 5);
  CHECK(inputs[0].first == "x");
  CHECK(inputs[0].second.dims() == std::vector<int64_t>{2, 1000});
  std::vector<float> values = inputs[0].second.to_floats();
  CHECK(*std::min_element(values.begin(), values.end()) >= 0);
  CHECK(*std::max_element(values.begin(), values.end()) < 1);
  CHECK(*std::max_element(values.begin(), values.end()) > 0.99f);
  CHECK(inputs[1].second.type() == ir::DataType::kFloat16);
  for (size_t i : {2, 3}) {
    std::vector<int64_t> integers = inputs[i].second.to_int64s();
    CHECK(*std::min_element(integers.begin(), integers.end()) == 0);
    CHECK(*std::max_element(integers.begin(), integers.end()) == 1);
  }
  CHECK(inputs[4].second.to_int64s() == std::vector<int64_t>{1, 1, 1, 1});

  NamedTensors again = random_inputs(model, shapes, 7);
  for (size_t i = 0; i < inputs.size(); ++i)
    CHECK(inputs[i].second.identical(again[i].second));
  CHECK_FALSE(
      random_inputs(model, shapes, 8)[0].second.identical(inputs[0].second));
}

TEST_CASE("random inputs that cannot be") {
  ir::Model model = model_of(R"(graph main {
    input %x: float[N,3]
    output %x
  })");
  CHECK(error_of([&] { random_inputs(model, {}, 0); }) ==
        "usage: input 'x': its shape is not known: float[N,3] (give "
        "--input-shape x:1x3)");
  CHECK(random_inputs(model, {{"", {4, 3}}}, 0)[0].second.dims() ==
        std::vector<int64_t>{4, 3});
  CHECK(error_of([&] {
          random_inputs(model, {{"x", {1 << 30, 3}}}, 0);
        }) ==
        "input: input 'x': a tensor of shape 1073741824x3 takes more than 8.0 "
        "GiB");
}

}  // namespace
}  // namespace lathe::latency
