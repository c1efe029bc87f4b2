#include "passes/io/torch/script/script_item.h"

#include <algorithm>

#include "passes/base/error.h"

namespace lathe::io::script {

using Kind = Item::Kind;

Item Item::of(Argument argument) {
  Item item;
  item.plain = std::move(argument);
  return item;
}

Item Item::list_of(std::vector<Item> items, size_t depth, Kind kind) {
  Item item;
  item.kind = kind;
  item.list = std::make_shared<ItemList>();
  item.list->items = std::move(items);
  item.list->depth = depth;
  return item;
}

bool Item::is_constant() const {
  switch (kind) {
    case Kind::kPlain:
      return plain.is_constant();
    case Kind::kOther:
      return true;
    case Kind::kObject:
    case Kind::kUninitialized:
      return false;
    default:
      return !list->stacked &&
             std::ranges::all_of(list->items, [](const Item& item) {
               return item.is_constant();
             });
  }
}

Argument to_argument(const Item& item) {
  if (item.kind == Kind::kPlain) return item.plain;
  if (!item.is_sequence()) return Argument::none();
  Arguments items;
  for (const Item& element : item.list->items)
    items.push_back(to_argument(element));
  return Argument::list(std::move(items));
}

c10::IValue to_ivalue(const Item& item, const c10::TypePtr& type) {
  if (item.kind == Kind::kPlain) {
    switch (item.plain.kind) {
      case Argument::Kind::kInt:
        return item.plain.integer;
      case Argument::Kind::kBool:
        return item.plain.integer != 0;
      case Argument::Kind::kFloat:
        return item.plain.real;
      case Argument::Kind::kString:
        return item.plain.text;
      default:
        return {};
    }
  }
  if (!item.list) return item.constant;
  // An Optional[List[int]] holds a List[int].
  c10::TypePtr plain_type = type;
  if (const auto optional = type->cast<c10::OptionalType>())
    plain_type = optional->getElementType();
  if (item.kind == Kind::kTuple) {
    std::vector<c10::IValue> elements;
    const auto tuple = plain_type->cast<c10::TupleType>();
    for (size_t i = 0; i < item.list->items.size(); ++i)
      elements.push_back(
          to_ivalue(item.list->items[i], tuple && i < tuple->elements().size()
                                             ? tuple->elements()[i]
                                             : c10::AnyType::get()));
    return c10::ivalue::Tuple::create(std::move(elements));
  }
  if (item.kind == Kind::kDict) {
    const auto dict_type = plain_type->cast<c10::DictType>();
    if (!dict_type) return {};
    c10::impl::GenericDict dict(dict_type->getKeyType(),
                                dict_type->getValueType());
    for (size_t i = 0; i + 1 < item.list->items.size(); i += 2)
      dict.insert(
          to_ivalue(item.list->items[i], dict_type->getKeyType()),
          to_ivalue(item.list->items[i + 1], dict_type->getValueType()));
    return dict;
  }
  const auto list_type = plain_type->cast<c10::ListType>();
  c10::TypePtr element =
      list_type ? list_type->getElementType() : c10::TypePtr();
  if (!element || element->kind() == c10::TypeKind::VarType)
    element =
        item.list->items.empty()
            ? c10::TypePtr(c10::IntType::get())
            : to_ivalue(item.list->items.front(), c10::AnyType::get()).type();
  c10::impl::GenericList list(element);
  for (const Item& entry : item.list->items)
    list.push_back(to_ivalue(entry, element));
  return list;
}

bool same(const Item& a, const Item& b) {
  if (a.kind != b.kind) return false;
  if (a.list || b.list)
    return a.list == b.list ||
           (a.list && b.list && !a.list->stacked && !b.list->stacked &&
            std::ranges::equal(a.list->items, b.list->items, same));
  if (a.kind == Kind::kObject || a.kind == Kind::kOther)
    return a.constant.is(b.constant) ||
           (a.constant.isDevice() && b.constant.isDevice());
  const Argument &x = a.plain, &y = b.plain;
  if (x.is_tensor() || y.is_tensor()) return x.is_tensor() && x.cell == y.cell;
  return x.kind == y.kind && x.value == y.value && x.integer == y.integer &&
         x.real == y.real && x.text == y.text;
}

std::string describe(const Item& item) {
  switch (item.kind) {
    case Kind::kPlain:
      return aten::describe(item.plain);
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kUninitialized:
      return "nothing";
    default:
      return item.constant.tagKind();
  }
}

ir::Tensor to_ir_tensor(const at::Tensor& tensor, const std::string& where) {
  if (tensor.layout() != at::kStrided || tensor.is_quantized())
    throw_unsupported(where,
                      "a tensor is sparse or quantized, expected a plain one",
                      "convert it with to_dense() or dequantize() in PyTorch");
  const auto type =
      aten::data_type_from_torch(static_cast<int64_t>(tensor.scalar_type()));
  if (!type)
    throw_unsupported(where, std::string("a tensor's elements are ") +
                                 c10::toString(tensor.scalar_type()) +
                                 ", which ONNX lacks");
  at::Tensor whole = tensor.detach().to(at::kCPU).contiguous();
  auto owner = std::make_shared<at::Tensor>(whole);
  return ir::Tensor(
      *type, whole.sizes().vec(),
      ir::Bytes(owner, {static_cast<const std::byte*>(whole.data_ptr()),
                        whole.nbytes()}),
      where);
}

}  // namespace lathe::io::script
