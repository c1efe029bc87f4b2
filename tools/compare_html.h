// A comparison of two models as one HTML file.
#pragma once

#include <string>

#include "calibration/accuracy/layer_compare.h"

namespace lathe::cli {

// Needs nothing beside itself: a chart of SQNR by layer in execution order
// (inline SVG), the layers as a table, the outputs and the remarks.
std::string compare_html(const accuracy::Comparison& comparison,
                         const std::string& reference,
                         const std::string& other);

}  // namespace lathe::cli
