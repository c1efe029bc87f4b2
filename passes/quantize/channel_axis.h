// Where the channels of a value lie, and how operators that scale with their
// input carry them on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::quantize {

// Element j along `axis` belongs to channel offset + j / inner.
struct ChannelAxis {
  int64_t axis = 1;
  int64_t offset = 0;
  int64_t inner = 1;  // elements of a channel, side by side
  bool operator==(const ChannelAxis&) const = default;
};

// -1 where the rank is not known.
int64_t rank_of(const ir::Value& value);
// -1 where the axis does not exist or its extent is not known.
int64_t extent_of(const ir::Value& value, int64_t axis);

// Inputs whose channels the node's outputs have, each scaled alike: f(x / s) =
// f(x) / s for positive s, and f(x / s, y / s) = f(x, y) / s where there are
// several. Empty for other operators. Of a product with a gate (Sigmoid and the
// like) or a constant it is the other operand.
std::vector<size_t> scaled_inputs(const ir::Node& node);

// Where the channels of input `input`, one of scaled_inputs(), lie in output
// `output`, or (not `forward`) the other way round. nullopt where they cannot
// be followed.
std::optional<ChannelAxis> carry(const ir::Node& node, size_t input,
                                 size_t output, ChannelAxis at, bool forward);

// Where carry() fails because a reshape spreads what `at` takes for one channel
// over several: how many neighbours have to be one channel for it not to; else
// 1.
int64_t joined_channels(const ir::Node& node, size_t input, size_t output,
                        ChannelAxis at, bool forward);

// Only the shape of a value counts for the node.
bool reads_shape_only(const ir::Node& node);

}  // namespace lathe::quantize
