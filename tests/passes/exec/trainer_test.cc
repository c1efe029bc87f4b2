// What a training run does from its start to its end.
#include "passes/exec/trainer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "passes/exec/training_step.h"
#include "tests/passes/exec/rank_threads.h"
#include "tests/passes/exec/trainer_support.h"

namespace lathe::exec::test {
namespace {

double first_loss(const Trained& trained) {
  return trained.report.curve.front().loss;
}
double last_loss(const Trained& trained) {
  return trained.report.curve.back().loss;
}

std::string usage(const TrainOptions& options) {
  return error_of(ErrorKind::kUsage, [&] { run(options); });
}

TEST_CASE("trainer: the loss falls") {
  TrainOptions options = short_run();
  options.steps = 60;
  for (const bool bfloat16 : {false, true}) {
    options.bfloat16 = bfloat16;
    const Trained trained = run(options);
    CHECK(last_loss(trained) < 0.1 * first_loss(trained));
    const TrainingReport& report = trained.report;
    CHECK(report.steps == 60);
    CHECK(report.samples == 240);
    CHECK(report.resumed_at == 0);
    CHECK(report.best_step == 0);
    CHECK_FALSE(report.stopped_early);
    REQUIRE(report.curve.size() == 60);
    CHECK(report.curve.back().step == 60);
    // Ten batches of four are an epoch of forty.
    CHECK(report.curve[9].epoch == 1);
    CHECK(report.curve[24].epoch == 2.5);
    CHECK(report.curve[0].accuracy.has_value());
    CHECK_FALSE(report.curve[0].held_out_loss.has_value());
  }
}

TEST_CASE("trainer: the same seed gives the same bits, another one others") {
  TrainOptions options = short_run();
  options.held_out = 8;
  const auto noisy = [](LinearTask& task) { task.noise = 0.1; };
  const Trained once = run(options, noisy);
  const Trained again = run(options, noisy);
  CHECK(same_bits(once.values, again.values));
  CHECK(timeless(once.report.curve) == timeless(again.report.curve));
  CHECK_FALSE(same_bits(once.values, run(options, noisy, nullptr, 8).values));
  CHECK_FALSE(same_bits(once.values, run(options).values));
}

TEST_CASE(
    "trainer: what is held out is not trained on, all else once an epoch") {
  TrainOptions options = short_run();
  options.held_out = 8;
  options.steps = 16;
  std::vector<std::vector<int64_t>> epochs(2);
  std::set<int64_t> held_out;
  PassContext context;
  context.jobs = 1;
  LinearTask watched(context);
  watched.records = true;
  lathe::test::MemorySamples samples = linear_samples();
  train(watched, samples, options, kFingerprint, nullptr, context);
  for (size_t i = 0; i < 16; ++i)
    for (const int64_t index : watched.trained_on[i].indices)
      epochs[i / 8].push_back(index);
  for (const TrainingBatch& batch : watched.evaluated_on)
    held_out.insert(batch.indices.begin(), batch.indices.end());
  CHECK(held_out.size() == 8);
  CHECK(epochs[0] != epochs[1]);
  for (const auto& epoch : epochs) {
    const std::set<int64_t> seen(epoch.begin(), epoch.end());
    CHECK(seen.size() == 32);
    for (const int64_t index : held_out) CHECK_FALSE(seen.contains(index));
  }
}

TEST_CASE("trainer: two half batches to a step are one batch") {
  TrainOptions options = short_run();
  options.batch_size = 8;
  const Trained whole = run(options);
  options.batch_size = 4;
  options.accumulate = 2;
  const Trained halves = run(options);
  CHECK(halves.report.samples == 12 * 8);
  REQUIRE(halves.report.curve.size() == whole.report.curve.size());
  for (size_t i = 0; i < 12; ++i) {
    CHECK(halves.report.curve[i].loss ==
          doctest::Approx(whole.report.curve[i].loss).epsilon(1e-5));
    CHECK(halves.report.curve[i].terms[0].second ==
          doctest::Approx(whole.report.curve[i].terms[0].second).epsilon(1e-5));
    CHECK(halves.report.curve[i].accuracy == whole.report.curve[i].accuracy);
  }
  CHECK(largest_difference({halves.values[0], halves.values[1]},
                           {whole.values[0], whole.values[1]}) < 1e-5);
}

TEST_CASE("trainer: mixup mixes what it would have read") {
  TrainOptions options = short_run();
  options.steps = 3;
  const auto batches = [&] {
    PassContext context;
    context.jobs = 1;
    LinearTask task(context);
    task.records = true;
    lathe::test::MemorySamples samples = linear_samples();
    train(task, samples, options, kFingerprint, nullptr, context);
    return task.trained_on;
  };
  const auto plain = batches();
  options.mixup = 0.4;
  const auto mixed = batches();
  std::set<double> shares;
  for (size_t i = 0; i < 3; ++i) {
    const double share = mixed[i].share;
    shares.insert(share);
    CHECK(share >= 0);
    CHECK(share <= 1);
    CHECK(mixed[i].indices.empty());
    CHECK(mixed[i].labels.equal(plain[i].labels));
    CHECK(mixed[i].other_labels.equal(plain[i].labels.flip(0)));
    for (size_t k = 0; k < 2; ++k) {
      const at::Tensor& x = plain[i].inputs[k].second;
      const at::Tensor formula = share * x + (1 - share) * x.flip(0);
      CHECK(at::allclose(mixed[i].inputs[k].second, formula));
    }
  }
  CHECK(shares.size() == 3);
}

TEST_CASE("trainer: the best weights on what is held out are kept") {
  TrainOptions options = short_run();
  options.held_out = 8;
  options.evaluate_every = 3;
  for (const double ema : {0.0, 0.5}) {
    CAPTURE(ema);
    options.ema_decay = ema;
    PassContext context;
    context.jobs = 1;
    LinearTask watched(context);
    watched.records = true;
    watched.evaluations = {9, 9, 5, 4, 1, 2, 3, 1, 7, 7};  // two batches each
    lathe::test::MemorySamples samples = linear_samples();
    const TrainingReport report =
        train(watched, samples, options, kFingerprint, nullptr, context);
    CHECK(report.best_step == 6);
    CHECK(report.steps == 12);
    CHECK(*report.curve[2].held_out_loss == 4.5);
    CHECK(*report.curve[5].held_out_loss == 1.5);
    CHECK(*report.curve[8].held_out_loss == 2);
    REQUIRE(watched.values_evaluated.size() == 10);
    CHECK(same_bits(watched.values(), watched.values_evaluated[4]));
    // Evaluations looked at averages, where there are any.
    CHECK(same_bits(watched.values_evaluated[4], watched.values_after[5]) ==
          (ema == 0));
  }
}

TEST_CASE("trainer: what it began with stays where nothing is better") {
  TrainOptions options = short_run();
  options.held_out = 4;
  options.evaluate_every = 4;
  PassContext context;
  context.jobs = 1;
  LinearTask task(context);
  task.evaluations = {1, 2, 1, 3};
  const auto before = copies(task.values());
  lathe::test::MemorySamples samples = linear_samples();
  const TrainingReport report =
      train(task, samples, options, kFingerprint, nullptr, context);
  CHECK(report.best_step == 0);
  CHECK(report.steps == 12);
  CHECK(same_bits(task.values(), before));
}

TEST_CASE("trainer: an evaluation that is not finite is the worst") {
  TrainOptions options = short_run();
  options.held_out = 4;
  options.evaluate_every = 4;
  const Trained trained = run(options, [](LinearTask& task) {
    task.evaluations = {NAN, NAN, 2, INFINITY};
  });
  CHECK(trained.report.best_step == 8);
  CHECK(Json::parse(to_json(trained.report))["curve"][3].contains(
            "held_out_loss") == false);
}

TEST_CASE("trainer: it stops early where nothing gets better") {
  TrainOptions options = short_run();
  options.held_out = 4;
  options.evaluate_every = 2;
  options.patience = 2;
  const Trained trained = run(options, [](LinearTask& task) {
    task.evaluations = {9, 3, 2, 2, 5, 1, 1};
  });
  CHECK(trained.report.stopped_early);
  CHECK(trained.report.steps == 8);
  CHECK(trained.report.best_step == 4);
}

TEST_CASE("trainer: a loss that is not finite ends the run") {
  TrainOptions options = short_run();
  options.schedule = {.name = "constant", .warm_up = 0};
  // Values after a step are good once another loss of them was finite.
  for (const int64_t batch : {0, 1, 4}) {
    CAPTURE(batch);
    PassContext context;
    context.jobs = 1;
    context.seed = 7;
    LinearTask task(context);
    task.records = true;
    task.infinite_at = batch;
    task.last_good = "kept.onnx";
    const std::vector<at::Tensor> before = task.values();
    lathe::test::MemorySamples samples = linear_samples();
    const std::string found = error_of(ErrorKind::kInternal, [&] {
      train(task, samples, options, kFingerprint, nullptr, context);
    });
    CHECK(found ==
          "training step " + std::to_string(batch + 1) +
              ": the loss (its part 'squares') is inf at a learning rate of "
              "0.05; the last good weights are in kept.onnx (start anew with "
              "a lower learning rate, such as 0.005)");
    CHECK(same_bits(task.values(),
                    batch < 2
                        ? before
                        : task.values_after[static_cast<size_t>(batch - 2)]));
  }
}

TEST_CASE("trainer: the same in the trial of a time budget") {
  TrainOptions options = short_run();
  options.steps = {};
  options.time_budget_s = 5;
  CHECK(error_of(ErrorKind::kInternal,
                 [&] {
                   run(options, [](LinearTask& task) { task.infinite_at = 3; });
                 }) ==
        "training step 4: the loss (its part 'squares') is inf at a learning "
        "rate of 0 (start anew with a lower learning rate, such as 0.005)");
}

TEST_CASE("trainer: of a time budget's trial nothing stays") {
  TrainOptions options = short_run();
  options.schedule = {.name = "constant", .warm_up = 0};
  options.held_out = 4;
  options.ema_decay = 0.5;
  const auto slow = [](LinearTask& task) {
    task.noise = 0.1;
    task.sleep_s = 0.003;
  };
  options.steps = {};
  options.time_budget_s = 0.3;
  const Trained by_time = run(options, slow);
  CHECK(by_time.report.steps > 0);
  options.time_budget_s = {};
  options.steps = by_time.report.steps;
  const Trained by_steps =
      run(options, [](LinearTask& task) { task.noise = 0.1; });
  CHECK(by_time.report.samples == by_steps.report.samples);
  for (size_t i = 0;
       i < std::min(by_time.report.curve.size(), by_steps.report.curve.size());
       ++i) {
    CHECK(by_time.report.curve[i].loss == by_steps.report.curve[i].loss);
    CHECK(by_time.report.curve[i].step == by_steps.report.curve[i].step);
  }
}

TEST_CASE("trainer: two ranks are one with twice the batch") {
  TrainOptions options = short_run();
  options.held_out = 8;
  options.batch_size = 8;
  const Trained one = run(options);
  options.batch_size = 4;
  std::vector<Trained> both(2);
  lathe::test::with_ranks(2, [&](std::shared_ptr<ProcessGroup> group) {
    both[static_cast<size_t>(group->rank())] = run(options, {}, group.get());
  });
  for (const Trained& rank : both) {
    CHECK(rank.report.samples == one.report.samples);
    CHECK(rank.report.best_step == one.report.best_step);
    REQUIRE(rank.report.curve.size() == one.report.curve.size());
    for (size_t i = 0; i < 12; ++i) {
      const TrainingPoint& mine = rank.report.curve[i];
      const TrainingPoint& theirs = one.report.curve[i];
      CHECK(mine.loss == doctest::Approx(theirs.loss).epsilon(1e-6));
      CHECK(mine.accuracy == theirs.accuracy);
      CHECK(mine.epoch == theirs.epoch);
      CHECK(mine.held_out_loss.has_value());
      CHECK(*mine.held_out_loss ==
            doctest::Approx(*theirs.held_out_loss).epsilon(1e-6));
      CHECK(mine.held_out_accuracy == theirs.held_out_accuracy);
    }
    CHECK(largest_difference({rank.values[0], rank.values[1]},
                             {one.values[0], one.values[1]}) < 1e-6);
  }
  CHECK(same_bits({both[0].values[0]}, {both[1].values[0]}));
}

TEST_CASE("trainer: options that do not go together") {
  TrainOptions options = short_run();
  options.time_budget_s = 10;
  CHECK(usage(options) == "training: needs either steps or a time budget");
  options.steps = {};
  options.time_budget_s = 0;
  CHECK(usage(options) == "time_budget: should be positive");
  options.time_budget_s = {};
  CHECK(usage(options) == "training: needs either steps or a time budget");
  options = short_run();
  options.steps = 0;
  CHECK(usage(options) == "steps: should be positive");
  options = short_run();
  options.batch_size = 0;
  CHECK(usage(options) == "batch_size: should be positive");
  options = short_run();
  options.accumulate = 0;
  CHECK(usage(options) == "accumulate: should be positive");
  options = short_run();
  options.patience = 1;
  CHECK(usage(options) == "patience: needs samples that are held out");
  options = short_run();
  options.schedule.name = "cosin";
  CHECK(usage(options) ==
        "schedule: found 'cosin'; did you mean 'cosine'? (known are cosine, "
        "step, one-cycle, constant)");
  options = short_run();
  options.held_out = kSamples;
  CHECK(error_of(ErrorKind::kInput, [&] { run(options); }) ==
        "memory: has 40 samples, of which 40 are held out: too few to train "
        "on");
}

TEST_CASE("trainer: a model without weights") {
  class Nothing final : public TrainingTask {
   public:
    std::vector<TrainedTensor> trained() override { return {}; }
    NamedValues buffers() override { return {}; }
    void set_training(bool) override {}
    at::Tensor loss(const TrainingBatch&, LossTerms&) override { return {}; }
  } task;
  lathe::test::MemorySamples samples = linear_samples();
  PassContext context;
  CHECK(error_of(ErrorKind::kUnsupported, [&] {
          train(task, samples, short_run(), kFingerprint, nullptr, context);
        }) == "training: the model has no weights that training may change");
}

}  // namespace
}  // namespace lathe::exec::test
