#include "recipes/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "calibration/data/data.h"
#include "passes/base/error.h"
#include "passes/base/json_schema.h"
#include "passes/base/text.h"
#include "recipes/gate_table.h"
#include "recipes/pass_table.h"

namespace lathe::recipes {
namespace {

constexpr const char* kSynthetic = "synthetic";

// Mistakes that the schema cannot say; only well-typed parts are looked at.
void check_target(const JsonText& text, const std::string& pointer,
                  std::vector<std::string>& mistakes) {
  const Json::json_pointer place(pointer);
  std::string problem;
  if (text.root().contains(place) && text.root()[place].is_string() &&
      !try_parse_target(text.root()[place].get<std::string>(), &problem))
    mistakes.push_back(text.where(pointer) + ": " + problem);
}

void check_targets(const JsonText& text, std::vector<std::string>& mistakes) {
  const auto count = [&](const char* pointer) {
    const Json::json_pointer place(pointer);
    return text.root().contains(place) && text.root()[place].is_array()
               ? text.root()[place].size()
               : 0;
  };
  for (size_t i = 0; i < count("/targets/latency"); ++i)
    check_target(text, fmt::format("/targets/latency/{}", i), mistakes);
  for (size_t i = 0; i < count("/stages"); ++i)
    check_target(text, fmt::format("/stages/{}/options/latency_limit", i),
                 mistakes);
}

void check_needs(const JsonText& text, std::vector<std::string>& mistakes) {
  const Json& root = text.root();
  if (!root.is_object() || root.contains("data")) return;
  const auto stages = root.find("stages");
  if (stages == root.end() || !stages->is_array()) return;
  for (size_t i = 0; i < stages->size(); ++i) {
    const Json& stage = (*stages)[i];
    if (!stage.is_object() || !stage.contains("pass") ||
        !stage["pass"].is_string())
      continue;
    const PassRow* row = find_pass(stage["pass"].get<std::string>());
    if (row && row->needs_data)
      mistakes.push_back(
          text.where(fmt::format("/stages/{}", i)) +
          fmt::format(": '{}' needs samples, but the recipe has no key 'data'",
                      row->name));
  }
}

// "source:12:3: …" -> (12, 3); (0, 0) where no position is given.
std::pair<int, int> position_in(const std::string& mistake,
                                const std::string& source) {
  int line = 0, column = 0;
  if (mistake.starts_with(source + ":"))
    std::sscanf(mistake.c_str() + source.size(), ":%d:%d", &line, &column);
  return {line, column};
}

DataSpec read_data(const Json& root, const char* key) {
  DataSpec data;
  const auto found = root.find(key);
  if (found == root.end()) return data;
  if (found->is_string())
    data.spec = found->get<std::string>();
  else
    data.descriptor = found->dump();
  return data;
}

// Expects what validate() found no mistake in.
Recipe read_recipe(const Json& root, const std::filesystem::path& folder) {
  Recipe recipe;
  recipe.folder = folder;
  recipe.model = root.at("model").get<std::string>();
  recipe.data = read_data(root, "data");
  recipe.eval = read_data(root, "eval");
  recipe.samples = root.value("samples", int64_t{0});
  recipe.eval_samples = root.value("eval_samples", int64_t{0});
  recipe.seed = root.value("seed", uint64_t{0});
  if (const auto device = root.find("device"); device != root.end()) {
    recipe.device.profile = device->value("profile", "");
    recipe.device.threads = device->value("threads", 1);
  }
  if (const auto targets = root.find("targets"); targets != root.end()) {
    for (const Json& text : targets->value("latency", Json::array()))
      recipe.latency_targets.push_back(
          parse_target(text.get<std::string>(), "/targets/latency"));
    if (const auto drop = targets->find("max_drop"); drop != targets->end())
      recipe.max_drop = drop->get<double>();
  }
  if (const auto gates = root.find("gates"); gates != root.end())
    for (const auto& [name, value] : gates->items())
      recipe.gates.push_back({name, value.get<double>()});
  if (const auto shapes = root.find("input_shapes"); shapes != root.end())
    for (const auto& [name, dims] : shapes->items())
      recipe.input_shapes[name] = dims.get<std::vector<int64_t>>();
  for (const Json& stage : root.at("stages"))
    recipe.stages.push_back({stage.at("pass").get<std::string>(),
                             stage.value("options", Json::object()).dump()});
  return recipe;
}

[[noreturn]] void throw_mistakes(const std::vector<std::string>& mistakes) {
  throw Error(ErrorKind::kInput, "", join(mistakes, "\n"));
}

// A mistake found in wrapped JSON ("source: /pointer: what"), with its place
// in the text it came from or the override it came with.
std::string placed(const std::string& mistake, const JsonText& original,
                   std::span<const Override> overrides) {
  std::string rest =
      mistake.substr(std::min(mistake.size(), original.source().size() + 2));
  std::string pointer;
  if (rest.starts_with("/")) {
    const size_t end = std::min(rest.find(": "), rest.size());
    pointer = rest.substr(0, end);
    rest.erase(0, std::min(end + 2, rest.size()));
  }
  for (const Override& one : overrides)
    if (pointer == one.pointer || pointer.starts_with(one.pointer + "/"))
      return fmt::format("--set {}: {}: {}", one.pointer, pointer, rest);
  return original.where(pointer) + ": " + rest;
}

Json data_json(const Recipe& recipe, const DataSpec& data, bool absolute) {
  if (data.descriptor.empty()) {
    if (!absolute || data.spec == kSynthetic) return data.spec;
    return recipe.resolve(data.spec).string();
  }
  Json descriptor = Json::parse(data.descriptor);
  if (!absolute) return descriptor;
  const auto make_absolute = [&](const char* pointer) {
    const Json::json_pointer place(pointer);
    if (descriptor.contains(place) && descriptor[place].is_string())
      descriptor[place] =
          recipe.resolve(descriptor[place].get<std::string>()).string();
  };
  make_absolute("/path");
  make_absolute("/labels");  // a file of labels
  make_absolute("/labels/csv");
  return descriptor;
}

}  // namespace

std::filesystem::path Recipe::device_file() const {
  if (device.profile.empty()) return {};
  const std::filesystem::path file = resolve(device.profile);
  std::error_code ignored;
  return std::filesystem::is_regular_file(file, ignored)
             ? file
             : std::filesystem::path();
}

std::filesystem::path Recipe::option_file(const StageSpec& stage) const {
  const PassRow* row = find_pass(stage.pass);
  if (!row || !row->path_option) return {};
  const Json options = Json::parse(stage.options);
  const auto path = options.find(row->path_option);
  if (path == options.end() || !path->is_string()) return {};
  return resolve(path->get<std::string>());
}

Json Recipe::options_of(const StageSpec& stage) const {
  Json options = Json::parse(stage.options);
  if (const auto file = option_file(stage); !file.empty())
    options[find_pass(stage.pass)->path_option] = file.string();
  return options;
}

std::filesystem::path Recipe::resolve(const std::string& path) const {
  const std::filesystem::path base = folder.empty()
                                         ? std::filesystem::current_path()
                                         : std::filesystem::absolute(folder);
  return (base / path).lexically_normal();
}

std::vector<std::string> validate(const JsonText& text) {
  static const std::string kSchema = recipe_schema().dump();
  std::vector<std::string> mistakes =
      validate_schema(text, "", kSchema.c_str());
  for (const char* key : {"data", "eval"}) {
    const std::string pointer = std::string("/") + key;
    if (!text.root().contains(Json::json_pointer(pointer)) ||
        !text.root()[key].is_object())
      continue;
    for (std::string& mistake : data::validate_descriptor(text, pointer))
      if (std::find(mistakes.begin(), mistakes.end(), mistake) ==
          mistakes.end())
        mistakes.push_back(std::move(mistake));
  }
  check_targets(text, mistakes);
  check_needs(text, mistakes);
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [&](const std::string& a, const std::string& b) {
                     return position_in(a, text.source()) <
                            position_in(b, text.source());
                   });
  return mistakes;
}

