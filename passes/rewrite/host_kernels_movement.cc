// Operators that move whole elements by strides or blocks.
#include <algorithm>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {
namespace {

// x[..., from:from+length, ...] along one axis.
ir::Tensor cut(const KernelCall& call, const ir::Tensor& x, size_t axis,
               int64_t from, int64_t length) {
  Dims dims = x.dims(), strides = row_major_strides(dims);
  dims[axis] = length;
  return strided_copy(call, x, dims, strides, from * strides[axis]);
}

Dims split_sizes(const KernelCall& call, int64_t extent) {
  auto parts = static_cast<int64_t>(call.node.outputs().size());
  if (auto sizes = call.ints("split", 1)) {
    int64_t total = 0;
    for (int64_t size : *sizes) {
      if (size < 0 || size > extent)
        throw NotFoldable("a part has " + std::to_string(size) + " elements");
      total += size;
    }
    if (total != extent || static_cast<int64_t>(sizes->size()) != parts)
      throw NotFoldable("its parts do not add up to its input");
    return *sizes;
  }
  int64_t each = (extent + parts - 1) / parts;
  Dims sizes(static_cast<size_t>(parts), each);
  sizes.back() = extent - each * (parts - 1);
  if (sizes.back() < 0) throw NotFoldable("it has more parts than elements");
  return sizes;
}

}  // namespace

Tensors run_transpose(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  Dims reversed;
  for (int64_t d = x.rank(); d-- > 0;) reversed.push_back(d);
  Dims order = call.node.attr_ints("perm", reversed);
  Dims sorted = order;
  std::ranges::sort(sorted);
  std::ranges::reverse(reversed);
  if (sorted != reversed)
    throw NotFoldable("its perm is no permutation of its dimensions");
  Dims own = row_major_strides(x.dims()), dims, strides;
  for (int64_t d : order) {
    dims.push_back(x.dims()[static_cast<size_t>(d)]);
    strides.push_back(own[static_cast<size_t>(d)]);
  }
  return {strided_copy(call, x, dims, strides, 0)};
}

Tensors run_expand(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  Dims dims = broadcast_dims(x.dims(), call.input(1).to_int64s());
  return {strided_copy(call, x, dims, broadcast_strides(x.dims(), dims), 0)};
}

Tensors run_tile(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  Dims repeats = call.input(1).to_int64s();
  if (repeats.size() != x.dims().size())
    throw NotFoldable("it has not one repeat count a dimension");
  // Seen as [r0, d0, r1, d1, …], with stride 0 along each r.
  Dims own = row_major_strides(x.dims()), view, strides, dims;
  for (size_t d = 0; d < repeats.size(); ++d) {
    if (repeats[d] < 0) throw NotFoldable("it has a negative repeat count");
    if (repeats[d] > 0 && x.dims()[d] > INT64_MAX / repeats[d])
      throw NotFoldable("the result has too many elements");
    view.insert(view.end(), {repeats[d], x.dims()[d]});
    strides.insert(strides.end(), {0, own[d]});
    dims.push_back(repeats[d] * x.dims()[d]);
  }
  return {strided_copy(call, x, view, strides, 0).reshaped(dims)};
}

Tensors run_concat(const KernelCall& call) {
  const ir::Tensor& first = call.input(0);
  auto at = static_cast<size_t>(
      call.axis(call.node.attr_int("axis", 0), first.rank()));
  Dims dims = first.dims();
  dims[at] = 0;
  for (size_t i = 0; i < call.input_count(); ++i) {
    const ir::Tensor& part = call.input(i);
    require_same_type(first, part);
    Dims other = part.dims(), like = dims;
    if (other.size() == like.size()) like[at] = other[at];
    if (other != like) throw NotFoldable("its inputs do not fit together");
    dims[at] += other[at];
  }
  const size_t width = element_bytes(first);
  Writer out(call, first.type(), dims);
  Dims outer(dims.begin(), dims.begin() + static_cast<ptrdiff_t>(at));
  int64_t rows = product(outer);
  std::byte* to = out.bytes();
  for (int64_t row = 0; row < rows; ++row)
    for (size_t i = 0; i < call.input_count(); ++i) {
      const ir::Tensor& part = call.input(i);
      auto chunk = static_cast<size_t>(part.size() / rows) * width;
      if (chunk == 0) continue;
      std::memcpy(to, part.bytes().data() + static_cast<size_t>(row) * chunk,
                  chunk);
      to += chunk;
    }
  return {out.finish()};
}

Tensors run_split(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  auto at =
      static_cast<size_t>(call.axis(call.node.attr_int("axis", 0), x.rank()));
  Tensors parts;
  int64_t from = 0;
  for (int64_t size : split_sizes(call, x.dims()[at])) {
    parts.push_back(cut(call, x, at, from, size));
    from += size;
  }
  return parts;
}

