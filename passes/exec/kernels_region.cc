// Regions of images, and what puts patches back or cuts the middle out.
#include <ATen/WrapDimUtils.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "passes/exec/window.h"

namespace lathe::exec {
namespace {

// Where one axis of a region is read: every sample between two neighbours.
struct Samples {
  at::Tensor index;   // [2 * samples], pairs of neighbours
  at::Tensor weight;  // likewise
};

// `count` samples in even distances from `start`, `length` together. Those more
// than one element outside are 0.
Samples samples_along(const at::Tensor& start, const at::Tensor& length,
                      int64_t count, int64_t size) {
  const at::Tensor at =
      start + (at::arange(count, start.options()) + 0.5) * length / count;
  const at::Tensor inside = (at >= -1).logical_and(at <= size);
  const at::Tensor place = at.clamp(0, size - 1);
  const at::Tensor low = at::floor(place.detach());
  const at::Tensor part = place - low;
  return {at::stack({low, (low + 1).clamp_max(size - 1)}, 1)
              .to(at::kLong)
              .reshape({-1}),
          (at::stack({1 - part, part}, 1) * inside.unsqueeze(1)).reshape({-1})};
}

struct RoiAlign {
  int64_t height, width, ratio;
  double scale;
  bool half_pixel, takes_max;

  // x [C, H, W], region [4] as x1, y1, x2, y2 -> [C, height, width].
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& region) const {
    const at::Tensor corners = region * scale - (half_pixel ? 0.5 : 0.0);
    at::Tensor size = corners.slice(0, 2, 4) - corners.slice(0, 0, 2);
    if (!half_pixel) size = size.clamp_min(1);
    const std::vector<double> extent = doubles(size.detach());
    const int64_t down = grid(extent[1], height),
                  across = grid(extent[0], width);
    if (down < 1 || across < 1)
      return at::zeros({x.size(0), height, width}, x.options());
    const int64_t rows = height * down, columns = width * across;
    TORCH_CHECK(rows < (1 << 20) && columns < (1 << 20) &&
                    rows * columns < (int64_t{1} << 28),
                "a region is ", extent[0], " by ", extent[1], " large");
    const Samples y = samples_along(corners[1], size[1], rows, x.size(1));
    const Samples w = samples_along(corners[0], size[0], columns, x.size(2));
    const at::Tensor read =
        (x.index_select(1, y.index).index_select(2, w.index) *
         y.weight.unsqueeze(1) * w.weight)
            .reshape({x.size(0), height, 2 * down, width, 2 * across});
    // The largest of weighted neighbours is what ONNX defines.
    if (takes_max) return read.amax({2, 4});
    return read.sum({2, 4}) / (down * across);
  }

