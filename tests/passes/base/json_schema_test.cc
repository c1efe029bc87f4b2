#include "passes/base/json_schema.h"

#include <doctest/doctest.h>

#include "passes/base/error.h"

namespace lathe {
namespace {

// The errors, a line each.
std::string check(const char* json, const char* schema,
                  const std::string& pointer = "") {
  std::string lines;
  for (const std::string& line :
       validate_schema(JsonText::parse(json, "f.json"), pointer, schema))
    lines += (lines.empty() ? "" : "\n") + line;
  return lines;
}

TEST_CASE("schema: what fits gives no error") {
  CHECK(check(R"({"a": 1, "b": ["x"]})",
              R"({"type": "object", "properties": {
                    "a": {"type": "integer", "minimum": 1},
                    "b": {"type": "array", "items": {"enum": ["x"]}}},
                  "required": ["a"], "additionalProperties": false})")
            .empty());
}

TEST_CASE("schema: every error at once, with place, pointer and nearest name") {
  const char* schema = R"({
    "type": "object", "required": ["path"], "additionalProperties": false,
    "properties": {
      "path": {"type": "string"},
      "format": {"enum": ["idx", "wav"]},
      "limit": {"type": "integer", "minimum": 1},
      "image": {"type": "object", "additionalProperties": false,
                "properties": {"crop": {"type": "array", "minItems": 2,
                                        "maxItems": 2,
                                        "items": {"type": "integer"}}}}}})";
  CHECK(check("{\n  \"format\": \"idxx\",\n  \"limt\": 3,\n"
              "  \"limit\": 0,\n"
              "  \"image\": {\"crop\": [2, \"a\", 3]}\n}",
              schema) ==
        "f.json:2:13: /format: \"idxx\" is not one of \"idx\", \"wav\"; "
        "did you mean 'idx'?\n"
        "f.json:3:11: /limt: unknown key 'limt'; did you mean 'limit'?\n"
        "f.json:4:12: /limit: 0 is out of range, expected at least 1\n"
        "f.json:5:21: /image/crop: expected 2 items, found 3\n"
        "f.json:5:25: /image/crop/1: expected integer, found string "
        "\"a\"\n"
        "f.json:1:1: key 'path' is missing");
}

TEST_CASE("schema: an unknown key that is near to none lists the keys") {
  CHECK(check(R"({"zzzzzz": 1})",
              R"({"properties": {"path": {}, "format": {}},
                  "additionalProperties": false})") ==
        "f.json:1:12: /zzzzzz: unknown key 'zzzzzz'; expected one of "
        "path, format");
}

TEST_CASE("schema: alternatives report the errors of the one of their type") {
  const char* schema = R"({"oneOf": [
      {"type": "string"},
      {"type": "object", "required": ["csv"]}]})";
  CHECK(check("\"a\"", schema).empty());
  CHECK(check("{}", schema) == "f.json:1:1: key 'csv' is missing");
  CHECK(check("3", schema) ==
        "f.json:1:1: expected string or object, found number 3");
  const char* any = R"({"anyOf": [{"type": "integer", "minimum": 5},
                                  {"type": "integer", "maximum": 1}]})";
  CHECK(check("7", any).empty());
  CHECK(check("3", any) == "f.json:1:1: 3 fits none of the allowed forms");
}

TEST_CASE("schema: references, conditions and maps") {
  const char* schema = R"({"$defs": {"size": {"type": "integer"}},
      "type": "object",
      "properties": {"kind": {"type": "string"}},
      "additionalProperties": {"$ref": "#/$defs/size"},
      "if": {"properties": {"kind": {"const": "big"}}},
      "then": {"required": ["width"]}})";
  CHECK(check(R"({"kind": "small"})", schema).empty());
  CHECK(check(R"({"kind": "big", "width": 3})", schema).empty());
  CHECK(check(R"({"kind": "big", "high": "no"})", schema) ==
        "f.json:1:25: /high: expected integer, found string \"no\"\n"
        "f.json:1:1: key 'width' is missing");
}

TEST_CASE("schema: numbers, text and lists") {
  CHECK(check("2.5", R"({"type": "integer"})") ==
        "f.json:1:1: expected integer, found number 2.5");
  CHECK(check("2.0", R"({"type": "integer"})").empty());
  CHECK(check("1e300", R"({"type": "integer"})") ==
        "f.json:1:1: expected integer, found number 1e+300");
  CHECK(check("0", R"({"exclusiveMinimum": 0})") ==
        "f.json:1:1: 0 is out of range, expected more than 0");
  CHECK(check("\"\"", R"({"minLength": 1})") ==
        "f.json:1:1: the text is empty");
  CHECK(check("\"5\"", R"({"pattern": "^[0-9]+ms$"})") ==
        "f.json:1:1: \"5\" does not match ^[0-9]+ms$");
  CHECK(check("[1, 2, 1]", R"({"uniqueItems": true})") ==
        "f.json:1:8: /2: 1 stands in the list twice");
}

TEST_CASE("schema: part of a document") {
  CHECK(check(R"({"data": {"x~/y": 1}})", R"({"additionalProperties": false})",
              "/data") == "f.json:1:19: /data/x~0~1y: unknown key 'x~/y'");
}

TEST_CASE("schema: a keyword that is not checked is a bug of the schema") {
  CHECK_THROWS_WITH_AS(
      check("1", R"({"multipleOf": 2})"),
      "JSON Schema: keyword 'multipleOf' is not checked (this is a bug in "
      "Lathe; please report it)",
      Error);
  CHECK_THROWS_WITH_AS(check("1", R"({"$ref": "#"})"),
                       "JSON Schema: references that do not end (this is a bug "
                       "in Lathe; please report it)",
                       Error);
}

}  // namespace
}  // namespace lathe
