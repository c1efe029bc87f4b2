// Several ranks beside one process with all samples.
#include "passes/ranks.h"

#include <cmath>

#include "calibration/accuracy/accuracy.h"
#include "calibration/ranges/collector.h"
#include "calibration/ranges/observer.h"
#include "tests/calibration/fixtures.h"
#include "tests/support/memory_ranks.h"

namespace lathe {
namespace {

using test::MemorySource;
using test::model_of;

const char* const kModel = R"(graph main {
  input %x: float[N,6]
  init %w = float[6] {0.5, -1, 2, 1, 1, -0.25}
  %y: float[N,6] = Mul(%x, %w)
  %r: float[N,6] = Relu(%y)
  output %r
})";

const char* const kReference = R"(graph main {
  input %x: float[N,6]
  output %x
})";

TEST_CASE("shards hold every sample once") {
  for (int64_t ranks : {1, 2, 3, 7})
    for (int64_t samples : {0, 1, 2, 6, 7, 8, 22}) {
      int64_t all = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        int64_t counted = 0;
        for (int64_t i = rank; i < samples; i += ranks) ++counted;
        CHECK(shard_size(samples, rank, ranks) == counted);
        all += counted;
      }
      CHECK(all == samples);
    }
}

void check_near(const std::optional<double>& a,
                const std::optional<double>& b) {
  REQUIRE(a.has_value() == b.has_value());
  if (a) CHECK(*a == doctest::Approx(*b).epsilon(1e-12));
}

// The figures of `ranks` ranks, each of which reads its own samples.
void check_accuracy(int64_t ranks, int64_t samples, int64_t limit) {
  CAPTURE(ranks);
  CAPTURE(samples);
  const ir::Model model = model_of(kModel), reference = model_of(kReference);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < samples; ++i) labels.push_back(i * 5 % 6);
  const auto values = test::random_samples(samples, 6, 5);
  const auto run = [&](Ranks* shared) {
    MemorySource data({6}, values, labels);
    accuracy::EvaluateOptions options;
    options.samples = limit;
    options.jobs = 1;
    options.ranks = shared;
    return accuracy::evaluate(model, &reference, data, options,
                              silent_progress(), nullptr);
  };
  const Accuracy one = run(nullptr);
  std::vector<Accuracy> all(static_cast<size_t>(ranks));
  test::with_memory_ranks(ranks, [&](Ranks& here) {
    all[static_cast<size_t>(here.rank())] = run(&here);
  });
  for (const Accuracy& each : all) {
    CHECK(each.samples == one.samples);
    check_near(each.top1, one.top1);
    check_near(each.top5, one.top5);
    check_near(each.agreement, one.agreement);
    REQUIRE(each.outputs.size() == 1);
    check_near(each.outputs[0].sqnr_db, one.outputs[0].sqnr_db);
    check_near(each.outputs[0].cosine, one.outputs[0].cosine);
    CHECK(each.outputs[0].max_abs_diff == one.outputs[0].max_abs_diff);
    CHECK(each.outputs[0].sqnr_db == all[0].outputs[0].sqnr_db);
  }
}

TEST_CASE("ranks have the figures of all samples") {
  check_accuracy(2, 21, 0);
  check_accuracy(3, 21, 10);
}

TEST_CASE("more ranks than samples") { check_accuracy(3, 2, 0); }

TEST_CASE("every observer: ranks have the ranges over all samples") {
  const ir::Model model = model_of(kModel);
  auto samples = test::random_samples(23, 6, 7);
  // Each rank's histogram begins with a width of its own.
  for (float& value : samples[1]) value *= 300;
  samples[4][2] = std::nanf("");
  const std::vector<std::string> values = {"x", "y", "r", "w"};
  for (const std::string& name : ranges::observer_names()) {
    CAPTURE(name);
    const auto run = [&](Ranks* shared) {
      MemorySource data({6}, samples);
      const auto collector = ranges::make_range_collector(
          {.name = name, .percentile = 99}, data, 0, 1, shared);
      auto found =
          collector->collect(model, values, silent_progress(), nullptr);
      return std::pair(found, collector->not_finite());
    };
    const auto one = run(nullptr);
    for (int64_t ranks : {2, 3}) {
      std::vector<decltype(run(nullptr))> all(static_cast<size_t>(ranks));
      test::with_memory_ranks(ranks, [&](Ranks& here) {
        all[static_cast<size_t>(here.rank())] = run(&here);
      });
      for (const auto& each : all) {
        CHECK(each == all[0]);
        CHECK(each.second == one.second);
        REQUIRE(each.first.size() == values.size());
        if (name != "moving_average") CHECK(each.first == one.first);
        for (const std::string& value : values) {
          const Range got = each.first.at(value), wanted = one.first.at(value);
          CHECK(got.min == doctest::Approx(wanted.min).epsilon(1e-6));
          CHECK(got.max == doctest::Approx(wanted.max).epsilon(1e-6));
        }
      }
    }
  }
}

TEST_CASE("ranks have every channel's range over all samples") {
  const ir::Model model = model_of(kModel);
  const auto run = [&](Ranks* shared) {
    MemorySource data({6}, test::random_samples(7, 6, 2));
    return ranges::make_range_collector({}, data, 0, 1, shared)
        ->collect_channels(model, {{"y", 1}, {"w", 0}}, silent_progress(),
                           nullptr);
  };
  const ChannelRanges one = run(nullptr);
  test::with_memory_ranks(2, [&](Ranks& here) { CHECK(run(&here) == one); });
}

TEST_CASE("a value that is never finite fails on every rank") {
  const ir::Model model = model_of(kModel);
  test::with_memory_ranks(2, [&](Ranks& here) {
    MemorySource data({6}, {std::vector<float>(6, std::nanf(""))});
    CHECK(test::error_of([&] {
            ranges::make_range_collector({}, data, 0, 1, &here)
                ->collect(model, {"x"}, silent_progress(), nullptr);
          }) ==
          "input: value 'x': it is never finite over the calibration data "
          "(check the preprocessing of the data and the model's weights)");
  });
}

}  // namespace
}  // namespace lathe
