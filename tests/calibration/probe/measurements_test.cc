#include "calibration/latency/probe/measurements.h"

#include <nlohmann/json.hpp>

#include "tests/calibration/fixtures.h"

namespace lathe::latency {
namespace {

using test::error_of;

Measurements example() {
  Measurements m;
  m.device = {"x86-64-avx2", "x86-64",      "A CPU", {"avx", "avx2"}, 4,
              "An OS",       "onnxruntime", "1.30.0"};
  m.seed = 7;
  m.seconds = 12.5;
  m.noise = {{1, 30, 2, 350.5, 0.04, 0.01}};
  NetworkSample network{"tiny-3", 3, 1, {}, {40.5f, 41.25f}, {350, 352.5f}};
  KernelDescriptor conv;
  conv.kind = "conv2d";
  conv.layout = Layout::kBlocked;
  conv.out_channels = 16;
  network.kernels.push_back({conv, {30.5f, 31.f}});
  m.networks.push_back(network);
  return m;
}

JsonText text_of(const Json& json) {
  return JsonText::parse(json.dump(), "probe.json");
}

// The error of the example with one value changed.
template <class T>
std::string error_with(const std::string& pointer, T value) {
  Json json = to_json(example());
  json[Json::json_pointer(pointer)] = value;
  // Positions are tested once, below.
  return error_of([&] { measurements_from_json(JsonText::wrap(json, "p")); });
}

TEST_CASE("what is written is read") {
  Json json = to_json(example());
  Measurements back = measurements_from_json(text_of(json));
  CHECK(to_json(back) == json);
  CHECK(back.device.instruction_sets == example().device.instruction_sets);
  REQUIRE(back.networks.size() == 1);
  CHECK(back.networks[0].kernels[0].kernel ==
        example().networks[0].kernels[0].kernel);
  CHECK(back.networks[0].kernels[0].times_us ==
        std::vector<float>{30.5f, 31.f});
  CHECK(back.noise[0].dropped_rounds == 2);
}

TEST_CASE("an error names file, line, column and pointer") {
  Json json = to_json(example());
  json["schema_version"] = 2;
  CHECK(error_of([&] { measurements_from_json(text_of(json)); }) ==
        "input: probe.json:1:19: /schema_version: found version 2 of the "
        "measurements, this program reads version 1 (measure again with the "
        "lathe-probe of this release)");
}

TEST_CASE("wrong values") {
  CHECK(error_with("/kind", "lathe-device") ==
        "input: p: /kind: found \"lathe-device\", expected "
        "\"lathe-measurements\"");
  CHECK(error_with("/seconds", "long") ==
        "input: p: /seconds: found \"long\", expected a number from 0");
  CHECK(error_with("/seed", -1) ==
        "input: p: /seed: found -1, expected a whole number from 0");
  CHECK(error_with("/networks", 3) ==
        "input: p: /networks: found 3, expected a list");
  CHECK(error_with("/networks/0/threads", 0) ==
        "input: p: /networks/0/threads: found 0, expected a number of threads "
        "from 1 to 4096");
  CHECK(error_with("/networks/0/totals_us/1", 0) ==
        "input: p: /networks/0/totals_us/1: found 0, expected microseconds "
        "above 0");
  CHECK(error_with("/networks/0/totals_us", Json::array()) ==
        "input: p: /networks/0/totals_us: there is no time in it (a round that "
        "was kept has one)");
  CHECK(error_with("/networks/0/totals_us", Json::array({1.0})) ==
        "input: p: /networks/0/kernels/0/times_us: found 2 rounds, the network "
        "has 1");
  CHECK(error_with("/networks/0/kernels", Json::array()) ==
        "input: p: /networks/0/kernels: the network has no kernel");
  CHECK(error_with("/networks/0/kernels/0/kernel/layout", "diagonal")
            .starts_with("input: p: /networks/0/kernels/0/kernel/layout: "
                         "found \"diagonal\""));
  CHECK(error_with("/networks/0/kernels/0/kernel/colour", 1) ==
        "input: p: /networks/0/kernels/0/kernel/colour: a kernel has no such "
        "field");
  CHECK(error_with("/networks/0/colour", 1) ==
        "input: p: /networks/0/colour: the key 'colour' is not known here");
  CHECK(error_with("/colour", 1) ==
        "input: p: /colour: the key 'colour' is not known here");
  CHECK(error_with("/device", 1) == "input: p: /device: expected an object");
}

TEST_CASE("missing keys") {
  Json whole = to_json(example());
  for (const auto& [key, value] : whole.items()) {
    Json json = whole;
    json.erase(key);
    std::string error =
        error_of([&] { measurements_from_json(JsonText::wrap(json, "p")); });
    CAPTURE(key);
    CAPTURE(error);
    CHECK(error.starts_with("input: p: "));
    CHECK(error != "no error");
  }
}

TEST_CASE("cut anywhere, a file is refused") {
  std::string text = to_json(example()).dump();
  for (size_t length = 0; length < text.size(); ++length)
    CHECK(error_of([&] {
            measurements_from_json(
                JsonText::parse(text.substr(0, length), "probe.json"));
          }).starts_with("input: probe.json:"));
}

}  // namespace
}  // namespace lathe::latency
