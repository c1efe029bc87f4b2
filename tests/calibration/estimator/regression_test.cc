// The parts of a predictor, each against what it is known to find.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "calibration/latency/estimator/boosted_trees.h"
#include "calibration/latency/estimator/features.h"
#include "calibration/latency/estimator/fit_baseline.h"
#include "calibration/latency/estimator/fit_network.h"
#include "calibration/latency/estimator/fit_validation.h"
#include "calibration/latency/estimator/gaussian_process.h"
#include "passes/base/random.h"
#include "tests/calibration/estimator/made_up_device.h"

namespace lathe::latency {
namespace {

// y = sin(x0) + 0.3 x1 of three features, the last of no effect.
RegressionData waves(int points, double noise) {
  Random random(5);
  RegressionData data;
  data.features.resize(points, 3);
  data.target.resize(points);
  data.noise = Eigen::VectorXd::Ones(points);
  for (int i = 0; i < points; ++i) {
    for (int c = 0; c < 3; ++c) data.features(i, c) = random.uniform(-3, 3);
    data.target[i] = std::sin(data.features(i, 0)) + 0.3 * data.features(i, 1) +
                     noise * random.normal();
    data.group.push_back(i / 4);
  }
  return data;
}

double wave(const float* x) {
  return std::sin(static_cast<double>(x[0])) + 0.3 * static_cast<double>(x[1]);
}

TEST_CASE("a Gaussian process finds a smooth function") {
  GaussianProcess process = GaussianProcess::fit(waves(200, 0.02), {});
  Random random(6);
  for (int i = 0; i < 50; ++i) {
    float x[3];
    for (float& value : x)
      value = static_cast<float>(random.uniform(-2.5, 2.5));
    GaussianProcess::Prediction p = process.predict(x);
    CHECK(std::abs(p.mean - wave(x)) < 0.12);
  }
  CHECK(process.state().noise < 0.1);
  // The feature of no effect is stretched or dropped.
  const auto& inputs = process.state().inputs;
  CHECK(inputs[0] == 0);
  if (inputs.size() == 3)
    CHECK(process.state().length[2] > 3 * process.state().length[0]);
}

TEST_CASE("a Gaussian process doubts what is far from its points") {
  GaussianProcess process = GaussianProcess::fit(waves(200, 0.02), {});
  float near[3] = {0.5f, 0.5f, 0.5f}, far[3] = {30, 30, 30};
  CHECK(process.predict(far).variance > 10 * process.predict(near).variance);
  double amplitude = process.state().amplitude;
  CHECK(process.predict(far).variance <= amplitude * amplitude * 1.0001);
}

TEST_CASE("a Gaussian process lets go of points that the others contradict") {
  RegressionData data = waves(200, 0.02);
  for (int i = 0; i < 200; i += 40) data.target[i] += 3;
  GaussianProcess process = GaussianProcess::fit(data, {});
  for (int i = 0; i < 200; i += 40) {
    float x[3];
    for (int c = 0; c < 3; ++c) x[c] = static_cast<float>(data.features(i, c));
    CHECK(std::abs(process.predict(x).mean - wave(x)) < 1);
  }
}

TEST_CASE("boosted trees find steps") {
  Random random(8);
  RegressionData data;
  constexpr int kPoints = 400;
  data.features.resize(kPoints, 2);
  data.target.resize(kPoints);
  data.noise = Eigen::VectorXd::Ones(kPoints);
  auto steps = [](double a, double b) {
    return (a > 0.4 ? 1.0 : 0.0) + (b > 0.7 ? -0.5 : 0.0);
  };
  for (int i = 0; i < kPoints; ++i) {
    data.features(i, 0) = random.uniform();
    data.features(i, 1) = random.uniform();
    data.target[i] = steps(data.features(i, 0), data.features(i, 1));
    data.group.push_back(i);
  }
  BoostedTrees trees = BoostedTrees::fit(data, {}, 1);
  for (float a : {0.1f, 0.3f, 0.5f, 0.9f})
    for (float b : {0.2f, 0.6f, 0.8f, 0.95f}) {
      float x[2] = {a, b};
      CHECK(std::abs(trees.predict(x) - steps(static_cast<double>(a),
                                              static_cast<double>(b))) < 0.1);
    }
}

TEST_CASE("prices are found, are never negative and let outliers go") {
  Random random(9);
  std::vector<PricedPoint> points;
  for (int i = 0; i < 100; ++i) {
    PricedPoint point;
    point.terms[0] = 1;
    point.terms[1] = std::exp(random.uniform(8, 18));  // flops
    point.terms[3] = std::exp(random.uniform(6, 14));  // bytes read
    point.terms[4] = std::exp(random.uniform(6, 14));  // bytes written: free
    point.time_us = 2 + 2e-5 * point.terms[1] + 1e-4 * point.terms[3];
    if (i % 20 == 0) point.time_us *= 5;
    points.push_back(point);
  }
  Terms prices = fit_prices(points);
  CHECK(prices[0] == doctest::Approx(2).epsilon(0.1));
  CHECK(prices[1] == doctest::Approx(2e-5).epsilon(0.1));
  CHECK(prices[3] == doctest::Approx(1e-4).epsilon(0.15));
  for (double price : prices) CHECK(price >= 0);
  CHECK(priced(Terms{}, points[0].terms) == kLeastTime);
}

TEST_CASE("blocks of channels make stairs") {
  Random random(1);
  KernelDescriptor k = made_up_kernel(random, "conv2d", Precision::kFp32);
  k.in_channels = 64;
  auto flops = [&](int64_t out) {
    k.out_channels = out;
    return physical_terms(k, 16)[1];
  };
  CHECK(flops(33) == flops(48));
  CHECK(flops(49) > flops(48));
  k.layout = Layout::kPlain;
  CHECK(flops(33) < flops(48));
}

TEST_CASE("features have a name each, and cells one place") {
  std::set<std::string> names;
  for (const FeatureRow& row : kFeatureRows) names.insert(row.name);
  CHECK(names.size() == kFeatures);
  names.clear();
  for (const TermRow& row : kTermRows) names.insert(row.name);
  CHECK(names.size() == kTerms);
  KernelDescriptor k;
  k.kind = "conv2d";
  k.activation = "clip";
  k.reuse_distance = 3 * 4096;
  const Features features = kernel_features(k, 16);
  auto named = [&](std::string_view name) {
    for (size_t i = 0; i < kFeatures; ++i)
      if (name == kFeatureRows[i].name) return features[i];
    FAIL("no such feature");
    return 0.0f;
  };
  CHECK(named("clip") == 1);
  CHECK(named("relu") == 0);
  CHECK(named("reuse_distance") == doctest::Approx(std::log(4.0)));
  CHECK(named("traffic") == 0);
  k.layout = Layout::kBlocked;
  CHECK(cell_of(k) == "convolution/conv2d/fp32/blocked");
  k.kind = "relu";
  CHECK(cell_of(k) == "elementwise/fp32/blocked");
  k.kind = "gemm";
  CHECK(cell_of(k) == "product/unpacked/fp32/blocked");
  k.matrices = k.rows = 1;
  k.constant_b = true;
  k.layout = Layout::kPlain;
  CHECK(cell_of(k) == "product/packed/vector/fp32/plain");
  k.rows = 2;
  CHECK(cell_of(k) == "product/packed/fp32/plain");
  k.kind = "conv2d";
  k.batch = k.out_height = k.out_width = 1;
  CHECK(cell_of(k) == "convolution/conv2d/vector/fp32/plain");
  k.layout = Layout::kBlocked;
  k.rows = 0;
  CHECK(family_of("com.example.Mystery") == Family::kOther);
  k.kind = "transpose";
  k.elements = k.run = 64;
  CHECK(cell_of(k) == "movement/transpose/copied/fp32/blocked");
  k.run = 1;
  CHECK(cell_of(k) == "movement/transpose/permuted/fp32/blocked");
  k.rows = 8;
  CHECK(cell_of(k) == "movement/transpose/fp32/blocked");
}

TEST_CASE("channels that do not fill their block are computed all the same") {
  KernelDescriptor k;
  k.kind = "sigmoid";
  k.layout = Layout::kBlocked;
  k.elements = k.flops = 300;
  k.bytes_in = k.bytes_out = 1200;
  k.in_channels = k.out_channels = 12;
  const Terms narrow = physical_terms(k, 16);
  k.in_channels = k.out_channels = 16;
  k.elements = k.flops = 400;
  k.bytes_in = k.bytes_out = 1600;
  CHECK(narrow == physical_terms(k, 16));
}

TEST_CASE("planes whole pages apart are told from others") {
  KernelDescriptor k;
  k.kind = "reorder_output";
  auto alignment = [&](int64_t side) {
    k.out_height = k.out_width = side;
    for (size_t i = 0; i < kFeatures; ++i)
      if (std::string_view("out_alignment") == kFeatureRows[i].name)
        return kernel_features(k, 16)[i];
    FAIL("no such feature");
    return 0.0f;
  };
  CHECK(alignment(160) == 12);  // 25 pages
  CHECK(alignment(128) == 12);
  CHECK(alignment(56) == 8);
  CHECK(alignment(7) == 2);
  CHECK(alignment(0) == 0);
}

TEST_CASE("what waits in a cache costs less than what was evicted") {
  KernelDescriptor k;
  k.kind = "add";
  k.bytes_in = 4096;
  k.bytes_weights = 4096;
  auto term = [&](std::string_view name) {
    for (size_t i = 0; i < kTerms; ++i)
      if (name == kTermRows[i].name) return physical_terms(k, 16)[i];
    FAIL("no such term");
    return 0.0;
  };
  const double near = term("waiting_inputs");
  CHECK(near < 1);
  k.reuse_distance = 64 << 20;
  CHECK(term("waiting_inputs") > 4000);
  CHECK(term("waiting_weights") == 0);
  k.traffic = 4 << 20;
  CHECK(term("waiting_weights") > 3000);
  CHECK(term("far_weights") < 500);
  k.traffic = 64 << 20;
  CHECK(term("far_weights") > 3800);
}

TEST_CASE("short times are compared by difference, long ones by ratio") {
  for (double time : {0.1, 3.0, 500.0})
    CHECK(soft_exp(soft_log(time)) == doctest::Approx(time));
  CHECK(soft_log(0.4) - soft_log(0.2) < 0.07);
  CHECK(soft_log(4000) - soft_log(2000) ==
        doctest::Approx(std::log(2.0)).epsilon(0.01));
  CHECK(soft_exp(-5) == kLeastTime);
}

TEST_CASE("only undisturbed rounds count") {
  CHECK(middle_of({}) == 0);
  CHECK(middle_of({1000, 1010, 1500}) == doctest::Approx(1005));
  CHECK(middle_of({1500, 1000, 1500}) == doctest::Approx(1000));
}

TEST_CASE("networks beside a slow reference count for little") {
  std::vector<NetworkSample> networks(20);
  CHECK(noise_of(networks) == std::vector<double>(20, 1));
  for (NetworkSample& network : networks) network.reference_us = {350, 352};
  networks[3].reference_us = {410, 420};
  networks[4].reference_us.clear();  // not known
  const std::vector<double> noise = noise_of(networks);
  CHECK(noise[0] < 1.01);
  CHECK(noise[3] > 10 * kMostQuietNoise);
  CHECK(noise[4] == 1);
}

TEST_CASE("precisions of a network share a fold, sizes are spread") {
  CHECK(fold_key("residual-17-int8") == "residual-17");
  CHECK(fold_key("residual-17") == "residual-17");
  Measurements m = made_up_measurements({.networks = 20});
  std::vector<int> fold = assign_folds(m.networks, 5);
  std::vector<int> count(5);
  for (size_t i = 0; i < fold.size(); i += 2) {
    CHECK(fold[i] == fold[i + 1]);
    ++count[static_cast<size_t>(fold[i])];
  }
  for (int n : count) CHECK(n == 4);
}

TEST_CASE("the step to the network corrects scale, nodes and call") {
  Random random(4);
  std::vector<NetworkCase> cases;
  for (int i = 0; i < 60; ++i) {
    NetworkCase c;
    double sum = 0;
    for (uint64_t k = 0; k < 5 + random.below(40); ++k) {
      double time = std::exp(random.uniform(0, 6));
      sum += time;
      c.kernels.push_back({std::log(time), 0.05, true});
    }
    c.measured_us = 1.1 * sum - 0.3 * static_cast<double>(c.kernels.size()) + 6;
    c.measured_us *= std::exp(0.02 * random.normal());
    if (i == 7) c.measured_us *= 2;  // something else had the core
    cases.push_back(std::move(c));
  }
  NetworkModel model = fit_network_model(cases);
  CHECK(model.scale == doctest::Approx(1.1).epsilon(0.02));
  int inside = 0;
  for (const NetworkCase& c : cases) {
    NetworkPrediction p = model.predict(c.kernels);
    inside += c.measured_us >= p.p5_us && c.measured_us <= p.p95_us;
  }
  CHECK(inside >= 51);
  CHECK(inside <= 59);
}

}  // namespace
}  // namespace lathe::latency
