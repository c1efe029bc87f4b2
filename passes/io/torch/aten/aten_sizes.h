// Sizes of tensors as PyTorch programs handle them: lists of ints, each of
// which is a constant, computed by the graph, or the size of a tensor's axis
// (size_of) for which nodes are added only once they are needed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "passes/io/torch/aten/aten_call.h"
#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {

using Sizes = std::vector<Argument>;

// --- arguments; each fails (kUnsupported) when the argument is no int ---
// A list of ints; a single int reads as a list of one.
Sizes size_list(const AtenCall& call, std::string_view argument);
// An int. Without a fallback an absent one is an error.
Argument size_argument(const AtenCall& call, std::string_view argument,
                       std::optional<int64_t> fallback = std::nullopt);
// As AtenCall::axes, but in the order given.
std::vector<int64_t> ordered_axes(const AtenCall& call,
                                  std::string_view argument, int64_t rank);

// --- arithmetic, done at once where both are constant ---
bool is_constant_int(const Argument& size);
bool is_int(const Argument& size, int64_t value);
// `type`: "Add", "Sub", "Mul", "Max", "Min", "Div" (of non-negative ints) or
// "Mod" (the sign follows the divisor). Error kInput on overflow and on
// division by zero.
Argument compute(OnnxBuilder& builder, const char* type, const Argument& a,
                 const Argument& b);
// ceil(a / b) for a >= 0, b > 0.
Argument ceil_div(OnnxBuilder& builder, const Argument& a, int64_t b);

// --- sizes of tensors ---
// A constant where it is known. Else an Argument that stands for it in this
// file's functions only; settled() makes it one for all.
Argument size_of(OnnxBuilder& builder, ir::Value* value, int64_t axis);
Argument settled(OnnxBuilder& builder, const Argument& size);
// As a 1-D int64 tensor.
ir::Value* size_vector(OnnxBuilder& builder, const Sizes& sizes);
Sizes sizes_of(OnnxBuilder& builder, ir::Value* value);
// The number or symbol; unknown for -1.
ir::Dim dim_of(OnnxBuilder& builder, const Argument& size);
// Known to have the same size along every axis.
bool same_shape(const ir::Value* a, const ir::Value* b);

// --- tensors of given sizes ---
// At most one size may be -1: what is left. The shape is written as a constant
// wherever at most one size is open.
ir::Value* reshape_to(OnnxBuilder& builder, ir::Value* value,
                      const Sizes& sizes);
// PyTorch's expand: as many sizes as the result has axes, -1 keeps an axis.
ir::Value* expand_to(OnnxBuilder& builder, ir::Value* value,
                     const Sizes& sizes);
// PyTorch's atleast_1d, atleast_2d, atleast_3d: new axes of size 1.
ir::Value* at_least_rank(OnnxBuilder& builder, ir::Value* value,
                         int64_t wanted);
// Both get the shape that they broadcast to.
void broadcast(OnnxBuilder& builder, ir::Value*& a, ir::Value*& b);
// 0, 1, … count - 1 as a 1-D int64 tensor.
ir::Value* range(OnnxBuilder& builder, const Argument& count);
// first, first + step, … : `count` of them as a 1-D int64 tensor.
ir::Value* progression(OnnxBuilder& builder, const Argument& first,
                       const Argument& count, const Argument& step);
// [rows, columns] int64: i * row_step + j * column_step.
ir::Value* index_grid(OnnxBuilder& builder, const Argument& rows,
                      int64_t row_step, const Argument& columns,
                      int64_t column_step);

// --- everyday steps ---
// Axes other than `first`, in order, after those in `first`.
std::vector<int64_t> order_with_first(const std::vector<int64_t>& first,
                                      int64_t rank);
// Where with operands of a type that ONNX Runtime has no kernel for cast
// around; x and y have the same type.
ir::Value* where(OnnxBuilder& builder, ir::Value* condition, ir::Value* x,
                 ir::Value* y);

}  // namespace lathe::io::aten
