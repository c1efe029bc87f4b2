// Axes of gathers, resizes and rearranged pixels.
#include <algorithm>
#include <map>
#include <string>

#include "passes/ir/op_axes.h"

namespace lathe::ir {
namespace {

void link_gather(AxisLinks& links) {
  const Node& node = links.node();
  const std::vector<Axis>& data = links.in(0);
  const size_t axis = axis_at(node.attr_int("axis", 0), data.size());
  const std::vector<int64_t> dims = links.out_dims();
  const size_t width = links.in(1).size();  // the axes of the indices
  std::vector<Axis> out;
  for (size_t i = 0; i < data.size(); ++i) {
    if (i == axis) {
      for (size_t k = 0; k < width; ++k)
        out.push_back(Axis::fixed(dims[axis + k]));
      continue;
    }
    links.computes(0, static_cast<int64_t>(i));  // a table's features
    out.push_back(data[i]);
  }
  const Axis& from = data[axis];
  const auto indices = links.ints(1);
  const bool listed = indices && node.input(1)->is_constant();
  const auto place = [&](int64_t index) {
    return static_cast<size_t>(index < 0 ? index + from.size : index);
  };
  if (!from.is_fixed() && listed && width == 1) {
    Axis& picked = out[axis];
    for (const int64_t index : *indices)
      picked.slots.push_back(from.slots[place(index)]);
  } else if (!from.is_fixed() && indices && width == 0) {
    // One position of the axis, of which others may go.
    if (listed)
      links.fix(from.slots[place((*indices)[0])], node.label() + " picks it");
    else
      links.fix(from, node.label() + " picks one of it");
  } else {
    links.fix(from, node.label() + " looks positions up in it");
  }
  links.set_out(0, std::move(out));
}

void shrink_gather(AxisEdits& edits) {
  const size_t axis =
      axis_at(edits.node().attr_int("axis", 0), edits.in_rank(0));
  if (!edits.in_changed(0, axis)) return;
  const auto indices = edits.ints(1);
  if (!indices) return;
  const std::vector<int64_t>& left = edits.in(0, axis);
  std::vector<int64_t> moved;
  const auto add = [&](int64_t index) {
    if (index < 0) index += edits.in_size(0, axis);
    moved.push_back(std::ranges::lower_bound(left, index) - left.begin());
  };
  if (edits.in_rank(1) == 0)
    add((*indices)[0]);
  else
    for (const int64_t at : edits.out(0, axis))
      add((*indices)[static_cast<size_t>(at)]);
  edits.set_ints(1, moved);
}

void link_trilu(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  if (in.size() < 2) throw RankMismatch();
  const size_t last[] = {in.size() - 2, in.size() - 1};
  links.set_out(0, all_but(links, in, last,
                           links.node().label() + " cuts a triangle of it"));
}

// ConstantOfShape: the same number everywhere.
void link_fill(AxisLinks& links) {
  std::vector<Axis> out;
  for (const int64_t size : links.out_dims())
    out.push_back(size > 1 ? links.fresh(size) : Axis::fixed(size));
  links.set_out(0, std::move(out));
}

void shrink_fill(AxisEdits& edits) {
  std::map<int64_t, int64_t> elements;
  for (size_t axis = 0; axis < edits.out_rank(0); ++axis)
    if (edits.out_changed(0, axis))
      elements[static_cast<int64_t>(axis)] =
          static_cast<int64_t>(edits.out(0, axis).size());
  edits.patch_ints(0, static_cast<int64_t>(edits.out_rank(0)), elements);
}

void link_resize(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  const std::vector<int64_t> dims = links.out_dims();
  std::vector<Axis> out = in;
  for (size_t axis = 0; axis < in.size(); ++axis)
    if (in[axis].size != dims[axis] || axis > 1) {
      links.fix(in[axis], links.node().label() + " resizes it");
      out[axis] = Axis::fixed(dims[axis]);
    }
  links.set_out(0, std::move(out));
}

// Sizes name every axis; scales of axes that stay are 1.
void shrink_resize(AxisEdits& edits) {
  const Value* sizes = edits.node().input(3);
  if (!edits.node().is("Resize") || !sizes || !sizes->type.shape ||
      sizes->type.shape->size() != 1)
    return;
  const int64_t count = (*sizes->type.shape)[0].value;
  const std::vector<int64_t> axes = edits.node().attr_ints("axes");
  std::map<int64_t, int64_t> elements;
  for (int64_t i = 0; i < count; ++i) {
    const size_t axis = axis_at(axes.empty() ? i : axes[static_cast<size_t>(i)],
                                edits.out_rank(0));
    if (edits.out_changed(0, axis))
      elements[i] = static_cast<int64_t>(edits.out(0, axis).size());
  }
  edits.patch_ints(3, count, elements);
}

// Channels [b, b, c] (DCR) or [c, b, b] (CRD) become pixels.
void link_depth_to_space(AxisLinks& links) {
  const Node& node = links.node();
  const std::vector<Axis>& in = links.in(0);
  const int64_t block = node.attr_int("blocksize", 1);
  const bool depth_first = node.attr_string("mode", "DCR") == "CRD";
  if (in.size() < 2) throw RankMismatch();
  const int64_t channels = in[1].size / std::max<int64_t>(1, block * block);
  const std::vector<int64_t> sizes =
      depth_first ? std::vector<int64_t>{channels, block, block}
                  : std::vector<int64_t>{block, block, channels};
  const std::vector<Axis> parts = links.parted(in[1], sizes);
  const size_t at = depth_first ? 0 : 2;
  for (size_t i = 0; i < parts.size(); ++i)
    if (i != at) links.fix(parts[i], node.label() + " makes pixels of it");
  std::vector<Axis> out = links.fixed_out();
  out[1] = parts[at];
  links.set_out(0, std::move(out));
}

void link_space_to_depth(AxisLinks& links) {
  const int64_t block = links.node().attr_int("blocksize", 1);
  const Axis parts[] = {Axis::fixed(block), Axis::fixed(block), links.in(0, 1)};
  std::vector<Axis> out = links.fixed_out();
  out[1] = links.joined(parts);
  links.set_out(0, std::move(out));
}

}  // namespace

const AxisRule kGatherAxes{link_gather, shrink_gather};
const AxisRule kTriluAxes{link_trilu};
const AxisRule kFillAxes{link_fill, shrink_fill};
const AxisRule kResizeAxes{link_resize, shrink_resize};
const AxisRule kDepthToSpaceAxes{link_depth_to_space};
const AxisRule kSpaceToDepthAxes{link_space_to_depth};

}  // namespace lathe::ir
