// A list of passes run again and again until nothing changes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "passes/pass.h"

namespace lathe::rewrite {

using PassList = std::vector<std::unique_ptr<Pass>>;

// Runs `first` once, then `repeated` until a round changes nothing, at most
// `max_rounds` times. Remarks of `repeated` are those of the last round.
std::unique_ptr<Pass> make_rounds(std::string name, PassList first,
                                  PassList repeated, int max_rounds);

}  // namespace lathe::rewrite
