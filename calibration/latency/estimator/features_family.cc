#include <array>
#include <unordered_map>

#include "calibration/latency/estimator/features.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace {

constexpr std::array<const char*, 15> kFamilies = {
    "convolution", "depthwise", "grouped",     "transposed_convolution",
    "product",     "pooling",   "elementwise", "costly",
    "movement",    "reorder",   "conversion",  "reduction",
    "recurrent",   "view",      "other"};

// Of products with a single row: reading the weights is all there is to do.
constexpr const char* kVector = "vector/";

struct FamilyRow {
  Family family;
  const char* kinds;  // separated by blanks
};
constexpr FamilyRow kKinds[] = {
    {Family::kConvolution, "conv2d conv3d conv1d deform_conv2d"},
    {Family::kDepthwise, "depthwise_conv2d depthwise_conv3d"},
    {Family::kGrouped, "grouped_conv2d grouped_conv3d"},
    {Family::kTransposedConvolution, "conv_transpose2d conv_transpose3d"},
    {Family::kProduct,
     "gemm matmul einsum attention multi_head_attention "
     "dynamic_quantize_matmul matmul_nbits"},
    {Family::kPooling,
     "max_pool average_pool lp_pool max_unpool max_roi_pool "
     "roi_align"},
    {Family::kElementwise,
     "add sub bias_add mul relu clip leaky_relu abs neg max min "
     "sum mean equal less greater where hard_sigmoid hard_swish "
     "prelu not and or xor floor ceil round sign less_or_equal "
     "greater_or_equal thresholded_relu batch_normalization "
     "shrink is_nan is_inf bitwise_and bitwise_or square cube"},
    {Family::kCostly,
     "sigmoid tanh gelu fast_gelu bias_gelu erf exp log pow sqrt "
     "div reciprocal silu quick_gelu softplus softsign elu selu "
     "celu mish sin cos mod tan atan sinh cosh swish"},
    {Family::kMovement,
     "concat split slice transpose resize upsample pad gather "
     "gather_elements gather_nd expand tile depth_to_space "
     "space_to_depth scatter_nd scatter_elements "
     "reverse_sequence one_hot compress trilu grid_sample"},
    {Family::kReorder, "reorder_input reorder_output"},
    {Family::kConversion,
     "quantize_linear dequantize_linear dynamic_quantize_linear "
     "cast"},
    {Family::kReduction,
     "softmax log_softmax layer_normalization "
     "skip_layer_normalization simplified_layer_normalization "
     "instance_normalization group_normalization group_norm lrn "
     "skip_simplified_layer_normalization lp_normalization "
     "mean_variance_normalization hardmax global_average_pool "
     "global_max_pool global_lp_pool reduce_mean reduce_sum "
     "reduce_max reduce_min reduce_prod reduce_l1 reduce_l2 "
     "reduce_log_sum reduce_log_sum_exp reduce_sum_square "
     "arg_max arg_min top_k cum_sum embed_layer_normalization"},
    {Family::kRecurrent, "lstm gru rnn dynamic_quantize_lstm"},
    {Family::kView,
     "reshape flatten squeeze unsqueeze identity dropout shape "
     "constant constant_of_shape size range"},
};

const std::unordered_map<std::string, Family>& families() {
  static const auto* const table = [] {
    auto* t = new std::unordered_map<std::string, Family>();
    for (const FamilyRow& row : kKinds)
      for (const std::string& kind : split(row.kinds, ' '))
        t->emplace(kind, row.family);
    return t;
  }();
  return *table;
}

}  // namespace

const char* to_string(Family family) {
  return kFamilies[static_cast<size_t>(family)];
}

Family family_of(const std::string& kind) {
  const auto& table = families();
  auto found = table.find(kind);
  return found == table.end() ? Family::kOther : found->second;
}

std::string cell_of(const KernelDescriptor& kernel) {
  Family family = family_of(kernel.kind);
  std::string name = to_string(family);
  name += '/';
  switch (family) {
    case Family::kElementwise:
    case Family::kCostly:
    case Family::kView:
      break;
    case Family::kMovement:
      name += kernel.kind + '/';
      // Two blocks that change places, or any order, or a copy after all.
      if (kernel.kind == "transpose" && kernel.rows == 0)
        name += kernel.run >= kernel.elements ? "copied/" : "permuted/";
      break;
    case Family::kConvolution:
      name += kernel.kind + '/';
      if (kernel.batch * kernel.out_height * kernel.out_width == 1)
        name += kVector;
      break;
    case Family::kProduct:
      if (kernel.kind == "gemm" || kernel.kind == "matmul")
        name += kernel.constant_b ? "packed/" : "unpacked/";
      else
        name += kernel.kind + '/';
      if (kernel.matrices * kernel.rows == 1 && kernel.constant_b)
        name += kVector;
      break;
    default:
      name += kernel.kind + '/';
  }
  return name + to_string(kernel.precision) + '/' + to_string(kernel.layout);
}

}  // namespace lathe::latency
