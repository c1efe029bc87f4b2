// Options of the passes that remove what contributes least.
#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/prune/prune.h"
#include "passes/prune/repair.h"
#include "passes/prune/saliency.h"
#include "passes/prune/scale_width.h"
#include "recipes/int8_form.h"
#include "recipes/pass_options.h"
#include "recipes/targets.h"

namespace lathe::recipes {
namespace {

constexpr uint64_t kMaxPlanBytes = uint64_t{64} << 20;

constexpr const char* kPruneChannelsOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "latency_limit": {
      "description": "the estimated latency to reach: '3ms', '800us', '200fps', or '0.5x' of the model's as it comes to the stage; this or 'plan' is needed",
      "type": "string"},
    "price": {
      "description": "what has to be within latency_limit: the model as_is, or what the stages of the preset int8-latency make of it",
      "enum": ["as_is", "int8"], "default": "as_is"},
    "confidence": {
      "description": "with which probability the latency is to lie within latency_limit; '0.5x' refers to the latency that the model stays within with the same",
      "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.5},
    "plan": {
      "description": "what to remove, instead of solving for a latency: a plan, or the path of a plan file"},
    "iterations": {
      "description": "steps to the latency; saliency is measured anew before each",
      "type": "integer", "minimum": 1, "default": 1},
    "saliency": {
      "description": "how what a unit contributes is measured; default: fisher where data is given, else l2"},
    "samples": {
      "description": "samples that saliency and repair look at; 0: the default",
      "type": "integer", "minimum": 0, "default": 0},
    "max_ratio": {
      "description": "the most of a group's units that may go",
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.95},
    "min_units": {
      "description": "units that every group keeps",
      "type": "integer", "minimum": 1, "default": 1},
    "keep": {
      "description": "groups, or nodes whose groups, stay whole: names, with * for any run of characters",
      "type": "array", "items": {"type": "string"}, "default": []},
    "rescaling": {
      "description": "units that a normalization is taken over may go as well, which changes its statistics",
      "type": "boolean", "default": false},
    "blocks": {
      "description": "residual branches may go as a whole",
      "type": "boolean", "default": true},
    "repair": {
      "description": "what is left makes up for what went, by samples where data is given",
      "type": "boolean", "default": true},
    "mask": {
      "description": "zeros in the place of what would go; nothing gets smaller",
      "type": "boolean", "default": false}}})";

constexpr const char* kReestimateOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "samples": {
      "description": "samples that statistics are taken over",
      "type": "integer", "minimum": 1, "default": 1024}}})";

constexpr const char* kMomentsOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "samples": {
      "description": "samples to fit to; fewer where memory_mib does not hold them",
      "type": "integer", "minimum": 1, "default": 1024},
    "memory_mib": {
      "description": "MiB of values held between two layers",
      "type": "integer", "minimum": 1, "maximum": 1048576, "default": 1024}}})";

constexpr const char* kRidgeOption = R"({
    "ridge": {
      "description": "times the mean variance of a product's inputs: the least penalty that is tried for a weight's distance from what it was",
      "type": "number", "exclusiveMinimum": 0, "default": 0.000001}})";

constexpr const char* kScaleWidthOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "ratio": {
      "description": "share of each group's channels that stays",
      "type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.5},
    "depth": {
      "description": "share of the residual branches of each kind that stays, evenly spread",
      "type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
    "weights": {
      "description": "those of the channels that stay, or drawn anew",
      "enum": ["inherited", "fresh"], "default": "inherited"},
    "multiple_of": {
      "description": "widths are rounded to a multiple of it",
      "type": "integer", "minimum": 1, "default": 8},
    "saliency": {
      "description": "by what the channels to inherit are chosen; default: fisher where data is given, else l2"},
    "samples": {
      "description": "samples that saliency looks at; 0: the default",
      "type": "integer", "minimum": 0, "default": 0},
    "keep": {
      "description": "groups, or nodes whose groups, stay whole: names, with * for any run of characters",
      "type": "array", "items": {"type": "string"}, "default": []}}})";

constexpr const char* kSparsifyWeightsOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "sparsity": {
      "description": "share of each weight's elements that become zero",
      "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.5},
    "pattern": {
      "description": "instead of a share, N:M: of every M elements along what is summed over at most N stay, as '2:4'",
      "type": "string", "pattern": "^[1-9][0-9]{0,3}:[1-9][0-9]{0,3}$"},
    "keep": {
      "description": "nodes left alone: names, with * for any run of characters",
      "type": "array", "items": {"type": "string"}, "default": []}}})";

