// What goes to stdout.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "passes/base/json.h"
#include "passes/ir/value_type.h"

namespace lathe::cli {

// Writes the whole result. Error kIo when stdout does not take it.
void print_result(std::string_view text);
// The document, indented, with a line end.
void print_json(const Json& document);

// Never throws: bytes that are no UTF-8 become U+FFFD. indent -1: one line.
std::string dump(const Json& document, int indent);

// "3.664"; "inf" where it has no bound.
std::string format_perplexity(double perplexity);

// Columns aligned by their widest cell; the first to the left, others to the
// right unless `left` names them.
class Table {
 public:
  explicit Table(std::vector<std::string> header,
                 std::vector<size_t> left = {});
  void add(std::vector<std::string> row);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> left_;
};

// {"name", "type", "shape"}: a known dimension is a number, a symbol its name,
// anything else null; no "shape" when the rank is unknown.
Json value_json(const std::string& name, const ir::ValueType& type);

}  // namespace lathe::cli
