// Operators on bits. Opset 17 has them for bools, and shifts for unsigned
// integers; the others are arithmetic where that is the same.
#include <algorithm>
#include <cmath>

#include "passes/io/torch/aten/aten_arithmetic.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;

[[noreturn]] void lacks_bits(const AtenCall& call, const Term& x) {
  call.unsupported(std::string("its operands are ") + ir::to_string(x.elem()) +
                       ", and ONNX opset 17 has bitwise operators for bool "
                       "only",
                   "use logical operators on bool tensors");
}

// 2^k of a mask with the k lowest bits set.
std::optional<double> low_mask_end(const Argument& argument) {
  const auto mask = constant_number(argument);
  if (!mask || *mask < 0 || *mask >= 0x1p53) return std::nullopt;
  const auto end = static_cast<uint64_t>(*mask) + 1;
  if (end & (end - 1)) return std::nullopt;
  return static_cast<double>(end);
}

// x & (2^k - 1) is x modulo 2^k, of negative numbers as well.
Arguments emit_and(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  if (terms[0].is_bool()) return one(both(terms[0], terms[1]));
  if (terms[0].is_floating()) lacks_bits(call, terms[0]);
  // 2^k itself must be a number of the type.
  const DataType type = terms[0].elem();
  const double top = std::ldexp(1.0, std::min(ir::bits_per_element(type), 54) -
                                         (type == DataType::kUint8 ? 0 : 1));
  const char* const operands[] = {"self", "other"};
  for (size_t i = 0; i < 2; ++i) {
    const auto end = low_mask_end(call[operands[i]]);
    const Term& x = terms[1 - i];
    if (end && *end < top) return one(python_mod(x, x.number(*end)));
  }
  lacks_bits(call, terms[0]);
}

Arguments emit_or(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  if (!terms[0].is_bool()) lacks_bits(call, terms[0]);
  return one(either(terms[0], terms[1]));
}

Arguments emit_xor(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  if (!terms[0].is_bool()) lacks_bits(call, terms[0]);
  return one(differ(terms[0], terms[1]));
}

// Two's complement: ~x = -1 - x; of bytes 255 - x.
Arguments emit_not(const AtenCall& call) {
  const Term x = term(call, "self");
  if (x.is_bool()) return one(!x);
  return one((x.elem() == DataType::kUint8 ? 255 : -1) - x);
}

// 2 to the power of the shift.
Term shift_factor(const AtenCall& call, const Term& shift) {
  const auto bits = constant_number(call["other"]);
  if (bits && *bits >= 0 && *bits < 53)
    return shift.number(std::ldexp(1.0, static_cast<int>(*bits)));
  return apply("Pow", {shift.number(2), shift});
}

Arguments emit_shift(const AtenCall& call) {
  const std::vector<Term> terms = promoted(call, {"self", "other"});
  const Term &x = terms[0], &shift = terms[1];
  const bool left =
      call.name() == "bitwise_left_shift" || call.name() == "__lshift__";
  if (x.is_floating() || x.is_bool())
    call.unsupported(std::string("its operands are ") +
                     ir::to_string(x.elem()) + ", expected integers");
  if (x.elem() == DataType::kUint8)
    return one(apply("BitShift", {x, shift},
                     {{"direction", std::string(left ? "LEFT" : "RIGHT")}}));
  const Term factor = shift_factor(call, shift);
  if (left) return one(x * factor);
  return one((x - python_mod(x, factor)) / factor);
}

constexpr AtenRow kRows[] = {
    {"bitwise_and", emit_and},  {"__and__", emit_and},
    {"bitwise_or", emit_or},    {"__or__", emit_or},
    {"bitwise_xor", emit_xor},  {"__xor__", emit_xor},
    {"bitwise_not", emit_not},  {"bitwise_left_shift", emit_shift},
    {"__lshift__", emit_shift}, {"bitwise_right_shift", emit_shift},
    {"__rshift__", emit_shift},
};

}  // namespace

std::span<const AtenRow> bitwise_rows() { return kRows; }

}  // namespace lathe::io::aten
