// The functions that a pickle of tensors and containers calls, as data.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "passes/io/torch/archive/pickle_builder.h"
#include "passes/io/torch/archive/storage_type.h"

namespace lathe::io {
namespace {

using Kind = PickleValue::Kind;

// PyTorch's kernels stop at 64 dimensions.
constexpr size_t kMaxRank = 64;

// One call that is being read.
struct Call {
  PickleBuilder& builder;
  const std::string& function;
  const PicklePointer& arguments;  // a tuple

  size_t count() const { return arguments->items.size(); }

  const PickleValue& argument(size_t i) const {
    if (i >= count())
      builder.fail(fmt::format("'{}' has {} arguments, expected more", function,
                               count()));
    return *arguments->items[i];
  }

  const PickleValue& argument(size_t i, Kind kind) const {
    const PickleValue& value = argument(i);
    if (value.kind != kind)
      builder.fail(fmt::format("argument {} of '{}' is {}, expected {}", i + 1,
                               function, describe(value.kind), describe(kind)));
    return value;
  }

  // The items of a list, tuple or set.
  const std::vector<PicklePointer>& sequence(size_t i) const {
    const PickleValue& value = argument(i);
    if (value.kind != Kind::kList && value.kind != Kind::kTuple &&
        value.kind != Kind::kSet)
      builder.fail(fmt::format("argument {} of '{}' is {}, expected a list",
                               i + 1, function, describe(value.kind)));
    return value.items;
  }

  std::vector<int64_t> ints(size_t i) const {
    const auto& items = sequence(i);
    if (items.size() > kMaxRank)
      builder.fail(
          fmt::format("a tensor has {} dimensions, expected at most "
                      "{}",
                      items.size(), kMaxRank));
    std::vector<int64_t> values;
    for (const PicklePointer& item : items) {
      if (item->kind != Kind::kInt)
        builder.fail(fmt::format("argument {} of '{}' holds {}, expected ints",
                                 i + 1, function, describe(item->kind)));
      values.push_back(item->integer);
    }
    return values;
  }

  // An argument handed on. Only the machine makes values, so none is const.
  PickleNode pass_on(size_t i) const {
    argument(i);
    return std::const_pointer_cast<PickleValue>(arguments->items[i]);
  }
};

// ('storage', torch.FloatStorage, key, location, elements[, view]).
void read_storage(const Call& call, PickledTensor* tensor) {
  const PickleValue& id = *call.argument(0, Kind::kPersistent).items[0];
  const auto is = [&](size_t i, Kind kind) {
    return i < id.items.size() && id.items[i]->kind == kind;
  };
  if (id.kind != Kind::kTuple || !is(0, Kind::kString) ||
      id.items[0]->text != "storage" || !is(1, Kind::kGlobal) ||
      !is(2, Kind::kString) || !is(4, Kind::kInt))
    call.builder.fail(
        "a tensor's storage is not named as ('storage', type, key, device, "
        "elements)");
  const std::string& type = id.items[1]->text;
  if (!type.starts_with("torch.") || !type.ends_with("Storage"))
    call.builder.fail(
        fmt::format("'{}' stands where a type of storage belongs", type));
  tensor->storage_type = type.substr(type.rfind('.') + 1);
  tensor->storage_key = id.items[2]->text;
  tensor->storage_elements = id.items[4]->integer;
}

PickledTensor read_tensor(const Call& call) {
  PickledTensor tensor;
  read_storage(call, &tensor);
  tensor.offset = call.argument(1, Kind::kInt).integer;
  tensor.sizes = call.ints(2);
  tensor.strides = call.ints(3);
  if (tensor.sizes.size() != tensor.strides.size())
    call.builder.fail(fmt::format("a tensor has {} sizes and {} strides",
                                  tensor.sizes.size(), tensor.strides.size()));
  return tensor;
}

PickleNode rebuild_tensor(const Call& call) {
  return call.builder.tensor(read_tensor(call));
}

PickleNode rebuild_tensor_v2(const Call& call) {
  PickledTensor tensor = read_tensor(call);
  tensor.requires_grad = call.argument(4, Kind::kBool).integer != 0;
  return call.builder.tensor(std::move(tensor));
}

// An untyped storage, whose size is in bytes, and an element type.
PickleNode rebuild_tensor_v3(const Call& call) {
  PickledTensor tensor = read_tensor(call);
  tensor.requires_grad = call.argument(4, Kind::kBool).integer != 0;
  tensor.storage_type = call.argument(6, Kind::kGlobal).text;
  const auto type = data_type_of_storage(tensor.storage_type);
  if (!type)
    call.builder.fail(
        fmt::format("a tensor's elements are of the unknown type '{}'",
                    tensor.storage_type));
  tensor.storage_elements /= ir::bits_per_element(*type) / 8;
  return call.builder.tensor(std::move(tensor));
}

PickleNode rebuild_parameter(const Call& call) {
  PickledTensor tensor = call.argument(0, Kind::kTensor).tensor;
  tensor.requires_grad = call.argument(1, Kind::kBool).integer != 0;
  return call.builder.tensor(std::move(tensor));
}

PickleNode first_argument(const Call& call) { return call.pass_on(0); }

PickleNode copied(const Call& call, Kind kind) {
  if (call.count() == 0) return call.builder.container(kind);
  const auto& items = call.sequence(0);
  call.builder.charge(16 * items.size());
  return call.builder.container(kind, items);
}

PickleNode make_list(const Call& call) { return copied(call, Kind::kList); }
PickleNode make_tuple(const Call& call) { return copied(call, Kind::kTuple); }
PickleNode make_set(const Call& call) { return copied(call, Kind::kSet); }

PickleNode make_dict(const Call& call) {
  PickleNode dict = call.builder.container(Kind::kDict);
  if (call.count() == 0) return dict;
  for (const PicklePointer& pair : call.sequence(0)) {
    if ((pair->kind != Kind::kTuple && pair->kind != Kind::kList) ||
        pair->items.size() != 2)
      call.builder.fail(fmt::format("'{}' is given {}, expected pairs",
                                    call.function, describe(pair->kind)));
    call.builder.charge(32);
    dict->items.insert(dict->items.end(), pair->items.begin(),
                       pair->items.end());
  }
  return dict;
}

PickleNode make_object(const Call& call) {
  return call.builder.object(call.function, call.arguments);
}

// Bytes as protocols below 3 write them: text of code points below 256.
PickleNode encode_latin1(const Call& call) {
  const std::string& text = call.argument(0, Kind::kString).text;
  if (call.count() > 1) {
    const std::string& encoding = call.argument(1, Kind::kString).text;
    if (encoding != "latin1" && encoding != "latin-1")
      call.builder.fail(fmt::format("'{}' is asked for '{}', expected latin1",
                                    call.function, encoding.substr(0, 20)));
  }
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x80) {
      // Two bytes of UTF-8 reach to U+00FF with a lead of 0xC2 or 0xC3.
      if ((byte != 0xc2 && byte != 0xc3) || i + 1 == text.size() ||
          (static_cast<unsigned char>(text[i + 1]) & 0xc0) != 0x80)
        call.builder.fail("a text meant as bytes is not latin1");
      byte = static_cast<unsigned char>((byte & 3) << 6 | (text[++i] & 0x3f));
    }
    bytes += static_cast<char>(byte);
  }
  return call.builder.text(Kind::kBytes, std::move(bytes));
}

