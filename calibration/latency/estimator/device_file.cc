#include "calibration/latency/estimator/device_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "calibration/latency/probe/description_json.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/hash.h"
#include "passes/base/json_schema.h"

namespace lathe::latency {
namespace {

constexpr char kFormat[] = "lathe-device-profile";
// A profile is a few hundred kilobytes; what is far larger is none.
constexpr uint64_t kMostBytes = 64 << 20;

constexpr const char* kSchema = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"title": "Lathe device profile",
"description": "What `lathe profile` measured on a device and fitted to it",
"type": "object",
"additionalProperties": false,
"required": ["format", "schema_version", "device", "traits", "seed", "seconds",
             "columns", "sha256"],
"properties": {
  "format": {"const": "lathe-device-profile"},
  "schema_version": {"const": 1},
  "device": {
    "description": "where it was measured",
    "type": "object", "additionalProperties": false,
    "required": ["name", "architecture", "cpu", "instruction_sets", "cores",
                 "os", "runtime", "runtime_version"],
    "properties": {
      "name": {"type": "string", "minLength": 1},
      "architecture": {"type": "string", "minLength": 1},
      "cpu": {"type": "string"},
      "instruction_sets": {"type": "array", "items": {"type": "string"}},
      "cores": {"type": "integer", "minimum": 0},
      "os": {"type": "string"},
      "runtime": {"type": "string"},
      "runtime_version": {"type": "string"}}},
  "traits": {
    "description": "what decides the fusions and layouts of the runtime there",
    "type": "object", "additionalProperties": false,
    "required": ["nchwc_block", "unsigned_activations"],
    "properties": {
      "nchwc_block": {"description": "channels in a block of NCHWc; 0: none",
                      "type": "integer", "minimum": 0, "maximum": 64},
      "unsigned_activations": {"type": "boolean"}}},
  "seed": {"type": "integer", "minimum": 0},
  "seconds": {"description": "spent measuring", "type": "number", "minimum": 0},
  "columns": {
    "description": "one for each thread count, ascending",
    "type": "array", "minItems": 1,
    "items": {
      "type": "object", "additionalProperties": false,
      "required": ["threads", "networks", "kernels", "noise", "validation",
                   "predictor"],
      "properties": {
        "threads": {"type": "integer", "minimum": 1, "maximum": 1024},
        "networks": {"type": "integer", "minimum": 0},
        "kernels": {"type": "integer", "minimum": 0},
        "noise": {
          "description": "how far the measurements can be trusted",
          "type": "object", "additionalProperties": false,
          "required": ["rounds", "dropped_rounds", "reference_us", "drift",
                       "repeatability"],
          "properties": {
            "threads": {"type": "integer", "minimum": 1},
            "rounds": {"type": "integer", "minimum": 0},
            "dropped_rounds": {"type": "integer", "minimum": 0},
            "reference_us": {"description": "median of the reference kernel",
                             "type": "number", "minimum": 0},
            "drift": {"description": "its p90 over its p10, minus 1",
                      "type": "number"},
            "repeatability": {
              "description": "median of max / min - 1 of a network's rounds",
              "type": "number"}}},
        "validation": {
          "description": "error on held-out networks, cross-validated by network",
          "type": "object", "additionalProperties": false,
          "required": ["networks", "mape", "rmspe", "within_5", "within_10",
                       "coverage"],
          "properties": {
            "networks": {"type": "integer", "minimum": 0},
            "mape": {"type": "number", "minimum": 0},
            "rmspe": {"type": "number", "minimum": 0},
            "within_5": {"type": "number", "minimum": 0, "maximum": 1},
            "within_10": {"type": "number", "minimum": 0, "maximum": 1},
            "coverage": {"description": "measured inside [p5, p95]",
                         "type": "number", "minimum": 0, "maximum": 1}}},
        "predictor": {"type": "object"}}}},
  "sha256": {
    "description": "of the same document without this key, on one line",
    "type": "string", "pattern": "^[0-9a-f]{64}$"}}
})";

Json column_json(const DeviceColumn& column) {
  const ValidationError& error = column.predictor->validation();
  return {{"threads", column.threads},
          {"networks", column.networks},
          {"kernels", column.kernels},
          {"noise", to_json(column.noise)},
          {"validation",
           {{"networks", error.networks},
            {"mape", error.mape},
            {"rmspe", error.rmspe},
            {"within_5", error.within_5},
            {"within_10", error.within_10},
            {"coverage", error.coverage}}},
          {"predictor", column.predictor->to_json()}};
}

std::string checksum(const Json& document) {
  return sha256_hex(document.dump(-1, ' ', /*ensure_ascii=*/true));
}

