#include "recipes/recipe.h"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/base/json_schema.h"
#include "passes/base/text.h"
#include "recipes/gate_table.h"
#include "recipes/pass_table.h"
#include "tests/recipes/error_text.h"
#include "tests/support/shared.h"

namespace lathe::recipes {
namespace {

using test::error_text;

std::string mistakes(const std::string& text) {
  return error_text([&] { parse(JsonText::parse(text, "r.json"), ""); });
}

constexpr const char* kFull = R"({
  "schema_version": 1,
  "model": "net.onnx",
  "data": {"format": "idx", "path": "images.gz", "labels": "labels.gz"},
  "eval": "test.json",
  "samples": 512,
  "eval_samples": 1000,
  "device": {"profile": "some-device", "threads": 2},
  "targets": {"latency": ["0.6x", "5ms"], "max_drop": 0.01},
  "gates": {"min_top1": 0.8, "max_size_bytes": 1000000},
  "seed": 7,
  "input_shapes": {"input": [1, 3, 32, 32]},
  "stages": [
    {"pass": "simplify", "options": {"target_opset": 18}},
    {"pass": "quantize_static"}
  ]
})";

TEST_CASE("recipe: every key is read") {
  const Recipe recipe = parse(JsonText::parse(kFull, "r.json"), "/folder");
  CHECK(recipe.model == "net.onnx");
  CHECK(recipe.resolve(recipe.model) == "/folder/net.onnx");
  CHECK(recipe.resolve("/a/b") == "/a/b");
  CHECK(Json::parse(recipe.data.descriptor)["format"] == "idx");
  CHECK(recipe.eval.spec == "test.json");
  CHECK(recipe.samples == 512);
  CHECK(recipe.eval_samples == 1000);
  CHECK(recipe.device.profile == "some-device");
  CHECK(recipe.device.threads == 2);
  REQUIRE(recipe.latency_targets.size() == 2);
  CHECK(recipe.latency_targets[1].limit_us(0) == doctest::Approx(5000));
  CHECK(*recipe.max_drop == doctest::Approx(0.01));
  CHECK(recipe.gates.size() == 2);
  CHECK(recipe.seed == 7);
  CHECK(recipe.input_shapes.at("input") == std::vector<int64_t>{1, 3, 32, 32});
  REQUIRE(recipe.stages.size() == 2);
  CHECK(recipe.stages[0].options == R"({"target_opset":18})");
}

TEST_CASE("recipe: the canonical form is a fixed point") {
  const Recipe recipe = parse(JsonText::parse(kFull, "r.json"), "");
  const std::string text = to_text(recipe);
  const Recipe again = parse(JsonText::parse(text, "again.json"), "");
  CHECK(to_text(again) == text);
  CHECK(to_json(recipe) == Json::parse(kFull));
}

TEST_CASE("recipe: absolute paths mean the same from another folder") {
  const Recipe recipe = parse(JsonText::parse(kFull, "r.json"), "/folder");
  const std::string text = to_text(recipe, /*absolute=*/true);
  const Recipe moved = parse(JsonText::parse(text, "r.json"), "/elsewhere");
  CHECK(moved.resolve(moved.model) == "/folder/net.onnx");
  CHECK(moved.resolve(moved.eval.spec) == "/folder/test.json");
  const Json descriptor = Json::parse(moved.data.descriptor);
  CHECK(descriptor["path"] == "/folder/images.gz");
  CHECK(descriptor["labels"] == "/folder/labels.gz");
  CHECK(to_text(moved, /*absolute=*/true) == text);
}

TEST_CASE("recipe: 'synthetic' is a word, not a path") {
  Recipe recipe = parse(JsonText::parse(kFull, "r.json"), "/folder");
  recipe.data = {.spec = "synthetic", .descriptor = ""};
  CHECK(to_json(recipe, /*absolute=*/true)["data"] == "synthetic");
}

TEST_CASE("recipe: five mistakes, five messages") {
  CHECK(mistakes(R"({
  "schema_version": 1,
  "model": "net.onnx",
  "data": "train.json",
  "sample": 512,
  "device": {"threads": "two"},
  "targets": {"latency": ["0.6x", "5 seconds"], "max_drop": 1.5},
  "stages": [
    {"pass": "simplfy"},
    {"pass": "quantize_static"}
  ]
})") == "r.json:5:13: /sample: unknown key 'sample'; did you mean 'samples'?\n"
        "r.json:6:25: /device/threads: expected integer, found string "
        "\"two\"\n"
        "r.json:7:35: /targets/latency/1: '5 seconds' has the unknown unit "
        "'seconds'; a target is like 5ms, 800us, 0.5x or 200fps\n"
        "r.json:7:61: /targets/max_drop: 1.5 is out of range, expected at most "
        "1\n"
        "r.json:9:14: /stages/0/pass: \"simplfy\" is not one of \"" +
            join(pass_names(), "\", \"") + "\"; did you mean 'simplify'?");
}

