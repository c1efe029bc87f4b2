// Sets of values whose channels can be given factors without a change of what
// the model computes.
#pragma once

#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/quantize/channel_axis.h"

namespace lathe::quantize {

struct ChannelMember {
  ir::Value* value = nullptr;
  ChannelAxis at;
};

// A constant that takes in the factors of the channels: its element at index d
// of `axis` (negative: from the last) belongs to element d, or in block b of
// dimension 0 to b * dims[axis] + d, of the axis that `at` describes.
struct ScaleSite {
  ir::Node* node = nullptr;
  size_t input = 0;
  int64_t axis = 0;
  int64_t blocks = 1;  // groups of a convolution, side by side in dimension 0
  ChannelAxis at;
  int64_t extent = 0;       // elements of that axis
  bool divides = false;     // by the factors; else it is multiplied
  bool broadcasts = false;  // one number may stand for all channels

  ir::Value* constant() const { return node->input(input); }
};

struct ChannelGroup {
  int64_t channels = 0;
  std::vector<ChannelMember> members;
  ir::Node* reader = nullptr;  // a product that reads a member
  // Where 1/s goes on the way in, and s on the way out.
  std::vector<ScaleSite> sites;
  // Of these, the weights of Conv, Gemm and MatMul that read a member.
  std::vector<ScaleSite> products;
  // Of these, the weights or the scale of what computes a member.
  std::vector<ScaleSite> sources;
  // A normalization, or a factor that may end one, computes a member.
  bool normalized = false;
  // No site takes 1/s: a Mul in front of the products has to.
  bool needs_mul = false;
  // Why the channels have to keep their scale; "" where they need not.
  std::string frozen;
};

// The groups of the top-level graph: each computed value that Conv, Gemm or a
// MatMul with a constant reads is in one of them. Values need their inferred
// types.
std::vector<ChannelGroup> find_channel_groups(ir::Graph& graph);

// The one value alone, and the products with constant weights that read it;
// they could read it scaled by a Mul.
ChannelGroup readers_only(const ChannelMember& member);

}  // namespace lathe::quantize
