#include "passes/quantize/channel_weights.h"

#include <algorithm>

namespace lathe::quantize {
namespace {

// [outer, depth, inner] around an axis.
struct Around {
  int64_t outer = 1, depth = 1, inner = 1;
};

Around around(const std::vector<int64_t>& dims, int64_t axis) {
  Around sizes;
  for (int64_t i = 0; i < static_cast<int64_t>(dims.size()); ++i)
    (i < axis ? sizes.outer : i == axis ? sizes.depth : sizes.inner) *= dims[i];
  return sizes;
}

// The site's constant with an element for each of its channels, and the axis
// of them.
struct Laid {
  std::vector<int64_t> dims;
  std::vector<float> values;
  int64_t axis;
};

Laid lay_out(const ScaleSite& site) {
  const ir::Tensor& tensor = site.constant()->tensor();
  const auto given = tensor.data<float>();
  Laid laid{tensor.dims(), {given.begin(), given.end()}, site.axis};
  if (site.axis >= 0) return laid;
  while (static_cast<int64_t>(laid.dims.size()) < -site.axis)
    laid.dims.insert(laid.dims.begin(), 1);
  laid.axis += static_cast<int64_t>(laid.dims.size());
  if (laid.dims[laid.axis] == site.extent) return laid;
  const Around sizes = around(laid.dims, laid.axis);
  laid.dims[laid.axis] = site.extent;
  laid.values.clear();
  for (int64_t a = 0; a < sizes.outer; ++a)
    for (int64_t d = 0; d < site.extent; ++d)
      laid.values.insert(laid.values.end(), given.begin() + a * sizes.inner,
                         given.begin() + (a + 1) * sizes.inner);
  return laid;
}

// Calls f(index of the element, channel) for each element.
template <class F>
void for_each_element(const ScaleSite& site, const Laid& laid, F&& f) {
  const Around sizes = around(laid.dims, laid.axis);
  const int64_t per_block = sizes.outer / site.blocks;
  size_t index = 0;
  for (int64_t a = 0; a < sizes.outer; ++a)
    for (int64_t d = 0; d < sizes.depth; ++d) {
      const int64_t element = a / per_block * sizes.depth + d;
      const auto channel =
          static_cast<size_t>(site.at.offset + element / site.at.inner);
      for (int64_t i = 0; i < sizes.inner; ++i) f(index++, channel);
    }
}

}  // namespace

void scale_constant(const ScaleSite& site, std::span<const double> factors) {
  Laid laid = lay_out(site);
  for_each_element(site, laid, [&](size_t i, size_t channel) {
    const double factor =
        site.divides ? 1 / factors[channel] : factors[channel];
    laid.values[i] = static_cast<float>(laid.values[i] * factor);
  });
  ir::Tensor scaled = ir::Tensor::from<float>(laid.dims, laid.values);
  ir::Value* value = site.constant();
  if (value->uses().size() == 1 && !value->is_graph_output())
    return value->set_tensor(std::move(scaled));
  site.node->set_input(
      site.input, site.node->graph().add_constant(value->name() + "_scaled",
                                                  std::move(scaled)));
}

std::vector<double> channel_maxima(const ScaleSite& site, int64_t channels) {
  std::vector<double> maxima(static_cast<size_t>(channels), 0);
  const Laid laid = lay_out(site);
  for_each_element(site, laid, [&](size_t i, size_t channel) {
    maxima[channel] =
        std::max(maxima[channel], std::abs(double{laid.values[i]}));
  });
  return maxima;
}

ProductWeights::ProductWeights(const ScaleSite& site)
    : weights_(site.constant()->tensor().data<float>().data()),
      blocks_(site.blocks) {
  const std::vector<int64_t>& dims = site.constant()->tensor().dims();
  const Around sizes = around(dims, site.axis);
  outer_ = sizes.outer;
  depth_ = sizes.depth;
  inner_ = sizes.inner;
  int64_t depth_per_group = std::max<int64_t>(depth_, 1), group_rows = 0;
  if (site.node->is("Conv")) {
    rows_ = outer_;
    row_step_ = 1;
    row_size_ = std::max<int64_t>(inner_, 1);
  } else if (site.node->is("ConvTranspose")) {
    const int64_t groups = site.node->attr_int("group", 1);
    row_size_ = inner_ / dims[1];
    depth_per_group = depth_ / groups;
    group_rows = dims[1];
    rows_ = groups * dims[1];
  } else {
    rows_ = outer_ * inner_;
    row_step_ = inner_;
  }
  for (int64_t element = 0; element < blocks_ * depth_; ++element)
    channels_.push_back(site.at.offset + element / site.at.inner);
  for (int64_t d = 0; d < depth_; ++d)
    first_rows_.push_back(d / depth_per_group * group_rows);
}

}  // namespace lathe::quantize
