// Higher-order operators: cond as If, while_loop as Loop, and wrappers that
// only call the graph they hold.
#include <fmt/format.h>

#include <set>

#include "passes/io/torch/exported/exported_program_translator.h"

namespace lathe::io::exported {

using aten::Argument;
using aten::Arguments;
using ir::DataType;
using ir::Value;

namespace {

// Graphs within graphs, those that are written out in place included.
constexpr int kMaxDepth = 64;

bool only_calls(const std::string& name) {
  static const std::set<std::string> kWrappers{"wrap_with_set_grad_enabled",
                                               "wrap_with_autocast",
                                               "hints_wrap",
                                               "wrap",
                                               "wrap_activation_checkpoint",
                                               "tag_activation_checkpoint",
                                               "strict_mode",
                                               "invoke_subgraph",
                                               "run_const_graph"};
  return kWrappers.contains(name);
}

void open_lists(const Argument& argument, Arguments& out) {
  if (!argument.is_list()) {
    out.push_back(argument);
    return;
  }
  for (const Argument& item : argument.items) open_lists(item, out);
}

}  // namespace

Translator::Operands Translator::operands(const JsonField& node, Frame& frame) {
  Operands operands;
  for (const JsonField& input : node.at("inputs").items()) {
    const JsonField field = input.at("arg");
    if (const auto graph = field.find("as_graph")) {
      operands.graphs.push_back(graph->at("graph"));
      continue;
    }
    // Options by keyword; what a graph is called with has no names.
    if (!input.at("name").text().empty() && !operands.graphs.empty()) continue;
    Arguments opened;
    open_lists(argument(field, frame), opened);
    Arguments& to = operands.graphs.empty() ? operands.before : operands.after;
    to.insert(to.end(), opened.begin(), opened.end());
  }
  // So that a view is brought up to date out here, and not within a branch.
  for (Argument& operand : operands.after) operand = tracer_.refreshed(operand);
  return operands;
}

Arguments Translator::call_higher_order(const std::string& name,
                                        const JsonField& node, Frame& frame) {
  if (name != "cond" && name != "while_loop" && !only_calls(name))
    builder_.fail(
        fmt::format("higher_order::{} has no translation to ONNX", name));
  Operands parts = operands(node, frame);
  const size_t graphs = name == "cond" || name == "while_loop" ? 2 : 1;
  if (parts.graphs.size() != graphs)
    node.at("inputs").fail(
        fmt::format("{} graphs were expected, but there are "
                    "{}",
                    graphs, parts.graphs.size()));
  if (name == "cond") return cond(parts);
  if (name == "while_loop") return while_loop(parts);
  if (name == "wrap_with_autocast" && parts.before.size() >= 3 &&
      parts.before[2].integer != 0)
    builder_.fail(
        "runs its operators under autocast, which chooses their "
        "element types unseen",
        "export the model without autocast");
  if (name == "invoke_subgraph")
    std::erase_if(parts.after, [](const Argument& argument) {
      return argument.kind == Argument::Kind::kString;
    });
  return run_graph(parts.graphs[0], parts.after);
}

Arguments Translator::run_graph(const JsonField& graph,
                                const Arguments& operands) {
  if (depth_ >= kMaxDepth)
    graph.fail(fmt::format("graphs nest deeper than {} levels", kMaxDepth));
  ++depth_;
  Frame frame(graph);
  const std::vector<JsonField> inputs = graph.at("inputs").items();
  if (inputs.size() != operands.size())
    graph.at("inputs").fail(
        fmt::format("the graph has {} inputs and is called "
                    "with {}",
                    inputs.size(), operands.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto [kind, field] = inputs[i].variant();
    if (kind == "as_tensor")
      frame.names.emplace(field.at("name").text(), operands[i]);
    else if (kind.starts_with("as_sym_"))
      frame.names.emplace(field.at("as_name").text(), operands[i]);
  }
  run_nodes(frame);
  Arguments results;
  for (const JsonField& output : graph.at("outputs").items())
    results.push_back(tracer_.refreshed(argument(output, frame)));
  --depth_;
  return results;
}

Value* Translator::scalar_bool(const Argument& condition) {
  Value* value = builder_.cast(as_value(condition), DataType::kBool);
  if (builder_.known_rank(value) == 0) return value;
  return builder_.reshape(value, std::vector<int64_t>{});
}

void Translator::refuse_writes(const aten::Tracer::Written& written) {
  if (!written.empty())
    builder_.fail("one of its graphs writes to a tensor made outside it",
                  "return the new value instead");
}

// A graph's outputs must be values that its own nodes compute, each once.
void Translator::add_outputs(ir::Graph& graph, const Arguments& results) {
  for (const Argument& result : results) {
    if (result.is_none()) continue;
    Value* value = as_value(result);
    if (&value->graph() != &graph || !value->producer() ||
        value->is_graph_output())
      value = builder_.op("Identity", {value});
    graph.add_output(value);
  }
}

void Translator::fill_branch(ir::Node* node, const char* attribute,
                             const JsonField& graph,
                             const Arguments& operands) {
  ir::Graph* branch =
      ir::Graph::set_subgraph(node, attribute, std::make_unique<ir::Graph>());
  branch->name = attribute;
  builder_.enter(*branch);
  tracer_.begin_branch();
  add_outputs(*branch, run_graph(graph, operands));
  refuse_writes(tracer_.end_branch());
  builder_.leave();
}

Arguments Translator::cond(const Operands& operands) {
  if (operands.before.empty())
    builder_.fail("has no condition before its graphs");
  const Argument& condition = operands.before[0];
  if (condition.is_number() && condition.is_constant())
    return run_graph(operands.graphs[condition.number() != 0 ? 0 : 1],
                     operands.after);
  Value* chosen = scalar_bool(condition);
  ir::Node* node =
      builder_.graph().add_node("If", {chosen}, std::vector<std::string>{});
  fill_branch(node, "then_branch", operands.graphs[0], operands.after);
  fill_branch(node, "else_branch", operands.graphs[1], operands.after);
  const size_t count = node->attr_graph("then_branch")->outputs().size();
  const size_t others = node->attr_graph("else_branch")->outputs().size();
  if (count != others)
    builder_.fail_input(
        fmt::format("one graph gives {} results and the other "
                    "{}",
                    count, others));
  return finish_node(node, "If", count);
}

// The results of a node that has its graphs.
Arguments Translator::finish_node(ir::Node* node, const std::string& name,
                                  size_t count) {
  const std::string base =
      builder_.scope.empty() ? name : builder_.scope + "/" + name;
  for (size_t i = 0; i < count; ++i)
    builder_.graph().append_output(
        node, i == 0 ? base : base + "_" + std::to_string(i));
  node->name = count > 0 ? node->output(0)->name() : base;
  builder_.infer(*node);
  Arguments results;
  for (Value* output : node->outputs()) results.push_back(tracer_.wrap(output));
  return results;
}

// Loop(, keep going, state…): each round computes the new state and, from it,
// whether to go on. What the graphs only read is used from outside.
Arguments Translator::while_loop(const Operands& operands) {
  const JsonField& test = operands.graphs[0];
  const JsonField& body = operands.graphs[1];
  const Arguments& all = operands.after;
  const size_t carried = body.at("outputs").size();
  if (carried > all.size())
    body.at("outputs").fail(
        fmt::format("{} results, but only {} operands", carried, all.size()));
  // A loop's condition is written out twice: one within one, four times, ….
  if (in_loop_test_) builder_.fail("is part of another loop's condition");
  const auto go_on = [&](const Arguments& state) {
    in_loop_test_ = true;
    const Arguments results = run_graph(test, state);
    in_loop_test_ = false;
    if (results.size() != 1)
      test.at("outputs").fail("one condition was expected");
    return scalar_bool(results[0]);
  };
  std::vector<Value*> inputs{nullptr, go_on(all)};
  for (size_t i = 0; i < carried; ++i) inputs.push_back(as_value(all[i]));
  ir::Node* node =
      builder_.graph().add_node("Loop", inputs, std::vector<std::string>{});
  ir::Graph* round =
      ir::Graph::set_subgraph(node, "body", std::make_unique<ir::Graph>());
  round->name = "body";
  const auto add_input = [&](const char* name, ir::ValueType type) {
    return round->add_input(round->unique_name(name), std::move(type));
  };
  ir::ValueType scalar;
  scalar.shape.emplace();
  scalar.elem = DataType::kInt64;
  add_input("round", scalar);
  scalar.elem = DataType::kBool;
  add_input("go_on", scalar);

  Arguments state = all;
  const JsonField values = body.at("tensor_values");
  const JsonField names = body.at("inputs");
  for (size_t i = 0; i < carried; ++i) {
    const auto [kind, field] = names.at(i).variant();
    const bool tensor = kind == "as_tensor";
    ir::ValueType type = inputs[i + 2]->type;
    if (tensor) type = symbols_.value_type(values.at(field.at("name").text()));
    Value* value = add_input("state", std::move(type));
    state[i] =
        tensor ? tracer_.wrap(value) : Argument::computed(all[i].kind, value);
  }
  builder_.enter(*round);
  tracer_.begin_branch();
  const Arguments next = run_graph(body, state);
  std::copy(next.begin(), next.end(), state.begin());
  add_outputs(*round, {Argument::tensor(go_on(state))});
  add_outputs(*round, next);
  refuse_writes(tracer_.end_branch());
  builder_.leave();
  if (round->outputs().size() != carried + 1)
    body.at("outputs").fail("a tensor was expected for each result");
  return finish_node(node, "Loop", carried);
}

}  // namespace lathe::io::exported
