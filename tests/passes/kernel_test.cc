#include "passes/kernel.h"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/latency_model.h"

namespace lathe {
namespace {

// 3x3, 64 -> 32 channels on 28x28, fp32, fused with an addend and a Relu.
KernelDescriptor convolution() {
  KernelDescriptor k;
  k.kind = "conv2d";
  k.layout = Layout::kBlocked;
  k.batch = 1;
  k.in_channels = 64;
  k.out_channels = 32;
  k.in_height = k.in_width = k.out_height = k.out_width = 28;
  k.kernel_height = k.kernel_width = 3;
  k.stride_height = k.stride_width = 1;
  k.dilation_height = k.dilation_width = 1;
  k.group = 1;
  k.elements = 32 * 28 * 28;
  k.inputs = 2;
  k.fused_add = true;
  k.activation = "relu";
  k.bytes_in = 4 * (64 + 32) * 28 * 28;
  k.bytes_out = 4 * 32 * 28 * 28;
  k.bytes_weights = 4 * (64 * 32 * 9);
  k.flops = int64_t{2} * 64 * 32 * 9 * 28 * 28;
  return k;
}

KernelDescriptor product() {
  KernelDescriptor k;
  k.kind = "gemm";
  k.matrices = 1;
  k.rows = 10;
  k.depth = 100;
  k.columns = 20;
  k.constant_b = true;
  k.bytes_in = 4 * 1000;
  k.bytes_weights = 4 * 2000;
  k.bytes_out = 4 * 200;
  k.flops = 2 * 10 * 100 * 20;
  k.elements = 200;
  return k;
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("kernel: JSON holds what differs from the defaults, and comes back") {
  const KernelDescriptor k = convolution();
  const Json json = to_json(k);
  CHECK(json["kind"] == "conv2d");
  CHECK(json["layout"] == "blocked");
  CHECK_FALSE(json.contains("precision"));
  CHECK_FALSE(json.contains("rows"));
  CHECK(kernel_from_json(json, "x") == k);
  CHECK(hash_value(kernel_from_json(json, "x")) == hash_value(k));
  CHECK(hash_value(product()) != hash_value(k));
}

TEST_CASE("kernel: broken JSON is told with place and expectation") {
  const auto error = [](const char* text) {
    return error_of([&] { kernel_from_json(Json::parse(text), "f: /0"); });
  };
  CHECK(error("[]") == "f: /0: found [] (expected an object)");
  CHECK(error("{}") ==
        "f: /0: the kernel has no kind (every kernel names its kind)");
  CHECK(error(R"({"kind": "add", "batch": -1})") ==
        "f: /0/batch: found -1 (expected a whole number from 0)");
  CHECK(error(R"({"kind": "add", "batch": 1e30})") ==
        "f: /0/batch: found 1e+30 (expected a whole number from 0)");
  CHECK(error(R"({"kind": "add", "layout": "x"})") ==
        "f: /0/layout: found \"x\" (expected one of plain blocked "
        "interleaved)");
  CHECK(error(R"({"kind": "add", "fused_add": 1})") ==
        "f: /0/fused_add: found 1 (expected true or false)");
  CHECK(error(R"({"kind": 1})") == "f: /0/kind: found 1 (expected a string)");
  CHECK(error(R"({"kind": "add", "wide": 1})") ==
        "f: /0/wide: a kernel has no such field");
}

TEST_CASE("kernel: other widths of a convolution") {
  const KernelDescriptor k = with_widths(convolution(), 16, 48);
  CHECK(k.in_channels == 16);
  CHECK(k.out_channels == 48);
  CHECK(k.flops == int64_t{2} * 16 * 48 * 9 * 28 * 28);
  CHECK(k.bytes_weights == 4 * 16 * 48 * 9);
  CHECK(k.bytes_in == 4 * (16 + 48) * 28 * 28);
  CHECK(k.bytes_out == 4 * 48 * 28 * 28);
  CHECK(k.elements == 48 * 28 * 28);
  CHECK(with_widths(convolution(), 64, 32) == convolution());
  CHECK(with_widths(convolution(), 0, -3).out_channels == 1);
}

TEST_CASE("kernel: a depthwise convolution has one width") {
  KernelDescriptor k = convolution();
  k.fused_add = false;
  k.kind = "depthwise_conv2d";
  k.in_channels = k.out_channels = k.group = 64;
  k.bytes_in = k.bytes_out = 4 * 64 * 784;
  k.bytes_weights = 4 * 64 * 9;
  k.flops = int64_t{2} * 64 * 9 * 784;
  k.elements = 64 * 784;
  const KernelDescriptor half = with_widths(k, 1, 32);
  CHECK(half.group == 32);
  CHECK(half.in_channels == 32);
  CHECK(half.flops == k.flops / 2);
  CHECK(half.bytes_weights == k.bytes_weights / 2);
  CHECK(half.bytes_in == k.bytes_in / 2);
}

TEST_CASE("kernel: other widths of a product") {
  const KernelDescriptor k = with_widths(product(), 50, 40);
  CHECK(k.depth == 50);
  CHECK(k.columns == 40);
  CHECK(k.flops == 2 * 10 * 50 * 40);
  CHECK(k.bytes_in == 4 * 500);
  CHECK(k.bytes_weights == 4 * 2000);
  CHECK(k.bytes_out == 4 * 400);
  KernelDescriptor batched = product();
  batched.constant_b = false;
  batched.bytes_weights = 0;
  batched.bytes_in = 4 * (1000 + 2000);
  CHECK(with_widths(batched, 50, 40).bytes_in == 4 * (500 + 2000));
}

TEST_CASE("kernel: another precision changes bytes and layout, not the work") {
  const KernelDescriptor k = with_precision(convolution(), Precision::kInt8);
  CHECK(k.flops == convolution().flops);
  CHECK(k.bytes_in == convolution().bytes_in / 4);
  CHECK(k.layout == Layout::kInterleaved);
  CHECK(with_precision(k, Precision::kFp32) == convolution());
}

// A microsecond a kernel, and a note of what was asked.
class Counter final : public LatencyModel {
 public:
  GraphEstimate estimate(const ir::Model&) const override { return {}; }
  LatencyEstimate kernel(const KernelDescriptor& kernel) const override {
    asked.push_back(kernel);
    return {0.5, 1, 2};
  }
  std::string device() const override { return "counter"; }
  bool calibrated() const override { return false; }
  mutable std::vector<KernelDescriptor> asked;
};

TEST_CASE("latency model: a border is the kernels that cross it") {
  const std::vector<int64_t> shape{1, 8, 4, 4};
  const ValueForm blocked{Precision::kFp32, Layout::kBlocked};
  const ValueForm int8{Precision::kInt8, Layout::kInterleaved};
  const auto kinds = [&](ValueForm from, ValueForm to) {
    Counter counter;
    const double us = counter.border(shape, from, to).p50_us;
    std::string text;
    for (const KernelDescriptor& kernel : counter.asked)
      text += (text.empty() ? "" : " ") + kernel.kind;
    CHECK(us == static_cast<double>(counter.asked.size()));
    return text;
  };
  CHECK(kinds(blocked, blocked) == "");
  CHECK(kinds(blocked, {}) == "reorder_output");
  CHECK(kinds({}, blocked) == "reorder_input");
  CHECK(kinds(blocked, int8) == "reorder_output quantize_linear transpose");
  CHECK(kinds(int8, blocked) == "transpose dequantize_linear reorder_input");
  CHECK(kinds({}, {Precision::kInt8, Layout::kPlain}) == "quantize_linear");
  Counter counter;
  counter.border(shape, {}, {Precision::kInt8, Layout::kPlain});
  CHECK(counter.asked[0].bytes_in == 4 * 128);
  CHECK(counter.asked[0].bytes_out == 128);
}

}  // namespace
}  // namespace lathe
