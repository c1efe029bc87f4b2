#include "passes/base/json.h"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe {
namespace {

std::string parse_message(const std::string& text) {
  try {
    JsonText::parse(text, "r.json");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "no error";
}

TEST_CASE("each value's place is known") {
  const JsonText text = JsonText::parse(
      "// head\n"
      "{\"a\": [1, {\"b/c\": true},\n"
      "  /* two\n lines */ \"x\\\"]\"],\n"
      " \"d~e\" :\t-1.5e3}",
      "r.json");
  CHECK(text.root()["d~e"] == -1500.0);
  CHECK(text.where("") == "r.json:2:1");
  CHECK(text.where("/a") == "r.json:2:7: /a");
  CHECK(text.where("/a/0") == "r.json:2:8: /a/0");
  CHECK(text.where("/a/1/b~1c") == "r.json:2:19: /a/1/b~1c");
  CHECK(text.where("/a/2") == "r.json:4:11: /a/2");
  CHECK(text.where("/d~0e") == "r.json:5:10: /d~0e");
}

TEST_CASE("an absent pointer has its nearest parent's place") {
  const JsonText text = JsonText::parse("{\n \"a\": {}\n}", "r.json");
  CHECK(text.where("/a/b/c") == "r.json:2:7: /a/b/c");
  CHECK(text.where("/z") == "r.json:1:1: /z");
}

TEST_CASE("a wrapped value has pointers and no lines") {
  const JsonText text = JsonText::wrap(Json{{"a", 1}}, "flags");
  CHECK(text.where("/a") == "flags: /a");
  CHECK(text.where("") == "flags");
  CHECK(text.root()["a"] == 1);
}

TEST_CASE("bad syntax names line and column") {
  CHECK(parse_message("{\"a\": 1,\n \"b\": ]}") ==
        "r.json:2:7: not valid JSON: unexpected ']'; expected '[', '{', or a "
        "literal, while reading value");
  CHECK(parse_message("{\"a\": 1") ==
        "r.json:1:8: not valid JSON: unexpected end of input; expected '}', "
        "while reading object");
  CHECK(parse_message("") ==
        "r.json:1:1: not valid JSON: unexpected end of input; expected '[', "
        "'{', or a literal, while reading value");
}

TEST_CASE("a key given twice is an error") {
  CHECK(parse_message("{\"a\": {\"b\": 1,\n\"\\u0062\": 2}}") ==
        "r.json:2:1: /a/b: the key \"b\" is given twice; it is already on "
        "line 1");
}

TEST_CASE("values nested without end are an error and no crash") {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  CHECK(parse_message(deep) ==
        "r.json:1:202: values nest deeper than 200 levels");
}

TEST_CASE("a byte order mark and comments at the end are allowed") {
  CHECK(JsonText::parse("\xEF\xBB\xBF 7 // end", "r.json").root() == 7);
  CHECK(JsonText::parse("[1/**/,2/**/]/**/", "r.json").where("/1") ==
        "r.json:1:8: /1");
}

// Any document, printed with random indentation, has each value's own text at
// the place that is told.
Json random_value(Random& random, int depth) {
  switch (random.below(depth > 3 ? 4 : 6)) {
    case 0:
      return static_cast<int64_t>(random.next());
    case 1:
      return random.uniform(-1e3, 1e3);
    case 2:
      return random.below(2) == 1;
    case 3: {
      std::string text;
      for (uint64_t i = random.below(6); i > 0; --i)
        text += "a\"\\/~{}[],:\n"[random.below(12)];
      return text;
    }
    case 4: {
      Json array = Json::array();
      for (uint64_t i = random.below(5); i > 0; --i)
        array.push_back(random_value(random, depth + 1));
      return array;
    }
    default: {
      Json object = Json::object();
      for (uint64_t i = random.below(5); i > 0; --i)
        object[std::string(1 + random.below(3), "k~/\""[random.below(4)])] =
            random_value(random, depth + 1);
      return object;
    }
  }
}

TEST_CASE("property: places point at the values") {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const Json value = random_value(random, 0);
    const int indent = int(random.below(4)) - 1;
    const std::string printed = value.dump(indent);
    const JsonText text = JsonText::parse(printed, "s");
    CHECK(text.root() == value);
    std::vector<size_t> lines{0};
    for (size_t i = 0; i < printed.size(); ++i)
      if (printed[i] == '\n') lines.push_back(i + 1);
    const std::function<void(const Json&, const std::string&)> check =
        [&](const Json& part, const std::string& pointer) {
          int line = 0, column = 0;
          REQUIRE(std::sscanf(text.where(pointer).c_str(), "s:%d:%d", &line,
                              &column) == 2);
          const size_t offset = lines.at(line - 1) + column - 1;
          const std::string first = part.dump(indent).substr(0, 1);
          CHECK(printed.substr(offset, 1) == first);
          if (part.is_array())
            for (size_t i = 0; i < part.size(); ++i)
              check(part[i], pointer + "/" + std::to_string(i));
          if (part.is_object())
            for (const auto& [key, item] : part.items())
              check(item, pointer + "/" + escape_pointer_token(key));
        };
    check(value, "");
  }
}

TEST_CASE("property: broken text is a clean error") {
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string text = random_value(random, 0).dump(int(random.below(3)));
    for (uint64_t i = 1 + random.below(3); i > 0 && !text.empty(); --i)
      text[random.below(text.size())] =
          "{}[]\",:/*\\ntfe0\x80"[random.below(17)];
    const std::string message = parse_message(text);
    if (message == "no error") continue;
    CHECK(message.starts_with("r.json"));
    CHECK(message.find("json.exception") == std::string::npos);
  }
}

}  // namespace
}  // namespace lathe
