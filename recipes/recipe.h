// The recipe: one run of Lathe as data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "passes/base/json.h"
#include "passes/ir/shape_inference.h"
#include "recipes/targets.h"

namespace lathe::recipes {

// Samples: a spec (a path or "synthetic") or a descriptor written into the
// recipe. At most one of the two is not empty.
struct DataSpec {
  std::string spec;
  std::string descriptor;  // JSON text of the object
  bool given() const { return !spec.empty() || !descriptor.empty(); }
};

struct StageSpec {
  std::string pass;            // a name of the pass table
  std::string options = "{}";  // JSON text of an object
};

struct DeviceSpec {
  std::string profile;  // empty: this machine
  int threads = 1;
};

// One bound on a figure of the delivered variant ("min_top1", 0.9): the names
// are those of gate_table().
struct GateSpec {
  std::string name;
  double value = 0;
};

struct Recipe {
  std::string model;  // path of an ONNX file
  DataSpec data, eval;
  int64_t samples = 0;       // of data; 0: all
  int64_t eval_samples = 0;  // of eval; 0: all
  DeviceSpec device;
  std::vector<Target> latency_targets;
  std::optional<double> max_drop;  // fraction: 0.01 is one point
  std::vector<GateSpec> gates;
  uint64_t seed = 0;
  ir::InputShapes input_shapes;
  std::vector<StageSpec> stages;

  // Where relative paths start: the recipe file's folder. Not in the JSON.
  std::filesystem::path folder;

  // `path` as written, made absolute against `folder`.
  std::filesystem::path resolve(const std::string& path) const;
  // The device profile's file; empty where `device` names an embedded profile
  // or none.
  std::filesystem::path device_file() const;
  // A stage's options, paths of files resolved; and the file among them, empty
  // where there is none.
  Json options_of(const StageSpec& stage) const;
  std::filesystem::path option_file(const StageSpec& stage) const;
};

// Reads and checks. Every mistake is found before anything is thrown: one
// Error kInput whose message has a line for each, "file:line:column: /pointer:
// what" with the nearest valid name where a name is wrong.
Recipe parse(const JsonText& text, const std::filesystem::path& folder);
// The mistakes alone, in the order of the text; empty for a good recipe.
std::vector<std::string> validate(const JsonText& text);

// "--set /json/pointer=value": the value is JSON, or else taken as a string.
// Error kUsage without a "/" in front or a "=".
struct Override {
  std::string pointer, value;
};
Override parse_override(std::string_view text);
// Sets the value; missing objects on the way are made, "-" appends to an
// array. Error kUsage when the way leads through something else.
void apply_override(Json& recipe, const Override& override_);
// Reads with overrides applied first. Mistakes in what the text says keep
// their line; those in an override name it.
Recipe parse(const JsonText& text, const std::filesystem::path& folder,
             std::span<const Override> overrides);
// As parse, of a file, or of a preset where no such file exists and the word
// is a preset's name (relative paths then start in the working folder).
Recipe load(const std::string& path_or_preset,
            std::span<const Override> overrides = {});

// The canonical form: keys in a fixed order, defaults left out. `absolute`:
// paths are written absolute, so that the text means the same anywhere.
Json to_json(const Recipe& recipe, bool absolute = false);
// to_json, indented, with a line end: what --print-recipe shows.
std::string to_text(const Recipe& recipe, bool absolute = false);

// JSON Schema (2020-12) of a recipe, made from the pass table, the gate table
// and the data descriptor's schema. docs/schemas/recipe.schema.json is this.
Json recipe_schema();

// Recipes that ship in the program: a JSON object without model and data.
struct Preset {
  const char* name;
  const char* summary;
  const char* json;
};
std::span<const Preset> presets();
// Error kUsage with the nearest name.
const Preset& find_preset(std::string_view name);
// The preset with `changes` merged over it (RFC 7386); parse() the result
// through JsonText::wrap.
Json from_preset(std::string_view name, const Json& changes);

}  // namespace lathe::recipes
