#include <nlohmann/json.hpp>
#include <string>

#include "calibration/data/data.h"
#include "recipes/gate_table.h"
#include "recipes/pass_table.h"
#include "recipes/recipe.h"

namespace lathe::recipes {
namespace {

// Moves the schema's local references below `prefix`.
void move_references(Json& schema, const std::string& prefix) {
  if (schema.is_array()) {
    for (Json& item : schema) move_references(item, prefix);
  } else if (schema.is_object()) {
    for (auto& [key, value] : schema.items()) {
      if (key == "$ref" && value.is_string())
        value = prefix + value.get<std::string>().substr(1);
      else
        move_references(value, prefix);
    }
  }
}

Json closed_object(Json properties) {
  return {{"type", "object"},
          {"additionalProperties", false},
          {"properties", std::move(properties)}};
}

Json described(const char* description, Json schema) {
  Json result = {{"description", description}};
  result.update(schema);
  return result;
}

Json count(const char* description) {
  return {{"description", description},
          {"type", "integer"},
          {"minimum", 0},
          {"default", 0}};
}

Json path_or_descriptor(const char* description) {
  return {{"description", description},
          {"oneOf",
           {{{"type", "string"}, {"minLength", 1}},
            {{"$ref", "#/$defs/descriptor"}}}}};
}

Json stage_schema() {
  Json names = Json::array();
  Json choices = Json::array();
  for (const PassRow& row : pass_table()) {
    names.push_back(row.name);
    Json options = Json::parse(row.options_schema);
    options["title"] = row.name;
    options["description"] = row.summary;
    choices.push_back(
        {{"if",
          {{"type", "object"},
           {"required", {"pass"}},
           {"properties", {{"pass", {{"const", row.name}}}}}}},
         {"then", {{"properties", {{"options", std::move(options)}}}}}});
  }
  Json stage = closed_object({
      {"pass", {{"description", "the pass to run"}, {"enum", names}}},
      {"options", {{"description", "the pass's own"}, {"type", "object"}}},
  });
  stage["required"] = {"pass"};
  stage["allOf"] = std::move(choices);
  return stage;
}

Json gates_schema() {
  Json properties = Json::object();
  for (const GateRow& row : gate_table())
    properties[row.name] = {{"description", row.summary},
                            {"type", "number"},
                            {"minimum", 0},
                            {"maximum", row.highest}};
  return closed_object(std::move(properties));
}

}  // namespace

Json recipe_schema() {
  Json schema = closed_object({
      {"schema_version", {{"const", 1}}},
      {"model",
       {{"description", "the ONNX model, relative to the recipe"},
        {"type", "string"},
        {"minLength", 1}}},
      {"data", path_or_descriptor("samples to calibrate on: a path, "
                                  "\"synthetic\", or a descriptor")},
      {"eval", path_or_descriptor("samples to score on; without it, labelled "
                                  "data is split in two")},
      {"samples", count("how many samples of data to read; 0: all")},
      {"eval_samples", count("how many samples of eval to read; 0: all")},
      {"device",
       described("where latency counts",
                 closed_object({
                     {"profile",
                      {{"description",
                        "name of a device profile; absent: this machine"},
                       {"type", "string"},
                       {"minLength", 1}}},
                     {"threads",
                      {{"description", "threads of the device"},
                       {"type", "integer"},
                       {"minimum", 1},
                       {"maximum", 1024},
                       {"default", 1}}},
                 }))},
      {"targets", described("what the variants must reach",
                            closed_object({
                                {"latency",
                                 {{"description",
                                   "each like 5ms, 800us, 0.5x or 200fps; one "
                                   "variant is chosen for each"},
                                  {"type", "array"},
                                  {"items", {{"type", "string"}}}}},
                                {"max_drop",
                                 {{"description",
                                   "most top-1 to lose (agreement without "
                                   "labels): 0.01 is one percentage point"},
                                  {"type", "number"},
                                  {"minimum", 0},
                                  {"maximum", 1}}},
                            }))},
      {"gates",
       described("bounds on the variants' other figures", gates_schema())},
      {"seed", count("of everything random")},
      {"input_shapes",
       {{"description",
         "shapes of dynamic inputs that latency and MACs are quoted for; the "
         "name \"\" is the only input"},
        {"type", "object"},
        {"additionalProperties",
         {{"type", "array"},
          {"items", {{"type", "integer"}, {"minimum", 0}}}}}}},
      {"stages",
       {{"description", "the passes, in order"},
        {"type", "array"},
        {"minItems", 1},
        {"items", stage_schema()}}},
  });
  schema["required"] = {"schema_version", "model", "stages"};

  Json descriptor = Json::parse(data::descriptor_schema());
  descriptor.erase("$schema");
  descriptor.erase("$id");
  move_references(descriptor, "#/$defs/descriptor");
  Json result = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "Lathe recipe"}};
  result.update(schema);
  result["$defs"] = {{"descriptor", std::move(descriptor)}};
  return result;
}

}  // namespace lathe::recipes
