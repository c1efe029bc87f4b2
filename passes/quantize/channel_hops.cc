#include "passes/quantize/channel_hops.h"

#include <algorithm>
#include <cstdlib>

#include "passes/rewrite/graph_edits.h"

namespace lathe::quantize {
namespace {

Carried on_axis(const Hop& hop, int64_t axis) {
  ChannelAxis at = hop.at;
  at.axis = axis;
  return at;
}

// More elements than any tensor holds.
constexpr int64_t kMostElements = int64_t{1} << 40;

// Elements behind one index of `axis`; -1 where not known.
int64_t elements_behind(const ir::Value& value, int64_t axis) {
  int64_t count = 1;
  for (int64_t i = axis + 1; i < rank_of(value); ++i) {
    const int64_t extent = extent_of(value, i);
    if (extent < 0 || extent > kMostElements) return -1;
    count *= extent;
    if (count > kMostElements) return -1;
  }
  return count;
}

// Row-major order stays: an axis of `to` spans the elements of the channels'
// one. Fails where a channel is no whole number of its steps; `joined` of them
// would be.
Carried reshaped_to(const Hop& hop, int64_t* joined) {
  const int64_t behind = elements_behind(hop.from(), hop.at.axis);
  const int64_t all = elements_behind(hop.from(), hop.at.axis - 1);
  if (behind <= 0 || all <= 0) return std::nullopt;
  const int64_t channel = behind * hop.at.inner;  // elements in a row
  for (int64_t axis = rank_of(hop.to()) - 1; axis >= 0; --axis) {
    const int64_t step = elements_behind(hop.to(), axis);
    if (step <= 0) return std::nullopt;
    if (elements_behind(hop.to(), axis - 1) != all) continue;
    if (channel % step == 0)
      return ChannelAxis{axis, hop.at.offset, channel / step};
    if (joined && *joined == 1 && step % channel == 0) *joined = step / channel;
  }
  return std::nullopt;
}

// `to` begins at element `start` of `from` along the channels' axis, or
// (start < 0) `from` lies that far inside `to`.
Carried shifted(const Hop& hop, int64_t start) {
  if (std::abs(start) > kMostElements || start % hop.at.inner != 0)
    return std::nullopt;
  ChannelAxis at = hop.at;
  at.offset += start / hop.at.inner;
  return at;
}

// Along the axis, the parts lie one after the other in the whole.
Carried part_of(const Hop& hop, const std::vector<ir::Value*>& parts,
                size_t position, bool into_part, int64_t rank) {
  const auto axis = rewrite::normalize_axis(hop.node.attr_int("axis", 0), rank);
  if (!axis) return std::nullopt;
  if (*axis != hop.at.axis) return same(hop);
  int64_t start = 0;
  for (size_t i = 0; i < position; ++i) {
    const int64_t extent = parts[i] ? extent_of(*parts[i], *axis) : -1;
    if (extent < 0 || extent > kMostElements - start) return std::nullopt;
    start += extent;
  }
  return shifted(hop, into_part ? start : -start);
}

// Axes of an attribute or of input `index`; empty where not known.
std::vector<int64_t> axes_of(const ir::Node& node, size_t index, int64_t rank) {
  std::vector<int64_t> axes = node.attr_ints("axes");
  if (axes.empty())
    axes = rewrite::constant_ints(node.input(index))
               .value_or(std::vector<int64_t>{});
  for (int64_t& axis : axes)
    axis = rewrite::normalize_axis(axis, rank).value_or(-1);
  return axes;
}

}  // namespace

// The same axis with the same extent, of one rank.
Carried same(const Hop& hop) {
  if (rank_of(hop.in) != rank_of(hop.out) ||
      extent_of(hop.in, hop.at.axis) != extent_of(hop.out, hop.at.axis))
    return std::nullopt;
  return hop.at;
}

// Pooling and resizing look at neighbours along the axes from 2 on.
Carried pooled(const Hop& hop) {
  return hop.at.axis == 1 ? same(hop) : std::nullopt;
}

Carried resized(const Hop& hop) {
  if (hop.node.attr_string("coordinate_transformation_mode", "half_pixel") ==
      "tf_crop_and_resize")
    return std::nullopt;
  return same(hop);
}

// Axes are counted from the last one; both sides have all channels.
Carried broadcast(const Hop& hop) {
  const int64_t axis = hop.at.axis + rank_of(hop.to()) - rank_of(hop.from());
  if (axis < 0 ||
      extent_of(hop.from(), hop.at.axis) != extent_of(hop.to(), axis))
    return std::nullopt;
  return on_axis(hop, axis);
}

Carried reshaped(const Hop& hop) { return reshaped_to(hop, nullptr); }

Carried transposed(const Hop& hop) {
  std::vector<int64_t> order = hop.node.attr_ints("perm");
  const int64_t rank = rank_of(hop.in);
  if (order.empty())
    for (int64_t i = rank; i-- > 0;) order.push_back(i);
  if (static_cast<int64_t>(order.size()) != rank) return std::nullopt;
  if (!hop.forward) return on_axis(hop, order[hop.at.axis]);
  const auto found = std::ranges::find(order, hop.at.axis);
  if (found == order.end()) return std::nullopt;
  return on_axis(hop, found - order.begin());
}

Carried concatenated(const Hop& hop) {
  return part_of(hop, hop.node.inputs(), hop.input, !hop.forward,
                 rank_of(hop.out));
}

Carried split(const Hop& hop) {
  return part_of(hop, hop.node.outputs(), hop.output, hop.forward,
                 rank_of(hop.in));
}

Carried sliced(const Hop& hop) {
  const auto starts = rewrite::constant_ints(hop.node.input(1));
  if (!starts) return std::nullopt;
  std::vector<int64_t> axes = axes_of(hop.node, 3, rank_of(hop.in));
  if (hop.node.input(3) && axes.empty()) return std::nullopt;
  if (!hop.node.input(3))
    for (size_t i = 0; i < starts->size(); ++i)
      axes.push_back(static_cast<int64_t>(i));
  if (axes.size() != starts->size()) return std::nullopt;
  const auto found = std::ranges::find(axes, hop.at.axis);
  if (found == axes.end()) return same(hop);
  const size_t i = static_cast<size_t>(found - axes.begin());
  const auto steps = rewrite::constant_ints(hop.node.input(4));
  if (hop.node.input(4) && (!steps || steps->size() <= i || (*steps)[i] != 1))
    return std::nullopt;
  const int64_t extent = extent_of(hop.in, hop.at.axis);
  if (extent < 0) return std::nullopt;
  int64_t start = (*starts)[i];
  start = std::clamp<int64_t>(start < 0 ? start + extent : start, 0, extent);
  return shifted(hop, hop.forward ? start : -start);
}

Carried padded(const Hop& hop) {
  const bool fills = hop.node.attr_string("mode", "constant") == "constant";
  if (fills && hop.node.input(2)) {
    const ir::Tensor* fill = rewrite::constant_tensor(hop.node.input(2));
    if (!fill || fill->size() != 1 || fill->to_doubles()[0] != 0)
      return std::nullopt;
  }
  const auto pads = rewrite::constant_ints(hop.node.input(1));
  const int64_t rank = rank_of(hop.in);
  if (!pads || hop.node.input(3) ||
      static_cast<int64_t>(pads->size()) != 2 * rank)
    return std::nullopt;
  const int64_t begin = (*pads)[hop.at.axis];
  if (begin == 0 && (*pads)[hop.at.axis + rank] == 0) return same(hop);
  if (!fills || begin < -kMostElements) return std::nullopt;
  return shifted(hop, hop.forward ? -begin : begin);
}

Carried gathered(const Hop& hop) {
  const auto axis =
      rewrite::normalize_axis(hop.node.attr_int("axis", 0), rank_of(hop.in));
  const ir::Value* indices = hop.node.input(1);
  const int64_t width = indices ? rank_of(*indices) : -1;
  if (!axis || width < 0) return std::nullopt;
  const int64_t moved = width - 1;  // by which later axes move
  if (hop.forward) {
    if (hop.at.axis == *axis) return std::nullopt;
    return on_axis(hop, hop.at.axis + (hop.at.axis > *axis ? moved : 0));
  }
  if (hop.at.axis < *axis) return hop.at;
  if (hop.at.axis < *axis + width) return std::nullopt;
  return on_axis(hop, hop.at.axis - moved);
}

Carried reduced(const Hop& hop) {
  std::vector<int64_t> axes = axes_of(hop.node, 1, rank_of(hop.in));
  if (axes.empty()) return std::nullopt;
  const auto gone = [&](int64_t axis) {
    return std::ranges::count(axes, axis) > 0;
  };
  const bool keeps = hop.node.attr_int("keepdims", 1) != 0;
  int64_t out = 0;
  for (int64_t in = 0; in < rank_of(hop.in); ++in) {
    if (!gone(in) && (hop.forward ? in : out) == hop.at.axis)
      return on_axis(hop, hop.forward ? out : in);
    out += keeps || !gone(in);
  }
  return std::nullopt;
}

int64_t joined_by_reshape(const Hop& hop) {
  int64_t joined = 1;
  reshaped_to(hop, &joined);
  return joined;
}

}  // namespace lathe::quantize
