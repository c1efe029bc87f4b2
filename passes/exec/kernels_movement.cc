// Operators that move whole elements: cut, join, pad, mirror, rearrange.
#include <algorithm>
#include <limits>
#include <optional>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

using Ints = std::vector<int64_t>;

// What older opsets give as an attribute and newer ones as an input, which may
// be a constant.
class IntsOf {
 public:
  IntsOf(const NodeInfo& info, std::string_view attribute, size_t index)
      : index_(index) {
    const ir::Value* value = info.node.input(index);
    is_attribute_ = info.node.has_attribute(attribute);
    if (is_attribute_)
      fixed_ = info.node.attr_ints(attribute);
    else if (value && value->is_constant())
      fixed_ = value->tensor().to_int64s();
  }
  bool is_attribute() const { return is_attribute_; }
  std::optional<Ints> operator()(Inputs in) const {
    if (fixed_) return fixed_;
    const at::Tensor given = input(in, index_);
    return given.defined() ? std::optional(int64s(given)) : std::nullopt;
  }

 private:
  size_t index_;
  bool is_attribute_ = false;
  std::optional<Ints> fixed_;
};

at::Tensor index_tensor(const Ints& values, const at::Tensor& like) {
  return at::tensor(at::IntArrayRef(values), at::kLong).to(like.device());
}

// x's sizes all 1, but for `length` along dim: to broadcast a vector.
Ints along(int64_t rank, int64_t dim, int64_t length) {
  Ints sizes(static_cast<size_t>(rank), 1);
  sizes[static_cast<size_t>(dim)] = length;
  return sizes;
}

Kernel make_concat(const NodeInfo& info) {
  if (info.inputs() == 0) info.invalid("it has no inputs");
  const int64_t axis = info.node.attr_int("axis", 1);
  const size_t count = info.inputs();
  return [=](Inputs in, const RunState&) -> Tensors {
    return {at::cat(at::TensorList(in.data(), count), axis)};
  };
}

Kernel make_split(const NodeInfo& info) {
  const int64_t axis = info.node.attr_int("axis", 0);
  const IntsOf given(info, "split", 1);
  const int64_t parts =
      info.node.attr_int("num_outputs", static_cast<int64_t>(info.outputs()));
  if (parts < 1) info.invalid("it has no outputs");
  return [=](Inputs in, const RunState&) -> Tensors {
    if (auto sizes = given(in)) return in[0].split_with_sizes(*sizes, axis);
    const int64_t extent = in[0].size(axis);
    const int64_t each = (extent + parts - 1) / parts;
    Ints sizes(static_cast<size_t>(parts), each);
    sizes.back() = extent - each * (parts - 1);
    return in[0].split_with_sizes(sizes, axis);
  };
}

at::Tensor sliced(const at::Tensor& x, int64_t dim, int64_t start, int64_t end,
                  int64_t step) {
  TORCH_CHECK(step != 0, "a step is 0");
  const int64_t extent = x.size(dim);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  // A longer step than the axis takes one element, as one as long does.
  const int64_t stride = std::min(step > 0 ? step : -std::max(step, -kMost),
                                  std::max<int64_t>(extent, 1));
  auto clamped = [&](int64_t at, int64_t low, int64_t high) {
    return std::clamp(at < 0 ? at + extent : at, low, std::max(low, high));
  };
  if (step > 0) {
    const int64_t from = clamped(start, 0, extent);
    const int64_t to = clamped(end, 0, extent);
    return at::slice(x, dim, from, std::max(from, to), stride);
  }
  // Walking back, an end may lie before the first element; a start that does
  // stands on it.
  const int64_t from = clamped(start, 0, extent - 1);
  const int64_t to = clamped(end, -1, extent - 1);
  if (extent == 0 || from <= to) return x.narrow(dim, 0, 0);
  const int64_t low = from - (from - to - 1) / stride * stride;
  return at::slice(x, dim, low, from + 1, stride).flip(dim);
}

