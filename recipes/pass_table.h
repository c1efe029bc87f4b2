// The pass table: one row a pass. Recipes, their JSON Schema, `lathe list
// passes`, help and docs derive from it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/base/json.h"
#include "passes/pass.h"

namespace lathe::recipes {

struct PassRow {
  const char* name;     // the file's, the recipe's and the report's
  const char* summary;  // one line
  // What the stage adds to a variant's name, "<model>-<label>.onnx"; empty for
  // passes that keep what the model computes.
  const char* label;
  // JSON Schema (2020-12) of the options object, as text; each option with its
  // "description" and "default".
  const char* options_schema;
  // The stage reads samples: a recipe with it must name data.
  bool needs_data;
  // `options`: an object that the schema accepts, paths in it absolute.
  std::unique_ptr<Pass> (*make)(const Json& options);
  // The option that, as a string, is the path of a file, and the file's role in
  // report and manifest; null: there is none.
  const char* path_option = nullptr;
};

std::span<const PassRow> pass_table();
std::vector<std::string> pass_names();
// Null when there is none of that name.
const PassRow* find_pass(std::string_view name);
// `options` with the schema's defaults for those not given, in its order.
Json options_in_effect(const PassRow& row, const Json& options);

}  // namespace lathe::recipes
