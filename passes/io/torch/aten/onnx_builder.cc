#include "passes/io/torch/aten/onnx_builder.h"

#include <algorithm>
#include <limits>

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Tensor;
using ir::Value;

// Larger constants are looked up by nothing: comparing them costs more.
constexpr uint64_t kMaxSharedBytes = 4096;

bool is_int(const Argument& argument, int64_t value) {
  return argument.kind == Argument::Kind::kInt && !argument.value &&
         argument.integer == value;
}

}  // namespace

OnnxBuilder::OnnxBuilder(ir::Model& model)
    : model_(model), graphs_{model.graph.get()}, session_([&]() -> auto& {
        model.opset_imports[""] = kOpset;
        return model;
      }()) {}

std::string OnnxBuilder::value_name(const std::string& type) const {
  return scope.empty() ? type : scope + "/" + type;
}

// `base`, `base_2`, …: the search goes on where it ended before.
std::string OnnxBuilder::fresh_name(const std::string& base) {
  int64_t& last = last_suffix_[base];
  ++last;
  return last == 1 ? base : base + "_" + std::to_string(last);
}

Value* OnnxBuilder::op(const std::string& type, std::vector<Value*> inputs,
                       const NamedAttributes& attributes) {
  return op_n(type, std::move(inputs), 1, attributes).front();
}

std::vector<Value*> OnnxBuilder::op_n(const std::string& type,
                                      std::vector<Value*> inputs,
                                      size_t outputs,
                                      const NamedAttributes& attributes) {
  while (!inputs.empty() && !inputs.back()) inputs.pop_back();
  const std::string base = value_name(type);
  ir::Node* node =
      graph().add_node(type, std::move(inputs), std::vector<std::string>{});
  for (size_t i = 0; i < outputs; ++i)
    graph().append_output(
        node, fresh_name(i == 0 ? base : base + "_" + std::to_string(i)));
  node->name = node->output(0) ? node->output(0)->name() : base;
  for (const auto& [name, value] : attributes)
    std::visit([&, key = name](const auto& data) { node->set_attr(key, data); },
               value);
  infer(*node);
  return node->outputs();
}

void OnnxBuilder::infer(ir::Node& node) {
  try {
    session_.infer(node);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    fail_input(error.what());
  }
}

void OnnxBuilder::discard(ir::Node* node) {
  for (ir::Graph* subgraph : node->subgraphs())
    ir::for_each_graph(*subgraph, [&](ir::Graph& inner) {
      for (Value* value : inner.values()) session_.forget(value);
    });
  for (Value* output : node->outputs()) session_.forget(output);
  graph().remove_node(node);
}

Value* OnnxBuilder::constant(const Tensor& tensor) {
  if (tensor.size_bytes() > kMaxSharedBytes ||
      tensor.type() == DataType::kString)
    return main_graph().add_constant("constant", tensor);
  std::string key = std::to_string(static_cast<int>(tensor.type()));
  for (int64_t dim : tensor.dims()) key += "," + std::to_string(dim);
  key += ":";
  key.append(reinterpret_cast<const char*>(tensor.bytes().data()),
             tensor.bytes().size());
  Value*& known = constants_[key];
  if (!known) known = main_graph().add_constant("constant", tensor);
  return known;
}

Value* OnnxBuilder::ints(const std::vector<int64_t>& values) {
  return constant(Tensor::vector_i64(values));
}

Value* OnnxBuilder::scalar(DataType type, double value) {
  if (type == DataType::kInt64) return scalar_int(static_cast<int64_t>(value));
  return constant(Tensor::from_doubles(type, {}, std::span(&value, 1)));
}

Value* OnnxBuilder::scalar_int(int64_t value) {
  return constant(Tensor::scalar<int64_t>(value));
}

Value* OnnxBuilder::weight(const std::string& name, Tensor tensor) {
  return main_graph().add_constant(name, std::move(tensor));
}

bool OnnxBuilder::is_floating(const Value* value) const {
  return ir::is_floating(value->type.elem);
}

