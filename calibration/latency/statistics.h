// From single runs to the figures that are shown. Internal; docs/latency.md
// says why these rules.
#pragma once

#include <vector>

#include "passes/stage_scorer.h"

namespace lathe::latency {

// The q-quantile (q in [0, 1]) by linear interpolation between order
// statistics, position q * (n - 1). `sorted` must not be empty.
double quantile(const std::vector<double>& sorted, double q);

// Runs in the order in which they were taken, in microseconds. All zero and
// noisy when there is none.
MeasuredLatency summarize(const std::vector<double>& latencies_us);

// Too few runs to tell (below 10), p90 above 1.5 times p10, or medians of the
// first and the last third of the runs more than 10% apart.
bool is_noisy(const std::vector<double>& latencies_us);

// The median run took more than 1.1 times the processor time of the median run:
// something else had the core meanwhile.
bool is_interrupted(const std::vector<double>& latencies_us,
                    const std::vector<double>& processor_us);

}  // namespace lathe::latency
