#include "passes/exec/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/exec/training_data.h"
#include "passes/exec/training_log.h"
#include "passes/exec/training_state.h"
#include "passes/exec/training_step.h"

namespace lathe::exec {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

// Of a time budget: what is tried out, and how far off is let be.
constexpr int64_t kWarmSteps = 2, kTrialSteps = 8;
constexpr double kBudgetSlack = 0.02;
constexpr int64_t kPoints = 200, kEvaluations = 20;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(const TrainOptions& options) {
  const auto require = [](bool holds, const char* where, const char* what) {
    if (!holds) throw Error(ErrorKind::kUsage, where, what);
  };
  require(options.steps.has_value() != options.time_budget_s.has_value(),
          "training", "needs either steps or a time budget");
  require(options.steps.value_or(1) > 0, "steps", "should be positive");
  require(options.time_budget_s.value_or(1) > 0, "time_budget",
          "should be positive");
  require(options.batch_size > 0, "batch_size", "should be positive");
  require(options.accumulate > 0, "accumulate", "should be positive");
  require(options.patience == 0 || options.held_out > 0, "patience",
          "needs samples that are held out");
}

// What of a checkpoint is numbers, beside the report.
struct Progress {
  int64_t step = 0, steps = 0, log_every = 1, evaluate_every = 1;
  RunningMeans means;
  double best_loss = 0;
  int64_t worse = 0;  // evaluations since the best one
};

class Training {
 public:
  Training(TrainingTask& task, BatchSource& data, const TrainOptions& options,
           const std::string& fingerprint, ProcessGroup* group,
           PassContext& context)
      : task_(task),
        options_(options),
        fingerprint_(fingerprint),
        context_(context),
        threads_(effective_jobs(context.jobs)),
        ranks_{group && group->ranks() > 1 ? group : nullptr},
        data_(data, options, context.seed, ranks_.rank(), ranks_.count()),
        step_(task, options, ranks_, data_, context.seed) {}

  TrainingReport run() {
    at::set_num_threads(threads_);
    data_.seek({});
    task_.set_training(true);
    last_good_ = copies(step_.tensors());
    if (options_.restart || !resume()) plan();
    MetricsFile metrics(
        writes() ? options_.folder / "metrics.jsonl" : fs::path(),
        report_.curve);
    metrics_ = &metrics;
    begin_session();
    context_.progress->begin("train", static_cast<uint64_t>(at_.steps));
    context_.progress->advance(static_cast<uint64_t>(at_.step));
    // Nothing is worse than what it began with.
    if (options_.held_out > 0 && best_.empty()) judge(step_.evaluate().first);
    while (at_.step < at_.steps && !report_.stopped_early) one_step();
    finish();
    context_.progress->end();
    return report_;
  }

 private:
  bool writes() const { return !options_.folder.empty() && ranks_.rank() == 0; }
  fs::path checkpoint() const { return options_.folder / kCheckpointFile; }
  double seconds() const { return seconds_before_ + since(session_); }
  void begin_session() {
    seconds_before_ = logged_at_ = report_.seconds;
    session_ = saved_at_ = Clock::now();
  }

  int64_t samples_per_step() const {
    return options_.accumulate * data_.batch_size() * ranks_.count();
  }

  // --- how many steps --------------------------------------------------------

  void plan() {
    if (options_.steps) {
      set_steps(*options_.steps);
      return;
    }
    // A trial, of which nothing stays.
    const std::vector<at::Tensor> before = copies(step_.tensors());
    double start = 0;
    for (int64_t i = 0; i < kWarmSteps + kTrialSteps; ++i) {
      if (i == kWarmSteps) start = seconds();
      run_step(i, /*rate=*/0);
    }
    const double each = (seconds() - start) / kTrialSteps;
    double evaluation = 0;
    if (options_.held_out > 0) {
      const double from = seconds();
      step_.evaluate();
      evaluation = (seconds() - from) * kEvaluations;
    }
    copy_values(before, step_.tensors());
    step_.reset();
    data_.seek({});
    const double left = *options_.time_budget_s - seconds() - evaluation;
    set_steps(std::max<int64_t>(1, ranks_.agreed(static_cast<int64_t>(
                                       (1 - kBudgetSlack) * left / each))));
    save();
  }

  void set_steps(int64_t steps) {
    at_.steps = steps;
    at_.log_every = std::max<int64_t>(1, steps / kPoints);
    at_.evaluate_every = options_.evaluate_every > 0
                             ? options_.evaluate_every
                             : std::max<int64_t>(1, steps / kEvaluations);
  }

  // While it goes: as many steps as fit into the time that is left.
  void correct_plan() {
    if (!options_.time_budget_s || at_.step == at_.steps) return;
    const double each = seconds() / static_cast<double>(at_.step);
    const double end = each * static_cast<double>(at_.steps);
    const bool off =
        std::abs(end / *options_.time_budget_s - 1) > 2 * kBudgetSlack;
    const auto fits = static_cast<int64_t>((1 - kBudgetSlack) *
                                           *options_.time_budget_s / each);
    at_.steps = ranks_.agreed(off ? std::max(at_.step, fits) : at_.steps);
  }

