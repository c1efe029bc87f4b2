#include "passes/exec/training_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe::exec {
namespace {

using Clock = std::chrono::steady_clock;

// LibTorch's convolutions convert less of what lies channels last: a tenth of a
// step of ResNet-56.
at::Tensor for_convolutions(at::Tensor tensor) {
  if (tensor.dim() != 4 || !tensor.is_floating_point()) return tensor;
  return tensor.contiguous(at::MemoryFormat::ChannelsLast);
}

TrainingBatch to_training(const Batch& batch) {
  TrainingBatch made;
  made.samples = batch.samples;
  made.indices = batch.indices;
  for (const auto& [name, tensor] : batch.inputs)
    made.inputs.emplace_back(name, for_convolutions(to_torch(tensor)));
  if (!batch.labels.empty()) made.labels = at::tensor(batch.labels, at::kLong);
  return made;
}

// Marsaglia and Tsang 2000; for a shape below 1, by the power of a uniform.
double draw_gamma(Random& random, double shape) {
  if (shape < 1)
    return draw_gamma(random, shape + 1) *
           std::pow(1 - random.uniform(), 1 / shape);
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal();
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(1 - random.uniform()) <
        0.5 * x * x + d - d * v + d * std::log(v))
      return d * v;
  }
}

double draw_beta(Random& random, double alpha) {
  const double a = draw_gamma(random, alpha), b = draw_gamma(random, alpha);
  return a + b > 0 ? a / (a + b) : 1;
}

}  // namespace

TrainingData::TrainingData(BatchSource& source, const TrainOptions& options,
                           uint64_t seed, int64_t rank, int64_t ranks)
    : source_(source),
      options_(options),
      seed_(seed),
      rank_(rank),
      ranks_(ranks),
      augments_(options.augment && source.has_images()) {
  const int64_t training = source.size() - options.held_out;
  // Every rank takes as many samples.
  batch_size_ = std::min(options.batch_size, training / ranks);
  if (batch_size_ < 1)
    throw Error(
        ErrorKind::kInput, source.description(),
        fmt::format("has {} samples, of which {} are held out: too few "
                    "to train on{}",
                    source.size(), options.held_out,
                    ranks > 1 ? fmt::format(" by {} ranks", ranks) : ""));
  steps_per_epoch_ = training / ranks / batch_size_;
}

ReadOptions TrainingData::read_options(ReadOptions::Part part) const {
  ReadOptions read;
  read.batch_size = batch_size_;
  read.rank = rank_;
  read.ranks = ranks_;
  if (options_.held_out > 0) {
    read.part = part;
    read.held_out = options_.held_out;
    read.held_out_seed = derive_seed(seed_, "held out");
  }
  return read;
}

void TrainingData::seek(const Position& position) {
  position_ = position;
  ReadOptions read = read_options(ReadOptions::Part::kRest);
  read.shuffle_seed = static_cast<int64_t>(derive_seed(seed_, "order") >> 1);
  read.epoch = position.epoch;
  read.first_sample = position.samples;
  read.augment = augments_;
  if (augments_) read.augmentation = options_.augmentation;
  read.drop_last = true;
  reader_ = source_.read(read);
}

TrainingBatch TrainingData::next(uint64_t draw) {
  const auto start = Clock::now();
  if (!reader_) seek(position_);
  // Ranks with a sample more than others leave it out.
  if (position_.samples >= steps_per_epoch_ * batch_size_)
    seek({position_.epoch + 1, 0});
  std::optional<Batch> batch = reader_->next();
  if (!batch)
    throw_internal(source_.description(),
                   fmt::format("ends after {} samples of epoch {}",
                               position_.samples, position_.epoch));
  position_.samples += batch->samples;
  TrainingBatch made = to_training(*batch);
  waited_s_ += std::chrono::duration<double>(Clock::now() - start).count();
  if (augments_) made.indices.clear();
  if (options_.mixup > 0) mix(made, draw);
  return made;
}

void TrainingData::mix(TrainingBatch& batch, uint64_t draw) const {
  Random random(derive_seed(draw, "mixup"));
  batch.share = draw_beta(random, options_.mixup);
  batch.indices.clear();
  for (auto& [name, tensor] : batch.inputs)
    if (tensor.is_floating_point() && tensor.dim() > 1)
      tensor = tensor.flip(0).lerp_(tensor, batch.share);
  if (batch.labels.defined()) batch.other_labels = batch.labels.flip(0);
}

void TrainingData::for_each_held_out(
    const std::function<void(const TrainingBatch&)>& take) const {
  const auto reader = source_.read(read_options(ReadOptions::Part::kHeldOut));
  while (const auto batch = reader->next()) take(to_training(*batch));
}

}  // namespace lathe::exec