 private:
  int64_t grid(double extent, int64_t outputs) const {
    if (ratio > 0) return ratio;
    const double count = std::ceil(extent / static_cast<double>(outputs));
    return count > 1e6 ? 1000000 : static_cast<int64_t>(count);
  }
};

int64_t positive(const NodeInfo& info, const char* name) {
  const int64_t value = info.node.attr_int(name, 1);
  if (value < 1)
    info.invalid("attribute '" + std::string(name) + "' is " +
                 std::to_string(value));
  return value;
}

at::Tensor stacked(const Tensors& parts, const at::Tensor& x, int64_t height,
                   int64_t width) {
  if (!parts.empty()) return at::stack(parts, 0);
  return at::zeros({0, x.size(1), height, width}, x.options());
}

Kernel make_roi_align(const NodeInfo& info) {
  RoiAlign align{.height = positive(info, "output_height"),
                 .width = positive(info, "output_width"),
                 .ratio = info.node.attr_int("sampling_ratio", 0),
                 .scale = info.node.attr_float("spatial_scale", 1),
                 .half_pixel = false,
                 .takes_max = false};
  const bool old_form = info.opset > 0 && info.opset < 16;
  const std::string coordinates =
      info.node.attr_string("coordinate_transformation_mode",
                            old_form ? "output_half_pixel" : "half_pixel");
  const std::string mode = info.node.attr_string("mode", "avg");
  if (coordinates != "half_pixel" && coordinates != "output_half_pixel")
    info.invalid("attribute 'coordinate_transformation_mode' is '" +
                 coordinates + "'");
  if (mode != "avg" && mode != "max")
    info.invalid("attribute 'mode' is '" + mode + "'");
  align.half_pixel = coordinates == "half_pixel";
  align.takes_max = mode == "max";
  return [align](Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &regions = in[1];
    const std::vector<int64_t> images = int64s(in[2]);
    TORCH_CHECK(x.dim() == 4 && regions.dim() == 2 && regions.size(1) == 4 &&
                    regions.size(0) == static_cast<int64_t>(images.size()),
                "its regions do not go with its images");
    Tensors parts;
    for (size_t i = 0; i < images.size(); ++i)
      parts.push_back(align(x[images[i]], regions[static_cast<int64_t>(i)]));
    return {stacked(parts, x, align.height, align.width)};
  };
}

// The largest in each of `count` bins of an axis, from `start` to `end`, both
// inside; bins outside of x are 0.
at::Tensor largest_along(const at::Tensor& x, int64_t dim, int64_t start,
                         int64_t end, int64_t count) {
  const int64_t size = x.size(dim),
                length = std::max<int64_t>(end - start + 1, 1);
  Tensors bins;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t from =
        std::clamp<int64_t>(start + i * length / count, 0, size);
    const int64_t to = std::clamp<int64_t>(
        start + ((i + 1) * length + count - 1) / count, 0, size);
    bins.push_back(from < to ? x.narrow(dim, from, to - from).amax({dim})
                             : at::zeros_like(x.select(dim, 0)));
  }
  return at::stack(bins, dim);
}

// Regions are rows of image, x1, y1, x2, y2.
Kernel make_max_roi_pool(const NodeInfo& info) {
  const std::vector<int64_t> shape = info.node.attr_ints("pooled_shape");
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
    info.invalid("attribute 'pooled_shape' is not two positive numbers");
  return [shape, scale = info.node.attr_float("spatial_scale", 1)](
             Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &regions = in[1];
    TORCH_CHECK(x.dim() == 4 && x.numel() > 0 && regions.dim() == 2 &&
                    regions.size(1) == 5,
                "its regions do not go with its images");
    const std::vector<double> values = doubles(regions);
    Tensors parts;
    for (size_t i = 0; i < values.size(); i += 5) {
      auto at = [&](size_t k) {
        const double place = std::round(values[i + k] * scale);
        return static_cast<int64_t>(std::clamp(place, -1e6, 1e6));
      };
      const at::Tensor rows = largest_along(x[static_cast<int64_t>(values[i])],
                                            1, at(2), at(4), shape[0]);
      parts.push_back(largest_along(rows, 2, at(1), at(3), shape[1]));
    }
    return {stacked(parts, x, shape[0], shape[1])};
  };
}

int64_t product(const Ints& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                         std::multiplies<>());
}