Kernel make_slice(const NodeInfo& info) {
  const IntsOf starts(info, "starts", 1), ends(info, "ends", 2),
      axes(info, "axes", 3), steps(info, "steps", 4);
  if (!starts.is_attribute() && info.inputs() < 3)
    info.invalid("it has no starts and ends");
  return [=](Inputs in, const RunState&) -> Tensors {
    const auto from = starts(in), to = ends(in), dims = axes(in),
               by = steps(in);
    TORCH_CHECK(from && to && from->size() == to->size() &&
                    (!dims || dims->size() == from->size()) &&
                    (!by || by->size() == from->size()),
                "its starts, ends, axes and steps do not go together");
    at::Tensor x = in[0];
    for (size_t i = 0; i < from->size(); ++i)
      x = sliced(x, dims ? (*dims)[i] : static_cast<int64_t>(i), (*from)[i],
                 (*to)[i], by ? (*by)[i] : 1);
    return {x};
  };
}

enum class PadMode { kConstant, kReflect, kEdge, kWrap };

struct Padding {
  Ints before, after;  // one a dimension, not negative
};

// Cuts off what negative pads remove; gives what is left to add.
at::Tensor cropped(at::Tensor x, const Ints& pads,
                   const std::optional<Ints>& axes, Padding& padding) {
  const auto rank = static_cast<size_t>(x.dim());
  const size_t count = axes ? axes->size() : rank;
  TORCH_CHECK(pads.size() == 2 * count,
              "its pads do not go with its dimensions");
  padding.before.assign(rank, 0);
  padding.after.assign(rank, 0);
  for (size_t i = 0; i < count; ++i) {
    const int64_t dim = axes ? c10::maybe_wrap_dim((*axes)[i], x.dim())
                             : static_cast<int64_t>(i);
    const int64_t before = pads[i], after = pads[i + count];
    padding.before[static_cast<size_t>(dim)] = std::max<int64_t>(before, 0);
    padding.after[static_cast<size_t>(dim)] = std::max<int64_t>(after, 0);
    if (before >= 0 && after >= 0) continue;
    const int64_t from = std::max<int64_t>(-before, 0);
    const int64_t length = x.size(dim) - from - std::max<int64_t>(-after, 0);
    TORCH_CHECK(length >= 0, "its pads remove more than there is");
    x = x.narrow(dim, from, length);
  }
  return x;
}

at::Tensor constant_padded(const at::Tensor& x, const Padding& padding,
                           const at::Tensor& value, double attribute) {
  Ints flat, sizes = x.sizes().vec();
  for (size_t d = sizes.size(); d-- > 0;) {
    flat.insert(flat.end(), {padding.before[d], padding.after[d]});
    sizes[d] += padding.before[d] + padding.after[d];
  }
  at::Scalar fill = attribute;
  if (value.defined()) {
    TORCH_CHECK(value.numel() == 1, "its value is not one element");
    fill = value.item();
  }
  if (x.numel() == 0) return at::full(sizes, fill, x.options());
  if (!value.defined() || !value.requires_grad())
    return at::constant_pad_nd(x, flat, fill);
  const at::Tensor inside = at::constant_pad_nd(
      at::ones(x.sizes(), x.options().dtype(at::kBool)), flat, false);
  return at::where(inside, at::constant_pad_nd(x, flat, 0), value.reshape({}));
}

// Which element of an axis of `extent` stands at `at`, outside of it.
int64_t mirrored(int64_t at, int64_t extent, PadMode mode) {
  if (mode == PadMode::kEdge || extent == 1)
    return std::clamp<int64_t>(at, 0, extent - 1);
  const int64_t period = mode == PadMode::kWrap ? extent : 2 * (extent - 1);
  const int64_t in_period = (at % period + period) % period;
  return in_period < extent ? in_period : period - in_period;
}

