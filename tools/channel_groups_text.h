// A model's channel groups for people and for programs.
#pragma once

#include <string>

#include "passes/base/json.h"
#include "passes/prune/channel_groups.h"

namespace lathe::cli {

// A table, and what could not be followed.
std::string groups_text(const prune::ChannelGroups& groups);

// [{"name", "kind", "units", "computed_by", "read_by", "rescaling"}], with
// "frozen" where no unit can go; nodes as {"node", "operator", "weight",
// "axis"}.
Json groups_json(const prune::ChannelGroups& groups);
// [{"node", "reason"}] of operators that could not be followed.
Json remarks_json(const prune::ChannelGroups& groups);

// A Graphviz file: the nodes with weights, and between them the groups, each in
// a colour, frozen ones grey.
std::string groups_dot(const prune::ChannelGroups& groups,
                       const std::string& title);

}  // namespace lathe::cli
