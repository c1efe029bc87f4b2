#include "passes/exec/training_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "passes/base/error.h"
#include "passes/base/file.h"

namespace lathe::exec {
namespace {

using Terms = std::vector<std::pair<std::string, double>>;

// What may be absent, or not finite and so none of JSON's numbers.
struct OptionalKey {
  const char* name;
  std::optional<double> TrainingPoint::*value;
};
constexpr OptionalKey kOptionalKeys[] = {
    {"accuracy", &TrainingPoint::accuracy},
    {"gradient_norm", &TrainingPoint::gradient_norm},
    {"held_out_loss", &TrainingPoint::held_out_loss},
    {"held_out_accuracy", &TrainingPoint::held_out_accuracy},
};

struct Key {
  const char* name;
  double TrainingPoint::*value;
};
constexpr Key kKeys[] = {
    {"epoch", &TrainingPoint::epoch},
    {"seconds", &TrainingPoint::seconds},
    {"learning_rate", &TrainingPoint::learning_rate},
    {"samples_per_s", &TrainingPoint::samples_per_s},
    {"loss", &TrainingPoint::loss},
};

Json to_json(const Terms& terms) {
  Json json = Json::object();
  for (const auto& [name, value] : terms) json[name] = value;
  return json;
}

Terms terms_from_json(const Json& json) {
  Terms terms;
  for (const auto& [name, value] : json.items())
    terms.emplace_back(name, value.get<double>());
  return terms;
}

std::string line(const TrainingPoint& point) {
  return to_json(point).dump() + "\n";
}

}  // namespace

Json to_json(const TrainingPoint& point) {
  Json json = {{"step", point.step}};
  for (const Key& key : kKeys) json[key.name] = point.*key.value;
  json["terms"] = to_json(point.terms);
  for (const OptionalKey& key : kOptionalKeys)
    if (const auto& value = point.*key.value; value && std::isfinite(*value))
      json[key.name] = *value;
  return json;
}

TrainingPoint point_from_json(const Json& json) {
  TrainingPoint point;
  point.step = json.at("step");
  for (const Key& key : kKeys) point.*key.value = json.at(key.name);
  point.terms = terms_from_json(json.at("terms"));
  for (const OptionalKey& key : kOptionalKeys)
    if (const auto found = json.find(key.name); found != json.end())
      point.*key.value = found->get<double>();
  return point;
}

void LossTerms::add(const LossTerms& more, double weight) {
  correct += more.correct;
  judged += more.judged;
  for (const auto& [name, value] : more.terms) {
    auto found = std::find_if(
        terms.begin(), terms.end(),
        [&name = name](const auto& term) { return term.first == name; });
    if (found == terms.end()) found = terms.insert(found, {name, 0.0});
    found->second += weight * value;
  }
}

void RunningMeans::add(double step_loss, double norm, const LossTerms& step) {
  ++steps;
  loss += step_loss;
  gradient_norm += norm;
  sums.add(step, 1);
}

TrainingPoint RunningMeans::point() const {
  const auto count = static_cast<double>(std::max<int64_t>(steps, 1));
  TrainingPoint point;
  point.loss = loss / count;
  point.gradient_norm = gradient_norm / count;
  if (sums.judged > 0)
    point.accuracy =
        static_cast<double>(sums.correct) / static_cast<double>(sums.judged);
  point.terms = sums.terms;
  for (auto& [name, value] : point.terms) value /= count;
  return point;
}

Json to_json(const RunningMeans& means) {
  return {{"loss", means.loss},          {"gradient_norm", means.gradient_norm},
          {"steps", means.steps},        {"correct", means.sums.correct},
          {"judged", means.sums.judged}, {"terms", to_json(means.sums.terms)}};
}

RunningMeans means_from_json(const Json& json) {
  RunningMeans means;
  means.loss = json.at("loss");
  means.gradient_norm = json.at("gradient_norm");
  means.steps = json.at("steps");
  means.sums.correct = json.at("correct");
  means.sums.judged = json.at("judged");
  means.sums.terms = terms_from_json(json.at("terms"));
  return means;
}

std::string summary(const TrainingPoint& point) {
  std::string text = fmt::format("loss {:.4g}", point.loss);
  if (point.accuracy)
    text += fmt::format("  accuracy {:.1f}%", 100 * *point.accuracy);
  if (point.held_out_accuracy)
    text += fmt::format("  held out {:.1f}%", 100 * *point.held_out_accuracy);
  else if (point.held_out_loss)
    text += fmt::format("  held out {:.4g}", *point.held_out_loss);
  if (point.samples_per_s > 0)
    text += fmt::format("  {:.0f} samples/s", point.samples_per_s);
  return text;
}

MetricsFile::MetricsFile(std::filesystem::path path,
                         const std::vector<TrainingPoint>& points)
    : path_(std::move(path)) {
  if (path_.empty()) return;
  std::string text;
  for (const TrainingPoint& point : points) text += line(point);
  write_file_atomic(path_, text);
}

void MetricsFile::append(const TrainingPoint& point) {
  if (path_.empty()) return;
  errno = 0;
  std::ofstream file(path_, std::ios::app | std::ios::binary);
  file << line(point) << std::flush;
  if (!file)
    throw Error(ErrorKind::kIo, path_.string(),
                "cannot be written: " + std::generic_category().message(errno));
}

std::string to_json(const TrainingReport& report) {
  Json curve = Json::array();
  for (const TrainingPoint& point : report.curve)
    curve.push_back(to_json(point));
  return Json{{"steps", report.steps},
              {"samples", report.samples},
              {"samples_per_step", report.samples_per_step},
              {"seconds", report.seconds},
              {"waiting_s", report.waiting_s},
              {"resumed_at", report.resumed_at},
              {"best_step", report.best_step},
              {"stopped_early", report.stopped_early},
              {"curve", std::move(curve)}}
      .dump();
}

}  // namespace lathe::exec
