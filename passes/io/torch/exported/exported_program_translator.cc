#include "passes/io/torch/exported/exported_program_translator.h"

#include <fmt/format.h>

#include "passes/io/torch/exported/exported_program_place.h"

namespace lathe::io::exported {

using aten::Argument;
using aten::Arguments;
using aten::NamedArguments;
using ir::DataType;
using ir::Value;

namespace {

// "torch.ops.aten.conv2d.default".
struct OperatorName {
  std::string space, name, overload;
};

std::optional<OperatorName> operator_name(const std::string& target) {
  constexpr std::string_view kHead = "torch.ops.";
  if (!target.starts_with(kHead)) return std::nullopt;
  const std::string rest = target.substr(kHead.size());
  const size_t first = rest.find('.');
  if (first == std::string::npos) return std::nullopt;
  OperatorName parts{rest.substr(0, first), rest.substr(first + 1), ""};
  const size_t last = parts.name.find('.');
  if (last == std::string::npos) return parts;
  parts.overload = parts.name.substr(last + 1);
  parts.name.resize(last);
  return parts;
}

}  // namespace

Frame::Frame(const JsonField& graph)
    : graph(graph),
      tensor_values(graph.at("tensor_values")),
      sym_int_values(graph.find("sym_int_values")) {}

Translator::Translator(aten::OnnxBuilder& builder, const Symbols& symbols,
                       std::string file)
    : builder_(builder),
      symbols_(symbols),
      file_(std::move(file)),
      tracer_(builder),
      numbers_(builder) {}

void Translator::run_nodes(Frame& frame) {
  const JsonField nodes = frame.graph.at("nodes");
  const size_t count = nodes.size();
  for (size_t i = 0; i < count; ++i) run_node(nodes.at(i), frame);
}

void Translator::run_node(const JsonField& node, Frame& frame) {
  const std::string outer_where = builder_.where;
  const std::string outer_scope = builder_.scope;
  const std::string& target = node.at("target").text();
  const NodePlace place = node_place(node, outer_scope);
  builder_.where = file_ + ": " + place.describe(target);
  builder_.scope = place.module;
  bind(node.at("outputs"), call(target, node, frame), frame);
  builder_.where = outer_where;
  builder_.scope = outer_scope;
}

NamedArguments Translator::named_arguments(const JsonField& node,
                                           Frame& frame) {
  NamedArguments arguments;
  for (const JsonField& input : node.at("inputs").items())
    arguments.emplace_back(input.at("name").text(),
                           argument(input.at("arg"), frame));
  return arguments;
}

Arguments Translator::call(const std::string& target, const JsonField& node,
                           Frame& frame) {
  const auto name = operator_name(target);
  if (name && name->space == "higher_order")
    return call_higher_order(name->name, node, frame);
  NamedArguments arguments = named_arguments(node, frame);
  if (name && name->space == "aten") {
    prepare(name->name, node, frame, arguments);
    return call_aten(name->name, name->overload, std::move(arguments));
  }
  if (name && name->space == "prims")
    return call_prims(name->name, name->overload, std::move(arguments));
  Arguments operands;
  for (auto& [key, argument] : arguments)
    operands.push_back(tracer_.refreshed(argument));
  if (Numbers::has(target)) return {numbers_.call(target, operands)};
  if (target == "_operator.getitem" && operands.size() == 2 &&
      operands[0].is_list() && operands[1].is_constant() &&
      operands[1].integer >= 0 &&
      static_cast<size_t>(operands[1].integer) < operands[0].items.size())
    return {operands[0].items[static_cast<size_t>(operands[1].integer)]};
  builder_.fail(
      name ? fmt::format("operator {}::{} has no translation to ONNX",
                         name->space, name->name)
           : fmt::format("function {} has no translation to ONNX", target),
      name ? "replace it in the model by PyTorch's own operators" : "");
}

Value* Translator::as_value(const Argument& argument) {
  if (argument.is_tensor()) return tracer_.read(argument);
  return builder_.as_tensor(argument, DataType::kUndefined);
}

void Translator::bind(const JsonField& outputs, const Arguments& results,
                      Frame& frame) {
  const std::vector<JsonField> items = outputs.items();
  // A list may also come as one result for each of its tensors.
  if (items.size() == 1 && results.size() > 1 && items[0].find("as_tensors"))
    return bind_one(items[0], Argument::list(results), frame);
  for (size_t i = 0; i < items.size() && i < results.size(); ++i)
    bind_one(items[i], results[i], frame);
}

void Translator::bind_one(const JsonField& output, const Argument& result,
                          Frame& frame) {
  const auto [kind, field] = output.variant();
  if (result.is_none() || kind == "as_none") return;
  if (kind == "as_tensor") return bind_tensor(field.at("name"), result, frame);
  if (kind == "as_tensors") {
    const std::vector<JsonField> names = field.items();
    const Arguments items = result.is_list() ? result.items : Arguments{result};
    if (items.size() != names.size())
      builder_.fail(
          fmt::format("gives a list of {} tensors, but the program "
                      "expects {}",
                      items.size(), names.size()));
    for (size_t i = 0; i < names.size(); ++i)
      bind_tensor(names[i].at("name"), items[i], frame);
    return;
  }
  if (kind == "as_sym_int" || kind == "as_sym_float" || kind == "as_sym_bool") {
    if (const auto name = field.find("as_name"))
      bind_number(*name, result, frame);
    return;
  }
  if (kind == "as_sym_ints" && result.is_list()) {
    for (size_t i = 0; i < field.size() && i < result.items.size(); ++i)
      bind_number(field.at(i).at("as_name"), result.items[i], frame);
    return;
  }
  output.fail_expected("as_tensor, as_tensors or a symbolic number");
}

void Translator::bind_tensor(const JsonField& name, const Argument& result,
                             Frame& frame) {
  Argument tensor = result;
  if (result.is_number()) tensor = tracer_.wrap(as_value(result));
  if (!tensor.is_tensor())
    builder_.fail("gives " + aten::describe(result) +
                  ", but the program expects a tensor");
  if (const auto meta = frame.tensor_values.find(name.text()))
    check_type(*meta, tracer_.read(tensor));
  frame.names.insert_or_assign(name.text(), std::move(tensor));
}

void Translator::bind_number(const JsonField& name, const Argument& result,
                             Frame& frame) {
  if (!result.is_number())
    builder_.fail("gives " + aten::describe(result) +
                  ", but the program expects a number");
  Argument number = result;
  if (frame.sym_int_values && result.value)
    if (const auto size = frame.sym_int_values->find(name.text()))
      if (const auto known = size->find("as_int"))
        number = Argument::of_int(known->integer());
  frame.names.insert_or_assign(name.text(), std::move(number));
}

// What the program says of a result and what follows from the ONNX nodes must
// agree; what only the program knows is added.
void Translator::check_type(const JsonField& meta, Value* value) {
  const ir::ValueType expected = symbols_.value_type(meta);
  const auto disagree = [&] {
    builder_.fail(
        fmt::format("its translation gives {}, but the program says "
                    "{}",
                    ir::to_string(value->type), ir::to_string(expected)),
        "this is a mistake of the translation, please report it");
  };
  ir::ValueType& type = value->type;
  if (type.elem == DataType::kUndefined) type.elem = expected.elem;
  if (type.elem != expected.elem && trusts_elements_) disagree();
  if (!trusts_shapes_) return;
  if (!type.shape) type.shape = expected.shape;
  if (type.shape->size() != expected.shape->size()) disagree();
  for (size_t i = 0; i < type.shape->size(); ++i) {
    ir::Dim& dim = (*type.shape)[i];
    const ir::Dim& said = (*expected.shape)[i];
    if (dim.known() && said.known() && dim.value != said.value) disagree();
    if (!dim.known() && (said.known() || dim.symbol.empty())) dim = said;
  }
}

}  // namespace lathe::io::exported
