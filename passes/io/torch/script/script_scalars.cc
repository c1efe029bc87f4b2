// Numbers of a TorchScript program: what is known is computed here, the rest
// becomes nodes on scalars.
#include <ATen/core/stack.h>

#include "passes/io/torch/script/script_importer.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;
using ir::DataType;

Item truth(bool value) { return Item::of(Argument::of_bool(value)); }

Argument::Kind kind_of(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::IntType:
      return Argument::Kind::kInt;
    case c10::TypeKind::BoolType:
      return Argument::Kind::kBool;
    default:
      return Argument::Kind::kFloat;
  }
}

DataType type_of(Argument::Kind kind) {
  return kind == Argument::Kind::kInt    ? DataType::kInt64
         : kind == Argument::Kind::kBool ? DataType::kBool
                                         : DataType::kFloat;
}

// Python's operators on numbers, by the tensor operators that do the same.
const std::unordered_map<std::string, const char*>& number_operators() {
  static const std::unordered_map<std::string, const char*> kOperators{
      {"aten::add", "add"},
      {"aten::sub", "sub"},
      {"aten::mul", "mul"},
      {"aten::div", "true_divide"},
      {"aten::floordiv", "floor_divide"},
      {"aten::remainder", "remainder"},
      {"aten::pow", "pow"},
      {"aten::neg", "neg"},
      {"aten::eq", "eq"},
      {"aten::ne", "ne"},
      {"aten::lt", "lt"},
      {"aten::le", "le"},
      {"aten::gt", "gt"},
      {"aten::ge", "ge"},
      {"aten::__and__", "logical_and"},
      {"aten::__or__", "logical_or"},
      {"aten::__xor__", "logical_xor"},
      {"aten::__not__", "logical_not"},
      {"prim::max", "maximum"},
      {"prim::min", "minimum"},
      {"prim::abs", "abs"},
      {"aten::sqrt", "sqrt"},
      {"aten::exp", "exp"},
      {"aten::log", "log"},
      {"aten::floor", "floor"},
      {"aten::ceil", "ceil"}};
  return kOperators;
}

}  // namespace

Item ScriptImporter::number_item(ir::Value* value, const c10::TypePtr& type) {
  Argument::Kind kind = kind_of(type);
  if (type->kind() == c10::TypeKind::NumberType &&
      value->type.elem != DataType::kUndefined && !builder_.is_floating(value))
    kind = value->type.elem == DataType::kBool ? Argument::Kind::kBool
                                               : Argument::Kind::kInt;
  if (kind != Argument::Kind::kFloat)
    if (const auto known = builder_.known_ints(value);
        known && known->size() == 1)
      return Item::of(kind == Argument::Kind::kInt
                          ? Argument::of_int(known->front())
                          : Argument::of_bool(known->front() != 0));
  if (kind == Argument::Kind::kFloat && value->is_constant() &&
      value->tensor().size() == 1)
    return Item::of(Argument::of_float(value->tensor().to_doubles()[0]));
  value = builder_.cast(value, type_of(kind));
  if (builder_.known_rank(value) != 0)
    value = builder_.reshape(value, std::vector<int64_t>{});
  Item item = Item::of(Argument::computed(kind, value));
  item.is_size = !builder_.known_symbol(value).empty();
  return item;
}

ir::Value* ScriptImporter::tensor_in(jit::Node* node, Frame& frame, size_t i) {
  const Item& item = in(node, frame, i);
  if (!item.is_tensor())
    fail(std::string(node->kind().toQualString()) + " is called on " +
         describe(item) + ", expected a tensor");
  return tracer_.read(item.plain);
}

void ScriptImporter::run_size(jit::Node* node, Frame& frame) {
  ir::Value* value = tensor_in(node, frame, 0);
  auto size_item = [&](int64_t axis) {
    Item item = Item::of(builder_.size(value, axis));
    item.is_size = !item.plain.is_constant();
    return item;
  };
  if (node->inputs().size() == 1) {
    std::vector<Item> sizes;
    for (int64_t i = 0; i < builder_.rank(value); ++i)
      sizes.push_back(size_item(i));
    set(node, frame, Item::list_of(std::move(sizes), depth()));
    return;
  }
  const Argument& axis = in(node, frame, 1).plain;
  if (!axis.is_constant()) fail("aten::size: the dimension is not constant");
  int64_t from_front = axis.integer;
  if (from_front < 0) from_front += builder_.rank(value);
  if (const auto rank = builder_.known_rank(value);
      from_front < 0 || (rank && from_front >= *rank))
    fail("aten::size: dimension " + std::to_string(axis.integer) +
         " of a tensor of rank " + std::to_string(builder_.rank(value)));
  set(node, frame, size_item(from_front));
}

