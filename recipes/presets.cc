#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "recipes/recipe.h"

namespace lathe::recipes {
namespace {

constexpr Preset kPresets[] = {
    {"int8-latency",
     "Static int8 for the lowest latency: simplify, even out channels, "
     "quantize, "
     "keep sums out of slow normalizations, block pixels",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"}, {"pass": "cross_layer_equalization"},
            {"pass": "smooth_quant"}, {"pass": "quantize_static"},
            {"pass": "split_skip_layer_norm"}, {"pass": "block_pixels"}]})"},
    {"int8-dynamic",
     "Dynamic int8 for products and LSTMs, without samples: simplify, quantize",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"}, {"pass": "quantize_dynamic"}]})"},
    {"fp16", "Half the size in half precision: simplify, float16",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"}, {"pass": "float16"}]})"},
    {"bf16-weights",
     "Half the size, as fast as before: simplify, weights as bfloat16",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"}, {"pass": "bfloat16_weights"}]})"},
    {"int4-weights",
     "Products' weights in 4 bits, by GPTQ where data is given: simplify, "
     "quantize",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"},
            {"pass": "quantize_weights", "options": {"bits": 4}}]})"},
    {"int8-weights",
     "Products' weights in 8 bits, by GPTQ where data is given: simplify, "
     "quantize",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"},
            {"pass": "quantize_weights", "options": {"bits": 8}}]})"},
    {"prune",
     "Fewer channels, heads and blocks, as many as a latency asks for: "
     "simplify, prune",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"}, {"pass": "prune_channels"}]})"},
    {"distill",
     "A student trained to compute what the input model computes: put "
     "load_student or scale_width in front",
     R"({"schema_version": 1,
 "stages": [{"pass": "distill"}, {"pass": "reestimate_batch_norm"}]})"},
    {"sparse-weights", "Zeros for the smallest weights: simplify, sparsify",
     R"({"schema_version": 1,
 "stages": [{"pass": "simplify"}, {"pass": "sparsify_weights"}]})"},
    {"simplify", "The same outputs from fewer nodes, in float: simplify alone",
     R"({"schema_version": 1, "stages": [{"pass": "simplify"}]})"},
};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

const Preset& find_preset(std::string_view name) {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset;
    names.emplace_back(preset.name);
  }
  throw Error(ErrorKind::kUsage, std::string(name),
              "no preset has this name" + did_you_mean(name, names),
              "the presets are " + join(names, ", "));
}

Json from_preset(std::string_view name, const Json& changes) {
  Json recipe = Json::parse(find_preset(name).json);
  recipe.merge_patch(changes);
  return recipe;
}

}  // namespace lathe::recipes
