#include "tools/plan_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "passes/base/json.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

constexpr size_t kRows = 20;

}  // namespace

std::string plan_table(const recipes::StageReport& stage) {
  if (stage.plan.empty()) return "";
  const Json plan = Json::parse(stage.plan);
  const Json groups = plan.value("groups", Json::array());
  Table table({stage.name, "kept", "of"});
  size_t narrowed = 0;
  for (const Json& group : groups) {
    if (group.at("kept") == group.at("units") || ++narrowed > kRows) continue;
    table.add({group.at("name").get<std::string>(), group.at("kept").dump(),
               group.at("units").dump()});
  }
  std::string text =
      fmt::format("\n{} of {} groups lose units", narrowed, groups.size());
  if (const size_t blocks = plan.value("removed_blocks", Json::array()).size();
      blocks > 0)
    text += fmt::format(", {} block{} removed", blocks,
                        blocks == 1 ? " is" : "s are");
  text += "\n";
  if (narrowed > 0) text += table.text();
  if (narrowed > kRows) text += fmt::format("… {} more\n", narrowed - kRows);
  return text;
}

}  // namespace lathe::cli
