// distill: trains the model to compute what its teacher computes.
//
// Before: any model whose weights the executor can train, codes included.
// After: the same graph with other numbers.
#include "passes/distill/distill.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/base/error.h"
#include "passes/base/hash.h"
#include "passes/base/random.h"
#include "passes/distill/batch_norm_form.h"
#include "passes/distill/block_training.h"
#include "passes/distill/distill_task.h"
#include "passes/distill/model_shapes.h"
#include "passes/exec/model_part.h"
#include "passes/exec/process_ranks.h"
#include "passes/io/onnx/onnx.h"

namespace lathe::distill {
namespace {

// Evaluations look at this share of the samples, and at most at so many.
constexpr int64_t kHeldOutShare = 10, kMostHeldOut = 1000;
constexpr int64_t kLeastBatch = 16;
// docs/results.md has what they were tried on.
constexpr double kNormalizedRate = 0.05, kFewSamplesRate = 0.02,
                 kPlainRate = 0.01, kAdamWRate = 0.0005;
constexpr int64_t kFewSamples = 5000;

double learning_rate_of(const DistillOptions& options, bool normalized,
                        int64_t samples) {
  if (options.learning_rate) return *options.learning_rate;
  if (options.train.optimizer.kind == exec::OptimizerKind::kAdamW)
    return kAdamWRate;
  if (!normalized) return kPlainRate;
  return samples < kFewSamples ? kFewSamplesRate : kNormalizedRate;
}

std::string hash(const ir::Model& model) {
  const io::DetachedModel file = io::export_onnx_detached(model);
  std::string parts = sha256_hex(file.bytes);
  for (const auto& [name, tensor] : file.weights)
    parts += name + sha256_hex(tensor.bytes());
  return sha256_hex(parts);
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::kIo, folder.string(),
                "cannot be made: " + failed.message());
}

// Each rank its own.
std::string cache_file(const Ranks* ranks) {
  return ranks && ranks->rank() > 0
             ? fmt::format("{}.{}", kTeacherCacheFile, ranks->rank())
             : kTeacherCacheFile;
}

class Distill final : public Pass {
 public:
  explicit Distill(DistillOptions options) : options_(std::move(options)) {}

  std::string name() const override { return "distill"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    if (!context.data)
      throw Error(ErrorKind::kUsage, "distill", "needs samples to train on",
                  "give --data");
    if (!context.input)
      throw Error(ErrorKind::kUsage, "distill", "needs a teacher",
                  "give --teacher");
    PassResult result;
    if (options_.mode == TrainingMode::kBlocks) {
      DistillOptions options = options_;
      options.train.optimizer.learning_rate = learning_rate_of(
          options_, /*normalized=*/false, context.data->size());
      return train_blocks(model, options, context);
    }
    train(model, context, result);
    result.changes = 1;
    return result;
  }

 private:
  void train(ir::Model& model, PassContext& context, PassResult& result) {
    exec::TrainOptions options = options_.train;
    options.folder = context.work_folder;
    fit_to_data(model, *context.data, options, result);

    const ir::Model teacher = simplified_teacher(context);
    const ir::Model* reference = float_reference(context, teacher);
    ir::Model student = ir::clone(model);
    const bool unfolded = unfolds(student, options, context) &&
                          unfold_batch_norm(student, context) > 0;
    const TrainingTwin twin(student, reference, context.input_shapes);
    options.optimizer.learning_rate = learning_rate_of(
        options_, has_batch_norm(student), context.data->size());
    if (twin.quantized() &&
        options.optimizer.kind == exec::OptimizerKind::kAdamW)
      result.remarks.push_back(
          {"",
           "adamw moves the steps of quantizers as far as it moves weights, "
           "which are far larger: sgd trains codes better"});
    const auto store = [&](const exec::Program& program) {
      ir::Model stored = ir::clone(student);
      twin.store(program, stored);
      if (unfolded) fold_batch_norm(stored, context);
      return stored;
    };
    const ir::Model bound = with_shapes(student, context);
    DistillTask::Parts parts;
    parts.twin = &twin;
    parts.objective =
        make_objective(options_, bound, with_shapes(teacher, context),
                       context.data->has_labels());
    for (const std::string& remark : parts.objective.remarks)
      result.remarks.push_back({"", remark});
    if (unfolded)
      result.remarks.push_back(
          {"",
           "trained with a BatchNormalization behind each convolution, "
           "which is folded into it again"});
    parts.device = at::Device(options.device);
    parts.seed = derive_seed(context.seed, "adapters");
    if (!options.folder.empty()) make_folder(options.folder);
    const std::string fingerprint = this->fingerprint(model, context);
    if (parts.objective.needs_teacher)
      parts.teacher =
          make_teacher(teacher, parts, options, fingerprint, context);
    parts.keep_last_good = [&](const exec::Program& program) -> std::string {
      if (options.folder.empty()) return "";
      const std::filesystem::path file = options.folder / "last_good.onnx";
      io::export_onnx(store(program), file);
      return file.string();
    };
    DistillTask task(std::move(parts));
    const std::shared_ptr<exec::ProcessGroup> group =
        exec::process_group_of(context.ranks);
    if (group->ranks() > 1) task.program().set_group(group);
    const exec::TrainingReport report = exec::train(
        task, *context.data, options, fingerprint, group.get(), context);
    if (options.held_out == 0 || report.best_step > 0)
      model = store(task.program());
    result.training = exec::to_json(report);
    describe(report, options, result);
  }

