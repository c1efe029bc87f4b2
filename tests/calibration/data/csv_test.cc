#include "calibration/data/csv.h"

#include "passes/base/random.h"
#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

using Fields = std::vector<std::string>;

TEST_CASE("csv: quotes, commas, line ends and a byte order mark") {
  const auto rows = data::parse_csv(
      "\xef\xbb\xbf"
      "a,b\r\n"
      "1,\"x, \"\"y\"\"\"\n"
      "\n"
      "\"two\nlines\",\n"
      "last,\"\"",
      "l.csv");
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].fields == Fields{"a", "b"});
  CHECK(rows[1].fields == Fields{"1", "x, \"y\""});
  CHECK(rows[2].fields == Fields{"two\nlines", ""});
  CHECK(rows[2].line == 4);
  CHECK(rows[3].fields == Fields{"last", ""});
  CHECK(rows[3].line == 6);
  CHECK(data::parse_csv("", "l.csv").empty());
}

TEST_CASE("csv: errors name the line") {
  const auto fail = [](const char* text) {
    return error_of([&] { data::parse_csv(text, "l.csv"); });
  };
  CHECK(fail("a,b\n1\n") ==
        "input|l.csv:2: has 1 fields, the first line has 2");
  CHECK(fail("a,b\n1,\"x\n\n") ==
        "input|l.csv:2: the quoted field does not end");
  CHECK(fail("a,b\n\"1\"2,3\n") ==
        "input|l.csv:2: text after the end of a quoted field");
}

TEST_CASE("csv: what was quoted is read back") {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Fields> table(1 + random.below(4));
    const size_t columns = 2 + random.below(3);
    std::string text;
    for (Fields& row : table) {
      for (size_t c = 0; c < columns; ++c) {
        std::string field, quoted;
        for (uint64_t k = random.below(5); k > 0; --k)
          field += "ab,\"\n\r;"[random.below(7)];
        for (const char c : field)
          quoted += c == '"' ? "\"\"" : std::string(1, c);
        text += (c ? ",\"" : "\"") + quoted + "\"";
        row.push_back(field);
      }
      text += random.below(2) ? "\r\n" : "\n";
    }
    const auto rows = data::parse_csv(text, "l.csv");
    REQUIRE(rows.size() == table.size());
    for (size_t i = 0; i < rows.size(); ++i) CHECK(rows[i].fields == table[i]);
  }
}

}  // namespace
}  // namespace lathe::test
