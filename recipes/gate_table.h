// The gates a recipe can set: one row a bound.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "passes/stage_scorer.h"

namespace lathe::recipes {

struct GateRow {
  const char* name;     // "min_top1": min_ bounds from below, max_ from above
  const char* summary;  // what is bounded, with its unit
  double highest;       // valid bounds lie in [0, highest]
  // The figure, or nullopt where the score has none.
  std::optional<double> (*figure)(const StageScore& score);
  bool is_minimum() const { return std::string_view(name).starts_with("min"); }
};

std::span<const GateRow> gate_table();
const GateRow* find_gate(std::string_view name);

}  // namespace lathe::recipes
