#include "calibration/data/csv.h"

#include <fmt/format.h>

#include "passes/base/error.h"

namespace lathe::data {

std::vector<CsvRow> parse_csv(std::string_view text, const std::string& where) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<CsvRow> rows;
  int line = 1;
  size_t at = 0;
  const auto fail = [&](int at_line, const std::string& what) {
    throw_input(fmt::format("{}:{}", where, at_line), what);
  };
  const auto at_end_of_line = [&] {
    return at == text.size() || text[at] == '\n' ||
           (text[at] == '\r' &&
            (at + 1 == text.size() || text[at + 1] == '\n'));
  };
  const auto quoted_field = [&] {
    const int start = line;
    std::string field;
    for (++at;; ++at) {
      if (at == text.size()) fail(start, "the quoted field does not end");
      if (text[at] == '\n') ++line;
      if (text[at] != '"') {
        field += text[at];
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        field += text[++at];
      } else {
        break;
      }
    }
    ++at;
    if (!at_end_of_line() && text[at] != ',')
      fail(line, "text after the end of a quoted field");
    return field;
  };
  while (at < text.size()) {
    CsvRow row;
    row.line = line;
    for (;;) {
      std::string field;
      if (at < text.size() && text[at] == '"')
        field = quoted_field();
      else
        while (!at_end_of_line() && text[at] != ',') field += text[at++];
      row.fields.push_back(std::move(field));
      if (at == text.size() || text[at] != ',') break;
      ++at;
    }
    if (at < text.size() && text[at] == '\r') ++at;
    if (at < text.size()) ++at;
    ++line;
    if (row.fields.size() == 1 && row.fields[0].empty()) continue;
    if (!rows.empty() && row.fields.size() != rows.front().fields.size())
      fail(row.line,
           fmt::format("has {} fields, the first line has {}",
                       row.fields.size(), rows.front().fields.size()));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace lathe::data
