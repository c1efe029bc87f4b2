// Comma-separated values as RFC 4180 has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::data {

struct CsvRow {
  int line = 1;  // where it starts, from 1
  std::vector<std::string> fields;
};

// Rows of a text; fields may be quoted ("" is a quote inside), lines end in LF
// or CRLF, empty lines are left out. Every row must have as many fields as the
// first. Error kInput with "where:line".
std::vector<CsvRow> parse_csv(std::string_view text, const std::string& where);

}  // namespace lathe::data
