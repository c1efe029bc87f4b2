// Broken files: every error says where.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "calibration/latency/estimator/kernel_predictor.h"
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "tests/calibration/estimator/made_up_device.h"

namespace lathe::latency {
namespace {

const Json& sound() {
  static const Json json =
      fit_kernel_predictor(made_up_measurements({.networks = 20}), 1, 2)
          ->to_json();
  return json;
}

constexpr const char* kCell = "/cells/convolution~1conv2d~1fp32~1blocked";

Json::json_pointer in_cell(const std::string& pointer) {
  return Json::json_pointer(kCell + pointer);
}

std::string message_of(const Json& json) {
  try {
    kernel_predictor_from_json(JsonText::wrap(json, "p.json"), "");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "no error";
}

std::string after(const std::function<void(Json&)>& edit) {
  Json json = sound();
  edit(json);
  return message_of(json);
}

TEST_CASE("the sound file is read") {
  CHECK(message_of(sound()) == "no error");
}

TEST_CASE("broken files") {
  CHECK(message_of(Json(3)) == "p.json: found 3, expected an object");
  CHECK(after([](Json& j) { j.erase("network"); }) ==
        "p.json: the key 'network' is missing (a profile is written by 'lathe "
        "profile' and not edited)");
  CHECK(after([](Json& j) { j["schema_version"] = 7; }) ==
        "p.json: /schema_version: found version 7 of the predictor, expected "
        "1 (profile the device again with this version of lathe)");
  CHECK(after([](Json& j) { j["lanes"] = 0; }) ==
        "p.json: /lanes: found 0, expected a whole number from 1 to 1024");
  CHECK(after([](Json& j) { j["lanes"] = 1.5; }) ==
        "p.json: /lanes: found 1.5, expected a whole number from 1 to 1024");
  CHECK(after([](Json& j) { j["network"]["scale"] = "1"; }) ==
        "p.json: /network/scale: found \"1\", expected a number from 0.01 to "
        "100");
  CHECK(after([](Json& j) {
          j["network"]["scale"] = std::numeric_limits<double>::quiet_NaN();
        }) ==
        "p.json: /network/scale: found null, expected a number from 0.01 to "
        "100");
  CHECK(after([](Json& j) { j["network"] = Json::array(); }) ==
        "p.json: /network: found [], expected an object");
  CHECK(after([](Json& j) { j["cells"] = "none"; }) ==
        "p.json: /cells: found \"none\", expected an object of at most 200 "
        "cells");
  CHECK(after([](Json& j) { j["validation"]["coverage"] = 2; }) ==
        "p.json: /validation/coverage: found 2, expected a number from 0 to "
        "1");
}

TEST_CASE("broken cells") {
  const std::string cell = std::string("p.json: ") + kCell;
  CHECK(after([](Json& j) { j[in_cell("/prices")]["gold"] = 1; }) ==
        cell + "/prices/gold: there is no price of 'gold'");
  CHECK(after([](Json& j) { j[in_cell("/prices")]["node"] = -1; }) ==
        cell +
            "/prices/node: found -1, expected a number from 0 to "
            "1000000000");
  CHECK(after([](Json& j) { j[in_cell("/features/0")] = "colour"; }) ==
        cell + "/features/0: there is no feature 'colour'");
  CHECK(after([](Json& j) { j[in_cell("/process/noise")] = 0; }) ==
        cell +
            "/process/noise: found 0, expected a number from 1e-06 to "
            "1000");
  CHECK(after([](Json& j) { j[in_cell("/process/variance_points")] = 99999; })
            .starts_with(cell + "/process/variance_points: found 99999, "
                                "expected a whole number from 1 to "));
  CHECK(after([](Json& j) { j[in_cell("/process/points/3")] = "1 2"; })
            .starts_with(cell + "/process/points/3: found 2 numbers in this "
                                "text, expected "));
  CHECK(after([](Json& j) { j[in_cell("/process/points/3")] = "1 nan"; }) ==
        cell +
            "/process/points/3: number 2 of this text is not a number from "
            "-10000000 to 10000000");
  CHECK(after([](Json& j) { j[in_cell("/process/points/3")] = 12; }) ==
        cell + "/process/points/3: found 12, expected a text of numbers");
  CHECK(after([](Json& j) { j[in_cell("/process/weights")] = "inf"; }) ==
        cell +
            "/process/weights: number 1 of this text is not a number from "
            "-1000000000 to 1000000000");
  CHECK(after([](Json& j) {
          j[in_cell("/process/points")] = Json(5000, "1");
        }).starts_with(cell + "/process/points: found [\"1\",\"1\""));
  CHECK(after([](Json& j) { j[in_cell("/trees/trees/0/0")] = "1 900"; })
            .starts_with(cell + "/trees/trees/0/0: number 2 of this text is "
                                "not a number from 0 to "));
  CHECK(after([](Json& j) { j[in_cell("/trees/trees/0/2")] = "1"; })
            .starts_with(cell + "/trees/trees/0/2: found 1 numbers in this "
                                "text, expected "));
  CHECK(after([](Json& j) {
          j[in_cell("/trees/trees/0/0")] = "1 1 1 1 1 1 1 1 1 1 1 1 1";
        }) == cell +
                  "/trees/trees/0/0: found 11 or more numbers in this text, "
                  "expected 1 to 10");
  CHECK(after([](Json& j) {
          j[in_cell("/kinds/conv2d/samples")] = -1;
        }).starts_with(cell + "/kinds/conv2d/samples: found -1"));
}

TEST_CASE("a place in a file has a line and a column") {
  std::string text = "{\n  \"schema_version\": \"one\"\n}";
  CHECK_THROWS_WITH_AS(
      kernel_predictor_from_json(JsonText::parse(text, "p.json"), ""),
      "p.json:2:21: /schema_version: found \"one\", expected a whole number "
      "from 0 to 1000000",
      Error);
  CHECK_THROWS_WITH_AS(
      kernel_predictor_from_json(JsonText::parse("{}", "p.json"), "/gone"),
      "p.json:1:1: /gone: there is no predictor here", Error);
}

// Any value replaced by another, or taken out, is an error or is read; it never
// crashes, and what is read predicts numbers.
TEST_CASE("random edits") {
  Random random(17);
  KernelDescriptor kernel = made_up_kernel(random, "conv2d", Precision::kFp32);
  const std::vector<Json> kOthers = {
      nullptr,        -1,      0,       1e300, "", "1 2 3", true, Json::array(),
      Json::object(), 1 << 30, "0 0 0", "-"};
  for (int i = 0; i < 300; ++i) {
    Json json = sound();
    Json* at = &json;
    while ((at->is_object() || at->is_array()) && !at->empty()) {
      auto child = at->begin();
      std::advance(child, static_cast<ptrdiff_t>(random.below(at->size())));
      bool here = random.below(8) == 0;
      if (here && at->is_object()) {
        at->erase(child.key());
        break;
      }
      at = &*child;
      if (here) break;
    }
    if (random.below(4)) *at = kOthers[random.below(kOthers.size())];
    try {
      auto read =
          kernel_predictor_from_json(JsonText::wrap(json, "p.json"), "");
      KernelPrediction p = read->predict(kernel);
      CHECK(std::isfinite(p.mean_log_us));
      CHECK(std::isfinite(p.sd_log));
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      CHECK(error.where().starts_with("p.json"));
    }
  }
}

}  // namespace
}  // namespace lathe::latency
