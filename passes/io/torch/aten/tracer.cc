#include "passes/io/torch/aten/tracer.h"

#include <algorithm>
#include <set>

namespace lathe::io::aten {
namespace {

using ir::Value;

// A program's views are re-made one after the other when their base changes.
constexpr int kMaxViewDepth = 1000;

// Operators whose result shares its argument's memory, and how that argument
// is called in their schema.
bool makes_view(const std::string& name) {
  static const std::set<std::string> kViews{"view",
                                            "reshape",
                                            "_unsafe_view",
                                            "flatten",
                                            "unflatten",
                                            "unsqueeze",
                                            "squeeze",
                                            "transpose",
                                            "swapaxes",
                                            "swapdims",
                                            "t",
                                            "permute",
                                            "movedim",
                                            "moveaxis",
                                            "select",
                                            "slice",
                                            "narrow",
                                            "expand",
                                            "expand_as",
                                            "view_as",
                                            "split",
                                            "chunk",
                                            "unbind",
                                            "diagonal",
                                            "split_with_sizes",
                                            "numpy_T",
                                            "mT",
                                            "detach",
                                            "alias",
                                            "contiguous",
                                            "mH",
                                            "adjoint",
                                            "tensor_split",
                                            "hsplit",
                                            "vsplit",
                                            "dsplit",
                                            "ravel",
                                            "broadcast_to",
                                            "unfold",
                                            "reshape_as",
                                            "as_strided",
                                            "matrix_H",
                                            "atleast_1d",
                                            "atleast_2d",
                                            "atleast_3d"};
  return kViews.contains(name);
}

// Whether the result is the argument itself when nothing has to be done.
bool may_return_self(const std::string& name) {
  static const std::set<std::string> kNames{
      "to",      "contiguous", "detach", "alias",      "dropout",
      "cpu",     "cuda",       "lift",   "lift_fresh", "feature_dropout",
      "type_as", "positive",   "real",   "data",       "resolve_conj",
      "float",   "double",     "half",   "resolve_neg"};
  return kNames.contains(name);
}

bool is_in_place(const std::string& name) {
  return name.size() > 1 && name.back() == '_' && name[name.size() - 2] != '_';
}

// The axis of a view's `dim` argument (0 when left out), from the front.
int64_t view_axis(const NamedArguments& arguments, int64_t rank) {
  for (const auto& [name, argument] : arguments)
    if (name == "dim" && argument.kind == Argument::Kind::kInt)
      return argument.integer < 0 ? argument.integer + rank : argument.integer;
  return 0;
}

const Argument& find(const NamedArguments& arguments, const char* wanted) {
  static const Argument kAbsent;
  for (const auto& [name, argument] : arguments)
    if (name == wanted) return argument;
  return kAbsent;
}

bool is_constant_or_absent(const Argument& argument) {
  return argument.is_none() || argument.is_constant();
}

}  // namespace

Argument Tracer::wrap(Value* value) {
  Argument argument = Argument::tensor(value);
  argument.cell = std::make_shared<Cell>();
  argument.cell->value = value;
  return argument;
}

void Tracer::remember(const std::shared_ptr<Cell>& cell) {
  for (Branch& branch : branches_)
    if (std::ranges::find(branch, cell, &Branch::value_type::first) ==
        branch.end())
      branch.emplace_back(cell, *cell);
}

Value* Tracer::current(const std::shared_ptr<Cell>& shared) {
  Cell& cell = *shared;
  if (!cell.base) return cell.value;
  Value* base = current(cell.base);
  if (cell.base->version == cell.base_version) return cell.value;
  // The base was written to: the view shows what it is now.
  remember(shared);
  NamedArguments arguments = cell.view_arguments;
  arguments.emplace_back(cell.base_argument, Argument::tensor(base));
  for (auto& [name, argument] : arguments)
    if (name != cell.base_argument) argument = refreshed(argument);
  const AtenRow* row = find_aten(cell.view_name);
  const Arguments results = row->emit(AtenCall(
      cell.view_name, cell.view_overload, std::move(arguments), builder_));
  const Argument& result = results.front();
  cell.value =
      result.is_list() ? result.items.at(cell.view_item).value : result.value;
  cell.base_version = cell.base->version;
  cell.version = ++last_version_;
  return cell.value;
}

Value* Tracer::read(const Argument& tensor) {
  return tensor.cell ? current(tensor.cell) : tensor.value;
}

Argument Tracer::refreshed(const Argument& argument) {
  Argument fresh = argument;
  if (fresh.is_tensor()) fresh.value = read(argument);
  for (Argument& item : fresh.items) item = refreshed(item);
  return fresh;
}

void Tracer::write_cell(const std::shared_ptr<Cell>& cell, Value* value) {
  remember(cell);
  if (cell->base) {
    write_cell(cell->base, into_base(*cell, current(cell->base), value));
    cell->base_version = cell->base->version;
  }
  cell->value = value;
  cell->version = ++last_version_;
}

Value* Tracer::into_base(const Cell& view, Value* base, Value* value) {
  const NamedArguments& arguments = view.view_arguments;
  const std::string& name = view.view_name;
  if (name == "detach" || name == "alias" || name == "contiguous") return value;
  if (name == "select" || name == "slice" || name == "narrow") {
    const int64_t rank = builder_.rank(base);
    const int64_t axis = view_axis(arguments, rank);
    const bool selects = name == "select";
    const Argument& start = find(arguments, selects ? "index" : "start");
    const Argument& end = find(arguments, selects ? "index" : "end");
    const Argument& step = find(arguments, "step");
    const Argument& length = find(arguments, "length");
    if (is_constant_or_absent(start) && is_constant_or_absent(end) &&
        is_constant_or_absent(length) &&
        (step.is_none() || (step.is_constant() && step.integer == 1))) {
      const int64_t from = start.is_none() ? 0 : start.integer;
      Value* middle = selects ? builder_.unsqueeze(value, {axis}) : value;
      std::vector<Value*> parts;
      if (from != 0) parts.push_back(builder_.slice(base, axis, 0, from));
      parts.push_back(middle);
      int64_t to = INT64_MAX;
      if (selects)
        to = from == -1 ? INT64_MAX : from + 1;
      else if (!length.is_none())
        to = from < 0 && from + length.integer == 0 ? INT64_MAX
                                                    : from + length.integer;
      else if (!end.is_none())
        to = end.integer;
      const auto size = builder_.known_dim(base, axis);
      if (to != INT64_MAX && !(size && to >= *size))
        parts.push_back(builder_.slice(base, axis, to, std::nullopt));
      return builder_.concat(parts, axis);
    }
  }
  if (name == "permute" || name == "transpose" || name == "t") {
    const int64_t rank = builder_.rank(base);
    std::vector<int64_t> order;
    for (int64_t i = 0; i < rank; ++i) order.push_back(i);
    auto axis_of = [&](const char* argument) {
      const int64_t axis = find(arguments, argument).integer;
      return static_cast<size_t>(axis < 0 ? axis + rank : axis);
    };
    if (name == "t" && rank == 2) {
      order = {1, 0};
    } else if (name == "transpose") {
      std::swap(order[axis_of("dim0")], order[axis_of("dim1")]);
    } else if (name == "permute") {
      const Arguments& dims = find(arguments, "dims").items;
      for (size_t i = 0; i < dims.size(); ++i) {
        const int64_t axis = dims[i].integer;
        order[static_cast<size_t>(axis < 0 ? axis + rank : axis)] =
            static_cast<int64_t>(i);
      }
    }
    return builder_.transpose(value, order);
  }
  static const std::set<std::string> kReshapes{
      "view",      "reshape", "_unsafe_view", "flatten",
      "unflatten", "squeeze", "unsqueeze",    "view_as"};
  if (kReshapes.contains(name))
    return builder_.reshape(value, builder_.shape_of(base));
  builder_.fail("an in-place operator writes into a view made by aten::" +
                    name + ", which is not translated",
                "write to the whole tensor, or clone() the view first");
}

void Tracer::write(const Argument& tensor, Value* value) {
  Value* before = read(tensor);
  Value* content = builder_.cast(value, builder_.elem(before));
  const auto from = builder_.known_dims(content);
  const auto to = builder_.known_dims(before);
  const bool same_rank =
      builder_.known_rank(content) &&
      builder_.known_rank(content) == builder_.known_rank(before);
  if ((from && to && *from != *to) || !same_rank)
    content = builder_.expand(content, builder_.shape_of(before));
  if (!tensor.cell)
    builder_.fail("an in-place operator writes to a tensor without identity");
  write_cell(tensor.cell, content);
}

// Operators that give a view where they can and copy where they cannot:
// memory whose order changed since the tensor was made.
bool Tracer::copies(const std::string& name, const Cell& base) {
  if (name != "contiguous" && name != "reshape" && name != "flatten")
    return false;
  for (const Cell* cell = &base; cell->base; cell = cell->base.get())
    for (const char* reorders : {"permute", "transpose", "t", "expand", "mT",
                                 "numpy_T", "movedim", "swapaxes"})
      if (cell->view_name == reorders) return true;
  return false;
}

Arguments Tracer::wrap_results(Arguments results, const std::string& name,
                               const std::string& overload,
                               const NamedArguments& arguments) {
  std::shared_ptr<Cell> base;
  std::string base_argument;
  if (makes_view(name) && !arguments.empty() &&
      arguments.front().second.is_tensor()) {
    base = arguments.front().second.cell;
    if (base && copies(name, *base)) base = nullptr;
    base_argument = arguments.front().first;
  }
  NamedArguments rest(arguments.begin() + (arguments.empty() ? 0 : 1),
                      arguments.end());
  // to(…, copy=True) and contiguous() of reordered memory give a new tensor.
  bool copied = false;
  for (const auto& [key, argument] : arguments) {
    copied = copied || (key == "copy" && argument.integer != 0);
    copied = copied || (argument.cell && copies(name, *argument.cell));
  }
  auto wrap_one = [&](Argument& result, size_t item) {
    if (!result.is_tensor()) return;
    for (const auto& [key, argument] : arguments)
      if (argument.is_tensor() && argument.cell && may_return_self(name) &&
          !copied && argument.value == result.value) {
        result.cell = argument.cell;
        return;
      }
    result = wrap(result.value);
    if (!base) return;
    Cell& cell = *result.cell;
    cell.base = base;
    cell.depth = base->depth + 1;
    if (cell.depth > kMaxViewDepth)
      builder_.fail("a view of a view goes more than " +
                    std::to_string(kMaxViewDepth) + " deep");
    cell.base_version = base->version;
    cell.view_name = name;
    cell.view_overload = overload;
    cell.view_arguments = rest;
    cell.base_argument = base_argument;
    cell.view_item = item;
  };
  for (Argument& result : results) {
    wrap_one(result, 0);
    for (size_t i = 0; i < result.items.size(); ++i)
      wrap_one(result.items[i], i);
  }
  return results;
}

Arguments Tracer::call(const std::string& name, const std::string& overload,
                       NamedArguments arguments) {
  for (auto& [key, argument] : arguments) {
    argument = refreshed(argument);
    if (key == "out" && !argument.is_none())
      builder_.fail("aten::" + name + " writes into its argument 'out'",
                    "use the result instead");
  }
  const bool in_place = is_in_place(name) && !find_aten(name);
  const std::string pure = in_place ? name.substr(0, name.size() - 1) : name;
  const AtenRow* row = find_aten(pure);
  if (!row)
    builder_.fail("operator aten::" + name +
                      (overload.empty() ? "" : "." + overload) +
                      " has no translation to ONNX",
                  "replace it in the model, or export with torch.onnx.export");
  if (!in_place) {
    Arguments results =
        row->emit(AtenCall(pure, overload, arguments, builder_));
    return wrap_results(std::move(results), pure, overload, arguments);
  }
  if (arguments.empty() || !arguments.front().second.is_tensor())
    builder_.fail("aten::" + name + ": its first argument is not a tensor");
  Argument self = arguments.front().second;
  // dropout(input, …) is dropout_(self, …) in place.
  if (arguments.front().first == "self") arguments.emplace_back("input", self);
  const Arguments results =
      row->emit(AtenCall(pure, overload, std::move(arguments), builder_));
  if (makes_view(pure) && self.cell)  // squeeze_: another shape, same content
    write_cell(self.cell, results.front().value);
  else
    write(self, results.front().value);
  self.value = read(self);
  return {self};
}

Tracer::Written Tracer::end_branch() {
  const Branch branch = std::move(branches_.back());
  branches_.pop_back();
  Written written;
  for (const auto& [cell, before] : branch) {
    if (!cell->base && cell->value != before.value &&
        &before.value->graph() != &builder_.graph())
      written.emplace_back(cell, cell->value);
    *cell = before;
  }
  return written;
}

}  // namespace lathe::io::aten