// Columns [N, C * block, positions], image, block -> [N, C, image...]; where
// blocks overlap, they add up.
Kernel make_col2im(const NodeInfo& info) {
  const Ints pads = info.node.attr_ints("pads"),
             given_strides = info.node.attr_ints("strides"),
             given_dilations = info.node.attr_ints("dilations");
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    const Ints image = int64s(in[1]), block = int64s(in[2]);
    const size_t axes = image.size();
    const auto one_an_axis = [&](const Ints& list, int64_t fallback,
                                 size_t count) {
      TORCH_CHECK(list.empty() || list.size() == count, "an attribute has ",
                  list.size(), " elements for ", axes, " axes");
      return list.empty() ? Ints(count, fallback) : list;
    };
    const Ints around = one_an_axis(pads, 0, 2 * axes),
               strides = one_an_axis(given_strides, 1, axes),
               dilations = one_an_axis(given_dilations, 1, axes);
    TORCH_CHECK(x.dim() == 3 && axes > 0 && block.size() == axes &&
                    product(block) > 0 && x.size(1) % product(block) == 0,
                "its columns do not go with its image and block");
    Ints padded = image, positions;
    for (size_t d = 0; d < axes; ++d) {
      padded[d] += around[d] + around[d + axes];
      const int64_t reach = (block[d] - 1) * dilations[d] + 1;
      TORCH_CHECK(strides[d] > 0 && reach > 0 && padded[d] >= reach,
                  "its block is larger than its image");
      positions.push_back((padded[d] - reach) / strides[d] + 1);
    }
    TORCH_CHECK(x.size(2) == product(positions), "there are ", x.size(2),
                " columns for ", product(positions), " blocks");
    // Where each element of each block lies in the padded image: [block...,
    // positions...].
    const auto options = at::TensorOptions(at::kLong).device(x.device());
    at::Tensor place = at::zeros({}, options);
    for (size_t d = 0; d < axes; ++d) {
      Ints as_block(2 * axes, 1), as_position(2 * axes, 1);
      as_block[d] = block[d];
      as_position[axes + d] = positions[d];
      place =
          place * padded[d] +
          (at::arange(block[d], options) * dilations[d]).reshape(as_block) +
          (at::arange(positions[d], options) * strides[d]).reshape(as_position);
    }
    const int64_t batch = x.size(0), channels = x.size(1) / product(block);
    at::Tensor y = at::zeros({batch * channels, product(padded)}, x.options())
                       .index_add(1, place.reshape({-1}),
                                  x.reshape({batch * channels, -1}));
    Ints sizes = padded;
    sizes.insert(sizes.begin(), {batch, channels});
    y = y.reshape(sizes);
    for (size_t d = 0; d < axes; ++d)
      y = y.narrow(static_cast<int64_t>(d) + 2, around[d], image[d]);
    return {y};
  };
}

Kernel make_center_crop_pad(const NodeInfo& info) {
  const bool given = info.node.has_attribute("axes");
  const Ints fixed = info.node.attr_ints("axes");
  return [=](Inputs in, const RunState&) -> Tensors {
    at::Tensor x = in[0];
    Ints axes = fixed;
    if (!given) {
      axes.resize(static_cast<size_t>(x.dim()));
      std::iota(axes.begin(), axes.end(), 0);
    }
    const Ints target = int64s(in[1]);
    TORCH_CHECK(target.size() == axes.size(), "there are ", target.size(),
                " sizes for ", axes.size(), " axes");
    Ints around(2 * static_cast<size_t>(x.dim()), 0);
    for (size_t i = 0; i < axes.size(); ++i) {
      const int64_t dim = at::maybe_wrap_dim(axes[i], x.dim());
      const int64_t more = target[i] - x.size(dim);
      TORCH_CHECK(target[i] >= 0, "a size is ", target[i]);
      if (more < 0) {
        x = x.narrow(dim, -more / 2, target[i]);
        continue;
      }
      // Of the last axis first.
      const auto place = 2 * static_cast<size_t>(x.dim() - 1 - dim);
      around[place] = more / 2;
      around[place + 1] = more - more / 2;
    }
    return {at::constant_pad_nd(x, around, 0)};
  };
}

constexpr OperatorRow kRows[] = {
    {"CenterCropPad", make_center_crop_pad, "", {.host = 0b10, .half = true}},
    {"Col2Im", make_col2im, "", {.host = 0b110}},
    {"MaxRoiPool", make_max_roi_pool},
    {"RoiAlign", make_roi_align, "", {.host = 0b100}},
};

}  // namespace

std::span<const OperatorRow> region_rows() { return kRows; }

}  // namespace lathe::exec
