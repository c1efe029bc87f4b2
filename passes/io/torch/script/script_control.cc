// If and Loop of a TorchScript program: followed where their condition is
// known, written as ONNX If and Loop where it depends on data.
#include <algorithm>
#include <optional>

#include "passes/base/error.h"
#include "passes/io/torch/script/script_importer.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;
using ir::DataType;
using ir::Value;

}  // namespace

// Two branches of an If that become one node.
struct ScriptImporter::Merge {
  ir::Node* node;
  ir::Graph* graphs[2];
};

ScriptImporter::Branch ScriptImporter::run_branch(
    jit::Block* block, Frame& frame, ir::Graph& subgraph,
    const std::function<void()>& start) {
  Branch branch;
  const std::map<Key, Item> before = attributes_;
  const std::string scope = builder_.scope, where = builder_.where;
  const int call_depth = call_depth_;
  builder_.enter(subgraph);
  tracer_.begin_branch();
  try {
    if (start) start();
    run_block(block, frame);
    for (const jit::Value* output : block->outputs()) {
      branch.outputs.push_back(settled(get(frame, output)));
    }
  } catch (const Raised& raised) {
    branch.alive = false;
    branch.raised = raised.message;
    builder_.scope = scope;
    builder_.where = where;
    call_depth_ = call_depth;
  }
  for (auto& [key, item] : attributes_) {
    const auto old = before.find(key);
    const Item& was = old == before.end() ? originals_[key].item : old->second;
    if (same(was, item)) continue;
    branch.attributes.emplace(key, settled(item));
    item = was;
  }
  branch.written = tracer_.end_branch();
  builder_.leave();
  return branch;
}

// With every tensor's value as it is now.
Item ScriptImporter::settled(const Item& item) {
  Item now = item;
  if (now.is_tensor()) now.plain.value = tracer_.read(item.plain);
  if (!item.list || item.list->stacked) return now;
  now.list = std::make_shared<ItemList>(*item.list);
  for (Item& element : now.list->items) element = settled(element);
  return now;
}

namespace {

// The value as an output of the subgraph: computed in it, and for nothing else.
Value* as_output(aten::OnnxBuilder& builder, ir::Graph& graph, Value* value) {
  if (&value->graph() == &graph && value->producer() &&
      !value->is_graph_output())
    return value;
  builder.enter(graph);
  Value* copy = builder.op("Identity", {value});
  builder.leave();
  return copy;
}

}  // namespace

Item ScriptImporter::merge(const Item& a, const Item& b, Merge& into) {
  auto inside = [&](const Item& item) {
    return item.plain.value && (&item.plain.value->graph() == into.graphs[0] ||
                                &item.plain.value->graph() == into.graphs[1]);
  };
  if (same(a, b) && !inside(a) && a.plain.value == b.plain.value) return a;
  // One tensor that both write to in place: what it holds then is `written`.
  if (a.is_tensor() && b.is_tensor() && a.plain.cell &&
      a.plain.cell == b.plain.cell)
    return a;
  // Never used, but the other branch has one: any value of its kind will do.
  const bool a_lacks = a.kind == Item::Kind::kUninitialized,
             b_lacks = b.kind == Item::Kind::kUninitialized;
  const Item& there = a_lacks ? b : a;
  if ((a_lacks || b_lacks) && !there.is_tensor()) {
    if (there.list && !there.list->stacked) {
      std::vector<Item> items;
      for (const Item& item : there.list->items)
        items.push_back(a_lacks ? merge(a, item, into) : merge(item, b, into));
      return Item::list_of(std::move(items), depth(), there.kind);
    }
    if (!there.is_number() || there.is_constant()) return there;
    Item zero = Item::of(Argument::of_int(0));
    zero.plain.kind = there.plain.kind;
    return a_lacks ? merge(zero, there, into) : merge(there, zero, into);
  }
  if (a.kind == b.kind && a.list && b.list && !a.list->stacked &&
      !b.list->stacked && a.list->items.size() == b.list->items.size()) {
    std::vector<Item> items;
    for (size_t i = 0; i < a.list->items.size(); ++i)
      items.push_back(merge(a.list->items[i], b.list->items[i], into));
    return Item::list_of(std::move(items), depth(), a.kind);
  }
  Value* values[2] = {nullptr, nullptr};
  const Item* items[2] = {&a, &b};
  const bool numbers = a.is_number() && b.is_number();
  for (int i = 0; i < 2; ++i) {
    const Item& item = *items[i];
    if (item.is_tensor()) {
      values[i] = item.plain.value;
    } else if (item.is_number() && numbers) {
      const bool real = a.plain.kind == Argument::Kind::kFloat ||
                        b.plain.kind == Argument::Kind::kFloat;
      values[i] = builder_.as_tensor(
          item.plain, real ? DataType::kFloat
                      : a.plain.kind == Argument::Kind::kBool &&
                              b.plain.kind == Argument::Kind::kBool
                          ? DataType::kBool
                          : DataType::kInt64);
    } else if (item.kind == Item::Kind::kUninitialized) {
      values[i] = builder_.scalar(builder_.elem(items[1 - i]->plain.value), 0);
    } else {
      fail("the branches of an If that depends on data give " + describe(a) +
               " and " + describe(b),
           "let both give tensors or numbers");
    }
  }
  for (int i = 0; i < 2; ++i) {
    ir::Graph& graph = *into.graphs[i];
    graph.add_output(as_output(builder_, graph, values[i]));
  }
  Value* output = builder_.graph().append_output(into.node, "If");
  const DataType elem = values[0]->type.elem;
  output->type.elem = elem;
  if (!numbers) return Item::of(tracer_.wrap(output));
  return Item::of(
      Argument::computed(elem == DataType::kFloat  ? Argument::Kind::kFloat
                         : elem == DataType::kBool ? Argument::Kind::kBool
                                                   : Argument::Kind::kInt,
                         output));
}

