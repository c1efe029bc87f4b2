// A run of several ranks beside a run of one process.
#include <fstream>

#include "passes/base/error.h"
#include "recipes/shared_meter.h"
#include "tests/recipes/error_text.h"
#include "tests/recipes/run_fixture.h"
#include "tests/support/memory_ranks.h"

namespace lathe::recipes {
namespace {

using test::files_below;
using Fixture = test::RunFixture;

struct FailingMeter final : LatencyMeter {
  std::vector<MeasuredLatency> measure(
      const std::vector<std::filesystem::path>&) override {
    throw Error(ErrorKind::kInput, "a model", "it does not run", "look at it");
  }
};

// What does not depend on the clock.
Json figures(Json report) {
  for (Json& stage : report["stages"]) stage.erase("seconds");
  return report;
}

TEST_CASE_FIXTURE(Fixture, "run: ranks make what one process makes") {
  const Json alone = figures(to_json(run().report));
  const std::set<std::string> files = files_below(options.out_dir);
  const std::string variant = "variants/tiny-int8.onnx";
  const std::string bytes = read_file(options.out_dir / variant);
  std::filesystem::remove_all(options.out_dir);

  std::vector<Json> reports(2);
  std::vector<int> codes(2);
  test::with_memory_ranks(2, [&](Ranks& ranks) {
    const auto rank = static_cast<size_t>(ranks.rank());
    RunOptions mine = options;
    FailingMeter none;
    mine.ranks = &ranks;
    if (rank > 0) mine.meter = &none;
    const RunOutcome outcome = recipes::run(recipe(), mine);
    reports[rank] = figures(to_json(outcome.report));
    codes[rank] = outcome.exit_code;
  });
  CHECK(codes == std::vector<int>{0, 0});
  CHECK(files_below(options.out_dir) == files);
  CHECK(read_file(options.out_dir / variant) == bytes);
  CHECK(reports[0]["variants"] == reports[1]["variants"]);
  CHECK(reports[0]["stages"] == reports[1]["stages"]);
  REQUIRE(reports[0]["stages"].size() == alone["stages"].size());
  const Json &one = alone["stages"].back()["score"],
             &two = reports[0]["stages"].back()["score"];
  CHECK(one["top1"] == two["top1"]);
  CHECK(one["measured_latency_us"] == two["measured_latency_us"]);
}

TEST_CASE("an error of the rank that measures is everybody's") {
  test::with_memory_ranks(3, [&](Ranks& ranks) {
    FailingMeter failing;
    SharedMeter meter(failing, ranks);
    CHECK(test::error_text([&] { meter.measure({"m.onnx"}); }) ==
          "a model: it does not run (look at it)");
  });
}

}  // namespace
}  // namespace lathe::recipes
