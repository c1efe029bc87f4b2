// Lists, tuples and dicts of a TorchScript program.
#include <algorithm>
#include <string_view>

#include "passes/io/torch/script/script_importer.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;

// The index from the front; nullopt when outside.
std::optional<size_t> position(int64_t index, size_t size) {
  const int64_t count = static_cast<int64_t>(size);
  if (index < -count || index >= count) return std::nullopt;
  return static_cast<size_t>(index < 0 ? index + count : index);
}

std::vector<Item> sliced(const std::vector<Item>& items, int64_t start,
                         int64_t end, int64_t step) {
  const int64_t count = static_cast<int64_t>(items.size());
  if (start < 0) start += count;
  if (end < 0) end += count;
  start = std::clamp<int64_t>(start, 0, count);
  end = std::clamp<int64_t>(end, 0, count);
  std::vector<Item> part;
  for (int64_t i = start; i < end; i += step)
    part.push_back(items[static_cast<size_t>(i)]);
  return part;
}

int64_t int_or(const Item& item, int64_t fallback) {
  return item.plain.kind == Argument::Kind::kInt ? item.plain.integer
                                                 : fallback;
}

}  // namespace

void ScriptImporter::run_list(jit::Node* node, Frame& frame) {
  std::vector<Item> items;
  for (size_t i = 0; i < node->inputs().size(); ++i)
    items.push_back(in(node, frame, i));
  set(node, frame, Item::list_of(std::move(items), depth()));
}

void ScriptImporter::run_tuple(jit::Node* node, Frame& frame) {
  run_list(node, frame);
  get(frame, node->output()).kind = Item::Kind::kTuple;
}

void ScriptImporter::run_dict(jit::Node* node, Frame& frame) {
  run_list(node, frame);
  get(frame, node->output()).kind = Item::Kind::kDict;
}

void ScriptImporter::run_unpack(jit::Node* node, Frame& frame) {
  const Item container = in(node, frame, 0);
  if (container.list && container.list->stacked)
    fail("a list that a loop fills is unpacked");
  if (!container.is_sequence() ||
      container.list->items.size() != node->outputs().size())
    throw Raised{"expected " + std::to_string(node->outputs().size()) +
                 " values to unpack"};
  for (size_t i = 0; i < node->outputs().size(); ++i)
    frame[node->output(i)] = container.list->items[i];
}

void ScriptImporter::run_tuple_index(jit::Node* node, Frame& frame) {
  const Item tuple = in(node, frame, 0);
  const Item& index = in(node, frame, 1);
  if (!tuple.is_sequence() || !index.is_constant())
    fail("a tuple is indexed by " + describe(index));
  const auto at = position(index.plain.integer, tuple.list->items.size());
  if (!at) throw Raised{"tuple index out of range"};
  set(node, frame, tuple.list->items[*at]);
}

void ScriptImporter::run_tuple_slice(jit::Node* node, Frame& frame) {
  const Item tuple = in(node, frame, 0);
  if (!tuple.is_sequence()) fail("a slice is taken of " + describe(tuple));
  set(node, frame,
      Item::list_of(sliced(tuple.list->items, node->i(c10::attr::beg),
                           node->i(c10::attr::end), 1),
                    depth(), Item::Kind::kTuple));
}

void ScriptImporter::run_get_item(jit::Node* node, Frame& frame) {
  const Item container = in(node, frame, 0), key = in(node, frame, 1);
  if (container.is_constant() && !container.list &&
      run_constant_operator(node, frame))
    return;  // a string
  if (!container.list) fail("an element is taken of " + describe(container));
  const std::vector<Item>& items = container.list->items;
  if (container.kind == Item::Kind::kDict) {
    if (!key.is_constant())
      fail("a dict is read by a key that depends on data");
    for (size_t i = 0; i + 1 < items.size(); i += 2)
      if (same(items[i], key)) return set(node, frame, items[i + 1]);
    throw Raised{"a dict lacks the key that is read"};
  }
  if (container.list->stacked)
    return set(node, frame,
               Item::of(tracer_.wrap(
                   builder_.select(container.list->stacked, 0, key.plain))));
  if (!key.is_constant())
    fail("a list is indexed by a number that depends on data");
  const auto at = position(key.plain.integer, items.size());
  if (!at) throw Raised{"list index out of range"};
  set(node, frame, items[*at]);
}

