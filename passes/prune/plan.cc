// Plans as text: one line a group, so that they can be read and edited.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "passes/base/error.h"
#include "passes/base/json.h"
#include "passes/base/json_schema.h"
#include "passes/base/text.h"
#include "passes/prune/group_choice.h"
#include "passes/prune/prune.h"

namespace lathe::prune {
namespace {

constexpr const char* kSchema = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"title": "Lathe pruning plan",
"description": "which units of a model's channel groups are removed",
"type": "object",
"additionalProperties": false,
"required": ["schema_version", "groups"],
"properties": {
  "schema_version": {"const": 1},
  "groups": {
    "description": "what is left of each; groups that are not named stay whole",
    "type": "array",
    "items": {
      "type": "object", "additionalProperties": false, "required": ["name"],
      "properties": {
        "name": {"description": "as 'lathe inspect --groups' shows it",
                 "type": "string", "minLength": 1},
        "kind": {"description": "not read back",
                 "enum": ["channel", "block", "element"]},
        "units": {"description": "before; checked against the model",
                  "type": "integer", "minimum": 1},
        "kept": {"description": "units that stay; without 'removed', those of highest saliency",
                 "type": "integer", "minimum": 1},
        "removed": {"description": "units that go, counted from 0",
                    "type": "array", "uniqueItems": true,
                    "items": {"type": "integer", "minimum": 0}}}}},
  "removed_blocks": {
    "description": "residual branches that go as a whole, by the output of the Add",
    "type": "array", "uniqueItems": true,
    "items": {"type": "string", "minLength": 1}},
  "prediction": {
    "description": "what the solver foretold; not read back",
    "type": "object"}}})";

std::string one_line(const Json& value) {
  std::string text;
  bool first = true;
  const auto item = [&](const std::string& shown) {
    text += (first ? "" : ", ") + shown;
    first = false;
  };
  if (value.is_array()) {
    for (const Json& one : value) item(one_line(one));
    return "[" + text + "]";
  }
  if (!value.is_object())
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const auto& [key, one] : value.items())
    item(one_line(Json(key)) + ": " + one_line(one));
  return "{" + text + "}";
}

struct Mistakes {
  const JsonText& text;
  std::vector<std::string> lines;

  void add(const std::string& pointer, const std::string& what) {
    lines.push_back(text.where(pointer) + ": " + what);
  }
  void throw_any() const {
    if (!lines.empty()) throw Error(ErrorKind::kInput, "", join(lines, "\n"));
  }
};

// Without a name, positions in a text that nobody has seen are left out.
JsonText read_text(const std::string& json, const std::string& where) {
  JsonText text = JsonText::parse(json, where.empty() ? "plan" : where);
  if (!where.empty()) return text;
  return JsonText::wrap(text.root(), "plan");
}

// Reads the groups of a plan that its schema accepts.
class PlanReader {
 public:
  PlanReader(const ChannelGroups& groups,
             const std::vector<std::vector<double>>& saliency,
             Mistakes& mistakes)
      : groups_(groups), saliency_(saliency), mistakes_(mistakes) {
    for (const ChannelGroup& group : groups.groups())
      names_.push_back(group.name);
  }

  Selection read(const Json& entries) {
    Selection selection = groups_.everything();
    std::vector<size_t> first(selection.size(), SIZE_MAX);
    for (size_t i = 0; i < entries.size(); ++i) {
      const std::string at = fmt::format("/groups/{}", i);
      const auto name = entries[i].at("name").get<std::string>();
      const int64_t found = groups_.find(name);
      if (found < 0) {
        mistakes_.add(at + "/name", "the model has no group '" + name + "'" +
                                        did_you_mean(name, names_));
        continue;
      }
      const auto index = static_cast<size_t>(found);
      if (first[index] != SIZE_MAX) {
        mistakes_.add(at + "/name",
                      fmt::format("group '{}' is given twice; it is already "
                                  "/groups/{}",
                                  name, first[index]));
        continue;
      }
      first[index] = i;
      if (auto stays = read_group(entries[i], at, index))
        selection[index] = std::move(*stays);
    }
    return selection;
  }

 private:
  std::optional<std::vector<bool>> fail(const std::string& pointer,
                                        const std::string& what) {
    mistakes_.add(pointer, what);
    return std::nullopt;
  }

