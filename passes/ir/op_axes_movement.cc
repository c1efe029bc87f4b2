// Axes of operators that move data: reshapes, transposes, slices.
#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "passes/ir/op_axes.h"

namespace lathe::ir {
namespace {

int64_t size_of(const std::vector<int64_t>& kept) {
  return static_cast<int64_t>(kept.size());
}

// Reshape, Flatten, Squeeze, Unsqueeze: runs of axes of equal products.
void link_reshape(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  const std::vector<int64_t> dims = links.out_dims();
  std::vector<Axis> out = links.fixed_out();
  const auto empty = [](const Axis& axis) { return axis.size == 0; };
  if (std::ranges::any_of(in, empty)) return links.set_out(0, std::move(out));
  size_t i = 0, j = 0;
  while (i < in.size() && j < dims.size()) {
    if (in[i].size == 1) {
      ++i;
      continue;
    }
    if (dims[j] == 1) {
      ++j;
      continue;
    }
    std::vector<Axis> from{in[i]};
    std::vector<int64_t> to{dims[j]};
    const size_t first = j;
    int64_t left = in[i++].size, right = dims[j++];
    while (left != right) {
      if (left < right && i < in.size()) {
        left *= in[i].size;
        from.push_back(in[i++]);
      } else if (left > right && j < dims.size()) {
        right *= dims[j];
        to.push_back(dims[j++]);
      } else {
        break;
      }
    }
    if (left != right) {
      links.fix_input(0, links.node().label() + " changes its size");
      return links.set_fixed(0);
    }
    if (from.size() == 1 && to.size() == 1) {
      out[first] = from[0];
      continue;
    }
    const Axis whole = from.size() == 1 ? from[0] : links.joined(from);
    const std::vector<Axis> parts =
        to.size() == 1 ? std::vector<Axis>{whole} : links.parted(whole, to);
    std::ranges::copy(parts, out.begin() + static_cast<int64_t>(first));
  }
  links.set_out(0, std::move(out));
}

// 0 and -1 follow by themselves.
void shrink_reshape(AxisEdits& edits) {
  if (!edits.node().is("Reshape")) return;
  const auto target = edits.ints(1);
  std::map<int64_t, int64_t> elements;
  for (size_t axis = 0; axis < edits.out_rank(0); ++axis) {
    if (!edits.out_changed(0, axis)) continue;
    if (!target || (*target)[axis] > 0)
      elements[static_cast<int64_t>(axis)] = size_of(edits.out(0, axis));
  }
  edits.patch_ints(1, static_cast<int64_t>(edits.out_rank(0)), elements);
}

void link_expand(AxisLinks& links) {
  const std::vector<Axis> inputs[] = {links.in(0)};
  links.set_out(0, broadcast_axes(links, inputs, links.out_dims()));
}

void shrink_expand(AxisEdits& edits) {
  const Value* shape = edits.node().input(1);
  if (!shape || !shape->type.shape || shape->type.shape->size() != 1) return;
  const int64_t size = (*shape->type.shape)[0].value;
  const auto target = edits.ints(1);
  std::map<int64_t, int64_t> elements;
  for (int64_t i = 0; i < size; ++i) {
    const size_t axis = edits.out_rank(0) - static_cast<size_t>(size - i);
    if (!edits.out_changed(0, axis)) continue;
    if (!target || (*target)[static_cast<size_t>(i)] > 1)
      elements[i] = size_of(edits.out(0, axis));
  }
  edits.patch_ints(1, size, elements);
}

void link_tile(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  const std::vector<int64_t> dims = links.out_dims();
  std::vector<Axis> out = in;
  for (size_t axis = 0; axis < in.size(); ++axis)
    if (in[axis].size != dims[axis]) {
      links.fix(in[axis], links.node().label() + " repeats it");
      out[axis] = Axis::fixed(dims[axis]);
    }
  links.set_out(0, std::move(out));
}

void link_transpose(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  std::vector<int64_t> order;
  for (size_t i = in.size(); i-- > 0;) order.push_back(static_cast<int64_t>(i));
  std::vector<Axis> out;
  for (const int64_t axis : links.node().attr_ints("perm", order))
    out.push_back(in[axis_at(axis, in.size())]);
  links.set_out(0, std::move(out));
}

void link_concat(AxisLinks& links) {
  const Node& node = links.node();
  std::vector<Axis> out = links.in(0);
  const size_t axis = axis_at(node.attr_int("axis", 0), out.size());
  for (size_t i = 1; i < node.inputs().size(); ++i)
    for (size_t other = 0; other < out.size(); ++other)
      if (other != axis)
        out[other] = links.same(out[other], links.in(i, other));
  Axis joined;
  bool open = false;
  for (size_t i = 0; i < node.inputs().size(); ++i)
    open = open || !links.in(i, axis).is_fixed();
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    Axis part = links.in(i, axis);
    joined.size += part.size;
    if (open && part.is_fixed()) {
      part = links.fresh(part.size);
      links.fix(part, "'" + node.input(i)->name() + "' stays whole");
    }
    joined.slots.insert(joined.slots.end(), part.slots.begin(),
                        part.slots.end());
  }
  out[axis] = std::move(joined);
  links.set_out(0, std::move(out));
}

Axis part_of(const Axis& axis, int64_t begin, int64_t size) {
  Axis part = Axis::fixed(size);
  if (!axis.is_fixed())
    part.slots.assign(axis.slots.begin() + begin,
                      axis.slots.begin() + begin + size);
  return part;
}

void link_split(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  const size_t axis = axis_at(links.node().attr_int("axis", 0), in.size());
  int64_t begin = 0;
  for (size_t i = 0; i < links.node().outputs().size(); ++i) {
    if (!links.node().output(i))
      return links.fix_input(0, links.node().label() + " drops a part");
    std::vector<Axis> out = in;
    const int64_t size = links.out_dims(i)[axis];
    out[axis] = part_of(in[axis], begin, size);
    links.set_out(i, std::move(out));
    begin += size;
  }
}

void shrink_split(AxisEdits& edits) {
  Node& node = edits.node();
  const size_t axis = axis_at(node.attr_int("axis", 0), edits.in_rank(0));
  if (!edits.in_changed(0, axis)) return;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < node.outputs().size(); ++i)
    sizes.push_back(size_of(edits.out(i, axis)));
  node.remove_attribute("num_outputs");
  edits.set_ints(1, sizes);
}

