#include <cmath>

#include "calibration/ranges/collector.h"
#include "calibration/ranges/observer.h"
#include "tests/calibration/fixtures.h"

namespace lathe::ranges {
namespace {

using test::error_of;
using test::MemorySource;
using test::model_of;

ActivationRanges collect(const ir::Model& model, BatchSource& data,
                         const std::vector<std::string>& values,
                         const ObserverOptions& options, int jobs = 1) {
  return make_range_collector(options, data, /*samples=*/0, jobs)
      ->collect(model, values, silent_progress(), nullptr);
}

const char* const kConv = R"(graph main {
  input %x: float[N,3,8,8]
  init %w = float[2,3,1,1] {0.5, -1, 2, 1, 1, -0.25}
  %c: float[N,2,8,8] = Conv(%x, %w)
  %r: float[N,2,8,8] = Relu(%c)
  %s: float[N,2,8,8] = Sigmoid(%c)
  output %r
})";

const char* const kDouble = R"(graph main {
  input %x: float[N,4]
  init %two = float[] {2}
  %y: float[N,4] = Mul(%x, %two)
  output %y
})";

TEST_CASE("every observer: jobs do not change the result") {
  const ir::Model model = model_of(kConv);
  MemorySource data({3, 8, 8}, test::random_samples(61, 3 * 8 * 8, 3));
  const std::vector<std::string> values = {"x", "c", "r", "s", "w"};
  const ActivationRanges extremes =
      collect(model, data, values, {.name = "min_max"});
  for (const std::string& name : observer_names()) {
    CAPTURE(name);
    const ObserverOptions options{.name = name, .percentile = 99};
    const ActivationRanges one = collect(model, data, values, options, 1);
    const ActivationRanges four = collect(model, data, values, options, 4);
    for (const std::string& value : values) {
      CAPTURE(value);
      CHECK(one.at(value) == four.at(value));
      CHECK(one.at(value).min >= std::min(0.0f, extremes.at(value).min));
      CHECK(one.at(value).max <= extremes.at(value).max);
      CHECK(one.at(value).max > 0.2f * extremes.at(value).max);
    }
    CHECK(one.at("r").min == 0);
    CHECK((one.at("x").max < extremes.at("x").max) == (name != "min_max"));
  }
}

TEST_CASE("the observer given goes before the collector's own") {
  MemorySource data({4}, {{1, 2, 3, -4}, {5, -6, 7, 8}});
  const auto collector = make_range_collector({}, data, 0, 1);
  const ir::Model model = model_of(kDouble);
  const auto ranges = [&](const ObserverOptions& options) {
    return collector->collect(model, {"y"}, options, silent_progress(),
                              nullptr)["y"];
  };
  CHECK(ranges({.name = "min_max"}) == Range{-12, 16});
  const Range average = ranges({.name = "moving_average"});
  CHECK(average.min == doctest::Approx(-(0.99 * 8 + 12) / 1.99));
  CHECK(average.max == doctest::Approx((0.99 * 6 + 16) / 1.99));
  CHECK(collector->collect(model, {"y"}, silent_progress(), nullptr)["y"] ==
        ranges({}));
}

TEST_CASE("samples that fill a batch up are not counted") {
  std::string fixed = kDouble;
  for (size_t at; (at = fixed.find("[N,4]")) != std::string::npos;)
    fixed.replace(at, 5, "[2,4]");
  // The last sample would be there twice.
  MemorySource data({4}, {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}});
  const ObserverOptions options{.name = "percentile", .percentile = 75};
  CHECK(collect(model_of(fixed), data, {"x", "y"}, options) ==
        collect(model_of(kDouble), data, {"x", "y"}, options));
}

TEST_CASE("what is not finite is left out by every observer and counted") {
  const ir::Model model = model_of(R"(graph main {
    input %x: float[N,3]
    %l: float[N,3] = Log(%x)
    output %l
  })");
  MemorySource data({3}, {{1, 0, -1}, {-1, std::exp(1.0f), 1}, {1, 1, 2}});
  for (const std::string& name : observer_names()) {
    CAPTURE(name);
    const auto collector = make_range_collector({.name = name}, data, 0, 2);
    const Range range =
        collector->collect(model, {"l", "x"}, silent_progress(), nullptr)["l"];
    CHECK(range.min == 0);
    CHECK(range.max <= doctest::Approx(1));
    CHECK(range.max > 0.2);
    CHECK(collector->not_finite() ==
          std::unordered_map<std::string, uint64_t>{{"l", 3}});
    collector->collect(model, {"x"}, silent_progress(), nullptr);
    CHECK(collector->not_finite().empty());
  }
  MemorySource none({3}, {{-1, 0, -1}});
  CHECK(error_of([&] { collect(model, none, {"l"}, {.name = "mse"}); }) ==
        "input: value 'l': it is never finite over the calibration data "
        "(check the preprocessing of the data and the model's weights)");
}

