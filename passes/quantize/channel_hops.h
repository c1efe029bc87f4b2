// One step of the channels through an operator that scales with its input.
#pragma once

#include <optional>

#include "passes/quantize/channel_axis.h"

namespace lathe::quantize {

using Carried = std::optional<ChannelAxis>;

// One step from an input to an output of a node or back.
struct Hop {
  const ir::Node& node;
  size_t input, output;  // positions
  const ir::Value& in;
  const ir::Value& out;
  ChannelAxis at;  // in `in` going forward, in `out` going back
  bool forward;

  const ir::Value& from() const { return forward ? in : out; }
  const ir::Value& to() const { return forward ? out : in; }
};

// By what the operator does to axes; nullopt where the channels cannot be
// followed. Both values have a known rank, and `from` its channels.
Carried same(const Hop& hop);       // elementwise, of one operand
Carried pooled(const Hop& hop);     // poolings
Carried resized(const Hop& hop);    // Resize
Carried broadcast(const Hop& hop);  // elementwise, of several operands
Carried reshaped(const Hop& hop);   // Reshape, Flatten, Squeeze, Unsqueeze
Carried transposed(const Hop& hop);
Carried concatenated(const Hop& hop);
Carried split(const Hop& hop);
Carried sliced(const Hop& hop);
Carried padded(const Hop& hop);
Carried gathered(const Hop& hop);
Carried reduced(const Hop& hop);

// Where reshaped() fails: how many neighbours have to be one channel for it not
// to; else 1.
int64_t joined_by_reshape(const Hop& hop);

}  // namespace lathe::quantize
