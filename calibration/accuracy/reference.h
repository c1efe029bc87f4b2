// The reference's outputs, run once and kept while they are small. Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "calibration/latency/session.h"
#include "passes/batch_source.h"
#include "passes/ir/graph.h"

namespace lathe::accuracy {

// Outputs of all batches up to this many bytes are kept.
inline constexpr uint64_t kMaxKeptBytes = uint64_t{256} << 20;

class Reference {
 public:
  // `quick`: EvaluateOptions::quick_reference.
  Reference(const ir::Model& model, uint64_t max_kept_bytes, bool quick);

  const latency::Session& session() const { return *session_; }
  // The outputs for the index-th batch, in session().outputs() order.
  // Thread-safe.
  std::vector<ir::Tensor> outputs(size_t index, const Batch& batch) const;

  // Starts a pass over the data; batches of another size are not the ones that
  // were kept.
  void begin(int64_t batch_size);
  // Keeps a batch's outputs, called in order during the first pass, beside
  // outputs().
  void keep(size_t index, const std::vector<ir::Tensor>& outputs);
  // How many batches are kept.
  size_t kept() const;

 private:
  std::unique_ptr<latency::Session> session_;
  uint64_t max_kept_bytes_;
  mutable std::mutex mutex_;  // of what follows
  std::vector<std::vector<ir::Tensor>> kept_;
  uint64_t kept_bytes_ = 0;
  int64_t kept_batch_size_ = 0;
  bool too_large_ = false;
};

}  // namespace lathe::accuracy
