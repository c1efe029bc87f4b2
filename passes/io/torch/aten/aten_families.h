// The families that the table of ATen operators is put together from, one file
// each (aten_<family>.cc).
#pragma once

#include <span>

#include "passes/io/torch/aten/aten_call.h"

namespace lathe::io::aten {

std::span<const AtenRow> convolution_rows();
std::span<const AtenRow> pooling_rows();
std::span<const AtenRow> normalization_rows();
std::span<const AtenRow> product_rows();    // linear, matmul, einsum, …
std::span<const AtenRow> attention_rows();  // attention, embedding, …
std::span<const AtenRow> activation_rows();
std::span<const AtenRow> arithmetic_rows();  // element by element
std::span<const AtenRow> comparison_rows();  // comparisons, logic, where
std::span<const AtenRow> reduction_rows();
std::span<const AtenRow> creation_rows();    // zeros, full, arange, …
std::span<const AtenRow> shape_rows();       // view, permute, expand, …
std::span<const AtenRow> slicing_rows();     // slice, select, cat, split, …
std::span<const AtenRow> indexing_rows();    // index, gather, scatter, …
std::span<const AtenRow> padding_rows();     // pad and its modes
std::span<const AtenRow> resampling_rows();  // upsample, pixel_shuffle, …
std::span<const AtenRow> recurrent_rows();

}  // namespace lathe::io::aten
