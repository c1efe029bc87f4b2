#include "passes/quantize/block_pixels_cost.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::quantize {
namespace {

// Below this many pixels the blocks around the image cost what is won; a
// MaxPool at the end needs more of them, or more convolutions before it.
constexpr int64_t kLeastPixels = 16 * 16, kLeastPixelsPooled = 32 * 32;
constexpr int64_t kInnerForPool = 2;

int64_t batch_of(const Cell& cell) {
  return std::max<int64_t>((*cell.codes->type.shape)[0].value, 1);
}

// Constants of a convolution beside its weights, bytes an output channel: the
// int32 bias, the float scale, the zero point.
constexpr int64_t kBytesAnOutput = 4 + 4 + 1;

KernelDescriptor convolution(const Step& step, const BlockLayout& in,
                             const BlockLayout& out) {
  const Cell &from = *step.inputs[0], &to = *step.output;
  const AxisPlan rows = *plan_axis(step.rows, in.rows, out.rows),
                 columns = *plan_axis(step.columns, in.columns, out.columns);
  KernelDescriptor kernel;
  kernel.kind = "conv2d";
  kernel.precision = Precision::kInt8;
  kernel.layout = Layout::kInterleaved;
  kernel.batch = batch_of(from);
  kernel.in_channels = from.channels * in.fold();
  kernel.in_height = in.rows.blocks(from.height);
  kernel.in_width = in.columns.blocks(from.width);
  kernel.out_channels = to.channels * out.fold();
  kernel.out_height = out.rows.blocks(to.height);
  kernel.out_width = out.columns.blocks(to.width);
  kernel.kernel_height = rows.kernel;
  kernel.kernel_width = columns.kernel;
  kernel.stride_height = rows.stride;
  kernel.stride_width = columns.stride;
  kernel.dilation_height = kernel.dilation_width = 1;
  kernel.group = 1;
  const int64_t weights = kernel.out_channels * kernel.in_channels *
                          kernel.kernel_height * kernel.kernel_width;
  kernel.elements =
      kernel.batch * kernel.out_channels * kernel.out_height * kernel.out_width;
  kernel.bytes_in =
      kernel.batch * kernel.in_channels * kernel.in_height * kernel.in_width;
  kernel.bytes_weights = weights + kBytesAnOutput * kernel.out_channels;
  kernel.bytes_out = kernel.elements;
  kernel.flops =
      2 * weights * kernel.batch * kernel.out_height * kernel.out_width;
  kernel.inputs = 1;
  return kernel;
}

KernelDescriptor masking(const Cell& cell, const BlockLayout& layout) {
  KernelDescriptor kernel;
  kernel.kind = "min";
  kernel.precision = Precision::kInt8;
  kernel.bytes_weights = cell.channels * layout.fold() *
                         layout.rows.blocks(cell.height) *
                         layout.columns.blocks(cell.width);
  kernel.elements = batch_of(cell) * kernel.bytes_weights;
  kernel.bytes_in = kernel.bytes_out = kernel.elements;
  kernel.inputs = 1;
  return kernel;
}

// What sampling shortcuts cost is left out on both sides.
std::string ask(const Region& region, const LatencyModel& latency) {
  double before = 0, after = 0;
  for (const Step* step : region.steps) {
    if (step->kind != StepKind::kConv) continue;
    before += latency.kernel(convolution(*step, {}, {})).p50_us;
    after += latency
                 .kernel(convolution(*step, region.layout(step->inputs[0]),
                                     region.layout(step->output)))
                 .p50_us;
  }
  for (const Cell* cell : region.masked)
    after += latency.kernel(masking(*cell, region.layout(cell))).p50_us;
  if (after < before) return "";
  return fmt::format(
      "its region of blocked pixels would take {:.1f} us instead of {:.1f} us "
      "on {}",
      after, before, latency.device());
}

// docs/quantize.md has the measurements.
std::string rule(const Region& region) {
  int64_t inner = 0, useful = 0;
  bool pooled = false;
  for (const Step* step : region.steps) {
    pooled = pooled || step->kind == StepKind::kMaxPool;
    if (step->kind != StepKind::kConv || step->rows.stride > 1 ||
        step->columns.stride > 1 ||
        step->rows.kernel * step->columns.kernel == 1)
      continue;
    ++useful;
    inner += region.layout(step->inputs[0]).blocked();
  }
  if (useful == 0)
    return "its region of blocked pixels would hold no convolution of stride 1 "
           "with a window";
  const int64_t least =
      pooled && inner < kInnerForPool ? kLeastPixelsPooled : kLeastPixels;
  for (const Cell* cell : region.cells)
    if (cell->height * cell->width < least)
      return fmt::format(
          "its region of blocked pixels has results of {}x{} pixels, too few "
          "to pay",
          cell->height, cell->width);
  return "";
}

}  // namespace

std::string why_not_worth(const Region& region, const LatencyModel* latency) {
  return latency && latency->calibrated() ? ask(region, *latency)
                                          : rule(region);
}

}  // namespace lathe::quantize
