// The batches of a training run, epoch after epoch. Internal to the trainer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "passes/exec/trainer.h"

namespace lathe::exec {

class TrainingData {
 public:
  struct Position {
    int epoch = 0;
    int64_t samples = 0;  // of this rank, in the epoch
  };

  // Error kInput where a rank would have no sample.
  TrainingData(BatchSource& source, const TrainOptions& options, uint64_t seed,
               int64_t rank, int64_t ranks);

  int64_t batch_size() const { return batch_size_; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  const Position& position() const { return position_; }
  double epochs() const {
    return position_.epoch +
           static_cast<double>(position_.samples) /
               static_cast<double>(steps_per_epoch_ * batch_size_);
  }
  void seek(const Position& position);
  // `draw`: numbers of it decide what is mixed.
  TrainingBatch next(uint64_t draw);
  // All that is held out, as it is.
  void for_each_held_out(
      const std::function<void(const TrainingBatch&)>& take) const;
  double waited_s() const { return waited_s_; }

 private:
  ReadOptions read_options(ReadOptions::Part part) const;
  void mix(TrainingBatch& batch, uint64_t draw) const;

  BatchSource& source_;
  const TrainOptions& options_;
  const uint64_t seed_;
  const int64_t rank_, ranks_;
  bool augments_ = false;
  int64_t batch_size_ = 0, steps_per_epoch_ = 0;
  Position position_;
  std::unique_ptr<BatchReader> reader_;
  double waited_s_ = 0;
};

}  // namespace lathe::exec
