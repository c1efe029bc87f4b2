// Measured profiles that are compiled into the program.
#pragma once

#include <span>
#include <string_view>

namespace lathe::latency {

struct EmbeddedProfile {
  std::string_view name;  // as in the file
  std::string_view json;
};

// One row a file of profiles/.
std::span<const EmbeddedProfile> embedded_profiles();

}  // namespace lathe::latency