TEST_CASE("recipe: options are checked against their pass") {
  CHECK(mistakes(R"({"schema_version": 1, "model": "m", "data": "d.json",
 "stages": [
  {"pass": "simplify", "options": {"target_opset": 25}},
  {"pass": "quantize_static", "options": {"per_chanel": true,
    "activation_type": "uint7", "exclude_nodes": ["a", 1]}},
  {"pass": "fold_constants", "options": {"speed": 1}}]})") ==
        "r.json:3:52: /stages/0/options/target_opset: 25 is out of range, "
        "expected at most 21\n"
        "r.json:4:57: /stages/1/options/per_chanel: unknown key 'per_chanel'; "
        "did you mean 'per_channel'?\n"
        "r.json:5:24: /stages/1/options/activation_type: \"uint7\" is not one "
        "of \"uint8\", \"int8\", \"uint16\", \"int16\"; did you mean 'uint8'?\n"
        "r.json:5:56: /stages/1/options/exclude_nodes/1: expected string, "
        "found number 1\n"
        "r.json:6:51: /stages/2/options/speed: unknown key 'speed'");
}

TEST_CASE("recipe: limits of stages are targets") {
  CHECK(mistakes(R"({"schema_version": 1, "model": "m", "data": "d.json",
 "stages": [
  {"pass": "prune_channels", "options": {"latency_limit": "5 seconds"}},
  {"pass": "quantize_static", "options": {"latency_limit": "0x"}},
  {"pass": "prune_channels", "options": {"latency_limit": 3}}]})") ==
        "r.json:3:59: /stages/0/options/latency_limit: '5 seconds' has the "
        "unknown unit 'seconds'; a target is like 5ms, 800us, 0.5x or 200fps\n"
        "r.json:4:60: /stages/1/options/latency_limit: '0x' is not above zero; "
        "a target is like 5ms, 800us, 0.5x or 200fps\n"
        "r.json:5:59: /stages/2/options/latency_limit: expected string, found "
        "number 3");
}

TEST_CASE("recipe: a plan stands in it or beside it") {
  const auto with_plan = [](const std::string& plan) {
    return R"({"schema_version": 1, "model": "m", "stages": [
  {"pass": "prune_channels", "options": {"plan": )" +
           plan + "}}]}";
  };
  const Recipe recipe =
      parse(JsonText::parse(with_plan("\"p.json\""), "r.json"), "/folder");
  const StageSpec& stage = recipe.stages[0];
  CHECK(recipe.option_file(stage) == "/folder/p.json");
  CHECK(recipe.options_of(stage)["plan"] == "/folder/p.json");
  CHECK(to_json(recipe)["stages"][0]["options"]["plan"] == "p.json");
  CHECK(to_json(recipe, /*absolute=*/true)["stages"][0]["options"]["plan"] ==
        "/folder/p.json");
  const Recipe inside = parse(
      JsonText::parse(
          with_plan(R"({"schema_version": 1, "groups": [{"name": "a"}]})"),
          "r.json"),
      "/folder");
  CHECK(inside.option_file(inside.stages[0]).empty());
  CHECK(inside.options_of(inside.stages[0])["plan"]["groups"][0]["name"] ==
        "a");
  CHECK(mistakes(with_plan(R"({"schema_version": 1, "groups": [
    {"nam": "a", "kept": 0}]})")) ==
        "r.json:3:5: /stages/0/options/plan/groups/0: key 'name' is missing\n"
        "r.json:3:13: /stages/0/options/plan/groups/0/nam: unknown key 'nam'; "
        "did you mean 'name'?\n"
        "r.json:3:26: /stages/0/options/plan/groups/0/kept: 0 is out of range, "
        "expected at least 1");
}

TEST_CASE("recipe: what is missing") {
  CHECK(mistakes("{}") ==
        "r.json:1:1: key 'schema_version' is missing\n"
        "r.json:1:1: key 'model' is missing\n"
        "r.json:1:1: key 'stages' is missing");
  CHECK(mistakes("[]") == "r.json:1:1: expected object, found an array");
  CHECK(mistakes(R"({"schema_version": 2, "model": "m", "stages": []})") ==
        "r.json:1:20: /schema_version: expected 1, found 2\n"
        "r.json:1:47: /stages: expected at least 1 items, found 0");
  CHECK(mistakes(R"({"schema_version": 1, "model": "m",
 "stages": [{"pass": "quantize_static"}]})") ==
        "r.json:2:13: /stages/0: 'quantize_static' needs samples, but the "
        "recipe has no key 'data'");
}

