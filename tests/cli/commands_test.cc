// The commands on a small model, from outside.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "calibration/latency/session.h"
#include "passes/base/file.h"
#include "passes/base/json.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/text_format.h"
#include "tests/cli/model_folder.h"
#include "tests/cli/models.h"
#include "tests/cli/process.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

using test::keys;
using test::run_lathe;

using Bench = test::ModelFolder;

TEST_CASE("convert changes nothing") {
  Bench bench;
  const auto result = bench.run({"convert", "m.onnx", "-o", "copy.onnx"});
  CHECK(result.code == 0);
  CHECK(result.err == "");
  CHECK(result.out.starts_with("copy.onnx: opset 13, "));
  const ir::Model before = io::import_onnx(bench.path("m.onnx"));
  const ir::Model after = io::import_onnx(bench.path("copy.onnx"));
  const ir::TextOptions whole{/*max_elements=*/1 << 20, true};
  CHECK(ir::to_text(after, whole) == ir::to_text(before, whole));
  CHECK(read_file(bench.path("copy.onnx")) == read_file(bench.path("m.onnx")));
}

TEST_CASE("convert raises the opset, and the outputs stay") {
  Bench bench;
  const Json json =
      bench.json({"convert", "m.onnx", "-o", "new.onnx", "--opset", "17"});
  CHECK(json.at("opset") == 17);
  CHECK(io::import_onnx(bench.path("new.onnx")).opset() == 17);
  const NamedTensors inputs{
      {"input",
       ir::Tensor::from<float>({1, 3, 8, 8}, std::vector<float>(192, 0.25f))}};
  const auto before = latency::Session::open(bench.path("m.onnx"))->run(inputs);
  const auto after =
      latency::Session::open(bench.path("new.onnx"))->run(inputs);
  REQUIRE(after.size() == 1);
  CHECK(after[0].identical(before[0]));
}

TEST_CASE("convert says at once that the folder is missing") {
  Bench bench;
  const auto result = bench.run({"convert", "m.onnx", "-o", "no/copy.onnx"});
  CHECK(result.code == 2);
  CHECK(result.err ==
        "error: no/copy.onnx: the folder to write to does not exist\n"
        "hint: create it first\n");
}

TEST_CASE("bench prints the contract's keys") {
  Bench bench;
  bench.run({"convert", "m.onnx", "-o", "copy.onnx"});
  const Json json = bench.json({"bench", "m.onnx", "copy.onnx", "--runs", "5"});
  CHECK(keys(json) == std::vector<std::string>{"schema_version", "runtime",
                                               "threads", "models"});
  CHECK(keys(json["runtime"]) == std::vector<std::string>{"name", "version"});
  CHECK(json["threads"] == 1);
  REQUIRE(json["models"].size() == 2);
  for (const Json& model : json["models"]) {
    CHECK(keys(model) ==
          std::vector<std::string>{"path", "runs", "latency_us", "noisy"});
    CHECK(keys(model["latency_us"]) ==
          std::vector<std::string>{"min", "p10", "median", "p90"});
    CHECK(model["runs"] == 5);
    CHECK(model["latency_us"]["min"] > 0);
    CHECK(model["latency_us"]["min"] <= model["latency_us"]["median"]);
    CHECK(model["latency_us"]["median"] <= model["latency_us"]["p90"]);
  }
  CHECK(json["models"][1]["path"] == "copy.onnx");
}

TEST_CASE("bench refuses a shape for an input that no model has") {
  Bench bench;
  const auto result =
      bench.run({"bench", "m.onnx", "--input-shape", "inptu:1x3x8x8"});
  CHECK(result.code == 2);
  CHECK(result.err ==
        "error: --input-shape: no model has an input 'inptu'; did you mean "
        "'input'?\n");
}

