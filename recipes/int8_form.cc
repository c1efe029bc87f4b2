#include "recipes/int8_form.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "passes/activation_ranges.h"
#include "passes/pass.h"
#include "recipes/pass_table.h"
#include "recipes/recipe.h"

namespace lathe::recipes {
namespace {

// [-1, 1] for every value.
class UnitRanges final : public RangeCollector {
 public:
  ActivationRanges collect(const ir::Model&,
                           const std::vector<std::string>& values,
                           ProgressSink&, const CancelToken*) override {
    ActivationRanges ranges;
    for (const std::string& value : values) ranges[value] = {-1, 1};
    return ranges;
  }
};

}  // namespace

ir::Model int8_form(const ir::Model& model, const PassContext& context) {
  const Json recipe = Json::parse(find_preset("int8-latency").json);
  std::vector<std::unique_ptr<Pass>> passes;
  for (const Json& stage : recipe.at("stages")) {
    const std::string name = stage.at("pass").get<std::string>();
    if (!passes.empty() || name == "quantize_static")
      passes.push_back(
          find_pass(name)->make(stage.value("options", Json::object())));
  }
  UnitRanges ranges;
  PassContext quiet = context;
  quiet.progress = &silent_progress();
  quiet.ranges = &ranges;
  ir::Model quantized = ir::clone(model);
  run_passes(quantized, passes, quiet);
  return quantized;
}

}  // namespace lathe::recipes
