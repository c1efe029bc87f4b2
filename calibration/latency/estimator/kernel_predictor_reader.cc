#include "calibration/latency/estimator/kernel_predictor_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"

namespace lathe::latency {
namespace {

std::string short_dump(const Json& json) {
  std::string text = json.dump();
  if (text.size() > 40) text = text.substr(0, 37) + "...";
  return text;
}

}  // namespace

std::string shown(double number) { return fmt::format("{}", number); }

void Reader::fail(const std::string& what, const std::string& hint) const {
  throw_input(text_.where(pointer_), what, hint);
}

void Reader::expected(const std::string& what) const {
  fail("found " + short_dump(json_) + ", expected " + what);
}

bool Reader::has(const std::string& key) const {
  if (!json_.is_object()) expected("an object");
  return json_.contains(key);
}

Reader Reader::at(const std::string& key) const {
  if (!json_.is_object()) expected("an object");
  auto found = json_.find(key);
  if (found == json_.end())
    fail("the key '" + key + "' is missing",
         "a profile is written by 'lathe profile' and not edited");
  return {text_, *found, pointer_ + "/" + escape_pointer_token(key)};
}

Reader Reader::at(size_t index) const {
  return {text_, json_[index], pointer_ + "/" + std::to_string(index)};
}

double Reader::number(double low, double high) const {
  double value = json_.is_number() ? json_.get<double>() : NAN;
  if (!(value >= low && value <= high))
    expected("a number from " + shown(low) + " to " + shown(high));
  return value;
}

int64_t Reader::integer(int64_t low, int64_t high) const {
  bool whole = json_.is_number_integer() &&
               json_.get<double>() >= static_cast<double>(low) &&
               json_.get<double>() <= static_cast<double>(high);
  if (!whole)
    expected("a whole number from " + std::to_string(low) + " to " +
             std::to_string(high));
  return json_.get<int64_t>();
}

std::string Reader::string() const {
  if (!json_.is_string()) expected("a string");
  return json_.get<std::string>();
}

size_t Reader::array(size_t least, size_t most) const {
  if (!json_.is_array() || json_.size() < least || json_.size() > most)
    expected("a list of " + std::to_string(least) + " to " +
             std::to_string(most) + " values");
  return json_.size();
}

const std::string& Reader::text_of_numbers() const {
  if (!json_.is_string()) expected("a text of numbers");
  return json_.get_ref<const std::string&>();
}

void Reader::check_count(size_t count, size_t least, size_t most) const {
  if (count >= least && count <= most) return;
  std::string range = std::to_string(least);
  if (least != most) range += " to " + std::to_string(most);
  fail("found " + std::to_string(count) + (count > most ? " or more" : "") +
       " numbers in this text, expected " + range);
}

}  // namespace lathe::latency