  // Statistics of a few samples say little; and where activations are
  // quantized, biases are codes too, which folding cannot change.
  bool unfolds(const ir::Model& student, const exec::TrainOptions& options,
               const PassContext& context) const {
    const int64_t ranks = context.ranks ? context.ranks->ranks() : 1;
    return options_.unfold_batch_norm &&
           options.batch_size * ranks >= kLeastBatch &&
           std::ranges::none_of(student.graph->nodes(), [](const auto& node) {
             return node->is("QuantizeLinear");
           });
  }

  // A batch size that the model fixes; samples kept aside.
  void fit_to_data(const ir::Model& model, const BatchSource& data,
                   exec::TrainOptions& options, PassResult& result) const {
    const auto fixed = exec::fixed_batch_size(*model.graph);
    if (fixed) {
      options.accumulate *= std::max<int64_t>(1, options.batch_size / *fixed);
      if (*fixed != options.batch_size)
        result.remarks.push_back(
            {"",
             fmt::format("the model takes {} sample{} at a time: {} of "
                         "them make a step",
                         *fixed, *fixed == 1 ? "" : "s", options.accumulate)});
      options.batch_size = *fixed;
    }
    if (options.held_out < 0)
      options.held_out = std::min(kMostHeldOut, data.size() / kHeldOutShare);
    // Whole batches.
    if (fixed) options.held_out -= options.held_out % *fixed;
    if (options.augment && options.augmentation.any() && !data.has_images())
      throw Error(ErrorKind::kUsage, "augment",
                  "varies images that are read from files, but the data is " +
                      data.description(),
                  "leave it out");
    if (data.is_synthetic())
      result.remarks.push_back(
          {"",
           "the student learns from synthetic samples: it will be like its "
           "teacher on those alone"});
  }

  std::unique_ptr<Teacher> make_teacher(const ir::Model& model,
                                        const DistillTask::Parts& parts,
                                        const exec::TrainOptions& options,
                                        const std::string& fingerprint,
                                        const PassContext& context) const {
    std::vector<std::string> features;
    for (const FeaturePair& pair : parts.objective.pairs)
      features.push_back(pair.teacher);
    std::unique_ptr<OutputCache> cache;
    // Batches that vary have no numbers to keep their answers by; what is held
    // out never does.
    if (features.empty() && !options.folder.empty() &&
        options_.teacher_cache_bytes > 0)
      cache = std::make_unique<OutputCache>(
          options.folder / cache_file(context.ranks), fingerprint,
          context.data->size(), options_.teacher_cache_bytes);
    return std::make_unique<Teacher>(model, features, parts.device,
                                     context.batch_executor, std::move(cache));
  }

  // Which run a checkpoint belongs to.
  std::string fingerprint(const ir::Model& model,
                          const PassContext& context) const {
    return sha256_hex(fmt::format(
        "{}\n{}\n{}\n{}\n{} {}\n{}", options_.text, hash(model),
        hash(*context.input), context.data->description(), context.data->size(),
        context.data->has_labels(), context.seed));
  }

  static void describe(const exec::TrainingReport& report,
                       const exec::TrainOptions& options, PassResult& result) {
    const auto say = [&](const std::string& text) {
      result.remarks.push_back({"", text});
    };
    say(fmt::format("trained for {} steps of {} samples in {:.0f} s",
                    report.steps, report.samples_per_step, report.seconds));
    if (report.stopped_early)
      say(fmt::format("stopped early: nothing got better in {} evaluations",
                      options.patience));
    if (options.held_out > 0 && report.best_step == 0)
      say(
          fmt::format("the weights stay what they were: no others did better "
                      "on the {} samples held out",
                      options.held_out));
    else if (options.held_out > 0 && report.best_step != report.steps)
      say(
          fmt::format("the result is that of step {}, the best on the {} "
                      "samples held out",
                      report.best_step, options.held_out));
    if (report.resumed_at > 0)
      say(fmt::format("went on after step {} of an earlier run",
                      report.resumed_at));
  }

  const DistillOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_distill(DistillOptions options) {
  return std::make_unique<Distill>(std::move(options));
}

}  // namespace lathe::distill
