// The parts of the family of reductions, one file each.
#pragma once

#include <span>
#include <vector>

#include "passes/io/torch/aten/aten_call.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {

std::span<const AtenRow> moment_rows();    // var, std, norms, …
std::span<const AtenRow> ordering_rows();  // argmax, sort, topk, unique, …
std::span<const AtenRow> scan_rows();      // cumsum, cumprod, …

// The axes in `dim`; none for all of them.
std::vector<int64_t> reduced_axes(const AtenCall& call, const Term& x);
// As the `dtype` argument says; by default integers and bools become int64.
Term summable(const AtenCall& call, const Term& x);
// A 0-D int64 zero: the index of a 0-D tensor's only element.
ir::Value* first_index(OnnxBuilder& builder);

}  // namespace lathe::io::aten
