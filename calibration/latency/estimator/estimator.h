// The LatencyModel that a device profile answers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "calibration/latency/estimator/device_file.h"
#include "calibration/latency/kernel_source.h"
#include "passes/latency_model.h"

namespace lathe::latency {

// Thread-safe; kernels are memoised.
class Estimator final : public LatencyModel {
 public:
  // Error kUsage when the profile has no column for that thread count.
  Estimator(std::shared_ptr<const DeviceFile> file, int threads);
  ~Estimator() override;

  // From the runtime's own optimized graph where the profile is of this
  // machine's kind (same name and runtime version), else by fusion rules.
  GraphEstimate estimate(const ir::Model& model) const override;
  GraphEstimate estimate_outline(const ir::Model& model) const override;
  LatencyEstimate kernel(const KernelDescriptor& kernel) const override;
  std::string device() const override;
  bool calibrated() const override { return true; }

  // estimate() in two steps: what is asked, and the answer (milliseconds of
  // the first are session start-up, the second is arithmetic).
  std::vector<DescribedKernel> prepare(const ir::Model& model) const;
  GraphEstimate estimate(const std::vector<DescribedKernel>& kernels) const;

  const DeviceFile& file() const { return *file_; }
  const DeviceColumn& column() const { return *column_; }
  // The profile's kernels are the ones that this machine's runtime has.
  bool of_this_machine() const { return this_machine_; }

 private:
  class Memo;
  KernelPrediction predict(const KernelDescriptor& kernel) const;

  std::shared_ptr<const DeviceFile> file_;
  const DeviceColumn* column_;
  bool this_machine_;
  std::unique_ptr<Memo> memo_;
};

}  // namespace lathe::latency
