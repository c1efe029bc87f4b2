#include "calibration/accuracy/reference.h"

namespace lathe::accuracy {
namespace {

latency::SessionOptions one_thread(bool quick) {
  latency::SessionOptions options;
  options.threads = 1;
  options.spin = false;
  if (quick) options.level = latency::OptimizationLevel::kBasic;
  return options;
}

}  // namespace

Reference::Reference(const ir::Model& model, uint64_t max_kept_bytes,
                     bool quick)
    : session_(
          latency::Session::open(model, one_thread(quick), "reference model")),
      max_kept_bytes_(max_kept_bytes) {}

std::vector<ir::Tensor> Reference::outputs(size_t index,
                                           const Batch& batch) const {
  {
    std::lock_guard lock(mutex_);
    if (index < kept_.size()) return kept_[index];
  }
  return session_->run(batch.inputs);
}

void Reference::begin(int64_t batch_size) {
  std::lock_guard lock(mutex_);
  if (batch_size == kept_batch_size_) return;
  kept_.clear();
  kept_bytes_ = 0;
  kept_batch_size_ = batch_size;
  too_large_ = false;
}

void Reference::keep(size_t index, const std::vector<ir::Tensor>& outputs) {
  std::lock_guard lock(mutex_);
  if (too_large_ || index != kept_.size()) return;
  for (const ir::Tensor& output : outputs) {
    kept_bytes_ += output.size_bytes();
    if (output.type() == ir::DataType::kString)
      for (const std::string& text : output.strings())
        kept_bytes_ += sizeof(text) + text.size();
  }
  if (kept_bytes_ > max_kept_bytes_) {
    too_large_ = true;
    kept_.clear();
    kept_.shrink_to_fit();
    return;
  }
  kept_.push_back(outputs);
}

size_t Reference::kept() const {
  std::lock_guard lock(mutex_);
  return kept_.size();
}

}  // namespace lathe::accuracy
