// What of a kernel decides its time: its family, the physical quantities that
// a first model is linear in, and the features that a regressor corrects it by.
// Internal to the estimator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "passes/kernel.h"

namespace lathe::latency {

// Kinds that are computed alike.
enum class Family {
  kConvolution,
  kDepthwise,
  kGrouped,
  kTransposedConvolution,
  kProduct,
  kPooling,
  kElementwise,
  kCostly,  // element by element through a transcendental function
  kMovement,
  kReorder,
  kConversion,  // quantize, dequantize, cast
  kReduction,   // softmax, normalizations, reductions, global pooling
  kRecurrent,
  kView,  // reshape and its kin: no work, or a copy
  kOther
};
const char* to_string(Family family);
// kOther for a kind that the table does not list.
Family family_of(const std::string& kind);

// The regressor that a kernel belongs to, "convolution/fp32/blocked"; and the
// one that takes its place where too little was measured: "convolution".
std::string cell_of(const KernelDescriptor& kernel);

struct KernelView;  // a kernel and what is computed from it

// A quantity that time is a non-negative sum of, and its price in microseconds:
// the usual order of magnitude, and more than any device that runs networks
// asks for.
struct TermRow {
  const char* name;
  double usual_us, dearest_us;
  double (*value)(const KernelView& view);
};
inline constexpr size_t kTerms = 20;
using Terms = std::array<double, kTerms>;
extern const std::array<TermRow, kTerms> kTermRows;

struct FeatureRow {
  const char* name;
  float (*value)(const KernelView& view);
};
inline constexpr size_t kFeatures = 57;
using Features = std::array<float, kFeatures>;
extern const std::array<FeatureRow, kFeatures> kFeatureRows;

// `lanes`: fp32 values in the device's widest vector, which is also the block
// of the blocked layout (16 with AVX-512, 8 with AVX2, 4 with NEON).
Terms physical_terms(const KernelDescriptor& kernel, int lanes);
// The features that follow from the kernel alone; a cell may add others.
Features kernel_features(const KernelDescriptor& kernel, int lanes);

}  // namespace lathe::latency