// Begins, ends, axes and steps, when all are known.
struct SliceAxes {
  std::vector<int64_t> starts, ends, axes, steps;
};

template <class Ints>
std::optional<SliceAxes> slice_axes(Ints&& ints, const Node& node) {
  SliceAxes slice;
  const auto starts = ints(1), ends = ints(2);
  if (!starts || !ends || starts->size() != ends->size()) return std::nullopt;
  slice.starts = *starts;
  slice.ends = *ends;
  for (size_t i = 0; i < starts->size(); ++i) {
    slice.axes.push_back(static_cast<int64_t>(i));
    slice.steps.push_back(1);
  }
  for (const auto& [input, list] :
       {std::pair{size_t{3}, &slice.axes}, {size_t{4}, &slice.steps}}) {
    if (!node.input(input)) continue;
    const auto given = ints(input);
    if (!given || given->size() != starts->size()) return std::nullopt;
    *list = *given;
  }
  return slice;
}

void link_slice(AxisLinks& links) {
  const std::vector<Axis>& in = links.in(0);
  const std::vector<int64_t> dims = links.out_dims();
  const auto slice =
      slice_axes([&](size_t i) { return links.ints(i); }, links.node());
  std::vector<Axis> out = in;
  std::vector<int64_t> starts(in.size(), 0), steps(in.size(), 1);
  if (slice)
    for (size_t i = 0; i < slice->axes.size(); ++i) {
      const size_t axis = axis_at(slice->axes[i], in.size());
      const int64_t start = slice->starts[i], size = in[axis].size;
      starts[axis] = std::clamp<int64_t>(start < 0 ? start + size : start, 0,
                                         slice->steps[i] < 0 ? size - 1 : size);
      steps[axis] = slice->steps[i];
    }
  for (size_t axis = 0; axis < in.size(); ++axis) {
    if (in[axis].size == dims[axis] && steps[axis] == 1) continue;
    if (in[axis].is_fixed()) {
      out[axis] = Axis::fixed(dims[axis]);
    } else if (slice && steps[axis] == 1) {
      out[axis] = part_of(in[axis], starts[axis], dims[axis]);
    } else {
      links.fix(in[axis], links.node().label() +
                              (slice ? " takes it in steps"
                                     : " takes a part that is computed"));
      out[axis] = Axis::fixed(dims[axis]);
    }
  }
  links.set_out(0, std::move(out));
}