struct Row {
  std::string_view function;
  PickleNode (*call)(const Call&);
};

constexpr Row kAllowed[] = {
    {"torch._utils._rebuild_tensor", rebuild_tensor},
    {"torch._utils._rebuild_tensor_v2", rebuild_tensor_v2},
    {"torch._utils._rebuild_tensor_v3", rebuild_tensor_v3},
    {"torch._utils._rebuild_parameter", rebuild_parameter},
    {"torch._utils._rebuild_parameter_with_state", rebuild_parameter},
    {"torch.Size", make_tuple},
    {"torch.device", make_object},
    {"torch.serialization._get_layout", make_object},
    {"torch.jit._pickle.build_intlist", first_argument},
    {"torch.jit._pickle.build_tensorlist", first_argument},
    {"torch.jit._pickle.build_doublelist", first_argument},
    {"torch.jit._pickle.build_boollist", first_argument},
    {"torch.jit._pickle.restore_type_tag", first_argument},
    {"collections.OrderedDict", make_dict},
    {"builtins.dict", make_dict},
    {"builtins.list", make_list},
    {"builtins.tuple", make_tuple},
    {"builtins.set", make_set},
    {"builtins.frozenset", make_set},
    {"_codecs.encode", encode_latin1},
};

}  // namespace

PickleNode call_as_data(PickleBuilder& builder, const PickleNode& function,
                        const PicklePointer& arguments, bool opaque) {
  if (arguments->kind != Kind::kTuple)
    builder.fail(fmt::format("a call's arguments are {}, expected a tuple",
                             describe(arguments->kind)));
  if (function->kind != Kind::kGlobal) {
    if (opaque) return builder.object(function->text, arguments);
    builder.fail(fmt::format("{} is called, expected a function or class",
                             describe(function->kind)));
  }
  const std::string& name = function->text;
  const auto* row =
      std::find_if(std::begin(kAllowed), std::end(kAllowed),
                   [&](const Row& r) { return r.function == name; });
  if (row != std::end(kAllowed)) return row->call({builder, name, arguments});
  if (opaque || name.starts_with("__torch__."))
    return builder.object(name, arguments);
  builder.fail(
      fmt::format("it calls '{}', which tensors and containers do not need",
                  name),
      "Lathe runs no code out of a file; beware of running it elsewhere");
}

}  // namespace lathe::io
