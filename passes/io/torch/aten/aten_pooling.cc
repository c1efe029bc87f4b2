// Pooling: maxima and means of windows.
#include "passes/io/torch/aten/aten_pooling.h"

#include <algorithm>

namespace lathe::io::aten {
namespace pooling {
namespace {

using ir::DataType;
using ir::Value;

// Sizes beyond these are damage; with them no sum or product overflows.
constexpr int64_t kMaxWindow = int64_t{1} << 30;
constexpr int64_t kMaxSize = int64_t{1} << 60;

template <size_t kSpatial>
Pool read_pool(const AtenCall& call) {
  if (call.integers("kernel_size").empty())
    call.unsupported("argument 'kernel_size' is empty");
  Pool pool;
  pool.kernel = call.integers_n("kernel_size", kSpatial, 1);
  pool.stride = call.integers("stride", {}).empty()
                    ? pool.kernel
                    : call.integers_n("stride", kSpatial, 1);
  pool.padding = call.integers_n("padding", kSpatial, 0);
  pool.dilation = call.integers_n("dilation", kSpatial, 1);
  pool.ceil = call.flag("ceil_mode", false);
  for (size_t i = 0; i < kSpatial; ++i) {
    for (int64_t size : {pool.kernel[i], pool.stride[i], pool.dilation[i]})
      if (size < 1 || size > kMaxWindow)
        call.unsupported("the window's kernel size, stride or dilation is " +
                         std::to_string(size) + ", expected at least 1");
    // The second is a limit of runtimes.
    const int64_t limit = std::min(pool.extent(i) / 2, pool.kernel[i] - 1);
    if (pool.padding[i] < 0 || pool.padding[i] > limit)
      call.unsupported("the padding is " + std::to_string(pool.padding[i]) +
                       ", expected 0 to " + std::to_string(limit) +
                       " for the kernel size " +
                       std::to_string(pool.kernel[i]));
  }
  return pool;
}

// Padding at the end, at least the pool's own, that makes `in` elements give
// PyTorch's output size.
int64_t end_padding(const Pool& pool, size_t i, int64_t in) {
  const int64_t extent = pool.extent(i), begin = pool.padding[i],
                stride = pool.stride[i];
  const int64_t room = in + 2 * begin - extent;
  // A window that does not fit ends in an error of the pooling itself.
  if (room < 0 || in > kMaxSize) return begin;
  int64_t out = (room + stride - 1) / stride + 1;
  if ((out - 1) * stride >= in + begin) --out;
  return std::max(begin, (out - 1) * stride + extent - in - begin);
}

// The number of windows that start inside the input or the padding before it.
Argument window_starts(OnnxBuilder& builder, Value* x, const Pool& pool,
                       size_t i) {
  const int64_t before = pool.padding[i] - 1;
  const Argument size = builder.size(x, axis_of(i));
  if (size.is_constant())
    return Argument::of_int((size.integer + before) / pool.stride[i] + 1);
  Value* last = builder.op(
      "Div", {builder.op("Add", {size.value, builder.scalar_int(before)}),
              builder.scalar_int(pool.stride[i])});
  return Argument::computed(Argument::Kind::kInt,
                            builder.op("Add", {last, builder.scalar_int(1)}));
}

}  // namespace

Batched::Batched(OnnxBuilder& builder, Value* value, size_t spatial)
    : builder_(builder),
      unbatched_(builder.known_rank(value) ==
                 static_cast<int64_t>(spatial) + 1),
      value_(unbatched_ ? builder.unsqueeze(value, {0}) : value) {}

Value* Batched::back(Value* pooled) const {
  return unbatched_ ? builder_.squeeze(pooled, {0}) : pooled;
}

Rounding round_up(OnnxBuilder& builder, Value* x, const Pool& pool) {
  Rounding rounding{
      .end_padding = pool.padding, .ceil_mode = false, .cuts = {}};
  if (!pool.ceil) return rounding;
  for (size_t i = 0; i < pool.spatial(); ++i) {
    if (pool.stride[i] == 1) continue;
    const auto in = builder.known_dim(x, axis_of(i));
    if (in) rounding.end_padding[i] = end_padding(pool, i, *in);
    // Runtimes refuse padding as large as the kernel.
    if (!in || rounding.end_padding[i] >= pool.kernel[i])
      rounding.ceil_mode = true;
  }
  if (!rounding.ceil_mode) return rounding;
  rounding.end_padding = pool.padding;
  for (size_t i = 0; i < pool.spatial(); ++i)
    if (pool.stride[i] + pool.padding[i] > pool.extent(i))
      rounding.cuts.emplace_back(i, window_starts(builder, x, pool, i));
  return rounding;
}

namespace {

Value* cut(OnnxBuilder& builder, Value* pooled, const Rounding& rounding) {
  for (const auto& [axis, size] : rounding.cuts)
    pooled = builder.slice(pooled, axis_of(axis), Argument::none(), size,
                           Argument::none());
  return pooled;
}

Sizes joined(const Sizes& begins, const Sizes& ends) {
  Sizes pads = begins;
  pads.insert(pads.end(), ends.begin(), ends.end());
  return pads;
}

NamedAttributes window_attributes(const Pool& pool, const Sizes& begins,
                                  const Rounding& rounding) {
  NamedAttributes attributes{{"kernel_shape", pool.kernel},
                             {"strides", pool.stride},
                             {"pads", joined(begins, rounding.end_padding)}};
  if (pool.dilation != Sizes(pool.spatial(), 1))
    attributes.emplace_back("dilations", pool.dilation);
  if (rounding.ceil_mode) attributes.emplace_back("ceil_mode", int64_t{1});
  return attributes;
}

// --- maxima ---

// Types that the runtime's MaxPool has a kernel for; double holds the others.
DataType max_type(DataType type) {
  switch (type) {
    case DataType::kInt16:
    case DataType::kInt32:
    case DataType::kInt64:
      return DataType::kDouble;
    default:
      return type;
  }
}

// ONNX counts the index over the whole tensor, PyTorch within a plane.
Value* within_plane(OnnxBuilder& builder, Value* indices, Value* x,
                    size_t spatial) {
  int64_t known = 1;
  Value* computed = nullptr;
  for (size_t i = 0; i < spatial; ++i) {
    const Argument size = builder.size(x, axis_of(i));
    if (size.is_constant())
      known *= size.integer;
    else
      computed =
          computed ? builder.op("Mul", {computed, size.value}) : size.value;
  }
  Value* plane = builder.scalar_int(known);
  if (computed)
    plane = known == 1 ? computed : builder.op("Mul", {computed, plane});
  return builder.op("Mod", {indices, plane});
}

}  // namespace

Value* max_values(OnnxBuilder& builder, Value* x, const Pool& pool,
                  const Rounding& rounding) {
  const DataType type = builder.elem(x);
  Value* pooled = builder.op("MaxPool", {builder.cast(x, max_type(type))},
                             window_attributes(pool, pool.padding, rounding));
  return builder.cast(cut(builder, pooled, rounding), type);
}

// A node of its own, for it falls away where nobody asks for the indices, and
// runtimes are slower when it gives both.
Value* max_indices(OnnxBuilder& builder, Value* x, const Pool& pool,
                   const Rounding& rounding) {
  Value* indices =
      builder.op_n("MaxPool", {builder.cast(x, max_type(builder.elem(x)))}, 2,
                   window_attributes(pool, pool.padding, rounding))[1];
  return within_plane(builder, cut(builder, indices, rounding), x,
                      pool.spatial());
}

namespace {

template <size_t kSpatial>
Arguments emit_max_pool(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Pool pool = read_pool<kSpatial>(call);
  const Batched x(builder, call.tensor("self"), kSpatial);
  const Rounding rounding = round_up(builder, x.value(), pool);
  return one(x.back(max_values(builder, x.value(), pool, rounding)));
}

template <size_t kSpatial>
Arguments emit_max_pool_with_indices(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Pool pool = read_pool<kSpatial>(call);
  const Batched x(builder, call.tensor("self"), kSpatial);
  const Rounding rounding = round_up(builder, x.value(), pool);
  return {
      Argument::tensor(x.back(max_values(builder, x.value(), pool, rounding))),
      Argument::tensor(
          x.back(max_indices(builder, x.value(), pool, rounding)))};
}

// --- means ---

}  // namespace

// The runtime's AveragePool knows no double.
DataType mean_type(const AtenCall& call, DataType type) {
  if (type != DataType::kUndefined && !ir::is_floating(type))
    call.unsupported("the input's elements are " +
                         std::string(ir::to_string(type)) +
                         ", expected floating point",
                     "convert the input with .float() first");
  return type == DataType::kDouble ? DataType::kFloat : type;
}

Value* average(OnnxBuilder& builder, Value* x, const Pool& pool,
               const Sizes& begins, const Rounding& rounding,
               bool count_padding) {
  NamedAttributes attributes = window_attributes(pool, begins, rounding);
  if (count_padding) attributes.emplace_back("count_include_pad", int64_t{1});
  return cut(builder, builder.op("AveragePool", {x}, attributes), rounding);
}

namespace {

Value* pad_zeros(OnnxBuilder& builder, Value* x, const Sizes& begins,
                 const Sizes& ends) {
  auto all_axes = [](const Sizes& spatial) { return joined({0, 0}, spatial); };
  if (begins == Sizes(begins.size(), 0) && ends == begins) return x;
  return builder.op(
      "Pad", {x, builder.ints(joined(all_axes(begins), all_axes(ends)))});
}

// Sums over windows, divided by a fixed number: zeros at the end change
// nothing, so that rounding up needs no ceil_mode.
Value* divided_sums(OnnxBuilder& builder, Value* x, const Pool& pool,
                    Rounding rounding, int64_t divisor) {
  double elements = 1;
  for (int64_t size : pool.kernel) elements *= static_cast<double>(size);
  Value* factor =
      builder.scalar(builder.elem(x), elements / static_cast<double>(divisor));
  if (!rounding.ceil_mode)
    return builder.op("Mul", {average(builder, x, pool, pool.padding, rounding,
                                      /*count_padding=*/true),
                              factor});
  rounding.ceil_mode = false;
  for (size_t i = 0; i < pool.spatial(); ++i)
    rounding.end_padding[i] += pool.stride[i] - 1;
  x = pad_zeros(builder, x, pool.padding, rounding.end_padding);
  rounding.end_padding.assign(pool.spatial(), 0);
  // The factor stands between, for ONNX Runtime joins Pad and AveragePool and
  // then finds the padding too large.
  return average(builder, builder.op("Mul", {x, factor}), pool,
                 rounding.end_padding, rounding, /*count_padding=*/true);
}

Value* means(const AtenCall& call, Value* x, const Pool& pool) {
  OnnxBuilder& builder = call.builder();
  const Rounding rounding = round_up(builder, x, pool);
  if (call.given("divisor_override")) {
    const int64_t divisor = call.integer("divisor_override");
    if (divisor == 0) call.unsupported("argument 'divisor_override' is 0");
    return divided_sums(builder, x, pool, rounding, divisor);
  }
  const Sizes none(pool.spatial(), 0);
  const bool padded = pool.padding != none;
  const bool count_padding = call.flag("count_include_pad", true) && padded;
  const bool rounds_up =
      rounding.ceil_mode || rounding.end_padding != pool.padding;
  if (!count_padding || !rounds_up)
    return average(builder, x, pool, pool.padding, rounding, count_padding);
  // PyTorch counts its padding, but not what rounding up adds to it.
  Rounding rest = rounding;
  for (size_t i = 0; i < pool.spatial(); ++i)
    rest.end_padding[i] -= pool.padding[i];
  return average(builder, pad_zeros(builder, x, pool.padding, pool.padding),
                 pool, none, rest, /*count_padding=*/false);
}

template <size_t kSpatial>
Arguments emit_avg_pool(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Pool pool = read_pool<kSpatial>(call);
  Value* self = call.tensor("self");
  const DataType type = builder.elem(self);
  const Batched x(builder, builder.cast(self, mean_type(call, type)), kSpatial);
  return one(builder.cast(x.back(means(call, x.value(), pool)), type));
}

constexpr AtenRow kRows[] = {
    {"max_pool1d", emit_max_pool<1>},
    {"max_pool2d", emit_max_pool<2>},
    {"max_pool3d", emit_max_pool<3>},
    {"max_pool1d_with_indices", emit_max_pool_with_indices<1>},
    {"max_pool2d_with_indices", emit_max_pool_with_indices<2>},
    {"max_pool3d_with_indices", emit_max_pool_with_indices<3>},
    {"avg_pool1d", emit_avg_pool<1>},
    {"avg_pool2d", emit_avg_pool<2>},
    {"avg_pool3d", emit_avg_pool<3>},
    {"adaptive_avg_pool1d", emit_adaptive_avg_pool<1>},
    {"adaptive_avg_pool2d", emit_adaptive_avg_pool<2>},
    {"adaptive_avg_pool3d", emit_adaptive_avg_pool<3>},
    {"_adaptive_avg_pool2d", emit_adaptive_avg_pool<2>},
    {"_adaptive_avg_pool3d", emit_adaptive_avg_pool<3>},
    {"adaptive_max_pool1d", emit_adaptive_max_pool<1>},
    {"adaptive_max_pool2d", emit_adaptive_max_pool<2>},
    {"adaptive_max_pool3d", emit_adaptive_max_pool<3>},
};

}  // namespace
}  // namespace pooling

std::span<const AtenRow> pooling_rows() { return pooling::kRows; }

}  // namespace lathe::io::aten
