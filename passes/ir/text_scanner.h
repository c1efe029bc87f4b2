// The tokens of the text form; see text_format.h.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>

namespace lathe::ir {

// Reads a text from its start. White space and comments before a token are
// skipped. Every error is kInput with "source:line:column".
class TextScanner {
 public:
  TextScanner(std::string_view text, const std::string& source)
      : text_(text), source_(source) {}

  [[noreturn]] void fail(const std::string& what) { fail_at(at_, what); }
  [[noreturn]] void fail_at(size_t at, const std::string& what);

  // The place of the next token.
  size_t position() {
    skip();
    return at_;
  }
  // Its first character; 0 at the end.
  char peek();
  bool at_end() { return peek() == '\0' && at_ >= text_.size(); }
  bool accept(std::string_view symbol);
  void expect(std::string_view symbol);

  // The word ahead (letters, digits, _ . / - and, inside, +), or "".
  std::string_view peek_word();
  bool accept_word(std::string_view word);
  // `what` says in the error what was expected.
  std::string word(const char* what);
  // A word or a quoted string.
  std::string name(const char* what);
  std::string quoted();

  template <class T>
  T number(const char* what) {
    size_t start = position();
    std::string text = word(what);
    T value{};
    auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range)
      fail_at(start, fmt::format("{} does not fit its type", text));
    if (error != std::errc() || end != text.data() + text.size())
      fail_at(start, fmt::format("expected {}, found '{}'", what, text));
    return value;
  }

  // What stands ahead, for messages.
  std::string found();

 private:
  void skip();

  std::string_view text_;
  const std::string& source_;
  size_t at_ = 0;
};

}  // namespace lathe::ir
