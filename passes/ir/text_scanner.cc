#include "passes/ir/text_scanner.h"

#include <cctype>

#include "passes/base/error.h"

namespace lathe::ir {
namespace {

bool is_word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' ||
         c == '/' || c == '-';
}

}  // namespace

void TextScanner::fail_at(size_t at, const std::string& what) {
  size_t line = 1, column = 1;
  for (char c : text_.substr(0, at)) {
    ++column;
    if (c == '\n') ++line, column = 1;
  }
  throw_input(fmt::format("{}:{}:{}", source_, line, column), what);
}

char TextScanner::peek() {
  skip();
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool TextScanner::accept(std::string_view symbol) {
  skip();
  if (!text_.substr(at_).starts_with(symbol)) return false;
  at_ += symbol.size();
  return true;
}

void TextScanner::expect(std::string_view symbol) {
  if (!accept(symbol))
    fail(fmt::format("expected '{}', found {}", symbol, found()));
}

std::string_view TextScanner::peek_word() {
  skip();
  size_t end = at_;
  while (end < text_.size() &&
         (is_word_char(text_[end]) || (text_[end] == '+' && end > at_)))
    ++end;
  return text_.substr(at_, end - at_);
}

bool TextScanner::accept_word(std::string_view word) {
  if (peek_word() != word) return false;
  at_ += word.size();
  return true;
}

std::string TextScanner::word(const char* what) {
  std::string_view found_word = peek_word();
  if (found_word.empty())
    fail(fmt::format("expected {}, found {}", what, found()));
  at_ += found_word.size();
  return std::string(found_word);
}

std::string TextScanner::name(const char* what) {
  return peek() == '"' ? quoted() : word(what);
}

std::string TextScanner::quoted() {
  size_t start = position();
  expect("\"");
  std::string out;
  while (true) {
    if (at_ >= text_.size() || text_[at_] == '\n')
      fail_at(start, "the string does not end");
    char c = text_[at_++];
    if (c == '"') return out;
    if (c != '\\') {
      out += c;
      continue;
    }
    char escaped = at_ < text_.size() ? text_[at_++] : '\0';
    if (escaped == '"' || escaped == '\\') {
      out += escaped;
    } else if (escaped == 'x') {
      unsigned byte = 0;
      auto digits = text_.substr(at_, 2);
      auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), byte,
                          /*base=*/16);
      if (error != std::errc() || end != digits.data() + 2)
        fail("expected two hex digits after \\x");
      out += static_cast<char>(byte);
      at_ += 2;
    } else {
      fail_at(at_ - 1, "unknown escape; expected \\\", \\\\ or \\xNN");
    }
  }
}

std::string TextScanner::found() {
  if (at_end()) return "the end of the text";
  if (!peek_word().empty()) return fmt::format("'{}'", peek_word());
  return fmt::format("'{}'", peek());
}

void TextScanner::skip() {
  while (at_ < text_.size()) {
    if (std::isspace(static_cast<unsigned char>(text_[at_]))) {
      ++at_;
    } else if (text_.substr(at_).starts_with("//")) {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else {
      return;
    }
  }
}

}  // namespace lathe::ir
