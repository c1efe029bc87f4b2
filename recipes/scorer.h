// The one scorer of a run: every figure of every stage comes from here.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "passes/latency_model.h"
#include "passes/stage_scorer.h"
#include "recipes/run.h"
#include "recipes/scratch.h"

namespace lathe::recipes {

struct ScorerServices {
  const LatencyModel* estimator = nullptr;
  LatencyMeter* meter = nullptr;   // null: nothing is measured
  Evaluator* evaluator = nullptr;  // null: no accuracy
  ir::InputShapes shapes;          // latency and MACs are quoted for these
  std::string input_name;          // the input model's, for messages
  std::string input_hint;          // what to do when it does not run
  const CancelToken* cancel = nullptr;
  std::function<void(std::string)> note;  // called once a distinct line
};

// The first model scored is the input model; those after it are measured
// interleaved with it. An input model that the runtime cannot run is an error;
// a later one that it cannot run has no measured latency and no accuracy, and a
// note says why.
class Scorer final : public StageScorer {
 public:
  Scorer(ScorerServices services, const Scratch& scratch);
  StageScore score(const ir::Model& model) override;

  // The last score's measured median over the input model's in the same bench.
  std::optional<double> measured_ratio() const { return measured_ratio_; }

  // Measures a model file again, interleaved with the input model; returns the
  // input model's figure and the file's. nullopt where nothing is measured.
  std::optional<std::pair<MeasuredLatency, MeasuredLatency>> measure_pair(
      const std::filesystem::path& file);

 private:
  void estimate(const ir::Model& model, StageScore& score);
  void run_in_runtime(const ir::Model& model, const std::filesystem::path& file,
                      bool is_input, StageScore& score);

  ScorerServices services_;
  const Scratch& scratch_;
  std::filesystem::path input_file_;  // of the first model scored
  int scored_ = 0;
  std::optional<double> measured_ratio_;
};

}  // namespace lathe::recipes
