#include "recipes/run.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "calibration/latency/roofline.h"
#include "calibration/latency/session.h"
#include "passes/base/file.h"
#include "passes/base/hash.h"
#include "passes/base/json_schema.h"
#include "passes/io/onnx/onnx.h"
#include "tests/recipes/error_text.h"
#include "tests/recipes/run_fixture.h"
#include "tests/support/shared.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::files_below;
using test::item;
using test::TableMeter;
using test::TempDir;
using Fixture = test::RunFixture;

TEST_CASE_FIXTURE(Fixture, "run: a folder with variant, manifest and report") {
  const RunOutcome outcome = run();
  CHECK(outcome.exit_code == 0);
  CHECK(meter.exists);
  CHECK(files_below(options.out_dir) ==
        std::set<std::string>{"variants/tiny-int8.onnx", "manifest.json",
                              "report.json"});

  const JsonText text = JsonText::read(options.out_dir / "report.json");
  const std::string schema = report_schema().dump();
  CHECK(validate_schema(text, "", schema.c_str()) ==
        std::vector<std::string>{});
  const Json& report = text.root();
  CHECK(report == to_json(outcome.report));
  REQUIRE(report["stages"].size() == 3);
  CHECK(report["stages"][0]["name"] == "baseline");
  CHECK(report["stages"][1]["name"] == "simplify");
  CHECK(report["stages"][1]["options"]["target_opset"] == 17);
  CHECK(report["stages"][2]["name"] == "quantize_static");
  CHECK(report["stages"][0]["score"]["agreement"] == 1.0);
  CHECK(report["stages"][0]["score"]["macs"] == 16 * 27 * 32 * 32 + 160);
  CHECK(report["stages"][0]["score"]["parameters"] == 16 * 27 + 16 + 160 + 10);
  CHECK(report["stages"][2]["score"]["measured_latency_us"]["ratio_to_input"] ==
        doctest::Approx(0.5));
  CHECK(report["stages"][1]["score"]["agreement"] == 1.0);
  CHECK(report["data"]["calibration"]["samples"] == 20);
  CHECK(report["data"]["scoring"]["samples"] == 20);
  REQUIRE(report["variants"].size() == 1);
  CHECK(report["variants"][0]["path"] == "variants/tiny-int8.onnx");
  CHECK(report["variants"][0]["met"] == "measured");
  CHECK(report["rejected"].empty());

  const fs::path variant = options.out_dir / "variants/tiny-int8.onnx";
  CHECK(report["variants"][0]["sha256"] == sha256_file(variant));
  const auto session = latency::Session::open(variant);
  REQUIRE(session->inputs().size() == 1);
  CHECK(session->inputs()[0].name == "image");
}

TEST_CASE_FIXTURE(Fixture, "run: the manifest's hashes hold") {
  run();
  const Json manifest = written("manifest.json");
  REQUIRE(manifest["inputs"].size() == 1);
  REQUIRE(manifest["outputs"].size() == 2);
  for (const Json& input : manifest["inputs"])
    CHECK(input["sha256"] == sha256_file(input["path"].get<std::string>()));
  for (const Json& output : manifest["outputs"])
    CHECK(output["sha256"] ==
          sha256_file(options.out_dir / output["path"].get<std::string>()));
}

TEST_CASE_FIXTURE(Fixture,
                  "run: again, and from the printed recipe, same bytes") {
  run();
  const fs::path first = options.out_dir;
  options.out_dir = folder.path() / "again";
  options.jobs = 1;
  run();
  const auto variant = [](const fs::path& out) {
    return read_file(out / "variants/tiny-int8.onnx");
  };
  CHECK(variant(first) == variant(options.out_dir));

  write_file_atomic(folder.path() / "printed.json",
                    to_text(recipe(), /*absolute=*/true));
  options.out_dir = folder.path() / "printed";
  recipes::run(load((folder.path() / "printed.json").string()), options);
  CHECK(variant(first) == variant(options.out_dir));

  // The report's own recipe as well.
  const Json embedded = written("report.json")["recipe"];
  options.out_dir = folder.path() / "embedded";
  recipes::run(parse(JsonText::wrap(embedded, "embedded"), "/nowhere"),
               options);
  CHECK(variant(first) == variant(options.out_dir));

  // And one file of the same recipe.
  options.out_dir.clear();
  options.out_file = folder.path() / "one.onnx";
  options.score = false;
  run();
  CHECK(variant(first) == read_file(options.out_file));
}

