// Following single nodes of a TorchScript program.
#include "passes/base/error.h"
#include "passes/io/torch/script/script_importer.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;

constexpr int kMaxCallDepth = 200;
constexpr int64_t kMaxSteps = 2'000'000;

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

// Storage and layout: two attributes with one key are one weight.
std::string storage_key(const at::Tensor& tensor) {
  std::string key = std::to_string(
      reinterpret_cast<uintptr_t>(tensor.storage().unsafeGetStorageImpl()));
  key += ":" + std::to_string(tensor.storage_offset()) + ":" +
         std::to_string(static_cast<int>(tensor.scalar_type()));
  for (int64_t size : tensor.sizes()) key += "," + std::to_string(size);
  for (int64_t stride : tensor.strides()) key += ";" + std::to_string(stride);
  return key;
}

}  // namespace

void ScriptImporter::fail(const std::string& what, const std::string& hint) {
  builder_.fail(what, hint);
}

const std::unordered_map<std::string, ScriptImporter::Handler>&
ScriptImporter::handlers() {
  using S = ScriptImporter;
  static const std::unordered_map<std::string, Handler> kHandlers{
      {"prim::Constant", &S::run_constant},
      {"prim::GetAttr", &S::run_get_attr},
      {"prim::SetAttr", &S::run_set_attr},
      {"prim::HasAttr", &S::run_has_attr},
      {"prim::CallMethod", &S::run_call_method},
      {"prim::CallFunction", &S::run_call_function},
      {"prim::CreateObject", &S::run_create_object},
      {"prim::RaiseException", &S::run_raise},
      {"prim::Uninitialized", &S::run_uninitialized},
      {"prim::Print", &S::run_nothing},
      {"prim::Enter", &S::run_nothing},
      {"prim::Exit", &S::run_nothing},
      {"prim::profile", &S::run_first},
      {"aten::warn", &S::run_nothing},
      {"aten::format", &S::run_format},
      {"aten::manual_seed", &S::run_nothing},
      {"prim::unchecked_cast", &S::run_first},
      {"prim::unchecked_unwrap_optional", &S::run_first},
      {"aten::_unwrap_optional", &S::run_first},
      {"prim::data", &S::run_first},
      {"prim::If", &S::run_if},
      {"prim::Loop", &S::run_loop},
      {"prim::ListConstruct", &S::run_list},
      {"prim::TupleConstruct", &S::run_tuple},
      {"prim::DictConstruct", &S::run_dict},
      {"prim::ListUnpack", &S::run_unpack},
      {"prim::TupleUnpack", &S::run_unpack},
      {"prim::TupleIndex", &S::run_tuple_index},
      {"prim::TupleSlice", &S::run_tuple_slice},
      {"aten::__getitem__", &S::run_get_item},
      {"aten::_set_item", &S::run_set_item},
      {"aten::append", &S::run_append},
      {"aten::len", &S::run_len},
      {"aten::__contains__", &S::run_contains},
      {"aten::size", &S::run_size},
      {"aten::dim", &S::run_dim},
      {"aten::numel", &S::run_numel},
      {"prim::dtype", &S::run_dtype},
      {"aten::is_floating_point", &S::run_dtype},
      {"prim::device", &S::run_device},
      {"prim::layout", &S::run_device},
      {"prim::is_cuda", &S::run_false},
      {"prim::is_quantized", &S::run_false},
      {"prim::is_sparse", &S::run_false},
      {"prim::is_mkldnn", &S::run_false},
      {"prim::is_nested", &S::run_false},
      {"prim::requires_grad", &S::run_false},
      {"aten::requires_grad", &S::run_false},
      {"aten::is_complex", &S::run_false},
      {"aten::is_grad_enabled", &S::run_false},
      {"aten::is_contiguous", &S::run_true},
      {"prim::NumToTensor", &S::run_num_to_tensor},
      {"aten::Int", &S::run_to_number},
      {"aten::Float", &S::run_to_number},
      {"aten::Bool", &S::run_to_number},
      {"aten::IntImplicit", &S::run_to_number},
      {"aten::FloatImplicit", &S::run_to_number},
      {"aten::ScalarImplicit", &S::run_to_number},
      {"aten::item", &S::run_to_number},
      {"aten::is_nonzero", &S::run_to_number},
      {"aten::__is__", &S::run_is},
      {"aten::__isnot__", &S::run_is},
      {"aten::tensor", &S::run_tensor},
      {"aten::as_tensor", &S::run_tensor},
      {"prim::isinstance", &S::run_is_instance}};
  return kHandlers;
}

