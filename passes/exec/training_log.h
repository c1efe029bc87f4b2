// The curve of a training run: metrics.jsonl, a checkpoint's, a report's.
// Internal to the trainer.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "passes/base/json.h"
#include "passes/exec/trainer.h"

namespace lathe::exec {

Json to_json(const TrainingPoint& point);
TrainingPoint point_from_json(const Json& json);

// Sums since the point before.
struct RunningMeans {
  double loss = 0, gradient_norm = 0;
  int64_t steps = 0;
  LossTerms sums;

  void add(double loss, double gradient_norm, const LossTerms& terms);
  TrainingPoint point() const;
};
Json to_json(const RunningMeans& means);
RunningMeans means_from_json(const Json& json);

// "loss 0.412  accuracy 87.5%  held out 86.1%".
std::string summary(const TrainingPoint& point);

// Rewrites the file with what is known, then appends. Error kIo. An empty path
// writes nothing.
class MetricsFile {
 public:
  MetricsFile(std::filesystem::path path,
              const std::vector<TrainingPoint>& points);
  void append(const TrainingPoint& point);

 private:
  std::filesystem::path path_;
};

}  // namespace lathe::exec
