// eval of language models and of half precision, and the gate on perplexity.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/text_format.h"
#include "tests/cli/model_folder.h"

namespace lathe {
namespace {

using test::keys;

struct Folder : test::ModelFolder {
  void write(const std::string& name, const std::string& graph) const {
    io::export_onnx(ir::parse_text("ir_version 8\nopset 17\n" + graph),
                    path(name));
  }
};

// All four tokens are as likely everywhere.
const char* const kUniform = R"(graph main {
  input %ids: int64[N,6]
  init %table = float[2,4] {1, 1, 1, 1, 0, 0, 0, 0}
  %logits: float[N,6,4] = Gather(%table, %ids) {axis = 0}
  output %logits
})";

TEST_CASE_FIXTURE(Folder, "eval of a language model needs no labels") {
  write("lm.onnx", kUniform);
  const auto result =
      run({"eval", "lm.onnx", "--data", "synthetic", "--samples", "3", "-q"});
  CHECK(result.code == 0);
  CHECK(result.out == "lm.onnx: 3 samples\nperplexity 4.000\n");
  CHECK(result.err ==
        "warning: the data is synthetic: the figures say nothing about real "
        "accuracy\n");
  const Json one = json({"eval", "lm.onnx", "--data", "synthetic"});
  CHECK(keys(one) == std::vector<std::string>{"schema_version", "path",
                                              "samples", "perplexity"});
  CHECK(one["perplexity"].get<double>() == doctest::Approx(4));
}

TEST_CASE_FIXTURE(Folder, "a gate on perplexity") {
  write("lm.onnx", kUniform);
  const auto run_with = [&](const std::string& bound) {
    write_file_atomic(path("r.json"),
                      R"({"schema_version": 1, "model": "lm.onnx",
                          "data": "synthetic", "samples": 4,
                          "targets": {"latency": ["1000ms"]},
                          "stages": [{"pass": "simplify"}],
                          "gates": {"max_perplexity": )" +
                          bound + "}}");
    return run({"run", "r.json", "-o", "out"});
  };
  const auto kept = run_with("4.5");
  CHECK(kept.code == 0);
  CHECK(kept.out.find("\ngate max_perplexity 4.5: passed (4)\n") !=
        std::string::npos);
  const Json report = Json::parse(read_file(path("out/report.json")));
  CHECK(report["stages"][0]["score"]["perplexity"].get<double>() ==
        doctest::Approx(4));
  CHECK(kept.out.find(", perplexity 4.000\n") != std::string::npos);
  CHECK(run_with("3.5").code == 3);
}

TEST_CASE_FIXTURE(Folder, "half inputs and the float model's samples") {
  const auto net = [](const std::string& type) {
    return "graph main {\n input %x: " + type + "[N,3]\n %y: " + type +
           "[N,3] = Neg(%x)\n output %y\n}";
  };
  write("float.onnx", net("float"));
  write("half.onnx", net("float16"));
  const Json found = json(
      {"eval", "half.onnx", "--data", "synthetic", "--against", "float.onnx"});
  CHECK(found["agreement"] == 1.0);
  const double difference = found["outputs"][0]["max_abs_diff"];
  CHECK(difference > 0);
  CHECK(difference < 0.002);
  CHECK(json({"eval", "half.onnx", "--data", "synthetic"})["samples"] == 32);
}

TEST_CASE_FIXTURE(Folder, "a stage with half inputs and outputs is scored") {
  write_file_atomic(path("r.json"),
                    R"({"schema_version": 1, "model": "m.onnx",
                        "data": "synthetic", "samples": 4,
                        "targets": {"latency": ["1000ms"]},
                        "stages": [{"pass": "simplify"},
                                   {"pass": "float16",
                                    "options": {"keep_io": false}}]})");
  const auto result = run({"run", "r.json", "-o", "out"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const Json stage =
      Json::parse(read_file(path("out/report.json")))["stages"].back();
  CHECK(stage["name"] == "float16");
  CHECK(stage["score"].contains("measured_latency_us"));
  CHECK(stage["score"]["agreement"] == 1.0);
}

}  // namespace
}  // namespace lathe
