// Which values inside a student stand for which of its teacher.
#pragma once

#include <cstdint>
#include <optional>
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
  // Only values with more than one position beside channels. Others are taken
  // where there are no such.
  bool needs_positions = false;
  // Whether equal names decide. By itself: where the student derives from the
  // teacher, that is nine in ten of its layers have a layer of the same name,
  // operator and window there, and three in four of the teacher's values are
  // left.
  std::optional<bool> by_name = {};
};

// Pairs of cut values (cut_values.h) inside both models, of equal shape but for
// batch and channels. By name, or by depth: each of the student's with the one
// of the teacher that lies at the nearest share of the layers which compute
// values of that shape, the last ones together, unless half a network lies
// between their depths. Of them, the last of each shape first, from the back,
// and then those farthest from the ones taken. In order of depth. Both models
// need shapes (ir::infer_shapes with bound inputs). Empty where nothing fits.
std::vector<FeaturePair> pair_features(const ir::Model& student,
                                       const ir::Model& teacher,
                                       const PairOptions& options = {});

}  // namespace lathe::distill
