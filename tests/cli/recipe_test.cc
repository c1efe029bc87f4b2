// compress, run and their recipes, from outside.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/base/json.h"
#include "passes/base/text.h"
#include "recipes/pass_table.h"
#include "tests/cli/models.h"
#include "tests/cli/process.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::run_lathe;

TEST_CASE("a recipe with five mistakes gets five messages") {
  test::TempDir folder;
  write_file_atomic(folder.path() / "r.json",
                    "{\n"
                    "  \"schema_version\": 1,\n"
                    "  \"model\": 7,\n"
                    "  \"sampels\": 10,\n"
                    "  \"device\": {\"threads\": 0},\n"
                    "  \"targets\": {\"latency\": [\"fast\"]},\n"
                    "  \"stages\": [{\"pass\": \"quantise_static\"}]\n"
                    "}\n");
  const std::string passes = [] {
    std::vector<std::string> names;
    for (const std::string& name : recipes::pass_names())
      names.push_back("\"" + name + "\"");
    return join(names, ", ");
  }();
  const std::string messages =
      "error: r.json:3:12: /model: expected string, found number 7\n"
      "error: r.json:4:14: /sampels: unknown key 'sampels'; did you mean "
      "'samples'?\n"
      "error: r.json:5:25: /device/threads: 0 is out of range, expected at "
      "least 1\n"
      "error: r.json:6:27: /targets/latency/0: 'fast' does not start with a "
      "number; a target is like 5ms, 800us, 0.5x or 200fps\n"
      "error: r.json:7:23: /stages/0/pass: \"quantise_static\" is not one of " +
      passes + "; did you mean 'quantize_static'?\n";
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"run", "r.json", "-o", "out"}, {"validate", "r.json"}}) {
    const auto result = run_lathe(args, {folder.path(), {}});
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK(result.err == messages);
  }
  CHECK_FALSE(fs::exists(folder.path() / "out"));
}

TEST_CASE("run on the printed recipe gives the same bytes as compress") {
  test::TempDir folder;
  const test::ProcessOptions here{folder.path(), {}};
  test::write_small_model(folder.path() / "m.onnx");
  const std::vector<std::string> compress{
      "compress",         "m.onnx", "--data",     "synthetic", "--samples", "8",
      "--target-latency", "1000ms", "--max-drop", "100%",      "-o",        "a",
      "--seed",           "3"};
  auto printing = compress;
  printing.push_back("--print-recipe");
  const auto printed = run_lathe(printing, here);
  CHECK(printed.code == 0);
  CHECK(printed.err == "");
  CHECK_FALSE(fs::exists(folder.path() / "a"));
  const Json recipe = Json::parse(printed.out);
  CHECK(recipe["model"] == (folder.path() / "m.onnx").string());
  CHECK(recipe["seed"] == 3);
  CHECK(recipe["samples"] == 8);
  CHECK(recipe["targets"]["latency"] == Json::parse("[\"1000ms\"]"));
  fs::create_directory(folder.path() / "elsewhere");
  write_file_atomic(folder.path() / "elsewhere" / "r.json", printed.out);

  const auto first = run_lathe(compress, here);
  const auto second =
      run_lathe({"run", "elsewhere/r.json", "-o", "b", "--json"}, here);
  CAPTURE(first.err);
  CAPTURE(second.err);
  // A model this small need not gain from int8: 3 says so.
  REQUIRE((first.code == 0 || first.code == 3));
  REQUIRE((second.code == 0 || second.code == 3));
  CHECK(first.out.find("baseline") != std::string::npos);
  CHECK(first.out.find("\nreport: a/report.json\n") != std::string::npos);
  const Json report = Json::parse(second.out);
  CHECK(report == Json::parse(read_file(folder.path() / "b/report.json")));
  CHECK(report["stages"].size() == 7);
  for (const auto& entry :
       fs::directory_iterator(folder.path() / "a" / "variants")) {
    const fs::path other =
        folder.path() / "b" / "variants" / entry.path().filename();
    // Which stage is delivered rests on a measurement; its bytes do not.
    if (fs::exists(other)) CHECK(read_file(entry.path()) == read_file(other));
  }
  CHECK(
      run_lathe({"validate", "a/report.json", "elsewhere/r.json"}, here).code ==
      0);
}

