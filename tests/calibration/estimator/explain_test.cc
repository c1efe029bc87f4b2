#include "calibration/latency/estimator/explain.h"

#include <doctest/doctest.h>

#include <functional>

namespace lathe::latency {
namespace {

// A device made up for a test.
class MadeUp final : public LatencyModel {
 public:
  using Price = std::function<double(const KernelDescriptor&)>;
  explicit MadeUp(Price price) : price_(std::move(price)) {}
  GraphEstimate estimate(const ir::Model&) const override { return {}; }
  LatencyEstimate kernel(const KernelDescriptor& kernel) const override {
    const double us = price_(kernel);
    return {us, us, us};
  }
  std::string device() const override { return "made-up"; }
  bool calibrated() const override { return true; }

 private:
  Price price_;
};

KernelEstimate convolution(int64_t in, int64_t out) {
  KernelEstimate kernel;
  kernel.name = "conv_fused";
  kernel.kind = "conv2d";
  kernel.nodes = {"layer1"};
  KernelDescriptor& k = kernel.descriptor;
  k.kind = "conv2d";
  k.layout = Layout::kBlocked;
  k.group = 1;
  k.kernel_height = k.kernel_width = 3;
  k.in_channels = in;
  k.out_channels = out;
  k.flops = in * out * 1000;
  return kernel;
}

std::vector<std::string> texts(const MadeUp::Price& price,
                               KernelEstimate kernel) {
  GraphEstimate estimate;
  estimate.kernels.push_back(std::move(kernel));
  std::vector<std::string> lines;
  for (const Hint& hint : explain(MadeUp(price), estimate))
    lines.push_back(std::string(to_string(hint.kind)) + ": " + hint.text);
  return lines;
}

double blocks(int64_t channels) {
  return static_cast<double>((channels + 15) / 16);
}

TEST_CASE("explain: a staircase of 16 output channels") {
  const auto price = [](const KernelDescriptor& k) {
    return 100 * blocks(k.out_channels) +
           10 * static_cast<double>(k.in_channels);
  };
  CHECK(texts(price, convolution(64, 33)) ==
        std::vector<std::string>{
            "cliff: conv2d 'layer1' stands just above a step: out_channels 33 "
            "-> 32 takes 840 us instead of 940 us",
            "free_width: conv2d 'layer1' can grow for free: out_channels 33 -> "
            "48 takes 940 us, as much as 940 us now"});
  // At the top of a step there is nothing to say.
  CHECK(texts(price, convolution(64, 48)).empty());
}

TEST_CASE("explain: one more channel that makes it faster") {
  const auto price = [](const KernelDescriptor& k) {
    return (k.in_channels % 64 == 0 ? 5.0 : 8.0) *
           static_cast<double>(k.in_channels);
  };
  CHECK(texts(price, convolution(63, 16)).front() ==
        "faster_wider: conv2d 'layer1' is faster with more in_channels: 63 -> "
        "64 takes 320 us instead of 504 us");
}

TEST_CASE("explain: int8 that is slower, from either side") {
  const auto price = [](const KernelDescriptor& k) {
    const double smooth = static_cast<double>(k.in_channels * k.out_channels);
    return k.precision == Precision::kInt8 ? smooth * 0.4 : smooth * 0.2;
  };
  CHECK(texts(price, convolution(16, 16)) ==
        std::vector<std::string>{
            "slow_int8: conv2d 'layer1' would be slower in int8 (102 us) than "
            "it is in fp32 (51.2 us)"});
  KernelEstimate integer = convolution(16, 16);
  integer.descriptor = with_precision(integer.descriptor, Precision::kInt8);
  CHECK(texts(price, integer) ==
        std::vector<std::string>{
            "slow_int8: conv2d 'layer1' is slower in int8 (102 us) than it "
            "would be in fp32 (51.2 us)"});
}

TEST_CASE("explain: what the profile has not seen gives no hint") {
  KernelEstimate kernel = convolution(64, 33);
  kernel.seen = false;
  CHECK(texts(
            [](const KernelDescriptor& k) {
              return 100 * blocks(k.out_channels);
            },
            kernel)
            .empty());
}

}  // namespace
}  // namespace lathe::latency
