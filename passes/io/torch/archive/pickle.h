// Pickles read as data: a pickle is a program for a small stack machine that
// can name and call any Python function, and here none is ever called. Tensors,
// containers and numbers become values; a call of anything outside the
// allow-list is an error that names it, or, on request, an opaque object.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::io {

// A tensor as torch._utils._rebuild_tensor_v2 describes it.
struct PickledTensor {
  std::string storage_key;   // names the file of the storage in the archive
  std::string storage_type;  // "FloatStorage", …
  int64_t storage_elements = 0;
  int64_t offset = 0;  // elements into the storage
  std::vector<int64_t> sizes, strides;
  bool requires_grad = false;
};

// A value out of a pickle. Values are shared, never cyclic.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kBytes,
    kList,    // items
    kTuple,   // items
    kSet,     // items
    kDict,    // items: key, value, key, value, …
    kTensor,  // tensor
    kGlobal,  // text: "module.name", a class or function that was named
    kObject,  // text: its class; items: constructor arguments, then the state
    kPersistent,  // items: the persistent id
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;  // kBool, kInt
  double real = 0;
  std::string text;  // kString, kBytes, kGlobal, kObject
  std::vector<std::shared_ptr<const PickleValue>> items;
  PickledTensor tensor;

  // The dict's value for that string key, or null.
  const PickleValue* find(std::string_view key) const;
};
using PicklePointer = std::shared_ptr<const PickleValue>;

struct PickleOptions {
  // Globals outside the allow-list become kGlobal, calls of them kObject; used
  // to say what a file is. Otherwise such a call is an error.
  bool opaque_objects = false;
};

// Reads the first pickle in `bytes` (protocols 0 to 5); `consumed`, when not
// null, is set to the bytes it took. Errors kInput with `where` and the byte
// offset: truncated, an unknown opcode, a stack or memo that does not hold
// what the opcode needs, sizes that exceed the bytes left, values nested
// deeper than 1000, a call outside the allow-list (naming the global).
PicklePointer read_pickle(std::string_view bytes, const std::string& where,
                          const PickleOptions& options = {},
                          size_t* consumed = nullptr);

}  // namespace lathe::io
