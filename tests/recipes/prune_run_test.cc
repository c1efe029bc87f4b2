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
