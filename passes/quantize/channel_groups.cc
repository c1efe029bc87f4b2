// From each product with constant weights, the values that its input is tied to
// are collected through operators that scale with their input, forward and
// back, until something takes in the factors or forbids them.
#include "passes/quantize/channel_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include "passes/quantize/channel_sites.h"

namespace lathe::quantize {
namespace {

// More are taken for damage, as are offsets beyond.
constexpr int64_t kMostChannels = int64_t{1} << 24;

// To find how many elements make a channel.
constexpr int kMostAttempts = 4;

class Finder {
 public:
  explicit Finder(ir::Graph& graph) : graph_(graph) {}

  std::vector<ChannelGroup> find() {
    for (ir::Node* node : graph_.node_list()) {
      ir::Value* x = node->input(0);
      if (!x || x->has_initializer() || of_.contains(x)) continue;
      const int64_t axis = channel_axis(*node, *x);
      if (axis >= 0) collect({x, {axis}});
    }
    std::erase_if(groups_, [](const ChannelGroup& group) {
      const bool computed =
          std::ranges::any_of(group.members, [](const ChannelMember& member) {
            return member.value->producer() != nullptr;
          });
      const bool single = group.channels < 2 && group.frozen.empty();
      return !group.reader || single || !computed;
    });
    return std::move(groups_);
  }

 private:
  struct Place {
    size_t group;
    ChannelAxis at;
  };

  // Along which a product reads x; -1 for other nodes.
  static int64_t channel_axis(const ir::Node& node, const ir::Value& x) {
    if (node.is("Conv") || node.is("ConvTranspose")) return 1;
    if (node.is("Gemm")) return node.attr_int("transA", 0) ? 0 : 1;
    return node.is("MatMul") ? rank_of(x) - 1 : -1;
  }

  void collect(ChannelMember start) {
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
      joined_ = 1;
      groups_.emplace_back();
      reach(start.value, start.at);
      while (!waiting_.empty()) {
        const ChannelMember member = waiting_.back();
        waiting_.pop_back();
        follow(member);
      }
      // A channel may turn out to be several elements of the product's input.
      if (joined_ == 1 || attempt + 1 == kMostAttempts) break;
      for (const ChannelMember& member : groups_.back().members)
        of_.erase(member.value);
      groups_.pop_back();
      start.at.inner *= joined_;
    }
    count_channels(groups_.back());
  }

  void freeze(std::string reason) {
    std::string& frozen = groups_.back().frozen;
    if (frozen.empty()) frozen = std::move(reason);
  }

  // Notes that the value has channels at `at`.
  void reach(ir::Value* value, const ChannelAxis& at) {
    const auto [found, is_new] =
        of_.try_emplace(value, Place{groups_.size() - 1, at});
    if (is_new) {
      groups_.back().members.push_back({value, at});
      waiting_.push_back({value, at});
    } else if (found->second.group != groups_.size() - 1 ||
               found->second.at != at) {
      freeze(fmt::format("'{}' has to keep two orders of channels",
                         value->name()));
      ChannelGroup& other = groups_[found->second.group];
      if (other.frozen.empty()) other.frozen = groups_.back().frozen;
    }
  }

  void follow(const ChannelMember& member) {
    ir::Value& value = *member.value;
    const int64_t extent = extent_of(value, member.at.axis);
    if (value.type.elem != ir::DataType::kFloat || extent < 1 ||
        extent > kMostChannels || extent % member.at.inner != 0 ||
        std::abs(member.at.offset) > kMostChannels)
      return freeze(
          fmt::format("'{}' is not known to be float with a fixed number of "
                      "channels",
                      value.name()));
    if (value.is_graph_output())
      freeze(fmt::format("'{}' is an output of the model", value.name()));
    if (value.producer())
      follow_producer(*value.producer(), value, member.at);
    else
      freeze(fmt::format("'{}' is an input of the model", value.name()));
    for (const ir::Use& use : value.uses()) follow_use(use, member.at);
  }

