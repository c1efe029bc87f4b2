// Goes through a pruned model and its dense one side by side.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "passes/exec/staged_run.h"
#include "passes/pass_context.h"
#include "passes/prune/repair_fit.h"

namespace lathe::prune {

// A product of the pruned model and what it was in the dense one.
struct ProductPair {
  Product now, dense;
  std::vector<int64_t> kept;  // channels of the dense result that stay
};

// Where the sweep stops.
struct Stop {
  const ir::Node* now = nullptr;
  const ir::Node* dense = nullptr;  // null: the dense model does not matter
};

// Holds, for all samples, what both models have computed where they stand.
class Sweep {
 public:
  // `stops` in order; the models must stay. `samples` are drawn by the
  // context's seed, at most as many as `memory` holds at any stop.
  Sweep(const ir::Model& model, const ir::Model* dense,
        const std::vector<Stop>& stops, int64_t samples, int64_t memory,
        PassContext& context);

  int64_t samples() const { return samples_; }
  // By memory.
  bool limited() const { return limited_; }

  // The stop behind the last one, or that one again.
  void advance(const Stop& stop);
  // Of the product that it stands at, at positions drawn by the seed. Wanted is
  // the dense product's result; where that is added to a value that is known by
  // now, the sum counts, so that what the value lacks is made up for. `check`
  // has every fourth batch; of one batch it is all rows, as `fit`. Nullopt
  // where the two models' values do not have the same positions, or none.
  std::optional<PairRows> rows(const ProductPair& pair) const;
  // Of a value that the node that it stands at reads: mean and variance along
  // axis 1 over all samples and positions; double.
  void channel_moments(const std::string& value, at::Tensor& mean,
                       at::Tensor& variance) const;

 private:
  struct Draw;
  struct Sum;
  int64_t sample_bytes(const ir::Model& model,
                       const std::vector<const ir::Node*>& nodes) const;
  std::optional<Draw> draw(const ProductPair& pair) const;
  std::optional<Sum> sum_behind(const ProductPair& pair) const;
  bool add_terms(const ProductPair& pair, const Draw& draw, const Sum& sum,
                 Rows& rows) const;

  const ir::Model& model_;
  const ir::Model* dense_model_;
  PassContext& context_;
  const uint64_t seed_;
  int64_t samples_ = 0;
  bool limited_ = false;
  std::optional<exec::StagedRun> now_, dense_;
};

}  // namespace lathe::prune
