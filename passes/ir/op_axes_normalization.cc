// Axes of normalizations.
#include <algorithm>
#include <set>

#include "passes/ir/op_axes.h"

namespace lathe::ir {
namespace {

// Constants [C] of the channels of axis 1.
Axis with_parameters(AxisLinks& links, Axis channels) {
  for (size_t i = 1; i < links.node().inputs().size(); ++i)
    if (links.has_input(i)) channels = links.same(channels, links.in(i, 0));
  return channels;
}

void link_batch_norm(AxisLinks& links) {
  std::vector<Axis> out = links.in(0);
  if (out.size() < 2)
    return links.fix_input(0, links.node().label() + " has no channels");
  out[1] = with_parameters(links, out[1]);
  links.set_out(0, std::move(out));
}

void link_instance_norm(AxisLinks& links) {
  std::vector<Axis> out = links.in(0);
  if (out.size() < 2) throw RankMismatch();
  out[1] = with_parameters(links, out[1]);
  for (size_t axis = 2; axis < out.size(); ++axis)
    links.mark_rescaling(out[axis]);
  links.set_out(0, std::move(out));
}

// Scale and bias have an element a channel, or (before opset 21) a group.
void link_group_norm(AxisLinks& links) {
  std::vector<Axis> out = links.in(0);
  if (out.size() < 2) throw RankMismatch();
  const int64_t groups = links.node().attr_int("num_groups", 1);
  const int64_t sizes[] = {groups, out[1].size / std::max<int64_t>(1, groups)};
  const std::vector<Axis> parts = links.parted(out[1], sizes);
  links.mark_rescaling(parts[1]);
  for (size_t i = 1; i < 3; ++i) {
    const Axis& parameter = links.in(i, 0);
    if (parameter.size == out[1].size)
      out[1] = links.same(out[1], parameter);
    else
      links.same(parts[0], parameter);
  }
  links.set_out(0, std::move(out));
}

void shrink_group_norm(AxisEdits& edits) {
  if (!edits.in_changed(0, 1)) return;
  const int64_t groups = edits.node().attr_int("num_groups", 1);
  const int64_t each = edits.in_size(0, 1) / std::max<int64_t>(1, groups);
  std::set<int64_t> left;
  for (const int64_t at : edits.in(0, 1)) left.insert(at / each);
  edits.node().set_attr("num_groups", static_cast<int64_t>(left.size()));
}

void link_layer_norm(AxisLinks& links) {
  std::vector<std::vector<Axis>> inputs;
  for (size_t i = 0; i < links.node().inputs().size(); ++i)
    if (links.has_input(i)) inputs.push_back(links.in(i));
  const size_t first =
      axis_at(links.node().attr_int("axis", -1), inputs[0].size());
  const std::vector<Axis> out = broadcast_axes(links, inputs, links.out_dims());
  for (size_t axis = first; axis < out.size(); ++axis)
    links.mark_rescaling(out[axis]);
  links.set_out(0, out);
}

void link_mean_variance(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  for (const int64_t axis : links.node().attr_ints("axes", {0, 2, 3}))
    links.mark_rescaling(in[axis_at(axis, in.size())]);
  links.set_out(0, in);
}

void link_softmax(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  if (in.empty()) return;
  const size_t axis[] = {axis_at(links.node().attr_int("axis", -1), in.size())};
  links.set_out(0, all_but(links, in, axis,
                           links.node().label() + " compares its elements"));
}

// A norm: zeros add nothing.
void link_lp_norm(AxisLinks& links) { links.set_out(0, links.in(0)); }

void link_channel_window(AxisLinks& links) {
  const size_t channels[] = {1};
  links.set_out(0, all_but(links, links.in(0), channels,
                           links.node().label() + " looks at its neighbours"));
}

}  // namespace

const AxisRule kBatchNormAxes{link_batch_norm};
const AxisRule kInstanceNormAxes{link_instance_norm};
const AxisRule kGroupNormAxes{link_group_norm, shrink_group_norm};
const AxisRule kLayerNormAxes{link_layer_norm};
const AxisRule kMeanVarianceAxes{link_mean_variance};
const AxisRule kSoftmaxAxes{link_softmax};
const AxisRule kLpNormAxes{link_lp_norm};
const AxisRule kChannelWindowAxes{link_channel_window};

}  // namespace lathe::ir
