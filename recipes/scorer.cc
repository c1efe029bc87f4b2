#include "recipes/scorer.h"

#include <fmt/format.h>

#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/op_table.h"
#include "passes/ir/shape_inference.h"

namespace lathe::recipes {

Scorer::Scorer(ScorerServices services, const Scratch& scratch)
    : services_(std::move(services)), scratch_(scratch) {}

// Estimates and MACs need shapes: they are bound on a copy, the model that is
// delivered stays as dynamic as it was.
void Scorer::estimate(const ir::Model& model, StageScore& score) {
  try {
    ir::Model bound = ir::clone(model);
    ir::bind_input_shapes(bound, services_.shapes);
    ir::infer_shapes(bound);
    score.macs = ir::total_macs(bound);
    if (!services_.estimator) return;
    const GraphEstimate estimate = services_.estimator->estimate(bound);
    score.estimated_latency = estimate.latency;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput &&
        error.kind() != ErrorKind::kUnsupported)
      throw;
    services_.note(fmt::format("no latency estimate: {}", error.what()));
  }
}

void Scorer::run_in_runtime(const ir::Model& model,
                            const std::filesystem::path& file, bool is_input,
                            StageScore& score) {
  if (services_.meter && is_input) {
    score.measured_latency = services_.meter->measure({file}).at(0);
  } else if (const auto pair = measure_pair(file)) {
    score.measured_latency = pair->second;
    measured_ratio_ = pair->second.median_us / pair->first.median_us;
  }
  if (services_.cancel) services_.cancel->check();
  if (services_.evaluator)
    score.accuracy = services_.evaluator->evaluate(model);
}

StageScore Scorer::score(const ir::Model& model) {
  const bool is_input = scored_++ == 0;
  const std::filesystem::path folder =
      scratch_.folder(fmt::format("score-{}", scored_));
  const std::filesystem::path file = folder / "model.onnx";
  if (is_input) input_file_ = file;
  io::export_onnx(model, file);

  StageScore score;
  score.size_bytes = folder_bytes(folder);
  score.parameters = ir::count_parameters(model);
  estimate(model, score);
  if (services_.cancel) services_.cancel->check();
  measured_ratio_.reset();
  try {
    run_in_runtime(model, file, is_input, score);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    // The file in scratch means nothing to a reader.
    const bool in_scratch = error.where().starts_with(scratch_.path().string());
    if (is_input && in_scratch)
      throw Error(ErrorKind::kInput, services_.input_name, error.message(),
                  services_.input_hint);
    if (is_input) throw;
    services_.note(fmt::format("a stage's model cannot be scored: {}",
                               in_scratch ? error.message() : error.what()));
  }
  if (!is_input) std::filesystem::remove_all(folder);
  return score;
}

std::optional<std::pair<MeasuredLatency, MeasuredLatency>> Scorer::measure_pair(
    const std::filesystem::path& file) {
  if (!services_.meter) return std::nullopt;
  const auto measured = services_.meter->measure({input_file_, file});
  return std::pair(measured.at(0), measured.at(1));
}

}  // namespace lathe::recipes
