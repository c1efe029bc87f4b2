// What several families of the operator table share: axes, broadcasting,
// dimension arithmetic, element counts for costs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/infer_context.h"
#include "passes/ir/op_table.h"

namespace lathe::ir {

// --- Dimensions ---------------------------------------------------------

// Error kInput where a result does not fit an int64.
int64_t checked_add(const InferContext& ctx, int64_t a, int64_t b);
int64_t checked_multiply(const InferContext& ctx, int64_t a, int64_t b);

// A product; a single symbol survives factors of 1, and 0 wins.
Dim product(const InferContext& ctx, const Shape& dims);
Dim scaled(const InferContext& ctx, const Dim& dim, int64_t factor);
// dim + amount; a negative result is an error.
Dim shifted(const InferContext& ctx, const Dim& dim, int64_t amount);
Dim divided(const InferContext& ctx, const Dim& dim, int64_t divisor);

// -rank..rank-1 to 0..rank-1.
int64_t normalize_axis(const InferContext& ctx, int64_t axis, int64_t rank);

// Axes given as the attribute "axes" or as an input.
struct Axes {
  bool given = false;
  std::optional<std::vector<int64_t>> values;  // nullopt: not known here
};
Axes read_axes(const InferContext& ctx, size_t input);
// Normalized; a repeated one is an error.
std::vector<int64_t> normalize_axes(const InferContext& ctx,
                                    const std::vector<int64_t>& axes,
                                    int64_t rank);

// The dimension of both, which must be equal. `what` names it in the error.
Dim unify(const InferContext& ctx, const Dim& a, const Dim& b,
          const std::string& what);

// Multidirectional broadcasting of ONNX.
Dim broadcast_dim(const InferContext& ctx, const Dim& a, const Dim& b);
Shape broadcast(const InferContext& ctx, const Shape& a, const Shape& b);
// Of the listed inputs; nullopt when a rank is unknown. Absent ones are left
// out.
std::optional<Shape> broadcast_inputs(const InferContext& ctx,
                                      const std::vector<size_t>& inputs);

// A target shape given as an int64 tensor: its elements as dimensions, or only
// the rank, or nothing. Negative elements are errors.
std::optional<Shape> shape_from_input(const InferContext& ctx, size_t input);

// An element type attribute; error for a number that is no type.
DataType elem_attribute(const InferContext& ctx, std::string_view name,
                        DataType fallback);
// A required attribute.
int64_t required_int(const InferContext& ctx, std::string_view name);

// --- Common shape functions ---------------------------------------------

void infer_same(InferContext& ctx);          // output 0 as input 0
void infer_same_no_type(InferContext& ctx);  // only the shape
void infer_bool_like(InferContext& ctx);     // shape of input 0, bool

// --- Followed values ----------------------------------------------------

int64_t count_of(const std::vector<int64_t>& dims);  // -1: too many
// Calls f with the coordinates of each element of `dims`, row-major.
void for_each_index(const std::vector<int64_t>& dims,
                    const std::function<void(const std::vector<int64_t>&)>& f);
size_t offset_of(const std::vector<int64_t>& dims,
                 const std::vector<int64_t>& index);
// NumPy broadcasting element by element; nullopt where it does not fit.
std::optional<FollowedValue> follow_broadcast(
    const std::vector<const FollowedValue*>& inputs,
    const std::function<Element(const std::vector<Element>&)>& f);

// --- Costs --------------------------------------------------------------

// Elements; 0 for absent values. Saturates.
int64_t elements(const Value* value);
int64_t dim_value(const Value* value, int64_t axis);  // negative: from the end
int64_t times(int64_t a, int64_t b);                  // saturates
int64_t plus(int64_t a, int64_t b);                   // saturates
Cost mac_cost(int64_t macs, int64_t extra_flops = 0);

// Work per output element.
template <int kFlops>
Cost cost_per_output(const Node& node) {
  Cost cost;
  cost.flops = times(elements(node.output(0)), kFlops);
  return cost;
}
// Work per element of input 0.
template <int kFlops>
Cost cost_per_input(const Node& node) {
  Cost cost;
  cost.flops = times(elements(node.input(0)), kFlops);
  return cost;
}

}  // namespace lathe::ir
