#include "recipes/pass_options.h"

#include <nlohmann/json.hpp>

namespace lathe::recipes {

std::string with_exclusions(const std::string& text) {
  Json schema = Json::parse(text);
  schema["properties"].update(Json::parse(R"({
    "exclude_nodes": {
      "description": "nodes to leave in float: names, or first outputs of nodes without a name",
      "type": "array", "items": {"type": "string"}, "default": []},
    "exclude_operators": {
      "description": "operator types to leave in float",
      "type": "array", "items": {"type": "string"}, "default": []}})"));
  return schema.dump();
}

ir::DataType data_type(const Json& options, const char* key,
                       ir::DataType fallback) {
  const auto found = options.find(key);
  if (found == options.end()) return fallback;
  return ir::data_type_from_string(found->get<std::string>()).value();
}

std::optional<bool> pairs_saturate(const Json& options) {
  if (options.value("saturation", "auto") == "ignore") return false;
  return std::nullopt;
}

void read_exclusions(const Json& options, std::vector<std::string>& nodes,
                     std::vector<std::string>& operators) {
  nodes = options.value("exclude_nodes", nodes);
  operators = options.value("exclude_operators", operators);
}

}  // namespace lathe::recipes