void ScriptImporter::run_if(jit::Node* node, Frame& frame) {
  const Item condition = in(node, frame, 0);
  auto take = [&](jit::Block* block) {
    run_block(block, frame);
    for (size_t i = 0; i < node->outputs().size(); ++i)
      frame[node->output(i)] = get(frame, block->outputs()[i]);
  };
  jit::Block* const blocks[] = {node->blocks()[0], node->blocks()[1]};
  if (condition.is_constant())
    return take(blocks[condition.plain.integer != 0 ? 0 : 1]);
  if (!condition.is_number()) fail("an If depends on " + describe(condition));
  Value* chooses = condition.plain.value;
  ir::Node* branching =
      builder_.graph().add_node("If", {chooses}, std::vector<std::string>{});
  Merge into{branching, {nullptr, nullptr}};
  into.graphs[0] = ir::Graph::set_subgraph(branching, "then_branch",
                                           std::make_unique<ir::Graph>());
  into.graphs[1] = ir::Graph::set_subgraph(branching, "else_branch",
                                           std::make_unique<ir::Graph>());
  into.graphs[0]->name = "then";
  into.graphs[1]->name = "else";
  branching->name = builder_.graph().unique_name(
      builder_.scope.empty() ? "If" : builder_.scope + "/If");
  Branch branches[2];
  for (int i = 0; i < 2; ++i)
    branches[i] = run_branch(blocks[i], frame, *into.graphs[i]);
  if (!branches[0].alive || !branches[1].alive) {
    // A branch that raises is never taken.
    builder_.discard(branching);
    if (!branches[0].alive && !branches[1].alive)
      throw Raised{branches[0].raised};
    return take(blocks[branches[0].alive ? 0 : 1]);
  }
  auto only_numbers = [](const Item& a, const Item& b) {
    return a.is_number() && b.is_number();
  };
  const bool plain_choice =
      into.graphs[0]->nodes().empty() && into.graphs[1]->nodes().empty() &&
      branches[0].written.empty() && branches[1].written.empty() &&
      branches[0].attributes.empty() && branches[1].attributes.empty() &&
      std::ranges::equal(branches[0].outputs, branches[1].outputs,
                         only_numbers);
  if (plain_choice) {
    builder_.discard(branching);
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      const Item &a = branches[0].outputs[i], &b = branches[1].outputs[i];
      if (same(a, b)) {
        frame[node->output(i)] = a;
        continue;
      }
      const DataType type = builder_.result_type({&a.plain, &b.plain});
      frame[node->output(i)] = number_item(
          builder_.op("Where", {chooses, builder_.as_tensor(a.plain, type),
                                builder_.as_tensor(b.plain, type)}),
          node->output(i)->type());
    }
    return;
  }
  std::vector<Item> merged;
  for (size_t i = 0; i < node->outputs().size(); ++i)
    merged.push_back(
        merge(branches[0].outputs[i], branches[1].outputs[i], into));
  std::map<Key, Item> attributes;
  std::vector<std::pair<std::shared_ptr<aten::Cell>, Item>> written;
  for (const Branch& branch : branches) {
    for (const auto& [key, item] : branch.attributes) {
      if (attributes.contains(key)) continue;
      Item sides[2];
      for (int i = 0; i < 2; ++i) {
        const auto found = branches[i].attributes.find(key);
        sides[i] = found == branches[i].attributes.end()
                       ? settled(attributes_[key])
                       : found->second;
        // Left as it was, but written to in place.
        if (found == branches[i].attributes.end())
          for (const auto& [cell, value] : branches[i].written)
            if (sides[i].is_tensor() && sides[i].plain.cell == cell)
              sides[i].plain.value = value;
      }
      attributes.emplace(key, merge(sides[0], sides[1], into));
    }
    for (const auto& [cell, value] : branch.written) {
      if (std::ranges::any_of(written, [&, wanted = cell](const auto& known) {
            return known.first == wanted;
          }))
        continue;
      Item sides[2];
      for (int i = 0; i < 2; ++i) {
        Value* content = cell->value;
        for (const auto& [other, after] : branches[i].written)
          if (other == cell) content = after;
        sides[i] = Item::of(Argument::tensor(content));
      }
      written.emplace_back(cell, merge(sides[0], sides[1], into));
    }
  }
  if (branching->outputs().empty()) {
    builder_.discard(branching);
  } else {
    builder_.infer(*branching);
  }
  for (size_t i = 0; i < merged.size(); ++i) {
    if (merged[i].is_number() && !merged[i].is_constant())
      merged[i] = number_item(merged[i].plain.value, node->output(i)->type());
    frame[node->output(i)] = std::move(merged[i]);
  }
  for (auto& [key, item] : attributes) attributes_[key] = std::move(item);
  for (auto& [cell, item] : written)
    tracer_.write_cell(cell, tracer_.read(item.plain));
}

