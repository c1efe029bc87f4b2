#include "calibration/latency/estimator/kernel_predictor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "passes/base/error.h"
#include "tests/calibration/estimator/made_up_device.h"

namespace lathe::latency {
namespace {

const Measurements& measurements() {
  static const Measurements m = made_up_measurements();
  return m;
}

const KernelPredictor& fitted() {
  static const auto predictor = fit_kernel_predictor(measurements(), 1);
  return *predictor;
}

std::unique_ptr<KernelPredictor> reread(const KernelPredictor& predictor) {
  return kernel_predictor_from_json(
      JsonText::parse(predictor.to_json().dump(), "p.json"), "");
}

std::vector<KernelPrediction> predict_all(
    const KernelPredictor& predictor,
    const std::vector<KernelDescriptor>& kernels) {
  std::vector<KernelPrediction> predictions;
  for (const KernelDescriptor& k : kernels)
    predictions.push_back(predictor.predict(k));
  return predictions;
}

std::vector<KernelDescriptor> network_of(uint64_t seed, Precision precision) {
  Random random(seed);
  std::vector<KernelDescriptor> kernels;
  int64_t weights = 0;
  for (const char* kind : {"conv2d", "depthwise_conv2d", "conv2d", "add",
                           "conv2d", "sigmoid", "gemm", "conv2d"}) {
    kernels.push_back(made_up_kernel(random, kind, precision));
    weights += kernels.back().bytes_weights;
  }
  for (KernelDescriptor& k : kernels) k.working_set = weights;
  return kernels;
}

void check_same(const KernelPrediction& a, const KernelPrediction& b) {
  CHECK(a.mean_log_us == b.mean_log_us);
  CHECK(a.sd_log == b.sd_log);
  CHECK(a.seen == b.seen);
}

TEST_CASE("kernels of a made-up device are found again") {
  Random random(99);
  for (const char* kind :
       {"conv2d", "depthwise_conv2d", "gemm", "add", "sigmoid"}) {
    CAPTURE(kind);
    double error = 0, inside = 0;
    constexpr int kCount = 60;
    for (int i = 0; i < kCount; ++i) {
      KernelDescriptor k = made_up_kernel(
          random, kind, i % 2 ? Precision::kInt8 : Precision::kFp32);
      k.working_set = 3 << 20;
      KernelPrediction p = fitted().predict(k);
      double off = p.mean_log_us - std::log(made_up_time(k));
      error += std::abs(off);
      inside += std::abs(off) <= 2 * p.sd_log + 0.01;
      CHECK(p.seen);
    }
    CHECK(error / kCount < 0.05);
    CHECK(inside / kCount > 0.7);
  }
}

TEST_CASE("networks of a made-up device are found again") {
  for (Precision precision : {Precision::kFp32, Precision::kInt8}) {
    int inside = 0;
    for (uint64_t seed = 100; seed < 130; ++seed) {
      CAPTURE(seed);
      auto kernels = network_of(seed, precision);
      NetworkPrediction p = fitted().network(predict_all(fitted(), kernels));
      double total = made_up_total(kernels);
      CHECK(std::abs(p.p50_us / total - 1) < 0.08);
      CHECK(p.p5_us < p.p50_us);
      CHECK(p.p50_us < p.p95_us);
      inside += total >= p.p5_us && total <= p.p95_us;
    }
    CHECK(inside >= 20);
  }
}

TEST_CASE("the error is measured on networks that were held out") {
  const ValidationError& v = fitted().validation();
  CHECK(v.networks == 80);
  CHECK(v.mape < 0.02);
  CHECK(v.rmspe >= v.mape);
  CHECK(v.within_5 > 0.95);
  CHECK(v.within_10 >= v.within_5);
  CHECK(v.coverage >= 0.8);
  CHECK(v.coverage <= 1);

  // Times that have nothing to do with the kernels cannot be predicted, and
  // an error that is measured on what was fitted would not show it.
  Measurements noise = made_up_measurements({.networks = 12, .noise = 1.0});
  CHECK(fit_kernel_predictor(noise, 1)->validation().mape > 0.1);
}

TEST_CASE("without folds there is a fit and no error of it") {
  auto quick = fit_kernel_predictor(measurements(), 1, 0);
  CHECK(quick->validation().networks == 0);
  auto kernels = network_of(7, Precision::kFp32);
  double total = made_up_total(kernels);
  double p50 = quick->network(predict_all(*quick, kernels)).p50_us;
  CHECK(std::abs(p50 / total - 1) < 0.08);
}

TEST_CASE("uncertainty grows away from what was measured") {
  Random random(3);
  KernelDescriptor k = made_up_kernel(random, "conv2d", Precision::kFp32);
  k = measurements().networks[0].kernels[0].kernel;
  for (const KernelSample& sample : measurements().networks[0].kernels)
    if (sample.kernel.kind == "conv2d") k = sample.kernel;
  REQUIRE(k.kind == "conv2d");
  KernelDescriptor far = k;
  far.kernel_height = far.kernel_width = 15;
  far.stride_height = far.stride_width = 4;
  far.in_channels = 4096;
  far.dilation_height = far.dilation_width = 3;
  CHECK(fitted().predict(far).sd_log > 1.5 * fitted().predict(k).sd_log);
}

TEST_CASE("a kind that was not measured is priced by bytes and operations") {
  KernelDescriptor k;
  k.kind = "com.example.Mystery";
  k.bytes_in = k.bytes_out = 100000;
  k.elements = 25000;
  double last = 0;
  for (int i = 0; i < 6; ++i) {
    KernelPrediction p = fitted().predict(k);
    CHECK_FALSE(p.seen);
    CHECK(p.sd_log >= 0.7);
    CHECK(std::exp(p.mean_log_us) > last);
    last = std::exp(p.mean_log_us);
    k.bytes_in *= 3;
    k.bytes_out *= 3;
    k.elements *= 3;
    k.flops = k.flops * 3 + 1000;
  }
  // A known family's other member.
  k.kind = "tan";
  CHECK_FALSE(fitted().predict(k).seen);
  // An empty one still takes a time.
  KernelDescriptor nothing;
  nothing.kind = "com.example.Nothing";
  CHECK(std::isfinite(fitted().predict(nothing).mean_log_us));
  CHECK(fitted().coverage().at("conv2d") > 100);
  CHECK_FALSE(fitted().coverage().contains("tan"));
}

TEST_CASE("a kind that was measured in another layout is close, with doubt") {
  Random random(12);
  KernelDescriptor k = made_up_kernel(random, "add", Precision::kFp32);
  KernelPrediction here = fitted().predict(k);
  k.layout = Layout::kInterleaved;
  KernelPrediction there = fitted().predict(k);
  CHECK(there.seen);
  CHECK(there.mean_log_us == doctest::Approx(here.mean_log_us).epsilon(0.05));
  CHECK(there.sd_log >= 0.35);
}

TEST_CASE("unseen kernels widen the network's interval") {
  auto predictions = predict_all(fitted(), network_of(5, Precision::kFp32));
  NetworkPrediction before = fitted().network(predictions);
  for (KernelPrediction& p : predictions) {
    p.seen = false;
    p.sd_log = 0.7;
  }
  NetworkPrediction after = fitted().network(predictions);
  CHECK(after.p50_us == before.p50_us);
  CHECK(after.p95_us / after.p5_us > 2 * before.p95_us / before.p5_us);
  CHECK(fitted().network({}).p95_us == 0);
}

TEST_CASE("what was saved predicts the same") {
  auto again = reread(fitted());
  CHECK(again->to_json().dump() == fitted().to_json().dump());
  CHECK(again->coverage() == fitted().coverage());
  CHECK(again->validation().mape == fitted().validation().mape);
  std::vector<KernelPrediction> predictions;
  for (const NetworkSample& network : measurements().networks)
    for (const KernelSample& sample : network.kernels) {
      predictions.push_back(fitted().predict(sample.kernel));
      check_same(again->predict(sample.kernel), predictions.back());
    }
  NetworkPrediction a = fitted().network(predictions),
                    b = again->network(predictions);
  CHECK(a.p5_us == b.p5_us);
  CHECK(a.p50_us == b.p50_us);
  CHECK(a.p95_us == b.p95_us);
  CHECK(fitted().to_json().dump().size() < 1500000);
}

TEST_CASE("it is found inside a larger document") {
  Json outer = {{"predictors", {{"1", fitted().to_json()}}}};
  JsonText text = JsonText::parse(outer.dump(), "p.json");
  auto inner = kernel_predictor_from_json(text, "/predictors/1");
  CHECK(inner->to_json() == fitted().to_json());
}

TEST_CASE("the same measurements give the same bytes") {
  Measurements few = made_up_measurements({.networks = 12});
  CHECK(fit_kernel_predictor(few, 1)->to_json().dump() ==
        fit_kernel_predictor(few, 1)->to_json().dump());
}

TEST_CASE("threads predict alike") {
  std::vector<KernelDescriptor> kernels;
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (const KernelDescriptor& k : network_of(seed, Precision::kInt8))
      kernels.push_back(k);
  auto expected = predict_all(fitted(), kernels);
  std::vector<std::vector<KernelPrediction>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results)
    threads.emplace_back([&] { result = predict_all(fitted(), kernels); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results)
    for (size_t i = 0; i < kernels.size(); ++i)
      check_same(result[i], expected[i]);
}

TEST_CASE("too few networks are an error") {
  Measurements few = made_up_measurements({.networks = 3});
  CHECK_THROWS_WITH_AS(
      fit_kernel_predictor(few, 1),
      "there are measurements of 3 different networks with 1 thread, and "
      "fitting needs at least 4 (measure for longer)",
      Error);
  CHECK_THROWS_WITH_AS(
      fit_kernel_predictor(measurements(), 2),
      "there are measurements of 0 different networks with 2 threads, and "
      "fitting needs at least 4 (measure for longer)",
      Error);
}

TEST_CASE("few networks, strange times and empty samples still fit") {
  Measurements m = made_up_measurements({.networks = 4});
  m.networks[0].kernels[0].times_us = {0, 0, 0};
  m.networks[1].kernels[0].times_us = {};
  m.networks[2].kernels[0].times_us = {1e9f};
  m.networks[3].totals_us = {};
  m.networks[4].kernels.clear();
  auto predictor = fit_kernel_predictor(m, 1);
  for (const KernelSample& sample : m.networks[0].kernels)
    CHECK(std::isfinite(predictor->predict(sample.kernel).mean_log_us));
  CHECK(predictor->to_json() == reread(*predictor)->to_json());
}

}  // namespace
}  // namespace lathe::latency
