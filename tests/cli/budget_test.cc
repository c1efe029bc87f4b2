// Budgets of `lathe quantize` from outside.
#include "passes/base/file.h"
#include "tests/cli/model_folder.h"

namespace lathe {
namespace {

test::ProcessResult quantize(const test::ModelFolder& folder,
                             std::vector<std::string> more) {
  std::vector<std::string> all = {"quantize",  "m.onnx",    "--data",
                                  "synthetic", "--samples", "8",
                                  "-o",        "q.onnx",    "-q"};
  all.insert(all.end(), more.begin(), more.end());
  return folder.run(all);
}

TEST_CASE("what is no budget") {
  const test::ModelFolder folder;
  const auto message = [&](const std::vector<std::string>& more) {
    const auto result = quantize(folder, more);
    CHECK(result.code == 2);
    return result.err;
  };
  CHECK(message({"--min-sqnr", "loud"}) ==
        "error: --min-sqnr: found 'loud', expected a number of dB like 20\n");
  CHECK(
      message({"--target-latency", "3"}) ==
      "error: --target-latency: '3' has no unit; a target is like 5ms, 800us, "
      "0.5x or 200fps\n");
  CHECK(message({"--scheme", "fp16", "--max-drop", "1%"}) ==
        "error: --max-drop: --scheme fp16 has no such option\n"
        "hint: see 'lathe list passes' for what float16 takes\n");
  CHECK(message({"--scheme", "fp16", "--equalize", "off"}) ==
        "error: --equalize: --scheme fp16 evens out no channels\n"
        "hint: leave the flag away\n");
  CHECK(message({"--scheme", "fp16", "--adaround", "layer"}) ==
        "error: --adaround: --scheme fp16 has no weights that it could change\n"
        "hint: use it with --scheme int8\n");
  CHECK_FALSE(std::filesystem::exists(folder.path("q.onnx")));
}

TEST_CASE("a budget's report says what became of each layer") {
  const test::ModelFolder folder;
  const auto result = quantize(folder, {"--min-sqnr", "150dB", "--json"});
  CAPTURE(result.err);
  // A model this small is as fast either way: 3 says when it came out slower.
  REQUIRE((result.code == 0 || result.code == 3));
  const Json report = Json::parse(result.out);
  bool found = false;
  for (const Json& stage : report.at("stages")) {
    if (!stage.contains("layers")) continue;
    found = true;
    for (const Json& layer : stage.at("layers")) {
      CHECK(layer.at("precision") == "float");
      CHECK(layer.at("sqnr_db").is_number());
      CHECK(layer.at("saved_us").is_number());
      CHECK(layer.at("reason").get<std::string>().size() > 10);
    }
  }
  CHECK(found);
}

}  // namespace
}  // namespace lathe
