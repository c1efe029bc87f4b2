// PyTorch's names of storages and element types.
#pragma once

#include <optional>
#include <string_view>

#include "passes/ir/data_type.h"

namespace lathe::io {

// "FloatStorage", … as PickledTensor::storage_type has it, or "torch.uint16"
// for the types that have no storage class of their own. nullopt for those
// that ir::DataType lacks (quantized ones, …).
std::optional<ir::DataType> data_type_of_storage(std::string_view storage_type);

}  // namespace lathe::io
