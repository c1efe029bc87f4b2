// Fourier transforms and windows.
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// The axis is an attribute in opset 17 and input 2 from opset 20.
void infer_dft(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  int64_t rank = static_cast<int64_t>(shape->size());
  if (rank < 2)
    ctx.fail("input has rank " + std::to_string(rank) +
             ", but needs at least 2");
  bool inverse = ctx.node().attr_int("inverse", 0) != 0;
  bool one_sided = ctx.node().attr_int("onesided", 0) != 0;
  Shape out = *shape;
  out.back() = Dim(inverse && one_sided ? 1 : 2);
  int64_t axis = ctx.opset() >= 20 ? -2 : ctx.node().attr_int("axis", 1);
  if (ctx.has_input(2)) {
    auto given = ctx.scalar_int(2);
    if (!given) {
      for (size_t i = 0; i + 1 < out.size(); ++i) out[i] = Dim();
      ctx.set(0, ctx.elem(0), out);
      return;
    }
    axis = *given;
  }
  axis = normalize_axis(ctx, axis, rank);
  Dim& length = out[static_cast<size_t>(axis)];
  if (ctx.has_input(1)) {
    auto given = ctx.scalar_int(1);
    if (given && *given <= 0)
      ctx.fail("dft_length is " + std::to_string(*given));
    length = given ? Dim(*given) : Dim();
  }
  if (one_sided && !inverse)
    length = length.known() ? Dim(length.value / 2 + 1) : Dim();
  ctx.set(0, ctx.elem(0), out);
}

// signal [batch, length, 1 or 2] -> [batch, frames, bins, 2].
void infer_stft(InferContext& ctx) {
  Dim frames, bins;
  auto step = ctx.scalar_int(1), length = ctx.scalar_int(3);
  if (!length && ctx.has_input(2) && ctx.dim(2, 0).known())
    length = ctx.dim(2, 0).value;
  if (step && *step <= 0) ctx.fail("frame_step is " + std::to_string(*step));
  if (length && *length <= 0)
    ctx.fail("frame_length is " + std::to_string(*length));
  Dim samples = ctx.dim(0, 1);
  if (length)
    bins = Dim(ctx.node().attr_int("onesided", 1) ? *length / 2 + 1 : *length);
  if (length && step && samples.known() && samples.value >= *length)
    frames = Dim((samples.value - *length) / *step + 1);
  ctx.set(0, ctx.elem(0), Shape{ctx.dim(0, 0), frames, bins, Dim(2)});
}

void infer_window(InferContext& ctx) {
  auto size = ctx.scalar_int(0);
  if (size && *size < 0) ctx.fail("size is " + std::to_string(*size));
  ctx.set(0, elem_attribute(ctx, "output_datatype", DataType::kFloat),
          Shape{size ? Dim(*size) : Dim()});
}

// num_mel_bins, dft_length, … -> [dft_length / 2 + 1, num_mel_bins].
void infer_mel_weights(InferContext& ctx) {
  auto bins = ctx.scalar_int(0), length = ctx.scalar_int(1);
  if ((bins && *bins < 0) || (length && *length < 0))
    ctx.fail("num_mel_bins or dft_length is negative");
  ctx.set(
      0, elem_attribute(ctx, "output_datatype", DataType::kFloat),
      Shape{length ? Dim(*length / 2 + 1) : Dim(), bins ? Dim(*bins) : Dim()});
}

constexpr Operator row(const char* name, int min_inputs, int max_inputs,
                       void (*infer)(InferContext&)) {
  return {name, "", OpClass::kOther, min_inputs, max_inputs,
          1,    1,  infer,           nullptr};
}

constexpr Operator kRows[] = {
    row("BlackmanWindow", 1, 1, infer_window),
    row("DFT", 1, 3, infer_dft),
    row("HammingWindow", 1, 1, infer_window),
    row("HannWindow", 1, 1, infer_window),
    row("MelWeightMatrix", 5, 5, infer_mel_weights),
    row("STFT", 2, 4, infer_stft),
};

}  // namespace

std::span<const Operator> signal_operators() { return kRows; }

}  // namespace lathe::ir
