// Runs a recipe: import, stages, scores, variants, report.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "passes/base/progress.h"
#include "passes/ranks.h"
#include "recipes/recipe.h"
#include "recipes/report.h"

namespace lathe::recipes {

// Told about a run as it goes, from the thread that called run().
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void stage_started(const std::string& /*name*/) {}
  virtual void stage_done(const StageReport& /*stage*/) {}
  // Something the report's notes say as well.
  virtual void note(const std::string& /*line*/) {}
};

// Measures model files against each other, interleaved; one result a path, in
// order. Tests put a table in its place.
class LatencyMeter {
 public:
  virtual ~LatencyMeter() = default;
  virtual std::vector<MeasuredLatency> measure(
      const std::vector<std::filesystem::path>& models) = 0;
};

struct RunOptions {
  // Exactly one of the two. A folder (made when missing) gets variants/,
  // manifest.json and, last, report.json.
  std::filesystem::path out_dir;
  // One file gets the last stage's model; nothing else is written.
  std::filesystem::path out_file;
  // Where stages keep what they can go on from; empty: "<out_file>.training" or
  // "training" in out_dir.
  std::filesystem::path work_place = {};
  // Scores the stages. With out_file it may be false: no eval data is read
  // then and nothing is measured.
  bool score = true;
  int jobs = 0;  // 0: all cores
  ProgressSink* progress = &silent_progress();
  const CancelToken* cancel = nullptr;
  Observer* observer = nullptr;
  double bench_seconds = 1.0;     // that each model is measured for, at least
  LatencyMeter* meter = nullptr;  // null: ONNX Runtime on this machine
  // Null: one process. Each rank makes the same run and shares the work on
  // samples; the first measures, and alone writes to the places above. Devices
  // and files that the recipe names have to be the same for all.
  Ranks* ranks = nullptr;
};

struct RunOutcome {
  Report report;
  int exit_code = 0;  // 0, or 3
};

// Nothing half-written stays behind: files appear under their names only once
// everything has been computed and checked, the report last. Errors as the
// parts throw them; a cancelled run throws kInterrupted.
RunOutcome run(const Recipe& recipe, const RunOptions& options);

}  // namespace lathe::recipes
