// Gathering and scattering by index.
#include <algorithm>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

void follow_gather(InferContext& ctx) {
  const FollowedValue* data = ctx.data(0);
  const FollowedValue* indices = ctx.data(1);
  if (!data || !indices || data->dims.size() != 1) return;
  FollowedValue picked;
  picked.dims = indices->dims;
  for (const Element& index : indices->elements) {
    if (!index.is_int()) {
      picked.elements.emplace_back();
      continue;
    }
    int64_t at =
        index.integer < 0 ? index.integer + data->dims[0] : index.integer;
    if (at < 0 || at >= data->dims[0])
      ctx.fail("index " + std::to_string(index.integer) +
               " is out of range for " + std::to_string(data->dims[0]) +
               " elements");
    picked.elements.push_back(data->elements[static_cast<size_t>(at)]);
  }
  ctx.set_data(0, std::move(picked));
}

// data[:axis] + indices + data[axis+1:].
void infer_gather(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape *data = ctx.shape(0), *indices = ctx.shape(1);
  if (!data) return;
  int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", 0),
                                static_cast<int64_t>(data->size()));
  if (!indices) return;
  Shape out(data->begin(), data->begin() + axis);
  out.insert(out.end(), indices->begin(), indices->end());
  out.insert(out.end(), data->begin() + axis + 1, data->end());
  ctx.set(0, ctx.elem(0), out);
  follow_gather(ctx);
}

void infer_gather_elements(InferContext& ctx) {
  ctx.set(0, ctx.elem(0), ctx.shape_copy(1));
}

// indices[:-1] + data[batch_dims + indices.shape[-1]:].
void infer_gather_nd(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape *data = ctx.shape(0), *indices = ctx.shape(1);
  if (!data || !indices) return;
  if (indices->empty()) ctx.fail("indices are a scalar");
  const Dim& depth = indices->back();
  if (!depth.known()) return;
  int64_t batch = ctx.node().attr_int("batch_dims", 0);
  int64_t rank = static_cast<int64_t>(data->size());
  if (batch < 0 || batch >= static_cast<int64_t>(indices->size()) ||
      batch > rank || depth.value > rank - batch)
    ctx.fail("indices of depth " + std::to_string(depth.value) + " after " +
             std::to_string(batch) + " batch dimensions do not fit rank " +
             std::to_string(rank));
  Shape out(indices->begin(), indices->end() - 1);
  out.insert(out.end(), data->begin() + batch + depth.value, data->end());
  ctx.set(0, ctx.elem(0), out);
}

// The length of the result depends on the condition.
void infer_compress(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  if (!ctx.node().has_attribute("axis")) {
    ctx.set(0, ctx.elem(0), Shape(1));
    return;
  }
  if (!shape) return;
  int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", 0),
                                static_cast<int64_t>(shape->size()));
  Dim kept;
  if (auto condition = ctx.ints(1)) {
    int64_t count = 0;
    for (int64_t flag : *condition) count += flag != 0;
    kept = Dim(count);
  }
  (*shape)[static_cast<size_t>(axis)] = kept;
  ctx.set(0, ctx.elem(0), shape);
}

void infer_unique(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  for (size_t i = 1; i < ctx.output_count(); ++i)
    ctx.set(i, DataType::kInt64, Shape(1));
  if (!ctx.node().has_attribute("axis")) {
    ctx.set(0, ctx.elem(0), Shape(1));
    return;
  }
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", 0),
                                static_cast<int64_t>(shape->size()));
  (*shape)[static_cast<size_t>(axis)] = Dim();
  ctx.set(0, ctx.elem(0), shape);
}

constexpr Operator row(const char* name, int inputs, int max_outputs,
                       void (*infer)(InferContext&),
                       const AxisRule* axes = nullptr) {
  return {name,        "",     OpClass::kDataMovement,
          inputs,      inputs, 1,
          max_outputs, infer,  nullptr,
          true,        axes};
}

constexpr Operator kRows[] = {
    row("Compress", 2, 1, infer_compress),
    row("Gather", 2, 1, infer_gather, &kGatherAxes),
    row("GatherElements", 2, 1, infer_gather_elements),
    row("GatherND", 2, 1, infer_gather_nd),
    row("Scatter", 3, 1, infer_same),
    row("ScatterElements", 3, 1, infer_same),
    row("ScatterND", 3, 1, infer_same),
    {"TensorScatter", "", OpClass::kDataMovement, 2, 3, 1, 1, infer_same,
     nullptr},
    row("Unique", 1, 4, infer_unique),
};

}  // namespace

std::span<const Operator> gather_operators() { return kRows; }

}  // namespace lathe::ir
