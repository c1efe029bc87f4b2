#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "tools/channel_groups_text.h"

namespace lathe::cli {
namespace {

using prune::ChannelGroup;
using prune::WeightAxis;

// A double-quoted string of the DOT language; line breaks as \n.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n')
      result += "\\n";
    else
      result += c;
  }
  return result + "\"";
}

// Hues far from each other's neighbours: steps of the golden ratio.
std::string colour(const ChannelGroup& group, size_t index) {
  if (!group.frozen.empty()) return "\"gray60\"";
  const double hue = std::fmod(0.618034 * static_cast<double>(index), 1.0);
  return fmt::format("\"{:.3f} 0.8 0.7\"", hue);
}

// First outputs of the nodes, each once, in order.
std::vector<std::string> ends(const std::vector<WeightAxis>& axes) {
  std::vector<std::string> results;
  std::set<std::string> seen;
  for (const WeightAxis& axis : axes)
    if (seen.insert(axis.result).second) results.push_back(axis.result);
  return results;
}

class Drawing {
 public:
  std::string draw(const prune::ChannelGroups& groups,
                   const std::string& title) {
    for (size_t i = 0; i < groups.groups().size(); ++i) {
      const ChannelGroup& group = groups.groups()[i];
      for (const auto* side : {&group.sources, &group.readers})
        for (const WeightAxis& axis : *side) add_node(axis);
      add_group(group, i);
    }
    return "digraph " + quoted(title) +
           " {\n  node [shape=box, fontname=\"sans-serif\"];\n"
           "  edge [fontname=\"sans-serif\"];\n" +
           nodes_ + edges_ + "}\n";
  }

 private:
  void add_node(const WeightAxis& axis) {
    if (!seen_.insert(axis.result).second) return;
    nodes_ += fmt::format("  {} [label={}];\n", quoted("node " + axis.result),
                          quoted(axis.node + "\n" + axis.op_type));
  }

  void add_edge(const std::string& from, const std::string& to,
                const std::string& attributes) {
    edges_ +=
        fmt::format("  {} -> {} [{}];\n", quoted(from), quoted(to), attributes);
  }

  // One edge where there is one source and one reader; else edges by way of a
  // node for the group, so that a residual stream is no bundle of crossings.
  void add_group(const ChannelGroup& group, size_t index) {
    const std::vector<std::string> from = ends(group.sources);
    const std::vector<std::string> to = ends(group.readers);
    const std::string label =
        fmt::format("{}\n{} {}{}", group.name, group.units,
                    prune::to_string(group.kind), group.units == 1 ? "" : "s");
    const std::string color = "color=" + colour(group, index);
    const std::string style =
        group.frozen.empty() ? color : color + ", style=dashed";
    if (from.size() == 1 && to.size() == 1)
      return add_edge("node " + from[0], "node " + to[0],
                      style + ", label=" + quoted(label));
    const std::string hub = "group " + group.name;
    nodes_ += fmt::format("  {} [shape=ellipse, {}, label={}];\n", quoted(hub),
                          style, quoted(label));
    for (const std::string& source : from)
      add_edge("node " + source, hub, style);
    for (const std::string& reader : to) add_edge(hub, "node " + reader, style);
  }

  std::set<std::string> seen_;
  std::string nodes_, edges_;
};

}  // namespace

std::string groups_dot(const prune::ChannelGroups& groups,
                       const std::string& title) {
  return Drawing().draw(groups, title);
}

}  // namespace lathe::cli