void ScriptImporter::run_set_item(jit::Node* node, Frame& frame) {
  const Item container = in(node, frame, 0), key = in(node, frame, 1);
  if (!container.list || container.list->depth != depth())
    fail("a container made outside of a branch is changed inside it");
  if (!key.is_constant())
    fail("a container is changed at a key that depends on data");
  std::vector<Item>& items = container.list->items;
  if (container.kind == Item::Kind::kDict) {
    for (size_t i = 0; i + 1 < items.size(); i += 2)
      if (same(items[i], key)) {
        items[i + 1] = in(node, frame, 2);
        return run_nothing(node, frame);
      }
    items.push_back(key);
    items.push_back(in(node, frame, 2));
    return run_nothing(node, frame);
  }
  const auto at = position(key.plain.integer, items.size());
  if (!key.is_constant() || !at) throw Raised{"list index out of range"};
  items[*at] = in(node, frame, 2);
  for (const jit::Value* output : node->outputs()) frame[output] = container;
}

void ScriptImporter::run_append(jit::Node* node, Frame& frame) {
  const Item container = in(node, frame, 0), item = in(node, frame, 1);
  if (!container.list) fail("something is appended to " + describe(container));
  for (const jit::Value* output : node->outputs()) frame[output] = container;
  if (container.list->depth == depth() && !container.list->stacked) {
    container.list->items.push_back(item);
    return;
  }
  if (loop_appends_.empty() || loop_appends_.back().first != depth() ||
      !(item.is_tensor() || item.is_number()) || container.list->stacked ||
      !container.list->items.empty())
    fail("a list made outside of a branch is changed inside it",
         "append in every iteration, to a list that starts empty");
  ir::Value* value =
      item.is_tensor()
          ? tracer_.read(item.plain)
          : builder_.as_tensor(item.plain, ir::DataType::kUndefined);
  for (Appended& appended : loop_appends_.back().second)
    if (appended.list == container.list)
      fail("two elements are appended to a list in one iteration of a loop");
  loop_appends_.back().second.push_back({container.list, value});
}

void ScriptImporter::run_len(jit::Node* node, Frame& frame) {
  const Item container = in(node, frame, 0);
  Argument length;
  if (container.is_tensor())
    length = builder_.size(tracer_.read(container.plain), 0);
  else if (container.list && container.list->stacked)
    length = builder_.size(container.list->stacked, 0);
  else if (container.kind == Item::Kind::kDict)
    length = Argument::of_int(
        static_cast<int64_t>(container.list->items.size() / 2));
  else if (container.list)
    length =
        Argument::of_int(static_cast<int64_t>(container.list->items.size()));
  else if (run_constant_operator(node, frame))
    return;
  else
    fail("the length is asked of " + describe(container));
  Item item = Item::of(length);
  item.is_size = container.is_tensor() && !length.is_constant();
  set(node, frame, std::move(item));
}

