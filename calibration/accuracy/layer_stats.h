// The figures of one layer, added up over batches. Internal.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "calibration/accuracy/layer_values.h"
#include "passes/ir/tensor.h"

namespace lathe::accuracy {

// Results with more channels than this have no figure by channel.
inline constexpr int64_t kMaxChannels = 2048;

// Batches are measured on any thread and merged in the data's order, so that
// sums do not depend on how many run at a time.
class LayerStats {
 public:
  // Once, on a fresh object. Compares a layer's result with what stands for it:
  // real numbers of any floating-point type, or codes of `quantizer`. Tensors
  // hold `batch_size` samples of which the first `samples` count. Where they
  // cannot be compared (other sizes, no real numbers), the layer has no figures
  // from then on.
  void measure(const ir::Tensor& reference, const ir::Tensor& other, bool codes,
               const std::optional<Quantizer>& quantizer, int64_t batch_size,
               int64_t samples);
  void merge(const LayerStats& other);

  bool comparable() const { return !failed_ && count_ > 0; }
  // Means over samples, as metrics.h defines them.
  double sqnr_db() const;
  double cosine() const;
  double max_abs_diff() const { return max_abs_diff_; }
  // The median over channels of 10 log10(sum r^2 / sum (r - x)^2), the sums
  // over all samples. Channels that are all zero are left out; nullopt for
  // fewer than two. Channels: as in sample_score.h.
  std::optional<double> channel_sqnr_db() const;
  // The largest magnitude of any channel over the median channel's; nullopt
  // where the above is.
  std::optional<double> channel_spread() const;
  // The share of the reference's elements beyond the quantizer's range by more
  // than half a step; of its codes, the share that the other never uses.
  // nullopt without a quantizer.
  std::optional<double> clipped_share() const;
  std::optional<double> unused_codes_share() const;
  int64_t elements() const { return elements_; }
  // How many the quantizer has; 0 without one.
  int64_t codes() const { return static_cast<int64_t>(used_.size()); }

 private:
  void measure_channels(const ir::Tensor& shape, const float* reference,
                        const float* other);
  void measure_codes(const Quantizer& quantizer, const float* reference,
                     const float* other);

  bool failed_ = false;
  int64_t count_ = 0;  // of samples
  double sqnr_sum_ = 0, cosine_sum_ = 0, max_abs_diff_ = 0;
  int64_t elements_ = 0, clipped_ = 0;
  std::vector<double> signal_, noise_;  // by channel
  std::vector<float> largest_;
  std::vector<bool> used_;  // by code; empty without a quantizer
};

}  // namespace lathe::accuracy