TEST_CASE("targets can stand side by side") {
  const auto printed =
      run_lathe({"compress", "--target-latency", "2ms", "0.5x", "m.onnx",
                 "--data", "synthetic", "--print-recipe"});
  CHECK(printed.err == "");
  REQUIRE(printed.code == 0);
  CHECK(Json::parse(printed.out)["targets"]["latency"] ==
        Json::parse("[\"2ms\", \"0.5x\"]"));
  const auto wrong =
      run_lathe({"compress", "m.onnx", "n.onnx", "--target-latency", "2ms",
                 "--data", "synthetic", "-o", "out"});
  CHECK(wrong.code == 2);
  CHECK(wrong.err ==
        "error: lathe compress: expected one model, found m.onnx, n.onnx\n"
        "hint: see 'lathe help compress'\n");
}

TEST_CASE("compress --prune is a stage for the tightest target") {
  const auto compress = [](std::vector<std::string> more) {
    std::vector<std::string> args{"compress",  "m.onnx",  "--data",
                                  "synthetic", "--prune", "--print-recipe"};
    args.insert(args.end(), more.begin(), more.end());
    return run_lathe(args);
  };
  const auto printed = compress(
      {"--target-latency", "0.5x", "0.25x", "0.3x", "--max-drop", "2%"});
  CHECK(printed.err == "");
  REQUIRE(printed.code == 0);
  CHECK(Json::parse(printed.out)["stages"] == Json::parse(R"([
    {"pass": "simplify"},
    {"pass": "prune_channels",
     "options": {"latency_limit": "0.25x", "price": "int8"}},
    {"pass": "cross_layer_equalization"}, {"pass": "smooth_quant"},
    {"pass": "quantize_static", "options": {"max_drop": 0.02}},
    {"pass": "split_skip_layer_norm"}, {"pass": "block_pixels"}])"));
  const auto elsewhere = compress(
      {"--target-latency", "100fps", "20ms", "--device", "board.json"});
  REQUIRE(elsewhere.code == 0);
  CHECK(Json::parse(elsewhere.out)["stages"][1]["options"] ==
        Json::parse(R"({"latency_limit": "100fps", "price": "int8",
                        "confidence": 0.95})"));

  const auto mixed = compress({"--target-latency", "0.5x", "3ms"});
  CHECK(mixed.code == 2);
  CHECK(mixed.err ==
        "error: --prune: found the targets 0.5x and 3ms; the tightest decides "
        "what is pruned, and which of the two that is depends on the model\n"
        "hint: give targets that are all relative or none\n");
  const auto other = compress({"--target-latency", "3ms", "--preset", "fp16"});
  CHECK(other.code == 2);
  CHECK(other.err ==
        "error: --prune: found beside --preset fp16, expected int8-latency: "
        "what is pruned is priced as that quantizes it\n"
        "hint: put a stage prune_channels into a recipe (--print-recipe)\n");
}

TEST_CASE("run takes overrides and shared flags") {
  const auto printed = run_lathe(
      {"run", "int8-latency", "--set", "/model=m.onnx", "--set",
       "/data=synthetic", "--set", "/device/threads=2", "--set", "/samples=9",
       "--samples", "5", "--input-shape", "x:1x2", "--print-recipe"});
  CHECK(printed.err == "");
  REQUIRE(printed.code == 0);
  const Json recipe = Json::parse(printed.out);
  CHECK(recipe["device"]["threads"] == 2);
  CHECK(recipe["samples"] == 5);
  CHECK(recipe["input_shapes"] == Json::parse("{\"x\": [1, 2]}"));
}

TEST_CASE("Ctrl-C ends in 130 and leaves nothing half-written") {
  test::TempDir folder;
  test::write_small_model(folder.path() / "m.onnx");
  test::Process process({"bench", "m.onnx", "--runs", "10000000"},
                        {folder.path(), {}});
  REQUIRE(process.wait_for_stderr("bench\n"));
  process.signal(SIGINT);
  const auto result = process.finish();
  CHECK(result.code == 130);
  CHECK(result.out == "");
  CHECK(result.err == "bench\nerror: interrupted\n");

  test::Process quantizing(
      {"quantize", "m.onnx", "--data", "synthetic", "--samples", "10000000",
       "--placement", "all", "-o", "q.onnx"},
      {folder.path(), {}});
  REQUIRE(quantizing.wait_for_stderr("calibrate\n"));
  quantizing.signal(SIGINT);
  CHECK(quantizing.finish().code == 130);
  const auto left = std::distance(fs::directory_iterator(folder.path()), {});
  CHECK(left == 1);
}

}  // namespace
}  // namespace lathe