TEST_CASE("recipe: a descriptor's mistakes are found in place") {
  CHECK(mistakes(R"({"schema_version": 1, "model": "m",
 "data": {"format": "idx", "path": "a.gz", "limt": 3, "count": 4},
 "stages": [{"pass": "simplify"}]})") ==
        "r.json:2:52: /data/limt: unknown key 'limt'; did you mean 'limit'?\n"
        "r.json:2:64: /data/count: format 'idx' does not use key 'count'");
}

TEST_CASE("recipe: values of any wrong type give messages, never a crash") {
  const Json good = Json::parse(kFull);
  const std::vector<Json> wrong = {nullptr,
                                   true,
                                   -1,
                                   1.5,
                                   "text",
                                   Json::array(),
                                   Json::object(),
                                   Json::array({Json::array()})};
  int refused = 0;
  const Json flat = good.flatten();
  for (const auto& [pointer, unused] : flat.items())
    for (std::string at = pointer; !at.empty(); at.resize(at.rfind('/')))
      for (const Json& value : wrong) {
        Json bad = good;
        bad[Json::json_pointer(at)] = value;
        const JsonText text = JsonText::parse(bad.dump(1), "r.json");
        const auto found = validate(text);
        if (found.empty()) {
          const Recipe recipe = parse(text, "");
          const std::string canonical = to_text(recipe);
          CHECK(to_text(parse(JsonText::parse(canonical, "c"), "")) ==
                canonical);
        } else {
          ++refused;
          for (const std::string& line : found)
            CHECK(line.starts_with("r.json:"));
        }
      }
  CHECK(refused > 100);
}

TEST_CASE("override: --set on the JSON before it is parsed") {
  const JsonText text = JsonText::parse(kFull, "r.json");
  const std::vector<Override> overrides = {
      parse_override("/samples=64"),
      parse_override("/model=other.onnx"),
      parse_override("/targets/latency/0=0.5x"),
      parse_override("/targets/latency/-=200fps"),
      parse_override("/stages/1/options/per_channel=false"),
      parse_override("/input_shapes/a~1b~0=[1, 2]")};
  const Recipe recipe = parse(text, "", overrides);
  CHECK(recipe.samples == 64);
  CHECK(recipe.model == "other.onnx");
  REQUIRE(recipe.latency_targets.size() == 3);
  CHECK(recipe.latency_targets[0].text == "0.5x");
  CHECK(recipe.latency_targets[2].text == "200fps");
  CHECK(recipe.stages[1].options == R"({"per_channel":false})");
  CHECK(recipe.input_shapes.at("a/b~") == std::vector<int64_t>{1, 2});
}

TEST_CASE("override: mistakes keep their place or name the override") {
  const JsonText text = JsonText::parse(R"({"schema_version": 1,
 "samples": "many",
 "stages": [{"pass": "simplify"}]})",
                                        "r.json");
  const std::vector<Override> overrides = {
      parse_override("/model=m"), parse_override("/seed=-4"),
      parse_override("/stages/0/pass=simplif")};
  const std::string message = error_text([&] { parse(text, "", overrides); });
  CHECK(message.find("r.json:2:13: /samples: expected integer, found string "
                     "\"many\"\n") != std::string::npos);
  CHECK(message.find("--set /seed: /seed: -4 is out of range, expected at "
                     "least 0") != std::string::npos);
  CHECK(message.find("--set /stages/0/pass: /stages/0/pass: \"simplif\" is not "
                     "one of") != std::string::npos);
  CHECK(message.find("did you mean 'simplify'?") != std::string::npos);
}

TEST_CASE("override: whole messages") {
  constexpr const char* kHint = " (the form is --set /json/pointer=value)";
  const auto parsing = [](const char* text) {
    return error_text([&] { parse_override(text); });
  };
  CHECK(parsing("/samples") ==
        std::string("--set /samples: the '=' is missing") + kHint);
  CHECK(parsing("samples=3") ==
        std::string("--set samples: a JSON Pointer starts with '/'") + kHint);
  const auto applying = [](const char* text) {
    return error_text([&] {
      Json json = Json::parse(kFull);
      apply_override(json, parse_override(text));
    });
  };
  CHECK(applying("/samples/deep=3") ==
        std::string("--set /samples/deep: 'deep' leads into a number, which "
                    "has no members") +
            kHint);
  CHECK(applying("/stages/9/pass=x") ==
        std::string("--set /stages/9/pass: '9' is no place in a list of 2") +
            kHint);
  CHECK(applying("/a~2=x") ==
        std::string("--set /a~2: a '~' must be written '~0', a '/' in a key "
                    "'~1'") +
            kHint);
}

