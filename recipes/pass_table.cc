#include "recipes/pass_table.h"

#include <nlohmann/json.hpp>

#include "passes/rewrite/rewrite.h"
#include "recipes/pass_options.h"

namespace lathe::recipes {
namespace {

constexpr const char* kNoOptions =
    R"({"type": "object", "additionalProperties": false, "properties": {}})";

constexpr const char* kRaiseOpsetOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "target_opset": {
      "description": "the opset of ai.onnx to raise to; higher ones stay",
      "type": "integer", "minimum": 17, "maximum": 21, "default": 17}}})";

int64_t target_opset(const Json& options) {
  return options.value("target_opset", int64_t{17});
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
    {"cross_layer_equalization",
     "Evens out the ranges of channels between Conv, Gemm and MatMul", "",
     cross_layer_equalization_options(), /*needs_data=*/false,
     make_cross_layer_equalization},
    {"smooth_quant",
     "Evens out the ranges of channels between a normalization and products",
     "", smooth_quant_options(), /*needs_data=*/true, make_smooth_quant},
    {"split_skip_layer_norm",
     "Keeps sums out of LayerNormalization where the fused kernel is slower",
     "", kNoOptions, /*needs_data=*/false,
     [](const Json&) { return rewrite::make_split_skip_layer_norm(); }},
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
     bfloat16_weights_options(), /*needs_data=*/false, make_bfloat16_weights},
    {"quantize_weights",
     "Weights of MatMul and Gemm as 4- or 8-bit codes in blocks", "weights",
     quantize_weights_options(), /*needs_data=*/false, make_quantize_weights},
    {"bias_correction",
     "Moves the biases of int8 layers so that the float means come out", "",
     bias_correction_options(), /*needs_data=*/true, make_bias_correction},
    {"adaround",
     "Learns whether to round each int8 weight up or down, on samples", "",
     adaround_options(), /*needs_data=*/true, make_adaround},
    {"block_pixels",
     "Holds the pixels of narrow int8 images in blocks that fill the kernels",
     "", block_pixels_options(), /*needs_data=*/false, make_block_pixels},
    {"prune_channels",
     "Removes the channels, heads and blocks of least saliency for a latency",
     "pruned", prune_channels_options(), /*needs_data=*/false,
     make_prune_channels, /*path_option=*/"plan"},
    {"reconstruct_consumers",
     "Fits the weights of products that lost inputs to the dense model's "
     "values",
     "", reconstruct_consumers_options(), /*needs_data=*/true,
     make_reconstruct_consumers},
    {"match_channel_moments",
     "Scales and shifts channels to the dense model's means and variances", "",
     match_channel_moments_options(), /*needs_data=*/true,
     make_match_channel_moments},
    {"reestimate_batch_norm",
     "Sets the statistics of BatchNormalization from samples", "",
     reestimate_batch_norm_options(), /*needs_data=*/true,
     make_reestimate_batch_norm},
    {"scale_width",
     "A student: the model at a share of its widths, for training to follow",
     "student", scale_width_options(), /*needs_data=*/false, make_scale_width},
    {"sparsify_weights",
     "Zeros for the smallest weights, for runtimes that use them", "sparse",
     sparsify_weights_options(), /*needs_data=*/false, make_sparsify_weights},
    {"load_student",
     "Takes another model with the same inputs and outputs in its place",
     "student", load_student_options(), /*needs_data=*/false, make_load_student,
     /*path_option=*/"student"},
    {"distill",
     "Trains the model to compute what the input model computes, codes "
     "included",
     "distilled", distill_options(), /*needs_data=*/true, make_distill},
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
