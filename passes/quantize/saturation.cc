// Which layers lose sums on x86 processors without VNNI.
//
// VPMADDUBSW multiplies unsigned by signed bytes and adds neighbours into 16
// bits with saturation: a0 * w0 + a1 * w1 of uint8 codes a and int8 codes w is
// wrong beyond [-32768, 32767]. Neighbours are two successive terms of a sum of
// products, from an even one on: rows of a matrix, channels of one window tap
// of a Conv (images lie with their channels side by side). With an odd number
// of channels the last one of a tap is next to the first of another. Signed
// activations are shifted by 128 into the unsigned ones. Source: onnxruntime's
// QgemmU8X8KernelAvx2 and ConvSymKernelAvx2; its depthwise kernels and those of
// uint8 weights widen to 16 bits first.
#include "passes/quantize/saturation.h"

#include <algorithm>
#include <limits>

namespace lathe::quantize {
namespace {

constexpr int32_t kLow = std::numeric_limits<int16_t>::min();
constexpr int32_t kHigh = std::numeric_limits<int16_t>::max();

// Where weight (output, term, tap) lies.
struct Layout {
  int64_t outputs = 0, terms = 0, taps = 1;
  int64_t inner = 1;  // outputs that lie side by side; others are whole blocks
  int64_t output_step = 1, block_step = 0, term_step = 1;

  int64_t at(int64_t output, int64_t term, int64_t tap) const {
    return output / inner * block_step + output % inner * output_step +
           term * term_step + tap;
  }
};

// The range of a product over the activations.
Range product(int32_t weight, CodeRange activations) {
  const auto [low, high] =
      std::minmax({weight * activations.low, weight * activations.high});
  return {static_cast<float>(low), static_cast<float>(high)};
}

bool leaves(Range a, Range b) {
  return a.min + b.min < kLow || a.max + b.max > kHigh;
}

Range joined(Range a, Range b) {
  return {std::min(a.min, b.min), std::max(a.max, b.max)};
}

bool output_saturates(const Layout& layout, int64_t output,
                      std::span<const int8_t> codes, CodeRange activations) {
  auto at = [&](int64_t term, int64_t tap) {
    return product(codes[layout.at(output, term, tap)], activations);
  };
  const bool shifts = layout.terms % 2 == 1 && layout.taps > 1;
  Range first, last;  // over the taps
  for (int64_t tap = 0; tap < layout.taps; ++tap) {
    for (int64_t term = 0; term + 1 < layout.terms; term += shifts ? 1 : 2)
      if (leaves(at(term, tap), at(term + 1, tap))) return true;
    first = joined(first, at(0, tap));
    last = joined(last, at(layout.terms - 1, tap));
  }
  return shifts && leaves(last, first);
}

bool saturates(const Layout& layout, std::span<const int8_t> codes,
               CodeRange activations) {
  for (int64_t output = 0; output < layout.outputs; ++output)
    if (output_saturates(layout, output, codes, activations)) return true;
  return false;
}

int64_t count(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (int64_t dim : dims) product *= dim;
  return product;
}

}  // namespace

bool pairs_can_saturate(std::span<const int64_t> dims,
                        std::span<const int8_t> codes, CodeRange activations) {
  const int64_t depth = dims[dims.size() - 2], columns = dims.back();
  if (depth == 0 || columns == 0) return false;
  Layout layout;
  layout.terms = depth;
  layout.term_step = layout.inner = columns;
  layout.block_step = depth * columns;
  layout.outputs = count(dims) / depth;
  return saturates(layout, codes, activations);
}

bool pairs_can_saturate(const ir::Node& node, std::span<const int64_t> dims,
                        std::span<const int8_t> codes, CodeRange activations) {
  const bool rows = node.is("Gemm") && node.attr_int("transB", 0) != 0;
  if (!node.is("Conv") && !rows)
    return pairs_can_saturate(dims, codes, activations);
  Layout layout;
  layout.outputs = dims[0];
  layout.terms = dims[1];
  layout.taps = layout.term_step = rows ? 1 : count(dims.subspan(2));
  layout.block_step = layout.terms * layout.taps;
  if (layout.terms == 0 || layout.taps == 0) return false;
  const bool depthwise = node.is("Conv") && layout.terms == 1 &&
                         node.attr_int("group", 1) == layout.outputs;
  return !depthwise && saturates(layout, codes, activations);
}

}  // namespace lathe::quantize