TEST_CASE("presets: each makes a good recipe") {
  for (const Preset& preset : presets()) {
    CAPTURE(preset.name);
    const Json json =
        from_preset(preset.name, {{"model", "m.onnx"}, {"data", "synthetic"}});
    const Recipe recipe = parse(JsonText::wrap(json, preset.name), "");
    CHECK_FALSE(recipe.stages.empty());
    CHECK(std::string(preset.summary).size() > 10);
  }
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.emplace_back(preset.name);
  CHECK(error_text([] { find_preset("int8latency"); }) ==
        "int8latency: no preset has this name; did you mean 'int8-latency'? "
        "(the presets are " +
            join(names, ", ") + ")");
}

TEST_CASE("presets: a preset's name stands for its file") {
  const std::vector<Override> overrides = {parse_override("/model=m.onnx"),
                                           parse_override("/data=synthetic")};
  const Recipe recipe = load("int8-latency", overrides);
  CHECK(recipe.model == "m.onnx");
  REQUIRE(recipe.stages.size() == 6);
  CHECK(recipe.stages[3].pass == "quantize_static");
  CHECK(recipe.stages[5].pass == "block_pixels");
}

TEST_CASE("load: paths start at the recipe's folder") {
  test::TempDir folder;
  std::ofstream(folder.path() / "r.json") << kFull;
  const Recipe recipe = load((folder.path() / "r.json").string());
  CHECK(recipe.resolve(recipe.model) == folder.path() / "net.onnx");
}

TEST_CASE("pass table: a row and its pass agree") {
  std::vector<std::string> seen;
  for (const PassRow& row : pass_table()) {
    CAPTURE(row.name);
    Json given = Json::object();
    const Json schema = Json::parse(row.options_schema);
    if (schema.contains("required")) given[row.path_option] = "m.onnx";
    CHECK(row.make(given)->name() == row.name);
    CHECK(find_pass(row.name) == &row);
    CHECK(std::find(seen.begin(), seen.end(), row.name) == seen.end());
    seen.emplace_back(row.name);
    const Json defaults = options_in_effect(row, given);
    const std::string json = defaults.dump();
    CHECK(validate_schema(JsonText::parse(json, "defaults"), "",
                          row.options_schema)
              .empty());
  }
  CHECK(find_pass("no_such_pass") == nullptr);
}

TEST_CASE("gate table: names say the direction") {
  for (const GateRow& row : gate_table()) {
    const std::string name = row.name;
    CHECK((name.starts_with("min_") || name.starts_with("max_")));
    CHECK(row.is_minimum() == name.starts_with("min_"));
    CHECK(find_gate(name) == &row);
  }
}

TEST_CASE("docs: the manual names every key, pass and gate") {
  const std::string manual = read_file(std::filesystem::path(LATHE_SOURCE_DIR) /
                                       "docs" / "recipes.md");
  const size_t begin = manual.find("```json\n") + 8;
  const std::string example =
      manual.substr(begin, manual.find("```", begin) - begin);
  CHECK(validate(JsonText::parse(example, "docs/recipes.md")) ==
        std::vector<std::string>{});
  const auto named = [&](const std::string& name) {
    CAPTURE(name);
    CHECK(manual.find("`" + name) != std::string::npos);
  };
  const Json schema = recipe_schema();
  for (const auto& [key, unused] : schema.at("properties").items())
    if (key != "device" && key != "targets") named(key);
  for (const PassRow& row : pass_table()) named(row.name);
  for (const GateRow& row : gate_table()) named(row.name);
}

// The published file is made from the tables.
TEST_CASE("recipe schema: the published file is the program's") {
  const auto path = std::filesystem::path(LATHE_SOURCE_DIR) / "docs" /
                    "schemas" / "recipe.schema.json";
  const std::string made = recipe_schema().dump(2) + "\n";
  if (std::getenv("LATHE_WRITE_SCHEMAS")) write_file_atomic(path, made);
  CHECK_MESSAGE(read_file(path) == made,
                "run the tests with LATHE_WRITE_SCHEMAS=1 to write it again");
}

}  // namespace
}  // namespace lathe::recipes
