#include "recipes/pass_table.h"

#include <nlohmann/json.hpp>

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
      "description": "integer type of activations; default: uint8 on x86, int8 on Arm",
      "enum": ["uint8", "int8"]},
    "per_channel": {
      "description": "a weight scale for each output channel instead of one a tensor",
      "type": "boolean", "default": true},
    "exclude_nodes": {
      "description": "nodes to leave in float: names, or first outputs of nodes without a name",
      "type": "array", "items": {"type": "string"}, "default": []},
    "exclude_operators": {
      "description": "operator types to leave in float",
      "type": "array", "items": {"type": "string"}, "default": []}}})";

constexpr const char* kBlockPixelsOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "max_channels": {
      "description": "the most channels of an image that is blocked, 0: none; default: 16 on x86, 0 elsewhere",
      "type": "integer", "minimum": 0, "maximum": 1024}}})";

int64_t target_opset(const Json& options) {
  return options.value("target_opset", int64_t{17});
}

PassPtr make_quantize_static(const Json& options) {
  quantize::QuantizeOptions made;
#if defined(__aarch64__) || defined(__arm__)
  made.activation_type = ir::DataType::kInt8;
#endif
  if (const auto type = options.find("activation_type"); type != options.end())
    made.activation_type =
        *type == "int8" ? ir::DataType::kInt8 : ir::DataType::kUint8;
  made.per_channel = options.value("per_channel", made.per_channel);
  made.exclude_nodes = options.value("exclude_nodes", made.exclude_nodes);
  made.exclude_operators =
      options.value("exclude_operators", made.exclude_operators);
  return quantize::make_quantize_static(std::move(made));
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
     kQuantizeStaticOptions, /*needs_data=*/true, make_quantize_static},
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
