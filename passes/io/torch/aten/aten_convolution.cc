// Convolutions, transposed ones included.
#include "passes/io/torch/aten/aten_families.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;
using Sizes = std::vector<int64_t>;

struct Convolution {
  Value *input = nullptr, *weight = nullptr, *bias = nullptr;
  Sizes stride, dilation;
  Sizes pads;  // as ONNX has them: begins, then ends
  int64_t groups = 1;
  bool transposed = false;
  Sizes output_padding;  // of transposed ones
};

size_t spatial_rank(const AtenCall& call, const Value* weight) {
  const int64_t rank = call.builder().rank(weight);
  if (rank < 3 || rank > 5)
    call.unsupported("the weight has rank " + std::to_string(rank) +
                     ", expected 3, 4 or 5");
  return static_cast<size_t>(rank - 2);
}

Sizes both_ends(const Sizes& padding) {
  Sizes pads = padding;
  pads.insert(pads.end(), padding.begin(), padding.end());
  return pads;
}

// padding="same": the output has the input's size, an odd element of padding
// goes to the end.
Sizes same_pads(const AtenCall& call, const Convolution& conv) {
  const size_t spatial = conv.stride.size();
  Sizes pads(2 * spatial);
  for (size_t i = 0; i < spatial; ++i) {
    if (conv.stride[i] != 1)
      call.unsupported("padding 'same' with the stride " +
                           std::to_string(conv.stride[i]) +
                           ", but PyTorch defines it for stride 1 only",
                       "give the padding as numbers");
    const int64_t kernel = call.builder().dim(
        conv.weight, static_cast<int64_t>(i) + 2, "the kernel's size");
    const int64_t total = conv.dilation[i] * (kernel - 1);
    pads[i] = total / 2;
    pads[spatial + i] = total - total / 2;
  }
  return pads;
}

Sizes read_pads(const AtenCall& call, const Convolution& conv) {
  const size_t spatial = conv.stride.size();
  if (call["padding"].kind != Argument::Kind::kString)
    return both_ends(call.integers_n("padding", spatial, 0));
  const std::string mode = call.text("padding", "");
  if (mode == "valid") return Sizes(2 * spatial, 0);
  if (mode == "same") return same_pads(call, conv);
  call.unsupported("argument 'padding' is '" + mode +
                   "', expected 'same' or 'valid'");
}

Convolution read(const AtenCall& call, bool transposed) {
  Convolution conv;
  conv.input = call.tensor("input");
  conv.weight = call.tensor("weight");
  conv.bias = call.tensor_or_null("bias");
  const size_t spatial = spatial_rank(call, conv.weight);
  conv.stride = call.integers_n("stride", spatial, 1);
  conv.dilation = call.integers_n("dilation", spatial, 1);
  conv.pads = read_pads(call, conv);
  conv.groups = call.integer("groups", 1);
  conv.transposed = transposed;
  if (transposed)
    conv.output_padding = call.integers_n("output_padding", spatial, 0);
  return conv;
}

// Of the runtime's kernels none computes in double.
DataType kernel_type(DataType type) {
  return type == DataType::kDouble ? DataType::kFloat : type;
}

Value* write(OnnxBuilder& builder, const Convolution& conv) {
  const size_t spatial = conv.stride.size();
  const DataType type = builder.elem(conv.input);
  const DataType inner = kernel_type(type);
  const bool unbatched =
      builder.known_rank(conv.input) == static_cast<int64_t>(spatial) + 1;
  NamedAttributes attributes;
  if (const auto dims = builder.known_dims(conv.weight))
    attributes.emplace_back("kernel_shape",
                            Sizes(dims->begin() + 2, dims->end()));
  attributes.emplace_back("strides", conv.stride);
  attributes.emplace_back("pads", conv.pads);
  attributes.emplace_back("dilations", conv.dilation);
  attributes.emplace_back("group", conv.groups);
  if (conv.output_padding != Sizes(conv.output_padding.size(), 0))
    attributes.emplace_back("output_padding", conv.output_padding);
  Value* input = builder.cast(conv.input, inner);
  if (unbatched) input = builder.unsqueeze(input, {0});
  Value* result =
      builder.op(conv.transposed ? "ConvTranspose" : "Conv",
                 {input, builder.cast(conv.weight, inner),
                  conv.bias ? builder.cast(conv.bias, inner) : nullptr},
                 attributes);
  if (unbatched) result = builder.squeeze(result, {0});
  return builder.cast(result, type);
}

Arguments emit_conv(const AtenCall& call) {
  return one(write(call.builder(), read(call, /*transposed=*/false)));
}

Arguments emit_conv_transpose(const AtenCall& call) {
  return one(write(call.builder(), read(call, /*transposed=*/true)));
}

Arguments emit_convolution(const AtenCall& call) {
  const bool transposed = call.flag("transposed", false);
  return one(write(call.builder(), read(call, transposed)));
}

// Time, batch and channels in this order; the weight [kernel, in, out].
Arguments emit_conv_tbc(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const int64_t pad = call.integer("pad", 0);
  Convolution conv;
  conv.input = builder.transpose(call.tensor("self"), {1, 2, 0});
  conv.weight = builder.transpose(call.tensor("weight"), {2, 1, 0});
  conv.bias = call.tensor("bias");
  conv.stride = conv.dilation = {1};
  conv.pads = {pad, pad};
  return one(builder.transpose(write(builder, conv), {2, 0, 1}));
}

constexpr AtenRow kRows[] = {
    {"conv1d", emit_conv},
    {"conv2d", emit_conv},
    {"conv3d", emit_conv},
    {"_convolution_mode", emit_conv},
    {"conv_transpose1d", emit_conv_transpose},
    {"conv_transpose2d", emit_conv_transpose},
    {"conv_transpose3d", emit_conv_transpose},
    {"convolution", emit_convolution},
    {"_convolution", emit_convolution},
    {"conv_tbc", emit_conv_tbc},
};

}  // namespace

std::span<const AtenRow> convolution_rows() { return kRows; }

}  // namespace lathe::io::aten
