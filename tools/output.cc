#include "tools/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>

#include "passes/base/error.h"

namespace lathe::cli {
namespace {

// Characters, which is what a terminal shows of the text we print.
size_t display_width(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

void print_result(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fflush(stdout) != 0)
    throw Error(ErrorKind::kIo, "standard output",
                "cannot write: " + std::generic_category().message(errno));
}

void print_json(const Json& document) {
  print_result(dump(document, /*indent=*/2) + "\n");
}

std::string dump(const Json& document, int indent) {
  return document.dump(indent, ' ', /*ensure_ascii=*/false,
                       Json::error_handler_t::replace);
}

std::string format_perplexity(double perplexity) {
  return fmt::format("{:.3f}", perplexity);
}

Table::Table(std::vector<std::string> header, std::vector<size_t> left)
    : left_(header.size()) {
  left_[0] = true;
  for (const size_t column : left) left_.at(column) = true;
  rows_.push_back(std::move(header));
}

void Table::add(std::vector<std::string> row) {
  row.resize(left_.size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<size_t> widths(left_.size());
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i]));
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blank(widths[i] - display_width(row[i]), ' ');
      if (i > 0) line += "  ";
      line += left_[i] ? row[i] + blank : blank + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

Json value_json(const std::string& name, const ir::ValueType& type) {
  Json json = {{"name", name}, {"type", ir::to_string(type.elem)}};
  if (!type.is_tensor()) json["type"] = "other";
  if (!type.shape) return json;
  Json& shape = json["shape"] = Json::array();
  for (const ir::Dim& dim : *type.shape) {
    if (dim.known()) {
      shape.push_back(dim.value);
    } else if (!dim.symbol.empty()) {
      shape.push_back(dim.symbol);
    } else {
      shape.push_back(nullptr);
    }
  }
  return json;
}

}  // namespace lathe::cli
