#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/json.h"
#include "passes/base/json_schema.h"
#include "passes/ir/text_format.h"
#include "passes/prune/prune.h"

namespace lathe::prune {
namespace {

// Groups "narrow" (3 units), "wide" (4 units) and, frozen, "last".
ChannelGroups groups() {
  return ChannelGroups(ir::parse_text(R"(opset 17
graph main {
  input %x: float[1,2,4,4]
  init %a = float[3,2,1,1] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
  init %b = float[4,3,1,1] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 2.0, 3.0}
  init %c = float[2,4,1,1] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}
  %h: float[1,3,4,4] = Conv(%x, %a) @narrow
  %r: float[1,3,4,4] = Relu(%h) @relu
  %k: float[1,4,4,4] = Conv(%r, %b) @wide
  %y: float[1,2,4,4] = Conv(%k, %c) @last
  output %y
})"));
}

using Units = std::vector<bool>;

Plan read(const std::string& json, const std::string& where = "p.json") {
  return read_plan(json, groups(), {{1, 2, 3}, {4, 1, 3, 1}, {1, 1}}, where);
}

std::string mistakes(const std::string& json,
                     const std::string& where = "p.json") {
  try {
    read(json, where);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "(no error)";
}

std::string with_groups(const std::string& entries) {
  return "{\"schema_version\": 1, \"groups\": [\n" + entries + "]}";
}

TEST_CASE("plan: a line for each group that can lose units") {
  const ChannelGroups found = groups();
  Plan plan{found.everything(), {"sum"}};
  plan.selection[static_cast<size_t>(found.find("wide"))] = {true, false, true,
                                                             false};
  const std::string text = write_plan(plan, found);
  CHECK(text == R"({
  "schema_version": 1,
  "groups": [
    {"name": "narrow", "kind": "channel", "units": 3, "kept": 3, "removed": []},
    {"name": "wide", "kind": "channel", "units": 4, "kept": 2, "removed": [1, 3]}],
  "removed_blocks": ["sum"]
}
)");
  const Plan again = read(text);
  CHECK(again.selection == plan.selection);
  CHECK(again.blocks == plan.blocks);
  CHECK(validate_schema(JsonText::parse(text, "p.json"), "", plan_schema()) ==
        std::vector<std::string>{});
}

TEST_CASE("plan: what the solver foretells is laid out and not read") {
  Json json = Json::parse(write_plan({groups().everything(), {}}, groups()));
  json["prediction"] = {{"latency_us", {{"p5", 1.5}, {"p50", 2}, {"p95", 3}}}};
  const std::string text = format_plan(json.dump());
  CHECK(
      text.ends_with("\n  \"removed_blocks\": [],\n  \"prediction\": "
                     "{\"latency_us\": {\"p5\": 1.5, \"p50\": 2, \"p95\": "
                     "3}}\n}\n"));
  CHECK(read(text).selection == groups().everything());
}

TEST_CASE("plan: a number alone leaves the choice to the saliency") {
  const std::string json =
      with_groups(R"({"name": "wide", "kept": 3}, {"name": "narrow"})");
  const Plan plan = read(json);
  const auto wide = static_cast<size_t>(groups().find("wide"));
  // Units 1 and 3 are worth the same: the last goes.
  CHECK(plan.selection[wide] == Units{true, true, true, false});
  CHECK(plan_needs_saliency(json, "p.json"));
  CHECK_FALSE(plan_needs_saliency(
      with_groups(R"({"name": "wide", "kept": 3, "removed": [0]})"), "p.json"));
  // All of them need no saliency.
  CHECK(read_plan(with_groups(R"({"name": "wide", "kept": 4})"), groups(), {},
                  "p.json")
            .selection == groups().everything());
}

TEST_CASE("plan: comments may stand in it") {
  const Plan plan =
      read(with_groups(R"({"name": "narrow", "removed": [0, 2]} // the stem)"
                       "\n"));
  CHECK(plan.selection[static_cast<size_t>(groups().find("narrow"))] ==
        Units{false, true, false});
}

TEST_CASE("plan: every mistake with its place") {
  CHECK(
      mistakes(with_groups(R"({"name": "wyde", "removed": [0]},
{"name": "narrow", "units": 5},
{"name": "narrow", "removed": [1]},
{"name": "wide", "removed": [0, 4]},
{"name": "last", "removed": [0]})")) ==
      "p.json:2:10: /groups/0/name: the model has no group 'wyde'; did you "
      "mean 'wide'?\n"
      "p.json:3:29: /groups/1/units: group 'narrow' has 3 units, found 5\n"
      "p.json:4:10: /groups/2/name: group 'narrow' is given twice; it is "
      "already /groups/1\n"
      "p.json:5:33: /groups/3/removed/1: group 'wide' has units 0 to 3, "
      "found 4\n"
      "p.json:6:1: /groups/4: units of group 'last' cannot be removed: " +
          groups().groups()[static_cast<size_t>(groups().find("last"))].frozen);
}

TEST_CASE("plan: numbers that contradict each other") {
  CHECK(mistakes(with_groups(R"({"name": "wide", "kept": 3, "removed": [0, 1]},
{"name": "narrow", "removed": [2, 0, 1]})")) ==
        "p.json:2:26: /groups/0/kept: 'removed' leaves 2 units of group "
        "'wide', found 3; without 'removed' the units of least saliency go\n"
        "p.json:3:31: /groups/1/removed: none of the 3 units of group 'narrow' "
        "is left, expected at least one");
  CHECK(mistakes(with_groups(R"({"name": "wide", "kept": 5})")) ==
        "p.json:2:26: /groups/0/kept: group 'wide' has 4 units, cannot keep 5");
}

TEST_CASE("plan: what its schema refuses") {
  CHECK(mistakes("[]") == "p.json:1:1: expected object, found an array");
  CHECK(mistakes("{\"groups\": 1, \"blocks\": []}") ==
        "p.json:1:12: /groups: expected array, found number 1\n"
        "p.json:1:25: /blocks: unknown key 'blocks'; expected one of "
        "schema_version, groups, removed_blocks, prediction\n"
        "p.json:1:1: key 'schema_version' is missing");
  CHECK(mistakes(with_groups(R"({"name": "wide", "kept": 0},
{"name": "narrow", "removed": [1, -1, 1.5]})")) ==
        "p.json:2:26: /groups/0/kept: 0 is out of range, expected at least 1\n"
        "p.json:3:35: /groups/1/removed/1: -1 is out of range, expected at "
        "least 0\n"
        "p.json:3:39: /groups/1/removed/2: expected integer, found number 1.5");
  CHECK(mistakes("{") ==
        "p.json:1:2: not valid JSON: unexpected end of input; expected string "
        "literal, while reading object key");
}

TEST_CASE("plan: a text without a file has no lines") {
  CHECK(mistakes(with_groups(R"({"name": "wide", "kept": 9})"), "") ==
        "plan: /groups/0/kept: group 'wide' has 4 units, cannot keep 9");
}

TEST_CASE("plan: values of any wrong type give messages, never a crash") {
  const Json good =
      Json::parse(write_plan({groups().everything(), {"sum"}}, groups()));
  const std::vector<Json> wrong = {
      nullptr, true, -1, 1.5, 1e300, "text", Json::array(), Json::object()};
  int refused = 0;
  const Json flat = good.flatten();
  for (const auto& [pointer, unused] : flat.items())
    for (std::string at = pointer; !at.empty(); at.resize(at.rfind('/')))
      for (const Json& value : wrong) {
        Json bad = good;
        bad[Json::json_pointer(at)] = value;
        const std::string found = mistakes(bad.dump(1));
        if (found == "(no error)") continue;
        ++refused;
        CHECK(found.starts_with("p.json:"));
      }
  CHECK(refused > 100);
}

TEST_CASE("plan schema: the published file is the program's") {
  const auto path = std::filesystem::path(LATHE_SOURCE_DIR) / "docs" /
                    "schemas" / "plan.schema.json";
  const std::string made = Json::parse(plan_schema()).dump(2) + "\n";
  if (std::getenv("LATHE_WRITE_SCHEMAS")) write_file_atomic(path, made);
  CHECK_MESSAGE(read_file(path) == made,
                "run the tests with LATHE_WRITE_SCHEMAS=1 to write it again");
}

}  // namespace
}  // namespace lathe::prune
