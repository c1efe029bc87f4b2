#include "calibration/latency/probe/profiler_cost.h"

#include <doctest/doctest.h>

#include <cmath>

#include "passes/base/random.h"

namespace lathe::latency {
namespace {

// Kernels with the given true times, profiled at `cost_us` a node.
ProfiledSample sample_of(const std::vector<double>& times, double cost_us,
                         double total_error = 0) {
  ProfiledSample profiled;
  double total = 0;
  for (double time : times) {
    auto seen = static_cast<float>(time + cost_us);
    profiled.sample.kernels.push_back({{}, {seen, seen, seen}});
    profiled.inputs.push_back(1);
    total += time;
  }
  auto measured = static_cast<float>(total * (1 + total_error));
  profiled.sample.totals_us = {measured, measured, measured};
  return profiled;
}

double sum_of(const NetworkSample& sample) {
  double sum = 0;
  for (const KernelSample& kernel : sample.kernels) sum += kernel.times_us[0];
  return sum;
}

TEST_CASE("nothing learnt, nothing known") {
  CHECK(ProfilerCost().usual_us() == 0);
}

TEST_CASE("a small network's kernels add up to its total") {
  ProfilerCost cost;
  ProfiledSample profiled = sample_of({2, 5, 1, 3}, 5);
  cost.learn(profiled);
  NetworkSample corrected = cost.corrected(profiled);
  CHECK(cost.usual_us() == doctest::Approx(5));
  CHECK(sum_of(corrected) == doctest::Approx(11).epsilon(0.01));
  CHECK(corrected.kernels[2].times_us[1] == doctest::Approx(1).epsilon(0.05));
}

TEST_CASE("a large network's noise does not make its cost") {
  ProfilerCost cost;
  for (int i = 0; i < 10; ++i) cost.learn(sample_of({2, 5, 1, 3}, 5));
  // Measured 2% too high: 10 ms over 4 nodes would be -45 us a node.
  ProfiledSample large = sample_of({2500, 2500, 2500, 2500}, 5, 0.02);
  cost.learn(large);
  NetworkSample corrected = cost.corrected(large);
  CHECK(cost.usual_us() == doctest::Approx(5));
  CHECK(corrected.kernels[0].times_us[0] ==
        doctest::Approx(2500).epsilon(0.001));
}

TEST_CASE("more inputs cost more") {
  ProfilerCost cost;
  ProfiledSample profiled = sample_of({20, 20}, 5);
  profiled.inputs = {1, 9};
  cost.learn(profiled);
  NetworkSample corrected = cost.corrected(profiled);
  CHECK(corrected.kernels[0].times_us[0] > 20.5f);
  CHECK(corrected.kernels[1].times_us[0] < 19.5f);
  CHECK(sum_of(corrected) == doctest::Approx(40).epsilon(0.01));
}

TEST_CASE("times stay above 0, and are never made longer") {
  Random random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> times;
    for (uint64_t i = 0; i <= random.below(20); ++i)
      times.push_back(std::exp(random.uniform(-2, 8)));
    ProfiledSample profiled =
        sample_of(times, random.uniform(0, 8), random.uniform(-0.3, 0.3));
    ProfilerCost cost;
    cost.learn(profiled);
    NetworkSample corrected = cost.corrected(profiled);
    for (size_t i = 0; i < times.size(); ++i) {
      CHECK(corrected.kernels[i].times_us[0] > 0);
      CHECK(corrected.kernels[i].times_us[0] <=
            profiled.sample.kernels[i].times_us[0] + 0.1f);
    }
  }
}

}  // namespace
}  // namespace lathe::latency
