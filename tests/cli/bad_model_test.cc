// Broken models: the whole message and the exit code.
#include <doctest/doctest.h>

#include <filesystem>

#include "passes/base/file.h"
#include "tests/cli/models.h"
#include "tests/cli/process.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

using test::run_lathe;

// Commands that read a model themselves and that run a recipe say the same.
void check_refused(const std::filesystem::path& folder,
                   const std::string& message) {
  const test::ProcessOptions here{folder, {}};
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"convert", "m.onnx", "-o", "out.onnx"},
           {"quantize", "m.onnx", "--data", "synthetic", "-o", "out.onnx",
            "-q"}}) {
    CAPTURE(args[0]);
    const auto result = run_lathe(args, here);
    CHECK(result.code == 2);
    CHECK(result.out == "");
    const std::string absolute = (folder / "m.onnx").string();
    std::string err = result.err;
    // quantize runs a recipe, whose paths are absolute.
    for (size_t at; (at = err.find(absolute)) != std::string::npos;)
      err.replace(at, absolute.size(), "m.onnx");
    CHECK(err == message);
    CHECK_FALSE(std::filesystem::exists(folder / "out.onnx"));
  }
}

TEST_CASE("a missing file") {
  test::TempDir folder;
  check_refused(folder.path(),
                "error: m.onnx: no such file\nhint: check the path\n");
}

TEST_CASE("a truncated model") {
  test::TempDir folder;
  const auto path = folder.path() / "m.onnx";
  test::write_small_model(path);
  const std::string bytes = read_file(path);
  write_file_atomic(path,
                    std::string_view(bytes).substr(0, bytes.size() - 100));
  check_refused(folder.path(),
                "error: m.onnx: is not a readable ONNX model\nhint: it may be "
                "cut short or damaged; fetch or export it again\n");
}

TEST_CASE("a file that is no model") {
  test::TempDir folder;
  write_file_atomic(folder.path() / "m.onnx", "hello, world\n");
  check_refused(folder.path(),
                "error: m.onnx: is not a readable ONNX model\nhint: it may be "
                "cut short or damaged; fetch or export it again\n");
}

TEST_CASE("external data outside the model's folder") {
  const std::pair<const char*, const char*> cases[] = {
      {"../secret.bin", "outside the model's folder"},
      {"/etc/passwd", "an absolute path"}};
  for (const auto& [location, problem] : cases) {
    test::TempDir folder;
    test::RawModel raw;
    raw.add_input("x", 4);
    raw.add_external_initializer("w", 4, location);
    raw.add_node("Relu", "w", "y");
    raw.add_output("y", 4);
    raw.write(folder.path() / "m.onnx");
    check_refused(
        folder.path(),
        std::string("error: m.onnx: initializer 'w' keeps its data in '") +
            location + "', which is " + problem +
            "\nhint: external data must stay in the model's folder or below "
            "it\n");
  }
}

TEST_CASE("external data that is missing") {
  test::TempDir folder;
  test::RawModel raw;
  raw.add_external_initializer("w", 4, "weights.bin");
  raw.add_node("Relu", "w", "y");
  raw.add_output("y", 4);
  raw.write(folder.path() / "m.onnx");
  check_refused(
      folder.path(),
      "error: m.onnx: initializer 'w' keeps its data in 'weights.bin', which "
      "does not exist\nhint: copy the data file along with the model\n");
}

TEST_CASE("a cyclic graph") {
  test::TempDir folder;
  test::RawModel raw;
  raw.add_input("x", 4);
  raw.add_node("Relu", "b", "a");
  raw.add_node("Neg", "a", "b");
  raw.add_output("a", 4);
  raw.write(folder.path() / "m.onnx");
  check_refused(folder.path(),
                "error: m.onnx: the graph has a cycle through Neg 'make_b' -> "
                "Relu 'make_a'\nhint: an ONNX graph must be acyclic; export "
                "the model again\n");
}

TEST_CASE("a tensor whose bytes disagree with its shape") {
  test::TempDir folder;
  test::RawModel raw;
  raw.add_initializer("w", /*dim=*/4, /*bytes=*/12);
  raw.add_node("Relu", "w", "y");
  raw.add_output("y", 4);
  raw.write(folder.path() / "m.onnx");
  check_refused(folder.path(),
                "error: m.onnx: initializer 'w': holds 12 bytes, but shape [4] "
                "of type float needs 16\n");
}

TEST_CASE("a tensor that claims more than any memory holds") {
  test::TempDir folder;
  test::RawModel raw;
  raw.add_initializer("w", /*dim=*/int64_t{1} << 60, /*bytes=*/16);
  raw.add_node("Relu", "w", "y");
  raw.add_output("y", 4);
  raw.write(folder.path() / "m.onnx");
  check_refused(
      folder.path(),
      "error: m.onnx: initializer 'w': holds 16 bytes, but shape "
      "[1152921504606846976] of type float needs 4611686018427387904\n");
}

TEST_CASE("a folder in the place of a model") {
  test::TempDir folder;
  std::filesystem::create_directory(folder.path() / "m.onnx");
  check_refused(folder.path(),
                "error: m.onnx: found a folder, expected a file\n");
}

}  // namespace
}  // namespace lathe
