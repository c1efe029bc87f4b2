#include "recipes/run.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "calibration/accuracy/accuracy.h"
#include "calibration/latency/estimator/devices.h"
#include "calibration/latency/session.h"
#include "calibration/ranges/collector.h"
#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/random.h"
#include "passes/base/text.h"
#include "passes/device_traits.h"
#include "passes/distill/distill.h"
#include "passes/io/import.h"
#include "passes/io/onnx/onnx.h"
#include "passes/quantize/quantize.h"
#include "recipes/deliver.h"
#include "recipes/meter.h"
#include "recipes/pass_table.h"
#include "recipes/run_data.h"
#include "recipes/scorer.h"
#include "recipes/scratch.h"
#include "recipes/shared_meter.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kCollapseSamples = 2;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Observer& silent_observer() {
  static Observer observer;
  return observer;
}

// The folder that scratch files lie in: on the file system they end on.
fs::path prepare_place(const RunOptions& options) {
  if (options.out_dir.empty() == options.out_file.empty())
    throw_internal("run", "needs either a folder or a file to write to");
  if (!options.out_dir.empty()) {
    std::error_code failed;
    fs::create_directories(options.out_dir, failed);
    if (failed || !fs::is_directory(options.out_dir))
      throw Error(ErrorKind::kInput, options.out_dir.string(),
                  "is no folder and none can be made here");
    return options.out_dir;
  }
  if (fs::is_directory(options.out_file))
    throw Error(ErrorKind::kUsage, options.out_file.string(),
                "is a folder; a file name is expected");
  return options.out_file.parent_path();
}

fs::path work_place(const RunOptions& options) {
  return options.out_dir.empty()
             ? fs::path(options.out_file.string() + ".training")
             : options.out_dir / "training";
}

class Run {
 public:
  Run(const Recipe& recipe, const RunOptions& options)
      : recipe_(recipe),
        options_(options),
        observer_(options.observer ? *options.observer : silent_observer()),
        scratch_(prepare_place(options)) {
    report_.recipe = recipe;
    report_.runtime_name = "onnxruntime";
    report_.runtime_version = latency::runtime_version();
  }

  RunOutcome execute() {
    // Reading the profile takes as long as reading model and data.
    std::future<latency::OpenedDevice> device =
        std::async(std::launch::async, [this] {
          return latency::open_device(device_name(), recipe_.device.threads);
        });
    open_model();
    data_ = open_run_data(recipe_, models_[0], options_);
    open_device(device.get());
    use_data();
    if (options_.score) make_scorer();
    run_baseline();
    for (const StageSpec& stage : recipe_.stages) run_stage(stage);
    // Beside the checks of the file: all are sessions that are opened.
    std::future<void> checked;
    if (!options_.score)
      checked = std::async(std::launch::async, [this] { look_for_collapse(); });
    const DeliveryContext delivery{
        recipe_,      models_,
        inputs_,      scorer_.get(),
        scratch_,     options_.cancel,
        device_file_, [this](const std::string& line) { note(line); },
        &checked};
    if (options_.out_dir.empty())
      deliver_file(delivery, options_.out_file, report_);
    else
      deliver_folder(delivery, options_.out_dir, report_);
    forget_progress();
    return {report_, report_.exit_code};
  }

 private:
  void note(const std::string& line) {
    if (std::find(report_.notes.begin(), report_.notes.end(), line) !=
        report_.notes.end())
      return;
    report_.notes.push_back(line);
    observer_.note(line);
  }

  void check_cancelled() const {
    if (options_.cancel) options_.cancel->check();
  }

  void open_model() {
    const fs::path path = recipe_.resolve(recipe_.model);
    io::Imported imported = io::import_model(path, {recipe_.input_shapes});
    for (const std::string& line : imported.notes) note(line);
    models_.push_back(std::move(imported.model));
    check_cancelled();
  }

  void open_device(latency::OpenedDevice opened) {
    const bool named = !recipe_.device.profile.empty();
    estimator_ = std::move(opened.model);
    device_traits_ = std::move(opened.traits);
    device_file_ = opened.file;
    report_.this_machine = !named || opened.of_this_machine;
    report_.device = estimator_->device();
    report_.calibrated = estimator_->calibrated();
    if (!device_traits_)
      note(
          fmt::format("the profile '{}' does not tell the device's instruction "
                      "sets: weights keep 8 bits, and nothing checks whether "
                      "products saturate",
                      report_.device));
    if (!options_.score) return;
    if (!named)
      note(
          fmt::format("no device profile is given: latency is measured on "
                      "this machine, estimates come from {} '{}'{}",
                      opened.source, report_.device,
                      report_.calibrated ? "" : ", which is not calibrated"));
    else if (!report_.calibrated)
      note(
          fmt::format("the profile '{}' is not calibrated: no measurement "
                      "stands behind its estimates",
                      report_.device));
  }

