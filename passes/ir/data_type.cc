#include "passes/ir/data_type.h"

#include <limits>

namespace lathe::ir {
namespace {

struct Row {
  DataType type;
  const char* name;
  int bits;
  enum { kFloating, kInteger, kOther } group;
};

constexpr Row kRows[] = {
    {DataType::kUndefined, "undefined", 0, Row::kOther},
    {DataType::kFloat, "float", 32, Row::kFloating},
    {DataType::kUint8, "uint8", 8, Row::kInteger},
    {DataType::kInt8, "int8", 8, Row::kInteger},
    {DataType::kUint16, "uint16", 16, Row::kInteger},
    {DataType::kInt16, "int16", 16, Row::kInteger},
    {DataType::kInt32, "int32", 32, Row::kInteger},
    {DataType::kInt64, "int64", 64, Row::kInteger},
    {DataType::kString, "string", 0, Row::kOther},
    {DataType::kBool, "bool", 8, Row::kOther},
    {DataType::kFloat16, "float16", 16, Row::kFloating},
    {DataType::kDouble, "double", 64, Row::kFloating},
    {DataType::kUint32, "uint32", 32, Row::kInteger},
    {DataType::kUint64, "uint64", 64, Row::kInteger},
    {DataType::kComplex64, "complex64", 64, Row::kOther},
    {DataType::kComplex128, "complex128", 128, Row::kOther},
    {DataType::kBfloat16, "bfloat16", 16, Row::kFloating},
    {DataType::kFloat8E4M3FN, "float8e4m3fn", 8, Row::kFloating},
    {DataType::kFloat8E4M3FNUZ, "float8e4m3fnuz", 8, Row::kFloating},
    {DataType::kFloat8E5M2, "float8e5m2", 8, Row::kFloating},
    {DataType::kFloat8E5M2FNUZ, "float8e5m2fnuz", 8, Row::kFloating},
    {DataType::kUint4, "uint4", 4, Row::kInteger},
    {DataType::kInt4, "int4", 4, Row::kInteger},
    {DataType::kFloat4E2M1, "float4e2m1", 4, Row::kFloating},
    {DataType::kFloat8E8M0, "float8e8m0", 8, Row::kFloating},
    {DataType::kUint2, "uint2", 2, Row::kInteger},
    {DataType::kInt2, "int2", 2, Row::kInteger},
};

const Row& row(DataType type) {
  auto index = static_cast<size_t>(type);
  return index < std::size(kRows) ? kRows[index] : kRows[0];
}

}  // namespace

const char* to_string(DataType type) { return row(type).name; }

std::optional<DataType> data_type_from_string(std::string_view name) {
  for (const Row& r : kRows)
    if (name == r.name) return r.type;
  return std::nullopt;
}

std::optional<DataType> data_type_from_number(int64_t number) {
  if (number < 0 || number >= static_cast<int64_t>(std::size(kRows)))
    return std::nullopt;
  return kRows[number].type;
}

int bits_per_element(DataType type) { return row(type).bits; }

uint64_t packed_bytes(DataType type, uint64_t elements) {
  uint64_t bits = static_cast<uint64_t>(row(type).bits);
  if (bits >= 8) {
    uint64_t bytes = bits / 8;
    if (elements > std::numeric_limits<uint64_t>::max() / bytes)
      return std::numeric_limits<uint64_t>::max();
    return elements * bytes;
  }
  if (bits == 0) return 0;
  uint64_t per_byte = 8 / bits;
  return elements / per_byte + (elements % per_byte != 0);
}

bool is_floating(DataType type) { return row(type).group == Row::kFloating; }
bool is_integer(DataType type) { return row(type).group == Row::kInteger; }

}  // namespace lathe::ir