void ScriptImporter::run_contains(jit::Node* node, Frame& frame) {
  const Item container = in(node, frame, 0), key = in(node, frame, 1);
  if (container.list && container.list->stacked)
    fail(
        "whether a list that a loop fills contains something is not "
        "translated");
  if (container.kind == Item::Kind::kDict) {
    if (!key.is_constant()) fail("whether a dict has a key depends on data");
    bool found = false;
    for (size_t i = 0; i + 1 < container.list->items.size(); i += 2)
      found = found || same(container.list->items[i], key);
    return set(node, frame, Item::of(Argument::of_bool(found)));
  }
  if (run_constant_operator(node, frame)) return;
  if (!container.is_sequence() || !key.is_number())
    fail("whether " + describe(container) + " contains " + describe(key) +
         " depends on data");
  ir::Value* any = nullptr;
  for (const Item& item : container.list->items) {
    if (key.plain.value && key.plain.value->is_graph_input() &&
        item.is_constant())
      compared_with_[key.plain.value->name()].insert(item.plain.integer);
    const ir::DataType type = builder_.result_type({&key.plain, &item.plain});
    ir::Value* equal =
        builder_.op("Equal", {builder_.as_tensor(key.plain, type),
                              builder_.as_tensor(item.plain, type)});
    any = any ? builder_.op("Or", {any, equal}) : equal;
  }
  set(node, frame,
      any ? number_item(any, c10::BoolType::get())
          : Item::of(Argument::of_bool(false)));
}

bool ScriptImporter::run_on_stacked(jit::Node* node, Frame& frame) {
  if (node->inputs().empty()) return false;
  const Item list = in(node, frame, 0);
  if (!list.list || !list.list->stacked) return false;
  const std::string name = node->kind().toUnqualString();
  ir::Value* stacked = list.list->stacked;  // [count, …]
  if (name != "stack" && name != "cat")
    fail("aten::" + name + " of a list that a loop fills is not translated",
         "use torch.stack or torch.cat on it");
  const int64_t rank = builder_.rank(stacked);
  int64_t axis = in(node, frame, 1).plain.integer;
  const int64_t limit = name == "stack" ? rank : rank - 1;
  if (axis < 0) axis += limit;
  if (axis < 0 || axis >= limit) throw Raised{"dimension out of range"};
  // The count goes to the axis; for cat, just before it and merged with it.
  std::vector<int64_t> order;
  for (int64_t i = 1; i < rank; ++i) order.push_back(i);
  order.insert(order.begin() + axis, 0);
  ir::Value* moved = builder_.transpose(stacked, order);
  if (name == "cat") {
    std::vector<Argument> shape;
    for (int64_t i = 0; i < rank; ++i) {
      if (i == axis) continue;
      shape.push_back(i == axis + 1 ? Argument::of_int(-1)
                                    : builder_.size(moved, i));
    }
    moved = builder_.reshape(moved, builder_.int_vector(shape));
  }
  set(node, frame, Item::of(tracer_.wrap(moved)));
  return true;
}

bool ScriptImporter::slice_list(jit::Node* node, Frame& frame,
                                const std::vector<Item>& items) {
  for (size_t i = 1; i < 4; ++i)
    if (!in(node, frame, i).is_constant())
      fail("a list is sliced by a number that depends on data");
  const int64_t step = int_or(in(node, frame, 3), 1);
  if (step < 1) fail("a list is sliced with a step below 1");
  set(node, frame,
      Item::list_of(sliced(items, int_or(in(node, frame, 1), 0),
                           int_or(in(node, frame, 2), INT64_MAX), step),
                    depth()));
  return true;
}

// Whether two lists are equal (or differ), as far as numbers tell.
Item ScriptImporter::compared_lists(const std::vector<Item>& a,
                                    const std::vector<Item>& b, bool equal) {
  auto truth = [](bool value) { return Item::of(Argument::of_bool(value)); };
  if (a.size() != b.size()) return truth(!equal);
  ir::Value* all = nullptr;
  for (size_t i = 0; i < a.size(); ++i) {
    if (same(a[i], b[i]) || same_size(a[i], b[i])) continue;
    if (a[i].is_constant() && b[i].is_constant()) return truth(!equal);
    if (!a[i].is_number() || !b[i].is_number())
      fail("lists of " + describe(a[i]) + " and " + describe(b[i]) +
           " are compared");
    const ir::DataType type = builder_.result_type({&a[i].plain, &b[i].plain});
    ir::Value* one =
        builder_.op("Equal", {builder_.as_tensor(a[i].plain, type),
                              builder_.as_tensor(b[i].plain, type)});
    all = all ? builder_.op("And", {all, one}) : one;
  }
  if (!all) return truth(equal);
  return number_item(equal ? all : builder_.op("Not", {all}),
                     c10::BoolType::get());
}

