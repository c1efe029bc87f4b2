// The runtime's profile of a session: what each node took in each run.
// Internal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::latency {

struct RuntimeProfile {
  struct Node {
    std::string name;     // as the runtime calls it
    std::string op_type;  // "Conv"
    std::string shapes;   // of the outputs: "[1,64,56,56][]"
    int inputs = 0;       // constants included
  };
  std::vector<Node> nodes;  // in order of execution
  // A row a run: whole microseconds, rounded down, a number a node.
  std::vector<std::vector<int32_t>> runs;
};

// Reads the JSON that a session's end_profiling() leaves, one event a line.
// Error kInput, with `where` as place, when runs differ in their nodes or
// nothing was run.
RuntimeProfile parse_profile(std::string_view json, const std::string& where);

}  // namespace lathe::latency
