#include "passes/io/torch/archive/storage_type.h"

#include <algorithm>
#include <iterator>

namespace lathe::io {
namespace {

struct StorageType {
  std::string_view name;
  ir::DataType type;
};

constexpr StorageType kStorageTypes[] = {
    {"DoubleStorage", ir::DataType::kDouble},
    {"FloatStorage", ir::DataType::kFloat},
    {"HalfStorage", ir::DataType::kFloat16},
    {"BFloat16Storage", ir::DataType::kBfloat16},
    {"LongStorage", ir::DataType::kInt64},
    {"IntStorage", ir::DataType::kInt32},
    {"ShortStorage", ir::DataType::kInt16},
    {"CharStorage", ir::DataType::kInt8},
    {"ByteStorage", ir::DataType::kUint8},
    {"BoolStorage", ir::DataType::kBool},
    {"ComplexFloatStorage", ir::DataType::kComplex64},
    {"ComplexDoubleStorage", ir::DataType::kComplex128},
    // Bytes, as torch.load takes them.
    {"UntypedStorage", ir::DataType::kUint8},
    {"torch.uint16", ir::DataType::kUint16},
    {"torch.uint32", ir::DataType::kUint32},
    {"torch.uint64", ir::DataType::kUint64},
    {"torch.float8_e4m3fn", ir::DataType::kFloat8E4M3FN},
    {"torch.float8_e4m3fnuz", ir::DataType::kFloat8E4M3FNUZ},
    {"torch.float8_e5m2", ir::DataType::kFloat8E5M2},
    {"torch.float8_e5m2fnuz", ir::DataType::kFloat8E5M2FNUZ},
};

}  // namespace

std::optional<ir::DataType> data_type_of_storage(
    std::string_view storage_type) {
  const auto* found = std::find_if(
      std::begin(kStorageTypes), std::end(kStorageTypes),
      [&](const StorageType& row) { return row.name == storage_type; });
  if (found == std::end(kStorageTypes)) return std::nullopt;
  return found->type;
}

}  // namespace lathe::io
