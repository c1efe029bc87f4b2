#include "passes/io/import.h"

#include <algorithm>

#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "passes/io/torch/torch_import.h"

namespace lathe::io {
namespace {

constexpr size_t kHeadBytes = 64;

// A zip archive, a pickle, or what PyTorch's users name so.
bool is_torch(const std::filesystem::path& path, std::string_view head) {
  const std::string extension = path.extension().string();
  for (const char* known : {".pt", ".pt2", ".pth", ".th", ".jit", ".ckpt"})
    if (extension == known) return true;
  return head.starts_with("PK\x03\x04") || head.starts_with("\x80\x02");
}

Imported import_onnx_file(const std::filesystem::path& path,
                          const ImportOptions&) {
  Imported imported;
  imported.model = import_onnx(path);
  return imported;
}

constexpr InputFormat kFormats[] = {
    {"pytorch", "a TorchScript or torch.export program (.pt, .jit, .pt2)",
     is_torch, import_torch},
    {"onnx", "an ONNX model (.onnx)",
     [](const std::filesystem::path&, std::string_view) { return true; },
     import_onnx_file},
};

}  // namespace

const char* const kModelFiles =
    "an ONNX file or a PyTorch program (.pt, .jit, .pt2)";

std::span<const InputFormat> input_formats() { return kFormats; }

const InputFormat& format_of(const std::filesystem::path& path) {
  // Opened whatever its name: a missing file is a missing file.
  const auto file = MappedFile::open(path);
  const auto bytes =
      file->bytes().first(std::min(file->bytes().size(), kHeadBytes));
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                              bytes.size());
  return *std::ranges::find_if(kFormats, [&](const InputFormat& format) {
    return format.recognizes(path, head);
  });
}

Imported import_model(const std::filesystem::path& path,
                      const ImportOptions& options) {
  return format_of(path).import(path, options);
}

}  // namespace lathe::io
