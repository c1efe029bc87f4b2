// What the pass table's rows of passes/quantize, passes/prune and
// passes/distill are made of: each pass's options as a JSON Schema, and the
// pass of options that the schema accepts.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/base/json.h"
#include "passes/ir/data_type.h"
#include "passes/pass.h"

namespace lathe::recipes {

using PassPtr = std::unique_ptr<Pass>;

const char* quantize_static_options();
PassPtr make_quantize_static(const Json& options);
const char* cross_layer_equalization_options();
PassPtr make_cross_layer_equalization(const Json& options);
const char* smooth_quant_options();
PassPtr make_smooth_quant(const Json& options);
const char* bias_correction_options();
PassPtr make_bias_correction(const Json& options);
const char* adaround_options();
PassPtr make_adaround(const Json& options);
const char* quantize_dynamic_options();
PassPtr make_quantize_dynamic(const Json& options);
const char* float16_options();
PassPtr make_float16(const Json& options);
const char* bfloat16_weights_options();
PassPtr make_bfloat16_weights(const Json& options);
const char* quantize_weights_options();
PassPtr make_quantize_weights(const Json& options);
const char* block_pixels_options();
PassPtr make_block_pixels(const Json& options);
const char* prune_channels_options();
PassPtr make_prune_channels(const Json& options);
const char* reestimate_batch_norm_options();
PassPtr make_reestimate_batch_norm(const Json& options);
const char* match_channel_moments_options();
PassPtr make_match_channel_moments(const Json& options);
const char* reconstruct_consumers_options();
PassPtr make_reconstruct_consumers(const Json& options);
const char* scale_width_options();
PassPtr make_scale_width(const Json& options);
const char* sparsify_weights_options();
PassPtr make_sparsify_weights(const Json& options);
const char* load_student_options();
PassPtr make_load_student(const Json& options);
const char* distill_options();
PassPtr make_distill(const Json& options);

// A schema with the options that say what to leave in float.
std::string with_exclusions(const std::string& text);
ir::DataType data_type(const Json& options, const char* key,
                       ir::DataType fallback);
// nullopt: as the device's kernels do.
std::optional<bool> pairs_saturate(const Json& options);

// Names of nodes and operators to leave in float.
void read_exclusions(const Json& options, std::vector<std::string>& nodes,
                     std::vector<std::string>& operators);

}  // namespace lathe::recipes