TEST_CASE_FIXTURE(Fixture, "run: a slower variant is never delivered") {
  meter = TableMeter({{"score-3", 1500}, {"-int8", 1500}});
  const RunOutcome outcome = run();
  CHECK(outcome.exit_code == 3);
  const Json report = written("report.json");
  CHECK(report["exit_code"] == 3);
  const Json& rejected = item(report["rejected"], "stage", "quantize_static");
  CHECK(rejected["reason"] ==
        "slower than the input model: measured 1.50 ms against 1.00 ms");
  CHECK(rejected["target"] == "0.6x");
  CHECK_FALSE(fs::exists(options.out_dir / "variants/tiny-int8.onnx"));
  for (const Json& variant : report["variants"]) CHECK(variant["met"] == false);
  CHECK(report["notes"].dump().find(
            "the result of stage 'quantize_static' is slower than the input "
            "model: measured 1.50 ms against 1.00 ms; it is not delivered") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "run: without targets a slower result misses too") {
  json.erase("targets");
  json["stages"] = Json::parse(
      R"([{"pass": "quantize_static", "options": {"placement": "all"}}])");
  meter = TableMeter({{"score-2", 1500}, {"-int8", 1500}});
  CHECK(run().exit_code == 3);
  CHECK(files_below(options.out_dir) ==
        std::set<std::string>{"manifest.json", "report.json"});
  CHECK(written("report.json")["notes"].dump().find(
            "no variant is delivered; 'rejected' says why") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "run: a later run takes back what it does not make") {
  run();
  CHECK(fs::exists(options.out_dir / "variants/tiny-int8.onnx"));
  write_file_atomic(options.out_dir / "variants/mine.onnx", "not ours");
  meter = TableMeter({{"score-3", 1500}, {"-int8", 1500}});
  run();
  CHECK_FALSE(fs::exists(options.out_dir / "variants/tiny-int8.onnx"));
  CHECK(fs::exists(options.out_dir / "variants/mine.onnx"));
}

TEST_CASE_FIXTURE(Fixture, "run: a missed target is delivered as missed") {
  json["targets"]["latency"] = {"0.6x", "0.4x", "2ms"};
  const RunOutcome outcome = run();
  CHECK(outcome.exit_code == 3);
  const Json report = written("report.json");
  REQUIRE(report["variants"].size() == 3);
  CHECK(report["variants"][0]["met"] == "measured");
  CHECK(report["variants"][1]["met"] == false);
  CHECK(report["variants"][1]["reason"] ==
        "measured 500 us, target 0.4x is 400 us");
  CHECK(report["variants"][2]["met"] == "measured");
  // One file serves all three.
  CHECK(files_below(options.out_dir / "variants").size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "run: what int8 may not, float may") {
  json["targets"] = {{"latency", {"1.5ms"}}};
  json["gates"] = {{"min_sqnr_db", 100}};
  CHECK(run().exit_code == 0);
  const Json report = written("report.json");
  REQUIRE(report["variants"].size() == 1);
  CHECK(report["variants"][0]["stage"] == "simplify");
  CHECK(report["variants"][0]["path"] == "variants/tiny-simplified.onnx");
  CHECK(report["variants"][0]["met"] == "measured");
  const Json& rejected = item(report["rejected"], "stage", "quantize_static");
  CHECK(rejected["reason"].get<std::string>().starts_with(
      "gate min_sqnr_db is 100, the variant has "));
  REQUIRE(report["gates"].size() == 1);
  CHECK(report["gates"][0]["bound"] == 100);
  CHECK(report["gates"][0]["passed"] == true);
}

TEST_CASE_FIXTURE(Fixture, "run: a stage that changes nothing adds nothing") {
  json["stages"].push_back({{"pass", "block_pixels"}});
  json["targets"]["latency"] = {"0.6x", "0.4x"};
  CHECK(run().exit_code == 3);
  const Json report = written("report.json");
  REQUIRE(report["stages"].size() == 4);
  CHECK(report["stages"][3]["changes"] == 0);
  CHECK(report["stages"][3]["score"] == report["stages"][2]["score"]);
  CHECK(report["stages"][3]["remarks"][0]["node"] == "conv");
  REQUIRE(report["variants"].size() == 2);
  for (const Json& variant : report["variants"]) {
    CHECK(variant["stage"] == "quantize_static");
    CHECK(variant["path"] == "variants/tiny-int8.onnx");
  }
  CHECK(report["rejected"].dump().find("block_pixels") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "run: of equally accurate stages the fastest") {
  json["stages"] = Json::parse(R"([{"pass": "drop_identities"},
    {"pass": "raise_opset", "options": {"target_opset": 18}}])");
  const auto deliver = [&](double last_us) {
    // The last stage is looked at first, and takes the name.
    meter = TableMeter({{"score-2", 500},
                        {"-simplified-stage1", 500},
                        {"score-3", last_us},
                        {"-simplified.onnx", last_us}});
    run();
    return written("report.json");
  };
  SUBCASE("an earlier one, where it is clearly faster") {
    const Json report = deliver(550);
    REQUIRE(report["variants"].size() == 1);
    CHECK(report["variants"][0]["stage"] == "drop_identities");
    CHECK(report["variants"][0]["met"] == "measured");
    CHECK(item(report["rejected"], "stage", "raise_opset")["reason"] ==
          "slower than stage 'drop_identities', which is as accurate: 0.55 "
          "times the input model's latency against 0.50");
  }
  SUBCASE("the last one within noise") {
    const Json report = deliver(505);
    CHECK(report["variants"][0]["stage"] == "raise_opset");
    CHECK(report["rejected"].empty());
  }
  SUBCASE("also where the target is missed") {
    json["targets"]["latency"] = {"0.4x"};
    const Json report = deliver(550);
    CHECK(report["variants"][0]["stage"] == "drop_identities");
    CHECK(report["variants"][0]["reason"] ==
          "measured 500 us, target 0.4x is 400 us");
    CHECK(item(report["rejected"], "stage", "raise_opset")["reason"] ==
          "measured 550 us, target 0.4x is 400 us");
  }
}

TEST_CASE_FIXTURE(Fixture, "run: max_drop without labels or classes") {
  json.erase("data");
  json["stages"] = Json::parse(R"([{"pass": "simplify"}])");
  json["targets"] = {{"latency", {"1.5ms"}}, {"max_drop", 0.01}};
  CHECK(run().exit_code == 3);
  const Json report = written("report.json");
  CHECK(report["variants"][0]["met"] == false);
  CHECK(report["variants"][0]["reason"] ==
        "max_drop cannot be judged: it needs labels or class scores");
  CHECK(report["notes"].dump().find(
            "no samples are given: accuracy and fidelity are not scored") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "run: a gate on size picks the small model") {
  json["targets"]["latency"] = {"1.5ms"};
  run();
  const Json before = written("report.json");
  const auto size = [&](size_t stage) {
    return before["stages"][stage]["score"]["size_bytes"].get<int64_t>();
  };
  json["gates"]["max_size_bytes"] = size(2);
  CHECK(run().exit_code == 0);
  Json report = written("report.json");
  CHECK(report["variants"][0]["stage"] == "quantize_static");
  CHECK(report["gates"][0]["passed"] == true);
  json["gates"]["max_size_bytes"] = 1;
  CHECK(run().exit_code == 3);
  report = written("report.json");
  CHECK(report["gates"][0]["passed"] == false);
  CHECK(report["variants"][0]["reason"].get<std::string>().starts_with(
      "gate max_size_bytes is 1, the variant has "));
}

TEST_CASE_FIXTURE(Fixture, "run: another device is estimated, not measured") {
  json["device"]["profile"] = latency::embedded_devices().front();
  json["targets"]["latency"] = {"1000s"};
  CHECK(error_text([&] { run(); }).find("unknown unit 's'") !=
        std::string::npos);
  json["targets"]["latency"] = {"1000000ms", "0.000001x"};
  const RunOutcome outcome = run();
  CHECK(outcome.exit_code == 3);
  const Json report = written("report.json");
  CHECK(report["device"]["this_machine"] == false);
  CHECK(report["device"]["profile"] == latency::embedded_devices().front());
  CHECK(report["variants"][0]["met"] == "estimated");
  CHECK(report["variants"].back()["met"] == false);
  for (const Json& stage : report["stages"]) {
    CHECK_FALSE(stage["score"].contains("measured_latency_us"));
    CHECK(stage["score"]["estimated_latency_us"]["p95"] > 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "run: synthetic data is said loudly") {
  json["data"] = "synthetic";
  json["samples"] = 8;
  run();
  const Json report = written("report.json");
  CHECK(report["data"]["calibration"]["synthetic"] == true);
  CHECK(report["data"]["calibration"]["samples"] == 8);
  CHECK(report["data"]["scoring"]["samples"] == 8);
  CHECK(report["notes"].dump().find("synthetic data") != std::string::npos);
  CHECK_FALSE(report["stages"][2]["score"].contains("top1"));
  CHECK(report["stages"][2]["score"].contains("agreement"));
}

TEST_CASE_FIXTURE(Fixture, "run: a cancelled run leaves nothing behind") {
  CancelToken cancel;
  struct AfterSimplify final : Observer {
    CancelToken* token = nullptr;
    void stage_done(const StageReport& stage) override {
      if (stage.name == "simplify") token->cancel();
    }
  } observer;
  observer.token = &cancel;
  options.cancel = &cancel;
  options.observer = &observer;
  CHECK(error_text([&] { run(); }) != "(no error)");
  CHECK(files_below(options.out_dir).empty());
  CHECK(fs::is_empty(options.out_dir));
}

TEST_CASE_FIXTURE(Fixture, "run: an earlier report survives a cancelled run") {
  run();
  const std::string before = read_file(options.out_dir / "report.json");
  CancelToken cancel;
  cancel.cancel();
  options.cancel = &cancel;
  CHECK(error_text([&] { run(); }) != "(no error)");
  CHECK(read_file(options.out_dir / "report.json") == before);
}

TEST_CASE_FIXTURE(Fixture, "run: the observer hears of every stage in order") {
  struct Log final : Observer {
    std::string text;
    void stage_started(const std::string& name) override { text += "+" + name; }
    void stage_done(const StageReport& stage) override {
      text += "-" + stage.name;
    }
  } log;
  options.observer = &log;
  json["stages"].insert(json["stages"].begin(), Json{{"pass", "simplify"}});
  run();
  CHECK(log.text ==
        "+baseline-baseline+simplify-simplify+simplify_2-simplify_2"
        "+quantize_static-quantize_static");
}

TEST_CASE_FIXTURE(Fixture, "run: one file, and only that") {
  options.out_file = folder.path() / "file" / "tiny-q.onnx";
  options.out_dir.clear();
  options.score = false;
  CHECK(error_text([&] { run(); }).find("cannot write in this folder") !=
        std::string::npos);
  fs::create_directories(options.out_file.parent_path());
  const RunOutcome outcome = run();
  CHECK(outcome.exit_code == 0);
  CHECK(files_below(options.out_file.parent_path()) ==
        std::set<std::string>{"tiny-q.onnx"});
  CHECK(outcome.report.stages.size() == 3);
  CHECK(outcome.report.stages[2].changes > 0);
  REQUIRE(outcome.report.outputs.size() == 1);
  CHECK(outcome.report.outputs[0].sha256 == sha256_file(options.out_file));
}

TEST_CASE_FIXTURE(Fixture, "run: one file that scores slower says so") {
  options.out_file = folder.path() / "q.onnx";
  options.out_dir.clear();
  json.erase("targets");
  meter = TableMeter({{"score-3", 1500}, {"q.onnx", 1500}});
  const RunOutcome outcome = run();
  CHECK(outcome.exit_code == 3);
  REQUIRE_FALSE(outcome.report.notes.empty());
  CHECK(outcome.report.notes.back() ==
        "the result is slower than the input model");
}

TEST_CASE_FIXTURE(Fixture, "run: one file that misses its target says so") {
  options.out_file = folder.path() / "q.onnx";
  options.out_dir.clear();
  json["targets"]["latency"] = {"0.6x", "0.4x"};
  meter = TableMeter({{"score-3", 500}, {"q.onnx", 500}});
  const RunOutcome outcome = run();
  CHECK(outcome.exit_code == 3);
  REQUIRE_FALSE(outcome.report.notes.empty());
  CHECK(outcome.report.notes.back() ==
        "the target is missed: measured 500 us, target 0.4x is 400 us");
  CHECK(fs::exists(options.out_file));
  json["targets"]["latency"] = {"0.6x"};
  CHECK(run().exit_code == 0);
}

TEST_CASE_FIXTURE(Fixture, "run: input shapes must fit the model") {
  json["input_shapes"]["imag"] = {1, 3, 32, 32};
  CHECK(error_text([&] { run(); }) ==
        "--input-shape: the model has no input 'imag'; did you mean 'image'?");
  CHECK(fs::is_empty(options.out_dir));
}

// Refuses every file whose path contains `part`, as the runtime would.
class RefusingMeter final : public LatencyMeter {
 public:
  explicit RefusingMeter(std::string part) : part_(std::move(part)) {}
  std::vector<MeasuredLatency> measure(
      const std::vector<fs::path>& models) override {
    for (const fs::path& model : models)
      if (model.string().find(part_) != std::string::npos)
        throw_input(model.string(), "the runtime refuses this model: because");
    return TableMeter({}).measure(models);
  }

 private:
  std::string part_;
};

TEST_CASE_FIXTURE(Fixture,
                  "run: an input model that does not run is an error") {
  RefusingMeter refusing("score-1");
  options.meter = &refusing;
  CHECK(error_text([&] { run(); }) ==
        "tiny.onnx: the runtime refuses this model: because (it was run on "
        "image:1x3x32x32; give samples or --input-shape that it can run on)");
  CHECK(fs::is_empty(options.out_dir));
}

TEST_CASE_FIXTURE(Fixture, "run: a stage that does not run costs its scores") {
  RefusingMeter refusing("score-2");
  options.meter = &refusing;
  const RunOutcome outcome = run();
  const Json report = written("report.json");
  CHECK_FALSE(report["stages"][1]["score"].contains("measured_latency_us"));
  CHECK(report["stages"][2]["score"].contains("measured_latency_us"));
  CHECK(report["notes"].dump().find("a stage's model cannot be scored: the "
                                    "runtime refuses this model: because") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "run: an output that is no folder") {
  write_file_atomic(folder.path() / "file", "x");
  options.out_dir = folder.path() / "file";
  CHECK(error_text([&] { run(); }) ==
        options.out_dir.string() + ": is no folder and none can be made here");
  options.out_dir.clear();
  options.out_file = folder.path();
  options.score = false;
  CHECK(error_text([&] { run(); }) ==
        folder.path().string() + ": is a folder; a file name is expected");
}

TEST_CASE("run: ResNet-20 on CIFAR images") {
  const fs::path model =
      test::shared_file("models/cifar10_resnet20/model.onnx");
  const fs::path images =
      test::shared_file("data/cifar10/cifar10_jpegdec_test_dev1k.bin.gz");
  if (model.empty() || images.empty()) return;
  TempDir folder;
  Json json = test::tiny_recipe();
  json["model"] = fs::absolute(model).string();
  json["data"] = {{"format", "cifar-binary"},
                  {"path", fs::absolute(images).string()},
                  {"image",
                   {{"scale", 1.0 / 255},
                    {"mean", {.485, .456, .406}},
                    {"std", {.229, .224, .225}}}}};
  json["samples"] = 400;
  json["targets"]["latency"] = {"1x"};
  RunOptions options;
  options.out_dir = folder.path() / "out";
  options.bench_seconds = 0.1;
  const RunOutcome outcome =
      run(parse(JsonText::wrap(json, "test recipe"), folder.path()), options);
  const Report& report = outcome.report;
  REQUIRE(report.stages.size() == 3);
  const double before = *report.stages[0].score.accuracy->top1;
  const double after = *report.stages[2].score.accuracy->top1;
  CHECK(before > 0.75);
  CHECK(after > before - 0.05);
  CHECK(report.stages[2].score.size_bytes <
        report.stages[0].score.size_bytes / 2);
  CHECK(report.stages[2].score.parameters > 260000);
  CHECK(report.stages[0].score.measured_latency->median_us > 0);
  REQUIRE(report.variants.size() == 1);
  MESSAGE("ResNet-20: ", report.stages[0].score.measured_latency->median_us,
          " us -> ", report.variants[0].score.measured_latency->median_us,
          " us (", report.variants[0].stage, "), top-1 ", before, " -> ",
          after);
}

TEST_CASE("report schema: the published file is the program's") {
  const auto path =
      fs::path(LATHE_SOURCE_DIR) / "docs" / "schemas" / "report.schema.json";
  const std::string made = report_schema().dump(2) + "\n";
  if (std::getenv("LATHE_WRITE_SCHEMAS")) write_file_atomic(path, made);
  CHECK_MESSAGE(read_file(path) == made,
                "run the tests with LATHE_WRITE_SCHEMAS=1 to write it again");
}

}  // namespace
}  // namespace lathe::recipes
