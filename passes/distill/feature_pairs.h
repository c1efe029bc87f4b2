// Which values inside a student stand for which of its teacher.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::distill {

struct FeaturePair {
  std::string student, teacher;  // names of values
  // The axis of channels, and how many each has; adapters bring the student's
  // to the teacher's. 1 for [N, C, …] images, the last one for sequences.
  int64_t axis = 1;
  int64_t student_channels = 0, teacher_channels = 0;
  bool by_name = false;
  bool operator==(const FeaturePair&) const = default;
};

struct PairOptions {
  int64_t most = 4;  // pairs
};

// Values through which everything between inputs and outputs passes (ends of
// blocks), of equal shape but for channels: by name for students derived from
// the teacher, else in order of depth with equal positions from the front.
// Spread over the depth, the last ones of each spatial size first. Both models
// need shapes (ir::infer_shapes with bound inputs). Empty where nothing fits.
std::vector<FeaturePair> pair_features(const ir::Model& student,
                                       const ir::Model& teacher,
                                       const PairOptions& options = {});

}  // namespace lathe::distill
