#include "calibration/latency/probe/description_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"

namespace lathe::latency {
namespace {

// An object of `text`, whose fields are asked for by name.
class Fields {
 public:
  Fields(const JsonText& text, std::string pointer)
      : text_(text), pointer_(std::move(pointer)) {
    const Json::json_pointer place(pointer_);
    if (!text.root().contains(place) || !text.root().at(place).is_object())
      throw_input(text.where(pointer_), "expected an object");
    object_ = &text.root().at(place);
  }

  std::string text(const char* key) const {
    const Json& value = field(key);
    if (!value.is_string()) expected(key, "a string");
    return value.get<std::string>();
  }
  int64_t count(const char* key) const {
    const Json& value = field(key);
    if (!value.is_number_integer() || value.get<double>() < 0 ||
        value.get<double>() > 1e15)
      expected(key, "a whole number from 0");
    return value.get<int64_t>();
  }
  double number(const char* key) const {
    const Json& value = field(key);
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      expected(key, "a number");
    return value.get<double>();
  }
  std::vector<std::string> texts(const char* key) const {
    const Json& list = field(key);
    if (!list.is_array()) expected(key, "a list of strings");
    std::vector<std::string> result;
    for (const Json& value : list) {
      if (!value.is_string()) expected(key, "a list of strings");
      result.push_back(value.get<std::string>());
    }
    return result;
  }

 private:
  const Json& field(const char* key) const {
    auto found = object_->find(key);
    if (found == object_->end())
      throw_input(text_.where(pointer_),
                  "the key '" + std::string(key) + "' is missing");
    return *found;
  }
  [[noreturn]] void expected(const char* key, const char* what) const {
    throw_input(text_.where(pointer_ + "/" + key),
                "found " + object_->at(key).dump() + ", expected " + what);
  }

  const JsonText& text_;
  std::string pointer_;
  const Json* object_ = nullptr;
};

}  // namespace

Json to_json(const DeviceDescription& device) {
  return {{"name", device.name},
          {"architecture", device.architecture},
          {"cpu", device.cpu},
          {"instruction_sets", device.instruction_sets},
          {"cores", device.cores},
          {"os", device.os},
          {"runtime", device.runtime},
          {"runtime_version", device.runtime_version}};
}

Json to_json(const NoiseCertificate& noise) {
  return {{"threads", noise.threads},
          {"rounds", noise.rounds},
          {"dropped_rounds", noise.dropped_rounds},
          {"reference_us", noise.reference_us},
          {"drift", noise.drift},
          {"repeatability", noise.repeatability}};
}

DeviceDescription device_from_json(const JsonText& text,
                                   const std::string& pointer) {
  const Fields fields(text, pointer);
  DeviceDescription device;
  device.name = fields.text("name");
  device.architecture = fields.text("architecture");
  device.cpu = fields.text("cpu");
  device.instruction_sets = fields.texts("instruction_sets");
  device.cores = static_cast<int>(fields.count("cores"));
  device.os = fields.text("os");
  device.runtime = fields.text("runtime");
  device.runtime_version = fields.text("runtime_version");
  return device;
}

NoiseCertificate noise_from_json(const JsonText& text,
                                 const std::string& pointer) {
  const Fields fields(text, pointer);
  NoiseCertificate noise;
  noise.threads = static_cast<int>(fields.count("threads"));
  noise.rounds = fields.count("rounds");
  noise.dropped_rounds = fields.count("dropped_rounds");
  noise.reference_us = fields.number("reference_us");
  noise.drift = fields.number("drift");
  noise.repeatability = fields.number("repeatability");
  return noise;
}

}  // namespace lathe::latency
