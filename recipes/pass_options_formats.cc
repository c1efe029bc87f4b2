// Options of the other schemes, and of what follows quantize_static.
#include <nlohmann/json.hpp>
#include <optional>

#include "passes/quantize/quantize.h"
#include "recipes/pass_options.h"

namespace lathe::recipes {
namespace {

constexpr const char* kQuantizeDynamicOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "weight_type": {
      "description": "integer type of weights",
      "enum": ["int8", "uint8"], "default": "int8"},
    "per_channel": {
      "description": "a weight scale for each output channel instead of one a tensor",
      "type": "boolean", "default": true},
    "weight_bits": {
      "description": "8: codes -127..127; 7: -63..63, which no kernel saturates",
      "type": "integer", "minimum": 7, "maximum": 8, "default": 8},
    "saturation": {
      "description": "auto: int8 weights whose products could saturate on the device (x86 without VNNI) get 7 bits",
      "enum": ["auto", "ignore"], "default": "auto"},
    "min_elements": {
      "description": "layers with fewer weights stay in float",
      "type": "integer", "minimum": 0, "default": 16384}}})";

constexpr const char* kFloat16Options = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "keep_io": {
      "description": "inputs and outputs of the model stay float",
      "type": "boolean", "default": true}}})";

constexpr const char* kBfloat16WeightsOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "min_elements": {
      "description": "smaller tensors stay as they are",
      "type": "integer", "minimum": 0, "default": 256}}})";

constexpr const char* kQuantizeWeightsOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "bits": {
      "description": "bits of a weight's code",
      "enum": [4, 8], "default": 4},
    "block_size": {
      "description": "weights of a column that share a scale",
      "enum": [16, 32, 64, 128, 256], "default": 32},
    "symmetric": {
      "description": "zero is the middle code; else a zero point a block",
      "type": "boolean", "default": true},
    "form": {
      "description": "MatMulNBits of com.microsoft, or blocks behind DequantizeLinear, which raises the opset to 21",
      "enum": ["matmul_nbits", "qdq"], "default": "matmul_nbits"},
    "method": {
      "description": "gptq: errors make up for each other on data; rtn: to nearest; default: gptq where real data is given",
      "enum": ["rtn", "gptq"]},
    "act_order": {
      "description": "gptq: inputs of most energy first, with scales chosen before",
      "type": "boolean", "default": false},
    "sequential": {
      "description": "gptq: a run over the data for each layer's input, with the layers before already quantized; else few runs of the float model",
      "type": "boolean", "default": false},
    "search_scale": {
      "description": "scales of least squared error instead of those of the largest weights",
      "type": "boolean", "default": true},
    "accuracy_level": {
      "description": "MatMulNBits computes with activations as 1: float, 4: int8, much the fastest; 0: the runtime's choice",
      "type": "integer", "minimum": 0, "maximum": 4, "default": 4},
    "embeddings": {
      "description": "tables that Gather reads as well, in 8 bits; form qdq only",
      "type": "boolean", "default": false},
    "convolutions": {
      "description": "weights of Conv as well, one scale an output channel; form qdq only",
      "type": "boolean", "default": false},
    "min_elements": {
      "description": "layers with fewer weights stay in float",
      "type": "integer", "minimum": 0, "default": 0},
    "exclude_nodes": {
      "description": "nodes to leave in float: names, or first outputs of nodes without a name",
      "type": "array", "items": {"type": "string"}, "default": []}}})";

constexpr const char* kBlockPixelsOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "max_channels": {
      "description": "the most channels of an image that is blocked, 0: none; default: 16 on x86, 0 elsewhere",
      "type": "integer", "minimum": 0, "maximum": 1024}}})";

}  // namespace

const char* quantize_dynamic_options() {
  static const std::string text = with_exclusions(kQuantizeDynamicOptions);
  return text.c_str();
}

const char* float16_options() {
  static const std::string text = with_exclusions(kFloat16Options);
  return text.c_str();
}

PassPtr make_quantize_dynamic(const Json& options) {
  quantize::DynamicOptions made;
  made.weight_type = data_type(options, "weight_type", made.weight_type);
  made.per_channel = options.value("per_channel", made.per_channel);
  made.weight_bits = options.value("weight_bits", made.weight_bits);
  made.pairs_saturate = pairs_saturate(options);
  made.min_elements = options.value("min_elements", made.min_elements);
  read_exclusions(options, made.exclude_nodes, made.exclude_operators);
  return quantize::make_quantize_dynamic(std::move(made));
}

PassPtr make_float16(const Json& options) {
  quantize::HalfOptions made;
  made.keep_io = options.value("keep_io", made.keep_io);
  read_exclusions(options, made.exclude_nodes, made.exclude_operators);
  return quantize::make_float16(std::move(made));
}

PassPtr make_bfloat16_weights(const Json& options) {
  quantize::Bfloat16Options made;
  made.min_elements = options.value("min_elements", made.min_elements);
  return quantize::make_bfloat16_weights(made);
}

PassPtr make_quantize_weights(const Json& options) {
  using Made = quantize::WeightOptions;
  Made made;
  made.bits = options.value("bits", made.bits);
  made.block_size = options.value("block_size", made.block_size);
  made.symmetric = options.value("symmetric", made.symmetric);
  if (options.value("form", "") == "qdq") made.form = Made::Form::kQdq;
  if (const auto method = options.find("method"); method != options.end())
    made.method = *method == "gptq" ? Made::Method::kGptq : Made::Method::kRtn;
  made.act_order = options.value("act_order", made.act_order);
  made.sequential = options.value("sequential", made.sequential);
  made.search_scale = options.value("search_scale", made.search_scale);
  made.accuracy_level = options.value("accuracy_level", made.accuracy_level);
  made.embeddings = options.value("embeddings", made.embeddings);
  made.convolutions = options.value("convolutions", made.convolutions);
  made.min_elements = options.value("min_elements", made.min_elements);
  made.exclude_nodes = options.value("exclude_nodes", made.exclude_nodes);
  return quantize::make_quantize_weights(std::move(made));
}

PassPtr make_block_pixels(const Json& options) {
  quantize::BlockPixelsOptions made;
  made.max_channels = options.value("max_channels", made.max_channels);
  return quantize::make_block_pixels(made);
}

const char* bfloat16_weights_options() { return kBfloat16WeightsOptions; }

const char* quantize_weights_options() { return kQuantizeWeightsOptions; }

const char* block_pixels_options() { return kBlockPixelsOptions; }

}  // namespace lathe::recipes
