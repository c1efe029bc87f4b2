// Options of quantize_static.
#include <nlohmann/json.hpp>
#include <optional>

#include "calibration/ranges/observer.h"
#include "passes/quantize/quantize.h"
#include "recipes/pass_options.h"
#include "recipes/targets.h"

namespace lathe::recipes {
namespace {

constexpr const char* kQuantizeStaticOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "activation_type": {
      "description": "integer type of activations; default: uint8 where the device is an x86, int8 where it is an Arm; 16 bits run in float between Q and DQ",
      "enum": ["uint8", "int8", "uint16", "int16"]},
    "activation_symmetric": {
      "description": "ranges [-m, m] with zero in the middle of the codes",
      "type": "boolean", "default": false},
    "weight_bits": {
      "description": "8: codes -127..127; 7: -63..63, which no kernel saturates",
      "type": "integer", "minimum": 7, "maximum": 8, "default": 8},
    "saturation": {
      "description": "auto: layers whose products could saturate on the device (x86 without VNNI) get 7-bit weights",
      "enum": ["auto", "ignore"], "default": "auto"},
    "per_channel": {
      "description": "a weight scale for each output channel instead of one a tensor",
      "type": "boolean", "default": true},
    "placement": {
      "description": "latency: integer kernels where they pay by the device's profile; all: wherever the runtime has one",
      "enum": ["latency", "all"], "default": "latency"},
    "max_drop": {
      "description": "mixed precision: layers stay in float until top-1 (agreement without labels) drops by no more than this fraction",
      "type": "number", "minimum": 0, "maximum": 1},
    "min_sqnr_db": {
      "description": "mixed precision: layers stay in float until every output has this signal to quantization noise against the float model, in dB",
      "type": "number"},
    "latency_limit": {
      "description": "mixed precision: of the assignments whose estimate is within this ('3ms', '0.5x' of the float model's), the one that disturbs the outputs least",
      "type": "string"},
    "sensitivity_samples": {
      "description": "mixed precision: samples that each layer's sensitivity is measured on",
      "type": "integer", "minimum": 1, "default": 16},
    "observer": {
      "description": "how the ranges of activations follow from the data"},
    "percentile": {
      "description": "observer percentile: the share of elements in the range, in percent",
      "type": "number", "exclusiveMinimum": 50, "maximum": 100}}})";

std::optional<double> number(const Json& options, const char* key) {
  const auto found = options.find(key);
  if (found == options.end()) return std::nullopt;
  return found->get<double>();
}

quantize::PrecisionBudget precision_budget(const Json& options) {
  quantize::PrecisionBudget budget;
  budget.max_drop = number(options, "max_drop");
  budget.min_sqnr_db = number(options, "min_sqnr_db");
  budget.samples = options.value("sensitivity_samples", budget.samples);
  if (const auto limit = options.find("latency_limit"); limit != options.end())
    budget.latency_limit_us =
        [target = parse_target(limit->get<std::string>(),
                               "quantize_static.latency_limit")](
            double float_us) { return target.limit_us(float_us); };
  return budget;
}

}  // namespace

// The text above with the observers' names and the defaults.
const char* quantize_static_options() {
  static const std::string text = [] {
    Json schema = Json::parse(kQuantizeStaticOptions);
    Json& properties = schema["properties"];
    properties["observer"]["enum"] = ranges::observer_names();
    properties["observer"]["default"] = ranges::default_observer().name;
    properties["percentile"]["default"] = ObserverOptions{}.percentile;
    return with_exclusions(schema.dump());
  }();
  return text.c_str();
}

PassPtr make_quantize_static(const Json& options) {
  quantize::QuantizeOptions made;
  made.activation_type =
      data_type(options, "activation_type", ir::DataType::kUndefined);
  made.activation_symmetric =
      options.value("activation_symmetric", made.activation_symmetric);
  made.weight_bits = options.value("weight_bits", made.weight_bits);
  made.pairs_saturate = pairs_saturate(options);
  made.per_channel = options.value("per_channel", made.per_channel);
  made.budget = precision_budget(options);
  if (options.value("placement", "") == "all")
    made.placement = quantize::PlacementRule::kAll;
  made.observer.name = options.value("observer", made.observer.name);
  made.observer.percentile =
      options.value("percentile", made.observer.percentile);
  read_exclusions(options, made.exclude_nodes, made.exclude_operators);
  return quantize::make_quantize_static(std::move(made));
}

}  // namespace lathe::recipes
