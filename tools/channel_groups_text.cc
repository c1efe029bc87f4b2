#include "tools/channel_groups_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "passes/base/text.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

using prune::ChannelGroup;
using prune::WeightAxis;

constexpr size_t kNamesShown = 2;

// "a, b, c and 4 more", each once.
std::string names(const std::vector<WeightAxis>& axes) {
  std::vector<std::string> shown;
  for (const WeightAxis& axis : axes)
    if (std::find(shown.begin(), shown.end(), axis.node) == shown.end())
      shown.push_back(axis.node);
  if (shown.size() <= kNamesShown + 1) return join(shown, ", ");
  const size_t more = shown.size() - kNamesShown;
  shown.resize(kNamesShown);
  return fmt::format("{} and {} more", join(shown, ", "), more);
}

const char* mark(const ChannelGroup& group) {
  if (!group.frozen.empty()) return "frozen";
  return group.rescaling ? "rescaling" : "";
}

Json axes_json(const std::vector<WeightAxis>& axes) {
  Json json = Json::array();
  for (const WeightAxis& axis : axes)
    json.push_back({{"node", axis.node},
                    {"operator", axis.op_type},
                    {"weight", axis.weight},
                    {"axis", axis.axis}});
  return json;
}

}  // namespace

std::string groups_text(const prune::ChannelGroups& groups) {
  Table table({"group", "units", "kind", "", "computed by", "read by"},
              {2, 3, 4, 5});
  std::string reasons;
  for (const ChannelGroup& group : groups.groups()) {
    table.add({group.name, std::to_string(group.units),
               prune::to_string(group.kind), mark(group), names(group.sources),
               names(group.readers)});
    if (!group.frozen.empty())
      reasons += fmt::format("frozen {}: {}\n", group.name, group.frozen);
  }
  for (const Remark& remark : groups.remarks())
    reasons += fmt::format("not followed {}: {}\n", remark.node, remark.reason);
  const std::string shown =
      groups.groups().empty() ? "there are no channel groups\n" : table.text();
  return shown + (reasons.empty() ? "" : "\n") + reasons;
}

Json groups_json(const prune::ChannelGroups& groups) {
  Json json = Json::array();
  for (const ChannelGroup& group : groups.groups()) {
    Json one = {{"name", group.name},
                {"kind", prune::to_string(group.kind)},
                {"units", group.units},
                {"computed_by", axes_json(group.sources)},
                {"read_by", axes_json(group.readers)},
                {"rescaling", group.rescaling}};
    if (!group.frozen.empty()) one["frozen"] = group.frozen;
    json.push_back(std::move(one));
  }
  return json;
}

Json remarks_json(const prune::ChannelGroups& groups) {
  Json json = Json::array();
  for (const Remark& remark : groups.remarks())
    json.push_back({{"node", remark.node}, {"reason", remark.reason}});
  return json;
}

}  // namespace lathe::cli
