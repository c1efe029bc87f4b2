// Options of the passes that keep an int8 model close to the float one.
#include <nlohmann/json.hpp>
#include <optional>

#include "passes/quantize/quantize.h"
#include "recipes/pass_options.h"

namespace lathe::recipes {
namespace {

constexpr const char* kScalingOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "power_of_two": {
      "description": "factors of channels are powers of two: outputs in float stay the same to the bit",
      "type": "boolean", "default": true},
    "min_gain_db": {
      "description": "decibels by which the predicted int8 error has to fall, else channels stay as they are",
      "type": "number", "minimum": 0, "default": 6},
    "samples": {
      "description": "samples that the ranges of channels are taken from; 0: all",
      "type": "integer", "minimum": 0, "default": 4}}})";

constexpr const char* kSmoothQuantOptions = R"({
    "alpha": {
      "description": "1: activations become even, 0: weights",
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
    "insert_mul": {
      "description": "where nothing can take the factors in, as after Gelu, a Mul in front of the product does",
      "type": "boolean", "default": true},
    "min_mul_gain_db": {
      "description": "insert_mul: decibels by which the predicted int8 error has to fall",
      "type": "number", "minimum": 0, "default": 10}})";

constexpr const char* kBiasCorrectionOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "samples": {
      "description": "samples that means are taken over",
      "type": "integer", "minimum": 1, "default": 32}}})";

constexpr const char* kAdaroundOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "granularity": {
      "description": "what is reconstructed as a whole: a layer, or the block between two places where one value is all that goes on",
      "enum": ["layer", "block"], "default": "layer"},
    "steps": {
      "description": "steps of Adam for each layer or block",
      "type": "integer", "minimum": 1, "default": 1000},
    "samples": {
      "description": "samples to learn from, an eighth of them held out",
      "type": "integer", "minimum": 1, "default": 512},
    "batch_size": {
      "description": "samples of a step",
      "type": "integer", "minimum": 1, "default": 8},
    "learning_rate": {
      "description": "of Adam",
      "type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.05},
    "regularization": {
      "description": "weight of the term that drives each weight up or down",
      "type": "number", "minimum": 0, "default": 10}}})";

quantize::ScalingOptions scaling_options(const Json& options) {
  quantize::ScalingOptions made;
  made.power_of_two = options.value("power_of_two", made.power_of_two);
  made.min_gain_db = options.value("min_gain_db", made.min_gain_db);
  made.samples = options.value("samples", made.samples);
  return made;
}

}  // namespace

const char* smooth_quant_options() {
  static const std::string text = [] {
    Json schema = Json::parse(kScalingOptions);
    schema["properties"].update(Json::parse(kSmoothQuantOptions));
    return schema.dump();
  }();
  return text.c_str();
}

PassPtr make_cross_layer_equalization(const Json& options) {
  return quantize::make_cross_layer_equalization(scaling_options(options));
}

PassPtr make_smooth_quant(const Json& options) {
  quantize::SmoothOptions made;
  made.scaling = scaling_options(options);
  made.alpha = options.value("alpha", made.alpha);
  made.insert_mul = options.value("insert_mul", made.insert_mul);
  made.min_mul_gain_db = options.value("min_mul_gain_db", made.min_mul_gain_db);
  return quantize::make_smooth_quant(made);
}

PassPtr make_bias_correction(const Json& options) {
  quantize::BiasCorrectionOptions made;
  made.samples = options.value("samples", made.samples);
  return quantize::make_bias_correction(made);
}

PassPtr make_adaround(const Json& options) {
  using Made = quantize::AdaroundOptions;
  Made made;
  if (options.value("granularity", "") == "block")
    made.granularity = Made::Granularity::kBlock;
  made.steps = options.value("steps", made.steps);
  made.samples = options.value("samples", made.samples);
  made.batch_size = options.value("batch_size", made.batch_size);
  made.learning_rate = options.value("learning_rate", made.learning_rate);
  made.regularization = options.value("regularization", made.regularization);
  return quantize::make_adaround(made);
}

const char* cross_layer_equalization_options() { return kScalingOptions; }

const char* bias_correction_options() { return kBiasCorrectionOptions; }

const char* adaround_options() { return kAdaroundOptions; }

}  // namespace lathe::recipes
