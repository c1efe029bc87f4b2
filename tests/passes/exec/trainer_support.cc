#include "tests/passes/exec/trainer_support.h"

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "passes/base/file.h"
#include "passes/base/random.h"
#include "passes/exec/training_log.h"

namespace lathe::exec::test {
namespace {

// Of a line of metrics.
Json without_times(Json point) {
  point.erase("seconds");
  point.erase("samples_per_s");
  return point;
}

at::Tensor input(const TrainingBatch& batch, const std::string& name) {
  for (const auto& [known, tensor] : batch.inputs)
    if (known == name) return tensor;
  throw std::logic_error("no input " + name);
}

}  // namespace

lathe::test::MemorySamples linear_samples() {
  Random random(3);
  std::vector<float> x, y;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < kSamples; ++i) {
    double sum = 0.25 + 0.1 * random.normal();
    for (int64_t k = 0; k < kFeatures; ++k) {
      x.push_back(static_cast<float>(random.normal()));
      sum += (static_cast<double>(k) - 0.5) * static_cast<double>(x.back());
    }
    y.push_back(static_cast<float>(sum));
    labels.push_back(sum > 0);
  }
  return {{{"x", ir::Tensor::from<float>({kSamples, kFeatures}, x)},
           {"y", ir::Tensor::from<float>({kSamples, 1}, y)}},
          labels};
}

LinearTask::LinearTask(PassContext& context)
    : weight(at::full({1, kFeatures}, 0.1)),
      bias(at::zeros({1})),
      mean(at::zeros({kFeatures})) {
  weight.set_requires_grad(true);
  bias.set_requires_grad(true);
  context.cancel = &token_;
}

std::vector<TrainedTensor> LinearTask::trained() {
  return {{"w", weight}, {"b", bias, /*decays=*/false}};
}

at::Tensor LinearTask::loss(const TrainingBatch& batch, LossTerms& terms) {
  at::Tensor x = input(batch, "x");
  const at::Tensor y = input(batch, "y");
  if (records) (training ? trained_on : evaluated_on).push_back(batch);
  if (training) {
    const at::NoGradGuard no_grad;
    mean.lerp_(x.mean(0), 0.1);
    if (noise > 0) x = x + noise * at::randn_like(x);
  }
  if (sleep_s > 0)
    std::this_thread::sleep_for(std::chrono::duration<double>(sleep_s));
  const at::Tensor computed = at::linear(x, weight, bias);
  at::Tensor squares = (computed - y).square().mean();
  const bool replaced = !training && !evaluations.empty();
  if (replaced) {
    if (records) values_evaluated.push_back(values());
    squares = at::scalar_tensor(
        evaluations.at(static_cast<size_t>(evaluated++)), at::kFloat);
  }
  if (training && batches++ == infinite_at)
    squares = squares * std::numeric_limits<double>::infinity();
  terms.terms.emplace_back("squares", squares.item<double>());
  if (judges) {
    const at::Tensor right = (computed > 0) == (y > 0);
    terms.correct = right.sum().item<int64_t>();
    terms.judged = right.numel();
  }
  return squares;
}

void LinearTask::after_step() {
  ++steps;
  if (records) values_after.push_back(values());
  if (stepped) stepped();
  if (steps == cancel_at) token_.cancel();
  if (steps == fail_at) throw std::runtime_error("killed");
}

std::vector<at::Tensor> LinearTask::values() const {
  return {weight.detach().clone(), bias.detach().clone(), mean.clone()};
}

TrainOptions short_run() {
  TrainOptions options;
  options.steps = 12;
  options.batch_size = 4;
  options.optimizer.learning_rate = 0.05;
  return options;
}

Trained run(const TrainOptions& options,
            const std::function<void(LinearTask&)>& change, ProcessGroup* group,
            uint64_t seed, ProgressSink* progress) {
  PassContext context;
  context.seed = seed;
  context.jobs = 1;
  if (progress) context.progress = progress;
  lathe::test::MemorySamples samples = linear_samples();
  LinearTask task(context);
  if (change) change(task);
  Trained trained;
  trained.report = train(task, samples, options, kFingerprint, group, context);
  trained.values = task.values();
  CHECK_FALSE(task.training);
  return trained;
}

bool same_bits(const std::vector<at::Tensor>& a,
               const std::vector<at::Tensor>& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i) same = a[i].equal(b[i]);
  return same;
}

double largest_difference(const std::vector<at::Tensor>& a,
                          const std::vector<at::Tensor>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>());
  return largest;
}

Json timeless(const std::vector<TrainingPoint>& curve) {
  Json points = Json::array();
  for (const TrainingPoint& point : curve)
    points.push_back(without_times(to_json(point)));
  return points;
}

Json timeless_lines(const std::filesystem::path& path) {
  Json points = Json::array();
  std::istringstream text(read_file(path));
  for (std::string line; std::getline(text, line);)
    points.push_back(without_times(Json::parse(line)));
  return points;
}

}  // namespace lathe::exec::test
