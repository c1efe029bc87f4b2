#include "passes/base/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "passes/base/error.h"
#include "passes/base/file.h"

namespace lathe {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
constexpr int kMaxDepth = 200;

std::string at(const std::string& source, JsonPosition position) {
  return source + ":" + std::to_string(position.line) + ":" +
         std::to_string(position.column);
}

JsonPosition position_of(std::string_view text, size_t offset) {
  JsonPosition position;
  for (const char c : text.substr(0, offset)) {
    ++position.column;
    if (c == '\n') position = {position.line + 1, 1};
  }
  return position;
}

// "[json.exception.x] parse error at line 1, column 2: syntax error while
// parsing value - unexpected ..." -> "unexpected ..." with its context.
std::string clean_message(std::string message) {
  for (const std::string_view lead : {"] ", "column "}) {
    const size_t found = message.find(lead);
    if (found != std::string::npos) message.erase(0, found + lead.size());
  }
  const size_t colon = message.find(": ");
  if (colon != std::string::npos &&
      message.find_first_not_of("0123456789") == colon)
    message.erase(0, colon + 2);
  constexpr std::string_view kSyntax = "syntax error while parsing ";
  if (message.starts_with(kSyntax)) {
    message.erase(0, kSyntax.size());
    const size_t dash = message.find(" - ");
    if (dash != std::string::npos)
      message = message.substr(dash + 3) + ", while reading " +
                message.substr(0, dash);
  }
  return "not valid JSON: " + message;
}

// Walks text that is known to be valid JSON with comments.
class Scanner {
 public:
  Scanner(std::string_view text, const std::string& source,
          std::unordered_map<std::string, JsonPosition>& positions)
      : text_(text), source_(source), positions_(positions) {
    if (text_.starts_with("\xEF\xBB\xBF")) skip(3);
  }

  void value(std::string& pointer, int depth = 0) {
    blank();
    positions_[pointer] = position_;
    if (depth > kMaxDepth)
      throw_input(
          at(source_, position_),
          "values nest deeper than " + std::to_string(kMaxDepth) + " levels");
    if (peek() == '{') return object(pointer, depth);
    if (peek() == '[') return array(pointer, depth);
    if (peek() == '"') {
      string();
      return;
    }
    while (!done() && std::string_view(",]} \t\r\n/").find(peek()) ==
                          std::string_view::npos)
      skip(1);
  }

 private:
  bool done() const { return offset_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[offset_]; }

  void skip(size_t count) {
    for (; count > 0 && !done(); --count) {
      ++position_.column;
      if (text_[offset_] == '\n') position_ = {position_.line + 1, 1};
      ++offset_;
    }
  }

  void blank() {
    while (!done()) {
      const std::string_view rest = text_.substr(offset_);
      if (rest.starts_with("//")) {
        skip(std::min(rest.find('\n'), rest.size()));
      } else if (rest.starts_with("/*")) {
        skip(std::min(rest.find("*/", 2), rest.size() - 2) + 2);
      } else if (std::string_view(" \t\r\n").find(rest[0]) !=
                 std::string_view::npos) {
        skip(1);
      } else {
        return;
      }
    }
  }

  // The raw text with its quotes.
  std::string_view string() {
    const size_t begin = offset_;
    skip(1);
    while (!done() && peek() != '"') skip(peek() == '\\' ? 2 : 1);
    skip(1);
    return text_.substr(begin, offset_ - begin);
  }

  void object(std::string& pointer, int depth) {
    std::unordered_map<std::string, int> first_lines;
    const size_t parent_size = pointer.size();
    skip(1);
    for (blank(); !done() && peek() != '}'; blank()) {
      if (peek() == ',') {
        skip(1);
        continue;
      }
      const JsonPosition key_position = position_;
      const auto key = Json::parse(string()).get<std::string>();
      pointer += "/" + escape_pointer_token(key);
      const auto [entry, added] = first_lines.emplace(key, key_position.line);
      if (!added)
        throw_input(at(source_, key_position) + ": " + pointer,
                    "the key \"" + key +
                        "\" is given twice; it is already "
                        "on line " +
                        std::to_string(entry->second));
      blank();
      skip(1);  // the colon
      value(pointer, depth + 1);
      pointer.resize(parent_size);
    }
    skip(1);
  }

  void array(std::string& pointer, int depth) {
    const size_t parent_size = pointer.size();
    size_t index = 0;
    skip(1);
    for (blank(); !done() && peek() != ']'; blank()) {
      if (peek() == ',') {
        skip(1);
        continue;
      }
      pointer += "/" + std::to_string(index++);
      value(pointer, depth + 1);
      pointer.resize(parent_size);
    }
    skip(1);
  }

  std::string_view text_;
  const std::string& source_;
  std::unordered_map<std::string, JsonPosition>& positions_;
  size_t offset_ = 0;
  JsonPosition position_;
};

}  // namespace

JsonText::JsonText() : root_(new Json()) {}

JsonText::JsonText(JsonText&& other) noexcept
    : source_(std::move(other.source_)),
      root_(std::exchange(other.root_, nullptr)),
      positions_(std::move(other.positions_)) {}

JsonText& JsonText::operator=(JsonText&& other) noexcept {
  std::swap(source_, other.source_);
  std::swap(root_, other.root_);
  std::swap(positions_, other.positions_);
  return *this;
}

JsonText::~JsonText() { delete root_; }

JsonText JsonText::parse(std::string text, std::string source) {
  JsonText result;
  result.source_ = std::move(source);
  try {
    *result.root_ = Json::parse(text, /*cb=*/nullptr,
                                /*allow_exceptions=*/true,
                                /*ignore_comments=*/true);
  } catch (const Json::parse_error& error) {
    const size_t offset =
        std::min(error.byte > 0 ? error.byte - 1 : 0, text.size());
    throw_input(at(result.source_, position_of(text, offset)),
                clean_message(error.what()));
  } catch (const Json::exception& error) {
    throw_input(result.source_, clean_message(error.what()));
  }
  std::string pointer;
  Scanner(text, result.source_, result.positions_).value(pointer);
  return result;
}

JsonText JsonText::read(const std::filesystem::path& path) {
  return parse(read_file(path, kMaxBytes), path.string());
}

JsonText JsonText::wrap(const Json& value, std::string source) {
  JsonText result;
  *result.root_ = value;
  result.source_ = std::move(source);
  return result;
}

const Json& JsonText::root() const { return *root_; }

std::string JsonText::where(std::string_view pointer) const {
  std::string text = source_;
  for (std::string_view parent = pointer; !positions_.empty();) {
    const auto found = positions_.find(std::string(parent));
    if (found != positions_.end()) {
      text = at(source_, found->second);
      break;
    }
    const size_t slash = parent.rfind('/');
    if (slash == std::string_view::npos) break;
    parent = parent.substr(0, slash);
  }
  if (!pointer.empty()) text += ": " + std::string(pointer);
  return text;
}

std::string escape_pointer_token(std::string_view token) {
  std::string text;
  for (const char c : token) {
    if (c == '~') {
      text += "~0";
    } else if (c == '/') {
      text += "~1";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace lathe
