// PyTorch programs from outside.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/base/json.h"
#include "passes/io/onnx/onnx.h"
#include "tests/cli/process.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

using test::run_lathe;

struct Folder {
  // Every tested program lies beside the outputs under a short name.
  bool link(const std::string& model, const std::string& name) const {
    const auto source = test::shared_file("models/" + model);
    if (source.empty()) return false;
    std::filesystem::create_symlink(std::filesystem::absolute(source),
                                    dir.path() / name);
    return true;
  }
  test::ProcessResult run(const std::vector<std::string>& args) const {
    return run_lathe(args, {dir.path(), {}});
  }
  test::TempDir dir;
};

TEST_CASE("convert takes TorchScript and compares it with LibTorch") {
  const Folder folder;
  if (!folder.link("cifar10_resnet20/model_traced.pt", "m.pt")) return;
  const auto result =
      folder.run({"convert", "m.pt", "--input-shape", "1x3x32x32", "-o",
                  "m.onnx", "--opset", "18", "--json"});
  CHECK(result.err == "");
  REQUIRE(result.code == 0);
  const Json json = Json::parse(result.out);
  CHECK(json.at("opset") == 18);
  CHECK(json.at("notes") == Json::array());
  CHECK(json.at("check").at("calls") == 1);
  CHECK(json.at("check").at("max_relative_difference") < 1e-4);
  const ir::Model model = io::import_onnx(folder.dir.path() / "m.onnx");
  CHECK(model.graph->find("layer1.0.conv1.weight"));
  CHECK(ir::to_string(model.graph->inputs()[0]->type) ==
        "float[batch,3,32,32]");
}

TEST_CASE("convert takes torch.export programs") {
  const Folder folder;
  if (!folder.link("cifar10_resnet20/model.pt2", "m.pt2")) return;
  const auto result = folder.run({"convert", "m.pt2", "-o", "m.onnx"});
  CHECK(result.err == "");
  CHECK(result.code == 0);
  CHECK(result.out.ends_with(
      "not checked against the source: a torch.export program cannot be run "
      "by the linked LibTorch\n"));
}

TEST_CASE("other commands take PyTorch programs as well") {
  const Folder folder;
  if (!folder.link("cifar10_resnet20/model_traced.pt", "m.pt")) return;
  const auto inspected =
      folder.run({"inspect", "m.pt", "--input-shape", "1x3x32x32", "--json"});
  REQUIRE(inspected.code == 0);
  CHECK(Json::parse(inspected.out).at("nodes").at("Conv") == 19);
  const auto timed = folder.run(
      {"bench", "m.pt", "--input-shape", "1x3x32x32", "--runs", "3", "--json"});
  CHECK(timed.code == 0);
  const auto valid = folder.run({"validate", "m.pt"});
  CHECK(valid.code == 0);
}

TEST_CASE("a state_dict is named as one, with the lines that export it") {
  const Folder folder;
  if (!folder.link("cifar10_resnet20/state_dict.th", "m.th")) return;
  const auto result = folder.run({"convert", "m.th", "-o", "m.onnx"});
  CHECK(result.code == 2);
  CHECK(result.out == "");
  CHECK(result.err ==
        "error: m.th: holds a checkpoint with a state_dict under "
        "['state_dict']: 97 tensors and no program (first "
        "'module.conv1.weight')\n"
        "hint: export the program in Python, with an input of the model's own "
        "shape:\n"
        "    model = Net(); model.load_state_dict({k.removeprefix('module.'): "
        "v for k, v in torch.load('m.th', "
        "map_location='cpu')['state_dict'].items()})\n"
        "    program = torch.export.export(model.eval(), (torch.randn(1, 3, "
        "224, 224),))\n"
        "    torch.export.save(program, 'model.pt2')\n");
  CHECK(!std::filesystem::exists(folder.dir.path() / "m.onnx"));
}

TEST_CASE("broken PyTorch files end in exit 2 and leave nothing") {
  const Folder folder;
  auto refused = [&](const std::string& bytes) {
    write_file_atomic(folder.dir.path() / "m.pt", bytes);
    const auto result = folder.run({"convert", "m.pt", "-o", "m.onnx"});
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK(!std::filesystem::exists(folder.dir.path() / "m.onnx"));
    return result.err;
  };
  CHECK(refused("anything").starts_with("error: m.pt: "));
  CHECK(refused("").starts_with("error: m.pt: "));
  CHECK(refused("PK\x03\x04 and the rest").starts_with("error: m.pt: "));
  for (const char* model :
       {"cifar10_resnet20/model_traced.pt", "cifar10_resnet20/model.pt2"}) {
    const auto path = test::shared_file(std::string("models/") + model);
    if (path.empty()) continue;
    const std::string bytes = read_file(path);
    CHECK(refused(bytes.substr(0, bytes.size() / 2))
              .starts_with("error: m.pt: "));
    std::string flipped = bytes;
    for (size_t i = 0; i < 64; ++i)
      flipped[flipped.size() / 2 + i] =
          static_cast<char>(flipped[flipped.size() / 2 + i] ^ 0x55);
    CHECK(refused(flipped).starts_with("error: m.pt: "));
  }
}

TEST_CASE("an input that the program lacks") {
  const Folder folder;
  if (!folder.link("cifar10_resnet20/model_traced.pt", "m.pt")) return;
  const auto result = folder.run({"convert", "m.pt", "--input-shape",
                                  "y:1x3x32x32", "-o", "m.onnx", "-q"});
  CHECK(result.code == 2);
  CHECK(result.err == "error: --input-shape: the model has no input 'y'\n");
}

}  // namespace
}  // namespace lathe
