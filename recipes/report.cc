#include "recipes/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "passes/base/hash.h"

namespace lathe::recipes {
namespace {

void put(Json& json, const char* key, const std::optional<double>& value) {
  if (value && std::isfinite(*value)) json[key] = *value;
}

Json tool_json() { return {{"name", "lathe"}, {"version", tool_version()}}; }

Json accuracy_json(const Accuracy& accuracy, Json score) {
  score["samples"] = accuracy.samples;
  put(score, "top1", accuracy.top1);
  put(score, "top5", accuracy.top5);
  put(score, "perplexity", accuracy.perplexity);
  put(score, "agreement", accuracy.agreement);
  std::optional<double> lowest;
  for (const OutputFidelity& output : accuracy.outputs) {
    lowest = std::min(lowest.value_or(output.sqnr_db), output.sqnr_db);
    Json one = {{"name", output.name}};
    put(one, "sqnr_db", output.sqnr_db);
    put(one, "cosine", output.cosine);
    put(one, "max_abs_diff", output.max_abs_diff);
    score["outputs"].push_back(std::move(one));
  }
  put(score, "sqnr_db", lowest);
  return score;
}

Json data_json(const DataReport& data) {
  return {{"description", data.description},
          {"samples", data.samples},
          {"labels", data.labels},
          {"synthetic", data.synthetic}};
}

Json file_json(const FileRecord& file) {
  return {{"role", file.role},
          {"path", file.path},
          {"sha256", file.sha256},
          {"size_bytes", file.size_bytes}};
}

// Data sets can be thousands of files: the report shows a role's files one by
// one up to this many, and their number and common hash above it.
constexpr size_t kListedFiles = 16;

Json inputs_json(const std::vector<FileRecord>& inputs) {
  Json result = Json::object();
  for (const char* role :
       {"model", "data", "eval", "device", "plan", "student"}) {
    Json files = Json::array();
    uint64_t bytes = 0;
    std::string hashes;
    for (const FileRecord& file : inputs) {
      if (file.role != role) continue;
      files.push_back({{"path", file.path},
                       {"sha256", file.sha256},
                       {"size_bytes", file.size_bytes}});
      bytes += file.size_bytes;
      hashes += file.sha256 + "\n";
    }
    if (files.empty()) continue;
    if (files.size() > kListedFiles)
      result[role] = {{"file_count", files.size()},
                      {"sha256_of_hashes", sha256_hex(hashes)},
                      {"size_bytes", bytes}};
    else
      result[role] = {{"files", std::move(files)}, {"size_bytes", bytes}};
  }
  return result;
}

Json targets_json(const Recipe& recipe) {
  Json targets = {{"latency", Json::array()}};
  for (const Target& target : recipe.latency_targets)
    targets["latency"].push_back(target.text);
  if (recipe.max_drop) targets["max_drop"] = *recipe.max_drop;
  return targets;
}

Json score_json(const StageScore& score, const std::optional<double>& ratio) {
  Json json = to_json(score);
  if (ratio && json.contains("measured_latency_us"))
    json["measured_latency_us"]["ratio_to_input"] = *ratio;
  return json;
}

Json layers_json(const std::vector<LayerDecision>& layers) {
  Json json = Json::array();
  for (const LayerDecision& layer : layers) {
    json.push_back({{"node", layer.node},
                    {"operator", layer.op_type},
                    {"precision", layer.precision}});
    put(json.back(), "sqnr_db", layer.sqnr_db);
    put(json.back(), "saved_us", layer.saved_us);
    json.back()["reason"] = layer.reason;
  }
  return json;
}

Json stage_json(const StageReport& stage) {
  Json remarks = Json::array();
  for (const Remark& remark : stage.remarks)
    remarks.push_back({{"node", remark.node}, {"reason", remark.reason}});
  Json json = {{"name", stage.name}};
  if (!stage.pass.empty()) {
    json["pass"] = stage.pass;
    json["options"] = Json::parse(stage.options);
    json["changes"] = stage.changes;
  }
  json["score"] = score_json(stage.score, stage.measured_ratio);
  json["seconds"] = stage.seconds;
  json["remarks"] = std::move(remarks);
  if (!stage.layers.empty()) json["layers"] = layers_json(stage.layers);
  if (!stage.plan.empty()) json["plan"] = Json::parse(stage.plan);
  if (!stage.training.empty()) json["training"] = Json::parse(stage.training);
  return json;
}

Json met_json(Met met) {
  if (met == Met::kNo) return false;
  return met == Met::kMeasured ? "measured" : "estimated";
}

Json variant_json(const VariantReport& variant) {
  Json json = {{"path", variant.path},
               {"sha256", variant.sha256},
               {"stage", variant.stage},
               {"target", variant.target},
               {"score", score_json(variant.score, variant.measured_ratio)},
               {"met", met_json(variant.met)}};
  if (!variant.reason.empty()) json["reason"] = variant.reason;
  return json;
}

Json rejected_json(const RejectedVariant& rejected) {
  Json json = {{"stage", rejected.stage},
               {"target", rejected.target},
               {"reason", rejected.reason}};
  if (rejected.score) json["score"] = to_json(*rejected.score);
  return json;
}

Json gate_json(const GateResult& gate) {
  Json json = {
      {"name", gate.name}, {"variant", gate.variant}, {"bound", gate.bound}};
  put(json, "value", gate.value);
  json["passed"] = gate.passed;
  return json;
}

}  // namespace

const char* tool_version() { return "0.1.0"; }

Json to_json(const StageScore& score) {
  Json json = Json::object();
  if (const auto& estimated = score.estimated_latency)
    json["estimated_latency_us"] = {{"p5", estimated->p5_us},
                                    {"p50", estimated->p50_us},
                                    {"p95", estimated->p95_us}};
  if (const auto& measured = score.measured_latency)
    json["measured_latency_us"] = {
        {"min", measured->min_us},       {"p10", measured->p10_us},
        {"median", measured->median_us}, {"p90", measured->p90_us},
        {"runs", measured->runs},        {"noisy", measured->noisy}};
  json["size_bytes"] = score.size_bytes;
  json["parameters"] = score.parameters;
  if (score.macs) json["macs"] = *score.macs;
  return score.accuracy ? accuracy_json(*score.accuracy, std::move(json))
                        : json;
}

Json to_json(const Report& report) {
  Json json = {
      {"schema_version", 1},
      {"tool", tool_json()},
      {"runtime",
       {{"name", report.runtime_name}, {"version", report.runtime_version}}},
      {"inputs", inputs_json(report.inputs)},
      {"device",
       {{"profile", report.device},
        {"calibrated", report.calibrated},
        {"this_machine", report.this_machine},
        {"threads", report.recipe.device.threads}}},
      {"input_shapes", Json::object()},
      {"targets", targets_json(report.recipe)},
      {"data", Json::object()}};
  for (const auto& [name, dims] : report.input_shapes)
    json["input_shapes"][name] = dims;
  if (report.calibration)
    json["data"]["calibration"] = data_json(*report.calibration);
  if (report.scoring) json["data"]["scoring"] = data_json(*report.scoring);
  for (const char* list : {"stages", "variants", "rejected", "gates", "notes"})
    json[list] = Json::array();
  for (const StageReport& stage : report.stages)
    json["stages"].push_back(stage_json(stage));
  for (const VariantReport& variant : report.variants)
    json["variants"].push_back(variant_json(variant));
  for (const RejectedVariant& rejected : report.rejected)
    json["rejected"].push_back(rejected_json(rejected));
  for (const GateResult& gate : report.gates)
    json["gates"].push_back(gate_json(gate));
  for (const std::string& note : report.notes) json["notes"].push_back(note);
  json["recipe"] = to_json(report.recipe, /*absolute=*/true);
  json["exit_code"] = report.exit_code;
  return json;
}

Json manifest_json(const Report& report) {
  Json json = {{"schema_version", 1},
               {"tool", tool_json()},
               {"inputs", Json::array()},
               {"outputs", Json::array()}};
  for (const FileRecord& file : report.inputs)
    json["inputs"].push_back(file_json(file));
  for (const FileRecord& file : report.outputs)
    json["outputs"].push_back(file_json(file));
  return json;
}

}  // namespace lathe::recipes