TEST_CASE("options that name nothing") {
  MemorySource data({4}, {{1, 2, 3, 4}});
  const ir::Model model = model_of(kDouble);
  const std::string unknown =
      "usage: observer 'min-max': there is none of this name; did you mean "
      "'min_max'? (the observers are min_max, moving_average, percentile, "
      "entropy, mse)";
  CHECK(error_of([&] { collect(model, data, {"y"}, {.name = "min-max"}); }) ==
        unknown);
  const auto collector = make_range_collector({}, data, 0, 1);
  CHECK(error_of([&] {
          collector->collect(model, {"y"}, {.name = "min-max"},
                             silent_progress(), nullptr);
        }) == unknown);
  for (const auto& [percentile, text] :
       {std::pair{50.0, "50"}, {100.5, "100.5"}, {std::nan(""), "nan"}})
    CHECK(error_of([&] {
            make_range_collector({.percentile = percentile}, data, 0, 1);
          }) == std::string("usage: observer: percentile is ") + text +
                    ", expected more than 50 and at most 100");
  CHECK(data.reads == 0);
}

TEST_CASE("half precision is observed as float") {
  const ir::Model model = model_of(R"(graph main {
    input %x: float[N,4]
    %h: float16[N,4] = Cast(%x) {to = 10}
    %y: float16[N,4] = Neg(%h)
    output %y
  })");
  MemorySource data({4}, {{1, 2, 3, -4}, {0.5f, 6, 7, 8}});
  CHECK(collect(model, data, {"y"}, {.name = "min_max"})["y"] == Range{-8, 4});
  CHECK(collect(model, data, {"y"},
                {.name = "percentile", .percentile = 100})["y"] ==
        Range{-8, 4});
}

TEST_CASE("channels of the first and of the last axis") {
  const ir::Model model = model_of(R"(graph main {
    input %x: float[N,2,3]
    init %w = float[2,2] {1, 2, 3, 4}
    %l: float[N,2,3] = Log(%x)
    output %l
  })");
  MemorySource data({2, 3}, {{1, 2, 3, 4, 5, 6}, {-1, 0, 7, -8, 9, -1}});
  const auto collector = make_range_collector({}, data, 0, 2);
  const auto channels = [&](std::vector<ChannelRequest> requests) {
    return collector->collect_channels(model, requests, silent_progress(),
                                       nullptr);
  };
  const ChannelRanges first = channels({{"x", 1}, {"l", -1}, {"w", 0}});
  CHECK(first.size() == 3);
  CHECK(first.at("x") == std::vector<Range>{{-1, 7}, {-8, 9}});
  CHECK(first.at("w") == std::vector<Range>{{1, 2}, {3, 4}});
  CHECK(first.at("l")[0].max == doctest::Approx(std::log(4.0)));
  CHECK(first.at("l")[1].min == doctest::Approx(std::log(2.0)));
  CHECK(channels({{"x", 0}}).at("x") == std::vector<Range>{{-8, 9}});
  CHECK(channels({{"x", -1}}).at("x") ==
        std::vector<Range>{{-8, 4}, {0, 9}, {-1, 7}});
  CHECK(error_of([&] {
          channels({{"x", 3}});
        }) == "input: value 'x': it has rank 3 and so no axis 3");
  CHECK(error_of([&] {
          channels({{"x", -4}});
        }) == "input: value 'x': it has rank 3 and so no axis -4");
  CHECK(error_of([&] {
          channels({{"y", 1}});
        }) == "input: value 'y': the model has no such value");
}

// Notes in what order it was to be read.
class NotingSource final : public BatchSource {
 public:
  explicit NotingSource(BatchSource& source) : source_(source) {}
  int64_t size() const override { return source_.size(); }
  bool has_labels() const override { return source_.has_labels(); }
  bool is_synthetic() const override { return source_.is_synthetic(); }
  std::string description() const override { return source_.description(); }
  std::unique_ptr<BatchReader> read(const ReadOptions& options) override {
    shuffle_seed = options.shuffle_seed;
    return source_.read(options);
  }
  std::optional<int64_t> shuffle_seed;

 private:
  BatchSource& source_;
};

TEST_CASE("channels of some of the samples, in a shuffled order") {
  const ir::Model model = model_of(R"(graph main {
    input %x: float[N,2]
    %y: float[N,2] = Neg(%x)
    output %y
  })");
  MemorySource memory({2}, {{1, 10}, {2, 20}, {3, 30}, {4, 40}, {5, 50}});
  NotingSource data(memory);
  const auto widest = [&](int64_t limit, int64_t samples) {
    const auto collector = make_range_collector({}, data, limit, 2);
    return collector
        ->collect_channels(model, {{"x", 1}}, silent_progress(), nullptr,
                           samples)
        .at("x");
  };
  for (const int64_t all : {0, 5, 99}) {
    CHECK(widest(0, all) == std::vector<Range>{{1, 5}, {10, 50}});
    CHECK(!data.shuffle_seed);
  }
  CHECK(widest(3, 4) == std::vector<Range>{{1, 3}, {10, 30}});
  CHECK(widest(0, 2) == std::vector<Range>{{1, 2}, {10, 20}});
  CHECK(data.shuffle_seed == 0);
}

}  // namespace
}  // namespace lathe::ranges
