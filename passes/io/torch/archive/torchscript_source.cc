#include "passes/io/torch/archive/torchscript_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "passes/base/error.h"

namespace lathe::io {
namespace {

constexpr size_t kMaxNesting = 200;
constexpr size_t kMaxTerms = 400;
constexpr size_t kMaxElifs = 200;

bool is_word(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

// Splits the text as LibTorch's lexer does, as far as nesting goes.
class SourceScan {
 public:
  SourceScan(std::string_view text, const std::string& where)
      : text_(text), where_(where) {}

  void run() {
    start_line();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        ++at_;
        ++line_;
        if (terms_.size() == 1) start_line();
      } else if (c == '\\') {
        const bool goes_on = text_.substr(at_).starts_with("\\\n");
        at_ += goes_on ? 2 : 1;
        line_ += goes_on;
      } else if (c == '#') {
        skip_comment();
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else if (is_word(c)) {
        take_word();
      } else {
        take_symbol(c);
        ++at_;
      }
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw_input(fmt::format("{}:{}", where_, line_), what);
  }

  // A new logical line: its indentation opens or closes blocks.
  void start_line() {
    total_ -= terms_[0];
    terms_[0] = 0;
    const size_t word = text_.find_first_not_of(" \t\r\f", at_);
    if (word == std::string_view::npos || text_[word] == '\n' ||
        text_[word] == '#')
      return;
    const size_t indent = word - at_;
    while (blocks_.back() > indent) blocks_.pop_back();
    if (blocks_.back() < indent) blocks_.push_back(indent);
    if (blocks_.size() > kMaxNesting)
      fail(fmt::format("blocks nest deeper than {}", kMaxNesting));
  }

  // "# type:" comments are parsed by LibTorch, others are not.
  void skip_comment() {
    constexpr std::string_view kType = "# type:";
    if (text_.substr(at_).starts_with(kType))
      at_ += kType.size();
    else
      at_ = std::min(text_.find('\n', at_), text_.size());
  }

  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool is_long = text_.substr(at_).starts_with(three);
    const std::string_view end =
        is_long ? std::string_view(three) : std::string_view(three).substr(2);
    at_ += end.size();
    while (!text_.substr(at_).starts_with(end)) {
      if (at_ >= text_.size() || (text_[at_] == '\n' && !is_long))
        fail("a string does not end");
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      line_ += text_[at_] == '\n';
      ++at_;
    }
    at_ += end.size();
  }

  void take_word() {
    const size_t from = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    const std::string_view word = text_.substr(from, at_ - from);
    if (word == "__setstate__")
      throw_unsupported(
          fmt::format("{}:{}", where_, line_),
          "the model runs code of its own when it is loaded (__setstate__)",
          "save it without packed or quantized modules");
    if (word == "elif" && ++elifs_ > kMaxElifs)
      fail(fmt::format("more than {} elif", kMaxElifs));
    add_term();
  }

  void take_symbol(char c) {
    switch (c) {
      case '(':
      case '[':
      case '{':
        add_term();
        terms_.push_back(0);
        if (terms_.size() > kMaxNesting + 1)
          fail(fmt::format("brackets nest deeper than {}", kMaxNesting));
        return;
      case ')':
      case ']':
      case '}':
        if (terms_.size() == 1) fail("a bracket closes that never opened");
        total_ -= terms_.back();
        terms_.pop_back();
        return;
      case ',':
        total_ -= terms_.back();
        terms_.back() = 0;
        return;
      case ' ':
      case '\t':
      case '\r':
      case '\f':
        return;
      default:
        add_term();
    }
  }

  void add_term() {
    ++terms_.back();
    if (++total_ > kMaxTerms)
      fail(fmt::format("an expression has more than {} terms in each other",
                       kMaxTerms));
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0, line_ = 1, elifs_ = 0;
  std::vector<size_t> blocks_{0};  // indentations of the open blocks
  // Terms since the last comma, of every open bracket; the first is the line's.
  std::vector<size_t> terms_{0};
  size_t total_ = 0;
};

}  // namespace

void check_torchscript_source(std::string_view source,
                              const std::string& where) {
  SourceScan(source, where).run();
}

}  // namespace lathe::io