std::optional<int64_t> OnnxBuilder::known_rank(const Value* value) const {
  if (!value->type.shape) return std::nullopt;
  return static_cast<int64_t>(value->type.shape->size());
}

int64_t OnnxBuilder::rank(const Value* value) const {
  if (const auto known = known_rank(value)) return *known;
  fail("the rank of its argument '" + value->name() +
           "' must be known and is not",
       kShapeHint);
}

std::optional<int64_t> OnnxBuilder::known_dim(const Value* value,
                                              int64_t axis) const {
  const auto& shape = value->type.shape;
  if (!shape || axis < 0 || axis >= static_cast<int64_t>(shape->size()))
    return std::nullopt;
  const ir::Dim& dim = (*shape)[static_cast<size_t>(axis)];
  if (!dim.known()) return std::nullopt;
  return dim.value;
}

int64_t OnnxBuilder::dim(const Value* value, int64_t axis,
                         const char* what) const {
  if (const auto known = known_dim(value, axis)) return *known;
  fail(std::string(what) + " must be known and is not (dimension " +
           std::to_string(axis) + " of '" + value->name() + "')",
       kShapeHint);
}

std::optional<std::vector<int64_t>> OnnxBuilder::known_dims(
    const Value* value) const {
  if (!value->type.has_static_shape()) return std::nullopt;
  return ir::to_dims(*value->type.shape);
}

std::optional<std::vector<int64_t>> OnnxBuilder::known_ints(
    const Value* value) {
  const ir::FollowedValue* data = session_.data(value);
  if (!data) return std::nullopt;
  std::vector<int64_t> ints;
  for (const ir::Element& element : data->elements) {
    if (!element.is_int()) return std::nullopt;
    ints.push_back(element.integer);
  }
  return ints;
}

std::optional<ir::Shape> OnnxBuilder::followed_sizes(const Value* value) {
  const ir::FollowedValue* data = session_.data(value);
  if (!data) return std::nullopt;
  ir::Shape sizes;
  for (const ir::Element& element : data->elements)
    sizes.push_back(element.dim());
  return sizes;
}

std::string OnnxBuilder::known_symbol(const Value* value) {
  const auto sizes = followed_sizes(value);
  return sizes && sizes->size() == 1 ? sizes->front().symbol : "";
}

Argument OnnxBuilder::size(Value* value, int64_t axis) {
  if (const auto known = known_dim(value, axis))
    return Argument::of_int(*known);
  Value* all = op("Shape", {value});
  return Argument::computed(Argument::Kind::kInt,
                            op("Gather", {all, scalar_int(axis)}));
}

Value* OnnxBuilder::shape_of(Value* value) {
  if (const auto known = known_dims(value)) return ints(*known);
  return op("Shape", {value});
}

Value* OnnxBuilder::int_vector(const std::vector<Argument>& items) {
  std::vector<Value*> parts;
  std::vector<int64_t> run;
  auto flush = [&] {
    if (!run.empty()) parts.push_back(ints(run));
    run.clear();
  };
  for (const Argument& item : items) {
    if (item.kind == Argument::Kind::kInt && !item.value) {
      run.push_back(item.integer);
      continue;
    }
    flush();
    parts.push_back(int_vector(item));
  }
  flush();
  if (parts.empty()) return ints({});
  return concat(parts, 0);
}

Value* OnnxBuilder::int_vector(const Argument& item) {
  if (item.is_number() && !item.value) return ints({item.integer});
  Value* value = int_scalar(item);
  return known_rank(value) == 1 ? value : reshape(value, {1});
}

Value* OnnxBuilder::int_scalar(const Argument& item) {
  if (item.is_number() && !item.value) return scalar_int(item.integer);
  if (!item.value) fail("found " + describe(item) + ", expected an int");
  Value* value = cast(item.value, DataType::kInt64);
  return known_rank(value).value_or(0) == 0
             ? value
             : reshape(value, std::vector<int64_t>{});
}

