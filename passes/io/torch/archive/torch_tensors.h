// What load_tensor and check_torchscript_archive both ask of a tensor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/io/torch/archive/pickle.h"
#include "passes/io/torch/archive/zip_archive.h"
#include "passes/ir/data_type.h"

namespace lathe::io {

// Largest pickle that is read, in bytes; they hold no tensor data.
constexpr uint64_t kMaxPickleBytes = uint64_t{256} << 20;

// Errors kInput unless a storage of `storage_elements` holds every element
// that `offset`, `sizes` and `strides` (in elements) reach, kUnsupported where
// overlapping strides make a tensor of more than 1 GiB out of a smaller
// storage.
void check_layout(ir::DataType type, uint64_t storage_elements, int64_t offset,
                  const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides,
                  const std::string& where);

// The tensor's storage out of the archive, once it is known to be as long as
// the pickle says and to hold the tensor; empty for a storage without elements.
// Sets `type`. Errors as load_tensor, kUnsupported for big-endian files.
ir::Bytes checked_storage(const ZipArchive& archive, const std::string& folder,
                          const PickledTensor& tensor, const std::string& where,
                          ir::DataType* type);

// "archive.pt: data.pkl", read as data.
PicklePointer read_archive_pickle(const ZipArchive& archive,
                                  const std::string& name,
                                  const PickleOptions& options = {});

// For messages: control characters become '?', and it is cut at 80 bytes.
std::string printable(std::string_view text);

}  // namespace lathe::io
