// Every real model at hand goes through import and export unchanged.
#include "tests/passes/io/onnx/real_models.h"

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <filesystem>

#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "tests/passes/io/onnx/model_builder.h"
#include "tests/support/shared.h"

namespace lathe::test {

std::vector<std::filesystem::path> real_models() {
  std::vector<std::filesystem::path> found;
  auto folder = shared_file("models");
  if (folder.empty()) return found;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  REQUIRE(!found.empty());
  std::ranges::sort(found);
  return found;
}

namespace {

TEST_CASE("real models come out as they went in") {
  for (const auto& path : real_models()) {
    CAPTURE(path.string());
    ir::Model model = io::import_onnx(path);
    ir::verify(*model.graph, path.string());
    onnx::ModelProto before, after;
    REQUIRE(before.ParseFromString(read_file(path)));
    std::string bytes = io::export_onnx_bytes(model);
    REQUIRE(after.ParseFromString(bytes));
    CHECK(differences(before, after) == "");
    CHECK(bytes ==
          io::export_onnx_bytes(io::import_onnx_bytes(bytes, "again")));
  }
}

TEST_CASE("real test-case tensors are read") {
  auto folder = shared_file("models");
  if (folder.empty()) return;
  int tensors = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".pb") continue;
    CAPTURE(entry.path().string());
    ir::Tensor tensor = io::read_tensor_file(entry.path());
    CHECK(tensor.size() > 0);
    ++tensors;
  }
  CHECK(tensors > 0);
}

}  // namespace
}  // namespace lathe::test
