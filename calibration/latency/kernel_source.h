// The kernels of a model, described: what a predictor is asked about.
#pragma once

#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/kernel.h"

namespace lathe::latency {

struct DescribedKernel {
  KernelDescriptor descriptor;
  std::string name;  // id of the (optimized) graph's node
  // Ids of the given model's nodes whose work it does.
  std::vector<std::string> nodes;
  // The main node's label in the given model, for messages.
  std::string label;
  // False: the operator table does not know the operator, or a shape stayed
  // unknown; only the bytes that are known stand in the descriptor.
  bool known = true;
};

// What decides the fusions and layouts of a device's runtime.
struct RuntimeTraits {
  std::string version;       // "1.30.0"
  std::string architecture;  // "x86-64", "arm64"
  // Channels in a block of the NCHWc layout: 16 with AVX-512, 8 with AVX2, 0
  // where the runtime has no such kernels (Arm).
  int nchwc_block = 16;
  // Int8 pairs of Q/DQ become unsigned: x86.
  bool unsigned_activations = true;
};

// Those of this machine and the runtime library in use.
RuntimeTraits local_traits();
// What follows from the processor: 16 channels in a block with AVX-512, 8 on
// other x86-64, none elsewhere.
RuntimeTraits make_traits(std::string version, std::string architecture,
                          bool avx512);

// Of the model as the runtime of this machine optimizes it: opens a session,
// reads the optimized graph back. A model too large for that (2 GB of weights)
// goes by the rules with local_traits(). Errors as Session::open.
std::vector<DescribedKernel> kernels_by_runtime(const ir::Model& model,
                                                int threads);
// Of an optimized graph, as dumped. `original` resolves `nodes`.
std::vector<DescribedKernel> kernels_of_optimized(const ir::Model& optimized,
                                                  const ir::Model& original);
// From the model alone, by rules for a foreign device. Shapes must be known.
std::vector<DescribedKernel> kernels_by_rules(const ir::Model& model,
                                              const RuntimeTraits& traits);

}  // namespace lathe::latency
