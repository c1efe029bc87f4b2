#include "passes/base/json_schema.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe {
namespace {

// A value as a message shows it: short, on one line.
std::string show(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  if (type == "integer") {
    if (value.is_number_integer()) return true;
    if (!value.is_number_float()) return false;
    const double number = value.get<double>();
    return std::abs(number) <= 9007199254740992.0 &&
           number == static_cast<double>(static_cast<int64_t>(number));
  }
  throw_internal("JSON Schema", fmt::format("unknown type '{}'", type));
}

std::vector<std::string> string_list(const Json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  return value.get<std::vector<std::string>>();
}

bool type_matches(const Json& value, const Json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return true;
  for (const std::string& name : string_list(*type))
    if (has_type(value, name)) return true;
  return false;
}

const std::set<std::string>& known_keywords() {
  static const std::set<std::string> kKeywords = {
      "type",        "enum",
      "const",       "properties",
      "required",    "additionalProperties",
      "items",       "minProperties",
      "minItems",    "maxItems",
      "uniqueItems", "minimum",
      "maximum",     "exclusiveMinimum",
      "minLength",   "exclusiveMaximum",
      "maxLength",   "pattern",
      "oneOf",       "anyOf",
      "allOf",       "if",
      "then",        "else",
      "$ref",        "$defs",
      "$schema",     "$id",
      "title",       "description",
      "default",     "examples",
      "$comment"};
  return kKeywords;
}

class Validator {
 public:
  Validator(const JsonText& text, const Json& schema)
      : text_(text), schema_(schema) {}