TEST_CASE("inspect counts what the model has") {
  Bench bench;
  const Json json = bench.json({"inspect", "m.onnx"});
  CHECK(json["schema_version"] == 1);
  CHECK(json["opset"] == 13);
  CHECK(json["inputs"] == Json::parse(R"([{"name": "input", "type": "float",
                                           "shape": ["N", 3, 8, 8]}])"));
  CHECK(json["outputs"] == Json::parse(R"([{"name": "output", "type": "float",
                                            "shape": ["N", 4]}])"));
  CHECK(json["parameters"] == 8 * 27 + 4 * 8 + 8 * 4 + 4);
  CHECK(json["macs"] == 8 * 27 * 64 + 8 * 4);
  CHECK(json["size_bytes"] == std::filesystem::file_size(bench.path("m.onnx")));
  // BatchNormalization's input and output, [1, 8, 8, 8] floats each.
  CHECK(json["activation_bytes"] == 2 * 8 * 64 * 4);
  CHECK(json["nodes"] ==
        Json::parse(R"({"BatchNormalization": 1, "Conv": 1, "Flatten": 1,
                        "Gemm": 1, "GlobalAveragePool": 1, "Relu": 1})"));
  CHECK(json["heaviest"][0]["node"] == "conv");
  const Json twice =
      bench.json({"inspect", "m.onnx", "--input-shape", "2x3x8x8"});
  CHECK(twice["macs"] == 2 * (8 * 27 * 64 + 8 * 4));
  CHECK(twice["activation_bytes"] == 2 * 2 * 8 * 64 * 4);
  const auto text = bench.run({"inspect", "m.onnx"});
  CHECK(text.code == 0);
  CHECK(text.out.find("MACs              13.9 k  (input 1x3x8x8)\n") !=
        std::string::npos);
}

TEST_CASE("eval of a model against itself agrees") {
  Bench bench;
  const Json json = bench.json({"eval", "m.onnx", "--data", "synthetic",
                                "--against", "m.onnx", "--samples", "8"});
  CHECK(keys(json) == std::vector<std::string>{"schema_version", "path",
                                               "samples", "agreement",
                                               "outputs"});
  CHECK(json["samples"] == 8);
  CHECK(json["agreement"] == 1.0);
  REQUIRE(json["outputs"].size() == 1);
  CHECK(json["outputs"][0]["name"] == "output");
  CHECK(json["outputs"][0]["max_abs_diff"] == 0.0);
}

