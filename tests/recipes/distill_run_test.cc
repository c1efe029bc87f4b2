// Training as stages of a run.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/base/json_schema.h"
#include "tests/recipes/error_text.h"
#include "tests/recipes/run_fixture.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;
using test::error_text;

struct Fixture : test::RunFixture {
  Fixture() {
    ir::Model student = test::tiny_classifier();
    for (ir::Value* value : student.graph->initializers()) {
      std::vector<float> values = value->tensor().to_floats();
      for (float& v : values) v *= 0.5F;
      value->set_tensor(
          ir::Tensor::from<float>(value->tensor().dims(), values));
    }
    io::export_onnx(student, folder.path() / "student.onnx");
    json["targets"]["latency"] = {"1000ms"};
    json["stages"] = Json::parse(R"([
      {"pass": "load_student", "options": {"student": "student.onnx"}},
      {"pass": "distill", "options": {
         "steps": 6, "batch_size": 8, "held_out": 8, "patience": 5,
         "losses": [{"loss": "kl", "temperature": 2}, {"loss": "mse"}]}}])");
  }
};

TEST_CASE_FIXTURE(Fixture, "run: a student is loaded, trained and reported") {
  REQUIRE(run().exit_code == 0);
  const JsonText text = JsonText::read(options.out_dir / "report.json");
  const std::string schema = report_schema().dump();
  CHECK(validate_schema(text, "", schema.c_str()) ==
        std::vector<std::string>{});
  const Json& stages = text.root()["stages"];
  CHECK_FALSE(stages[1].contains("training"));
  const Json& training = stages[2]["training"];
  CHECK(training["steps"] == 6);
  CHECK(training["samples"] == 48);
  CHECK(training["resumed_at"] == 0);
  REQUIRE(training["curve"].size() == 6);
  CHECK(training["curve"][5]["terms"].size() == 2);
  CHECK(training["curve"][5].contains("held_out_accuracy"));
  CHECK(text.root()["inputs"]["student"]["files"][0]["path"] ==
        fs::absolute(folder.path() / "student.onnx").string());
  // What is left of the work are the metrics.
  CHECK(test::files_below(options.out_dir)
            .contains("variants/tiny-student-distilled.onnx"));
  for (const std::string& file : test::files_below(folder.path()))
    CHECK(file.find("checkpoint") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "run: training repeats to the byte") {
  const auto bytes = [&] {
    REQUIRE(run().exit_code == 0);
    return read_file(options.out_dir / "variants/tiny-student-distilled.onnx");
  };
  const std::string first = bytes();
  CHECK(bytes() == first);
  json["seed"] = 77;
  CHECK(bytes() != first);
}

TEST_CASE_FIXTURE(Fixture, "run: what is wrong with a stage that trains") {
  json["stages"][1]["options"]["optimizer"] = "adam";
  json["stages"][1]["options"]["losses"][0]["loss"] = "kld";
  json["stages"][1]["options"]["ema"] = 1;
  json["stages"][1]["options"]["step"] = 4;
  CHECK(error_text([&] { recipe(); }) ==
        "test recipe: /stages/1/options/losses/0/loss: \"kld\" is not one of "
        "\"kl\", \"dkd\", \"dist\", \"mse\", \"cosine\", \"cross_entropy\", "
        "\"features\", \"attention\"; did you mean 'kl'?\n"
        "test recipe: /stages/1/options/optimizer: \"adam\" is not one of "
        "\"sgd\", \"adamw\"; did you mean 'adamw'?\n"
        "test recipe: /stages/1/options/ema: 1 is out of range, expected less "
        "than 1\n"
        "test recipe: /stages/1/options/step: unknown key 'step'; did you mean "
        "'steps'?");
}

}  // namespace
}  // namespace lathe::recipes