Value* OnnxBuilder::cast(Value* value, DataType type) {
  if (value->type.elem == type || type == DataType::kUndefined) return value;
  if (value->is_constant() && value->tensor().size() == 1 &&
      bits_per_element(value->type.elem) >= 8 && bits_per_element(type) >= 8)
    return constant(Tensor::from_doubles(type, value->tensor().dims(),
                                         value->tensor().to_doubles()));
  return op("Cast", {value}, {{"to", static_cast<int64_t>(type)}});
}

Value* OnnxBuilder::reshape(Value* value, const std::vector<int64_t>& shape) {
  const auto known = known_dims(value);
  if (known && *known == shape) return value;
  const bool zero = std::ranges::find(shape, 0) != shape.end();
  return op(
      "Reshape", {value, ints(shape)},
      zero ? NamedAttributes{{"allowzero", int64_t{1}}} : NamedAttributes{});
}

Value* OnnxBuilder::reshape(Value* value, Value* shape) {
  if (const auto known = known_ints(shape)) return reshape(value, *known);
  return op("Reshape", {value, shape}, {{"allowzero", int64_t{1}}});
}

Value* OnnxBuilder::transpose(Value* value, const std::vector<int64_t>& order) {
  if (std::ranges::is_sorted(order)) return value;
  return op("Transpose", {value}, {{"perm", order}});
}

Value* OnnxBuilder::unsqueeze(Value* value, const std::vector<int64_t>& axes) {
  return axes.empty() ? value : op("Unsqueeze", {value, ints(axes)});
}

Value* OnnxBuilder::squeeze(Value* value, const std::vector<int64_t>& axes) {
  return axes.empty() ? value : op("Squeeze", {value, ints(axes)});
}

Value* OnnxBuilder::expand(Value* value, Value* shape) {
  const auto target = known_ints(shape);
  const auto known = known_dims(value);
  if (target && known && *known == *target) return value;
  return op("Expand", {value, shape});
}

Value* OnnxBuilder::concat(const std::vector<Value*>& values, int64_t axis) {
  return values.size() == 1 ? values.front()
                            : op("Concat", values, {{"axis", axis}});
}

Value* OnnxBuilder::slice(Value* value, int64_t axis, int64_t start,
                          std::optional<int64_t> end, int64_t step) {
  return slice(value, axis, Argument::of_int(start),
               end ? Argument::of_int(*end) : Argument::none(),
               Argument::of_int(step));
}

Value* OnnxBuilder::slice(Value* value, int64_t axis, const Argument& start,
                          const Argument& end, const Argument& step) {
  constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
  const Argument from = start.is_none() ? Argument::of_int(0) : start;
  const Argument to = end.is_none() ? Argument::of_int(kEnd) : end;
  const Argument by = step.is_none() ? Argument::of_int(1) : step;
  const auto size = known_dim(value, axis);
  const bool to_end =
      is_int(to, kEnd) || (size && to.is_constant() && to.integer >= *size);
  if (is_int(from, 0) && to_end && is_int(by, 1)) return value;
  return op("Slice", {value, int_vector(from), int_vector(to), ints({axis}),
                      is_int(by, 1) ? nullptr : int_vector(by)});
}

Value* OnnxBuilder::select(Value* value, int64_t axis, const Argument& index) {
  return op("Gather", {value, int_scalar(index)}, {{"axis", axis}});
}

Value* OnnxBuilder::reduce(const std::string& type, Value* value,
                           const std::vector<int64_t>& axes, bool keep_dims) {
  NamedAttributes attributes{{"keepdims", int64_t{keep_dims}}};
  // Until opset 18 only ReduceSum takes its axes as an input.
  if (type == "ReduceSum")
    return op(type, {value, axes.empty() ? nullptr : ints(axes)}, attributes);
  if (!axes.empty()) attributes.emplace_back("axes", axes);
  return op(type, {value}, attributes);
}

void OnnxBuilder::fail(const std::string& what, const std::string& hint) const {
  throw_unsupported(where, what, hint);
}

void OnnxBuilder::fail_input(const std::string& what,
                             const std::string& hint) const {
  throw_input(where, what, hint);
}

}  // namespace lathe::io::aten
