// A checkpoint: all that a training run needs to go on as if it had never
// stopped.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "passes/exec/optimizer.h"

namespace lathe::exec {

struct TrainingState {
  std::string json;  // numbers and texts
  NamedValues tensors;
};

// Appears under its name only when it is whole. Error kIo.
void save_training_state(const TrainingState& state,
                         const std::filesystem::path& path);
// nullopt where there is no such file. Error kInput for one that does not read.
std::optional<TrainingState> load_training_state(
    const std::filesystem::path& path);

}  // namespace lathe::exec
