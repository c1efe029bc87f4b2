// A stage's model as a possible variant, and what speaks against it.
#pragma once

#include <optional>
#include <string>

#include "recipes/gate_table.h"
#include "recipes/report.h"

namespace lathe::recipes {

// A file that was checked and measured, or why it is none.
struct Candidate {
  std::string problem;  // not empty: cannot be delivered at all
  bool slower = false;
  std::string file_name, sha256;
  StageScore score, input;  // measured together
  std::optional<double> measured_ratio;
};

// Each a sentence without a full stop for report.rejected; slower_reason and
// target_reason of candidates that are slower and miss the target.
std::string slower_reason(const Candidate& candidate);
std::string target_reason(const Candidate& candidate, const Target& target);
std::string gate_reason(const GateResult& gate);
// Empty where max_drop is kept.
std::string drop_objection(const Candidate& candidate,
                           const std::optional<double>& max_drop);

GateResult judge(const GateSpec& gate, const Candidate& candidate);

// Whether `score` lost no more accuracy than `other` against the input model;
// false where that is not known.
bool as_accurate(const StageScore& score, const StageScore& other,
                 const StageScore& input);

// Time against the input model's: measured in one bench with it, else the
// estimates' medians; nullopt without either.
std::optional<double> relative_time(const StageScore& score,
                                    const std::optional<double>& measured_ratio,
                                    const StageScore& input);

}  // namespace lathe::recipes
