// Choosing an observer from outside.
#include <set>

#include "calibration/ranges/observer.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "tests/cli/model_folder.h"

namespace lathe {
namespace {

std::vector<std::string> arguments(const std::vector<std::string>& more) {
  std::vector<std::string> all = {
      "quantize",  "m.onnx", "--data", "synthetic",   "-o", "q.onnx",
      "--samples", "8",      "-q",     "--placement", "all"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST_CASE("quantize calibrates as it is told to") {
  const test::ModelFolder folder;
  const auto bytes = [&](const std::vector<std::string>& more) {
    const auto result = folder.run(arguments(more));
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return read_file(folder.path("q.onnx"));
  };
  std::set<std::string> models;
  for (const char* name : {"min-max", "moving-average", "entropy", "mse"})
    models.insert(bytes({"--calibration", name}));
  models.insert(bytes({"--calibration", "percentile", "--percentile", "99"}));
  CHECK(models.size() == 5);
  CHECK(bytes({"--calibration", "percentile"}) == bytes({}));
  CHECK(bytes({"--calibration", "percentile", "--percentile", "100"}) ==
        bytes({"--calibration", "min-max"}));
}

TEST_CASE("what is no way to calibrate") {
  const test::ModelFolder folder;
  const auto unknown = folder.run(arguments({"--calibration", "entropie"}));
  CHECK(unknown.code == 2);
  CHECK(unknown.err ==
        "error: --calibration: found 'entropie', expected one of min-max, "
        "moving-average, percentile, entropy, mse; did you mean 'entropy'?\n");
  for (const char* percentile : {"50", "100.1", "most", "99%", "nan"}) {
    const auto result = folder.run(arguments({"--percentile", percentile}));
    CHECK(result.code == 2);
    CHECK(result.err == std::string("error: --percentile: found '") +
                            percentile +
                            "', expected a number above 50 and at most 100\n");
  }
}

TEST_CASE("the list of observers is the table") {
  const test::ModelFolder folder;
  std::vector<std::string> names;
  const Json json = folder.json({"list", "observers"});
  for (const Json& item : json.at("items"))
    names.push_back(item.at("name").get<std::string>());
  CHECK(names == ranges::observer_names());
}

}  // namespace
}  // namespace lathe
