#include "recipes/pass_table.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "calibration/ranges/observer.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::recipes {
namespace {

using PassPtr = std::unique_ptr<Pass>;

constexpr const char* kNoOptions =
    R"({"type": "object", "additionalProperties": false, "properties": {}})";

constexpr const char* kRaiseOpsetOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "target_opset": {
      "description": "the opset of ai.onnx to raise to; higher ones stay",
      "type": "integer", "minimum": 17, "maximum": 21, "default": 17}}})";

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
    "observer": {
      "description": "how the ranges of activations follow from the data"},
    "percentile": {
      "description": "observer percentile: the share of elements in the range, in percent",
      "type": "number", "exclusiveMinimum": 50, "maximum": 100}}})";

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

// A schema with the options that say what to leave in float.
std::string with_exclusions(const std::string& text) {
  Json schema = Json::parse(text);
  schema["properties"].update(Json::parse(R"({
    "exclude_nodes": {
      "description": "nodes to leave in float: names, or first outputs of nodes without a name",
      "type": "array", "items": {"type": "string"}, "default": []},
    "exclude_operators": {
      "description": "operator types to leave in float",
      "type": "array", "items": {"type": "string"}, "default": []}})"));
  return schema.dump();
}

const char* quantize_dynamic_options() {
  static const std::string text = with_exclusions(kQuantizeDynamicOptions);
  return text.c_str();
}

const char* float16_options() {
  static const std::string text = with_exclusions(kFloat16Options);
  return text.c_str();
}

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

int64_t target_opset(const Json& options) {
  return options.value("target_opset", int64_t{17});
}

ir::DataType data_type(const Json& options, const char* key,
                       ir::DataType fallback) {
  const auto found = options.find(key);
  if (found == options.end()) return fallback;
  return ir::data_type_from_string(found->get<std::string>()).value();
}

// nullopt: as the device's kernels do.
std::optional<bool> pairs_saturate(const Json& options) {
  if (options.value("saturation", "auto") == "ignore") return false;
  return std::nullopt;
}

template <class Options>
void read_exclusions(const Json& options, Options& made) {
  made.exclude_nodes = options.value("exclude_nodes", made.exclude_nodes);
  made.exclude_operators =
      options.value("exclude_operators", made.exclude_operators);
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
  made.observer.name = options.value("observer", made.observer.name);
  made.observer.percentile =
      options.value("percentile", made.observer.percentile);
  read_exclusions(options, made);
  return quantize::make_quantize_static(std::move(made));
}

PassPtr make_quantize_dynamic(const Json& options) {
  quantize::DynamicOptions made;
  made.weight_type = data_type(options, "weight_type", made.weight_type);
  made.per_channel = options.value("per_channel", made.per_channel);
  made.weight_bits = options.value("weight_bits", made.weight_bits);
  made.pairs_saturate = pairs_saturate(options);
  made.min_elements = options.value("min_elements", made.min_elements);
  read_exclusions(options, made);
  return quantize::make_quantize_dynamic(std::move(made));
}

PassPtr make_float16(const Json& options) {
  quantize::HalfOptions made;
  made.keep_io = options.value("keep_io", made.keep_io);
  read_exclusions(options, made);
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
  made.min_elements = options.value("min_elements", made.min_elements);
  made.exclude_nodes = options.value("exclude_nodes", made.exclude_nodes);
  return quantize::make_quantize_weights(std::move(made));
}

PassPtr make_block_pixels(const Json& options) {
  quantize::BlockPixelsOptions made;
  made.max_channels = options.value("max_channels", made.max_channels);
  return quantize::make_block_pixels(made);
}

const PassRow kPasses[] = {
    {"simplify",
     "Raises the opset and folds what needs no computing at run time", "",
     kRaiseOpsetOptions, /*needs_data=*/false,
     [](const Json& options) {
       return rewrite::make_simplify(target_opset(options));
     }},
    {"raise_opset", "Rewrites operators to the forms of a newer opset", "",
     kRaiseOpsetOptions, /*needs_data=*/false,
     [](const Json& options) {
       return rewrite::make_raise_opset(target_opset(options));
     }},
    {"remove_initializers_from_inputs",
     "Takes initializers off the input list, so that they count as constants",
     "", kNoOptions, /*needs_data=*/false,
     [](const Json&) {
       return rewrite::make_remove_initializers_from_inputs();
     }},
    {"constants_to_initializers", "Turns Constant nodes into initializers", "",
     kNoOptions, /*needs_data=*/false,
     [](const Json&) { return rewrite::make_constants_to_initializers(); }},
    {"fold_constants", "Computes nodes whose inputs are all constant", "",
     kNoOptions, /*needs_data=*/false,
     [](const Json&) { return rewrite::make_fold_constants(); }},
    {"fold_batch_norm", "Folds BatchNormalization into the layer before it", "",
     kNoOptions, /*needs_data=*/false,
     [](const Json&) { return rewrite::make_fold_batch_norm(); }},
    {"drop_identities", "Removes nodes that hand their input on unchanged", "",
     kNoOptions, /*needs_data=*/false,
     [](const Json&) { return rewrite::make_drop_identities(); }},
    {"remove_dead_code", "Removes nodes and values that no output needs", "",
     kNoOptions, /*needs_data=*/false,
     [](const Json&) { return rewrite::make_remove_dead_code(); }},
    {"infer_shapes", "Writes the types and shapes of values into the model", "",
     kNoOptions, /*needs_data=*/false,
     [](const Json&) { return rewrite::make_infer_shapes(); }},
    {"quantize_static",
     "Static int8 in QDQ form where the runtime has integer kernels", "int8",
     quantize_static_options(), /*needs_data=*/true, make_quantize_static},
    {"quantize_dynamic",
     "Dynamic int8 of MatMul, Gemm and LSTM: no samples are needed",
     "int8-dynamic", quantize_dynamic_options(), /*needs_data=*/false,
     make_quantize_dynamic},
    {"float16", "Half precision, with Casts where float has to stay", "fp16",
     float16_options(), /*needs_data=*/false, make_float16},
    {"bfloat16_weights",
     "Stores weights as bfloat16 and computes in float as before", "bf16",
     kBfloat16WeightsOptions, /*needs_data=*/false, make_bfloat16_weights},
    {"quantize_weights",
     "Weights of MatMul and Gemm as 4- or 8-bit codes in blocks", "weights",
     kQuantizeWeightsOptions, /*needs_data=*/false, make_quantize_weights},
    {"block_pixels",
     "Holds the pixels of narrow int8 images in blocks that fill the kernels",
     "", kBlockPixelsOptions, /*needs_data=*/false, make_block_pixels},
};

}  // namespace

std::span<const PassRow> pass_table() { return kPasses; }

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const PassRow& row : kPasses) names.emplace_back(row.name);
  return names;
}

const PassRow* find_pass(std::string_view name) {
  for (const PassRow& row : kPasses)
    if (row.name == name) return &row;
  return nullptr;
}

Json options_in_effect(const PassRow& row, const Json& options) {
  Json result = Json::object();
  const Json schema = Json::parse(row.options_schema);
  for (const auto& [name, option] : schema.at("properties").items()) {
    if (const auto given = options.find(name); given != options.end())
      result[name] = *given;
    else if (option.contains("default"))
      result[name] = option["default"];
  }
  return result;
}

}  // namespace lathe::recipes
