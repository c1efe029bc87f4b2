// Numbers, texts and lists as bytes, for processes of one program.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "passes/base/error.h"

namespace lathe {

template <class T>
concept PlainValue = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class ByteWriter {
 public:
  template <PlainValue T>
  void add(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <PlainValue T>
  void add(std::span<const T> values) {
    add(values.size());
    bytes_.append(reinterpret_cast<const char*>(values.data()),
                  values.size_bytes());
  }
  void add(std::string_view text) { add(std::span<const char>(text)); }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what a ByteWriter wrote, in its order. Error kInternal where the bytes
// end before.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <PlainValue T>
  T next() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  template <PlainValue T>
  std::vector<T> next_list() {
    const auto count = next<size_t>();
    if (count > rest_.size() / sizeof(T)) ended();
    std::vector<T> values(count);
    if (count > 0)
      std::memcpy(values.data(), take(count * sizeof(T)), count * sizeof(T));
    return values;
  }
  std::string next_text() {
    const std::vector<char> letters = next_list<char>();
    return std::string(letters.begin(), letters.end());
  }

 private:
  [[noreturn]] static void ended() {
    throw_internal("byte stream", "it ends before what is read from it");
  }
  const char* take(size_t count) {
    if (count > rest_.size()) ended();
    const char* from = rest_.data();
    rest_.remove_prefix(count);
    return from;
  }

  std::string_view rest_;
};

}  // namespace lathe