  // --- on the way ------------------------------------------------------------

  double rate() const {
    return options_.optimizer.learning_rate *
           learning_rate_factor(options_.schedule, at_.step, at_.steps);
  }

  void one_step() {
    check_cancelled();
    const double rate_now = rate();
    const TrainingStep::Result result = run_step(at_.step, rate_now);
    if (!unproven_.empty()) last_good_ = std::exchange(unproven_, {});
    at_.means.add(result.loss, result.gradient_norm, result.terms);
    ++at_.step;
    report_.samples += result.samples;
    const bool last = at_.step == at_.steps;
    const bool evaluates =
        options_.held_out > 0 && (last || at_.step % at_.evaluate_every == 0);
    if (last || evaluates || at_.step % at_.log_every == 0)
      log(rate_now, evaluates);
    context_.progress->advance(1, note_);
    if (at_.step % at_.evaluate_every == 0) correct_plan();
    if (since(saved_at_) >= options_.checkpoint_seconds) save();
  }

  TrainingStep::Result run_step(int64_t step, double rate) {
    try {
      return step_.run(step, rate);
    } catch (const TrainingStep::NotFinite& found) {
      diverged(found, step, rate);
    }
  }

  [[noreturn]] void diverged(const TrainingStep::NotFinite& found, int64_t step,
                             double rate) {
    copy_values(last_good_, step_.tensors());
    const std::string file = ranks_.rank() == 0 ? task_.keep_last_good() : "";
    std::string kept;
    if (!file.empty()) kept = "; the last good weights are in " + file;
    throw Error(ErrorKind::kInternal, fmt::format("training step {}", step + 1),
                fmt::format("{} is {} at a learning rate of {:.3g}{}",
                            found.what, found.value, rate, kept),
                fmt::format("start anew with a lower learning rate, such as "
                            "{:.2g}",
                            options_.optimizer.learning_rate / 10));
  }

  void log(double rate_then, bool evaluates) {
    TrainingPoint point = at_.means.point();
    const auto samples =
        static_cast<double>(at_.means.steps * samples_per_step());
    point.step = at_.step;
    point.epoch = data_.epochs();
    point.learning_rate = rate_then;
    point.samples_per_s = samples / std::max(1e-9, seconds() - logged_at_);
    at_.means = {};
    if (best_.empty()) unproven_ = copies(step_.tensors());
    if (evaluates) {
      const auto [loss, accuracy] = step_.evaluate();
      point.held_out_loss = loss;
      point.held_out_accuracy = accuracy;
      judge(loss);
    }
    point.seconds = logged_at_ = seconds();
    report_.curve.push_back(point);
    metrics_->append(point);
    note_ = summary(point);
  }

  // By loss: of a thousand samples, accuracy is good to a percent or two, and
  // it is high on what a model was trained on before.
  void judge(double loss) {
    if (!std::isfinite(loss)) loss = std::numeric_limits<double>::max();
    if (best_.empty() || loss < at_.best_loss) {
      at_.best_loss = loss;
      at_.worse = 0;
      report_.best_step = at_.step;
      best_ = copies(result_now());
      last_good_ = best_;
      unproven_.clear();
    } else if (++at_.worse >= options_.patience && options_.patience > 0) {
      report_.stopped_early = true;
    }
  }

  const std::vector<at::Tensor>& result_now() {
    return step_.average() ? step_.average()->averages() : step_.tensors();
  }

  void finish() {
    report_.steps = at_.step;
    report_.samples_per_step = samples_per_step();
    report_.seconds = seconds();
    report_.waiting_s = data_.waited_s();
    save();
    copy_values(best_.empty() ? result_now() : best_, step_.tensors());
    task_.set_training(false);
  }

  // Every rank stops at the same step.
  void check_cancelled() {
    std::vector<double> cancelled = {
        context_.cancel && context_.cancel->cancelled() ? 1.0 : 0.0};
    ranks_.sum(cancelled);
    if (cancelled[0] == 0) return;
    save();
    throw Error(ErrorKind::kInterrupted, "training",
                fmt::format("stopped after step {} of {}", at_.step, at_.steps),
                options_.folder.empty() ? ""
                : options_.restart
                    ? "the same command without --restart goes on from there"
                    : "the same command goes on from there");
  }

  // --- checkpoints -----------------------------------------------------------

