#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "recipes/recipe.h"

namespace lathe::recipes {
namespace {

[[noreturn]] void throw_usage(const Override& one, const std::string& what) {
  throw Error(ErrorKind::kUsage, "--set " + one.pointer, what,
              "the form is --set /json/pointer=value");
}

// "~1" -> "/", "~0" -> "~" (RFC 6901).
std::string unescape(const std::string& token, const Override& one) {
  std::string text;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      text += token[i];
      continue;
    }
    const char next = i + 1 < token.size() ? token[i + 1] : '\0';
    if (next != '0' && next != '1')
      throw_usage(one, "a '~' must be written '~0', a '/' in a key '~1'");
    text += next == '1' ? '/' : '~';
    ++i;
  }
  return text;
}

// The element that `token` names, made where it may be made.
Json& step(Json& at, const std::string& token, const Override& one) {
  if (at.is_null()) at = Json::object();
  if (at.is_object()) return at[token];
  if (!at.is_array())
    throw_usage(one, fmt::format("'{}' leads into a {}, which has no members",
                                 token, at.type_name()));
  if (token == "-") return at.emplace_back();
  size_t index = 0;
  const char* end = token.data() + token.size();
  const auto [stop, error] = std::from_chars(token.data(), end, index);
  if (error != std::errc() || stop != end || index > at.size())
    throw_usage(
        one, fmt::format("'{}' is no place in a list of {}", token, at.size()));
  return index == at.size() ? at.emplace_back() : at[index];
}

}  // namespace

Override parse_override(std::string_view text) {
  const size_t equals = text.find('=');
  Override one{std::string(text.substr(0, equals)), ""};
  if (equals == std::string_view::npos) throw_usage(one, "the '=' is missing");
  if (!one.pointer.starts_with("/"))
    throw_usage(one, "a JSON Pointer starts with '/'");
  one.value = std::string(text.substr(equals + 1));
  return one;
}

void apply_override(Json& recipe, const Override& override_) {
  Json* at = &recipe;
  for (const std::string& token :
       split(std::string_view(override_.pointer).substr(1), '/'))
    at = &step(*at, unescape(token, override_), override_);
  Json value = Json::parse(override_.value, /*cb=*/nullptr,
                           /*allow_exceptions=*/false);
  *at = value.is_discarded() ? Json(override_.value) : std::move(value);
}

}  // namespace lathe::recipes
