// Values of a stored predictor, each with its place. Internal to the estimator.
#pragma once

#include <charconv>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "passes/base/json.h"

namespace lathe::latency {

// Lists of numbers are stored as one text each: a document of a hundred
// thousand JSON numbers would take longer to read than all estimates.
template <class Numbers>
std::string packed(const Numbers& numbers) {
  std::string text;
  for (auto number : numbers) {
    char digits[32];
    auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    if (!text.empty()) text += ' ';
    text.append(digits, end);
  }
  return text;
}

// A number as messages show it.
std::string shown(double number);

// Reads one value and knows where it stands. Errors kInput with that place.
class Reader {
 public:
  Reader(const JsonText& text, const Json& json, std::string pointer)
      : text_(text), json_(json), pointer_(std::move(pointer)) {}

  const Json& json() const { return json_; }
  [[noreturn]] void fail(const std::string& what,
                         const std::string& hint = "") const;
  [[noreturn]] void expected(const std::string& what) const;
  bool has(const std::string& key) const;
  Reader at(const std::string& key) const;
  Reader at(size_t index) const;
  double number(double low, double high) const;
  int64_t integer(int64_t low, int64_t high) const;
  std::string string() const;
  size_t array(size_t least, size_t most) const;  // its length
  const std::string& text_of_numbers() const;

  // A text of numbers, each in [low, high].
  template <class T>
  std::vector<T> numbers(size_t least, size_t most, T low, T high) const {
    const std::string& text = text_of_numbers();
    std::vector<T> values;
    const char* at = text.data();
    const char* end = at + text.size();
    while (at != end) {
      T value{};
      auto [next, error] = std::from_chars(at, end, value);
      if (error != std::errc() || !(value >= low && value <= high) ||
          (next != end && *next != ' '))
        fail("number " + std::to_string(values.size() + 1) +
             " of this text is not a number from " +
             shown(static_cast<double>(low)) + " to " +
             shown(static_cast<double>(high)));
      values.push_back(value);
      if (values.size() > most) break;
      at = next == end ? end : next + 1;
    }
    check_count(values.size(), least, most);
    return values;
  }

 private:
  void check_count(size_t count, size_t least, size_t most) const;

  const JsonText& text_;
  const Json& json_;
  std::string pointer_;
};

}  // namespace lathe::latency