// A loop whose condition is known is followed iteration by iteration.
void ScriptImporter::run_loop(jit::Node* node, Frame& frame) {
  constexpr int64_t kMaxUnrolled = 512;
  const Item trips = in(node, frame, 0);
  Item condition = in(node, frame, 1);
  std::vector<Item> carried;
  for (size_t i = 2; i < node->inputs().size(); ++i)
    carried.push_back(in(node, frame, i));
  jit::Block* block = node->blocks()[0];
  const int64_t count = trips.is_constant() ? trips.plain.integer : 0;
  const bool counted = trips.is_constant() && count != INT64_MAX;
  const bool unrolls =
      trips.is_constant() && (!counted || count <= kMaxUnrolled);
  int64_t done = 0;
  while (unrolls && condition.is_constant() && condition.is_true() &&
         done < count) {
    if (done > 16 * kMaxUnrolled)
      fail("a loop does not end within " + std::to_string(16 * kMaxUnrolled) +
           " iterations");
    frame[block->inputs()[0]] = Item::of(Argument::of_int(done));
    for (size_t i = 0; i < carried.size(); ++i)
      frame[block->inputs()[i + 1]] = carried[i];
    run_block(block, frame);
    condition = get(frame, block->outputs()[0]);
    for (size_t i = 0; i < carried.size(); ++i)
      carried[i] = get(frame, block->outputs()[i + 1]);
    ++done;
  }
  const bool ended = condition.is_constant() &&
                     (!condition.is_true() || (unrolls && done >= count));
  if (ended) {
    for (size_t i = 0; i < carried.size(); ++i)
      frame[node->output(i)] = carried[i];
    return;
  }
  if (done > 0)
    fail("a loop's condition depends on data only after its first iteration");
  emit_loop(node, frame, trips, condition, std::move(carried));
}

}  // namespace lathe::io::script