Recipe parse(const JsonText& text, const std::filesystem::path& folder) {
  const std::vector<std::string> mistakes = validate(text);
  if (!mistakes.empty()) throw_mistakes(mistakes);
  return read_recipe(text.root(), folder);
}

Recipe parse(const JsonText& text, const std::filesystem::path& folder,
             std::span<const Override> overrides) {
  if (overrides.empty()) return parse(text, folder);
  Json changed = text.root();
  for (const Override& one : overrides) apply_override(changed, one);
  std::vector<std::string> mistakes =
      validate(JsonText::wrap(changed, text.source()));
  for (std::string& mistake : mistakes)
    mistake = placed(mistake, text, overrides);
  if (!mistakes.empty()) throw_mistakes(mistakes);
  return read_recipe(changed, folder);
}

Recipe load(const std::string& path_or_preset,
            std::span<const Override> overrides) {
  const std::filesystem::path path(path_or_preset);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    for (const Preset& preset : presets())
      if (preset.name == path_or_preset)
        return parse(
            JsonText::parse(preset.json, fmt::format("preset {}", preset.name)),
            "", overrides);
  return parse(JsonText::read(path), path.parent_path(), overrides);
}

Json to_json(const Recipe& recipe, bool absolute) {
  Json json = {{"schema_version", 1},
               {"model", absolute ? recipe.resolve(recipe.model).string()
                                  : recipe.model}};
  if (recipe.data.given())
    json["data"] = data_json(recipe, recipe.data, absolute);
  if (recipe.eval.given())
    json["eval"] = data_json(recipe, recipe.eval, absolute);
  if (recipe.samples > 0) json["samples"] = recipe.samples;
  if (recipe.eval_samples > 0) json["eval_samples"] = recipe.eval_samples;
  if (!recipe.device.profile.empty()) {
    const std::filesystem::path file = recipe.device_file();
    json["device"]["profile"] =
        absolute && !file.empty() ? file.string() : recipe.device.profile;
  }
  json["device"]["threads"] = recipe.device.threads;
  for (const Target& target : recipe.latency_targets)
    json["targets"]["latency"].push_back(target.text);
  if (recipe.max_drop) json["targets"]["max_drop"] = *recipe.max_drop;
  for (const GateRow& row : gate_table())
    for (const GateSpec& gate : recipe.gates)
      if (gate.name == row.name) json["gates"][gate.name] = gate.value;
  json["seed"] = recipe.seed;
  for (const auto& [name, dims] : recipe.input_shapes)
    json["input_shapes"][name] = dims;
  json["stages"] = Json::array();
  for (const StageSpec& stage : recipe.stages) {
    Json one = {{"pass", stage.pass}};
    Json options =
        absolute ? recipe.options_of(stage) : Json::parse(stage.options);
    if (!options.empty()) one["options"] = std::move(options);
    json["stages"].push_back(std::move(one));
  }
  return json;
}

std::string to_text(const Recipe& recipe, bool absolute) {
  return to_json(recipe, absolute).dump(2) + "\n";
}

}  // namespace lathe::recipes
