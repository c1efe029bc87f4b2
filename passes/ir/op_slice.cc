// Cutting and joining: Slice, Split, Concat, Pad, Trilu, ReverseSequence.
#include <algorithm>
#include <limits>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// Attributes before opset 10, inputs since. nullopt: not followed.
struct SliceArguments {
  std::optional<FollowedValue> starts, ends, steps;
  Axes axes;
};

FollowedValue as_followed(const std::vector<int64_t>& values) {
  FollowedValue list;
  list.dims = {static_cast<int64_t>(values.size())};
  for (int64_t value : values) list.elements.push_back(Element::of(value));
  return list;
}

SliceArguments slice_arguments(const InferContext& ctx) {
  SliceArguments arguments;
  const Node& node = ctx.node();
  if (node.has_attribute("starts")) {
    arguments.starts = as_followed(node.attr_ints("starts"));
    arguments.ends = as_followed(node.attr_ints("ends"));
    arguments.axes = read_axes(ctx, SIZE_MAX);
    return arguments;
  }
  if (!ctx.has_input(1) || !ctx.has_input(2))
    ctx.fail("starts or ends are missing");
  arguments.starts = ctx.data_or_unknown(1);
  arguments.ends = ctx.data_or_unknown(2);
  arguments.axes = read_axes(ctx, 3);
  if (ctx.has_input(4)) arguments.steps = ctx.data_or_unknown(4);
  return arguments;
}

struct Cut {
  int64_t start = 0, step = 1, length = 0;
};

Cut cut(int64_t dim, int64_t start, int64_t end, int64_t step) {
  auto from_end = [&](int64_t position) {
    return position < 0 ? position + dim : position;
  };
  start = from_end(start);
  end = from_end(end);
  if (step > 0) {
    start = std::clamp<int64_t>(start, 0, dim);
    end = std::clamp<int64_t>(end, 0, dim);
  } else {
    // ONNX keeps the start inside; NumPy would let it fall off the front.
    start = std::min(std::max<int64_t>(start, 0), dim - 1);
    // ONNX Runtime reads the largest end as "all the way", backwards as well.
    bool all = end == std::numeric_limits<int64_t>::max() ||
               end == std::numeric_limits<int32_t>::max();
    end = all ? -1 : std::clamp<int64_t>(end, -1, dim - 1);
  }
  __int128 distance = static_cast<__int128>(end) - start;
  __int128 stride = step;
  if (stride < 0) {
    distance = -distance;
    stride = -stride;
  }
  __int128 length = distance > 0 ? (distance + stride - 1) / stride : 0;
  return {start, step, static_cast<int64_t>(length)};
}

// A symbolic dimension survives a slice that keeps all of it.
Dim symbolic_cut(const Dim& dim, const Element& start, const Element& end,
                 int64_t step) {
  if (step != 1 || !start.is_int()) return Dim();
  if (start.integer == 0) {
    if (end.is_int() && end.integer >= std::numeric_limits<int32_t>::max())
      return dim;
    if (end.is_symbol() && Dim::named(end.symbol).same_as(dim)) return dim;
    if (end.is_int() && end.integer == 0) return Dim(0);
  }
  return Dim();
}

