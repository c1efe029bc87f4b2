#include "passes/io/torch/archive/torch_file.h"

#include <fstream>

#include "passes/base/random.h"
#include "tests/passes/io/torch/archive/pickle_writer.h"
#include "tests/passes/io/torch/doctest_with_torch.h"
#include "tests/support/shared.h"

namespace lathe::io {
namespace {

using test::make_zip;
using test::message_from;
using test::py_dict;
using test::py_global;
using test::py_int;
using test::py_object;
using test::py_pickle;
using test::py_tensor;
using test::py_text;

// A file under a fixed name in a folder of its own.
class TorchFile {
 public:
  explicit TorchFile(const std::string& bytes)
      : path_(folder_.path() / "it's.pt") {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  // The message, with the file's folder left out.
  std::string error() const {
    std::string text = message_from([&] { identify_torch_file(path_); });
    const std::string folder = folder_.path().string() + "/";
    for (size_t at; (at = text.find(folder)) != std::string::npos;)
      text.erase(at, folder.size());
    return text;
  }
  TorchFileKind kind() const { return identify_torch_file(path_); }

 private:
  test::TempDir folder_;
  std::filesystem::path path_;
};

std::string error_of_entries(const test::ZipEntries& entries) {
  return TorchFile(make_zip(entries)).error();
}

std::string saved_error(const std::string& value) {
  return error_of_entries({{"archive/data.pkl", py_pickle(value)},
                           {"archive/data/0", std::string(24, 'x')}});
}

std::string python(const std::string& first_line) {
  return " (export the program in Python, with an input of the model's own "
         "shape:\n    " +
         first_line +
         "\n    program = torch.export.export(model.eval(), "
         "(torch.randn(1, 3, 224, 224),))\n"
         "    torch.export.save(program, 'model.pt2'))";
}

const std::string kFormats =
    " (Lathe reads TorchScript (torch.jit.save) and exported programs "
    "(torch.export.save))";

std::string legacy(const std::string& value) {
  return py_pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") +
         py_pickle("M\xe9\x03") +
         py_pickle(py_dict({{"little_endian", "\x88"}})) + py_pickle(value);
}

TEST_CASE("torch file: programs") {
  CHECK(TorchFile(make_zip(test::torchscript_entries())).kind() ==
        TorchFileKind::kTorchScript);
  CHECK(TorchFile(make_zip({{"serialized_exported_program.json", "{}"},
                            {"version", "3"}}))
            .kind() == TorchFileKind::kExportedProgram);
  CHECK(TorchFile(make_zip({{"m/archive_format", "pt2"},
                            {"m/models/model.json", "{}"}}))
            .kind() == TorchFileKind::kExportedProgram);
}

TEST_CASE("torch file: TorchScript of other kinds") {
  CHECK(error_of_entries(
            test::torchscript_entries({{"net/bytecode.pkl", "N."}})) ==
        "it's.pt: is TorchScript for the lite interpreter (save the model with "
        "torch.jit.save instead)");
  CHECK(
      error_of_entries(test::torchscript_entries({{"net/model.json", "{}"}})) ==
      "it's.pt: is TorchScript in the old form (load it in PyTorch and save "
      "it again with torch.jit.save)");
}

TEST_CASE("torch file: a state_dict") {
  CHECK(saved_error(py_dict(
            {{"conv1.weight", py_tensor()}, {"conv1.bias", py_tensor()}})) ==
        "it's.pt: holds a state_dict: 2 tensors and no program (first "
        "'conv1.weight')" +
            python("model = Net(); model.load_state_dict(torch.load("
                   "'it\\'s.pt', map_location='cpu'))"));
  CHECK(saved_error(py_dict({{"module.a", py_tensor()}})) ==
        "it's.pt: holds a state_dict: 1 tensor and no program (first "
        "'module.a')" +
            python("model = Net(); model.load_state_dict("
                   "{k.removeprefix('module.'): v for k, v in torch.load("
                   "'it\\'s.pt', map_location='cpu').items()})"));
}

TEST_CASE("torch file: a checkpoint with a state_dict") {
  const std::string weights = py_dict({{"a", py_tensor()}, {"b", py_tensor()}});
  CHECK(saved_error(py_dict({{"epoch", py_int(3)},
                             {"optimizer", py_dict({{"state", "}"}})},
                             {"state_dict", weights}})) ==
        "it's.pt: holds a checkpoint with a state_dict under ['state_dict']: 2 "
        "tensors and no program (first 'a')" +
            python("model = Net(); model.load_state_dict(torch.load("
                   "'it\\'s.pt', map_location='cpu')['state_dict'])"));
  // One with a value that torch.load refuses by default.
  CHECK(saved_error(py_dict({{"args", py_object("argparse\nNamespace", "}")},
                             {"nets", py_dict({{"ema", weights}})}})) ==
        "it's.pt: holds a checkpoint with a state_dict under ['nets']['ema']: "
        "2 tensors and no program (first 'a')" +
            python("model = Net(); model.load_state_dict(torch.load("
                   "'it\\'s.pt', map_location='cpu', weights_only=False)"
                   "['nets']['ema'])"));
}

TEST_CASE("torch file: a pickled nn.Module") {
  const std::string module = py_object(
      "resnet\nResNet", py_dict({{"_modules", "}"}, {"_parameters", "}"}}));
  CHECK(saved_error(module) ==
        "it's.pt: holds a pickled nn.Module (resnet.ResNet): its code is in "
        "Python, not in the file" +
            python("model = torch.load('it\\'s.pt', weights_only=False)"));
  CHECK(saved_error(py_dict({{"model", module}, {"epoch", "N"}})) ==
        "it's.pt: holds a pickled nn.Module under ['model'] (resnet.ResNet): "
        "its code is in Python, not in the file" +
            python("model = torch.load('it\\'s.pt', weights_only=False)"
                   "['model']"));
  const std::string with_source =
      test::py_tuple({py_text("module"), py_global("resnet\nResNet"),
                      py_text("resnet.py"), py_text("class ResNet: …")}) +
      "Q)\x81" + py_dict({{"_modules", "}"}, {"_parameters", "}"}}) + "b";
  CHECK(TorchFile(legacy(with_source)).error() == saved_error(module));
}

TEST_CASE("torch file: other things that torch.save writes") {
  CHECK(saved_error(py_tensor()) ==
        "it's.pt: holds a single tensor of shape [2,3] and no program" +
            kFormats);
  CHECK(saved_error("](K\1K\2"
                    "e") ==
        "it's.pt: holds a Python list of 2 values and no program" + kFormats);
  CHECK(saved_error(py_dict({{"a", "N"}})) ==
        "it's.pt: holds a Python dict of 1 values without a state_dict and no "
        "program" +
            kFormats);
  CHECK(saved_error(py_object("my\nThing", "}")) ==
        "it's.pt: holds a Python object (my.Thing) and no program" + kFormats);
  CHECK(saved_error("K\1") ==
        "it's.pt: holds a Python value and no program" + kFormats);
  CHECK(TorchFile(legacy(py_tensor())).error() ==
        "it's.pt: holds a single tensor of shape [2,3] and no program" +
            kFormats);
}

TEST_CASE("torch file: what PyTorch has not written") {
  const std::string none =
      "it's.pt: no PyTorch file: neither a zip archive nor written by "
      "torch.save" +
      kFormats;
  CHECK(TorchFile("").error() == "it's.pt: the file is empty");
  CHECK(TorchFile("\x08\x07 an ONNX file").error() == none);
  CHECK(TorchFile(py_pickle("]")).error() == none);
  CHECK(TorchFile(std::string(512, '\0')).error() == none);
  CHECK(error_of_entries({}) == "it's.pt: an empty zip archive" + kFormats);
  CHECK(error_of_entries({{"a", ""}, {"b", ""}, {"c", ""}}) ==
        "it's.pt: no PyTorch file: a zip archive of 'a', 'b', 'c'" + kFormats);
  CHECK(error_of_entries({{"a", ""}, {"b", ""}, {"c", ""}, {"d", ""}}) ==
        "it's.pt: no PyTorch file: a zip archive of 'a', 'b', 'c', …" +
            kFormats);
  const test::TempDir folder;
  CHECK(message_from([&] { identify_torch_file(folder.path() / "no.pt"); }) ==
        (folder.path() / "no.pt").string() + ": no such file (check the path)");
}

TEST_CASE("torch file: damaged files give errors only") {
  CHECK(TorchFile(make_zip({{"a/data.pkl", "K"}})).error() ==
        "it's.pt: data.pkl, byte 0 of the pickle: 1 more bytes are needed and "
        "0 are left: the pickle is truncated or damaged");
  const std::string old = legacy(py_dict({{"a", py_tensor()}}));
  for (size_t size = 1; size < old.size(); size += 3)
    CHECK(TorchFile(old.substr(0, size)).error().find("it's.pt") == 0);
  const std::string archive = make_zip(
      {{"archive/data.pkl", py_pickle(py_dict({{"a", py_tensor()}}))}});
  for (size_t size = 1; size < archive.size(); size += 3)
    CHECK(TorchFile(archive.substr(0, size)).error().find("it's.pt: ") == 0);
  Random random(3);
  int no_program = 0;
  for (int round = 0; round < 600; ++round) {
    std::string bytes = round % 2 ? old : archive;
    bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    const std::string error = TorchFile(bytes).error();
    CHECK(error.find("it's.pt") == 0);
    no_program += error.find("and no program") != std::string::npos;
  }
  CHECK(no_program > 10);
  CHECK(no_program < 590);
}

TEST_CASE("torch file: real files") {
  const std::string folder = "models/cifar10_resnet20/";
  const auto traced = test::shared_file(folder + "model_traced.pt");
  if (traced.empty()) return;
  CHECK(identify_torch_file(traced) == TorchFileKind::kTorchScript);
  CHECK(identify_torch_file(test::shared_file(folder + "model.pt2")) ==
        TorchFileKind::kExportedProgram);
  CHECK(identify_torch_file(
            test::shared_file("models/vad_silero/silero_vad.jit")) ==
        TorchFileKind::kTorchScript);
  const std::string path = test::shared_file(folder + "state_dict.th").string();
  CHECK(message_from([&] { identify_torch_file(path); }) ==
        path +
            ": holds a checkpoint with a state_dict under ['state_dict']: 97 "
            "tensors and no program (first 'module.conv1.weight')" +
            python("model = Net(); model.load_state_dict("
                   "{k.removeprefix('module.'): v for k, v in torch.load('" +
                   path + "', map_location='cpu')['state_dict'].items()})"));
}

}  // namespace
}  // namespace lathe::io