Tensors run_slice(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  auto starts = call.ints("starts", 1), ends = call.ints("ends", 2);
  if (!starts || !ends || starts->size() != ends->size())
    throw NotFoldable("its starts and ends do not go together");
  Dims all;
  for (size_t i = 0; i < starts->size(); ++i)
    all.push_back(static_cast<int64_t>(i));
  Dims axes = call.ints("axes", 3).value_or(all);
  Dims steps = call.ints("steps", 4).value_or(Dims(starts->size(), 1));
  if (axes.size() != starts->size() || steps.size() != starts->size())
    throw NotFoldable("its axes or steps do not go with its starts");
  Dims dims = x.dims(), own = row_major_strides(dims), strides = own;
  int64_t offset = 0;
  std::vector<bool> sliced(dims.size(), false);
  for (size_t i = 0; i < axes.size(); ++i) {
    auto d = static_cast<size_t>(call.axis(axes[i], x.rank()));
    if (sliced[d]) throw NotFoldable("it has an axis twice");
    sliced[d] = true;
    int64_t extent = x.dims()[d], step = steps[i];
    if (step == 0 || step == INT64_MIN) throw NotFoldable("a step is 0");
    auto clamp = [&](int64_t at, int64_t low) {
      int64_t high = step > 0 ? extent : extent - 1;
      return std::clamp(at < 0 ? at + extent : at, low, std::max(low, high));
    };
    // Walking back, an end may lie before the first element; a start that does
    // stands on it.
    int64_t from = clamp((*starts)[i], 0);
    int64_t to = clamp((*ends)[i], step > 0 ? 0 : -1);
    if (extent == 0) to = from;
    int64_t distance = step > 0 ? to - from : from - to;
    int64_t size = std::abs(step);
    dims[d] = distance <= 0 ? 0 : (distance - 1) / size + 1;
    strides[d] = dims[d] <= 1 ? 0 : own[d] * step;
    if (dims[d] > 0) offset += from * own[d];
  }
  return {strided_copy(call, x, dims, strides, offset)};
}

Tensors run_pad(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  if (call.node.attr_string("mode", "constant") != "constant")
    throw NotFoldable("only padding with a constant folds");
  auto pads = call.ints("pads", 1);
  auto rank = static_cast<size_t>(x.rank());
  Dims axes = call.node.has_attribute("pads")
                  ? Dims{}
                  : call.ints("axes", 3).value_or(Dims{});
  if (axes.empty())
    for (size_t d = 0; d < rank; ++d) axes.push_back(static_cast<int64_t>(d));
  if (!pads || pads->size() != 2 * axes.size())
    throw NotFoldable("its pads do not go with its dimensions");
  double attribute = call.node.attr_float("value", 0);
  ir::Tensor fill = ir::Tensor::from_doubles(x.type(), {}, {&attribute, 1});
  if (!call.node.has_attribute("pads") && call.optional_input(2))
    fill = call.input(2);
  require_same_type(x, fill);
  if (fill.size() != 1) throw NotFoldable("its value is not one element");

  Dims from(rank, 0), to(rank, 0), region = x.dims(), dims = x.dims();
  for (size_t i = 0; i < axes.size(); ++i) {
    auto d = static_cast<size_t>(call.axis(axes[i], x.rank()));
    int64_t before = (*pads)[i], after = (*pads)[i + axes.size()];
    constexpr int64_t kLimit = int64_t{1} << 40;
    if (std::abs(before) > kLimit || std::abs(after) > kLimit)
      throw NotFoldable("the result has too many elements");
    dims[d] += before + after;
    if (dims[d] < 0) throw NotFoldable("it removes more than there is");
    from[d] = std::max<int64_t>(-before, 0);
    to[d] = std::max<int64_t>(before, 0);
    region[d] =
        std::max<int64_t>(std::min(x.dims()[d] - from[d], dims[d] - to[d]), 0);
  }
  const size_t width = element_bytes(x);
  Writer out(call, x.type(), dims);
  for (size_t at = 0; at < out.size_bytes(); at += width)
    std::memcpy(out.bytes() + at, fill.bytes().data(), width);
  Dims read = row_major_strides(x.dims()), write = row_major_strides(dims);
  int64_t read_at = 0, write_at = 0;
  for (size_t d = 0; d < rank; ++d) {
    read_at += from[d] * read[d];
    write_at += to[d] * write[d];
  }
  walk<2>(region, {read, write}, {read_at, write_at},
          [&](int64_t, const std::array<int64_t, 2>& at) {
            std::memcpy(out.bytes() + static_cast<size_t>(at[1]) * width,
                        x.bytes().data() + static_cast<size_t>(at[0]) * width,
                        width);
          });
  return {out.finish()};
}

// Keeps x[..., i, j] where j - i >= k (upper) or <= k (lower).
Tensors run_trilu(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  if (x.rank() < 2) throw NotFoldable("its input is no matrix");
  int64_t k = 0;
  if (const ir::Tensor* diagonal = call.optional_input(1)) {
    if (diagonal->size() != 1) throw NotFoldable("its k is not one number");
    k = diagonal->to_int64s().front();
  }
  bool upper = call.node.attr_int("upper", 1) != 0;
  const size_t width = element_bytes(x);
  int64_t rows = x.dims()[x.dims().size() - 2], columns = x.dims().back();
  Writer out(call, x.type(), x.dims());  // starts as zeros
  for (int64_t n = 0; n < x.size(); ++n) {
    int64_t j = n % columns, i = n / columns % rows;
    if (upper ? j - i < k : j - i > k) continue;
    std::memcpy(out.bytes() + static_cast<size_t>(n) * width,
                x.bytes().data() + static_cast<size_t>(n) * width, width);
  }
  return {out.finish()};
}

}  // namespace lathe::rewrite