void infer_slice(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  SliceArguments arguments = slice_arguments(ctx);
  const Shape* input = ctx.shape(0);
  if (!input) return;
  int64_t rank = static_cast<int64_t>(input->size());
  if (!arguments.starts || !arguments.ends ||
      (arguments.axes.given && !arguments.axes.values)) {
    ctx.set(0, ctx.elem(0), Shape(input->size()));
    return;
  }
  size_t count = arguments.starts->elements.size();
  std::vector<int64_t> axes;
  if (arguments.axes.given) {
    axes = normalize_axes(ctx, *arguments.axes.values, rank);
  } else {
    if (static_cast<int64_t>(count) > rank)
      ctx.fail("has " + std::to_string(count) + " starts for rank " +
               std::to_string(rank));
    for (size_t i = 0; i < count; ++i) axes.push_back(static_cast<int64_t>(i));
  }
  if (arguments.ends->elements.size() != count || axes.size() != count ||
      (arguments.steps && arguments.steps->elements.size() != count))
    ctx.fail("starts, ends, axes and steps differ in length");
  Shape out = *input;
  std::vector<Cut> cuts(input->size());
  bool exact = true;
  for (size_t i = 0; i < input->size(); ++i) cuts[i].length = out[i].value;
  bool steps_unknown = ctx.has_input(4) && !arguments.steps;
  for (size_t i = 0; i < count; ++i) {
    size_t axis = static_cast<size_t>(axes[i]);
    const Element& start = arguments.starts->elements[i];
    const Element& end = arguments.ends->elements[i];
    Element step = arguments.steps ? arguments.steps->elements[i]
                                   : Element::of(int64_t{1});
    if (step.is_int() && step.integer == 0) ctx.fail("step is 0");
    const Dim& dim = (*input)[axis];
    if (steps_unknown || !step.is_int()) {
      out[axis] = Dim();
    } else if (dim.known() && start.is_int() && end.is_int()) {
      cuts[axis] = cut(dim.value, start.integer, end.integer, step.integer);
      out[axis] = Dim(cuts[axis].length);
    } else {
      out[axis] = symbolic_cut(dim, start, end, step.integer);
    }
    exact = exact && out[axis].known();
  }
  ctx.set(0, ctx.elem(0), out);
  const FollowedValue* data = ctx.data(0);
  if (!data || !exact || !is_static(out) || data->dims.size() != out.size())
    return;
  FollowedValue kept;
  kept.dims = to_dims(out);
  for_each_index(kept.dims, [&](std::vector<int64_t> index) {
    for (size_t i = 0; i < index.size(); ++i)
      index[i] = cuts[i].start + index[i] * cuts[i].step;
    kept.elements.push_back(data->elements[offset_of(data->dims, index)]);
  });
  ctx.set_data(0, std::move(kept));
}

// Sizes as attribute (before opset 13) or input; else even parts, of which the
// last may be smaller (num_outputs, opset 18).
void infer_split(InferContext& ctx) {
  size_t outputs = ctx.output_count();
  const Shape* input = ctx.shape(0);
  for (size_t i = 0; i < outputs; ++i) ctx.set(i, ctx.elem(0));
  if (!input) return;
  int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", 0),
                                static_cast<int64_t>(input->size()));
  const Dim& dim = (*input)[static_cast<size_t>(axis)];
  std::optional<FollowedValue> sizes;
  bool given = true;
  if (ctx.node().has_attribute("split"))
    sizes = as_followed(ctx.node().attr_ints("split"));
  else if (ctx.has_input(1))
    sizes = ctx.data_or_unknown(1);
  else
    given = false;
  if (sizes && sizes->elements.size() != outputs)
    ctx.fail("splits into " + std::to_string(sizes->elements.size()) +
             " parts, but has " + std::to_string(outputs) + " outputs");
  int64_t parts = static_cast<int64_t>(outputs);
  if (int64_t wanted = ctx.node().attr_int("num_outputs", parts);
      !given && wanted != parts)
    ctx.fail("attribute 'num_outputs' is " + std::to_string(wanted) +
             ", but there are " + std::to_string(parts) + " outputs");
  int64_t total = 0, offset = 0;
  bool told = true;
  for (size_t i = 0; i < outputs; ++i) {
    Shape out = *input;
    Dim size;
    if (sizes) {
      const Element& element = sizes->elements[i];
      if (element.is_int() && element.integer < 0)
        ctx.fail("a part has the size " + std::to_string(element.integer));
      size = element.dim();
    } else if (!given && dim.known()) {
      int64_t even = (dim.value + parts - 1) / parts;
      if (ctx.opset() < 18 && dim.value % parts != 0)
        ctx.fail("dimension " + std::to_string(dim.value) +
                 " does not divide into " + std::to_string(parts) + " parts");
      int64_t start = std::min(dim.value, even * static_cast<int64_t>(i));
      size = Dim(std::min(even, dim.value - start));
    } else if (!given && parts == 1) {
      size = dim;
    }
    told = told && size.known();
    if (told) total = checked_add(ctx, total, size.value);
    out[static_cast<size_t>(axis)] = size;
    ctx.set(i, ctx.elem(0), out);
    // Followed lists are split as well.
    const FollowedValue* data = ctx.data(0);
    if (data && data->dims.size() == 1 && told && total <= data->dims[0]) {
      auto from = data->elements.begin() + offset;
      ctx.set_data(
          i, {{size.value}, std::vector<Element>(from, from + size.value)});
      offset += size.value;
    }
  }
  if (told && dim.known() && total != dim.value)
    ctx.fail("the parts add up to " + std::to_string(total) + ", but axis " +
             std::to_string(axis) + " has " + std::to_string(dim.value));
}

