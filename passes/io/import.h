// Model files in, of any format: one row a format.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "passes/io/import_result.h"

namespace lathe::io {

struct InputFormat {
  const char* name;     // "onnx"
  const char* summary;  // one line, for lists and help
  // By the file's name and first bytes. The first row that does is taken; the
  // last takes everything.
  bool (*recognizes)(const std::filesystem::path& path, std::string_view head);
  Imported (*import)(const std::filesystem::path& path,
                     const ImportOptions& options);
};

std::span<const InputFormat> input_formats();
// "an ONNX file or a PyTorch program (.pt, .pt2)": for help texts.
extern const char* const kModelFiles;

// The row for a file. Error kInput when there is no such file.
const InputFormat& format_of(const std::filesystem::path& path);

Imported import_model(const std::filesystem::path& path,
                      const ImportOptions& options = {});

}  // namespace lathe::io
