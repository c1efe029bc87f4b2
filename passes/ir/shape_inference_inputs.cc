// Binding of input shapes: which dimensions a caller fixes, and which default
// to 1.
#include <fmt/format.h>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/ir/shape_inference.h"

namespace lathe::ir {
namespace {

// Symbol -> value; -1 where two inputs bind it differently.
using Symbols = std::map<std::string, int64_t>;

std::string dims_text(const std::vector<int64_t>& dims) {
  std::string text;
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? "x" : "") + (dims[i] < 0 ? "?" : std::to_string(dims[i]));
  return text.empty() ? "scalar" : text;
}

std::vector<Value*> free_inputs(const Model& model) {
  std::vector<Value*> found;
  for (Value* input : model.graph->inputs())
    if (!input->has_initializer()) found.push_back(input);
  return found;
}

std::string place(const std::string& name) { return "input '" + name + "'"; }

// "" resolved to the only input, every name checked against the model.
std::map<Value*, std::vector<int64_t>> resolve(const Model& model,
                                               const InputShapes& shapes) {
  std::map<Value*, std::vector<int64_t>> resolved;
  std::vector<Value*> inputs = free_inputs(model);
  std::vector<std::string> names;
  for (Value* input : inputs) names.push_back(input->name());
  for (const auto& [name, dims] : shapes) {
    Value* input = nullptr;
    if (name.empty()) {
      if (inputs.size() != 1)
        throw Error(
            ErrorKind::kUsage, "input shape " + dims_text(dims),
            fmt::format("names no input, but the model has {}", inputs.size()),
            "give one shape for each of: " + join(names, ", "));
      input = inputs[0];
    } else {
      for (Value* candidate : model.graph->inputs())
        if (candidate->name() == name) input = candidate;
      if (!input)
        throw Error(ErrorKind::kUsage, place(name),
                    "the model has no such input" + did_you_mean(name, names),
                    "inputs: " + join(names, ", "));
    }
    if (!input->type.is_tensor())
      throw Error(ErrorKind::kUsage, place(input->name()),
                  "is not a tensor and takes no shape");
    if (!resolved.emplace(input, dims).second)
      throw Error(ErrorKind::kUsage, place(input->name()),
                  "is given a shape twice");
  }
  return resolved;
}

// Input `value` set to `dims`; symbols that get a number are noted.
Shape bound_shape(const Value& value, const std::vector<int64_t>& dims,
                  Symbols& symbols) {
  Shape shape = to_shape(dims);
  if (!value.type.shape) return shape;
  const Shape& known = *value.type.shape;
  auto contradict = [&](const std::string& what) {
    throw Error(ErrorKind::kUsage, place(value.name()),
                fmt::format("shape {} {}, but the model says {}",
                            dims_text(dims), what, to_string(known)));
  };
  if (known.size() != shape.size())
    contradict(fmt::format("has rank {}", shape.size()));
  for (size_t i = 0; i < shape.size(); ++i) {
    if (known[i].known() && shape[i].known() &&
        known[i].value != shape[i].value)
      contradict(fmt::format("has {} as dimension {}", shape[i].value, i));
    if (!shape[i].known()) {
      shape[i] = known[i];
      continue;
    }
    shape[i].denotation = known[i].denotation;
    if (known[i].symbol.empty() || known[i].known()) continue;
    auto [it, fresh] = symbols.emplace(known[i].symbol, shape[i].value);
    if (!fresh && it->second != shape[i].value) it->second = -1;
  }
  return shape;
}

}  // namespace

void bind_input_shapes(Model& model, const InputShapes& shapes) {
  Symbols symbols;
  for (auto& [input, dims] : resolve(model, shapes))
    input->type.shape = bound_shape(*input, dims, symbols);
  // A name that became a number is that number everywhere; one that two
  // inputs read differently says nothing any more.
  for_each_graph(*model.graph, [&](Graph& graph) {
    for (Value* value : graph.values()) {
      if (!value->type.shape) continue;
      bool input = graph.owner() == nullptr && value->is_graph_input();
      for (Dim& dim : *value->type.shape) {
        auto it = dim.known() ? symbols.end() : symbols.find(dim.symbol);
        if (it == symbols.end()) continue;
        if (input && it->second < 0) continue;
        dim.symbol.clear();
        dim.value = it->second;
      }
    }
  });
}

InputShapes default_input_shapes(const Model& model, const InputShapes& bound) {
  Symbols symbols;
  std::map<Value*, Shape> partly;
  for (auto& [input, dims] : resolve(model, bound))
    partly[input] = bound_shape(*input, dims, symbols);
  InputShapes result;
  for (Value* input : free_inputs(model)) {
    if (!input->type.is_tensor()) continue;
    auto it = partly.find(input);
    if (it == partly.end() && !input->type.shape)
      throw Error(ErrorKind::kUsage, place(input->name()),
                  "the model does not say how many dimensions it has",
                  "give its shape: --input-shape " + input->name() +
                      ":1x3x224x224, with the model's own numbers");
    const Shape& shape = it == partly.end() ? *input->type.shape : it->second;
    std::vector<int64_t>& dims = result[input->name()];
    for (const Dim& dim : shape) {
      auto symbol = symbols.find(dim.symbol);
      if (dim.known())
        dims.push_back(dim.value);
      else if (symbol != symbols.end() && symbol->second >= 0)
        dims.push_back(symbol->second);
      else
        dims.push_back(1);
    }
  }
  return result;
}

}  // namespace lathe::ir
