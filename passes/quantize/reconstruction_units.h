// What adaround reconstructs as a whole.
#pragma once

#include <string>
#include <vector>

#include "passes/quantize/coded_layers.h"

namespace lathe::quantize {

// Layers whose weights are learned together so that `targets` come out.
struct ReconstructionUnit {
  std::vector<CodedLayer*> layers;  // in execution order
  std::vector<std::string> targets;
  std::vector<std::string> float_targets;  // the same of the float model
};

// Blocks of more layers are taken layer by layer.
inline constexpr size_t kMaxBlockLayers = 8;

// A unit for each layer; its target is its result behind a Relu or Clip.
std::vector<ReconstructionUnit> layer_units(std::vector<CodedLayer>& layers,
                                            const ir::Model& reference);

// A unit for the layers between two places where one value is all that goes on:
// a residual block, the branches of an Inception block, or a layer of a chain.
// Its targets are that value before it is coded, and those of its layers that
// lead neither there nor to another of its layers (in front of an output).
std::vector<ReconstructionUnit> block_units(std::vector<CodedLayer>& layers,
                                            const ir::Model& model,
                                            const ir::Model& reference);

}  // namespace lathe::quantize
