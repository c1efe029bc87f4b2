// unfold, im2col, col2im: sliding windows as axes of their own.
#include <string>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// Kernels become weights with the square of that many elements.
constexpr int64_t kMaxKernelArea = 1024;

struct Windows {
  std::vector<int64_t> kernel, dilation, padding, stride;
};

Windows windows_of(const AtenCall& call) {
  Windows w{call.integers_n("kernel_size", 2, 1),
            call.integers_n("dilation", 2, 1), call.integers_n("padding", 2, 0),
            call.integers_n("stride", 2, 1)};
  for (size_t i = 0; i < 2; ++i) {
    if (w.kernel[i] <= 0 || w.dilation[i] <= 0 || w.stride[i] <= 0 ||
        w.padding[i] < 0 || w.kernel[i] > kMaxKernelArea ||
        w.dilation[i] > INT32_MAX || w.stride[i] > INT32_MAX ||
        w.padding[i] > INT32_MAX)
      call.unsupported(
          "kernel_size, dilation, padding or stride is out of "
          "range");
  }
  if (w.kernel[0] * w.kernel[1] > kMaxKernelArea)
    call.unsupported(
        "the kernel has " + std::to_string(w.kernel[0] * w.kernel[1]) +
        " elements, expected at most " + std::to_string(kMaxKernelArea));
  return w;
}

// Places a window of that reach has along a padded axis.
Argument places(OnnxBuilder& builder, const Argument& size, const Windows& w,
                size_t i) {
  const Argument room =
      compute(builder, "Add", size,
              Argument::of_int(2 * w.padding[i] -
                               w.dilation[i] * (w.kernel[i] - 1) - 1));
  return compute(builder, "Add",
                 compute(builder, "Div", room, Argument::of_int(w.stride[i])),
                 Argument::of_int(1));
}

// Windows that lie side by side and cover the image: no element is in two.
bool tiles(const Windows& w, const std::optional<int64_t>& high,
           const std::optional<int64_t>& wide) {
  return w.stride == w.kernel && w.padding == std::vector<int64_t>{0, 0} &&
         w.dilation == std::vector<int64_t>{1, 1} && high && wide &&
         *high % w.kernel[0] == 0 && *wide % w.kernel[1] == 0;
}

// [.., n, ..] to [.., rows, columns, ..].
Value* gather_grid(OnnxBuilder& builder, Value* value, int64_t axis,
                   Value* grid) {
  return builder.op("Gather", {value, grid}, {{"axis", axis}});
}

// A tensor without batch gets one; says whether it did.
bool add_batch(OnnxBuilder& builder, Value*& value, int64_t batched_rank) {
  if (builder.rank(value) == batched_rank) return false;
  value = builder.unsqueeze(value, {0});
  return true;
}

Arguments without_batch(OnnxBuilder& builder, Value* value, bool added) {
  return one(added ? builder.squeeze(value, {0}) : value);
}

}  // namespace

// [.., n, ..] to [.., windows, .., size].
Arguments emit_unfold(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) call.unsupported("found a tensor without dimensions");
  const int64_t axis = call.axis("dimension", rank);
  const int64_t size = call.integer("size"), step = call.integer("step");
  if (size <= 0 || step <= 0)
    call.unsupported("size is " + std::to_string(size) + " and step is " +
                     std::to_string(step) + ", expected positive ones");
  const Argument room = compute(builder, "Sub", size_of(builder, self, axis),
                                Argument::of_int(size));
  const Argument count = compute(
      builder, "Add", compute(builder, "Div", room, Argument::of_int(step)),
      Argument::of_int(1));
  Value* windows =
      gather_grid(builder, self, axis,
                  index_grid(builder, count, step, Argument::of_int(size), 1));
  std::vector<int64_t> order;
  for (int64_t i = 0; i <= rank; ++i)
    if (i != axis + 1) order.push_back(i);
  order.push_back(axis + 1);
  return one(builder.transpose(windows, order));
}

