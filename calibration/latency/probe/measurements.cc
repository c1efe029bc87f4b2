#include "calibration/latency/probe/measurements.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "calibration/latency/probe/description_json.h"
#include "passes/base/error.h"

namespace lathe::latency {
namespace {

constexpr int64_t kSchemaVersion = 1;

// Four significant figures more than the noise leaves.
double rounded(float value) {
  return std::round(static_cast<double>(value) * 1000) / 1000;
}

Json times_json(const std::vector<float>& times) {
  Json list = Json::array();
  for (float time : times) list.push_back(rounded(time));
  return list;
}

// Reads by pointer, so that every error has its place.
class Reader {
 public:
  explicit Reader(const JsonText& text) : text_(text) {}

  [[noreturn]] void expected(const std::string& pointer, const Json& found,
                             const char* what) const {
    std::string shown = found.dump();
    if (shown.size() > 40) shown = shown.substr(0, 40) + "…";
    throw_input(text_.where(pointer), "found " + shown + ", expected " + what);
  }

  const Json& field(const Json& object, const std::string& pointer,
                    const char* key) const {
    if (!object.is_object()) expected(pointer, object, "an object");
    auto found = object.find(key);
    if (found == object.end())
      throw_input(text_.where(pointer),
                  "the key '" + std::string(key) + "' is missing");
    return *found;
  }

  void only(const Json& object, const std::string& pointer,
            std::initializer_list<std::string_view> keys) const {
    for (const auto& [key, value] : object.items()) {
      bool known = false;
      for (std::string_view name : keys) known = known || name == key;
      if (!known)
        throw_input(text_.where(pointer + "/" + escape_pointer_token(key)),
                    "the key '" + key + "' is not known here");
    }
  }

  const Json& list(const Json& object, const std::string& pointer,
                   const char* key) const {
    const Json& value = field(object, pointer, key);
    if (!value.is_array()) expected(pointer + "/" + key, value, "a list");
    return value;
  }

  uint64_t count(const Json& object, const std::string& pointer,
                 const char* key) const {
    const Json& value = field(object, pointer, key);
    // Integers made in memory are signed.
    if (!value.is_number_unsigned() &&
        !(value.is_number_integer() && value.get<int64_t>() >= 0))
      expected(pointer + "/" + key, value, "a whole number from 0");
    return value.get<uint64_t>();
  }

  double number(const Json& object, const std::string& pointer,
                const char* key) const {
    const Json& value = field(object, pointer, key);
    if (!value.is_number() || !std::isfinite(value.get<double>()) ||
        value.get<double>() < 0)
      expected(pointer + "/" + key, value, "a number from 0");
    return value.get<double>();
  }

  std::vector<float> times(const Json& object, const std::string& pointer,
                           const char* key) const {
    const Json& values = list(object, pointer, key);
    std::string place = pointer + "/" + key;
    if (values.empty())
      throw_input(text_.where(place), "there is no time in it",
                  "a round that was kept has one");
    std::vector<float> times;
    for (size_t i = 0; i < values.size(); ++i) {
      if (!values[i].is_number() || !(values[i].get<double>() > 0) ||
          values[i].get<double>() > 1e9)
        expected(place + "/" + std::to_string(i), values[i],
                 "microseconds above 0");
      times.push_back(values[i].get<float>());
    }
    return times;
  }

  const JsonText& text() const { return text_; }

