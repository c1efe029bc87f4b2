// prune_channels with a device whose latencies are known.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/json.h"
#include "passes/ir/shape_inference.h"
#include "passes/prune/prune.h"
#include "tests/passes/prune/stair_latency.h"
#include "tests/zoo/net_builder.h"

namespace lathe {
namespace {

ir::Model chain() {
  zoo::NetBuilder net("chain", 1);
  zoo::NetBuilder::Value* x = net.conv(net.image(8), 32, 3, 1, zoo::Act::kRelu);
  x = net.conv(x, 48, 3, 1, zoo::Act::kRelu);
  x = net.conv(x, 32, 3, 1, zoo::Act::kRelu);
  return net.finish(net.classifier(x, 5));
}

constexpr const char* kCoded = "coded";

// A coded model takes a third, but never less than 40 us.
class CodedLatency final : public test::StairLatency {
 public:
  GraphEstimate estimate(const ir::Model& model) const override {
    const double plain = StairLatency::estimate(model).latency.p50_us;
    const double us = model.producer_name == kCoded ? 40 + plain / 3 : plain;
    GraphEstimate result;
    result.latency = {0.9 * us, us, 1.1 * us};
    return result;
  }
};

prune::PricedForm coded_form() {
  return {kCoded, [](const ir::Model& model, const PassContext&) {
            ir::Model coded = ir::clone(model);
            coded.producer_name = kCoded;
            return coded;
          }};
}

struct Fixture {
  ir::Model model = chain();
  CodedLatency latency;
  prune::PruneOptions options;
  PassResult result;

  Fixture() {
    ir::infer_shapes(model);
    options.repair = false;
    options.form = coded_form();
  }
  double plain_us() const { return latency.estimate(model).latency.p50_us; }
  double coded_us() const {
    return latency.estimate(options.form.make(model, {})).latency.p50_us;
  }
  void limit(double us) {
    options.latency_limit_us = [us](double) { return us; };
  }
  Json prune() {
    PassContext context;
    context.latency = &latency;
    result = prune::make_prune_channels(options)->run(model, context);
    ir::infer_shapes(model);
    return Json::parse(result.plan)["prediction"];
  }
};

TEST_CASE_FIXTURE(Fixture, "prune_channels: the form's latency is the limit") {
  const double dense_us = plain_us();
  const double limit_us = 0.6 * coded_us();
  limit(limit_us);
  const Json prediction = prune();
  CHECK(result.changes > 0);
  CHECK(coded_us() <= limit_us);
  CHECK(coded_us() > 0.9 * limit_us);
  CHECK(prediction["target_us"] == limit_us);
  CHECK(prediction["dense_latency_us"]["p50"] == dense_us);
  CHECK(prediction["latency_us"]["p50"].get<double>() ==
        doctest::Approx(plain_us()));
  CHECK(prediction["coded_latency_us"]["p50"].get<double>() ==
        doctest::Approx(coded_us()));
}

TEST_CASE_FIXTURE(Fixture, "prune_channels: steps to the form's latency") {
  const double limit_us = 0.6 * coded_us();
  limit(limit_us);
  options.iterations = 3;
  prune();
  CHECK(coded_us() <= limit_us);
  CHECK(coded_us() > 0.9 * limit_us);
}

TEST_CASE_FIXTURE(
    Fixture, "prune_channels: nothing goes where the form is fast enough") {
  const double dense_us = plain_us();
  // Relative to the model itself.
  options.latency_limit_us = [&](double us) {
    CHECK(us == dense_us);
    return 0.6 * us;
  };
  REQUIRE(coded_us() < 0.6 * dense_us);
  prune();
  CHECK(result.changes == 0);
  CHECK(plain_us() == dense_us);
  options.form = {};
  const Json prediction = prune();
  CHECK(plain_us() <= 0.6 * dense_us);
  CHECK_FALSE(prediction.contains("coded_latency_us"));
}

TEST_CASE_FIXTURE(Fixture, "prune_channels: a form that cannot be so fast") {
  limit(39);
  const std::string message = [&] {
    try {
      prune();
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUnsupported);
      CHECK(error.where() == "prune_channels");
      return error.message();
    }
    return std::string();
  }();
  CHECK(
      message.starts_with("a latency of 39.0 us as coded cannot be reached: "));
  CHECK(message.find(" us is the least that was found, from ") != message.npos);
  CHECK(message.find("; by the median of the model as it is, a latency of ") !=
        message.npos);
}

TEST_CASE_FIXTURE(Fixture, "prune_channels: the limit of a percentile") {
  options.form = {};
  options.confidence = 0.95;
  const double dense_us = plain_us(), limit_us = 0.5 * dense_us;
  limit(limit_us);
  prune();
  CHECK(1.1 * plain_us() <= limit_us);
  CHECK(1.1 * plain_us() > 0.9 * limit_us);
  // A share is one of the same percentile.
  Fixture relative;
  relative.options.form = {};
  relative.options.confidence = 0.95;
  relative.options.latency_limit_us = [&](double us) {
    CHECK(us == doctest::Approx(1.1 * dense_us));
    return 0.5 * us;
  };
  relative.prune();
  CHECK(relative.plain_us() <= 0.5 * dense_us);
  CHECK(relative.plain_us() > 0.9 * 0.5 * dense_us);
}

}  // namespace
}  // namespace lathe