  std::string device_name() const {
    const fs::path file = recipe_.device_file();
    return file.empty() ? recipe_.device.profile : file.string();
  }

  void use_data() {
    for (const std::string& line : data_.notes) note(line);
    if (data_.calibration) {
      report_.calibration = describe(*data_.calibration);
      ranges_ = ranges::make_range_collector(
          /*observer=*/{}, *data_.calibration, /*samples=*/0, options_.jobs,
          options_.ranks);
    }
    if (data_.scoring && options_.score)
      report_.scoring = describe(*data_.scoring);
    find_shapes();
    check_cancelled();
  }

  // Scores need them; passes say so where they do.
  void find_shapes() {
    try {
      report_.input_shapes =
          effective_shapes(recipe_, models_[0], data_.calibration.get());
    } catch (const Error& error) {
      if (options_.score || error.kind() != ErrorKind::kUsage) throw;
    }
  }

  void make_scorer() {
    inputs_ = bench_inputs(models_[0], report_.input_shapes,
                           data_.calibration.get(), recipe_.seed);
    if (data_.scoring) {
      accuracy::EvaluateOptions evaluate;
      evaluate.jobs = options_.jobs;
      evaluate.ranks = options_.ranks;
      evaluator_ =
          accuracy::make_evaluator(models_[0], *data_.scoring, evaluate,
                                   *options_.progress, options_.cancel);
    } else {
      note("no samples are given: accuracy and fidelity are not scored");
    }
    ScorerServices services;
    services.estimator = estimator_.get();
    if (report_.this_machine) services.meter = meter();
    services.evaluator = evaluator_.get();
    services.shapes = report_.input_shapes;
    services.input_name = recipe_.model;
    services.input_hint = fmt::format(
        "it was run on {}; give samples or --input-shape that it can run on",
        shapes_text());
    services.cancel = options_.cancel;
    services.note = [this](const std::string& line) { note(line); };
    scorer_ = std::make_unique<Scorer>(std::move(services), scratch_);
  }

  // "a:1x3x32x32, b:scalar".
  std::string shapes_text() const {
    std::vector<std::string> shapes;
    for (const auto& [name, tensor] : inputs_)
      shapes.push_back(name + ":" + ir::to_string(ir::to_shape(tensor.dims())));
    return join(shapes, ", ");
  }

  LatencyMeter* meter() {
    LatencyMeter* own = options_.meter ? options_.meter : runtime_meter();
    if (!options_.ranks) return own;
    shared_meter_ = std::make_unique<SharedMeter>(*own, *options_.ranks);
    return shared_meter_.get();
  }

  LatencyMeter* runtime_meter() {
    latency::BenchOptions bench;
    bench.threads = recipe_.device.threads;
    bench.seed = recipe_.seed;
    bench.min_seconds = options_.bench_seconds;
    runtime_meter_ = std::make_unique<RuntimeMeter>(
        inputs_, bench, *options_.progress, options_.cancel);
    return runtime_meter_.get();
  }

  void score(StageReport& stage) {
    if (!scorer_) return;
    stage.score = scorer_->score(models_.back());
    stage.measured_ratio = scorer_->measured_ratio();
    if (stage.score.measured_latency && stage.score.measured_latency->noisy)
      note(
          fmt::format("the latency of stage '{}' was noisy: close other "
                      "programs and run again for steadier figures",
                      stage.name));
  }

  void finish(StageReport stage, Clock::time_point start, bool scored) {
    if (!scored) score(stage);
    stage.seconds = seconds_since(start);
    report_.stages.push_back(std::move(stage));
    observer_.stage_done(report_.stages.back());
    check_cancelled();
  }

  void run_baseline() {
    const auto start = Clock::now();
    observer_.stage_started("baseline");
    StageReport stage;
    stage.name = "baseline";
    finish(std::move(stage), start, /*scored=*/false);
  }

  void run_stage(const StageSpec& spec) {
    const auto start = Clock::now();
    const PassRow* row = find_pass(spec.pass);
    if (!row)
      throw Error(ErrorKind::kUsage, "stage",
                  "unknown pass '" + spec.pass + "'");
    StageReport stage;
    stage.name = stage_name(spec.pass);
    stage.pass = spec.pass;
    const Json options = recipe_.options_of(spec);
    stage.options = options_in_effect(*row, options).dump();
    observer_.stage_started(stage.name);

    std::vector<std::unique_ptr<Pass>> passes;
    passes.push_back(row->make(options));
    PassContext context;
    context.seed = derive_seed_for(stage.name);
    context.jobs = options_.jobs;
    context.progress = options_.progress;
    context.cancel = options_.cancel;
    context.latency = estimator_.get();
    context.data = data_.calibration.get();
    context.ranges = ranges_.get();
    context.evaluator = evaluator_.get();
    context.executor = executor_.get();
    context.batch_executor = batch_executor_.get();
    context.ranks = options_.ranks;
    context.device = device_traits_ ? &*device_traits_ : nullptr;
    context.input = &models_.front();
    context.work_folder = work_folder(stage.name);
    context.reference = float_model();
    context.pruned = pruned_;
    context.input_shapes = report_.input_shapes;
    ir::Model model = ir::clone(models_.back());
    PassResult result = run_passes(model, passes, context);
    stage.changes = result.changes;
    stage.remarks = std::move(result.remarks);
    stage.layers = std::move(result.layers);
    stage.plan = std::move(result.plan);
    stage.training = std::move(result.training);
    if (context.pruned != pruned_) {
      pruned_ = std::move(context.pruned);
      dense_ = models_.size() - 1;
    }
    // Nothing changed: the model keeps its score.
    const StageReport& last = report_.stages.back();
    const bool same = stage.changes == 0 && report_.stages.size() > 1;
    if (same) {
      stage.score = last.score;
      stage.measured_ratio = last.measured_ratio;
    }
    models_.push_back(std::move(model));
    // What sessions and samples took is free, but still this process's.
    ::malloc_trim(0);
    finish(std::move(stage), start, same);
  }