  // Which units stay; nullopt where the entry has a mistake.
  std::optional<std::vector<bool>> read_group(const Json& entry,
                                              const std::string& at,
                                              size_t index) {
    const ChannelGroup& group = groups_.groups()[index];
    const auto units = static_cast<size_t>(group.units);
    if (const auto said = entry.find("units");
        said != entry.end() && *said != units)
      return fail(at + "/units",
                  fmt::format("group '{}' has {} units, found {}", group.name,
                              units, said->dump()));
    const auto kept = entry.find("kept");
    const bool counted = kept != entry.end();
    if (counted && *kept > units)
      return fail(at + "/kept",
                  fmt::format("group '{}' has {} units, cannot keep {}",
                              group.name, units, kept->dump()));
    std::vector<bool> stays(units, true);
    if (const auto removed = entry.find("removed"); removed != entry.end()) {
      for (size_t i = 0; i < removed->size(); ++i) {
        const Json& unit = (*removed)[i];
        if (unit >= units)
          return fail(fmt::format("{}/removed/{}", at, i),
                      fmt::format("group '{}' has units 0 to {}, found {}",
                                  group.name, units - 1, unit.dump()));
        stays[unit.get<size_t>()] = false;
      }
      const auto left = static_cast<size_t>(std::ranges::count(stays, true));
      if (counted && *kept != left)
        return fail(at + "/kept",
                    fmt::format("'removed' leaves {} units of group '{}', "
                                "found {}; without 'removed' the units of "
                                "least saliency go",
                                left, group.name, kept->dump()));
    } else if (counted && *kept < units) {
      if (index >= saliency_.size() || saliency_[index].size() != units)
        throw_internal("plan", "group '" + group.name + "' has no saliency");
      stays = keep_best(saliency_[index], kept->get<size_t>());
    }
    const auto left = std::ranges::count(stays, true);
    if (left == 0)
      return fail(at + "/removed",
                  fmt::format("none of the {} units of group '{}' is left, "
                              "expected at least one",
                              units, group.name));
    if (left < group.units && !group.frozen.empty())
      return fail(at, fmt::format("units of group '{}' cannot be removed: {}",
                                  group.name, group.frozen));
    return stays;
  }

  const ChannelGroups& groups_;
  const std::vector<std::vector<double>>& saliency_;
  Mistakes& mistakes_;
  std::vector<std::string> names_;
};

}  // namespace

const char* plan_schema() { return kSchema; }

std::string format_plan(const std::string& json) {
  const Json plan = Json::parse(json);
  std::string text = "{";
  bool first = true;
  for (const auto& [key, value] : plan.items()) {
    text += first ? "\n  " : ",\n  ";
    first = false;
    text += one_line(Json(key)) + ": ";
    if (key != "groups" || !value.is_array() || value.empty()) {
      text += one_line(value);
      continue;
    }
    std::vector<std::string> lines;
    for (const Json& group : value) lines.push_back("    " + one_line(group));
    text += "[\n" + join(lines, ",\n") + "]";
  }
  return text + "\n}\n";
}

std::string write_plan(const Plan& plan, const ChannelGroups& groups) {
  Json json = {{"schema_version", 1}, {"groups", Json::array()}};
  for (size_t i = 0; i < groups.groups().size(); ++i) {
    const ChannelGroup& group = groups.groups()[i];
    if (!group.frozen.empty()) continue;
    const std::vector<bool>& stays = plan.selection.at(i);
    Json removed = Json::array();
    for (size_t unit = 0; unit < stays.size(); ++unit)
      if (!stays[unit]) removed.push_back(unit);
    json["groups"].push_back(
        {{"name", group.name},
         {"kind", to_string(group.kind)},
         {"units", group.units},
         {"kept", group.units - static_cast<int64_t>(removed.size())},
         {"removed", std::move(removed)}});
  }
  json["removed_blocks"] = plan.blocks;
  return format_plan(json.dump());
}

bool plan_needs_saliency(const std::string& json, const std::string& where) {
  const JsonText text = read_text(json, where);
  Mistakes mistakes{text, validate_schema(text, "", kSchema)};
  mistakes.throw_any();
  return std::ranges::any_of(text.root().at("groups"), [](const Json& group) {
    return group.contains("kept") && !group.contains("removed");
  });
}

Plan read_plan(const std::string& json, const ChannelGroups& groups,
               const std::vector<std::vector<double>>& saliency,
               const std::string& where) {
  const JsonText text = read_text(json, where);
  Mistakes mistakes{text, validate_schema(text, "", kSchema)};
  mistakes.throw_any();
  Plan plan;
  plan.selection =
      PlanReader(groups, saliency, mistakes).read(text.root().at("groups"));
  mistakes.throw_any();
  plan.blocks = text.root().value("removed_blocks", plan.blocks);
  return plan;
}

}  // namespace lathe::prune