// Python's operators on lists that hold something computed.
bool ScriptImporter::run_on_list(jit::Node* node, Frame& frame) {
  if (node->inputs().empty()) return false;
  const Item list = in(node, frame, 0);
  if (!list.is_sequence()) return false;
  const std::string_view name = node->kind().toUnqualString();
  const bool on_list =
      node->input(0)->type()->kind() == c10::TypeKind::ListType;
  if (!on_list) return false;
  std::vector<Item> items = list.list->items;
  const auto give = [&](std::vector<Item> result) {
    set(node, frame, Item::list_of(std::move(result), depth()));
    return true;
  };
  const bool second_list = node->inputs().size() > 1 &&
                           in(node, frame, 1).is_sequence() &&
                           in(node, frame, 1).list;
  if (name == "add" && second_list) {
    const auto& more = in(node, frame, 1).list->items;
    items.insert(items.end(), more.begin(), more.end());
    return give(std::move(items));
  }
  if (name == "mul" && in(node, frame, 1).is_constant()) {
    constexpr int64_t kMaxItems = 1'000'000;
    const int64_t times = in(node, frame, 1).plain.integer;
    if (times >
        kMaxItems / std::max<int64_t>(static_cast<int64_t>(items.size()), 1))
      fail("a list of more than " + std::to_string(kMaxItems) +
           " elements is made");
    std::vector<Item> repeated;
    for (int64_t i = 0; i < in(node, frame, 1).plain.integer; ++i)
      repeated.insert(repeated.end(), items.begin(), items.end());
    return give(std::move(repeated));
  }
  if (name == "slice" && node->inputs().size() == 4)
    return slice_list(node, frame, items);
  if (name == "list" || name == "copy") return give(std::move(items));
  if ((name == "eq" || name == "ne") && second_list) {
    set(node, frame,
        compared_lists(items, in(node, frame, 1).list->items, name == "eq"));
    return true;
  }
  const bool changes = name == "extend" || name == "pop" || name == "insert" ||
                       name == "clear" || name == "reverse" || name == "add_";
  if (!changes) return false;
  if (list.list->depth != depth())
    fail("a list made outside of a branch is changed inside it");
  if ((name == "insert" || (name == "pop" && node->inputs().size() > 1)) &&
      !in(node, frame, 1).is_constant())
    fail("a list is changed at a place that depends on data");
  std::vector<Item>& own = list.list->items;
  for (const jit::Value* output : node->outputs()) frame[output] = list;
  if (name == "clear") {
    own.clear();
  } else if (name == "reverse") {
    std::ranges::reverse(own);
  } else if (second_list) {
    own.insert(own.end(), in(node, frame, 1).list->items.begin(),
               in(node, frame, 1).list->items.end());
  } else if (name == "insert") {
    const int64_t count = static_cast<int64_t>(own.size());
    int64_t at = in(node, frame, 1).plain.integer;
    at = std::clamp<int64_t>(at < 0 ? at + count : at, 0, count);
    own.insert(own.begin() + at, in(node, frame, 2));
  } else if (name == "pop") {
    const int64_t index =
        node->inputs().size() > 1 ? in(node, frame, 1).plain.integer : -1;
    const auto at = position(index, own.size());
    if (!at) throw Raised{"pop from a list without that element"};
    frame[node->output()] = own[*at];
    own.erase(own.begin() + static_cast<std::ptrdiff_t>(*at));
  }
  return true;
}

}  // namespace lathe::io::script
