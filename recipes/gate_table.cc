#include "recipes/gate_table.h"

#include <algorithm>

namespace lathe::recipes {
namespace {

using Figure = std::optional<double>;

constexpr double kAny = 1e18;

Figure lowest_sqnr(const StageScore& score) {
  if (!score.accuracy || score.accuracy->outputs.empty()) return std::nullopt;
  double lowest = score.accuracy->outputs.front().sqnr_db;
  for (const OutputFidelity& output : score.accuracy->outputs)
    lowest = std::min(lowest, output.sqnr_db);
  return lowest;
}

const GateRow kGates[] = {
    {"min_top1", "least top-1, a fraction", 1,
     [](const StageScore& score) -> Figure {
       return score.accuracy ? score.accuracy->top1 : std::nullopt;
     }},
    {"min_top5", "least top-5, a fraction", 1,
     [](const StageScore& score) -> Figure {
       return score.accuracy ? score.accuracy->top5 : std::nullopt;
     }},
    {"min_agreement", "least agreement with the input model, a fraction", 1,
     [](const StageScore& score) -> Figure {
       return score.accuracy ? score.accuracy->agreement : std::nullopt;
     }},
    {"max_perplexity",
     "most perplexity of the next token, of models that foretell their input",
     kAny,
     [](const StageScore& score) -> Figure {
       return score.accuracy ? score.accuracy->perplexity : std::nullopt;
     }},
    {"min_sqnr_db",
     "least signal to quantization noise of any output against the input "
     "model's, in dB",
     kAny, lowest_sqnr},
    {"max_size_bytes", "largest file, in bytes", kAny,
     [](const StageScore& score) -> Figure {
       return static_cast<double>(score.size_bytes);
     }},
    {"max_parameters", "most parameters", kAny,
     [](const StageScore& score) -> Figure {
       return static_cast<double>(score.parameters);
     }},
    {"max_macs", "most multiply-accumulates of one run", kAny,
     [](const StageScore& score) -> Figure {
       if (!score.macs) return std::nullopt;
       return static_cast<double>(*score.macs);
     }},
};

}  // namespace

std::span<const GateRow> gate_table() { return kGates; }

const GateRow* find_gate(std::string_view name) {
  for (const GateRow& row : kGates)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace lathe::recipes