// Among the positions that stay, the first that the slice takes, and the end.
void shrink_slice(AxisEdits& edits) {
  const auto axes = edits.ints(3);
  const Value* starts = edits.node().input(1);
  if (!starts || !starts->type.shape || starts->type.shape->size() != 1) return;
  const int64_t count = (*starts->type.shape)[0].value;
  std::map<int64_t, int64_t> begins, ends;
  for (int64_t i = 0; i < count; ++i) {
    const size_t axis =
        axis_at(axes ? (*axes)[static_cast<size_t>(i)] : i, edits.in_rank(0));
    if (!edits.in_changed(0, axis)) continue;
    const auto before = edits.ints(1);
    int64_t begin = before ? (*before)[static_cast<size_t>(i)] : 0;
    if (begin < 0) begin += edits.in_size(0, axis);
    begin = std::clamp<int64_t>(begin, 0, edits.in_size(0, axis));
    begins[i] = std::ranges::count_if(edits.in(0, axis),
                                      [&](int64_t at) { return at < begin; });
    ends[i] = begins[i] + size_of(edits.out(0, axis));
  }
  edits.patch_ints(1, count, begins);
  edits.patch_ints(2, count, ends);
}

struct PadAxes {
  std::vector<int64_t> pads, axes;
};

template <class Ints>
std::optional<PadAxes> pad_axes(Ints&& ints, const Node& node, size_t rank) {
  PadAxes result;
  const auto pads = ints(1);
  if (!pads) return std::nullopt;
  result.pads = *pads;
  for (size_t i = 0; i < rank; ++i)
    result.axes.push_back(static_cast<int64_t>(i));
  if (node.input(3)) {
    const auto axes = ints(3);
    if (!axes) return std::nullopt;
    result.axes = *axes;
  }
  if (result.pads.size() != 2 * result.axes.size()) return std::nullopt;
  return result;
}

void link_pad(AxisLinks& links) {
  const Node& node = links.node();
  const std::vector<Axis>& in = links.in(0);
  const auto pad =
      pad_axes([&](size_t i) { return links.ints(i); }, node, in.size());
  const std::vector<int64_t> dims = links.out_dims();
  if (!pad) {
    links.fix_input(0, node.label() + " has pads that are computed");
    return;
  }
  const bool fills = node.attr_string("mode", "constant") == "constant";
  std::vector<Axis> out = in;
  for (size_t i = 0; i < pad->axes.size(); ++i) {
    const size_t axis = axis_at(pad->axes[i], in.size());
    const int64_t begin = pad->pads[i], end = pad->pads[i + pad->axes.size()];
    if (begin == 0 && end == 0) continue;
    if (in[axis].is_fixed() || !fills) {
      links.fix(in[axis], node.label() + " continues it");
      out[axis] = Axis::fixed(dims[axis]);
      continue;
    }
    Axis padded = links.fresh(dims[axis]);
    for (int64_t at = 0; at < dims[axis]; ++at)
      if (at - begin >= 0 && at - begin < in[axis].size)
        padded.slots[at] = in[axis].slots[at - begin];
    out[axis] = std::move(padded);
  }
  links.set_out(0, std::move(out));
}

void shrink_pad(AxisEdits& edits) {
  const auto pad = pad_axes([&](size_t i) { return edits.ints(i); },
                            edits.node(), edits.in_rank(0));
  if (!pad) return;
  const auto count = static_cast<int64_t>(pad->axes.size());
  std::map<int64_t, int64_t> elements;
  for (int64_t i = 0; i < count; ++i) {
    const size_t axis =
        axis_at(pad->axes[static_cast<size_t>(i)], edits.in_rank(0));
    if (!edits.out_changed(0, axis)) continue;
    const int64_t begin = pad->pads[static_cast<size_t>(i)];
    const int64_t end = pad->pads[static_cast<size_t>(i + count)];
    const int64_t size = edits.in_size(0, axis);
    const auto kept = [](const std::vector<int64_t>& list, int64_t from,
                         int64_t to) {
      return std::ranges::count_if(
          list, [&](int64_t at) { return at >= from && at < to; });
    };
    // Negative pads cut positions of the input off.
    elements[i] = begin >= 0 ? kept(edits.out(0, axis), 0, begin)
                             : -kept(edits.in(0, axis), 0, -begin);
    elements[i + count] = end >= 0 ? kept(edits.out(0, axis), begin + size,
                                          std::numeric_limits<int64_t>::max())
                                   : -kept(edits.in(0, axis), size + end, size);
  }
  edits.patch_ints(1, 2 * count, elements);
}

}  // namespace

const AxisRule kReshapeAxes{link_reshape, shrink_reshape};
const AxisRule kExpandAxes{link_expand, shrink_expand};
const AxisRule kTileAxes{link_tile};
const AxisRule kTransposeAxes{link_transpose};
const AxisRule kConcatAxes{link_concat};
const AxisRule kSplitAxes{link_split, shrink_split};
const AxisRule kSliceAxes{link_slice, shrink_slice};
const AxisRule kPadAxes{link_pad, shrink_pad};

}  // namespace lathe::ir
