// Pruning as stages of a run.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/base/hash.h"
#include "passes/base/json_schema.h"
#include "tests/recipes/error_text.h"
#include "tests/recipes/run_fixture.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::item;
using Fixture = test::RunFixture;

constexpr const char* kPlan = R"({"schema_version": 1, "groups": [
  {"name": "conv", "units": 16, "removed": [0, 5, 6, 7]}]})";

TEST_CASE_FIXTURE(Fixture, "run: a plan is read, reported and recorded") {
  write_file_atomic(folder.path() / "plan.json", kPlan);
  json["stages"] = Json::parse(R"([{"pass": "simplify"},
    {"pass": "prune_channels",
     "options": {"plan": "plan.json", "repair": false}}])");
  json["targets"]["latency"] = {"1000ms"};
  REQUIRE(run().exit_code == 0);
  const JsonText text = JsonText::read(options.out_dir / "report.json");
  const std::string schema = report_schema().dump();
  CHECK(validate_schema(text, "", schema.c_str()) ==
        std::vector<std::string>{});
  const Json& report = text.root();
  const Json& stage = report["stages"][2];
  CHECK(stage["score"]["parameters"] == 12 * 27 + 12 + 120 + 10);
  const Json& group = item(stage["plan"]["groups"], "name", "conv");
  CHECK(group["kept"] == 12);
  CHECK(group["removed"] == Json::parse("[0, 5, 6, 7]"));
  CHECK(report["variants"][0]["path"] == "variants/tiny-pruned.onnx");
  const fs::path plan = fs::absolute(folder.path() / "plan.json");
  CHECK(stage["options"]["plan"] == plan.string());
  CHECK(report["inputs"]["plan"]["files"][0]["path"] == plan.string());
  CHECK(item(written("manifest.json")["inputs"], "role", "plan")["sha256"] ==
        sha256_file(plan));

  // The plan that came out gives the same model again, without a file.
  const std::string before =
      read_file(options.out_dir / "variants/tiny-pruned.onnx");
  json["stages"][1]["options"]["plan"] = stage["plan"];
  REQUIRE(run().exit_code == 0);
  CHECK(read_file(options.out_dir / "variants/tiny-pruned.onnx") == before);
  CHECK_FALSE(written("report.json")["inputs"].contains("plan"));
}

TEST_CASE_FIXTURE(Fixture, "run: repair as stages of their own") {
  json["stages"] = Json::parse(R"([{"pass": "simplify"},
    {"pass": "prune_channels", "options": {"repair": false}},
    {"pass": "reconstruct_consumers"}, {"pass": "match_channel_moments"}])");
  json["stages"][1]["options"]["plan"] = Json::parse(kPlan);
  json["targets"]["latency"] = {"1000ms"};
  CHECK(run().exit_code == 0);
  const Json report = written("report.json");
  const auto sqnr_db = [&](size_t stage) {
    return report["stages"][stage]["score"]["sqnr_db"].get<double>();
  };
  CHECK(report["stages"][3]["changes"] == 1);
  CHECK(sqnr_db(3) > sqnr_db(2) + 3);
  CHECK(sqnr_db(4) > sqnr_db(2) + 3);

  json["stages"].erase(1);
  CHECK(error_text([&] { run(); }) ==
        "reconstruct_consumers: it compares with the dense model, but no pass "
        "before it pruned one (put it behind prune_channels in the recipe)");
}

// The classifier with a second convolution, which pays as an integer kernel.
ir::Model two_convolutions() {
  ir::Model model = test::tiny_classifier();
  for (ir::Node* node : model.graph->node_list()) {
    if (node->op_type != "Identity") continue;
    node->op_type = "Conv";
    node->set_input(1, model.graph->add_initializer(
                           "v", test::random_tensor({16, 16, 3, 3}, 5)));
    node->set_attr("pads", std::vector<int64_t>{1, 1, 1, 1});
  }
  return model;
}

TEST_CASE_FIXTURE(Fixture, "run: widths priced as they will be quantized") {
  io::export_onnx(two_convolutions(), folder.path() / "tiny.onnx");
  json["stages"] = Json::parse(R"([{"pass": "simplify"},
    {"pass": "prune_channels", "options": {"latency_limit": "1x",
     "price": "int8", "saliency": "l2", "repair": false}},
    {"pass": "quantize_static"}])");
  json["targets"]["latency"] = {"1000ms"};
  const auto pruned = [&](const std::string& limit) {
    json["stages"][1]["options"]["latency_limit"] = limit;
    REQUIRE(run().exit_code == 0);
    return written("report.json")["stages"][2];
  };
  const auto p50_us = [](const Json& latency) {
    return latency["p50"].get<double>();
  };
  const Json whole = pruned("1x");
  CHECK(whole["changes"] == 0);
  CHECK(whole["options"]["confidence"] == 0.5);
  const Json& prediction = whole["plan"]["prediction"];
  const double int8_us = p50_us(prediction["int8_latency_us"]);
  REQUIRE(int8_us < p50_us(prediction["dense_latency_us"]));
  CHECK(prediction["latency_us"] == prediction["dense_latency_us"]);
  // The stage after it arrives at what was foretold, and a file in which
  // nothing was pruned is not called so.
  const Json report = written("report.json");
  CHECK(report["variants"][0]["path"] == "variants/tiny-int8.onnx");
  CHECK(p50_us(report["stages"][3]["score"]["estimated_latency_us"]) ==
        doctest::Approx(int8_us).epsilon(0.01));

  const Json narrow = pruned(std::to_string(0.9 * int8_us) + "us");
  CHECK(narrow["changes"] > 0);
  CHECK(p50_us(narrow["plan"]["prediction"]["int8_latency_us"]) <=
        0.9 * int8_us);
}

// What is left of the sum over channels makes another class the largest.
TEST_CASE_FIXTURE(Fixture, "run: pruning that costs more than max_drop") {
  json["stages"].insert(json["stages"].begin() + 1, Json::parse(R"(
    {"pass": "prune_channels", "options": {"repair": false, "plan":
     {"schema_version": 1, "groups": [{"name": "conv", "units": 16, "removed":
      [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]}]}}})"));
  json["targets"]["max_drop"] = 0.0;
  CHECK(run().exit_code == 3);
  const Json variant = written("report.json")["variants"][0];
  CHECK(variant["path"] == "variants/tiny-pruned-int8.onnx");
  CHECK(variant["met"] == false);
  CHECK(variant["reason"] ==
        "top-1 drops by 5.00 points, max_drop allows 0.00");
}

TEST_CASE_FIXTURE(Fixture, "run: a plan for another model") {
  write_file_atomic(folder.path() / "plan.json",
                    R"({"schema_version": 1, "groups": [{"name": "cnv"}]})");
  json["stages"] = Json::parse(
      R"([{"pass": "prune_channels", "options": {"plan": "plan.json"}}])");
  CHECK(error_text([&] { run(); }) ==
        (folder.path() / "plan.json").string() +
            ":1:43: /groups/0/name: the model has no group 'cnv'; did you mean "
            "'conv'?");
  fs::remove(folder.path() / "plan.json");
  CHECK(error_text([&] { run(); }) == (folder.path() / "plan.json").string() +
                                          ": no such file (check the path)");
}

}  // namespace
}  // namespace lathe::recipes
