// Pickles and PyTorch archives made in a test.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "tests/passes/io/torch/archive/zip_writer.h"

namespace lathe::test {

// The message of the Error that `call` throws.
template <class F>
std::string message_from(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Opcodes that push one value, to be put together.
inline std::string py_text(std::string_view text) {
  std::string out = "X";
  put_little_endian(out, text.size(), 4);
  return out + std::string(text);
}

inline std::string py_int(int64_t value) {
  std::string out("\x8a\x08");
  put_little_endian(out, static_cast<uint64_t>(value), 8);
  return out;
}

inline std::string py_tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}

inline std::string py_ints(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (int64_t value : values) items.push_back(py_int(value));
  return py_tuple(items);
}

inline std::string py_dict(
    const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "}(";
  for (const auto& [key, value] : items) out += py_text(key) + value;
  return out + "u";
}

// `name`: "module\nname".
inline std::string py_global(const std::string& name) {
  return "c" + name + "\n";
}

inline std::string py_call(const std::string& name,
                           const std::vector<std::string>& arguments) {
  return py_global(name) + py_tuple(arguments) + "R";
}

struct PyTensor {
  std::string key = "0";
  int64_t elements = 6;
  int64_t offset = 0;
  std::vector<int64_t> sizes{2, 3}, strides{3, 1};
  std::string storage = "torch\nFloatStorage";
};

inline std::string py_storage(const PyTensor& tensor) {
  return py_tuple({py_text("storage"), py_global(tensor.storage),
                   py_text(tensor.key), py_text("cpu"),
                   py_int(tensor.elements)}) +
         "Q";
}

inline std::string py_tensor(const PyTensor& tensor = {}) {
  return py_call("torch._utils\n_rebuild_tensor_v2",
                 {py_storage(tensor), py_int(tensor.offset),
                  py_ints(tensor.sizes), py_ints(tensor.strides), "\x89",
                  py_call("collections\nOrderedDict", {})});
}

// An object of a class with a state.
inline std::string py_object(const std::string& name,
                             const std::string& state) {
  return py_global(name) + ")\x81" + state + "b";
}

inline std::string py_pickle(const std::string& value) {
  return "\x80\x02" + value + ".";
}

using ZipEntries = std::vector<std::pair<std::string, std::string>>;

// The debug file of a source file with one position: its text is that of the
// index `text`, its file name that of `file`.
inline std::string py_debug(int64_t text, int64_t file, int64_t start,
                            int64_t end) {
  const std::string texts =
      py_call("torch.jit._pickle\nbuild_intlist", {"](" + py_int(text) + "e"});
  const std::string source = py_tuple({texts, py_int(file), py_int(3)});
  const std::string range = py_tuple({source, py_int(start), py_int(end)});
  return py_pickle(
      py_tuple({py_text("FORMAT_WITH_STRING_TABLE"),
                py_tuple({py_text("return x * w"), py_text("net.py")}),
                py_tuple({py_tuple({py_int(0), range, py_int(7)})})}));
}

// A TorchScript file of one module with the parameter "weight". An entry of
// `changes` replaces the one of that name or is added.
inline ZipEntries torchscript_entries(const ZipEntries& changes = {}) {
  ZipEntries entries{
      {"net/data.pkl",
       py_pickle(py_object("__torch__\nNet", py_dict({{"weight", py_tensor()},
                                                      {"training", "\x89"}})))},
      {"net/data/0", std::string(24, '\x3f')},
      {"net/constants.pkl", py_pickle(")")},
      {"net/version", "3\n"},
      {"net/code/__torch__.py",
       "class Net(Module):\n  weight : Tensor\n"
       "  def forward(self: __torch__.Net, x: Tensor) -> Tensor:\n"
       "    return torch.mul(x, self.weight)\n"},
      {"net/code/__torch__.py.debug_pkl", py_debug(0, 1, 0, 12)}};
  for (const auto& change : changes) {
    bool known = false;
    for (auto& entry : entries) {
      if (entry.first != change.first) continue;
      entry.second = change.second;
      known = true;
    }
    if (!known) entries.push_back(change);
  }
  return entries;
}

}  // namespace lathe::test
