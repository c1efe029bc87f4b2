// Resampling. Every axis is resized by itself: each of its new elements is a
// weighted sum of few old ones ("taps").
#include <algorithm>
#include <array>
#include <cmath>

#include "passes/exec/operator_kernel.h"
#include "passes/exec/resize_taps.h"

namespace lathe::exec {
namespace {

using resize::Axis;
using resize::Coordinates;
using resize::Ints;
using resize::Mode;
using resize::Policy;
using resize::Rounding;
using resize::Settings;
using resize::Taps;

template <class T>
T choice(const NodeInfo& info, const char* attribute, const char* fallback,
         std::initializer_list<std::pair<const char*, T>> choices) {
  const std::string given = info.node.attr_string(attribute, fallback);
  for (const auto& [name, value] : choices)
    if (given == name) return value;
  info.invalid("attribute '" + std::string(attribute) + "' is '" + given + "'");
}

at::Tensor weighted(const at::Tensor& x, int64_t dim, const Taps& taps,
                    bool plain) {
  Ints sizes(static_cast<size_t>(x.dim()), 1);
  sizes[static_cast<size_t>(dim)] = static_cast<int64_t>(taps.outside.size());
  at::Tensor sum;
  for (size_t t = 0; t < taps.index.size(); ++t) {
    const at::Tensor index =
        at::tensor(at::IntArrayRef(taps.index[t]), at::kLong).to(x.device());
    at::Tensor part = x.index_select(dim, index);
    if (plain) return part;
    part = part * at::tensor(at::ArrayRef<float>(taps.weight[t]), at::kFloat)
                      .to(x.device(), x.scalar_type())
                      .reshape(sizes);
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

// Values of an integer type again, after a step in floating point.
at::Tensor rounded(const at::Tensor& x, at::ScalarType type) {
  const at::Tensor whole =
      at::where(x < 0, at::ceil(x - 0.5), at::floor(x + 0.5));
  if (type == at::kByte) return whole.clamp(0, 255);
  if (type == at::kChar) return whole.clamp(-128, 127);
  return whole;
}

bool all_grow_whole(const std::vector<Axis>& axes) {
  return std::ranges::all_of(axes, [](const Axis& axis) {
    return axis.out % axis.in == 0 &&
           axis.scale == static_cast<float>(axis.out / axis.in);
  });
}

// LibTorch's own resampling of images, where it means the same; else undefined.
at::Tensor fast(const Settings& s, const at::Tensor& x,
                const std::vector<Axis>& axes) {
  if (x.dim() != 4 || !axes[0].kept() || !axes[1].kept() || s.antialias ||
      x.numel() == 0 ||
      (x.scalar_type() != at::kFloat && x.scalar_type() != at::kDouble))
    return {};
  const Axis &h = axes[2], &w = axes[3];
  if (h.out == 0 || w.out == 0) return {};
  const bool half_pixel = s.coordinates == Coordinates::kHalfPixel ||
                          (s.coordinates == Coordinates::kPytorchHalfPixel &&
                           h.out > 1 && w.out > 1);
  const std::array<int64_t, 2> sizes{h.out, w.out};
  if (s.mode == Mode::kNearest && all_grow_whole(axes)) {
    const bool floors =
        s.coordinates == Coordinates::kAsymmetric &&
        (s.rounding == Rounding::kFloor || s.rounding == Rounding::kSimple);
    const bool rounds = half_pixel && (s.rounding == Rounding::kPreferFloor ||
                                       s.rounding == Rounding::kPreferCeil);
    if (floors || rounds)
      return at::upsample_nearest2d(x, sizes, h.scale, w.scale);
  }
  // LibTorch copies an axis that keeps its size, whatever its scale.
  const bool copies =
      (h.in == h.out && !h.kept()) || (w.in == w.out && !w.kept());
  if (s.mode == Mode::kLinear && half_pixel && !copies)
    return at::upsample_bilinear2d(x, sizes, false, h.scale, w.scale);
  if (s.mode == Mode::kLinear && s.coordinates == Coordinates::kAlignCorners)
    return at::upsample_bilinear2d(x, sizes, true);
  return {};
}

at::Tensor resized(const Settings& s, const at::Tensor& x,
                   const std::vector<Axis>& axes) {
  if (at::Tensor result = fast(s, x, axes); result.defined()) return result;
  const bool plain = s.mode == Mode::kNearest;
  const at::ScalarType type = x.scalar_type();
  const bool converts = !plain && type != at::kFloat && type != at::kDouble;
  const bool whole = converts && !x.is_floating_point();
  const bool bytes = whole && s.antialias && type != at::kInt;
  at::Tensor y = converts ? x.to(bytes ? at::kDouble : at::kFloat) : x;
  std::vector<std::pair<int64_t, std::vector<uint8_t>>> outside;
  for (int64_t d = x.dim(); d-- > 0;) {
    const Axis& axis = axes[static_cast<size_t>(d)];
    if (axis.kept()) continue;
    TORCH_CHECK(axis.in > 0 || axis.out == 0, "it resizes an empty axis");
    Taps taps = taps_of(s, axis);
    // The runtime smooths bytes in fixed point.
    if (bytes)
      for (auto& weights : taps.weight)
        for (float& w : weights) w = std::round(w * 0x1p22f) * 0x1p-22f;
    if (axis.out == 0) {
      y = y.narrow(d, 0, 0);
      continue;
    }
    y = weighted(y, d, taps, plain);
    if (whole && s.antialias) y = rounded(y, type);
    if (std::ranges::count(taps.outside, 1) > 0)
      outside.emplace_back(d, std::move(taps.outside));
  }
  for (const auto& [d, mask] : outside) {
    Ints sizes(static_cast<size_t>(x.dim()), 1);
    sizes[static_cast<size_t>(d)] = static_cast<int64_t>(mask.size());
    y = y.masked_fill(at::tensor(at::ArrayRef<uint8_t>(mask), at::kByte)
                          .to(x.device(), at::kBool)
                          .reshape(sizes),
                      s.extrapolation);
  }
  return converts ? y.to(type) : y;
}

bool given(const at::Tensor& tensor) {
  return tensor.defined() && tensor.numel() > 0;
}

// The sizes that are asked for, with the scales that they mean.
void set_sizes(const Settings& s, const Ints& sizes,
               const std::vector<int64_t>& dims, std::vector<Axis>& axes) {
  float common = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    Axis& axis = axes[static_cast<size_t>(dims[i])];
    axis.out = sizes[i];
    axis.scale = axis.in == 0 ? 1.0f
                              : static_cast<float>(axis.out) /
                                    static_cast<float>(axis.in);
    const bool better = s.policy == Policy::kNotLarger ? axis.scale < common
                                                       : axis.scale > common;
    if (i == 0 || better) common = axis.scale;
  }
  if (s.policy == Policy::kStretch) return;
  for (int64_t dim : dims) {
    Axis& axis = axes[static_cast<size_t>(dim)];
    axis.scale = common;
    axis.out =
        static_cast<int64_t>(std::round(common * static_cast<float>(axis.in)));
  }
}

std::vector<Axis> axes_of(const Settings& s, Inputs in) {
  const at::Tensor& x = in[0];
  std::vector<Axis> axes;
  Ints dims;
  for (int64_t d = 0; d < x.dim(); ++d) {
    axes.push_back({x.size(d), x.size(d)});
    if (!s.axes) dims.push_back(d);
  }
  if (s.axes)
    for (int64_t axis : *s.axes)
      dims.push_back(c10::maybe_wrap_dim(axis, x.dim()));
  const at::Tensor scales = input(in, s.scales_at),
                   sizes = input(in, s.scales_at + 1);
  if (given(sizes)) {
    const Ints wanted = int64s(sizes);
    TORCH_CHECK(wanted.size() == dims.size(), "it has ", wanted.size(),
                " sizes for ", dims.size(), " axes");
    set_sizes(s, wanted, dims, axes);
  } else {
    TORCH_CHECK(s.scales || given(scales), "it has neither scales nor sizes");
    const std::vector<double> factors = s.scales ? *s.scales : doubles(scales);
    TORCH_CHECK(factors.size() == dims.size(), "it has ", factors.size(),
                " scales for ", dims.size(), " axes");
    for (size_t i = 0; i < dims.size(); ++i) {
      Axis& axis = axes[static_cast<size_t>(dims[i])];
      axis.scale = static_cast<float>(factors[i]);
      TORCH_CHECK(axis.scale > 0, "a scale is ", axis.scale);
      axis.out = static_cast<int64_t>(axis.scale * static_cast<float>(axis.in));
    }
  }
  if (s.coordinates != Coordinates::kCrop) return axes;
  const std::vector<double> roi = doubles(in[1]);
  TORCH_CHECK(roi.size() == 2 * dims.size(), "its roi has ", roi.size(),
              " elements for ", dims.size(), " axes");
  for (size_t i = 0; i < dims.size(); ++i) {
    Axis& axis = axes[static_cast<size_t>(dims[i])];
    axis.roi_start = static_cast<float>(roi[i]);
    axis.roi_end = static_cast<float>(roi[i + dims.size()]);
  }
  return axes;
}

Kernel kernel_of(const Settings& s) {
  return [s](Inputs in, const RunState&) -> Tensors {
    const std::vector<Axis> axes = axes_of(s, in);
    if (std::ranges::all_of(axes, [](const Axis& a) { return a.in == a.out; }))
      return {in[0]};
    return {resized(s, in[0], axes)};
  };
}

Mode mode_of(const NodeInfo& info) {
  return choice<Mode>(info, "mode", "nearest",
                      {{"nearest", Mode::kNearest},
                       {"linear", Mode::kLinear},
                       {"bilinear", Mode::kLinear},
                       {"cubic", Mode::kCubic}});
}

Kernel make_resize(const NodeInfo& info) {
  Settings s;
  s.mode = mode_of(info);
  if (info.opset < 11) return kernel_of(s);
  s.scales_at = 2;
  s.coordinates = choice<Coordinates>(
      info, "coordinate_transformation_mode", "half_pixel",
      {{"half_pixel", Coordinates::kHalfPixel},
       {"half_pixel_symmetric", Coordinates::kHalfPixelSymmetric},
       {"pytorch_half_pixel", Coordinates::kPytorchHalfPixel},
       {"tf_half_pixel_for_nn", Coordinates::kTfHalfPixelForNn},
       {"align_corners", Coordinates::kAlignCorners},
       {"asymmetric", Coordinates::kAsymmetric},
       {"tf_crop_and_resize", Coordinates::kCrop}});
  if (const ir::Value* scales = info.node.input(s.scales_at);
      scales && scales->is_constant() && scales->tensor().size() > 0)
    s.scales = scales->tensor().to_doubles();
  if (s.coordinates == Coordinates::kCrop && !info.node.input(1))
    info.invalid("it crops without a roi");
  s.rounding = choice<Rounding>(info, "nearest_mode", "round_prefer_floor",
                                {{"round_prefer_floor", Rounding::kPreferFloor},
                                 {"round_prefer_ceil", Rounding::kPreferCeil},
                                 {"floor", Rounding::kFloor},
                                 {"ceil", Rounding::kCeil}});
  s.policy = choice<Policy>(info, "keep_aspect_ratio_policy", "stretch",
                            {{"stretch", Policy::kStretch},
                             {"not_larger", Policy::kNotLarger},
                             {"not_smaller", Policy::kNotSmaller}});
  s.exclude_outside = info.node.attr_int("exclude_outside", 0) != 0;
  s.antialias = info.node.attr_int("antialias", 0) != 0;
  if (s.antialias && s.mode == Mode::kNearest)
    info.invalid("it smooths what it takes the nearest of");
  s.cubic = info.node.attr_float("cubic_coeff_a", -0.75f);
  s.extrapolation = info.node.attr_float("extrapolation_value", 0);
  if (info.node.has_attribute("axes")) s.axes = info.node.attr_ints("axes");
  return kernel_of(s);
}

Kernel make_upsample(const NodeInfo& info) {
  Settings s;
  s.mode = mode_of(info);
  if (info.node.has_attribute("scales")) {
    const auto scales = info.node.attr_floats("scales");
    s.scales.emplace(scales.begin(), scales.end());
  } else if (info.inputs() < 2) {
    info.invalid("it has no scales");
  }
  return kernel_of(s);
}

constexpr int64_t kNearest = 1, kReflection = 2;  // as LibTorch counts

// The grid moved to the nearest elements, ties to even ones. Its last axis
// counts the spatial axes from the last one.
at::Tensor at_whole_places(const at::Tensor& grid, at::IntArrayRef sizes,
                           bool align) {
  std::vector<double> extents(sizes.rbegin(), sizes.rend());
  const at::Tensor extent = at::tensor(extents, at::kDouble).to(grid.device());
  if (align) {
    const at::Tensor last = (extent - 1).clamp_min(1);
    const at::Tensor place = at::round((grid.to(at::kDouble) + 1) / 2 * last);
    return (place * 2 / last - 1).to(grid.scalar_type());
  }
  const at::Tensor place =
      at::round(((grid.to(at::kDouble) + 1) * extent - 1) / 2);
  return ((place * 2 + 1) / extent - 1).to(grid.scalar_type());
}

Kernel make_grid_sample(const NodeInfo& info) {
  const auto mode = choice<int64_t>(info, "mode", "linear",
                                    {{"linear", 0},
                                     {"bilinear", 0},
                                     {"nearest", kNearest},
                                     {"cubic", 2},
                                     {"bicubic", 2}});
  const auto padding = choice<int64_t>(
      info, "padding_mode", "zeros",
      {{"zeros", 0}, {"border", 1}, {"reflection", kReflection}});
  const bool align = info.node.attr_int("align_corners", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::ScalarType type = in[0].scalar_type();
    const at::ScalarType wide = type == at::kDouble ? type : at::kFloat;
    const at::Tensor x = in[0].to(wide);
    at::Tensor grid = in[1].to(wide);
    // Halfway between two, LibTorch's call for volumes rounds away from 0.
    if (x.dim() == 5 && mode == kNearest && padding != kReflection)
      grid = at_whole_places(grid, x.sizes().slice(2), align);
    return {at::grid_sampler(x, grid, mode, padding, align).to(type)};
  };
}

Kernel make_affine_grid(const NodeInfo& info) {
  const bool align = info.node.attr_int("align_corners", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    return {at::affine_grid_generator(in[0], int64s(in[1]), align)};
  };
}

constexpr OperatorRow kRows[] = {
    {"Resize", make_resize, "", {.host = 0b1110}},
    {"Upsample", make_upsample, "", {.host = 0b10}},
    {"GridSample", make_grid_sample},
    {"AffineGrid", make_affine_grid, "", {.host = 0b10}},
};

}  // namespace

std::span<const OperatorRow> resize_rows() { return kRows; }

}  // namespace lathe::exec
