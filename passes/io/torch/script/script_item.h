// What a TorchScript value is while its program is followed without data.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "passes/io/torch/aten/argument.h"
#include "passes/io/torch/script/jit.h"

namespace lathe::io::script {

using aten::Argument;
using aten::Arguments;

struct Item;

struct ItemList {
  std::vector<Item> items;
  // How many subgraphs were open when the list was made: one made outside a
  // branch must not change inside it.
  size_t depth = 0;
  // A list that a Loop fills: its elements, stacked along a new first axis.
  ir::Value* stacked = nullptr;
};

struct Item {
  enum class Kind {
    kPlain,   // plain: None, a tensor, a number or a string
    kList,    // list
    kTuple,   // list
    kDict,    // list: key, value, key, value, …
    kObject,  // constant: a module or another object; path
    kOther,   // constant: a device, a function, …
    kUninitialized,
  };
  Kind kind = Kind::kPlain;
  Argument plain;
  // A number: the size of a dimension, which is taken to be at least 1.
  bool is_size = false;
  std::shared_ptr<ItemList> list;
  c10::IValue constant;
  std::string path;  // of an object: its attributes from the root on

  static Item of(Argument argument);
  static Item none() { return {}; }
  static Item list_of(std::vector<Item> items, size_t depth,
                      Kind kind = Kind::kList);
  bool is_none() const { return kind == Kind::kPlain && plain.is_none(); }
  bool is_tensor() const { return kind == Kind::kPlain && plain.is_tensor(); }
  bool is_number() const { return kind == Kind::kPlain && plain.is_number(); }
  bool is_sequence() const {
    return kind == Kind::kList || kind == Kind::kTuple;
  }
  // Known without running the model; no tensor in it.
  bool is_constant() const;
  // A constant that Python takes for true.
  bool is_true() const { return is_constant() && plain.integer != 0; }
};

// As an argument of an ATen call; lists and tuples become lists. Devices and
// generators read as None.
Argument to_argument(const Item& item);
// As LibTorch's own value; is_constant() must hold. `type` tells what an empty
// list holds.
c10::IValue to_ivalue(const Item& item, const c10::TypePtr& type);
// Numbers, strings, None and containers of them. Tensors and objects are given
// to `leaf`.
template <class F>
Item from_ivalue(const c10::IValue& value, size_t depth, F&& leaf) {
  if (value.isNone()) return Item::none();
  if (value.isBool()) return Item::of(Argument::of_bool(value.toBool()));
  if (value.isInt()) return Item::of(Argument::of_int(value.toInt()));
  if (value.isDouble()) return Item::of(Argument::of_float(value.toDouble()));
  if (value.isString())
    return Item::of(Argument::of_string(value.toStringRef()));
  std::vector<Item> items;
  if (value.isList()) {
    for (const c10::IValue& item : value.toListRef())
      items.push_back(from_ivalue(item, depth, leaf));
    return Item::list_of(std::move(items), depth);
  }
  if (value.isTuple()) {
    for (const c10::IValue& item : value.toTupleRef().elements())
      items.push_back(from_ivalue(item, depth, leaf));
    return Item::list_of(std::move(items), depth, Item::Kind::kTuple);
  }
  if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      items.push_back(from_ivalue(entry.key(), depth, leaf));
      items.push_back(from_ivalue(entry.value(), depth, leaf));
    }
    return Item::list_of(std::move(items), depth, Item::Kind::kDict);
  }
  return leaf(value);
}

// Same constant, same tensor, or containers of such.
bool same(const Item& a, const Item& b);
std::string describe(const Item& item);

// Bytes are shared with LibTorch's storage. Error kUnsupported, with `where`,
// for layouts and types that ONNX lacks (sparse, quantized, complex halves).
ir::Tensor to_ir_tensor(const at::Tensor& tensor, const std::string& where);

}  // namespace lathe::io::script
