// Golden pairs: tests/golden/rewrite/*.golden. A file holds what it shows
// (lines with #), "pass NAME [OPSET]", "--- before", a model in the text form,
// "--- after", and the model after the pass, then its remarks with #. With
// LATHE_UPDATE_GOLDEN=1 the second half is written anew. Both halves also run
// in the runtime on the same input, and must answer alike.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "calibration/latency/bench.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/rewrite/rewrite_test_support.h"

namespace lathe::rewrite {
namespace {

constexpr double kTolerance = 1e-5;  // relative to the largest element

std::unique_ptr<Pass> make_pass(const std::string& name, int64_t opset) {
  if (name == "raise_opset") return make_raise_opset(opset);
  if (name == "remove_initializers_from_inputs")
    return make_remove_initializers_from_inputs();
  if (name == "constants_to_initializers")
    return make_constants_to_initializers();
  if (name == "fold_constants") return make_fold_constants();
  if (name == "fold_batch_norm") return make_fold_batch_norm();
  if (name == "drop_identities") return make_drop_identities();
  if (name == "remove_dead_code") return make_remove_dead_code();
  if (name == "infer_shapes") return make_infer_shapes();
  if (name == "simplify") return make_simplify(opset);
  throw_internal("golden", "no pass is named '" + name + "'");
}

struct Golden {
  std::string head, pass, before, after;
  int64_t opset = 17;
};

Golden read_golden(const std::filesystem::path& path) {
  std::string text = read_file(path);
  size_t before = text.find("--- before\n"), after = text.find("--- after\n");
  REQUIRE_MESSAGE(before != std::string::npos, path.string());
  Golden golden;
  golden.head = text.substr(0, before);
  before += std::string("--- before\n").size();
  golden.before = text.substr(before, after - before);
  if (after != std::string::npos)
    golden.after = text.substr(after + std::string("--- after\n").size());
  size_t pass = golden.head.find("\npass ");
  REQUIRE_MESSAGE(pass != std::string::npos, path.string());
  std::istringstream words(golden.head.substr(pass + 6));
  words >> golden.pass;
  if (int64_t opset; words >> opset) golden.opset = opset;
  return golden;
}

void compare_in_runtime(const ir::Model& before, const ir::Model& after) {
  NamedTensors inputs =
      latency::random_inputs(before, ir::default_input_shapes(before), 7);
  auto expected = run_plain(before, inputs, "before");
  auto found = run_plain(after, inputs, "after");
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(relative_difference(expected[i], found[i]) <= kTolerance);
}

TEST_CASE("rewrite: golden pairs") {
  std::filesystem::path folder =
      std::filesystem::path(LATHE_SOURCE_DIR) / "tests/golden/rewrite";
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".golden") paths.push_back(entry.path());
  std::ranges::sort(paths);
  REQUIRE(paths.size() >= 9);  // one a pass at least
  const char* update = std::getenv("LATHE_UPDATE_GOLDEN");
  for (const auto& path : paths) {
    std::string file = path.filename().string();
    CAPTURE(file);
    Golden golden = read_golden(path);
    CHECK(file.starts_with(golden.pass + "."));
    ir::Model before = ir::parse_text(golden.before, file);
    ir::Model after = ir::clone(before);
    PassResult result = apply_pass(after, make_pass(golden.pass, golden.opset));
    std::string text = ir::to_text(after);
    for (const std::string& remark : texts(result.remarks))
      text += "# " + remark + "\n";
    if (update && std::string(update) == "1")
      write_file_atomic(path, golden.head + "--- before\n" + golden.before +
                                  "--- after\n" + text);
    else
      CHECK(text == golden.after);
    if (golden.head.find("# not run") == std::string::npos)
      compare_in_runtime(before, after);
  }
}

}  // namespace
}  // namespace lathe::rewrite
