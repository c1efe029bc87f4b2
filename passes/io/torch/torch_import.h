// PyTorch files in: TorchScript (.pt, traced or scripted) and torch.export
// programs (.pt2).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "passes/io/import_result.h"

namespace lathe::io {

// Errors: kInput for a damaged file or one that is no program, kUnsupported
// for an operator without a translation (naming it, its place in the source
// and the LibTorch that is linked), kUsage when a rank or size must be given.
Imported import_torchscript(const std::filesystem::path& path,
                            const ImportOptions& options);
Imported import_exported_program(const std::filesystem::path& path,
                                 const ImportOptions& options);
// Either, by what the file holds.
Imported import_torch(const std::filesystem::path& path,
                      const ImportOptions& options = {});

// ATen operators that have a translation, sorted.
std::vector<std::string> translated_aten_operators();

}  // namespace lathe::io
