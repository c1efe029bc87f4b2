// Networks to measure: random in their sizes, ordinary in how their operators
// follow each other, because a kernel's time depends on what ran before it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "passes/ir/graph.h"
#include "passes/kernel.h"

namespace lathe::latency {

struct NetworkSpec {
  std::string family;  // one of network_families()
  uint64_t seed = 0;
  Precision precision = Precision::kFp32;  // kFp32, kInt8 or kFp16
  bool operator==(const NetworkSpec&) const = default;
};

// "residual-17", "residual-17-int8", …
std::string name_of(const NetworkSpec& spec);

std::span<const std::string_view> network_families();

// The same spec gives the same model, to the byte. Static shapes, batch 1,
// opset 17, small random weights. kInt8 is the model as quantize_static leaves
// it, with made-up ranges. Errors: kUsage when there is no such family, and
// kUnsupported for another precision.
ir::Model random_network(const NetworkSpec& spec);

}  // namespace lathe::latency
