#include "passes/prune/repair_rows.h"

#include <algorithm>
#include <numeric>

namespace lathe::prune {
namespace {

using Ints = std::vector<int64_t>;

int64_t product_of(const Ints& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                         std::multiplies<>());
}

at::Tensor index_of(const Ints& elements) {
  return at::tensor(elements, at::kLong);
}

}  // namespace

ProductRows::ProductRows(const Product& product, const at::Tensor& x)
    : product_(product), x_(x) {
  if (!product.is_convolution()) {
    places_ = x.sizes().vec();
    if (!places_.empty()) places_.pop_back();
    positions_ = product_of(places_);
    return;
  }
  const ir::Node& node = *product.node;
  const Ints& weights = product.weights()->tensor().dims();
  const auto axes = static_cast<size_t>(x.dim() - 2);
  kernel_.assign(weights.begin() + 2, weights.end());
  strides_ = node.attr_ints("strides", Ints(axes, 1));
  dilations_ = node.attr_ints("dilations", Ints(axes, 1));
  const Ints pads = node.attr_ints("pads", Ints(2 * axes, 0));
  const std::string auto_pad = node.attr_string("auto_pad", "NOTSET");
  places_ = {x.size(0)};
  for (size_t i = 0; i < axes; ++i) {
    const int64_t size = x.size(static_cast<int64_t>(i) + 2);
    const int64_t extent = (kernel_[i] - 1) * dilations_[i] + 1;
    int64_t begin = pads[i], end = pads[axes + i];
    if (auto_pad.starts_with("SAME")) {
      // ONNX operator specification of Conv: as many outputs as strides.
      const int64_t outputs = (size + strides_[i] - 1) / strides_[i];
      const int64_t pad =
          std::max<int64_t>(0, (outputs - 1) * strides_[i] + extent - size);
      begin = auto_pad == "SAME_UPPER" ? pad / 2 : pad - pad / 2;
      end = pad - begin;
    } else if (auto_pad == "VALID") {
      begin = end = 0;
    }
    begins_.push_back(begin);
    ends_.push_back(end);
    places_.push_back((size + begin + end - extent) / strides_[i] + 1);
  }
  rows_each_ = places_[0];
  positions_ = rows_each_ > 0 ? product_of(places_) / rows_each_ : 0;
}

Ints ProductRows::draw(int64_t count, Random& random) const {
  Ints all(static_cast<size_t>(positions_));
  std::iota(all.begin(), all.end(), 0);
  if (count >= positions_) return all;
  const auto wanted = static_cast<size_t>(count);
  for (size_t i = 0; i < wanted; ++i)
    std::swap(all[i], all[i + random.below(all.size() - i)]);
  all.resize(wanted);
  std::ranges::sort(all);
  return all;
}

at::Tensor ProductRows::read(const Ints& positions) const {
  if (product_.is_convolution()) return windows(positions);
  const at::Tensor rows = x_.reshape({-1, x_.size(-1)});
  return (static_cast<int64_t>(positions.size()) == positions_
              ? rows
              : rows.index_select(0, index_of(positions)))
      .unsqueeze(0)
      .to(at::kFloat);
}

at::Tensor ProductRows::windows(const Ints& positions) const {
  const size_t axes = kernel_.size();
  Ints pads;
  for (size_t i = axes; i-- > 0;) {
    pads.push_back(begins_[i]);
    pads.push_back(ends_[i]);
  }
  const bool padded = std::ranges::any_of(pads, [](int64_t p) { return p; });
  const at::Tensor x = padded ? at::constant_pad_nd(x_, pads, 0) : x_;
  // Where a window begins in the flattened image, and where its elements lie
  // from there.
  Ints begins = positions, elements{0};
  std::ranges::fill(begins, 0);
  int64_t step = 1, place = 1;
  for (size_t i = axes; i-- > 0;) {
    for (size_t p = 0; p < positions.size(); ++p)
      begins[p] += positions[p] / place % places_[i + 1] * strides_[i] * step;
    Ints wider;
    for (int64_t k = 0; k < kernel_[i]; ++k)
      for (const int64_t element : elements)
        wider.push_back(k * dilations_[i] * step + element);
    elements = std::move(wider);
    place *= places_[i + 1];
    step *= x.size(static_cast<int64_t>(i) + 2);
  }
  Ints index;
  index.reserve(begins.size() * elements.size());
  for (const int64_t begin : begins)
    for (const int64_t element : elements) index.push_back(begin + element);
  const int64_t samples = x.size(0), channels = x.size(1) / product_.groups;
  const auto count = static_cast<int64_t>(begins.size());
  return x.reshape({samples, x.size(1), -1})
      .index_select(2, index_of(index))
      .reshape({samples, product_.groups, channels, count, -1})
      .permute({1, 0, 3, 2, 4})
      .reshape({product_.groups, samples * count, product_.features})
      .to(at::kFloat);
}

at::Tensor ProductRows::given(const at::Tensor& value,
                              const Ints& positions) const {
  const int64_t axis = product_.is_convolution() ? 1 : value.dim() - 1;
  if (value.dim() == 0) return {};
  Ints places = value.sizes().vec();
  places.erase(places.begin() + axis);
  if (places != places_) return {};
  if (!product_.is_convolution())
    return value.reshape({-1, value.size(-1)})
        .index_select(0, index_of(positions))
        .to(at::kFloat);
  return value.reshape({value.size(0), value.size(1), -1})
      .index_select(2, index_of(positions))
      .permute({0, 2, 1})
      .reshape({-1, value.size(1)})
      .to(at::kFloat);
}

}  // namespace lathe::prune
