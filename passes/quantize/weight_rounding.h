// The codes of every weight matrix of a model.
#pragma once

#include <vector>

#include "passes/pass.h"
#include "passes/quantize/block_codes.h"
#include "passes/quantize/weight_sites.h"

namespace lathe::quantize {

// Weights and the products that read them the same way.
struct WeightMatrix {
  std::vector<WeightSite> sites;
  BlockCodes codes;

  const ir::Value& weights() const { return *sites[0].weights; }
};

// Each matrix once, in the order of its first site, its codes not chosen yet.
std::vector<WeightMatrix> matrices_of(const std::vector<WeightSite>& sites,
                                      const WeightOptions& options);

// [depth, columns], whichever way the weights are stored.
std::vector<float> matrix_values(const WeightSite& site);

// To nearest, each by itself.
void round_to_nearest(std::vector<WeightMatrix>& matrices,
                      PassContext& context);

// By GPTQ over context.data, in the order of execution; Gather tables and
// layers that the data never reaches (a remark each) to nearest. `model` is
// the one of the sites, which is not changed.
std::vector<Remark> round_by_gptq(const ir::Model& model,
                                  std::vector<WeightMatrix>& matrices,
                                  const WeightOptions& options,
                                  PassContext& context);

}  // namespace lathe::quantize