std::vector<Item> ScriptImporter::run_graph(jit::Graph& graph,
                                            std::vector<Item> inputs,
                                            const std::string& path) {
  if (++call_depth_ > kMaxCallDepth)
    fail("methods call each other more than " + std::to_string(kMaxCallDepth) +
         " deep");
  const std::string outer_scope = builder_.scope, outer_where = builder_.where;
  builder_.scope = path;
  builder_.where = path.empty() ? file_ : file_ + ", in '" + path + "'";
  Frame frame;
  for (size_t i = 0; i < inputs.size(); ++i)
    frame[graph.inputs()[i]] = std::move(inputs[i]);
  run_block(graph.block(), frame);
  std::vector<Item> outputs;
  for (const jit::Value* output : graph.outputs())
    outputs.push_back(get(frame, output));
  builder_.scope = outer_scope;
  builder_.where = outer_where;
  --call_depth_;
  return outputs;
}

void ScriptImporter::run_block(jit::Block* block, Frame& frame) {
  for (jit::Node* node : block->nodes()) run_node(node, frame);
}

void ScriptImporter::run_node(jit::Node* node, Frame& frame) {
  if (++steps_ > kMaxSteps)
    fail("the program takes more than " + std::to_string(kMaxSteps) +
         " steps to follow");
  const auto handler = handlers().find(node->kind().toQualString());
  if (handler == handlers().end())
    run_operator(node, frame);
  else
    (this->*handler->second)(node, frame);
}

Item& ScriptImporter::get(Frame& frame, const jit::Value* value) {
  const auto found = frame.find(value);
  if (found == frame.end())
    fail("the program uses '" + value->debugName() + "' before it is computed");
  return found->second;
}

Item ScriptImporter::constant_item(const c10::IValue& value,
                                   const std::string& name) {
  return from_ivalue(value, depth(), [&](const c10::IValue& leaf) {
    if (leaf.isTensor() && leaf.toTensor().defined()) {
      const at::Tensor tensor = leaf.toTensor();
      auto& [kept, weight] = weights_[storage_key(tensor)];
      if (!weight) {
        kept = tensor;
        const ir::Tensor content = to_ir_tensor(tensor, builder_.where);
        weight = content.size() <= 1 && name == "constant"
                     ? builder_.constant(content)
                     : builder_.weight(name, content);
      }
      return Item::of(tracer_.wrap(weight));
    }
    if (leaf.isTensor()) return Item::none();
    Item item;
    item.kind = leaf.isObject() ? Item::Kind::kObject : Item::Kind::kOther;
    item.constant = leaf;
    item.path = name;
    return item;
  });
}

void ScriptImporter::run_constant(jit::Node* node, Frame& frame) {
  if (node->output()->type()->kind() == c10::TypeKind::FunctionType) {
    Item item;
    item.kind = Item::Kind::kOther;
    set(node, frame, std::move(item));
    return;
  }
  const auto value = jit::toIValue(node->output());
  if (value && value->isInt()) constants_.insert(value->toInt());
  set(node, frame, value ? constant_item(*value, "constant") : Item::none());
}

ScriptImporter::Key ScriptImporter::key_of(const Item& object,
                                           const std::string& name) {
  const void* address = object.constant.toObject().get();
  return {objects_.emplace(address, objects_.size()).first->second, name};
}

Item ScriptImporter::attribute(const Item& object, const std::string& name) {
  const auto reference = object.constant.toObject();
  const Key key = key_of(object, name);
  if (const auto known = attributes_.find(key); known != attributes_.end())
    return known->second;
  if (!reference->type()->findAttributeSlot(name) &&
      !reference->type()->findConstantSlot(name))
    fail("an object has no attribute '" + name + "'");
  const c10::IValue value = reference->type()->findConstantSlot(name)
                                ? reference->type()->getConstant(name)
                                : reference->getAttr(name);
  const std::string path = join(object.path, name);
  Item item;
  for (State& state : states_)
    if (state.path == path && value.isTensor()) {
      state.input = builder_.main_graph().unique_name(path);
      item = Item::of(tracer_.wrap(
          builder_.main_graph().add_input(state.input, state.type)));
    }
  if (item.is_none()) item = constant_item(value, path);
  originals_[key] = {path, settled(item), item.plain.value};
  attributes_[key] = item;
  return item;
}

