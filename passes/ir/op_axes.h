// What the rows of the operator table say about their axes.
#pragma once

#include <span>
#include <vector>

#include "passes/ir/axis_links.h"

namespace lathe::ir {

// For operators whose class would say too much.
extern const AxisRule kUnfollowedAxes;
// Broadcasting: outputs have the axes of the inputs.
extern const AxisRule kElementwiseAxes;
// Axes 0 and 1 stay, windows move over the others.
extern const AxisRule kWindowAxes;
extern const AxisRule kConvAxes, kConvTransposeAxes;
extern const AxisRule kGemmAxes, kMatMulAxes, kEinsumAxes;
extern const AxisRule kRecurrentAxes;

extern const AxisRule kBatchNormAxes, kGroupNormAxes, kInstanceNormAxes;
extern const AxisRule kLayerNormAxes, kMeanVarianceAxes;
// One axis works as a whole; the axes beside it stay.
extern const AxisRule kSoftmaxAxes, kLpNormAxes, kChannelWindowAxes;
extern const AxisRule kReduceAxes, kScanAxes;

extern const AxisRule kReshapeAxes, kExpandAxes, kTileAxes, kTransposeAxes;
extern const AxisRule kConcatAxes, kSplitAxes, kSliceAxes, kPadAxes;
extern const AxisRule kGatherAxes, kTriluAxes, kFillAxes;
extern const AxisRule kResizeAxes, kDepthToSpaceAxes, kSpaceToDepthAxes;

// --- Shared by the rules ------------------------------------------------

// The axes of an output that the inputs broadcast to; absent ones are left out.
std::vector<Axis> broadcast_axes(AxisLinks& links,
                                 std::span<const std::vector<Axis>> inputs,
                                 std::span<const int64_t> out_dims);
// -rank..rank-1 to 0..rank-1.
size_t axis_at(int64_t axis, size_t rank);
// All axes of the input but those fixed with the reason.
std::vector<Axis> all_but(AxisLinks& links, const std::vector<Axis>& axes,
                          std::span<const size_t> fixed,
                          const std::string& reason);

}  // namespace lathe::ir
