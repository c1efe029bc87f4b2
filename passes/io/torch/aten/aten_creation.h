// The parts of the family of tensor creation, one file each, and what they
// share.
#pragma once

#include <span>
#include <vector>

#include "passes/io/torch/aten/aten_call.h"

namespace lathe::io::aten {

std::span<const AtenRow> sequence_rows();  // arange, linspace, eye, …
std::span<const AtenRow> window_rows();    // hann_window, …
std::span<const AtenRow> copy_rows();      // to, clone, type_as, …
std::span<const AtenRow> random_rows();

// The `size` argument as a 1-D int64 tensor.
ir::Value* size_vector(const AtenCall& call);
// One number in a tensor of that shape (1-D int64): an initializer where it is
// small and known, else computed. `number`: an int, float or bool, or a tensor
// of one element.
ir::Value* filled(const AtenCall& call, ir::Value* shape,
                  const Argument& number, ir::DataType type);
// The `dtype` argument, else the element type of the `self` argument.
ir::DataType type_like_self(const AtenCall& call);

// 1-D.
ir::Tensor vector_of(const std::vector<double>& elements, ir::DataType type);

// Initializers written for a call have at most this many elements.
inline constexpr int64_t kMaxConstantElements = 4096;
// Those that no operator could compute may be larger, within reason.
inline constexpr int64_t kMaxTableElements = int64_t{1} << 24;

}  // namespace lathe::io::aten
