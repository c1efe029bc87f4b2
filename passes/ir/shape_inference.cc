#include "passes/ir/shape_inference.h"

#include "passes/base/error.h"
#include "passes/ir/infer_context.h"
#include "passes/ir/op_table.h"

namespace lathe::ir {
namespace {

constexpr int kMaxFunctionDepth = 64;
constexpr int64_t kMaxCopiedNodes = 1'000'000;
// For models without an import of ai.onnx, which only tests build.
constexpr int64_t kAssumedOpset = 17;

int64_t version_of(const std::map<std::string, int64_t>& imports) {
  for (const char* domain : {"", "ai.onnx"})
    if (auto it = imports.find(domain); it != imports.end()) return it->second;
  return 0;
}

std::optional<FollowedValue> decode(const Tensor& tensor) {
  if (tensor.size() > kMaxFollowedElements) return std::nullopt;
  FollowedValue value;
  value.dims = tensor.dims();
  bool whole = is_integer(tensor.type()) || tensor.type() == DataType::kBool;
  if (whole) {
    for (int64_t element : tensor.to_int64s())
      value.elements.push_back(Element::of(element));
    return value;
  }
  if (tensor.type() != DataType::kFloat && tensor.type() != DataType::kDouble &&
      tensor.type() != DataType::kFloat16 &&
      tensor.type() != DataType::kBfloat16)
    return std::nullopt;
  for (double element : tensor.to_doubles())
    value.elements.push_back(Element::of_real(element));
  return value;
}

void check_arity(const Node& node, const Operator& op) {
  auto complain = [&](const char* what, size_t found, int min, int max) {
    std::string expected =
        max == min ? std::to_string(min)
        : max < 0  ? "at least " + std::to_string(min)
                   : std::to_string(min) + " to " + std::to_string(max);
    throw_input(node.label(), "has " + std::to_string(found) + " " + what +
                                  ", but takes " + expected);
  };
  size_t inputs = node.inputs().size(), outputs = node.outputs().size();
  if (inputs < static_cast<size_t>(op.min_inputs) ||
      (op.max_inputs >= 0 && inputs > static_cast<size_t>(op.max_inputs)))
    complain("inputs", inputs, op.min_inputs, op.max_inputs);
  if (outputs < static_cast<size_t>(op.min_outputs) ||
      (op.max_outputs >= 0 && outputs > static_cast<size_t>(op.max_outputs)))
    complain("outputs", outputs, op.min_outputs, op.max_outputs);
  // Loop's first two inputs count as given even where they are left empty, and
  // contrib operators leave out inputs in the middle.
  if (node.op_type == "Loop" || *op.domain) return;
  for (int i = 0; i < op.min_inputs; ++i)
    if (!node.input(static_cast<size_t>(i)))
      throw_input(node.label(), "input " + std::to_string(i) + " is missing");
}

void substitute_references(Graph& graph, const Function& function,
                           const Node& call) {
  for (const auto& node : graph.nodes()) {
    std::vector<std::pair<std::string, std::string>> references;
    for (const auto& [name, attribute] : node->attributes())
      if (!attribute.ref_name.empty())
        references.emplace_back(name, attribute.ref_name);
    for (const auto& [name, source] : references) {
      const Attribute* given = call.attribute(source);
      if (!given)
        for (const auto& [key, fallback] : function.default_attributes)
          if (key == source) given = &fallback;
      bool copied = false;
      if (given)
        std::visit(
            [&](const auto& data) {
              using T = std::decay_t<decltype(data)>;
              constexpr bool kHoldsGraph =
                  std::is_same_v<T, std::unique_ptr<Graph>> ||
                  std::is_same_v<T, std::vector<std::unique_ptr<Graph>>>;
              if constexpr (!kHoldsGraph) {
                node->set_attr(name, data);
                copied = true;
              }
            },
            given->data);
      if (!copied) node->remove_attribute(name);
    }
    for (Graph* sub : node->subgraphs())
      substitute_references(*sub, function, call);
  }
}

}  // namespace

const Function* find_function(const Model& model, const Node& node) {
  for (const Function& function : model.functions)
    if (function.name == node.op_type && function.domain == node.domain &&
        function.overload == node.overload)
      return &function;
  return nullptr;
}

std::unique_ptr<Graph> instantiate(const Function& function, const Node& node) {
  auto body = clone(*function.body);
  substitute_references(*body, function, node);
  for (size_t i = 0; i < body->inputs().size(); ++i) {
    Value* input = body->inputs()[i];
    input->type = node.input(i) ? node.input(i)->type : ValueType();
  }
  return body;
}

InferSession::InferSession(const Model& model)
    : model_(model), opset_(version_of(model.opset_imports)) {
  if (opset_ == 0) opset_ = kAssumedOpset;
}

const FollowedValue* InferSession::data(const Value* value) {
  auto it = followed_.find(value);
  if (it != followed_.end()) return &it->second;
  if (!value->has_initializer()) return nullptr;
  auto decoded = decode(value->tensor());
  if (!decoded) return nullptr;
  return &followed_.emplace(value, std::move(*decoded)).first->second;
}

void InferSession::set_data(const Value* value, FollowedValue data) {
  if (data.elements.size() <= static_cast<size_t>(kMaxFollowedElements))
    followed_.insert_or_assign(value, std::move(data));
}

bool InferSession::afford_copy(const Graph& body) {
  for_each_graph(const_cast<Graph&>(body), [&](Graph& graph) {
    copied_nodes_ += static_cast<int64_t>(graph.nodes().size()) + 1;
  });
  return copied_nodes_ <= kMaxCopiedNodes;
}

bool InferSession::infer(Graph& graph, bool lenient) {
  bool fits = true;
  for (const auto& node : graph.nodes()) {
    for (Value* output : node->outputs())
      if (output) forget(output);
    try {
      infer(*node);
    } catch (const Error& error) {
      if (!lenient || error.kind() != ErrorKind::kInput) throw;
      fits = false;
    }
  }
  return fits;
}

void InferSession::infer(Node& node) {
  if (const Function* function = find_function(model_, node)) {
    infer_function(node, *function);
    return;
  }
  const Operator* op = find_operator(node);
  if (!op) return;
  check_arity(node, *op);
  if (!op->infer) return;
  InferContext context(node, *this);
  op->infer(context);
}

void InferSession::infer_function(Node& node, const Function& function) {
  if (!function.body) return;
  if (node.inputs().size() > function.body->inputs().size())
    throw_input(node.label(),
                "has " + std::to_string(node.inputs().size()) +
                    " inputs, but its function takes " +
                    std::to_string(function.body->inputs().size()));
  if (depth_ >= kMaxFunctionDepth)
    throw_input(node.label(),
                "model-local functions call each other more than " +
                    std::to_string(kMaxFunctionDepth) + " deep");
  if (!afford_copy(*function.body)) return;
  auto body = instantiate(function, node);
  for (size_t i = 0; i < node.inputs().size(); ++i)
    if (node.input(i))
      if (const FollowedValue* known = data(node.input(i)))
        set_data(body->inputs()[i], FollowedValue(*known));
  int64_t outer_opset = opset_;
  if (int64_t version = version_of(function.opset_imports)) opset_ = version;
  ++depth_;
  try {
    infer(*body);
  } catch (...) {
    --depth_;
    opset_ = outer_opset;
    throw;
  }
  --depth_;
  opset_ = outer_opset;
  for (size_t i = 0; i < node.outputs().size() && i < body->outputs().size();
       ++i) {
    Value* to = node.output(i);
    const Value* from = body->outputs()[i];
    if (!to) continue;
    if (!from->type.is_tensor()) {
      to->type = from->type;
      continue;
    }
    merge_type(to->type, from->type.elem, from->type.shape);
    if (const FollowedValue* known = data(from))
      set_data(to, FollowedValue(*known));
  }
  // The body's values go away; their addresses may come again.
  for_each_graph(*body, [&](Graph& graph) {
    for (Value* value : graph.values()) forget(value);
  });
}

void infer_shapes(Model& model) {
  if (!model.graph) return;
  for_each_graph(*model.graph, [](Graph& graph) {
    for (Value* value : graph.initializers())
      if (!value->is_graph_input())
        value->type.shape = to_shape(value->tensor().dims());
  });
  InferSession session(model);
  session.infer(*model.graph);
}

}  // namespace lathe::ir