void infer_concat(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  std::optional<Shape> out;
  int64_t wanted = required_int(ctx, "axis");
  for (size_t i = 0; i < ctx.input_count(); ++i) {
    const Shape* shape = ctx.shape(i);
    if (!shape) return;
    int64_t axis =
        normalize_axis(ctx, wanted, static_cast<int64_t>(shape->size()));
    if (!out) {
      out = *shape;
      continue;
    }
    if (out->size() != shape->size())
      ctx.fail("inputs have ranks " + std::to_string(out->size()) + " and " +
               std::to_string(shape->size()));
    for (size_t d = 0; d < shape->size(); ++d) {
      Dim &sum = (*out)[d], next = (*shape)[d];
      if (d != static_cast<size_t>(axis))
        sum = unify(ctx, sum, next,
                    "inputs differ off the concat axis; dimensions " +
                        std::to_string(d));
      else if (sum.known() && next.known())
        sum = Dim(checked_add(ctx, sum.value, next.value));
      else if (next.known() && next.value == 0)
        continue;
      else
        sum = sum.known() && sum.value == 0 ? next : Dim();
    }
  }
  ctx.set(0, ctx.elem(0), out);
  if (!out || out->empty() ||
      normalize_axis(ctx, wanted, static_cast<int64_t>(out->size())) != 0)
    return;
  // Along the first axis, elements simply follow each other.
  FollowedValue joined;
  bool any = false;
  for (size_t i = 0; i < ctx.input_count(); ++i) {
    any = any || ctx.data(i);
    auto part = ctx.data_or_unknown(i);
    if (!part || part->dims.empty()) return;
    if (joined.dims.empty())
      joined.dims = part->dims;
    else
      joined.dims[0] += part->dims[0];
    joined.elements.insert(joined.elements.end(), part->elements.begin(),
                           part->elements.end());
  }
  if (any) ctx.set_data(0, std::move(joined));
}

// Pads as attribute (before opset 11) or input; axes from opset 18.
void infer_pad(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  if (!input) return;
  int64_t rank = static_cast<int64_t>(input->size());
  std::optional<FollowedValue> pads;
  const char* attribute =
      ctx.node().has_attribute("pads") ? "pads" : "paddings";
  if (ctx.node().has_attribute(attribute))
    pads = as_followed(ctx.node().attr_ints(attribute));
  else if (ctx.has_input(1))
    pads = ctx.data_or_unknown(1);
  else
    ctx.fail("pads are missing");
  std::vector<int64_t> axes;
  if (ctx.has_input(3)) {
    auto given = ctx.ints(3);
    if (!given) pads.reset();
    if (given) axes = normalize_axes(ctx, *given, rank);
  } else {
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  if (!pads) {
    ctx.set(0, ctx.elem(0), Shape(input->size()));
    return;
  }
  if (pads->elements.size() != 2 * axes.size())
    ctx.fail("has " + std::to_string(pads->elements.size()) +
             " pads, but needs " + std::to_string(2 * axes.size()));
  Shape out = *input;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Element& begin = pads->elements[i];
    const Element& end = pads->elements[i + axes.size()];
    Dim& dim = out[static_cast<size_t>(axes[i])];
    dim = begin.is_int() && end.is_int()
              ? shifted(ctx, dim, checked_add(ctx, begin.integer, end.integer))
              : Dim();
  }
  ctx.set(0, ctx.elem(0), out);
}

constexpr Operator row(const char* name, int min_inputs, int max_inputs,
                       int max_outputs, void (*infer)(InferContext&),
                       const AxisRule* axes = nullptr) {
  return {name,        "",         OpClass::kDataMovement,
          min_inputs,  max_inputs, 1,
          max_outputs, infer,      nullptr,
          true,        axes};
}

constexpr Operator kRows[] = {
    row("Concat", 1, -1, 1, infer_concat, &kConcatAxes),
    row("Pad", 1, 4, 1, infer_pad, &kPadAxes),
    row("ReverseSequence", 2, 2, 1, infer_same),
    row("Slice", 1, 5, 1, infer_slice, &kSliceAxes),
    row("Split", 1, 2, -1, infer_split, &kSplitAxes),
    row("Trilu", 1, 2, 1, infer_same, &kTriluAxes),
};

}  // namespace

std::span<const Operator> slice_operators() { return kRows; }

}  // namespace lathe::ir