  // What the first stage that left codes was given; null where the input model
  // holds codes itself. Where there was none, what the last stage that pruned
  // was given; null without either.
  const ir::Model* float_model() const {
    const auto coded = std::ranges::find_if(models_, quantize::holds_codes);
    if (coded == models_.begin()) return nullptr;
    if (coded != models_.end()) return &*std::prev(coded);
    return pruned_ ? &models_[dense_] : nullptr;
  }

  // A few samples against the input model: a model that has lost its output is
  // never written without a word.
  void look_for_collapse() {
    if (!data_.scoring || !quantize::holds_codes(models_.back())) return;
    accuracy::EvaluateOptions evaluate;
    evaluate.jobs = options_.jobs;
    evaluate.samples = kCollapseSamples;
    evaluate.quick_reference = true;
    report_.stages.back().score.accuracy =
        accuracy::evaluate(models_.back(), &models_.front(), *data_.scoring,
                           evaluate, *options_.progress, options_.cancel);
  }

  // Where a stage keeps what it can go on from when the run is repeated; made
  // by the pass that uses it.
  fs::path work_folder(const std::string& stage) const {
    const fs::path& place = options_.work_place;
    return (place.empty() ? work_place(options_) : place) / stage;
  }

  // The results are written: nothing is left to go on with.
  void forget_progress() const {
    for (const StageReport& stage : report_.stages)
      if (!stage.training.empty())
        distill::forget_progress(work_folder(stage.name));
  }

  uint64_t derive_seed_for(const std::string& stage) const {
    return derive_seed(recipe_.seed, "stage " + stage);
  }

  // "quantize_static", "quantize_static_2", …
  std::string stage_name(const std::string& pass) const {
    const auto before = std::count_if(
        report_.stages.begin(), report_.stages.end(),
        [&](const StageReport& stage) { return stage.pass == pass; });
    return before == 0 ? pass : fmt::format("{}_{}", pass, before + 1);
  }

  const Recipe& recipe_;
  const RunOptions& options_;
  Observer& observer_;
  Scratch scratch_;
  Report report_;
  std::vector<ir::Model> models_;  // after each stage; [0] is the input
  RunData data_;
  NamedTensors inputs_;
  std::unique_ptr<LatencyModel> estimator_;
  std::optional<DeviceTraits> device_traits_;
  std::shared_ptr<const prune::Pruned> pruned_;
  size_t dense_ = 0;  // into models_: what pruned_ was made of
  fs::path device_file_;
  std::unique_ptr<RangeCollector> ranges_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<Executor> executor_ =
      latency::make_runtime_executor(recipe_.device.threads);
  std::unique_ptr<Executor> batch_executor_ =
      latency::make_runtime_executor(effective_jobs(options_.jobs),
                                     /*spin=*/false);
  std::unique_ptr<RuntimeMeter> runtime_meter_;
  std::unique_ptr<SharedMeter> shared_meter_;
  std::unique_ptr<Scorer> scorer_;
};

RunOutcome execute(const Recipe& recipe, const RunOptions& options) {
  if (!options.ranks || options.ranks->rank() == 0)
    return Run(recipe, options).execute();
  // What it would write is the first rank's already.
  const Scratch unseen(fs::temp_directory_path());
  RunOptions quiet = options;
  quiet.work_place = work_place(options);
  fs::path& place = options.out_dir.empty() ? quiet.out_file : quiet.out_dir;
  place = unseen.path() / place.filename();
  return Run(recipe, quiet).execute();
}

}  // namespace

RunOutcome run(const Recipe& recipe, const RunOptions& options) {
  if (!options.score && !options.out_dir.empty())
    throw_internal("run", "a folder of variants needs scores");
  try {
    return execute(recipe, options);
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kIo, error.path1().string(), error.code().message());
  }
}

}  // namespace lathe::recipes
