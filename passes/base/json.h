// JSON with the place of every value, so that an error about a value can name
// file, line, column and JSON Pointer (RFC 6901).
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>

namespace lathe {

using Json = nlohmann::ordered_json;

struct JsonPosition {
  int line = 1;    // from 1
  int column = 1;  // from 1, in bytes
};

// A parsed text and where each of its values starts. Comments (// and /* */)
// are allowed. Duplicate keys in one object are an error.
class JsonText {
 public:
  // `source` is the name that messages show. Error kInput on bad syntax, with
  // "source:line:column" as where.
  static JsonText parse(std::string text, std::string source);
  static JsonText read(const std::filesystem::path& path);
  // Wraps a value made in memory: positions are absent, `where` shows the
  // source and the pointer.
  static JsonText wrap(const Json& value, std::string source);

  JsonText(JsonText&&) noexcept;
  JsonText& operator=(JsonText&&) noexcept;
  ~JsonText();

  const Json& root() const;
  const std::string& source() const { return source_; }
  // "file:line:column: /json/pointer"; for a pointer that does not exist, the
  // nearest parent's position. Line and column are left out after wrap().
  std::string where(std::string_view pointer) const;

 private:
  JsonText();
  std::string source_;
  Json* root_;  // owned; a pointer so that this header needs no full json
  std::unordered_map<std::string, JsonPosition> positions_;
};

// "~" -> "~0", "/" -> "~1".
std::string escape_pointer_token(std::string_view token);

}  // namespace lathe
