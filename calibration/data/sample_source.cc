// Batches from samples: order, ranks, subsets, stacking, decoding ahead.
#include <fmt/format.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>

#include "calibration/data/data.h"
#include "calibration/data/sample_set.h"
#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/random.h"

namespace lathe::data {
namespace {

std::string show(const ir::Tensor& tensor) {
  return fmt::format("{}[{}]", ir::to_string(tensor.type()),
                     fmt::join(tensor.dims(), ","));
}

// One tensor a sample -> one with a batch dimension in front.
ir::Tensor stack(const std::vector<Sample>& samples, size_t input) {
  const ir::Tensor& first = samples.front().inputs[input].second;
  std::vector<int64_t> dims = first.dims();
  dims.insert(dims.begin(), static_cast<int64_t>(samples.size()));
  if (samples.size() == 1) return first.reshaped(std::move(dims));
  std::vector<std::byte> bytes;
  bytes.reserve(first.size_bytes() * samples.size());
  for (const Sample& sample : samples) {
    const auto more = sample.inputs[input].second.bytes();
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  return ir::Tensor(first.type(), std::move(dims),
                    ir::Bytes::own(std::move(bytes)));
}

class Reader : public BatchReader {
 public:
  Reader(std::shared_ptr<const SampleSet> set, const ReadOptions& options,
         int jobs)
      : set_(std::move(set)),
        options_(options),
        arena_(jobs),
        order_(make_order()) {
    if (set_->whole()) options_.batch_size = 1;
    // Enough samples to keep every thread busy, and the next two batches.
    const int64_t samples =
        std::max<int64_t>(2 * options_.batch_size, 4 * int64_t{jobs});
    window_ = 1 + (samples + options_.batch_size - 1) / options_.batch_size;
  }

  ~Reader() override {
    stop_ = true;
    for (auto& batch : pending_) arena_.execute([&] { batch->tasks.wait(); });
  }

  std::optional<Batch> next() override {
    while (static_cast<int64_t>(pending_.size()) < window_ && start_next()) {
    }
    if (pending_.empty()) return std::nullopt;
    const std::unique_ptr<Pending> batch = std::move(pending_.front());
    arena_.execute([&] { batch->tasks.wait(); });
    pending_.pop_front();
    // The first broken sample in order, however the threads ran.
    for (const std::exception_ptr& error : batch->errors)
      if (error) std::rethrow_exception(error);
    return assemble(*batch);
  }

 private:
  struct Pending {
    std::vector<int64_t> indices;
    std::vector<Sample> samples;
    std::vector<std::exception_ptr> errors;
    tbb::task_group tasks;
  };

  // The samples of options_.part, in the data set's order.
  std::vector<int64_t> part() const {
    std::vector<int64_t> all(static_cast<size_t>(set_->size()));
    std::iota(all.begin(), all.end(), 0);
    if (options_.part == ReadOptions::Part::kAll) return all;
    Random(derive_seed(options_.held_out_seed, "held out")).shuffle(all);
    const auto border =
        all.begin() + std::clamp<int64_t>(options_.held_out, 0, set_->size());
    if (options_.part == ReadOptions::Part::kHeldOut)
      all.erase(border, all.end());
    else
      all.erase(all.begin(), border);
    std::sort(all.begin(), all.end());
    return all;
  }

  std::vector<int64_t> make_order() const {
    std::vector<int64_t> all = part();
    if (options_.shuffle_seed) {
      Random random(derive_seed(static_cast<uint64_t>(*options_.shuffle_seed),
                                fmt::format("epoch {}", options_.epoch)));
      random.shuffle(all);
    }
    std::vector<int64_t> mine;
    for (size_t i = static_cast<size_t>(options_.rank); i < all.size();
         i += static_cast<size_t>(options_.ranks))
      mine.push_back(all[i]);
    mine.erase(
        mine.begin(),
        mine.begin() + std::min<int64_t>(options_.first_sample,
                                         static_cast<int64_t>(mine.size())));
    return mine;
  }

  bool start_next() {
    const size_t left = order_.size() - position_;
    const size_t count =
        std::min(left, static_cast<size_t>(options_.batch_size));
    if (count == 0) return false;
    if (options_.drop_last && count < static_cast<size_t>(options_.batch_size))
      return false;
    auto batch = std::make_unique<Pending>();
    const auto from = order_.begin() + static_cast<int64_t>(position_);
    batch->indices.assign(from, from + static_cast<int64_t>(count));
    batch->samples.resize(count);
    batch->errors.resize(count);
    position_ += count;
    pending_.push_back(std::move(batch));
    arena_.execute([this, pending = pending_.back().get()] {
      for (size_t i = 0; i < pending->indices.size(); ++i)
        pending->tasks.run([this, pending, i] { load(*pending, i); });
    });
    return true;
  }

  void load(Pending& batch, size_t i) {
    if (stop_) return;
    try {
      std::optional<Variation> variation;
      if (options_.augment)
        variation = {
            derive_seed(
                static_cast<uint64_t>(options_.shuffle_seed.value_or(0)),
                fmt::format("augment {} {}", options_.epoch, batch.indices[i])),
            options_.augmentation};
      batch.samples[i] = set_->load(batch.indices[i], variation);
    } catch (...) {
      batch.errors[i] = std::current_exception();
    }
  }

  Batch assemble(Pending& pending) const {
    std::vector<Sample>& samples = pending.samples;
    Batch batch;
    batch.samples = static_cast<int64_t>(samples.size());
    batch.indices = pending.indices;
    if (set_->has_labels())
      for (const Sample& sample : samples) batch.labels.push_back(sample.label);
    if (set_->whole()) {
      batch.inputs = std::move(samples.front().inputs);
      return batch;
    }
    for (size_t k = 0; k < samples.front().inputs.size(); ++k) {
      const auto& [name, first] = samples.front().inputs[k];
      for (size_t i = 1; i < samples.size(); ++i) {
        const ir::Tensor& other = samples[i].inputs[k].second;
        if (other.type() != first.type() || other.dims() != first.dims())
          throw_input(set_->name(pending.indices[i]),
                      fmt::format("gives {} for input '{}', but {} gives {}; "
                                  "they cannot stand in one batch",
                                  show(other), name,
                                  set_->name(pending.indices[0]), show(first)),
                      "bring all samples to one size: image.resize, "
                      "image.crop or audio.length");
      }
      batch.inputs.emplace_back(name, stack(samples, k));
    }
    return batch;
  }

  std::shared_ptr<const SampleSet> set_;
  ReadOptions options_;
  tbb::task_arena arena_;
  std::vector<int64_t> order_;
  size_t position_ = 0;
  int64_t window_ = 1;  // batches that are kept, the one handed out included
  std::atomic<bool> stop_{false};
  std::deque<std::unique_ptr<Pending>> pending_;
};

class SampleSource : public BatchSource {
 public:
  SampleSource(std::shared_ptr<const SampleSet> set, int jobs)
      : set_(std::move(set)),
        // Beyond the cores TBB only warns and gives no more threads.
        jobs_(std::min(effective_jobs(jobs), effective_jobs(0))) {}

  int64_t size() const override { return set_->size(); }
  bool has_labels() const override { return set_->has_labels(); }
  bool is_synthetic() const override { return set_->is_synthetic(); }
  bool has_images() const override { return set_->has_images(); }
  std::string description() const override { return set_->description(); }

  std::unique_ptr<BatchReader> read(const ReadOptions& options) override {
    const auto require = [&](bool holds, const char* what) {
      if (!holds) throw_internal("BatchSource::read", what);
    };
    require(options.batch_size > 0, "batch_size must be positive");
    require(
        options.ranks > 0 && options.rank >= 0 && options.rank < options.ranks,
        "rank must be one of the ranks");
    require(options.first_sample >= 0, "first_sample must not be negative");
    return std::make_unique<Reader>(set_, options, jobs_);
  }

  const std::shared_ptr<const SampleSet>& set() const { return set_; }

 private:
  std::shared_ptr<const SampleSet> set_;
  int jobs_;
};

class Subset : public SampleSet {
 public:
  Subset(std::shared_ptr<const SampleSet> set, std::vector<int64_t> indices)
      : set_(std::move(set)), indices_(std::move(indices)) {}
  int64_t size() const override {
    return static_cast<int64_t>(indices_.size());
  }
  bool has_labels() const override { return set_->has_labels(); }
  bool is_synthetic() const override { return set_->is_synthetic(); }
  bool whole() const override { return set_->whole(); }
  bool has_images() const override { return set_->has_images(); }
  std::string description() const override { return set_->description(); }
  std::string name(int64_t i) const override { return set_->name(at(i)); }
  Sample load(int64_t i,
              const std::optional<Variation>& variation) const override {
    return set_->load(at(i), variation);
  }

 private:
  int64_t at(int64_t i) const { return indices_[static_cast<size_t>(i)]; }
  std::shared_ptr<const SampleSet> set_;
  std::vector<int64_t> indices_;
};

// A source that is not made of samples, read one sample at a time: batches of
// one, without their first dimension.
class ForeignSamples : public SampleSet {
 public:
  explicit ForeignSamples(std::shared_ptr<BatchSource> source)
      : source_(std::move(source)) {}
  int64_t size() const override { return source_->size(); }
  bool has_labels() const override { return source_->has_labels(); }
  bool is_synthetic() const override { return source_->is_synthetic(); }
  std::string description() const override { return source_->description(); }
  std::string name(int64_t index) const override {
    return fmt::format("{}: sample {}", description(), index);
  }
  Sample load(int64_t index, const std::optional<Variation>&) const override {
    const std::lock_guard lock(mutex_);
    ReadOptions options;
    options.first_sample = index;
    std::optional<Batch> batch = source_->read(options)->next();
    if (!batch) throw_internal(name(index), "the source ends early");
    Sample sample;
    for (auto& [input, tensor] : batch->inputs) {
      if (tensor.rank() == 0 || tensor.dims()[0] != 1)
        throw_internal(name(index),
                       fmt::format("input '{}' has no batch of one", input));
      sample.inputs.emplace_back(
          input,
          tensor.reshaped({tensor.dims().begin() + 1, tensor.dims().end()}));
    }
    if (!batch->labels.empty()) sample.label = batch->labels.front();
    return sample;
  }

 private:
  std::shared_ptr<BatchSource> source_;
  mutable std::mutex mutex_;
};

}  // namespace

std::unique_ptr<BatchSource> make_source(std::shared_ptr<const SampleSet> set,
                                         int jobs) {
  return std::make_unique<SampleSource>(std::move(set), jobs);
}

std::shared_ptr<const SampleSet> subset(std::shared_ptr<const SampleSet> set,
                                        std::vector<int64_t> indices) {
  return std::make_shared<Subset>(std::move(set), std::move(indices));
}

std::shared_ptr<const SampleSet> samples_of(
    std::shared_ptr<BatchSource> source) {
  if (const auto* own = dynamic_cast<const SampleSource*>(source.get()))
    return own->set();
  return std::make_shared<ForeignSamples>(std::move(source));
}

std::pair<std::unique_ptr<BatchSource>, std::unique_ptr<BatchSource>> split(
    std::shared_ptr<BatchSource> source, double first_share, uint64_t seed) {
  if (!(first_share >= 0 && first_share <= 1))
    throw_internal("data::split", "first_share must be in [0, 1]");
  const int64_t count = source->size();
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  Random(derive_seed(seed, "split")).shuffle(order);
  int64_t first =
      static_cast<int64_t>(first_share * static_cast<double>(count));
  // Neither part is empty where both are asked for.
  if (count >= 2 && first_share > 0 && first_share < 1)
    first = std::clamp<int64_t>(first, 1, count - 1);
  // Each part keeps the set's own order.
  std::sort(order.begin(), order.begin() + first);
  std::sort(order.begin() + first, order.end());
  const auto set = samples_of(std::move(source));
  const auto part = [&](int64_t from, int64_t to) {
    return make_source(subset(set, {order.begin() + from, order.begin() + to}),
                       /*jobs=*/0);
  };
  return {part(0, first), part(first, count)};
}

}  // namespace lathe::data
