#include "calibration/latency/probe/measure.h"

#include "tests/calibration/fixtures.h"

namespace lathe::latency {
namespace {

using test::error_of;
using test::model_of;

class Warnings final : public ProgressSink {
 public:
  void warn(std::string_view line) override { lines.emplace_back(line); }
  void advance(uint64_t steps, std::string_view) override { done += steps; }
  std::vector<std::string> lines;
  uint64_t done = 0;
};

// Short, and keeping what a busy test machine gives.
MeasureOptions quick() {
  MeasureOptions options;
  options.budget_s = 60;
  options.rounds = 1;
  options.group = 2;
  options.turn_s = 0.002;
  return options;
}

std::vector<NamedModel> models(std::vector<std::string> graphs) {
  std::vector<NamedModel> result;
  for (size_t i = 0; i < graphs.size(); ++i)
    result.push_back({"model " + std::to_string(i), model_of(graphs[i])});
  return result;
}

const char* const kGraph = R"(graph main {
  input %x: float[64,64]
  %a: float[64,64] = MatMul(%x, %x)
  %b: float[64,64] = Softmax(%a)
  output %b
})";

TEST_CASE("kernels of small networks, and their totals") {
  NetworkMeasurer measurer(quick());
  std::vector<NetworkSample> all;
  int groups = 0;
  Warnings warnings;
  std::vector<NetworkSpec> specs = {{"tiny", 3, Precision::kFp32},
                                    {"tiny", 4, Precision::kInt8},
                                    {"mlp", 1, Precision::kFp32}};
  size_t tried = measurer.measure(
      specs,
      [&](std::span<const NetworkSample> samples) {
        ++groups;
        all.insert(all.end(), samples.begin(), samples.end());
      },
      warnings);
  CHECK(tried == 3);
  // A busy machine may cost a network, and says so.
  CHECK(all.size() + warnings.lines.size() == 3);
  CHECK(measurer.left_out().size() == warnings.lines.size());
  CHECK(groups <= 2);
  CHECK(measurer.seconds() > 0);
  CHECK(measurer.seconds() + measurer.seconds_left() == doctest::Approx(60));
  for (const NetworkSample& sample : all) {
    CAPTURE(sample.name);
    CHECK(sample.threads == 1);
    CHECK(sample.kernels.size() > 1);
    CHECK(sample.totals_us.size() == 1);
    double sum = 0;
    for (const KernelSample& kernel : sample.kernels) {
      CHECK(!kernel.kernel.kind.empty());
      REQUIRE(kernel.times_us.size() == 1);
      CHECK(kernel.times_us[0] > 0);
      sum += kernel.times_us[0];
    }
    // The two are timed one after the other; a machine that is busy for one of
    // them may double it.
    CHECK(sum > 0.3 * sample.totals_us[0]);
    CHECK(sum < 3 * sample.totals_us[0]);
  }
  NoiseCertificate noise = measurer.noise();
  CHECK(noise.threads == 1);
  CHECK(noise.rounds >= 3);
  CHECK(noise.dropped_rounds <= noise.rounds);
  CHECK(noise.reference_us > 0);
  CHECK(noise.drift >= 0);
}

TEST_CASE("models that are no random networks") {
  NetworkMeasurer measurer(quick());
  std::vector<NetworkSample> all;
  Warnings warnings;
  measurer.measure(
      models({kGraph}),
      [&](std::span<const NetworkSample> samples) {
        all.insert(all.end(), samples.begin(), samples.end());
      },
      warnings);
  REQUIRE(all.size() + warnings.lines.size() == 1);
  if (!all.empty()) {
    CHECK(all[0].name == "model 0");
    REQUIRE(all[0].kernels.size() == 2);
    CHECK(all[0].kernels[0].kernel.kind == "matmul");
    CHECK(all[0].kernels[1].kernel.kind == "softmax");
  }
}

TEST_CASE("a network that the runtime refuses is left out, loudly") {
  NetworkMeasurer measurer(quick());
  Warnings warnings;
  size_t tried = measurer.measure(
      models({R"(graph main {
        input %x: float[2]
        %y: float[2] = NoSuchOperator(%x)
        output %y
      })"}),
      [](std::span<const NetworkSample>) { FAIL("nothing was measured"); },
      warnings);
  CHECK(tried == 1);
  REQUIRE(warnings.lines.size() == 1);
  CHECK(warnings.lines[0].starts_with(
      "left out of the measurements: model 0: the runtime refuses this "
      "model: "));
  CHECK(measurer.left_out().count("model 0") == 1);
}

TEST_CASE("a spent budget starts nothing") {
  MeasureOptions options = quick();
  options.budget_s = 0;
  NetworkMeasurer measurer(options);
  std::vector<NetworkSpec> specs = first_plan(3, 1);
  CHECK(measurer.measure(specs, [](std::span<const NetworkSample>) {
    FAIL("nothing was measured");
  }) == 0);
}

TEST_CASE("a cancelled measurement ends as interrupted") {
  NetworkMeasurer measurer(quick());
  CancelToken cancel;
  std::vector<NetworkSpec> specs = first_plan(6, 1);
  int groups = 0;
  std::string error = error_of([&] {
    measurer.measure(
        specs,
        [&](std::span<const NetworkSample>) {
          ++groups;
          cancel.cancel();
        },
        silent_progress(), &cancel);
  });
  CHECK(groups == 1);
  CHECK(error.starts_with("interrupted: "));
}

TEST_CASE("a preview names the kernels without timing them") {
  std::vector<KernelDescriptor> kernels =
      preview({"tiny", 5, Precision::kFp32}, 1);
  CHECK(kernels.size() > 1);
  for (const KernelDescriptor& kernel : kernels) CHECK(!kernel.kind.empty());
}

}  // namespace
}  // namespace lathe::latency
