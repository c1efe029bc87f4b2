// A pruning plan as text for a terminal.
#pragma once

#include <string>

#include "recipes/report.h"

namespace lathe::cli {

// The groups that lose units, and how many blocks go; empty for a stage
// without a plan.
std::string plan_table(const recipes::StageReport& stage);

}  // namespace lathe::cli
