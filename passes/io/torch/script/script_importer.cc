#include "passes/io/torch/script/script_importer.h"

#include <algorithm>

#include "passes/base/error.h"
#include "passes/ir/shape_inference.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;
using ir::DataType;

// "x.1" and "input" as PyTorch names them, without what makes them unique.
std::string plain_name(const std::string& name) {
  const size_t dot = name.find('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

bool is_tensor(const c10::TypePtr& type) {
  return type->isSubtypeOf(*c10::TensorType::get());
}

}  // namespace

ScriptImporter::ScriptImporter(std::string file, const ImportOptions& options,
                               std::vector<State> states,
                               std::set<std::string> integers)
    : file_(std::move(file)),
      options_(options),
      states_(std::move(states)),
      builder_(model_),
      tracer_(builder_),
      integers_(std::move(integers)) {
  model_.producer_name = "lathe";
  model_.graph->name = "torchscript";
  builder_.where = file_;
}

Item ScriptImporter::add_input(const std::string& name,
                               const c10::TypePtr& type) {
  ir::Graph& graph = builder_.main_graph();
  ir::ValueType value_type;
  value_type.elem = DataType::kFloat;
  if (is_tensor(type)) {
    const bool only = options_.input_shapes.contains("");
    const auto given = options_.input_shapes.find(only ? "" : name);
    if (given != options_.input_shapes.end()) {
      value_type.shape = ir::to_shape(given->second);
      // The batch stays free.
      if (value_type.shape->size() > 1)
        value_type.shape->front() = ir::Dim::named("batch");
    }
    if (!value_type.shape && options_.assumed_rank > 0) {
      value_type.shape = ir::Shape{ir::Dim::named("batch")};
      for (int64_t i = 1; i < options_.assumed_rank; ++i)
        value_type.shape->push_back(
            ir::Dim::named(name + "_" + std::to_string(i)));
      notes_.push_back("the shape of input '" + name +
                       "' is not given; taken as " +
                       ir::to_string(*value_type.shape) +
                       ", with which LibTorch runs (--input-shape says more)");
    }
    if (integers_.contains(name)) value_type.elem = DataType::kInt64;
    ir::Value* input = graph.add_input(graph.unique_name(name), value_type);
    parameters_.push_back({input->name(), type, {}});
    return Item::of(tracer_.wrap(input));
  }
  Argument::Kind kind;
  switch (type->kind()) {
    case c10::TypeKind::IntType:
      kind = Argument::Kind::kInt;
      value_type.elem = DataType::kInt64;
      break;
    case c10::TypeKind::BoolType:
      kind = Argument::Kind::kBool;
      value_type.elem = DataType::kBool;
      break;
    case c10::TypeKind::FloatType:
      kind = Argument::Kind::kFloat;
      break;
    default:
      throw_unsupported(file_,
                        "input '" + name + "' is a " + type->repr_str() +
                            ", expected a tensor, a tuple of tensors or a "
                            "number",
                        "wrap the model in a module that takes tensors");
  }
  value_type.shape.emplace();
  ir::Value* input = graph.add_input(graph.unique_name(name), value_type);
  parameters_.push_back({input->name(), type, {}});
  return Item::of(Argument::computed(kind, input));
}

void ScriptImporter::add_inputs(const c10::FunctionSchema& schema,
                                const jit::Module& module,
                                std::vector<Item>& items) {
  Item self;
  self.kind = Item::Kind::kObject;
  self.constant = module._ivalue();
  items.push_back(std::move(self));
  for (size_t i = 1; i < schema.arguments().size(); ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    const std::string name = plain_name(argument.name());
    const bool optional =
        argument.type()->kind() == c10::TypeKind::OptionalType;
    const bool given = options_.input_shapes.contains(name);
    if (const auto tuple = argument.type()->cast<c10::TupleType>()) {
      std::vector<Item> elements;
      for (size_t k = 0; k < tuple->elements().size(); ++k)
        elements.push_back(
            add_input(name + "_" + std::to_string(k), tuple->elements()[k]));
      items.push_back(
          Item::list_of(std::move(elements), depth(), Item::Kind::kTuple));
      continue;
    }
    if ((argument.default_value() || optional) && !given) {
      const c10::IValue value =
          argument.default_value() ? *argument.default_value() : c10::IValue();
      items.push_back(constant_item(value, name));
      parameters_.push_back({"", argument.type(), value});
      notes_.push_back("argument '" + name + "' of forward() keeps " +
                       (value.isNone() ? "None" : "its default"));
      continue;
    }
    const c10::TypePtr type =
        optional ? argument.type()->cast<c10::OptionalType>()->getElementType()
                 : argument.type();
    items.push_back(add_input(name, type));
  }
}

void ScriptImporter::add_output(ir::Value* value, const std::string& name) {
  ir::Graph& graph = builder_.main_graph();
  const bool own = value->producer() && !value->is_graph_output() &&
                   &value->graph() == &graph;
  ir::Value* output = own ? value : builder_.op("Identity", {value});
  graph.rename(output, graph.unique_name(name));
  graph.add_output(output);
}

void ScriptImporter::add_outputs(const Item& result, const std::string& name) {
  if (result.is_tensor()) return add_output(tracer_.read(result.plain), name);
  if (result.is_number())
    return add_output(builder_.as_tensor(result.plain, DataType::kUndefined),
                      name);
  if (result.kind == Item::Kind::kDict) {
    const auto& items = result.list->items;
    for (size_t i = 0; i + 1 < items.size(); i += 2)
      add_outputs(items[i + 1], items[i].plain.text.empty()
                                    ? name + "_" + std::to_string(i / 2)
                                    : items[i].plain.text);
    return;
  }
  if (result.list && result.list->stacked)
    fail("forward() returns a list that a loop fills", "stack it in the model");
  if (result.list)
    for (size_t i = 0; i < result.list->items.size(); ++i)
      add_outputs(result.list->items[i], name + "_" + std::to_string(i));
}

void ScriptImporter::add_state_outputs() {
  program_outputs_ = builder_.main_graph().outputs().size();
  for (const auto& [key, original] : originals_) {
    if (created_ids_.contains(key.first)) continue;
    const Item& now = attributes_[key];
    const bool written =
        now.is_tensor() && tracer_.read(now.plain) != original.value;
    if (same(now, original.item) && !written) continue;
    if (original.item.is_tensor() && now.is_tensor()) {
      found_states_.insert(original.path);
      const auto state =
          std::ranges::find(states_, original.path, &State::path);
      if (state == states_.end()) continue;
      add_output(tracer_.read(now.plain), original.path + "_next");
      state->output = builder_.main_graph().outputs().back()->name();
      state_outputs_.push_back(*state);
      continue;
    }
    notes_.push_back("attribute '" + original.path + "' (" +
                     describe(original.item) +
                     ") changes from call to call in the program; here it "
                     "keeps its first value");
  }
}

bool ScriptImporter::import(const jit::Module& module) {
  at::NoGradGuard no_grad;
  const auto method = module.find_method("forward");
  if (!method)
    throw_input(file_, "the TorchScript module has no forward method");
  std::vector<Item> inputs;
  add_inputs(method->function().getSchema(), module, inputs);
  std::vector<Item> results;
  try {
    results = run_graph(*method->graph(), std::move(inputs), "");
  } catch (const Raised& raised) {
    throw_input(file_,
                "the program always raises on these inputs" +
                    (raised.message.empty() ? "" : ": " + raised.message),
                "give other sizes with --input-shape");
  }
  add_outputs(results.front(), "output");
  add_state_outputs();
  std::ranges::sort(notes_);
  notes_.erase(std::ranges::unique(notes_).begin(), notes_.end());
  return found_integers_.empty() &&
         std::ranges::all_of(found_states_, [&](const std::string& path) {
           return std::ranges::find(states_, path, &State::path) !=
                  states_.end();
         });
}

}  // namespace lathe::io::script
