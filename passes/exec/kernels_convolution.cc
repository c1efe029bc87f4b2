// Convolutions. Where pads are the same at both ends, one call of LibTorch.
#include <algorithm>

#include "passes/exec/window.h"

namespace lathe::exec {
namespace {

c10::optional<at::Tensor> given(const at::Tensor& tensor) {
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
}

// [C] as [1, C, 1, ...].
at::Tensor along_channels(const at::Tensor& bias, int64_t rank) {
  Ints sizes(static_cast<size_t>(rank), 1);
  sizes[1] = -1;
  return bias.reshape(sizes);
}

int64_t read_group(const NodeInfo& info, const char* name = "group") {
  const int64_t group = info.node.attr_int(name, 1);
  if (group <= 0)
    info.invalid("attribute '" + std::string(name) + "' is " +
                 std::to_string(group));
  return group;
}

// What both ends have goes to the convolution, the rest around the input.
struct SplitPads {
  Ints common, rest;
};

SplitPads split_pads(const Ints& begins, const Ints& ends) {
  SplitPads split;
  Ints more_begin, more_end;
  for (size_t i = 0; i < begins.size(); ++i) {
    const int64_t common = std::min(begins[i], ends[i]);
    split.common.push_back(common);
    more_begin.push_back(begins[i] - common);
    more_end.push_back(ends[i] - common);
  }
  split.rest = pad_list(more_begin, more_end);
  return split;
}

class Convolution {
 public:
  explicit Convolution(const NodeInfo& info)
      : window_(read_window(info, 1)),
        group_(read_group(info)),
        none_(window_.axes(), 0),
        fixed_(split_pads(window_.begins, window_.ends)) {}

  at::Tensor operator()(const at::Tensor& x, const at::Tensor& w,
                        const c10::optional<at::Tensor>& bias) const {
    if (!window_.same()) return with(fixed_, x, w, bias);
    TORCH_CHECK(w.dim() == static_cast<int64_t>(window_.axes()) + 2,
                "the weight has rank ", w.dim());
    const Pads pads = resolve_pads(window_, x.sizes(), w.sizes().slice(2));
    return with(split_pads(pads.begins, pads.ends), x, w, bias);
  }

 private:
  at::Tensor with(const SplitPads& pads, const at::Tensor& x,
                  const at::Tensor& w,
                  const c10::optional<at::Tensor>& bias) const {
    return at::convolution(padded(x, pads.rest, 0), w, bias, window_.strides,
                           pads.common, window_.dilations,
                           /*transposed=*/false, none_, group_);
  }

  Window window_;
  int64_t group_;
  Ints none_;
  SplitPads fixed_;
};

Kernel make_conv(const NodeInfo& info) {
  return [conv = Convolution(info)](Inputs in, const RunState&) -> Tensors {
    return {conv(in[0], in[1], given(input(in, 2)))};
  };
}

// In double, where every sum of products of 8 bits is exact; pads are the
// input's zero point.
Kernel make_conv_integer(const NodeInfo& info) {
  return [conv = Convolution(info)](Inputs in, const RunState&) -> Tensors {
    at::Tensor x = in[0].to(at::kDouble), w = in[1].to(at::kDouble);
    if (const at::Tensor zero = input(in, 2); zero.defined())
      x = x - zero.to(at::kDouble);
    if (const at::Tensor zero = input(in, 3); zero.defined()) {
      Ints sizes(static_cast<size_t>(w.dim()), 1);
      sizes[0] = -1;  // one for all or one a filter
      w = w - zero.to(at::kDouble).reshape(sizes);
    }
    return {conv(x, w, c10::nullopt).to(at::kLong).to(at::kInt)};
  };
}

class TransposedConvolution {
 public:
  explicit TransposedConvolution(const NodeInfo& info)
      : window_(read_window(info, 1)),
        group_(read_group(info)),
        extra_(window_attribute(info, "output_padding", window_.axes(), 0, 0)),
        target_(info.node.attr_ints("output_shape")) {
    // Some files list all dimensions, batch and channels included.
    if (target_.size() == window_.axes() + 2)
      target_.erase(target_.begin(), target_.begin() + 2);
    if (!target_.empty() && target_.size() != window_.axes())
      info.invalid("attribute 'output_shape' has " +
                   std::to_string(target_.size()) + " values, but needs " +
                   std::to_string(window_.axes()));
    if (!by_size()) fixed_ = place({}, {});
  }

  at::Tensor operator()(const at::Tensor& x, const at::Tensor& w,
                        const at::Tensor& bias) const {
    if (!by_size()) return with(fixed_, x, w, bias);
    const int64_t rank = static_cast<int64_t>(window_.axes()) + 2;
    TORCH_CHECK(x.dim() == rank && w.dim() == rank,
                "input and weight need rank ", rank);
    return with(place(x.sizes(), w.sizes()), x, w, bias);
  }

 private:
  struct Place {
    Ints padding, extra;
    Ints rest;          // of the result, negative where it is cut
    bool late = false;  // the rest adds what the convolution does not reach
  };

  // Whether the pads depend on the input's size.
  bool by_size() const { return window_.same() || !target_.empty(); }