  void save() {
    if (!writes()) return;
    report_.seconds = seconds();
    Json curve = Json::array();
    for (const TrainingPoint& point : report_.curve)
      curve.push_back(to_json(point));
    Json json = {
        {"fingerprint", fingerprint_},
        {"threads", threads_},
        {"ranks", ranks_.count()},
        {"means", to_json(at_.means)},
        {"epoch", data_.position().epoch},
        {"samples_in_epoch", data_.position().samples},
        {"average_updates", step_.average() ? step_.average()->updates : 0},
        {"curve", std::move(curve)}};
    for_each_number([&](const char* name, auto& value) { json[name] = value; });
    TrainingState state;
    state.json = json.dump();
    put(state, "tensor", step_.tensors());
    put(state, "best", best_);
    if (step_.average()) put(state, "average", step_.average()->averages());
    for (auto& [name, tensor] : step_.optimizer().state())
      state.tensors.emplace_back(kOptimizerPrefix + name, tensor);
    save_training_state(state, checkpoint());
    saved_at_ = Clock::now();
  }

  // What of a checkpoint stands in a member.
  template <class Take>
  void for_each_number(Take take) {
    take("step", at_.step);
    take("steps", at_.steps);
    take("log_every", at_.log_every);
    take("evaluate_every", at_.evaluate_every);
    take("best_loss", at_.best_loss);
    take("worse", at_.worse);
    take("samples", report_.samples);
    take("seconds", report_.seconds);
    take("best_step", report_.best_step);
    take("stopped_early", report_.stopped_early);
  }

  static void put(TrainingState& state, const char* what,
                  const std::vector<at::Tensor>& tensors) {
    for (size_t i = 0; i < tensors.size(); ++i)
      state.tensors.emplace_back(fmt::format("{} {}", what, i), tensors[i]);
  }

  // Those whose names begin so, without it.
  static NamedValues get(const TrainingState& state,
                         const std::string& prefix) {
    NamedValues found;
    for (const auto& [name, tensor] : state.tensors)
      if (name.starts_with(prefix))
        found.emplace_back(name.substr(prefix.size()), tensor);
    return found;
  }
  static std::vector<at::Tensor> values(const TrainingState& state,
                                        const std::string& what) {
    std::vector<at::Tensor> tensors;
    for (auto& [name, tensor] : get(state, what + " "))
      tensors.push_back(tensor);
    return tensors;
  }

  void require_same_run(const Json& json) const {
    if (json.at("fingerprint") != fingerprint_)
      throw Error(ErrorKind::kInput, checkpoint().string(),
                  "is the checkpoint of a run with other models, data or "
                  "options",
                  "give what it was started with, or --restart to throw it "
                  "away");
    const int threads = json.at("threads");
    const int64_t ranks = json.at("ranks");
    if (threads != threads_ || ranks != ranks_.count())
      context_.progress->warn(fmt::format(
          "the checkpoint was made with {} threads and {} ranks, now there are "
          "{} and {}: the result will not be the same to the bit",
          threads, ranks, threads_, ranks_.count()));
  }

  // Whether there was a checkpoint.
  bool resume() {
    if (options_.folder.empty()) return false;
    const std::optional<TrainingState> state =
        load_training_state(checkpoint());
    if (ranks_.agreed(state.has_value()) != state.has_value())
      throw Error(ErrorKind::kInput, checkpoint().string(),
                  fmt::format("rank 0 and rank {} do not see the same file",
                              ranks_.rank()),
                  "the folder has to be one that all ranks share");
    if (!state) return false;
    const Json json = Json::parse(state->json);
    require_same_run(json);
    copy_values(values(*state, "tensor"), step_.tensors());
    best_ = values(*state, "best");
    last_good_ = best_.empty() ? copies(step_.tensors()) : best_;
    if (MovingAverage* average = step_.average()) {
      copy_values(values(*state, "average"), average->averages());
      average->updates = json.at("average_updates");
    }
    step_.optimizer().load(get(*state, kOptimizerPrefix));
    data_.seek({json.at("epoch"), json.at("samples_in_epoch")});
    at_.means = means_from_json(json.at("means"));
    for_each_number(
        [&](const char* name, auto& value) { json.at(name).get_to(value); });
    report_.resumed_at = at_.step;
    for (const Json& point : json.at("curve"))
      report_.curve.push_back(point_from_json(point));
    context_.progress->info(fmt::format("training goes on after step {} of {}",
                                        at_.step, at_.steps));
    return true;
  }

  static inline const std::string kOptimizerPrefix = "optimizer ";

  TrainingTask& task_;
  const TrainOptions& options_;
  const std::string& fingerprint_;
  PassContext& context_;
  const int threads_;
  const TrainingRanks ranks_;
  TrainingData data_;
  TrainingStep step_;
  MetricsFile* metrics_ = nullptr;
  Progress at_;
  std::string note_;
  // Good are values of which a loss was finite.
  std::vector<at::Tensor> best_, last_good_, unproven_;
  Clock::time_point session_ = Clock::now(), saved_at_ = session_;
  double seconds_before_ = 0, logged_at_ = 0;
  TrainingReport report_;
};

}  // namespace

TrainingReport train(TrainingTask& task, BatchSource& data,
                     const TrainOptions& options,
                     const std::string& fingerprint, ProcessGroup* group,
                     PassContext& context) {
  check(options);
  return Training(task, data, options, fingerprint, group, context).run();
}

}  // namespace lathe::exec