Kernel make_pad(const NodeInfo& info) {
  const std::string name = info.node.attr_string("mode", "constant");
  PadMode mode = PadMode::kConstant;
  if (name == "reflect")
    mode = PadMode::kReflect;
  else if (name == "edge")
    mode = PadMode::kEdge;
  else if (name == "wrap")
    mode = PadMode::kWrap;
  else if (name != "constant")
    info.invalid("attribute 'mode' is '" + name + "'");
  const IntsOf pads(info, "pads", 1), axes_of(info, "", 3);
  const bool old_form = pads.is_attribute();
  if (!old_form && info.inputs() < 2) info.invalid("it has no pads");
  const double attribute = info.node.attr_float("value", 0);
  const ir::Value* filler = old_form ? nullptr : info.node.input(2);
  std::optional<double> fixed;
  if (filler && ir::is_floating(filler->type.elem))
    fixed = constant_number(filler);
  return [=](Inputs in, const RunState&) -> Tensors {
    Padding padding;
    at::Tensor x = cropped(in[0], pads(in).value(), axes_of(in), padding);
    if (mode == PadMode::kConstant) {
      at::Tensor value = old_form ? at::Tensor() : input(in, 2);
      // A constant may have been made a parameter.
      const bool known = fixed && !value.requires_grad();
      if (known) value.reset();
      return {constant_padded(x, padding, value, known ? *fixed : attribute)};
    }
    for (int64_t d = 0; d < x.dim(); ++d) {
      const int64_t before = padding.before[static_cast<size_t>(d)];
      const int64_t after = padding.after[static_cast<size_t>(d)];
      if (before == 0 && after == 0) continue;
      const int64_t extent = x.size(d);
      TORCH_CHECK(extent > 0, "it repeats elements of an empty axis");
      Ints from;
      for (int64_t at = -before; at < extent + after; ++at)
        from.push_back(mirrored(at, extent, mode));
      x = x.index_select(d, index_tensor(from, x));
    }
    return {x};
  };
}

int64_t block_size(const NodeInfo& info) {
  const int64_t block = info.node.attr_int("blocksize", 0);
  if (block < 1)
    info.invalid("attribute 'blocksize' is " + std::to_string(block));
  return block;
}

Kernel make_depth_to_space(const NodeInfo& info) {
  const int64_t b = block_size(info);
  const std::string mode = info.node.attr_string("mode", "DCR");
  if (mode != "DCR" && mode != "CRD")
    info.invalid("attribute 'mode' is '" + mode + "'");
  const bool depth_first = mode == "DCR";
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    TORCH_CHECK(x.dim() == 4, "its input is not of rank 4");
    const int64_t n = x.size(0), c = x.size(1) / (b * b), h = x.size(2),
                  w = x.size(3);
    const at::Tensor moved =
        depth_first ? x.reshape({n, b, b, c, h, w}).permute({0, 3, 4, 1, 5, 2})
                    : x.reshape({n, c, b, b, h, w}).permute({0, 1, 4, 2, 5, 3});
    return {moved.reshape({n, c, h * b, w * b})};
  };
}

Kernel make_space_to_depth(const NodeInfo& info) {
  const int64_t b = block_size(info);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    TORCH_CHECK(x.dim() == 4, "its input is not of rank 4");
    const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / b,
                  w = x.size(3) / b;
    return {x.reshape({n, c, h, b, w, b})
                .permute({0, 3, 5, 1, 2, 4})
                .reshape({n, c * b * b, h, w})};
  };
}

Kernel make_trilu(const NodeInfo& info) {
  const bool upper = info.node.attr_int("upper", 1) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor k = input(in, 1);
    const int64_t diagonal = k.defined() ? int64s(k).at(0) : 0;
    return {upper ? in[0].triu(diagonal) : in[0].tril(diagonal)};
  };
}