  // The result is what the convolution reaches and zeros behind, from `begins`
  // on and `ends` shorter.
  Place place(at::IntArrayRef x, at::IntArrayRef w) const {
    const size_t axes = window_.axes();
    Ints begins = window_.begins, ends = window_.ends;
    Place place;
    place.extra = extra_;
    for (size_t i = 0; i < axes; ++i) {
      if (by_size()) {
        const int64_t reach =
            (x[i + 2] - 1) * window_.strides[i] + window_.extent(i, w[i + 2]);
        const int64_t size =
            target_.empty() ? x[i + 2] * window_.strides[i] : target_[i];
        const int64_t total = std::max<int64_t>(0, reach + extra_[i] - size);
        begins[i] = window_.auto_pad == Window::AutoPad::kSameUpper
                        ? total / 2
                        : total - total / 2;
        ends[i] = total - begins[i];
        if (!target_.empty()) place.extra[i] = size - (reach - total);
      }
      place.late =
          place.late ||
          place.extra[i] >= std::max(window_.strides[i], window_.dilations[i]);
    }
    Ints more_begin, more_end;
    for (size_t i = 0; i < axes; ++i) {
      const int64_t common = place.late ? 0 : std::min(begins[i], ends[i]);
      place.padding.push_back(common);
      more_begin.push_back(common - begins[i]);
      more_end.push_back(common - ends[i]);
      if (place.late) {
        more_end[i] += place.extra[i];
        place.extra[i] = 0;
      }
    }
    place.rest = pad_list(more_begin, more_end);
    return place;
  }

  at::Tensor with(const Place& place, const at::Tensor& x, const at::Tensor& w,
                  const at::Tensor& bias) const {
    const at::Tensor y = padded(
        at::convolution(x, w, place.late ? c10::nullopt : given(bias),
                        window_.strides, place.padding, window_.dilations,
                        /*transposed=*/true, place.extra, group_),
        place.rest, 0);
    return place.late && bias.defined() ? y + along_channels(bias, y.dim()) : y;
  }

  Window window_;
  int64_t group_;
  Ints extra_, target_;
  Place fixed_;
};

Kernel make_conv_transpose(const NodeInfo& info) {
  return [conv = TransposedConvolution(info)](Inputs in,
                                              const RunState&) -> Tensors {
    return {conv(in[0], in[1], input(in, 2))};
  };
}

// For every tap of the kernel where it reads, without the offsets:
// [taps, outputs] for one axis. `inner`: taps of the other axis to the right.
at::Tensor tap_positions(int64_t taps, int64_t repeats, int64_t inner,
                         int64_t outputs, int64_t stride, int64_t dilation,
                         int64_t pad, const at::TensorOptions& options) {
  const at::Tensor tap = at::arange(taps, options)
                             .mul(dilation)
                             .reshape({1, taps, 1})
                             .expand({repeats, taps, inner})
                             .reshape({-1, 1});
  return tap + at::arange(outputs, options).mul(stride).sub(pad);
}

// Two axes. Inputs X, W, offset, B, mask.
Kernel make_deform_conv(const NodeInfo& info) {
  const Window window = read_window(info, 1);
  if (window.axes() != 2)
    info.unsupported("it has " + std::to_string(window.axes()) +
                     " spatial axes, but only two are taken");
  return [window, group = read_group(info),
          parts = read_group(info, "offset_group")](
             Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &w = in[1], &offset = in[2];
    const at::Tensor bias = input(in, 3), mask = input(in, 4);
    const int64_t n = x.size(0), c = x.size(1), h = x.size(2), wide = x.size(3);
    const int64_t m = w.size(0), kh = w.size(2), kw = w.size(3);
    const int64_t oh = offset.size(2), ow = offset.size(3), taps = kh * kw;
    const at::Tensor moved = offset.reshape({n, parts, taps, 2, oh, ow});
    const at::Tensor rows =
        moved.select(3, 0) + tap_positions(kh, 1, kw, oh, window.strides[0],
                                           window.dilations[0],
                                           window.begins[0], x.options())
                                 .unsqueeze(-1);
    const at::Tensor columns =
        moved.select(3, 1) + tap_positions(kw, kh, 1, ow, window.strides[1],
                                           window.dilations[1],
                                           window.begins[1], x.options())
                                 .unsqueeze(-2);
    // Pixel i lies at (2 i + 1) / size - 1.
    const at::Tensor grid =
        at::stack({(columns * 2 + 1) / wide - 1, (rows * 2 + 1) / h - 1}, -1);
    at::Tensor taken =
        at::grid_sampler(x.reshape({n * parts, c / parts, h, wide}),
                         grid.reshape({n * parts, taps * oh, ow, 2}),
                         /*interpolation_mode=*/0, /*padding_mode=*/0,
                         /*align_corners=*/false)
            .reshape({n, parts, c / parts, taps, oh * ow});
    if (mask.defined())
      taken = taken * mask.reshape({n, parts, 1, taps, oh * ow});
    const at::Tensor y =
        at::matmul(w.reshape({1, group, m / group, -1}),
                   taken.reshape({n, group, c / group * taps, oh * ow}))
            .reshape({n, m, oh, ow});
    return {bias.defined() ? y + along_channels(bias, 4) : y};
  };
}

constexpr OperatorRow kRows[] = {
    {"Conv", make_conv},
    {"ConvInteger", make_conv_integer},
    {"ConvTranspose", make_conv_transpose},
    {"DeformConv", make_deform_conv},
};

}  // namespace

std::span<const OperatorRow> convolution_rows() { return kRows; }

}  // namespace lathe::exec
