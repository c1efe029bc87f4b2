// The bytes of a pickle: opcodes and their arguments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "passes/io/torch/archive/pickle_builder.h"

namespace lathe::io {

// Fails through `builder` where the bytes end or do not parse.
class PickleReader {
 public:
  PickleReader(std::string_view bytes, const PickleBuilder& builder)
      : bytes_(bytes), builder_(builder) {}

  size_t offset() const { return at_; }
  std::string_view take(uint64_t count);
  // Little-endian, `count` bytes (8 at most).
  uint64_t number(int count);
  int64_t signed_number(int count);
  // As many bytes as a number of `count` bytes before them says.
  std::string_view counted(int count) { return take(number(count)); }
  double big_endian_double();
  // Up to the next newline, which is left out.
  std::string_view line();

 private:
  std::string_view bytes_;
  size_t at_ = 0;
  const PickleBuilder& builder_;
};

// Little-endian two's complement; nullopt beyond 64 bits.
std::optional<int64_t> int_from_bytes(std::string_view bytes);
// Protocol 0's literals; nullopt for what is none.
std::optional<int64_t> int_from_text(std::string_view text);
std::optional<double> double_from_text(std::string_view text);
// A quoted string with Python 2's escapes.
std::optional<std::string> string_from_text(std::string_view text);
// Python's raw-unicode-escape, as UTF-8.
std::optional<std::string> unicode_from_text(std::string_view text);

}  // namespace lathe::io