void ScriptImporter::run_dim(jit::Node* node, Frame& frame) {
  set(node, frame,
      Item::of(Argument::of_int(builder_.rank(tensor_in(node, frame, 0)))));
}

void ScriptImporter::run_numel(jit::Node* node, Frame& frame) {
  ir::Value* value = tensor_in(node, frame, 0);
  if (const auto known = value->type.element_count())
    return set(node, frame, Item::of(Argument::of_int(*known)));
  set(node, frame,
      number_item(builder_.op("Size", {value}), node->output()->type()));
}

void ScriptImporter::run_dtype(jit::Node* node, Frame& frame) {
  const ir::Value* value = tensor_in(node, frame, 0);
  if (builder_.elem(value) == DataType::kUndefined)
    fail("the element type of '" + value->name() +
         "' is asked for and not "
         "known");
  set(node, frame,
      node->kind().toUnqualString() == std::string("dtype")
          ? Item::of(Argument::of_int(
                aten::torch_from_data_type(builder_.elem(value))))
          : truth(builder_.is_floating(value)));
}

void ScriptImporter::run_true(jit::Node* node, Frame& frame) {
  set(node, frame, truth(true));
}

void ScriptImporter::run_false(jit::Node* node, Frame& frame) {
  set(node, frame, truth(false));
}

void ScriptImporter::run_device(jit::Node* node, Frame& frame) {
  if (node->kind().toUnqualString() == std::string("layout"))
    return set(node, frame, Item::of(Argument::of_int(0)));  // strided
  Item item;
  item.kind = Item::Kind::kOther;
  item.constant = c10::Device(c10::kCPU);
  set(node, frame, std::move(item));
}

void ScriptImporter::run_num_to_tensor(jit::Node* node, Frame& frame) {
  const Argument& number = in(node, frame, 0).plain;
  ir::Value* value = builder_.as_tensor(number, type_of(number.kind));
  set(node, frame, Item::of(tracer_.wrap(value)));
}

void ScriptImporter::run_to_number(jit::Node* node, Frame& frame) {
  const Item& item = in(node, frame, 0);
  if (item.is_constant()) {
    if (run_constant_operator(node, frame)) return;
    return set(node, frame, Item(item));
  }
  if (item.is_number() && item.is_size &&
      node->output()->type()->kind() == c10::TypeKind::BoolType)
    return set(node, frame, truth(true));
  if (item.is_number() && item.is_size &&
      node->output()->type()->kind() == c10::TypeKind::IntType)
    return set(node, frame, Item(item));
  if (!item.is_number() && !item.is_tensor())
    fail("a number is made of " + describe(item));
  ir::Value* value =
      item.is_tensor() ? tracer_.read(item.plain) : item.plain.value;
  set(node, frame, number_item(value, node->output()->type()));
}

void ScriptImporter::run_is(jit::Node* node, Frame& frame) {
  const Item &a = in(node, frame, 0), &b = in(node, frame, 1);
  const bool is = (a.is_none() && b.is_none()) ||
                  (!a.is_none() && !b.is_none() && same(a, b));
  const bool negated =
      node->kind().toUnqualString() == std::string("__isnot__");
  set(node, frame, truth(is != negated));
}

void ScriptImporter::run_is_instance(jit::Node* node, Frame& frame) {
  const Item& item = in(node, frame, 0);
  c10::TypePtr type = node->input(0)->type();
  if (item.is_none())
    type = c10::NoneType::get();
  else if (const auto optional = type->cast<c10::OptionalType>())
    type = optional->getElementType();
  bool is = false;
  for (const c10::TypePtr& candidate : node->tys(c10::attr::types))
    is = is || type->isSubtypeOf(*candidate);
  set(node, frame, truth(is));
}

void ScriptImporter::run_tensor(jit::Node* node, Frame& frame) {
  const Item& data = in(node, frame, 0);
  if (data.is_tensor()) return run_operator(node, frame);
  if (data.is_constant()) {
    jit::Stack stack;
    for (size_t i = 0; i < node->inputs().size(); ++i)
      stack.push_back(to_ivalue(in(node, frame, i), node->input(i)->type()));
    node->getOperation()(stack);
    return set(node, frame, constant_item(stack.back(), "constant"));
  }
  const Argument values = to_argument(data);
  ir::Value* value = nullptr;
  if (data.list && data.list->stacked) {
    value = data.list->stacked;
  } else if (!values.is_number() && values.items.empty()) {
    fail("a tensor is made of " + describe(data));
  } else if (values.is_number()) {
    value = builder_.as_tensor(values, type_of(values.kind));
  } else {
    const bool whole = values.items.front().kind != Argument::Kind::kFloat;
    std::vector<ir::Value*> parts;
    for (const Argument& item : values.items)
      parts.push_back(builder_.reshape(
          builder_.as_tensor(item, whole ? DataType::kInt64 : DataType::kFloat),
          {1}));
    value = builder_.concat(parts, 0);
  }
  const Argument& dtype = in(node, frame, 1).plain;
  if (dtype.kind == Argument::Kind::kInt)
    if (const auto type = aten::data_type_from_torch(dtype.integer))
      value = builder_.cast(value, *type);
  set(node, frame, Item::of(tracer_.wrap(value)));
}