void read_plan(const Json& options, prune::PruneOptions& made) {
  const auto plan = options.find("plan");
  if (plan == options.end()) return;
  if (!plan->is_string()) {
    made.plan = plan->dump();
    return;
  }
  made.plan_where = plan->get<std::string>();
  made.plan = read_file(made.plan_where, kMaxPlanBytes);
}

prune::RepairOptions repair_options(const Json& options) {
  constexpr int64_t kMebibyte = int64_t{1} << 20;
  prune::RepairOptions made;
  made.samples = options.value("samples", made.samples);
  made.memory =
      options.value("memory_mib", made.memory / kMebibyte) * kMebibyte;
  made.ridge = options.value("ridge", made.ridge);
  return made;
}

}  // namespace

// The text above with the table of saliencies and the plan's schema.
const char* prune_channels_options() {
  static const std::string text = [] {
    Json schema = Json::parse(kPruneChannelsOptions);
    Json& properties = schema["properties"];
    properties["saliency"]["enum"] = prune::saliency_names();
    Json plan = Json::parse(prune::plan_schema());
    for (const char* key : {"$schema", "title"}) plan.erase(key);
    properties["plan"]["oneOf"] = {{{"type", "string"}, {"minLength", 1}},
                                   std::move(plan)};
    return schema.dump();
  }();
  return text.c_str();
}

PassPtr make_prune_channels(const Json& options) {
  prune::PruneOptions made;
  if (const auto limit = options.find("latency_limit"); limit != options.end())
    made.latency_limit_us =
        [target = parse_target(limit->get<std::string>(),
                               "prune_channels.latency_limit")](
            double dense_us) { return target.limit_us(dense_us); };
  if (options.value("price", "") == "int8") made.form = {"int8", int8_form};
  made.confidence = options.value("confidence", made.confidence);
  read_plan(options, made);
  made.iterations = options.value("iterations", made.iterations);
  made.saliency = options.value("saliency", made.saliency);
  made.samples = options.value("samples", made.samples);
  made.max_ratio = options.value("max_ratio", made.max_ratio);
  made.min_units = options.value("min_units", made.min_units);
  made.keep = options.value("keep", made.keep);
  made.rescaling = options.value("rescaling", made.rescaling);
  made.blocks = options.value("blocks", made.blocks);
  made.repair = options.value("repair", made.repair);
  made.mask = options.value("mask", made.mask);
  return prune::make_prune_channels(std::move(made));
}

const char* reestimate_batch_norm_options() { return kReestimateOptions; }

const char* match_channel_moments_options() { return kMomentsOptions; }

const char* reconstruct_consumers_options() {
  static const std::string text = [] {
    Json schema = Json::parse(kMomentsOptions);
    schema["properties"].update(Json::parse(kRidgeOption));
    return schema.dump();
  }();
  return text.c_str();
}

PassPtr make_reestimate_batch_norm(const Json& options) {
  return prune::make_reestimate_batch_norm(repair_options(options));
}

PassPtr make_match_channel_moments(const Json& options) {
  return prune::make_match_channel_moments(repair_options(options));
}

PassPtr make_reconstruct_consumers(const Json& options) {
  return prune::make_reconstruct_consumers(repair_options(options));
}

const char* scale_width_options() {
  static const std::string text = [] {
    Json schema = Json::parse(kScaleWidthOptions);
    schema["properties"]["saliency"]["enum"] = prune::saliency_names();
    return schema.dump();
  }();
  return text.c_str();
}

PassPtr make_scale_width(const Json& options) {
  prune::ScaleWidthOptions made;
  made.ratio = options.value("ratio", made.ratio);
  made.depth = options.value("depth", made.depth);
  if (options.value("weights", "") == "fresh")
    made.weights = prune::StudentWeights::kFresh;
  made.multiple_of = options.value("multiple_of", made.multiple_of);
  made.saliency = options.value("saliency", made.saliency);
  made.samples = options.value("samples", made.samples);
  made.keep = options.value("keep", made.keep);
  return prune::make_scale_width(std::move(made));
}

const char* sparsify_weights_options() { return kSparsifyWeightsOptions; }

PassPtr make_sparsify_weights(const Json& options) {
  prune::SparsifyOptions made;
  made.sparsity = options.value("sparsity", made.sparsity);
  if (const std::string pattern = options.value("pattern", "");
      !pattern.empty()) {
    const size_t colon = pattern.find(':');
    made.n = std::stoll(pattern.substr(0, colon));
    made.m = std::stoll(pattern.substr(colon + 1));
  }
  made.keep = options.value("keep", made.keep);
  return prune::make_sparsify_weights(std::move(made));
}

}  // namespace lathe::recipes
