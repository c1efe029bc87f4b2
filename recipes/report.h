// What a run found out, and its two written forms: report.json and
// manifest.json (docs/report.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "passes/base/json.h"
#include "passes/pass.h"
#include "passes/stage_scorer.h"
#include "recipes/recipe.h"
#include "recipes/targets.h"

namespace lathe::recipes {

const char* tool_version();  // "0.1.0"

struct StageReport {
  std::string name;            // "baseline", else the pass, "_2" … when again
  std::string pass;            // empty for the baseline
  std::string options = "{}";  // JSON text
  StageScore score;
  // Measured median over the input model's, of the same interleaved bench.
  std::optional<double> measured_ratio;
  double seconds = 0;  // pass and scoring
  int64_t changes = 0;
  std::vector<Remark> remarks;
  std::vector<LayerDecision> layers;  // empty: the pass decides nothing of them
  std::string plan, training;         // PassResult's
};

// A model file that was written, for one target.
struct VariantReport {
  std::string path;    // relative to the report
  std::string sha256;  // of the .onnx file
  std::string stage;   // the stage it is the result of
  std::string target;  // as written
  StageScore score;    // measured again, from the file
  std::optional<double> measured_ratio;
  Met met = Met::kNo;
  std::string reason;  // why not met; empty when it is
};

// A stage's model that is not delivered for a target, and why.
struct RejectedVariant {
  std::string stage, target, reason;
  bool slower = false;  // than the input model
  std::optional<StageScore> score;
};

// A file that was read or written.
struct FileRecord {
  std::string role;  // "model", "data", "eval", "variant", …
  std::string path;
  std::string sha256;
  uint64_t size_bytes = 0;
};

struct DataReport {
  std::string description;
  int64_t samples = 0;
  bool labels = false, synthetic = false;
};

struct GateResult {
  std::string name, variant;  // the gate's, the variant's path
  double bound = 0;
  std::optional<double> value;  // absent: the figure does not exist
  bool passed = false;
};

struct Report {
  Recipe recipe;
  std::string runtime_name, runtime_version;
  std::string device;  // the profile that priced the estimates
  bool calibrated = false, this_machine = true;
  ir::InputShapes input_shapes;  // that latency and MACs are quoted for
  std::optional<DataReport> calibration, scoring;
  std::vector<FileRecord> inputs, outputs;
  std::vector<StageReport> stages;
  std::vector<VariantReport> variants;
  std::vector<RejectedVariant> rejected;
  std::vector<GateResult> gates;
  std::vector<std::string> notes;
  int exit_code = 0;  // 0, or 3 when a target, budget or gate was missed
};

// One score as in the report; keys whose figure does not exist are absent.
Json to_json(const StageScore& score);
Json to_json(const Report& report);
Json manifest_json(const Report& report);
// JSON Schema (2020-12) of report.json: docs/schemas/report.schema.json.
Json report_schema();

}  // namespace lathe::recipes
