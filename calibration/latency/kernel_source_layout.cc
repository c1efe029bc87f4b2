#include "calibration/latency/kernel_source_layout.h"

#include <cctype>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "calibration/latency/kernel_describe.h"

namespace lathe::latency {
namespace {

constexpr std::string_view kNchwc = "com.microsoft.nchwc";
// No machine has wider blocks.
constexpr int64_t kWidestBlock = 16;

bool cut_suffix(std::string& name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  name.resize(name.size() - suffix.size());
  return true;
}

std::optional<int64_t> known_dim(const ir::Value* value, size_t axis) {
  if (!value || !value->type.shape || axis >= value->type.shape->size() ||
      !(*value->type.shape)[axis].known())
    return std::nullopt;
  return (*value->type.shape)[axis].value;
}

void set_dim(ir::Value* value, size_t axis, int64_t size) {
  if (value && value->type.shape && axis < value->type.shape->size())
    (*value->type.shape)[axis] = ir::Dim(size);
}

class Restorer {
 public:
  Restorer(ir::Model& optimized, const ir::Model& original)
      : graph_(*optimized.graph), original_(*original.graph) {}

  void run() {
    for (const auto& node : graph_.nodes()) {
      if (node->domain == kNchwc)
        visit_blocked(*node);
      else
        follow(*node);
    }
  }

 private:
  void visit_blocked(ir::Node& node) {
    if (node.op_type == "ReorderOutput") return;
    std::optional<int64_t> channels;
    if (node.op_type == "Conv")
      channels = conv_channels(node);
    else if (node.op_type == "ReorderInput")
      channels =
          known_dim(node.input(0), node.attr_int("channels_last", 0) ? 3 : 1);
    else
      channels = blocked_channels(node.input(0));
    if (!channels) channels = known_dim(node.output(), 1);
    if (!channels) return;
    if (node.op_type == "Conv") fit_weights(node, *channels);
    set(node, *channels);
  }

  // A plain operator between blocked ones works on blocks as they are.
  void follow(ir::Node& node) {
    // But for the axis that a broadcasting sum makes of the blocks.
    if (node.is("Reshape")) return;
    std::optional<int64_t> channels;
    for (const ir::Value* input : node.inputs()) {
      std::optional<int64_t> here = blocked_channels(input);
      if (!here) continue;
      channels = node.is("Concat") ? channels.value_or(0) + *here : *here;
    }
    if (channels && known_dim(node.output(), 1)) set(node, *channels);
  }

  void set(ir::Node& node, int64_t channels) {
    set_dim(node.output(), 1, channels);
    channels_[node.output()] = channels;
  }

  std::optional<int64_t> blocked_channels(const ir::Value* value) const {
    auto found = channels_.find(value);
    if (found == channels_.end()) return std::nullopt;
    return found->second;
  }

  std::optional<int64_t> conv_channels(const ir::Node& conv) const {
    std::optional<int64_t> padded = known_dim(conv.input(1), 0);
    if (!padded) return std::nullopt;
    auto fits = [&](std::optional<int64_t> channels) {
      return channels && *channels <= *padded &&
             *padded - *channels < kWidestBlock;
    };
    auto named = known_dim(original_.find(base_name(conv.name)), 1);
    if (fits(named)) return named;
    for (const ir::Use& use : conv.output()->uses()) {
      if (use.node->op_type != "ReorderOutput") continue;
      int64_t channels = use.node->attr_int("channels", 0);
      if (fits(channels)) return channels;
    }
    return padded;
  }

  void fit_weights(ir::Node& conv, int64_t channels) {
    int64_t group = conv.attr_int("group", 1);
    // A BatchNormalization becomes a Conv with a group a (padded) channel.
    if (group > channels) conv.set_attr("group", group = channels);
    set_dim(conv.input(1), 0, channels);
    set_dim(conv.input(2), 0, channels);
    std::optional<int64_t> in = known_dim(conv.input(0), 1);
    if (in && group == 1) set_dim(conv.input(1), 1, *in);
  }

  ir::Graph& graph_;
  const ir::Graph& original_;
  std::unordered_map<const ir::Value*, int64_t> channels_;
};

}  // namespace

std::string base_name(std::string name) {
  // Of halves computed in floats.
  constexpr std::string_view kCast = "InsertedPrecisionFreeCast_";
  if (name.starts_with(kCast)) name = name.substr(kCast.size());
  // "block1.mul/QuickGeluFusion/",
  // "a//MatmulTransposeFusion//MatMulScaleFusion/"
  size_t fusion = name.find("Fusion");
  size_t slash = fusion == std::string::npos ? fusion : name.rfind('/', fusion);
  if (slash != std::string::npos) {
    name.resize(slash);
    while (name.ends_with('/')) name.pop_back();
  }
  size_t token = name.rfind("_token_");
  if (token != std::string::npos) {
    size_t digits = token + std::string_view("_token_").size();
    bool number = digits < name.size();
    for (size_t i = digits; i < name.size(); ++i)
      number = number && std::isdigit(static_cast<unsigned char>(name[i]));
    if (number) name.resize(token);
  }
  if (!cut_suffix(name, "_bn_nchwc")) cut_suffix(name, "_nchwc");
  return name;
}

void restore_logical_channels(ir::Model& optimized, const ir::Model& original) {
  Restorer(optimized, original).run();
}

}  // namespace lathe::latency
