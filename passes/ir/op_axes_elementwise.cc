// Axes of element-wise operators, windows and reductions.
#include <algorithm>
#include <string_view>

#include "passes/ir/op_axes.h"

namespace lathe::ir {
namespace {

void link_elementwise(AxisLinks& links) {
  std::vector<std::vector<Axis>> inputs;
  for (size_t i = 0; i < links.node().inputs().size(); ++i)
    if (links.has_input(i)) inputs.push_back(links.in(i));
  const std::vector<int64_t> dims = links.out_dims();
  const std::vector<Axis> out = broadcast_axes(links, inputs, dims);
  for (size_t i = 0; i < links.node().outputs().size(); ++i)
    links.set_out(i, out);
}

void link_window(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  const std::vector<int64_t> dims = links.out_dims();
  std::vector<Axis> out = links.fixed_out();
  const std::string reason = links.node().label() + " moves a window over it";
  for (size_t axis = 0; axis < in.size(); ++axis) {
    const bool stays = axis == 1 && axis < dims.size() &&
                       in[axis].size == dims[axis] &&
                       !links.node().is("MaxUnpool");
    if (stays)
      out[axis] = in[axis];
    else
      links.fix(in[axis], reason);
  }
  links.set_out(0, std::move(out));
}

void link_reduce(AxisLinks& links) {
  const Node& node = links.node();
  const std::vector<Axis>& in = links.in(0);
  std::vector<int64_t> axes = node.attr_ints("axes");
  bool known = true;
  if (links.has_input(1)) {
    const auto given = links.ints(1);
    known = given.has_value();
    if (known) axes = *given;
  }
  if (!known) {
    links.fix_input(0, node.label() + " reduces axes that are computed");
    return;
  }
  if (axes.empty() && node.attr_int("noop_with_empty_axes", 0) == 0)
    for (size_t axis = 0; axis < in.size(); ++axis)
      axes.push_back(static_cast<int64_t>(axis));
  std::vector<bool> reduced(in.size(), false);
  for (const int64_t axis : axes) reduced[axis_at(axis, in.size())] = true;
  // Sums of terms that zeros leave out.
  constexpr std::string_view kSums[] = {"ReduceSum", "ReduceL1", "ReduceL2",
                                        "ReduceSumSquare"};
  const bool sums = std::ranges::find(kSums, node.op_type) != std::end(kSums);
  const bool keeps = node.attr_int("keepdims", 1) != 0;
  std::vector<Axis> out;
  for (size_t axis = 0; axis < in.size(); ++axis) {
    if (!reduced[axis]) {
      out.push_back(in[axis]);
      continue;
    }
    if (!sums) links.fix(in[axis], node.label() + " reduces it");
    if (keeps) out.push_back(Axis::fixed(1));
  }
  links.set_out(0, std::move(out));
}

// CumSum, TopK, …: along one axis.
void link_scan(AxisLinks& links) {
  const Node& node = links.node();
  const std::vector<Axis>& in = links.in(0);
  int64_t axis = node.attr_int("axis", -1);
  const std::string reason = node.label() + " runs along it";
  if (node.is("CumSum") || node.is("CumProd")) {
    const auto given = links.ints(1);
    if (!given || given->size() != 1) return links.fix_input(0, reason);
    axis = (*given)[0];
  }
  if (in.empty()) return;
  const size_t at[] = {axis_at(axis, in.size())};
  std::vector<Axis> out = all_but(links, in, at, reason);
  out[at[0]] = Axis::fixed(links.out_dims()[at[0]]);
  links.set_out(0, std::move(out));
}

}  // namespace

const AxisRule kUnfollowedAxes{};
const AxisRule kElementwiseAxes{link_elementwise};
const AxisRule kWindowAxes{link_window};
const AxisRule kReduceAxes{link_reduce};
const AxisRule kScanAxes{link_scan};

std::vector<Axis> broadcast_axes(AxisLinks& links,
                                 std::span<const std::vector<Axis>> inputs,
                                 std::span<const int64_t> out_dims) {
  std::vector<Axis> out;
  for (const int64_t size : out_dims) out.push_back(Axis::fixed(size));
  for (size_t axis = 0; axis < out.size(); ++axis) {
    const size_t from_end = out.size() - axis;
    const Axis* joined = nullptr;
    for (const std::vector<Axis>& input : inputs) {
      if (input.size() < from_end) continue;
      const Axis& other = input[input.size() - from_end];
      if (other.size != out[axis].size || other.size == 1) continue;
      if (joined)
        out[axis] = links.same(out[axis], other);
      else
        out[axis] = other;
      joined = &other;
    }
  }
  return out;
}

size_t axis_at(int64_t axis, size_t rank) {
  if (rank == 0) throw RankMismatch();
  const int64_t at = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  return static_cast<size_t>(
      std::clamp<int64_t>(at, 0, static_cast<int64_t>(rank) - 1));
}

std::vector<Axis> all_but(AxisLinks& links, const std::vector<Axis>& axes,
                          std::span<const size_t> fixed,
                          const std::string& reason) {
  std::vector<Axis> out = axes;
  for (const size_t axis : fixed) {
    if (axis >= out.size()) throw RankMismatch();
    links.fix(out[axis], reason);
    out[axis] = Axis::fixed(out[axis].size);
  }
  return out;
}

}  // namespace lathe::ir