bool ScriptImporter::run_constant_operator(jit::Node* node, Frame& frame) {
  const c10::FunctionSchema* schema = node->maybeSchema();
  // What changes a container must change ours, not a copy.
  if (!node->maybeOperator() || !schema || schema->is_mutable()) return false;
  for (const jit::Value* output : node->outputs())
    if (output->type()->isSubtypeOf(*c10::TensorType::get()) ||
        output->type()->isSubtypeOf(*c10::ListType::ofTensors()))
      return false;
  for (size_t i = 0; i < node->inputs().size(); ++i)
    if (!in(node, frame, i).is_constant()) return false;
  jit::Stack stack;
  for (size_t i = 0; i < node->inputs().size(); ++i)
    stack.push_back(to_ivalue(in(node, frame, i), node->input(i)->type()));
  if (schema->is_vararg())
    stack.emplace_back(static_cast<int64_t>(node->inputs().size()));
  try {
    node->getOperation()(stack);
  } catch (const std::exception& error) {
    // What Python would raise.
    const std::string message = error.what();
    throw Raised{message.substr(0, message.find('\n'))};
  }
  const size_t outputs = node->outputs().size();
  for (size_t i = 0; i < outputs; ++i)
    frame[node->output(i)] =
        constant_item(stack[stack.size() - outputs + i], "constant");
  return true;
}

bool ScriptImporter::same_size(const Item& a, const Item& b) {
  if (!a.is_size || !b.is_size || !a.plain.value || !b.plain.value)
    return false;
  const std::string symbol = builder_.known_symbol(a.plain.value);
  return !symbol.empty() && symbol == builder_.known_symbol(b.plain.value);
}

bool ScriptImporter::fold_comparison(jit::Node* node, const Item& a,
                                     const Item& b, Frame& frame) {
  const std::string name = node->kind().toUnqualString();
  const bool equal = name == "eq", unequal = name == "ne";
  for (const auto& [number, other] : {std::pair{&a, &b}, std::pair{&b, &a}})
    if (number->plain.value && number->plain.value->is_graph_input() &&
        other->plain.is_constant() && other->plain.kind == Argument::Kind::kInt)
      compared_with_[number->plain.value->name()].insert(other->plain.integer);
  if ((equal || unequal) && same_size(a, b)) {
    set(node, frame, truth(equal));
    return true;
  }
  // A size is at least 1.
  if (!a.is_size || !b.plain.is_constant() ||
      b.plain.kind != Argument::Kind::kInt)
    return false;
  const int64_t bound = b.plain.integer;
  if (bound < 1 && (equal || unequal || name == "gt" || name == "ge" ||
                    name == "lt" || name == "le")) {
    set(node, frame, truth(unequal || name == "gt" || name == "ge"));
    return true;
  }
  if (bound == 1 && (name == "ge" || name == "lt")) {
    set(node, frame, truth(name == "ge"));
    return true;
  }
  return false;
}

bool ScriptImporter::run_number_operator(jit::Node* node, Frame& frame) {
  const auto found = number_operators().find(node->kind().toQualString());
  if (found == number_operators().end()) return false;
  for (size_t i = 0; i < node->inputs().size(); ++i)
    if (!in(node, frame, i).is_number()) return false;
  const Item a = in(node, frame, 0);
  if (node->inputs().size() == 2 &&
      fold_comparison(node, a, in(node, frame, 1), frame))
    return true;
  std::string name = found->second;
  // & of ints is bit by bit.
  if (name.starts_with("logical_") && name != "logical_not" &&
      node->output()->type()->kind() == c10::TypeKind::IntType)
    name.replace(0, std::string_view("logical").size(), "bitwise");
  const aten::AtenRow* row = aten::find_aten(name);
  if (!row) return false;
  const char* const names[] = {"self", "other"};
  aten::NamedArguments arguments;
  for (size_t i = 0; i < node->inputs().size() && i < 2; ++i) {
    const Argument& number = in(node, frame, i).plain;
    const bool exponent = i == 1 && name == "pow";
    arguments.emplace_back(
        exponent ? "exponent" : names[i],
        Argument::tensor(builder_.as_tensor(number, type_of(number.kind))));
  }
  const Arguments results =
      row->emit(aten::AtenCall(name, "", std::move(arguments), builder_));
  set(node, frame, number_item(results.front().value, node->output()->type()));
  return true;
}

}  // namespace lathe::io::script
