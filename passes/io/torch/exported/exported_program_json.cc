#include "passes/io/torch/exported/exported_program_json.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/json.h"

namespace lathe::io::exported {
namespace {

constexpr int kMaxDepth = 1000;

std::string what_it_is(const nlohmann::json& json) {
  if (json.is_null()) return "null";
  if (json.is_boolean()) return json.get<bool>() ? "true" : "false";
  if (json.is_number()) return "the number " + json.dump();
  if (json.is_array()) return "a list";
  if (json.is_object()) return "an object";
  const auto& text = json.get_ref<const std::string&>();
  return "the text \"" + text.substr(0, 60) + (text.size() > 60 ? "…" : "") +
         "\"";
}

// json.dumps of Python writes numbers that JSON lacks.
std::string quote_python_numbers(std::string text) {
  std::string out;
  bool in_string = false;
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
      continue;
    }
    if (text[i] == '"') in_string = !in_string;
    if (in_string || (text[i] != 'N' && text[i] != 'I' && text[i] != '-'))
      continue;
    const std::string_view rest = std::string_view(text).substr(i);
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (!rest.starts_with(word)) continue;
      out += text.substr(copied, i - copied) + '"' + std::string(word) + '"';
      copied = i + word.size();
      i = copied - 1;
      break;
    }
  }
  if (copied == 0) return text;
  return out + text.substr(copied);
}

}  // namespace

std::string JsonField::where() const {
  return pointer_.empty() ? *file_ : *file_ + ": " + pointer_;
}

void JsonField::fail(const std::string& what, const std::string& hint) const {
  throw_input(where(), what, hint);
}

void JsonField::fail_expected(const std::string& expected) const {
  fail(fmt::format("{} was expected, but this is {}", expected,
                   what_it_is(*json_)));
}

std::optional<JsonField> JsonField::find(std::string_view key) const {
  if (!json_->is_object()) fail_expected("an object");
  const auto found = json_->find(key);
  if (found == json_->end() || found->is_null()) return std::nullopt;
  return JsonField(*found, *file_, pointer_ + "/" + escape_pointer_token(key));
}

JsonField JsonField::at(std::string_view key) const {
  std::optional<JsonField> field = find(key);
  if (!field) fail(fmt::format("the key \"{}\" is missing", key));
  return *std::move(field);
}

std::vector<std::pair<std::string, JsonField>> JsonField::members() const {
  if (!json_->is_object()) fail_expected("an object");
  std::vector<std::pair<std::string, JsonField>> fields;
  for (const auto& [key, value] : json_->items())
    if (!value.is_null())
      fields.emplace_back(
          key,
          JsonField(value, *file_, pointer_ + "/" + escape_pointer_token(key)));
  return fields;
}

std::pair<std::string, JsonField> JsonField::variant() const {
  auto fields = members();
  if (fields.size() != 1)
    fail(fmt::format("an object with one key was expected, but this has {}",
                     fields.size()));
  return std::move(fields[0]);
}

size_t JsonField::size() const {
  if (!json_->is_array()) fail_expected("a list");
  return json_->size();
}

JsonField JsonField::at(size_t index) const {
  if (index >= size())
    fail(fmt::format("a list of more than {} items was expected", index));
  return {(*json_)[index], *file_, pointer_ + "/" + std::to_string(index)};
}

std::vector<JsonField> JsonField::items() const {
  std::vector<JsonField> fields;
  const size_t count = size();
  fields.reserve(count);
  for (size_t i = 0; i < count; ++i) fields.push_back(at(i));
  return fields;
}

bool JsonField::is_object() const { return json_->is_object(); }

const std::string& JsonField::text() const {
  if (!json_->is_string()) fail_expected("a text");
  return json_->get_ref<const std::string&>();
}

int64_t JsonField::integer() const {
  const bool too_large =
      json_->is_number_unsigned() &&
      json_->get<uint64_t>() >
          static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!json_->is_number_integer() || too_large)
    fail_expected("an integer of 64 bits");
  return json_->get<int64_t>();
}

double JsonField::real() const {
  if (json_->is_number()) return json_->get<double>();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (json_->is_string()) {
    if (text() == "Infinity") return kInfinity;
    if (text() == "-Infinity") return -kInfinity;
    if (text() == "NaN") return std::numeric_limits<double>::quiet_NaN();
  }
  fail_expected("a number");
}

bool JsonField::flag() const {
  if (!json_->is_boolean()) fail_expected("true or false");
  return json_->get<bool>();
}

JsonFile::JsonFile(std::string text, std::string file)
    : root_(std::make_unique<nlohmann::json>()),
      file_(std::make_unique<std::string>(std::move(file))) {
  text = quote_python_numbers(std::move(text));
  const auto bounded = [&](int depth, nlohmann::json::parse_event_t,
                           nlohmann::json&) {
    if (depth > kMaxDepth)
      throw_input(*file_,
                  fmt::format("values nest deeper than {} levels", kMaxDepth));
    return true;
  };
  try {
    *root_ = nlohmann::json::parse(text, bounded);
  } catch (const nlohmann::json::parse_error& error) {
    throw_input(*file_, fmt::format("not valid JSON at byte {}",
                                    error.byte > 0 ? error.byte - 1 : 0));
  } catch (const nlohmann::json::exception&) {
    throw_input(*file_, "not valid JSON: a number is out of range");
  }
}

JsonFile::JsonFile(JsonFile&&) noexcept = default;
JsonFile::~JsonFile() = default;

}  // namespace lathe::io::exported