void ScriptImporter::run_get_attr(jit::Node* node, Frame& frame) {
  const Item& object = in(node, frame, 0);
  if (object.kind != Item::Kind::kObject)
    fail("attribute '" + node->s(c10::attr::name) + "' is read of " +
         describe(object));
  set(node, frame, attribute(object, node->s(c10::attr::name)));
}

void ScriptImporter::run_set_attr(jit::Node* node, Frame& frame) {
  const Item object = in(node, frame, 0);
  const std::string& name = node->s(c10::attr::name);
  const auto reference = object.constant.toObject();
  const Key key = key_of(object, name);
  // So that a branch knows what was there before.
  if (!attributes_.contains(key) && !reference->getAttr(name).isNone())
    attribute(object, name);
  else if (!attributes_.contains(key))
    originals_[key] = {join(object.path, name), Item::none(), nullptr};
  attributes_[key] = in(node, frame, 1);
}

void ScriptImporter::run_has_attr(jit::Node* node, Frame& frame) {
  const Item& object = in(node, frame, 0);
  const bool has = object.kind == Item::Kind::kObject &&
                   object.constant.toObject()->type()->hasAttribute(
                       node->s(c10::attr::name));
  set(node, frame, Item::of(Argument::of_bool(has)));
}

void ScriptImporter::run_call_method(jit::Node* node, Frame& frame) {
  const Item object = in(node, frame, 0);
  const std::string& name = node->s(c10::attr::name);
  if (object.kind != Item::Kind::kObject)
    fail("method '" + name + "' is called on " + describe(object));
  jit::Function& method = object.constant.toObject()->type()->getMethod(name);
  const jit::GraphFunction* graph = jit::tryToGraphFunction(method);
  if (!graph) fail("method '" + name + "' has no graph");
  std::vector<Item> inputs;
  for (size_t i = 0; i < node->inputs().size(); ++i)
    inputs.push_back(in(node, frame, i));
  set(node, frame,
      run_graph(*graph->graph(), std::move(inputs), object.path).front());
}

void ScriptImporter::run_call_function(jit::Node* node, Frame& frame) {
  const auto type = node->input(0)->type()->cast<c10::FunctionType>();
  const jit::GraphFunction* graph =
      type ? jit::tryToGraphFunction(*type->function()) : nullptr;
  if (!graph) fail("a function that is called has no graph");
  std::vector<Item> inputs;
  for (size_t i = 1; i < node->inputs().size(); ++i)
    inputs.push_back(in(node, frame, i));
  set(node, frame,
      run_graph(*graph->graph(), std::move(inputs), builder_.scope).front());
}

void ScriptImporter::run_create_object(jit::Node* node, Frame& frame) {
  const auto type = node->output()->type()->cast<c10::ClassType>();
  if (!type) fail("an object of an unknown class is made");
  Item item;
  item.kind = Item::Kind::kObject;
  item.constant = c10::ivalue::Object::create(c10::StrongTypePtr(nullptr, type),
                                              type->numAttributes());
  created_.push_back(item.constant);
  created_ids_.insert(key_of(item, "").first);
  set(node, frame, std::move(item));
}

void ScriptImporter::run_raise(jit::Node* node, Frame& frame) {
  const Item& message = in(node, frame, 0);
  throw Raised{message.plain.kind == Argument::Kind::kString
                   ? message.plain.text
                   : std::string()};
}

void ScriptImporter::run_uninitialized(jit::Node* node, Frame& frame) {
  Item item;
  item.kind = Item::Kind::kUninitialized;
  set(node, frame, std::move(item));
}

void ScriptImporter::run_nothing(jit::Node* node, Frame& frame) {
  for (const jit::Value* output : node->outputs()) frame[output] = Item::none();
}

// A message; what is computed cannot stand in it.
void ScriptImporter::run_format(jit::Node* node, Frame& frame) {
  if (!run_constant_operator(node, frame))
    set(node, frame, Item(in(node, frame, 0)));
}

void ScriptImporter::run_first(jit::Node* node, Frame& frame) {
  if (in(node, frame, 0).is_none() &&
      node->kind().toQualString() == std::string("aten::_unwrap_optional"))
    throw Raised{"a value that must not be None is None"};
  set(node, frame, Item(in(node, frame, 0)));
}

}  // namespace lathe::io::script