// [N, C, H, W] to [N, C * kernel elements, windows].
Arguments emit_im2col(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const Windows w = windows_of(call);
  const bool added = add_batch(builder, self, 4);
  const Argument high = places(builder, size_of(builder, self, 2), w, 0);
  const Argument wide = places(builder, size_of(builder, self, 3), w, 1);
  const Argument channels = size_of(builder, self, 1);
  const Argument batch = size_of(builder, self, 0);
  const Argument down = Argument::of_int(w.kernel[0]);
  const Argument across = Argument::of_int(w.kernel[1]);
  const Argument area = compute(builder, "Mul", down, across);
  Value* ordered = nullptr;
  if (tiles(w, builder.known_dim(self, 2), builder.known_dim(self, 3))) {
    Value* cells =
        reshape_to(builder, self, {batch, channels, high, down, wide, across});
    ordered = builder.transpose(cells, {0, 1, 3, 5, 2, 4});
  } else {
    Value* padded = self;
    if (w.padding[0] || w.padding[1])
      padded = builder.op(
          "Pad", {self, builder.ints({0, 0, w.padding[0], w.padding[1], 0, 0,
                                      w.padding[0], w.padding[1]})});
    Value* rows = gather_grid(
        builder, padded, 2,
        index_grid(builder, down, w.dilation[0], high, w.stride[0]));
    Value* cells = gather_grid(
        builder, rows, 4,
        index_grid(builder, across, w.dilation[1], wide, w.stride[1]));
    ordered = builder.transpose(cells, {0, 1, 2, 4, 3, 5});
  }
  return without_batch(
      builder,
      reshape_to(builder, ordered,
                 {batch, compute(builder, "Mul", channels, area),
                  compute(builder, "Mul", high, wide)}),
      added);
}

// [N, C * kernel elements, windows] to [N, C, H, W], what overlaps added up: a
// transposed convolution that puts channel k at the kernel's element k.
Arguments emit_col2im(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const Windows w = windows_of(call);
  const auto size = call.integers_n("output_size", 2, 1);
  const bool added = add_batch(builder, self, 3);
  const int64_t area = w.kernel[0] * w.kernel[1];
  std::vector<int64_t> counts, missing;
  for (size_t i = 0; i < 2; ++i) {
    if (size[i] <= 0 || size[i] > INT32_MAX)
      call.unsupported("output_size holds " + std::to_string(size[i]));
    const int64_t reach = w.dilation[i] * (w.kernel[i] - 1) + 1;
    const int64_t room = size[i] + 2 * w.padding[i] - reach;
    if (room < 0) call.unsupported("the kernel does not fit the padded output");
    counts.push_back(room / w.stride[i] + 1);
    missing.push_back(room % w.stride[i]);
  }
  const int64_t columns = builder.dim(self, 1, "the number of channels");
  const int64_t channels = columns / area;
  if (tiles(w, size[0], size[1])) {
    Value* cells = reshape_to(
        builder, self,
        {size_of(builder, self, 0), Argument::of_int(channels),
         Argument::of_int(w.kernel[0]), Argument::of_int(w.kernel[1]),
         Argument::of_int(counts[0]), Argument::of_int(counts[1])});
    return without_batch(
        builder,
        reshape_to(builder, builder.transpose(cells, {0, 1, 4, 2, 5, 3}),
                   {size_of(builder, self, 0), Argument::of_int(channels),
                    Argument::of_int(size[0]), Argument::of_int(size[1])}),
        added);
  }
  const DataType type = builder.elem(self);
  std::vector<double> placed(static_cast<size_t>(area * area));
  for (int64_t k = 0; k < area; ++k)
    placed[static_cast<size_t>(k * area + k)] = 1;
  Value* kernel = builder.weight(
      "col2im.kernel",
      ir::Tensor::from_doubles(DataType::kFloat,
                               {area, 1, w.kernel[0], w.kernel[1]}, placed));
  Value* maps =
      reshape_to(builder, builder.cast(self, DataType::kFloat),
                 {Argument::of_int(-1), Argument::of_int(area),
                  Argument::of_int(counts[0]), Argument::of_int(counts[1])});
  NamedAttributes attributes{
      {"strides", w.stride},
      {"dilations", w.dilation},
      {"pads", std::vector<int64_t>{w.padding[0], w.padding[1], w.padding[0],
                                    w.padding[1]}}};
  if (missing[0] || missing[1])
    attributes.emplace_back("output_padding", missing);
  Value* image = builder.op("ConvTranspose", {maps, kernel}, attributes);
  Value* result =
      reshape_to(builder, image,
                 {Argument::of_int(-1), Argument::of_int(channels),
                  Argument::of_int(size[0]), Argument::of_int(size[1])});
  return without_batch(builder, builder.cast(result, type), added);
}

}  // namespace lathe::io::aten