TEST_CASE("quantize writes a model that the runtime runs") {
  Bench bench;
  const auto result =
      bench.run({"quantize", "m.onnx", "--data", "synthetic", "-o", "q.onnx",
                 "--samples", "8", "-q", "--placement", "all"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out.starts_with("q.onnx: "));
  const Json json = bench.json({"inspect", "q.onnx"});
  CHECK(json["nodes"]["QuantizeLinear"] > 0);
  CHECK(bench.json({"eval", "q.onnx", "--data", "synthetic", "--against",
                    "m.onnx", "--samples", "8"})["outputs"][0]["cosine"] >
        0.95);
  // The runtime says the same of a second run's file, byte by byte.
  bench.run({"quantize", "m.onnx", "--data", "synthetic", "--placement", "all",
             "-o", "q2.onnx", "--samples", "8", "--jobs", "1"});
  CHECK(read_file(bench.path("q2.onnx")) == read_file(bench.path("q.onnx")));
}

TEST_CASE("quantize by schemes that need no samples") {
  Bench bench;
  struct Row {
    std::string scheme, pass;
    double cosine;
  };
  for (const Row& row : {Row{"int8-dynamic", "quantize_dynamic", 0.99},
                         Row{"fp16", "float16", 0.9999},
                         Row{"bf16-weights", "bfloat16_weights", 0.999},
                         Row{"int4-weights", "quantize_weights", 0.95},
                         Row{"int8-weights", "quantize_weights", 0.999}}) {
    CAPTURE(row.scheme);
    const Json report = bench.json(
        {"quantize", "m.onnx", "--scheme", row.scheme, "-o", "q.onnx"});
    CHECK(report["stages"].back()["pass"] == row.pass);
    CHECK(bench.json({"eval", "q.onnx", "--data", "synthetic", "--against",
                      "m.onnx", "--samples", "4"})["outputs"][0]["cosine"] >
          row.cosine);
  }
}

TEST_CASE("quantize weights as it is told to") {
  Bench bench;
  const std::vector<std::string> all = {
      "quantize",     "m.onnx", "--scheme",       "int8-weights",
      "--block-size", "64",     "--form",         "qdq",
      "--rounding",   "gptq",   "--data",         "synthetic",
      "--samples",    "4",      "--exclude-node", "nothing",
      "-o",           "q.onnx"};
  const Json stage = bench.json(all)["stages"].back();
  const Json& options = stage["options"];
  CHECK(options["bits"] == 8);
  CHECK(options["block_size"] == 64);
  CHECK(options["form"] == "qdq");
  CHECK(options["method"] == "gptq");
  CHECK(bench.json({"inspect", "q.onnx"})["nodes"]["DequantizeLinear"] == 1);
  const Json filters =
      bench.json({"quantize", "m.onnx", "--scheme", "int4-weights",
                  "--convolutions", "--rounding", "rtn", "-o", "q.onnx"});
  CHECK(filters["stages"].back()["options"]["convolutions"] == true);
  CHECK(filters["stages"].back()["options"]["form"] == "qdq");
  const auto wrong = bench.run({"quantize", "m.onnx", "--scheme", "fp16",
                                "--block-size", "64", "-o", "q.onnx"});
  CHECK(wrong.code == 2);
  CHECK(wrong.err ==
        "error: --block-size: --scheme fp16 has no such option\n"
        "hint: see 'lathe list passes' for what float16 takes\n");
}

TEST_CASE("quantize for a device") {
  Bench bench;
  const auto stage = [&](const char* device) {
    return bench.json({"quantize", "m.onnx", "--data", "synthetic", "-o",
                       "q.onnx", "--samples", "4", "--device", device});
  };
  // Every remark that weights are narrowed comes with the analytic AVX2.
  CHECK(stage("x86-64-avx2").dump().find("its weights have 7 bits") !=
        std::string::npos);
  CHECK(stage("x86-64-avx512-vnni").dump().find("its weights have 7 bits") ==
        std::string::npos);
  stage("arm64-neon-dotprod");
  CHECK(bench.json({"inspect", "q.onnx"})["nodes"]["QuantizeLinear"] > 0);
}

TEST_CASE("quantize leaves out what it is told to") {
  Bench bench;
  const auto result = bench.run(
      {"quantize", "m.onnx", "--data", "synthetic", "-o", "q.onnx", "--samples",
       "4", "--exclude-op", "Conv", "--exclude-op", "Gemm", "-q"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const Json json = bench.json({"inspect", "q.onnx"});
  CHECK_FALSE(json["nodes"].contains("QuantizeLinear"));
}

TEST_CASE("validate tells files apart and reports every error") {
  Bench bench;
  write_file_atomic(bench.path("data.json"),
                    "{\"format\": \"synthetic\",\n \"cuont\": 3,\n"
                    " \"seed\": -1}\n");
  write_file_atomic(bench.path("other.json"), "{\"a\": 1}");
  const auto result =
      bench.run({"validate", "m.onnx", "data.json", "other.json", "gone"});
  CHECK(result.code == 2);
  CHECK(result.out == "m.onnx: valid ONNX model\n");
  CHECK(result.err ==
        "error: data.json:2:11: /cuont: unknown key 'cuont'; did you mean "
        "'count'?\n"
        "error: data.json:3:10: /seed: -1 is out of range, expected at least "
        "0\n"
        "error: other.json:1:1: found JSON that is no recipe (key 'stages'), "
        "data descriptor (key 'format'), report (key 'variants'), device "
        "profile (key 'columns') or pruning plan (key 'groups')\n"
        "error: gone: no such file (check the path)\n");
  const auto json = bench.run({"validate", "m.onnx", "data.json", "--json"});
  CHECK(json.code == 2);
  const Json files = Json::parse(json.out)["files"];
  CHECK(files[0]["kind"] == "ONNX model");
  CHECK(files[0]["valid"] == true);
  CHECK(files[1]["kind"] == "data descriptor");
  CHECK(files[1]["valid"] == false);
  CHECK(files[1]["errors"].size() == 2);
  CHECK(bench.run({"validate", "m.onnx"}).code == 0);
}

}  // namespace
}  // namespace lathe
