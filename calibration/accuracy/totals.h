// Sums over samples, in the data's order. Internal.
#pragma once

#include <string>
#include <vector>

#include "calibration/accuracy/sample_score.h"
#include "passes/evaluator.h"
#include "passes/ranks.h"

namespace lathe::accuracy {

class Totals {
 public:
  // `names`: the outputs'; `compared`: there is a reference.
  Totals(std::vector<std::string> names, bool compared)
      : names_(std::move(names)),
        compared_(compared),
        outputs_(names_.size()) {}
  void add(const SampleScore& score);
  // Becomes the sums over the samples of all ranks, the same bits on each.
  void gather(Ranks& ranks);
  Accuracy result() const;

 private:
  struct Mean {
    double sum = 0;
    int64_t count = 0;
    void add(double value) {
      sum += value;
      ++count;
    }
    double value() const {
      return count ? sum / static_cast<double>(count) : 0;
    }
  };
  struct Output {
    Mean sqnr_db, cosine;
    double max_abs_diff = 0;
  };
  // Calls use(number) for all that add up.
  template <class Self, class Use>
  static void for_each_sum(Self& totals, Use use);

  std::vector<std::string> names_;
  bool compared_;
  int64_t samples_ = 0, token_samples_ = 0;
  TokenLoss tokens_;
  Mean top1_, top5_, agreement_;
  std::vector<Output> outputs_;
};

}  // namespace lathe::accuracy
