// The JSON files of a torch.export archive, read with every key and type
// checked: errors name file, JSON Pointer and what was expected.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::io::exported {

// A value in a JsonFile, which must outlive it.
class JsonField {
 public:
  JsonField(const nlohmann::json& json, const std::string& file,
            std::string pointer)
      : json_(&json), file_(&file), pointer_(std::move(pointer)) {}

  // Members of an object. at() is an error when the key is absent; find() takes
  // an absent key and a null for the same.
  JsonField at(std::string_view key) const;
  std::optional<JsonField> find(std::string_view key) const;
  // Keys with their values, those that are null left out.
  std::vector<std::pair<std::string, JsonField>> members() const;
  // A tagged union {"as_x": value}: its only member.
  std::pair<std::string, JsonField> variant() const;

  size_t size() const;                   // of an array
  JsonField at(size_t index) const;      // of an array
  std::vector<JsonField> items() const;  // of an array

  const std::string& text() const;
  int64_t integer() const;
  double real() const;  // "Infinity", "-Infinity" and "NaN" as texts as well
  bool flag() const;
  bool is_object() const;

  const std::string& pointer() const { return pointer_; }
  // "file: /json/pointer".
  std::string where() const;
  // Error kInput: "<expected> was expected, but this is <what it is>".
  [[noreturn]] void fail_expected(const std::string& expected) const;
  // Error kInput.
  [[noreturn]] void fail(const std::string& what,
                         const std::string& hint = "") const;

 private:
  const nlohmann::json* json_;
  const std::string* file_;
  std::string pointer_;
};

class JsonFile {
 public:
  // At most this many bytes are read.
  static constexpr uint64_t kMaxBytes = uint64_t{64} << 20;

  // Python's bare NaN, Infinity and -Infinity are read as texts. Error kInput,
  // with `file`: bad syntax, values nested deeper than 1000.
  JsonFile(std::string text, std::string file);
  JsonFile(JsonFile&&) noexcept;
  ~JsonFile();

  JsonField root() const { return {*root_, *file_, ""}; }

 private:
  std::unique_ptr<nlohmann::json> root_;
  std::unique_ptr<std::string> file_;
};

}  // namespace lathe::io::exported
