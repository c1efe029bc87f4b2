// The parts of the family of arithmetic, one file each.
#pragma once

#include <span>

#include "passes/io/torch/aten/aten_call.h"

namespace lathe::io::aten {

std::span<const AtenRow> unary_rows();     // abs, exp, round, …
std::span<const AtenRow> division_rows();  // div, remainder, pow, …
std::span<const AtenRow> blend_rows();     // lerp, addcmul, atan2, …
std::span<const AtenRow> bitwise_rows();

}  // namespace lathe::io::aten
