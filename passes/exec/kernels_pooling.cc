// Poolings. Where LibTorch's own pads and ceil_mode will do, one call of it.
#include <cmath>
#include <limits>
#include <tuple>

#include "passes/exec/window.h"

namespace lathe::exec {
namespace {

using Two = std::tuple<at::Tensor, at::Tensor>;

Window read_pool_window(const NodeInfo& info) {
  if (!info.node.has_attribute("kernel_shape"))
    info.invalid("attribute 'kernel_shape' is missing");
  return read_window(info, 0);
}

void check_rank(const Window& window, const at::Tensor& x) {
  TORCH_CHECK(x.dim() == static_cast<int64_t>(window.axes()) + 2,
              "the input has rank ", x.dim(), ", but the kernel has ",
              window.axes(), " axes");
}

// LibTorch pads both ends alike, by half a kernel at most.
bool takes_pads(const Window& window, const Ints& begins, const Ints& ends) {
  for (size_t i = 0; i < window.axes(); ++i)
    if (begins[i] != ends[i] || 2 * begins[i] > window.kernel[i]) return false;
  return true;
}

bool is_direct(const Window& window) {
  return !window.same() && takes_pads(window, window.begins, window.ends);
}

// Begins and all there is at the ends.
Ints whole_list(const Pads& pads) {
  Ints ends = pads.ends;
  for (size_t i = 0; i < ends.size(); ++i) ends[i] += pads.beyond[i];
  return pad_list(pads.begins, ends);
}

at::Tensor max_pool(const Window& w, const at::Tensor& x, const Ints& pads,
                    bool ceil) {
  switch (w.axes()) {
    case 1:
      return at::max_pool1d(x, w.kernel, w.strides, pads, w.dilations, ceil);
    case 2:
      return at::max_pool2d(x, w.kernel, w.strides, pads, w.dilations, ceil);
    default:
      return at::max_pool3d(x, w.kernel, w.strides, pads, w.dilations, ceil);
  }
}

Two max_pool_with_indices(const Window& w, const at::Tensor& x,
                          const Ints& pads, bool ceil) {
  switch (w.axes()) {
    case 1:
      return at::max_pool1d_with_indices(x, w.kernel, w.strides, pads,
                                         w.dilations, ceil);
    case 2:
      return at::max_pool2d_with_indices(x, w.kernel, w.strides, pads,
                                         w.dilations, ceil);
    default:
      return at::max_pool3d_with_indices(x, w.kernel, w.strides, pads,
                                         w.dilations, ceil);
  }
}

at::Tensor avg_pool(const Window& w, const at::Tensor& x, const Ints& pads,
                    bool ceil, bool count_pads) {
  switch (w.axes()) {
    case 1:
      return at::avg_pool1d(x, w.kernel, w.strides, pads, ceil, count_pads);
    case 2:
      return at::avg_pool2d(x, w.kernel, w.strides, pads, ceil, count_pads);
    default:
      return at::avg_pool3d(x, w.kernel, w.strides, pads, ceil, count_pads);
  }
}

// Indices within a padded channel as indices within the whole tensor `x`; with
// `column_major` the first spatial axis runs fastest.
at::Tensor whole_indices(at::Tensor indices, const at::Tensor& x,
                         at::IntArrayRef padded, const Ints& begins,
                         bool column_major) {
  const at::IntArrayRef in = x.sizes();
  const size_t axes = begins.size();
  int64_t plane = 1;
  for (int64_t size : in.slice(2)) plane *= size;
  at::Tensor inside = indices;
  if (column_major || padded != in) {
    int64_t step = column_major ? plane : 1;
    inside = at::zeros_like(indices);
    for (size_t i = axes; i-- > 0;) {
      if (column_major) step /= in[i + 2];
      inside = inside + (indices.remainder(padded[i + 2]) - begins[i]) * step;
      if (!column_major) step *= in[i + 2];
      indices = at::div(indices, padded[i + 2], "floor");
    }
  }
  Ints sizes(axes + 2, 1);
  sizes[0] = in[0];
  sizes[1] = in[1];
  return inside +
         at::arange(in[0] * in[1], indices.options()).reshape(sizes) * plane;
}

Kernel make_max_pool(const NodeInfo& info) {
  const Window window = read_pool_window(info);
  return [w = window, none = Ints(window.axes(), 0), direct = is_direct(window),
          indices = info.wants(1),
          column_major = info.node.attr_int("storage_order", 0) != 0](
             Inputs in, const RunState&) -> Tensors {
    const at::ScalarType type = in[0].scalar_type();
    const bool native = type == at::kFloat || type == at::kDouble;
    // 8-bit integers and short floats are exact in float.
    at::Tensor x = native ? in[0] : in[0].to(at::kFloat);
    check_rank(w, x);
    const at::Tensor given = x;
    const Ints* inner = &w.begins;
    Ints outer;
    bool ceil = w.ceil_mode;
    if (!direct) {
      Pads pads = resolve_pads(w, x.sizes(), w.kernel);
      outer = pads.begins;
      double lowest = -std::numeric_limits<double>::infinity();
      if (!in[0].is_floating_point()) lowest = type == at::kChar ? -128 : 0;
      x = padded(x, whole_list(pads), lowest);
      inner = &none;
      ceil = false;
    }
    if (!indices) {
      const at::Tensor y = max_pool(w, x, *inner, ceil);
      return {native ? y : y.to(type)};
    }
    auto [y, within] = max_pool_with_indices(w, x, *inner, ceil);
    return {native ? y : y.to(type),
            whole_indices(within, given, x.sizes(), direct ? none : outer,
                          column_major)};
  };
}

// Means over windows that lie within x.
at::Tensor window_means(const Window& w, const at::Tensor& x,
                        const Ints& none) {
  if (!w.dilated()) return avg_pool(w, x, none, false, true);
  Ints sizes = x.sizes().vec(), filter = w.kernel;
  filter.insert(filter.begin(), {1, 1});
  int64_t count = 1;
  for (int64_t size : w.kernel) count *= size;
  const Ints outer = {sizes[0], sizes[1]};
  sizes[0] *= sizes[1];
  sizes[1] = 1;
  const at::Tensor y = at::convolution(
      x.reshape(sizes),
      at::full(filter, 1.0 / static_cast<double>(count), x.options()),
      c10::nullopt, w.strides, none, w.dilations, /*transposed=*/false, none,
      /*groups=*/1);
  sizes = y.sizes().vec();
  sizes[0] = outer[0];
  sizes[1] = outer[1];
  return y.reshape(sizes);
}

Kernel make_average_pool(const NodeInfo& info) {
  const Window window = read_pool_window(info);
  return [w = window, none = Ints(window.axes(), 0),
          direct = is_direct(window) && !window.dilated(),
          count_pads = info.node.attr_int("count_include_pad", 0) != 0](
             Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    check_rank(w, x);
    if (direct) return {avg_pool(w, x, w.begins, w.ceil_mode, count_pads)};
    const Pads pads = resolve_pads(w, x.sizes(), w.kernel);
    const Ints all = whole_list(pads),
               counted = pad_list(pads.begins, pads.ends),
               beyond = pad_list(none, pads.beyond);
    const at::Tensor y = window_means(w, padded(x, all, 0), none);
    // Sums are divided by the kernel so far, and some elements do not count.
    if (count_pads ? beyond.empty() : all.empty()) return {y};
    Ints sizes = x.sizes().vec();
    sizes[0] = sizes[1] = 1;
    at::Tensor ones = at::ones(sizes, x.options());
    ones = count_pads ? padded(padded(ones, counted, 1), beyond, 0)
                      : padded(ones, all, 0);
    return {y / window_means(w, ones, none)};
  };
}

// The p-th root of a sum of powers; its gradient is 0 where the sum is.
at::Tensor root(const at::Tensor& sum, double p) {
  if (p == 1) return sum;
  const at::Tensor zero = sum == 0;
  const at::Tensor safe = sum.masked_fill(zero, 1);
  return (p == 2 ? safe.sqrt() : safe.pow(1 / p)).masked_fill(zero, 0);
}

at::Tensor power(const at::Tensor& x, double p) {
  if (p == 2) return x * x;
  return p == 1 ? x.abs() : x.abs().pow(p);
}

double read_p(const NodeInfo& info) {
  const auto p = static_cast<double>(info.node.attr_int("p", 2));
  if (p < 1) info.invalid("attribute 'p' needs at least 1");
  return p;
}

Kernel make_lp_pool(const NodeInfo& info) {
  const Window window = read_pool_window(info);
  double count = 1;
  for (int64_t size : window.kernel) count *= static_cast<double>(size);
  return [w = window, none = Ints(window.axes(), 0), count, p = read_p(info)](
             Inputs in, const RunState&) -> Tensors {
    check_rank(w, in[0]);
    const Pads pads = resolve_pads(w, in[0].sizes(), w.kernel);
    const at::Tensor powers = padded(power(in[0], p), whole_list(pads), 0);
    return {root(window_means(w, powers, none) * count, p)};
  };
}

// Every axis behind batch and channels.
Ints spatial_axes(const at::Tensor& x) {
  Ints axes;
  for (int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

Kernel make_global_average_pool(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    if (in[0].dim() <= 2) return {in[0]};
    return {at::mean(in[0], spatial_axes(in[0]), /*keepdim=*/true)};
  };
}

Kernel make_global_max_pool(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    if (in[0].dim() <= 2) return {in[0]};
    return {at::amax(in[0], spatial_axes(in[0]), /*keepdim=*/true)};
  };
}

Kernel make_global_lp_pool(const NodeInfo& info) {
  return [p = read_p(info)](Inputs in, const RunState&) -> Tensors {
    if (in[0].dim() <= 2) return {in[0].abs()};
    return {at::norm(in[0], p, spatial_axes(in[0]), /*keepdim=*/true)};
  };
}

// Inputs X, indices within the whole output, output shape.
Kernel make_max_unpool(const NodeInfo& info) {
  return [w = read_pool_window(info)](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    check_rank(w, x);
    Ints sizes = x.sizes().vec();
    if (const at::Tensor shape = input(in, 2); shape.defined()) {
      sizes = int64s(shape);
    } else {
      for (size_t i = 0; i < w.axes(); ++i)
        sizes[i + 2] = (sizes[i + 2] - 1) * w.strides[i] + w.kernel[i] -
                       w.begins[i] - w.ends[i];
    }
    return {at::zeros(sizes, x.options())
                .reshape({-1})
                .scatter(0, in[1].reshape({-1}), x.reshape({-1}))
                .reshape(sizes)};
  };
}

constexpr OperatorRow kRows[] = {
    {"AveragePool", make_average_pool},
    {"GlobalAveragePool", make_global_average_pool},
    {"GlobalLpPool", make_global_lp_pool},
    {"GlobalMaxPool", make_global_max_pool},
    {"LpPool", make_lp_pool},
    {"MaxPool", make_max_pool},
    {"MaxUnpool", make_max_unpool, "", {.host = 0b100}},
};

}  // namespace

std::span<const OperatorRow> pooling_rows() { return kRows; }

}  // namespace lathe::exec