 private:
  const JsonText& text_;
};

int threads_of(const Reader& read, const Json& object,
               const std::string& pointer) {
  uint64_t threads = read.count(object, pointer, "threads");
  if (threads < 1 || threads > 4096)
    read.expected(pointer + "/threads", object["threads"],
                  "a number of threads from 1 to 4096");
  return static_cast<int>(threads);
}

KernelSample kernel_sample(const Reader& read, const Json& json,
                           const std::string& pointer, size_t rounds) {
  KernelSample sample;
  const Json& kernel = read.field(json, pointer, "kernel");
  read.only(json, pointer, {"kernel", "times_us"});
  try {
    sample.kernel = kernel_from_json(kernel, "");
  } catch (const Error& error) {
    throw_input(read.text().where(pointer + "/kernel" + error.where()),
                error.message(), error.hint());
  }
  sample.times_us = read.times(json, pointer, "times_us");
  if (sample.times_us.size() != rounds)
    throw_input(read.text().where(pointer + "/times_us"),
                "found " + std::to_string(sample.times_us.size()) +
                    " rounds, the network has " + std::to_string(rounds));
  return sample;
}

NetworkSample network_sample(const Reader& read, const Json& json,
                             const std::string& pointer) {
  NetworkSample sample;
  const Json& name = read.field(json, pointer, "name");
  if (!name.is_string()) read.expected(pointer + "/name", name, "a string");
  read.only(
      json, pointer,
      {"name", "seed", "threads", "totals_us", "reference_us", "kernels"});
  sample.name = name.get<std::string>();
  sample.seed = read.count(json, pointer, "seed");
  sample.threads = threads_of(read, json, pointer);
  sample.totals_us = read.times(json, pointer, "totals_us");
  if (json.contains("reference_us"))
    sample.reference_us = read.times(json, pointer, "reference_us");
  const Json& kernels = read.list(json, pointer, "kernels");
  for (size_t i = 0; i < kernels.size(); ++i)
    sample.kernels.push_back(kernel_sample(
        read, kernels[i], pointer + "/kernels/" + std::to_string(i),
        sample.totals_us.size()));
  if (sample.kernels.empty())
    throw_input(read.text().where(pointer + "/kernels"),
                "the network has no kernel");
  return sample;
}

}  // namespace

Json to_json(const Measurements& measurements) {
  Json json = {{"schema_version", kSchemaVersion},
               {"kind", "lathe-measurements"},
               {"device", to_json(measurements.device)},
               {"seed", measurements.seed},
               {"seconds", measurements.seconds},
               {"noise", Json::array()},
               {"networks", Json::array()}};
  for (const NoiseCertificate& noise : measurements.noise)
    json["noise"].push_back(to_json(noise));
  for (const NetworkSample& network : measurements.networks) {
    Json kernels = Json::array();
    for (const KernelSample& sample : network.kernels)
      kernels.push_back({{"kernel", to_json(sample.kernel)},
                         {"times_us", times_json(sample.times_us)}});
    Json entry = {{"name", network.name},
                  {"seed", network.seed},
                  {"threads", network.threads},
                  {"totals_us", times_json(network.totals_us)},
                  {"kernels", std::move(kernels)}};
    if (!network.reference_us.empty())
      entry["reference_us"] = times_json(network.reference_us);
    json["networks"].push_back(std::move(entry));
  }
  return json;
}

Measurements measurements_from_json(const JsonText& text) {
  Reader read(text);
  const Json& root = text.root();
  uint64_t version = read.count(root, "", "schema_version");
  if (version != kSchemaVersion)
    throw_input(text.where("/schema_version"),
                "found version " + std::to_string(version) +
                    " of the measurements, this program reads version " +
                    std::to_string(kSchemaVersion),
                "measure again with the lathe-probe of this release");
  const Json& kind = read.field(root, "", "kind");
  if (kind != "lathe-measurements")
    read.expected("/kind", kind, "\"lathe-measurements\"");
  read.only(root, "",
            {"schema_version", "kind", "device", "seed", "seconds", "noise",
             "networks"});
  Measurements measurements;
  measurements.device = device_from_json(text, "/device");
  measurements.seed = read.count(root, "", "seed");
  measurements.seconds = read.number(root, "", "seconds");
  const Json& noise = read.list(root, "", "noise");
  for (size_t i = 0; i < noise.size(); ++i)
    measurements.noise.push_back(
        noise_from_json(text, "/noise/" + std::to_string(i)));
  const Json& networks = read.list(root, "", "networks");
  for (size_t i = 0; i < networks.size(); ++i)
    measurements.networks.push_back(
        network_sample(read, networks[i], "/networks/" + std::to_string(i)));
  return measurements;
}

}  // namespace lathe::latency
