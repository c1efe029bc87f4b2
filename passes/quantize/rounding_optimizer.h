// Learns the rounding of a unit's weights from what goes into it and what
// should come out.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/exec/program.h"
#include "passes/pass_context.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/reconstruction_units.h"

namespace lathe::quantize {

struct UnitSamples {
  // Of the unit's model, [sample][input], and [sample][target].
  std::vector<std::vector<at::Tensor>> inputs, targets;
};

struct LearnedRounding {
  // For each layer of the unit, in the order of its weights.
  std::vector<std::vector<int8_t>> codes;
  // Mean squared error on the held-out samples, over that of the codes that
  // the unit has; several targets count alike.
  double held_out = 1;
  // The codes that are there give the targets as they are, or no weight lies
  // between two codes: they stay.
  bool exact = false;
};

// `part`: computes the unit's targets, as its first outputs, from its inputs.
// The last eighth of the samples is held out (where there is one sample: it
// serves for both). The result depends on `seed`, not on the number of jobs.
LearnedRounding learn_rounding(const ir::Model& part,
                               const ReconstructionUnit& unit,
                               const UnitSamples& samples,
                               const AdaroundOptions& options, uint64_t seed,
                               const PassContext& context);

}  // namespace lathe::quantize