  void check(const Json& value, const Json& schema, const std::string& pointer,
             int depth = 0) {
    if (depth > 256)
      throw_internal("JSON Schema", "references that do not end");
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) add(pointer, "nothing is allowed here");
      return;
    }
    for (const auto& [keyword, unused] : schema.items())
      if (!known_keywords().contains(keyword))
        throw_internal("JSON Schema",
                       fmt::format("keyword '{}' is not checked", keyword));
    if (const auto ref = schema.find("$ref"); ref != schema.end())
      check(value, resolve(ref->get<std::string>()), pointer, depth + 1);
    if (!type_matches(value, schema)) {
      const std::vector<std::string> types = string_list(schema.at("type"));
      add(pointer, fmt::format("expected {}, found {}", join(types, " or "),
                               describe(value)));
      return;  // what follows from the type would only repeat this
    }
    check_values(value, schema, pointer);
    if (value.is_number()) check_number(value, schema, pointer);
    if (value.is_string()) check_string(value, schema, pointer);
    if (value.is_array()) check_array(value, schema, pointer, depth);
    if (value.is_object()) check_object(value, schema, pointer, depth);
    check_combinations(value, schema, pointer, depth);
  }

  std::vector<std::string> take() { return std::move(errors_); }

 private:
  void add(const std::string& pointer, const std::string& message) {
    std::string line = text_.where(pointer) + ": " + message;
    // Two branches of a schema may find the same thing.
    if (std::find(errors_.begin(), errors_.end(), line) == errors_.end())
      errors_.push_back(std::move(line));
  }

  static std::string describe(const Json& value) {
    if (value.is_object()) return "an object";
    if (value.is_array()) return "an array";
    if (value.is_null()) return "null";
    return fmt::format("{} {}", value.type_name(), show(value));
  }

  const Json& resolve(const std::string& reference) const {
    if (!reference.starts_with("#"))
      throw_internal("JSON Schema",
                     fmt::format("reference '{}' is not local", reference));
    try {
      return schema_.at(Json::json_pointer(reference.substr(1)));
    } catch (const Json::exception&) {
      throw_internal("JSON Schema",
                     fmt::format("reference '{}' leads nowhere", reference));
    }
  }

  void check_values(const Json& value, const Json& schema,
                    const std::string& pointer) {
    if (const auto only = schema.find("const");
        only != schema.end() && *only != value)
      add(pointer,
          fmt::format("expected {}, found {}", show(*only), show(value)));
    const auto allowed = schema.find("enum");
    if (allowed == schema.end()) return;
    std::vector<std::string> shown, names;
    for (const Json& one : *allowed) {
      if (one == value) return;
      shown.push_back(show(one));
      if (one.is_string()) names.push_back(one.get<std::string>());
    }
    std::string message =
        fmt::format("{} is not one of {}", show(value), join(shown, ", "));
    if (value.is_string())
      message += did_you_mean(value.get<std::string>(), names);
    add(pointer, message);
  }

  void check_number(const Json& value, const Json& schema,
                    const std::string& pointer) {
    const double number = value.get<double>();
    const auto bound = [&](const char* keyword, auto broken,
                           const char* wanted) {
      const auto limit = schema.find(keyword);
      if (limit != schema.end() && broken(number, limit->get<double>()))
        add(pointer, fmt::format("{} is out of range, expected {} {}",
                                 show(value), wanted, show(*limit)));
    };
    bound("minimum", std::less<double>(), "at least");
    bound("maximum", std::greater<double>(), "at most");
    bound("exclusiveMinimum", std::less_equal<double>(), "more than");
    bound("exclusiveMaximum", std::greater_equal<double>(), "less than");
  }

  void check_string(const Json& value, const Json& schema,
                    const std::string& pointer) {
    const std::string& text = value.get_ref<const std::string&>();
    if (const size_t least = schema.value("minLength", size_t{0});
        text.size() < least)
      add(pointer, least == 1
                       ? "the text is empty"
                       : fmt::format("expected at least {} characters", least));
    if (const size_t most = schema.value("maxLength", SIZE_MAX);
        text.size() > most)
      add(pointer, fmt::format("expected at most {} characters, found {}", most,
                               text.size()));
    if (const auto pattern = schema.find("pattern");
        pattern != schema.end() && text.size() <= 4096 &&
        !std::regex_search(text, std::regex(pattern->get<std::string>(),
                                            std::regex::ECMAScript)))
      add(pointer, fmt::format("{} does not match {}", show(value),
                               pattern->get<std::string>()));
  }

  void check_array(const Json& value, const Json& schema,
                   const std::string& pointer, int depth) {
    const size_t least = schema.value("minItems", size_t{0});
    const size_t most = schema.value("maxItems", SIZE_MAX);
    if (value.size() < least || value.size() > most) {
      std::string wanted = fmt::format("{}", least);
      if (least != most)
        wanted = value.size() < least ? fmt::format("at least {}", least)
                                      : fmt::format("at most {}", most);
      add(pointer,
          fmt::format("expected {} items, found {}", wanted, value.size()));
    }
    if (schema.value("uniqueItems", false))
      for (size_t i = 1; i < value.size(); ++i)
        if (std::find(value.begin(), value.begin() + i, value[i]) !=
            value.begin() + i)
          add(fmt::format("{}/{}", pointer, i),
              fmt::format("{} stands in the list twice", show(value[i])));
    if (const auto items = schema.find("items"); items != schema.end())
      for (size_t i = 0; i < value.size(); ++i)
        check(value[i], *items, fmt::format("{}/{}", pointer, i), depth + 1);
  }

  void check_object(const Json& value, const Json& schema,
                    const std::string& pointer, int depth) {
    static const Json kNone = Json::object();
    const auto found = schema.find("properties");
    const Json& properties = found == schema.end() ? kNone : *found;
    const auto rest = schema.find("additionalProperties");
    std::vector<std::string> names;
    for (const auto& [name, unused] : properties.items()) names.push_back(name);
    for (const auto& [key, item] : value.items()) {
      const std::string place = pointer + "/" + escape_pointer_token(key);
      if (const auto property = properties.find(key);
          property != properties.end()) {
        check(item, *property, place, depth + 1);
      } else if (rest != schema.end() && rest->is_boolean()) {
        if (rest->get<bool>()) continue;
        std::string message = fmt::format("unknown key '{}'", key);
        const std::string nearest = did_you_mean(key, names);
        if (!nearest.empty())
          message += nearest;
        else if (!names.empty())
          message += "; expected one of " + join(names, ", ");
        add(place, message);
      } else if (rest != schema.end()) {
        check(item, *rest, place, depth + 1);
      }
    }
    if (const auto required = schema.find("required"); required != schema.end())
      for (const std::string& name : string_list(*required))
        if (!value.contains(name))
          add(pointer, fmt::format("key '{}' is missing", name));
    if (value.size() < schema.value("minProperties", size_t{0}))
      add(pointer,
          fmt::format("expected at least {} keys, found {}",
                      schema["minProperties"].get<size_t>(), value.size()));
  }

  bool fits(const Json& value, const Json& schema, const std::string& pointer,
            int depth) {
    Validator inner(text_, schema_);
    inner.check(value, schema, pointer, depth + 1);
    return inner.errors_.empty();
  }

  void check_combinations(const Json& value, const Json& schema,
                          const std::string& pointer, int depth) {
    if (const auto all = schema.find("allOf"); all != schema.end())
      for (const Json& one : *all) check(value, one, pointer, depth + 1);
    if (const auto any = schema.find("anyOf"); any != schema.end())
      check_alternatives(value, *any, /*exactly_one=*/false, pointer, depth);
    if (const auto one = schema.find("oneOf"); one != schema.end())
      check_alternatives(value, *one, /*exactly_one=*/true, pointer, depth);
    if (const auto condition = schema.find("if"); condition != schema.end()) {
      const auto branch = schema.find(
          fits(value, *condition, pointer, depth) ? "then" : "else");
      if (branch != schema.end()) check(value, *branch, pointer, depth + 1);
    }
  }

  void check_alternatives(const Json& value, const Json& alternatives,
                          bool exactly_one, const std::string& pointer,
                          int depth) {
    size_t fitting = 0;
    std::vector<const Json*> of_its_type;
    std::vector<std::string> types;
    for (const Json& alternative : alternatives) {
      if (fits(value, alternative, pointer, depth)) ++fitting;
      const Json& target = alternative.contains("$ref")
                               ? resolve(alternative["$ref"].get<std::string>())
                               : alternative;
      if (type_matches(value, target)) of_its_type.push_back(&target);
      if (target.contains("type"))
        for (const std::string& type : string_list(target["type"]))
          if (std::find(types.begin(), types.end(), type) == types.end())
            types.push_back(type);
    }
    if (fitting == 1 || (fitting > 1 && !exactly_one)) return;
    if (fitting > 1) {
      add(pointer, "fits more than one of the allowed forms");
    } else if (of_its_type.size() == 1) {
      check(value, *of_its_type.front(), pointer, depth + 1);
    } else if (of_its_type.empty()) {
      add(pointer, fmt::format("expected {}, found {}", join(types, " or "),
                               describe(value)));
    } else {
      add(pointer,
          fmt::format("{} fits none of the allowed forms", show(value)));
    }
  }

  const JsonText& text_;
  const Json& schema_;
  std::vector<std::string> errors_;
};

}  // namespace

std::vector<std::string> validate_schema(const JsonText& text,
                                         const std::string& pointer,
                                         const char* schema_text) {
  const Json schema = Json::parse(schema_text);
  Validator validator(text, schema);
  validator.check(text.root().at(Json::json_pointer(pointer)), schema, pointer);
  return validator.take();
}

}  // namespace lathe
