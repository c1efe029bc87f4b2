// From the figures of layers to the one where the error jumps. Internal.
#pragma once

#include <vector>

#include "calibration/accuracy/layer_compare.h"
#include "calibration/accuracy/layer_match.h"
#include "calibration/accuracy/layer_stats.h"

namespace lathe::accuracy {

// Fills in what follows from the layers: all but samples and accuracies.
Comparison judge_layers(const std::vector<LayerPair>& layers,
                        const std::vector<LayerStats>& stats);

}  // namespace lathe::accuracy
