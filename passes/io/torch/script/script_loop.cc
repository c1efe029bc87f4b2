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

// The same but for tensors and numbers, which a loop can carry.
bool same_frame(const Item& a, const Item& b) {
  const bool leaf_a = a.is_tensor() || a.is_number();
  const bool leaf_b = b.is_tensor() || b.is_number();
  if (leaf_a || leaf_b) return leaf_a && leaf_b;
  if (a.list && b.list && a.kind == b.kind && !a.list->stacked &&
      !b.list->stacked)
    return std::ranges::equal(a.list->items, b.list->items, same_frame);
  return same(a, b);
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
  std::vector<Carried> key_states, cell_states;
  const size_t plain = states.size();

  struct Followed {
    Branch branch;
    std::vector<Appended> appended;
    ir::Node* loop = nullptr;
    ir::Graph* body = nullptr;
    // Of the carried tensors, as the body sees them.
    std::vector<std::shared_ptr<aten::Cell>> given;
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
    for (std::vector<Carried>* list : {&states, &key_states, &cell_states})
      for (Carried& state : *list)
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
    for (size_t i = 0; i < given_leaves.size(); ++i) {
      if (states[i].varies) *given_leaves[i] = as_item(states[i]);
      result.given.push_back(given_leaves[i]->plain.cell);
    }
    frame[block->inputs()[0]] =
        Item::of(Argument::computed(Argument::Kind::kInt, iteration));
    for (size_t i = 0; i < given.size(); ++i)
      frame[block->inputs()[i + 1]] = given[i];
    loop_appends_.push_back({depth() + 1, {}});
    result.branch = run_branch(block, frame, body, [&] {
      for (size_t i = 0; i < keys.size(); ++i)
        attributes_[keys[i]] = as_item(key_states[i]);
      for (size_t i = 0; i < cells.size(); ++i)
        tracer_.write_cell(cells[i], cell_states[i].input);
    });
    result.appended = std::move(loop_appends_.back().second);
    loop_appends_.pop_back();
    return result;
  };

  auto output_leaves = [&](Branch& branch) {
    std::vector<Item*> out;
    for (size_t i = 1; i < branch.outputs.size(); ++i)
      leaves(branch.outputs[i], out);
    return out;
  };
  // Takes over what an iteration shows of a carried value's type.
  auto widen = [](Carried& state, const ir::ValueType& after) {
    ir::ValueType wider = widened(state.type, after);
    const bool changed = ir::to_string(wider) != ir::to_string(state.type);
    state.type = std::move(wider);
    return changed;
  };
  // Learns from an iteration what the loop carries; false: nothing new.
  auto learn = [&](Followed& followed, bool first) {
    bool changed = first;
    for (size_t i = 0; i < carried.size(); ++i)
      if (!same_frame(carried[i], followed.branch.outputs[i + 1]))
        fail("a loop carries " + describe(carried[i]) +
             " that is no tensor or number and changes");
    const std::vector<Item*> after = output_leaves(followed.branch);
    for (size_t i = 0; i < plain; ++i) {
      Carried& state = states[i];
      const Item& item = *after[i];
      const bool constant = !item.plain.value && same(item, *inputs[i]);
      if (first && (item.plain.value == state.input || constant)) {
        state.varies = false;
      } else if (!state.varies) {
        state.varies = !same(item, *inputs[i]);
        changed = changed || state.varies;
      } else if (item.plain.value && widen(state, item.plain.value->type)) {
        changed = true;
      }
    }
    for (const auto& [key, item] : followed.branch.attributes) {
      if (!item.is_tensor() && !item.is_number())
        fail("a loop changes attribute '" + key.second + "', " +
             describe(item));
      size_t at =
          static_cast<size_t>(std::ranges::find(keys, key) - keys.begin());
      if (at == keys.size()) {
        keys.push_back(key);
        key_states.push_back(start_of(attributes_[key]));
        changed = true;
      }
      if (item.plain.value && widen(key_states[at], item.plain.value->type))
        changed = true;
    }
    for (const auto& [cell, value] : followed.branch.written) {
      size_t at =
          static_cast<size_t>(std::ranges::find(cells, cell) - cells.begin());
      if (at == cells.size()) {
        cells.push_back(cell);
        Carried state;
        state.start = cell->value;
        state.type = cell->value->type;
        cell_states.push_back(std::move(state));
        changed = true;
      }
      if (widen(cell_states[at], value->type)) changed = true;
    }
    return changed;
  };
  constexpr int kMaxRounds = 12;
  Followed real;
  for (int round = 0;; ++round) {
    real = follow();
    if (!real.branch.alive)
      fail("the body of a loop always raises: " + real.branch.raised);
    if (!learn(real, round == 0)) break;
    if (round == kMaxRounds) fail("what a loop carries does not settle");
    builder_.discard(real.loop);
  }
  ir::Node* loop = real.loop;
  loop->name = builder_.graph().unique_name(
      builder_.scope.empty() ? "Loop" : builder_.scope + "/Loop");
  const bool endless = trips.is_constant() && trips.plain.integer == INT64_MAX;
  std::vector<Value*> loop_inputs{
      endless ? nullptr : builder_.int_scalar(trips.plain),
      condition.is_true()
          ? nullptr
          : builder_.as_tensor(condition.plain, DataType::kBool)};
  auto give = [&](Value* value) {
    builder_.enter(*real.body);
    Value* output = builder_.op("Identity", {value});
    builder_.leave();
    real.body->add_output(output);
  };
  give(builder_.as_tensor(real.branch.outputs.front().plain, DataType::kBool));
  auto end_of = [&](const Item& item) {
    return item.is_tensor()
               ? item.plain.value
               : builder_.as_tensor(item.plain, DataType::kUndefined);
  };
  auto carry = [&](Carried& state, Value* end) {
    if (!state.varies) return;
    loop_inputs.push_back(state.start);
    give(end);
    state.output = builder_.graph().append_output(loop, "Loop");
    state.output->type = state.type;
  };
  const std::vector<Item*> after = output_leaves(real.branch);
  for (size_t i = 0; i < plain; ++i) carry(states[i], end_of(*after[i]));
  for (size_t i = 0; i < keys.size(); ++i)
    carry(key_states[i], end_of(real.branch.attributes.at(keys[i])));
  for (size_t i = 0; i < cells.size(); ++i)
    for (const auto& [written, value] : real.branch.written)
      if (written == cells[i]) carry(cell_states[i], value);
  for (const Appended& appended : real.appended) {
    give(appended.value);
    appended.list->stacked = builder_.graph().append_output(loop, "Loop");
    appended.list->stacked->type.elem = appended.value->type.elem;
  }
  for (size_t i = 0; i < loop_inputs.size(); ++i)
    if (loop_inputs[i] || i < 2) loop->set_input(i, loop_inputs[i]);
  loop->resize_inputs(loop_inputs.size());
  builder_.infer(*loop);

  auto result_of = [&](const Carried& state) {
    return state.kind == Argument::Kind::kTensor
               ? Item::of(tracer_.wrap(state.output))
               : Item::of(Argument::computed(state.kind, state.output));
  };
  for (size_t i = 0; i < plain; ++i) {
    if (!states[i].varies) continue;
    const std::shared_ptr<aten::Cell> cell = inputs[i]->plain.cell;
    if (cell && after[i]->plain.cell == real.given[i])
      tracer_.write_cell(cell, states[i].output);  // changed in place
    else
      *inputs[i] = result_of(states[i]);
  }
  for (size_t i = 0; i < keys.size(); ++i)
    attributes_[keys[i]] = result_of(key_states[i]);
  for (size_t i = 0; i < cells.size(); ++i)
    tracer_.write_cell(cells[i], cell_states[i].output);
  for (size_t i = 0; i < carried.size(); ++i)
    frame[node->output(i)] = carried[i];
}

}  // namespace lathe::io::script
