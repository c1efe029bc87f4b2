// Golden pairs: tests/golden/quantize/*.golden. A file holds what it shows
// (lines with #), optional lines `pass NAME` (else quantize_static), `range
// NAME MIN MAX` and `then block_pixels` (the pass that runs on the result),
// then `--- before` and `--- after`, both in the text form.
// LATHE_UPDATE_GOLDEN=1 writes `after`.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

// Small models: no weights are too small.
std::unique_ptr<Pass> make_pass(const std::string& name) {
  if (name == "quantize_static") return make_quantize_static({});
  if (name == "quantize_dynamic")
    return make_quantize_dynamic({.min_elements = 0});
  if (name == "float16") return make_float16({});
  if (name == "bfloat16_weights")
    return make_bfloat16_weights({.min_elements = 4});
  if (name == "cross_layer_equalization")
    return make_cross_layer_equalization({});
  if (name == "smooth_quant") return make_smooth_quant({});
  if (name == "quantize_weights")
    return make_quantize_weights({.block_size = 16,
                                  .method = WeightOptions::Method::kRtn,
                                  .search_scale = false});
  if (name == "quantize_weights_qdq")
    return make_quantize_weights({.block_size = 16,
                                  .symmetric = false,
                                  .form = WeightOptions::Form::kQdq,
                                  .method = WeightOptions::Method::kRtn,
                                  .search_scale = false,
                                  .embeddings = true});
  throw_internal("golden", "no pass is named '" + name + "'");
}

void block(Outcome& outcome) {
  PassContext context;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(make_block_pixels({.max_channels = 16}));
  outcome.result = run_passes(outcome.model, passes, context);
}

TEST_CASE("quantize: golden pairs") {
  std::filesystem::path folder =
      std::filesystem::path(LATHE_SOURCE_DIR) / "tests/golden/quantize";
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".golden") paths.push_back(entry.path());
  std::ranges::sort(paths);
  REQUIRE(paths.size() >= 7);
  const char* update = std::getenv("LATHE_UPDATE_GOLDEN");
  for (const auto& path : paths) {
    std::string file = path.filename().string();
    CAPTURE(file);
    std::string text = read_file(path);
    const std::string kBefore = "--- before\n", kAfter = "--- after\n";
    size_t before = text.find(kBefore), after = text.find(kAfter);
    REQUIRE(before != std::string::npos);
    REQUIRE(after != std::string::npos);
    std::map<std::string, Range> ranges;
    bool blocks = false;
    std::string pass = "quantize_static";
    std::istringstream head(text.substr(0, before));
    for (std::string line; std::getline(head, line);) {
      std::istringstream words(line);
      std::string word, name;
      Range range;
      if (words >> word && word == "range" &&
          words >> name >> range.min >> range.max)
        ranges[name] = range;
      if (word == "pass") words >> pass;
      blocks = blocks || line == "then block_pixels";
    }
    before += kBefore.size();
    Outcome outcome =
        run_text(text.substr(before, after - before), make_pass(pass), ranges);
    if (blocks) block(outcome);
    std::string result = outcome.text();
    for (const Remark& remark : outcome.result.remarks)
      result += "# " + remark.node + ": " + remark.reason + "\n";
    after += kAfter.size();
    if (update && std::string(update) == "1")
      write_file_atomic(path, text.substr(0, after) + result);
    else
      CHECK(result == text.substr(after));
    // What was written is read again as the same, unless it is too long.
    if (!blocks)
      CHECK(ir::to_text(ir::parse_text(outcome.text())) == outcome.text());
  }
}

}  // namespace
}  // namespace lathe::quantize::test
