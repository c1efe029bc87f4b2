// What needs LibTorch runs in a second program.
#include <fmt/format.h>

#include "passes/base/file.h"
#include "tests/cli/model_folder.h"

namespace lathe::test {
namespace {

namespace fs = std::filesystem;

bool names_torch(const fs::path& program) {
  return read_file(program).find("libtorch_cpu.so") != std::string::npos;
}

TEST_CASE("lathe does not load LibTorch, the program beside it does") {
  CHECK_FALSE(names_torch(LATHE_BINARY_DIR "/lathe"));
  CHECK(names_torch(LATHE_BINARY_DIR "/lathe-torch"));
}

TEST_CASE("a pass that needs LibTorch finds it") {
  const ModelFolder folder;
  const auto result =
      folder.run({"quantize", "m.onnx", "--data", "synthetic", "--samples", "8",
                  "--correct-biases", "--placement", "all", "-o", "out.onnx"});
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(result.out.find("bias_correction: ") != std::string::npos);
  CHECK(fs::exists(folder.path("out.onnx")));
}

TEST_CASE("a lathe without the program beside it says what is missing") {
  const ModelFolder folder;
  const fs::path alone = fs::canonical(folder.folder.path()) / "bin" / "lathe";
  fs::create_directory(alone.parent_path());
  fs::copy_file(LATHE_BINARY_DIR "/lathe", alone);
  const auto result = run_lathe({"quantize", "m.onnx", "--data", "synthetic",
                                 "--correct-biases", "-o", "out.onnx"},
                                {.folder = folder.folder.path(),
                                 .environment = {},
                                 .program = alone.string()});
  CHECK(result.code == 2);
  CHECK(result.err ==
        fmt::format("error: {}-torch: cannot be started: No such file or "
                    "directory\nhint: what needs LibTorch is a program of its "
                    "own, which is built with `lathe` and has to lie beside "
                    "it\n",
                    alone.string()));
  CHECK_FALSE(fs::exists(folder.path("out.onnx")));
}

}  // namespace
}  // namespace lathe::test
