// A linear model that is trained, and what watches it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "passes/exec/trainer.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include "passes/base/error.h"
#include "passes/base/json.h"
#include "tests/support/error_of.h"
#include "tests/support/memory_samples.h"

namespace lathe::exec::test {

constexpr int64_t kSamples = 40, kFeatures = 3;

// Inputs "x" [N, 3] and "y" [N, 1], y linear in x but for noise; labels say
// whether y is above zero.
lathe::test::MemorySamples linear_samples();

// y = x w + b by least squares, with a running mean of x as a buffer.
class LinearTask final : public TrainingTask {
 public:
  explicit LinearTask(PassContext& context);

  std::vector<TrainedTensor> trained() override;
  NamedValues buffers() override { return {{"mean", mean}}; }
  void set_training(bool on) override { training = on; }
  at::Tensor loss(const TrainingBatch& batch, LossTerms& terms) override;
  void after_step() override;
  std::string keep_last_good() override { return last_good; }

  // What is trained, then the buffer.
  std::vector<at::Tensor> values() const;

  at::Tensor weight, bias, mean;
  bool training = false;
  double noise = 0;        // added to x while it is trained
  bool judges = true;      // counts what is right
  bool records = false;    // keeps batches and values
  int64_t cancel_at = -1;  // after so many steps of this run
  int64_t fail_at = -1;    // throws then
  // The batch of this run, from 0, whose loss is not finite.
  int64_t infinite_at = -1;
  std::function<void()> stepped;  // after each step
  double sleep_s = 0;             // a batch
  std::string last_good;
  std::vector<double> evaluations;  // replaces the loss of what is held out
  int64_t steps = 0, batches = 0, evaluated = 0;
  std::vector<TrainingBatch> trained_on, evaluated_on;
  std::vector<std::vector<at::Tensor>> values_evaluated, values_after;

 private:
  CancelToken token_;
};

struct Trained {
  TrainingReport report;
  std::vector<at::Tensor> values;
};

inline const std::string kFingerprint = "this run";

// Twelve steps of four samples.
TrainOptions short_run();
Trained run(const TrainOptions& options,
            const std::function<void(LinearTask&)>& change = {},
            ProcessGroup* group = nullptr, uint64_t seed = 7,
            ProgressSink* progress = nullptr);

bool same_bits(const std::vector<at::Tensor>& a,
               const std::vector<at::Tensor>& b);
double largest_difference(const std::vector<at::Tensor>& a,
                          const std::vector<at::Tensor>& b);

// A curve without its times.
Json timeless(const std::vector<TrainingPoint>& curve);
// The same of the lines of a file.
Json timeless_lines(const std::filesystem::path& path);

using lathe::test::error_of;

}  // namespace lathe::exec::test
