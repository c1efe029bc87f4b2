// The observers in recipes.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "calibration/ranges/observer.h"
#include "recipes/pass_table.h"
#include "recipes/recipe.h"
#include "tests/recipes/error_text.h"

namespace lathe::recipes {
namespace {

std::string mistakes(const std::string& options) {
  const std::string text = R"({"schema_version": 1, "model": "m", "data": "d",
 "stages": [{"pass": "quantize_static", "options":
  )" + options + "}]}";
  return test::error_text([&] { parse(JsonText::parse(text, "r.json"), ""); });
}

TEST_CASE("recipe: the observers are those of the table") {
  const PassRow& row = *find_pass("quantize_static");
  const Json observer =
      Json::parse(row.options_schema).at("properties").at("observer");
  CHECK(observer.at("enum") == Json(ranges::observer_names()));
  const Json options = options_in_effect(row, Json::object());
  CHECK(options.at("observer") == ranges::default_observer().name);
  CHECK(options.at("percentile") == ObserverOptions{}.percentile);
  for (const std::string& name : ranges::observer_names())
    CHECK(mistakes(R"({"observer": ")" + name + R"(", "percentile": 99.9})") ==
          "(no error)");
}

TEST_CASE("recipe: mistakes about observers") {
  CHECK(mistakes(R"({"observer": "mean"})") ==
        "r.json:3:16: /stages/0/options/observer: \"mean\" is not one of "
        "\"min_max\", \"moving_average\", \"percentile\", \"entropy\", "
        "\"mse\"");
  CHECK(mistakes(R"({"percentile": 50})") ==
        "r.json:3:18: /stages/0/options/percentile: 50 is out of range, "
        "expected more than 50");
  CHECK(mistakes(R"({"percentile": 100.5})") ==
        "r.json:3:18: /stages/0/options/percentile: 100.5 is out of range, "
        "expected at most 100");
}

}  // namespace
}  // namespace lathe::recipes
