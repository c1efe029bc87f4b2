// libFuzzer entry for the ONNX importer: whatever the bytes, a graph that
// verifies and exports, or a lathe::Error. README.md says how to build it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    lathe::ir::Model model = lathe::io::import_onnx_bytes(bytes, "fuzz.onnx");
    lathe::ir::verify(*model.graph, "fuzz.onnx");
    std::string exported = lathe::io::export_onnx_bytes(model);
    lathe::io::import_onnx_bytes(exported, "exported.onnx");
  } catch (const lathe::Error& error) {
    // A bug of ours, not of the file.
    if (error.kind() == lathe::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
