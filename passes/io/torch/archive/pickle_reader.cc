#include "passes/io/torch/archive/pickle_reader.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>

namespace lathe::io {
namespace {

template <class T>
std::optional<T> whole_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// The number that the first `count` characters of `text` spell.
std::optional<uint32_t> digits(std::string_view text, size_t count, int base) {
  uint32_t value = 0;
  if (text.size() < count) return std::nullopt;
  const char* end = text.data() + count;
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | (code >> shift & 0x3f));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | (code >> 18 & 7));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

std::string_view PickleReader::take(uint64_t count) {
  const size_t left = bytes_.size() - at_;
  if (count > left)
    builder_.fail(
        fmt::format("{} more bytes are needed and {} are left: the pickle is "
                    "truncated or damaged",
                    count, left));
  const std::string_view taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

uint64_t PickleReader::number(int count) {
  uint64_t value = 0;
  int shift = 0;
  for (char byte : take(static_cast<uint64_t>(count))) {
    value |= uint64_t{static_cast<unsigned char>(byte)} << shift;
    shift += 8;
  }
  return value;
}

int64_t PickleReader::signed_number(int count) {
  const int unused = 64 - 8 * count;
  return static_cast<int64_t>(number(count) << unused) >> unused;
}

double PickleReader::big_endian_double() {
  uint64_t bits = 0;
  for (char byte : take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
  return std::bit_cast<double>(bits);
}

std::string_view PickleReader::line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos)
    builder_.fail("a line does not end: the pickle is truncated or damaged");
  const std::string_view text = take(end - at_);
  ++at_;
  return text;
}

std::optional<int64_t> int_from_bytes(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const bool negative = static_cast<unsigned char>(bytes.back()) & 0x80;
  uint64_t value = negative ? UINT64_MAX : 0;
  for (size_t i = bytes.size(); i-- > 0;) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i >= 8 && byte != (negative ? 0xff : 0)) return std::nullopt;
    value = value << 8 | byte;
  }
  if ((static_cast<int64_t>(value) < 0) != negative) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::optional<int64_t> int_from_text(std::string_view text) {
  return whole_number<int64_t>(text);
}

std::optional<double> double_from_text(std::string_view text) {
  return whole_number<double>(text);
}

std::optional<std::string> string_from_text(std::string_view text) {
  if (text.size() < 2 || text.front() != text.back() ||
      (text.front() != '\'' && text.front() != '"'))
    return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::string out;
  constexpr std::string_view kEscapes = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    if (const size_t known = kEscapes.find(text[i]);
        known != std::string_view::npos) {
      out += kMeanings[known];
      continue;
    }
    const bool hex = text[i] == 'x';
    const auto code =
        hex ? digits(text.substr(i + 1), 2, 16) : digits(text.substr(i), 3, 8);
    if (!code) return std::nullopt;
    out += static_cast<char>(*code);
    i += 2;
  }
  return out;
}

std::optional<std::string> unicode_from_text(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char kind = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : 0;
    if (kind != 'u' && kind != 'U') {
      append_utf8(out, static_cast<unsigned char>(text[i]));
      continue;
    }
    const size_t count = kind == 'u' ? 4 : 8;
    const auto code = digits(text.substr(i + 2), count, 16);
    if (!code || *code > 0x10ffff) return std::nullopt;
    append_utf8(out, *code);
    i += 1 + count;
  }
  return out;
}

}  // namespace lathe::io
