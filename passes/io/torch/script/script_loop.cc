// A loop that depends on data, as an ONNX Loop. What it carries is found by
// following its body once for trial.
#include <algorithm>

#include "passes/io/torch/script/script_importer.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;
using ir::DataType;
using ir::Value;

// Tensors and numbers in containers, in order.
void leaves(Item& item, std::vector<Item*>& out) {
  if (item.is_tensor() || item.is_number()) out.push_back(&item);
  if (item.list && !item.list->stacked)
    for (Item& element : item.list->items) leaves(element, out);
}

ir::ValueType scalar_type(DataType elem) {
  ir::ValueType type;
  type.elem = elem;
  type.shape.emplace();
  return type;
}

// What holds for a value before and after an iteration.
ir::ValueType widened(ir::ValueType before, const ir::ValueType& after) {
  before.shape = ir::common_shape(before.shape, after.shape);
  return before;
}

bool is_true(const Item& item) {
  return item.is_constant() && item.plain.integer != 0;
}

}  // namespace

void ScriptImporter::emit_loop(jit::Node* node, Frame& frame, const Item& trips,
                               const Item& condition,
                               std::vector<Item> carried) {
  jit::Block* block = node->blocks()[0];
  // Containers of their own: a body changes what it carries.
  for (Item& item : carried) item = settled(item);

  // What the loop carries, each with the value it starts from: leaves of the
  // block's inputs, attributes, tensors that it writes into.
  struct Carried {
    Value* start = nullptr;
    ir::ValueType type;
    bool varies = true;
    Argument::Kind kind = Argument::Kind::kTensor;
    Value* input = nullptr;   // of the body
    Value* output = nullptr;  // of the Loop
  };
  auto start_of = [&](const Item& item) {
    Carried one;
    one.kind = item.plain.kind;
    one.start = item.is_tensor()
                    ? tracer_.read(item.plain)
                    : builder_.as_tensor(item.plain, DataType::kUndefined);
    one.type =
        item.is_tensor() ? one.start->type : scalar_type(one.start->type.elem);
    return one;
  };
  std::vector<Item*> inputs;
  for (Item& item : carried) leaves(item, inputs);
  std::vector<Carried> states;
  for (const Item* item : inputs) states.push_back(start_of(*item));
  std::vector<Key> keys;
  std::vector<std::shared_ptr<aten::Cell>> cells;
  const size_t plain = states.size();

  struct Followed {
    Branch branch;
    std::vector<Appended> appended;
    ir::Node* loop = nullptr;
    ir::Graph* body = nullptr;
  };
  auto follow = [&]() {
    Followed result;
    result.loop =
        builder_.graph().add_node("Loop", {}, std::vector<std::string>{});
    result.body = ir::Graph::set_subgraph(result.loop, "body",
                                          std::make_unique<ir::Graph>());
    ir::Graph& body = *result.body;
    body.name = "body";
    auto add_input = [&](const std::string& name, const ir::ValueType& type) {
      return body.add_input(builder_.graph().unique_name(name), type);
    };
    Value* iteration = add_input("iteration", scalar_type(DataType::kInt64));
    add_input("condition", scalar_type(DataType::kBool));
    for (Carried& state : states)
      if (state.varies) state.input = add_input("carried", state.type);
    std::vector<Item> given;
    for (const Item& item : carried) given.push_back(settled(item));
    std::vector<Item*> given_leaves;
    for (Item& item : given) leaves(item, given_leaves);
    auto as_item = [&](const Carried& state) {
      return state.kind == Argument::Kind::kTensor
                 ? Item::of(tracer_.wrap(state.input))
                 : Item::of(Argument::computed(state.kind, state.input));
    };
    for (size_t i = 0; i < given_leaves.size(); ++i)
      if (states[i].varies) *given_leaves[i] = as_item(states[i]);
    frame[block->inputs()[0]] =
        Item::of(Argument::computed(Argument::Kind::kInt, iteration));
    for (size_t i = 0; i < given.size(); ++i)
      frame[block->inputs()[i + 1]] = given[i];
    loop_appends_.push_back({depth() + 1, {}});
    result.branch = run_branch(block, frame, body, [&] {
      for (size_t i = 0; i < keys.size(); ++i)
        attributes_[keys[i]] = as_item(states[plain + i]);
      for (size_t i = 0; i < cells.size(); ++i)
        tracer_.write_cell(cells[i], states[plain + keys.size() + i].input);
    });
    result.appended = std::move(loop_appends_.back().second);
    loop_appends_.pop_back();
    return result;
  };

  Followed trial = follow();
  if (!trial.branch.alive)
    fail("the body of a loop always raises: " + trial.branch.raised);
  // Leaves that an iteration gives back unchanged are no state.
  auto output_leaves = [&](Branch& branch) {
    std::vector<Item*> out;
    for (size_t i = 1; i < branch.outputs.size(); ++i)
      leaves(branch.outputs[i], out);
    return out;
  };
  std::vector<Item*> after = output_leaves(trial.branch);
  if (after.size() != plain)
    fail("a loop carries containers whose size changes");
  for (size_t i = 0; i < plain; ++i) {
    Carried& state = states[i];
    if (after[i]->plain.value == state.input ||
        (same(*after[i], *inputs[i]) && !after[i]->plain.value))
      state.varies = false;
    else if (after[i]->plain.value)
      state.type = widened(state.type, after[i]->plain.value->type);
  }
  for (const auto& [key, item] : trial.branch.attributes) {
    if (!item.is_tensor() && !item.is_number()) continue;
    keys.push_back(key);
    Carried state = start_of(attributes_[key]);
    if (item.plain.value)
      state.type = widened(state.type, item.plain.value->type);
    states.push_back(std::move(state));
  }
  for (const auto& [cell, value] : trial.branch.written) {
    cells.push_back(cell);
    Carried state;
    state.start = cell->value;
    state.type = widened(cell->value->type, value->type);
    states.push_back(std::move(state));
  }
  builder_.discard(trial.loop);

  Followed real = follow();
  ir::Node* loop = real.loop;
  loop->name = builder_.graph().unique_name(
      builder_.scope.empty() ? "Loop" : builder_.scope + "/Loop");
  const bool endless = trips.is_constant() && trips.plain.integer == INT64_MAX;
  std::vector<Value*> loop_inputs{
      endless ? nullptr : builder_.int_scalar(trips.plain),
      is_true(condition)
          ? nullptr
          : builder_.as_tensor(condition.plain, DataType::kBool)};
  auto give = [&](Value* value) {
    builder_.enter(*real.body);
    Value* output = builder_.op("Identity", {value});
    builder_.leave();
    real.body->add_output(output);
  };
  give(builder_.as_tensor(real.branch.outputs.front().plain, DataType::kBool));
  after = output_leaves(real.branch);
  std::vector<Value*> ends;
  for (const Item* item : after)
    ends.push_back(item->is_tensor()
                       ? item->plain.value
                       : builder_.as_tensor(item->plain, DataType::kUndefined));
  for (const Key& key : keys) {
    const Item& item = real.branch.attributes.at(key);
    ends.push_back(item.is_tensor()
                       ? item.plain.value
                       : builder_.as_tensor(item.plain, DataType::kUndefined));
  }
  for (const auto& cell : cells)
    for (const auto& [written, value] : real.branch.written)
      if (written == cell) ends.push_back(value);
  for (size_t i = 0; i < states.size(); ++i) {
    if (!states[i].varies) continue;
    loop_inputs.push_back(states[i].start);
    give(ends[i]);
    states[i].output = builder_.graph().append_output(loop, "Loop");
    states[i].output->type = states[i].type;
  }
  for (const Appended& appended : real.appended) {
    give(appended.value);
    appended.list->stacked = builder_.graph().append_output(loop, "Loop");
    appended.list->stacked->type.elem = appended.value->type.elem;
  }
  for (size_t i = 0; i < loop_inputs.size(); ++i)
    if (loop_inputs[i] || i < 2) loop->set_input(i, loop_inputs[i]);
  loop->resize_inputs(loop_inputs.size());
  builder_.infer(*loop);

  for (size_t i = 0; i < states.size(); ++i) {
    if (!states[i].varies) continue;
    Value* output = states[i].output;
    const Item item =
        states[i].kind == Argument::Kind::kTensor
            ? Item::of(tracer_.wrap(output))
            : Item::of(Argument::computed(states[i].kind, output));
    if (i < plain)
      *inputs[i] = item;
    else if (i < plain + keys.size())
      attributes_[keys[i - plain]] = item;
    else
      tracer_.write_cell(cells[i - plain - keys.size()], output);
  }
  for (size_t i = 0; i < carried.size(); ++i)
    frame[node->output(i)] = carried[i];
}

}  // namespace lathe::io::script
