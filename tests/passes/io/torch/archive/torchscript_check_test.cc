#include "passes/base/random.h"
#include "passes/io/torch/archive/torch_file.h"
#include "passes/io/torch/archive/torchscript_source.h"
#include "tests/passes/io/torch/archive/pickle_writer.h"
#include "tests/passes/io/torch/doctest_with_torch.h"
#include "tests/support/shared.h"

namespace lathe::io {
namespace {

using test::make_zip;
using test::message_from;
using test::py_dict;
using test::py_int;
using test::py_object;
using test::py_pickle;
using test::py_tensor;
using test::PyTensor;
using test::torchscript_entries;
using test::ZipEntries;

void check_bytes(const std::string& bytes) {
  check_torchscript_archive(
      ZipArchive::from_bytes(ir::Bytes::own(bytes), "a.pt"));
}

std::string check_error(const ZipEntries& changes) {
  return message_from(
      [&] { check_bytes(make_zip(torchscript_entries(changes))); });
}

std::string check_tensor(const PyTensor& tensor) {
  return check_error(
      {{"net/data.pkl",
        py_pickle(py_object("__torch__\nNet",
                            py_dict({{"weight", py_tensor(tensor)}})))}});
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

std::string source_error(const std::string& source) {
  return message_from([&] { check_torchscript_source(source, "a.py"); });
}

TEST_CASE("torchscript check: real files pass") {
  for (const char* name : {"models/cifar10_resnet20/model_traced.pt",
                           "models/cifar10_resnet20/original_scripted.pt",
                           "models/vad_silero/silero_vad.jit"}) {
    const auto path = test::shared_file(name);
    if (path.empty()) continue;
    CAPTURE(name);
    CHECK(message_from([&] {
            check_torchscript_archive(ZipArchive::open(path));
          }) == "no error");
  }
}

TEST_CASE("torchscript check: the parts of a file") {
  CHECK(check_error({}) == "no error");
  CHECK(message_from([] {
          check_bytes(make_zip({{"net/data.pkl", "N."}}));
        }) == "a.pt: no TorchScript file: it holds no 'constants.pkl'");
  CHECK(check_error({{"net/data.pkl", py_pickle("]")}}) ==
        "a.pt: data.pkl: expected a TorchScript module");
  CHECK(check_error({{"net/DATA.pkl", py_pickle("]")}}) ==
        "a.pt: holds 'data.pkl' under two names that differ only in case");
  CHECK(check_error({{"net/Model.json", "{}"}}) ==
        "a.pt: is TorchScript in the old form (load it in PyTorch and save it "
        "again with torch.jit.save)");
}

TEST_CASE("torchscript check: every pickle is data") {
  const std::string system =
      py_pickle(test::py_call("os\nsystem", {test::py_text("true")}));
  for (const char* name : {"data.pkl", "constants.pkl", "traced_inputs.pkl",
                           "extra/x.PKL", "code/__torch__.py.debug_pkl"})
    CHECK(check_error({{std::string("net/") + name, system}}) ==
          std::string("a.pt: ") + name +
              ", byte 24 of the pickle: it calls 'os.system', which tensors "
              "and containers do not need (Lathe runs no code out of a file; "
              "beware of running it elsewhere)");
  CHECK(check_error({{"net/data.pkl",
                      py_pickle(py_object(
                          "__torch__.torch.classes.quantized\nConv", "N"))}}) ==
        "a.pt: data.pkl: holds an object of PyTorch's own class "
        "'__torch__.torch.classes.quantized.Conv' (export the model before it "
        "is quantized or packed)");
}

TEST_CASE("torchscript check: every tensor lies inside its storage") {
  const std::string where = "a.pt: data.pkl: tensor '";
  CHECK(check_tensor({}) == "no error");
  CHECK(check_tensor({.key = "5"}) ==
        where + "5': its storage 'data/5' is not in the archive");
  CHECK(check_tensor({.elements = 7}) ==
        where +
            "0': its storage 'data/0' has 24 bytes, expected the 28 of 7 "
            "elements");
  CHECK(check_tensor({.sizes = {2, 4}}) ==
        where +
            "0': sizes [2,4] and strides [3,1] from element 0 reach "
            "outside its storage of 6 elements");
  CHECK(check_tensor({.offset = -3}) ==
        where + "0': starts at element -3 of its storage");
  CHECK(check_tensor({.sizes = {-1, -6}}) ==
        where + "0': negative dimension in shape [-1,-6]");
  CHECK(check_tensor({.strides = {INT64_MAX, INT64_MAX}}) ==
        where +
            "0': sizes [2,3] and strides [9223372036854775807,"
            "9223372036854775807] from element 0 reach outside its storage "
            "of 6 elements");
  CHECK(check_tensor({.storage = "torch\nQInt8Storage"}) ==
        where + "0': its storage is of the unknown type 'QInt8Storage'");
  const std::string constant = py_pickle(py_tensor() + "\x85");
  CHECK(check_error({{"net/constants.pkl", constant}}) ==
        "a.pt: constants.pkl: tensor '0': its storage 'constants/0' is not in "
        "the archive");
  CHECK(check_error({{"net/constants.pkl", constant},
                     {"net/constants/0", std::string(24, 'x')}}) == "no error");
  std::string bytes = make_zip(torchscript_entries());
  bytes[bytes.find(std::string(24, '\x3f')) + 5] = 0;
  CHECK(message_from([&] { check_bytes(bytes); }) ==
        "a.pt: data/0: is damaged: its CRC-32 does not match");
}

TEST_CASE("torchscript check: source positions") {
  const auto error = [](const std::string& debug) {
    return check_error({{"net/code/__torch__.py.debug_pkl", debug}});
  };
  const std::string where = "a.pt: code/__torch__.py.debug_pkl: ";
  const std::string broken = where + "source position 0 is broken";
  CHECK(error(test::py_debug(0, 1, 3, 12)) == "no error");
  CHECK(error(test::py_debug(2, 1, 0, 1)) == broken);
  CHECK(error(test::py_debug(-1, 1, 0, 1)) == broken);
  CHECK(error(test::py_debug(0, 2, 0, 1)) == broken);
  CHECK(error(test::py_debug(0, 1, 0, 14)) == broken);
  CHECK(error(test::py_debug(0, 1, 5, 4)) == broken);
  CHECK(error(test::py_debug(0, 1, -1, 4)) == broken);
  CHECK(error(py_pickle("N")) ==
        where + "expected a tuple of source positions");
  CHECK(error(py_pickle(test::py_tuple(
            {test::py_text("FORMAT_WITH_STRING_TABLE"), "N", ")"}))) ==
        where + "expected texts and source positions");
  CHECK(error(py_pickle(test::py_tuple({py_tensor()}))) ==
        where + "expected source positions, found a tensor or object");
  CHECK(error(py_pickle(")")) == "no error");  // the form without a table
}

TEST_CASE("torchscript check: nesting of source code") {
  const auto nested = [](int depth) {
    return "x = " + repeated("(", depth) + "1" + repeated(")", depth) + "\n";
  };
  CHECK(source_error(nested(190)) == "no error");
  CHECK(source_error(nested(201)) == "a.py:1: brackets nest deeper than 200");
  CHECK(source_error("\n\n" + repeated("[", 300)) ==
        "a.py:3: brackets nest deeper than 200");
  // Neither texts nor comments open or close brackets.
  CHECK(source_error("x = '" + repeated("(", 300) + "'  # " +
                     repeated("[", 300) + "\n") == "no error");
  CHECK(source_error("x = " + repeated("('))))' + ", 201)) ==
        "a.py:1: an expression has more than 400 terms in each other");
  CHECK(source_error("# type: " + repeated("[", 201)) ==
        "a.py:1: brackets nest deeper than 200");
  CHECK(source_error("x = ''')\n)\n'\\'''' + " + repeated("(", 201)) ==
        "a.py:3: brackets nest deeper than 200");
  CHECK(source_error("x = ')'\n)") ==
        "a.py:2: a bracket closes that never opened");
  CHECK(source_error("x = 'abc\n'") == "a.py:1: a string does not end");
  CHECK(source_error("x = '''abc\n") == "a.py:2: a string does not end");
  CHECK(source_error("x = 'abc\\") == "a.py:1: a string does not end");

  const std::string terms =
      "a.py:1: an expression has more than 400 terms in each other";
  CHECK(source_error("x = 1" + repeated(" + 1", 150) + "\n") == "no error");
  CHECK(source_error("x = 1" + repeated(" + 1", 250) + "\n") == terms);
  CHECK(source_error("x = " + repeated("not ", 450) + "y") == terms);
  CHECK(source_error("x = y" + repeated("[0]", 450)) == terms);
  CHECK(source_error("x = 1" + repeated(" + \\\n1", 250)) ==
        "a.py:200: an expression has more than 400 terms in each other");
  CHECK(source_error("x = [" + repeated("1 + 1, ", 5000) + "]\n") ==
        "no error");
  CHECK(source_error(repeated("x = 1 + 1\n", 5000)) == "no error");

  std::string blocks;
  for (int i = 0; i < 200; ++i)
    blocks += std::string(static_cast<size_t>(i), ' ') + "if x:\n";
  CHECK(source_error(blocks) == "no error");
  CHECK(source_error(blocks + std::string(200, ' ') + "y\n") ==
        "a.py:201: blocks nest deeper than 200");
  CHECK(source_error(repeated("if x:\n  y\n", 1000)) == "no error");
  CHECK(source_error("if x:\n  y\n" + repeated("elif x:\n  y\n", 201)) ==
        "a.py:403: more than 200 elif");
  CHECK(source_error("def __setstate__(self, s: int) -> None:\n") ==
        "a.py:1: the model runs code of its own when it is loaded "
        "(__setstate__) (save it without packed or quantized modules)");
  CHECK(check_error({{"net/code/a.PY", nested(300)}}) ==
        "a.pt: code/a.PY:1: brackets nest deeper than 200");
}

TEST_CASE("torchscript check: damaged archives give errors only") {
  const std::string whole = make_zip(torchscript_entries());
  for (size_t size = 0; size < whole.size(); ++size)
    CHECK(message_from([&] { check_bytes(whole.substr(0, size)); }) !=
          "no error");
  Random random(11);
  int errors = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = whole;
    const int changes = 1 + static_cast<int>(random.below(3));
    for (int i = 0; i < changes; ++i)
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    try {
      check_bytes(bytes);
    } catch (const Error& error) {
      CHECK((error.kind() == ErrorKind::kInput ||
             error.kind() == ErrorKind::kUnsupported));
      ++errors;
    }
  }
  CHECK(errors > 1000);
}

TEST_CASE("torchscript check: damaged content under a right CRC-32") {
  const ZipEntries entries = torchscript_entries();
  Random random(12);
  int errors = 0;
  for (int round = 0; round < 4000; ++round) {
    ZipEntries changed = entries;
    std::string& content = changed[random.below(changed.size())].second;
    content[random.below(content.size())] =
        static_cast<char>(random.below(256));
    errors +=
        message_from([&] { check_bytes(make_zip(changed)); }) != "no error";
  }
  CHECK(errors > 1000);
}

}  // namespace
}  // namespace lathe::io