Kernel make_reverse_sequence(const NodeInfo& info) {
  const int64_t batch = info.node.attr_int("batch_axis", 1);
  const int64_t time = info.node.attr_int("time_axis", 0);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    const int64_t rank = x.dim();
    const int64_t b = c10::maybe_wrap_dim(batch, rank);
    const int64_t t = c10::maybe_wrap_dim(time, rank);
    const at::Tensor length =
        in[1].to(x.device(), at::kLong).reshape(along(rank, b, x.size(b)));
    const at::Tensor step = at::arange(x.size(t), length.options())
                                .reshape(along(rank, t, x.size(t)));
    const at::Tensor from = at::where(step < length, length - 1 - step, step);
    return {x.gather(t, from.expand(x.sizes()))};
  };
}

Kernel make_compress(const NodeInfo& info) {
  const bool flat = !info.node.has_attribute("axis");
  const int64_t axis = info.node.attr_int("axis", 0);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = flat ? in[0].reshape({-1}) : in[0];
    const at::Tensor kept = at::slice(in[1].to(x.device()), 0, 0, x.size(axis));
    return {x.index_select(axis, kept.nonzero().reshape({-1}))};
  };
}

Kernel make_one_hot(const NodeInfo& info) {
  const int64_t axis = info.node.attr_int("axis", -1);
  if (info.inputs() < 3) info.invalid("it has no depth and values");
  return [=](Inputs in, const RunState&) -> Tensors {
    const int64_t depth = in[1].to(at::kLong).item<int64_t>();
    const int64_t rank = in[0].dim() + 1;
    const int64_t dim = c10::maybe_wrap_dim(axis, rank);
    at::Tensor index = in[0].to(in[2].device(), at::kLong).unsqueeze(dim);
    index = at::where(index < 0, index + depth, index);
    const at::Tensor classes =
        at::arange(depth, index.options()).reshape(along(rank, dim, depth));
    return {
        at::where(index == classes, in[2].select(0, 1), in[2].select(0, 0))};
  };
}

Kernel make_non_zero(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = in[0].dim() == 0 ? in[0].reshape({1}) : in[0];
    return {x.nonzero().t().contiguous()};
  };
}

// Y, where each first stood, which of Y each element is, how often each is.
Kernel make_distinct(const NodeInfo& info) {
  const bool sorted = info.node.attr_int("sorted", 1) != 0;
  const bool flat = !info.node.has_attribute("axis");
  const int64_t axis = info.node.attr_int("axis", 0);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = flat ? in[0].reshape({-1}) : in[0];
    at::Tensor first, inverse, counts;
    {
      at::NoGradGuard no_grad;
      std::tie(std::ignore, inverse, counts) =
          flat ? at::_unique2(x, true, true, true)
               : at::unique_dim(x, axis, true, true, true);
      const at::Tensor grouped =
          std::get<1>(at::sort(inverse, /*stable=*/true, 0, false));
      first = grouped.index_select(0, counts.cumsum(0) - counts);
      if (!sorted) {
        const at::Tensor order = first.argsort();
        first = first.index_select(0, order);
        counts = counts.index_select(0, order);
        inverse = order.argsort().index_select(0, inverse);
      }
    }
    return {x.index_select(axis, first), first, inverse, counts};
  };
}

constexpr Takes kAny{.half = true};

constexpr OperatorRow kRows[] = {
    {"Concat", make_concat, "", kAny},
    {"Split", make_split, "", {.host = 0b10, .half = true}},
    {"Slice", make_slice, "", {.host = 0b11110, .half = true}},
    {"Pad", make_pad, "", {.host = 0b1010}},
    {"DepthToSpace", make_depth_to_space, "", kAny},
    {"SpaceToDepth", make_space_to_depth, "", kAny},
    {"Trilu", make_trilu, "", {.host = 0b10}},
    {"ReverseSequence", make_reverse_sequence, "", {.host = 0b10}},
    {"Compress", make_compress, "", {.host = 0b10}},
    {"OneHot", make_one_hot, "", {.host = 0b11}},
    {"NonZero", make_non_zero},
    {"Unique", make_distinct},
};

}  // namespace

std::span<const OperatorRow> movement_rows() { return kRows; }

}  // namespace lathe::exec
