// Runs that end early and go on, and what their checkpoints are refused for.
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "passes/base/file.h"
#include "passes/exec/training_state.h"
#include "tests/passes/exec/rank_threads.h"
#include "tests/passes/exec/trainer_support.h"
#include "tests/support/shared.h"

namespace lathe::exec::test {
namespace {

namespace fs = std::filesystem;

class Lines final : public ProgressSink {
 public:
  void info(std::string_view line) override { infos.emplace_back(line); }
  void warn(std::string_view line) override { warnings.emplace_back(line); }
  std::vector<std::string> infos, warnings;
};

void noisy(LinearTask& task) { task.noise = 0.1; }

TrainOptions averaged() {
  TrainOptions options = short_run();
  options.ema_decay = 0.9;
  options.held_out = 6;
  options.evaluate_every = 5;
  return options;
}

TrainOptions accumulated() {
  TrainOptions options = short_run();
  options.optimizer.kind = OptimizerKind::kAdamW;
  options.accumulate = 2;
  options.mixup = 0.2;
  return options;
}

// Steps that are summed up between two points of the curve.
TrainOptions sparsely_logged() {
  TrainOptions options = short_run();
  options.steps = 450;
  options.optimizer.momentum = 0.5;
  return options;
}

void check_same(const Trained& resumed, const Trained& whole,
                const fs::path& folder) {
  CHECK(same_bits(resumed.values, whole.values));
  CHECK(timeless(resumed.report.curve) == timeless(whole.report.curve));
  CHECK(timeless_lines(folder / "metrics.jsonl") ==
        timeless(whole.report.curve));
  CHECK(resumed.report.samples == whole.report.samples);
  CHECK(resumed.report.steps == whole.report.steps);
  CHECK(resumed.report.best_step == whole.report.best_step);
}

void check_cancelled_at(TrainOptions options, const Trained& whole, int64_t k) {
  CAPTURE(k);
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  CHECK(error_of(ErrorKind::kInterrupted,
                 [&] {
                   run(options, [&](LinearTask& task) {
                     noisy(task);
                     task.cancel_at = k;
                   });
                 }) == "training: stopped after step " + std::to_string(k) +
                           " of " + std::to_string(*options.steps) +
                           " (the same command goes on from there)");
  CHECK(fs::exists(folder.path() / kCheckpointFile));
  Lines lines;
  const Trained resumed = run(options, noisy, nullptr, 7, &lines);
  CHECK(lines.infos == std::vector<std::string>{
                           "training goes on after step " + std::to_string(k) +
                           " of " + std::to_string(*options.steps)});
  CHECK(lines.warnings.empty());
  CHECK(resumed.report.resumed_at == k);
  check_same(resumed, whole, folder.path());
}

TEST_CASE("trainer: cancelled after any step, it goes on to the same bits") {
  for (const TrainOptions& options : {averaged(), accumulated()}) {
    const Trained whole = run(options, noisy);
    for (int64_t k = 1; k < 12; ++k) check_cancelled_at(options, whole, k);
  }
  const TrainOptions options = sparsely_logged();
  const Trained whole = run(options, noisy);
  for (const int64_t k : {1, 201, 449}) check_cancelled_at(options, whole, k);
}

TEST_CASE("trainer: killed in any step, it goes on from the one before") {
  for (TrainOptions options : {averaged(), accumulated()}) {
    const Trained whole = run(options, noisy);
    options.checkpoint_seconds = 0;
    for (int64_t k = 1; k <= 12; ++k) {
      CAPTURE(k);
      const lathe::test::TempDir folder;
      options.folder = folder.path();
      const auto killed = [&](LinearTask& task) {
        noisy(task);
        task.fail_at = k;
      };
      CHECK_THROWS_WITH_AS(run(options, killed), "killed", std::runtime_error);
      const Trained resumed = run(options, noisy);
      CHECK(resumed.report.resumed_at == k - 1);
      check_same(resumed, whole, folder.path());
    }
  }
}

TEST_CASE("trainer: cancelled three times over") {
  TrainOptions options = averaged();
  const Trained whole = run(options, noisy);
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  const auto cancelled = [](LinearTask& task) {
    noisy(task);
    task.cancel_at = 3;
  };
  for (int i = 0; i < 3; ++i)
    error_of(ErrorKind::kInterrupted, [&] { run(options, cancelled); });
  const Trained resumed = run(options, noisy);
  CHECK(resumed.report.resumed_at == 9);
  check_same(resumed, whole, folder.path());
}

TEST_CASE("trainer: a run that has ended is not run again") {
  TrainOptions options = averaged();
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  const Trained whole = run(options, noisy);
  const Trained again =
      run(options, [](LinearTask& task) { task.fail_at = 1; });
  CHECK(again.report.resumed_at == 12);
  check_same(again, whole, folder.path());
  CHECK(again.report.seconds >= whole.report.seconds);
}

TEST_CASE("trainer: an early stop is not gone beyond") {
  TrainOptions options = short_run();
  options.held_out = 4;
  options.evaluate_every = 2;
  options.patience = 1;
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  const auto worse = [](LinearTask& task) { task.evaluations = {3, 1, 2}; };
  const Trained stopped = run(options, worse);
  CHECK(stopped.report.steps == 4);
  const Trained again = run(options, worse);
  CHECK(again.report.stopped_early);
  CHECK(again.report.steps == 4);
  CHECK(same_bits(again.values, stopped.values));
}

TEST_CASE("trainer: restart throws a checkpoint away") {
  TrainOptions options = averaged();
  const Trained whole = run(options, noisy);
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  error_of(ErrorKind::kInterrupted,
           [&] { run(options, [](LinearTask& task) { task.cancel_at = 5; }); });
  options.restart = true;
  Lines lines;
  const Trained anew = run(options, noisy, nullptr, 7, &lines);
  CHECK(lines.infos.empty());
  CHECK(anew.report.resumed_at == 0);
  check_same(anew, whole, folder.path());
}

TEST_CASE("trainer: whose checkpoint it is") {
  TrainOptions options = short_run();
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  run(options);
  const std::string file = (folder.path() / kCheckpointFile).string();
  PassContext context;
  context.seed = 7;
  context.jobs = 1;
  LinearTask task(context);
  lathe::test::MemorySamples samples = linear_samples();
  CHECK(error_of(ErrorKind::kInput,
                 [&] {
                   train(task, samples, options, "another run", nullptr,
                         context);
                 }) ==
        file +
            ": is the checkpoint of a run with other models, data or options "
            "(give what it was started with, or --restart to throw it away)");
  Lines lines;
  context.progress = &lines;
  context.jobs = 2;
  train(task, samples, options, kFingerprint, nullptr, context);
  CHECK(lines.warnings ==
        std::vector<std::string>{
            "the checkpoint was made with 1 threads and 1 ranks, now there are "
            "2 and 1: the result will not be the same to the bit"});
}

TEST_CASE("trainer: a damaged checkpoint") {
  TrainOptions options = averaged();
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  const Trained whole = run(options);
  const fs::path file = folder.path() / kCheckpointFile;
  const std::string good = read_file(file);
  const std::string damaged =
      file.string() +
      ": is no checkpoint of a training run, or a damaged one (remove it, or "
      "start anew with --restart)";
  for (const std::string& bytes :
       {std::string(), std::string("no checkpoint"),
        good.substr(0, good.size() / 2), good.substr(0, good.size() - 1),
        good.substr(1)}) {
    write_file_atomic(file, bytes);
    CHECK(error_of(ErrorKind::kInput, [&] { run(options); }) == damaged);
  }
  for (size_t at = 0; at < good.size(); at += 97) {
    CAPTURE(at);
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_file_atomic(file, bytes);
    CHECK(error_of(ErrorKind::kInput, [&] { run(options); }) == damaged);
  }
  write_file_atomic(file, good);
  CHECK(same_bits(run(options).values, whole.values));
}

TEST_CASE("trainer: a state's way through a file") {
  const lathe::test::TempDir folder;
  const fs::path file = folder.path() / "state";
  CHECK_FALSE(load_training_state(file).has_value());
  TrainingState state;
  state.json = "{\"text\": \"ä\"}";
  state.tensors = {{"a", at::tensor({1.5, -2.0}, at::kDouble)},
                   {"b", at::arange(6).reshape({2, 3}).t()},
                   {"empty", at::empty({0, 3})}};
  save_training_state(state, file);
  const auto loaded = load_training_state(file);
  REQUIRE(loaded.has_value());
  CHECK(loaded->json == state.json);
  REQUIRE(loaded->tensors.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(loaded->tensors[i].first == state.tensors[i].first);
    CHECK((loaded->tensors[i].second.scalar_type() ==
           state.tensors[i].second.scalar_type()));
    CHECK(loaded->tensors[i].second.equal(state.tensors[i].second));
  }
  state.tensors.clear();
  save_training_state(state, file);
  CHECK(load_training_state(file)->tensors.empty());
}

TEST_CASE("trainer: a folder that cannot be written to") {
  TrainOptions options = short_run();
  const lathe::test::TempDir folder;
  write_file_atomic(folder.path() / "file", "");
  options.folder = folder.path() / "file" / "below";
  CHECK(error_of(ErrorKind::kInput, [&] { run(options); }) ==
        (options.folder / "metrics.jsonl").string() +
            ": the folder to write to does not exist (create it first)");
  // A disk that is full before the end.
  options.folder = folder.path() / "full";
  fs::create_directory(options.folder);
  const fs::path metrics = options.folder / "metrics.jsonl";
  CHECK(
      error_of(ErrorKind::kIo, [&] {
        run(options, [&](LinearTask& task) {
          task.stepped = [&] {
            fs::remove(metrics);
            fs::create_symlink("/dev/full", metrics);
          };
        });
      }) == metrics.string() + ": cannot be written: No space left on device");
}

TEST_CASE("trainer: ranks stop together and go on together") {
  TrainOptions options = averaged();
  const auto on_two_ranks = [&](int64_t cancel_at) {
    std::vector<Trained> both(2);
    std::vector<std::string> errors(2);
    lathe::test::with_ranks(2, [&](std::shared_ptr<ProcessGroup> group) {
      const auto rank = static_cast<size_t>(group->rank());
      errors[rank] = error_of(ErrorKind::kInterrupted, [&] {
        both[rank] = run(
            options,
            [&](LinearTask& task) {
              if (rank == 1) task.cancel_at = cancel_at;
            },
            group.get());
      });
    });
    CHECK(errors[0] == errors[1]);
    CHECK((errors[0] == "nothing thrown") == (cancel_at < 0));
    return both;
  };
  const std::vector<Trained> whole = on_two_ranks(-1);
  const lathe::test::TempDir folder;
  options.folder = folder.path();
  on_two_ranks(5);
  const std::vector<Trained> resumed = on_two_ranks(-1);
  for (size_t rank = 0; rank < 2; ++rank) {
    CHECK(resumed[rank].report.resumed_at == 5);
    CHECK(same_bits({whole[rank].values[0], whole[rank].values[1]},
                    {resumed[rank].values[0], resumed[rank].values[1]}));
  }
}

}  // namespace
}  // namespace lathe::exec::test