  void follow_producer(ir::Node& node, const ir::Value& value,
                       const ChannelAxis& at) {
    if (value.producer_index() == 0)
      if (const auto absorbed = absorbed_by_producer(node, at)) {
        ChannelGroup& group = groups_.back();
        if (!absorbed->sites.empty())
          group.sources.push_back(absorbed->sites.front());
        group.normalized |= !absorbed->is_product;
        return take(*absorbed, node);
      }
    const std::vector<size_t> inputs = scaled_inputs(node);
    if (inputs.empty() || (value.producer_index() > 0 && !node.is("Split")))
      return freeze(fmt::format("{} computes it", node.label()));
    for (size_t input : inputs) {
      ir::Value* operand = node.input(input);
      if (!operand) continue;
      if (operand->is_constant())
        take(absorbed_by_operand(node, input, at), node);
      else
        pass_on(node, input, value.producer_index(), at, /*forward=*/false);
    }
  }

  void follow_use(const ir::Use& use, const ChannelAxis& at) {
    ir::Node& node = *use.node;
    if (reads_shape_only(node)) return;
    if (&node.graph() != &graph_)
      return freeze(fmt::format("{} in a subgraph reads it", node.label()));
    if (const auto absorbed = absorbed_by_reader(node, use.index, at)) {
      ChannelGroup& group = groups_.back();
      if (absorbed->is_product && !group.reader) group.reader = &node;
      if (absorbed->is_product && absorbed->refusal.empty())
        group.products.push_back(absorbed->sites.front());
      return take(*absorbed, node);
    }
    if (!std::ranges::count(scaled_inputs(node), use.index))
      return freeze(fmt::format("{} reads it", node.label()));
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      ir::Value* output = node.output(i);
      if (!output || (i > 0 && !node.is("Split"))) continue;
      pass_on(node, use.index, i, at, /*forward=*/true);
    }
  }

  void pass_on(ir::Node& node, size_t input, size_t output,
               const ChannelAxis& at, bool forward) {
    const auto carried = carry(node, input, output, at, forward);
    if (carried)
      return reach(forward ? node.output(output) : node.input(input), *carried);
    joined_ =
        std::max(joined_, joined_channels(node, input, output, at, forward));
    freeze(fmt::format("its channels cannot be followed through {}",
                       node.label()));
  }

  void take(const Absorption& absorbed, const ir::Node& node) {
    if (!absorbed.refusal.empty())
      return freeze(fmt::format("{} reads or computes it, and {}", node.label(),
                                absorbed.refusal));
    for (const ScaleSite& site : absorbed.sites)
      groups_.back().sites.push_back(site);
  }

  // Channels from 0 on, without gaps: members overlap where they meet.
  static void count_channels(ChannelGroup& group) {
    int64_t first = INT64_MAX, end = INT64_MIN;
    for (const ChannelMember& member : group.members) {
      const int64_t extent =
          std::min(extent_of(*member.value, member.at.axis), kMostChannels);
      first = std::min(first, member.at.offset);
      end = std::max(end, member.at.offset + extent / member.at.inner);
    }
    group.channels = end - first;
    const auto shift = [&](ChannelAxis& at) { at.offset -= first; };
    for (ChannelMember& member : group.members) shift(member.at);
    for (auto* sites : {&group.sites, &group.products, &group.sources})
      for (ScaleSite& site : *sites) shift(site.at);
  }

  ir::Graph& graph_;
  std::vector<ChannelGroup> groups_;  // the last is the one being collected
  std::unordered_map<const ir::Value*, Place> of_;
  std::vector<ChannelMember> waiting_;
  int64_t joined_ = 1;  // elements that have to be one channel
};

}  // namespace

std::vector<ChannelGroup> find_channel_groups(ir::Graph& graph) {
  return Finder(graph).find();
}

ChannelGroup readers_only(const ChannelMember& member) {
  ChannelGroup group;
  group.needs_mul = true;
  ir::Value& value = *member.value;
  const ChannelAxis at{member.at.axis};
  group.members.push_back({&value, at});
  group.channels = extent_of(value, at.axis);
  for (const ir::Use& use : value.uses()) {
    if (&use.node->graph() != &value.graph()) continue;
    const auto absorbed = absorbed_by_reader(*use.node, use.index, at);
    if (!absorbed || !absorbed->is_product || !absorbed->refusal.empty())
      continue;
    if (!group.reader) group.reader = use.node;
    group.sites.push_back(absorbed->sites.front());
    group.products.push_back(absorbed->sites.front());
  }
  return group;
}

}  // namespace lathe::quantize