void check_head(const JsonText& text) {
  const Json& root = text.root();
  if (!root.is_object() || !root.contains("format") ||
      root["format"] != kFormat)
    throw_input(text.where(""),
                fmt::format("this is no device profile: the key 'format' "
                            "with the value '{}' is expected",
                            kFormat),
                "`lathe profile -o device.json` writes one");
  if (!root.contains("schema_version"))
    throw_input(text.where(""), "the profile has no 'schema_version'");
  const Json& version = root["schema_version"];
  if (version != kDeviceFileVersion)
    throw_input(text.where("/schema_version"),
                fmt::format("the profile is of version {}, this program reads "
                            "version {}",
                            version.dump(), kDeviceFileVersion),
                "profile the device again with `lathe profile`");
}

void check_schema(const JsonText& text) {
  const std::vector<std::string> errors = validate_schema(text, "", kSchema);
  if (errors.empty()) return;
  std::string more;
  if (errors.size() > 1)
    more = fmt::format("; {} more error{}", errors.size() - 1,
                       errors.size() == 2 ? "" : "s");
  throw Error(ErrorKind::kInput, "", errors.front() + more,
              "profile the device again with `lathe profile`");
}

void check_sum(const JsonText& text) {
  Json bare = text.root();
  bare.erase("sha256");
  if (checksum(bare) != text.root()["sha256"])
    throw_input(text.where("/sha256"),
                "the checksum does not fit the content: the profile was "
                "edited or damaged",
                "figures changed by hand are no measurement; profile the "
                "device again with `lathe profile`");
}

}  // namespace

RuntimeTraits traits_of(const DeviceDescription& device) {
  const auto& sets = device.instruction_sets;
  return make_traits(
      device.runtime_version, device.architecture,
      std::find(sets.begin(), sets.end(), "avx512f") != sets.end());
}

const DeviceColumn* find_column(const DeviceFile& file, int threads) {
  for (const DeviceColumn& column : file.columns)
    if (column.threads == threads) return &column;
  return nullptr;
}

std::string to_text(const DeviceFile& file) {
  Json json = {{"format", kFormat},
               {"schema_version", kDeviceFileVersion},
               {"device", to_json(file.device)},
               {"traits",
                {{"nchwc_block", file.traits.nchwc_block},
                 {"unsigned_activations", file.traits.unsigned_activations}}},
               {"seed", file.seed},
               {"seconds", file.seconds},
               {"columns", Json::array()}};
  for (const DeviceColumn& column : file.columns)
    json["columns"].push_back(column_json(column));
  // What is read back is what the text says: the sum is of that.
  json["sha256"] = checksum(Json::parse(json.dump()));
  return json.dump(-1, ' ', /*ensure_ascii=*/true) + "\n";
}

DeviceFile device_file_from_json(const JsonText& text) {
  check_head(text);
  check_schema(text);
  check_sum(text);
  const Json& root = text.root();
  DeviceFile file;
  file.device = device_from_json(text, "/device");
  file.traits.version = file.device.runtime_version;
  file.traits.architecture = file.device.architecture;
  file.traits.nchwc_block = root["traits"]["nchwc_block"].get<int>();
  file.traits.unsigned_activations =
      root["traits"]["unsigned_activations"].get<bool>();
  file.seed = root["seed"].get<uint64_t>();
  file.seconds = root["seconds"].get<double>();
  for (size_t i = 0; i < root["columns"].size(); ++i) {
    const std::string at = fmt::format("/columns/{}", i);
    const Json& json = root["columns"][i];
    DeviceColumn column;
    column.threads = json["threads"].get<int>();
    if (!file.columns.empty() && file.columns.back().threads >= column.threads)
      throw_input(text.where(at + "/threads"),
                  fmt::format("thread counts must ascend, found {} after {}",
                              column.threads, file.columns.back().threads));
    column.networks = json["networks"].get<int64_t>();
    column.kernels = json["kernels"].get<int64_t>();
    column.noise = noise_from_json(text, at + "/noise");
    column.noise.threads = column.threads;
    column.predictor = kernel_predictor_from_json(text, at + "/predictor");
    file.columns.push_back(std::move(column));
  }
  return file;
}

DeviceFile device_file_from_text(const std::string& text,
                                 const std::string& source) {
  // Keeping the place of each of some hundred thousand numbers takes far
  // longer than reading them: it is done when there is an error to place.
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_discarded()) {
    try {
      return device_file_from_json(JsonText::wrap(json, source));
    } catch (const Error&) {
    }
  }
  return device_file_from_json(JsonText::parse(text, source));
}

DeviceFile read_device_file(const std::filesystem::path& path) {
  return device_file_from_text(read_file(path, kMostBytes), path.string());
}

Json device_schema() { return Json::parse(kSchema); }

}  // namespace lathe::latency
