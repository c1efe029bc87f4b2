#include "passes/io/torch/script/script_reference.h"

#include <algorithm>
#include <chrono>

#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;
using ir::DataType;

constexpr size_t kMaxChoices = 16;
constexpr size_t kMaxSizes = 60;
constexpr int64_t kMaxSize = 65536;
constexpr size_t kMaxReferences = 2;
constexpr int kCalls = 3;
// Of all tries together; a call that was begun is finished.
constexpr std::chrono::seconds kMaxTime{60};

at::Tensor random_tensor(const std::vector<int64_t>& dims, DataType type,
                         Random& random) {
  const bool real = ir::is_floating(type);
  at::Tensor tensor = at::empty(dims, at::kDouble);
  double* data = tensor.data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    data[i] = real ? random.normal() : static_cast<double>(random.below(2));
  return tensor.to(
      static_cast<at::ScalarType>(aten::torch_from_data_type(type)));
}

int64_t size_of(const ir::Dim& dim, int64_t batch, int64_t chosen) {
  if (dim.known()) return dim.value;
  if (dim.symbol == "batch") return batch;
  if (chosen > 0) return chosen;
  return dim.symbol == "sequence" ? 12 : 64;
}

at::Tensor attribute_at(const jit::Module& module, const std::string& path) {
  c10::IValue value = module._ivalue();
  size_t start = 0;
  while (start <= path.size()) {
    const size_t dot = std::min(path.find('.', start), path.size());
    value = value.toObject()->getAttr(path.substr(start, dot - start));
    start = dot + 1;
  }
  return value.isTensor() ? value.toTensor() : at::Tensor();
}

void flatten(const c10::IValue& value, std::vector<at::Tensor>& out) {
  if (value.isTensor()) {
    out.push_back(value.toTensor());
  } else if (value.isTuple()) {
    for (const c10::IValue& item : value.toTupleRef().elements())
      flatten(item, out);
  } else if (value.isList()) {
    for (const c10::IValue& item : value.toListRef()) flatten(item, out);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) flatten(entry.value(), out);
  } else if (value.isInt()) {
    out.push_back(at::scalar_tensor(value.toInt(), at::kLong));
  } else if (value.isBool()) {
    out.push_back(at::scalar_tensor(value.toBool(), at::kBool));
  } else if (value.isDouble()) {
    out.push_back(at::scalar_tensor(value.toDouble(), at::kFloat));
  }
}

std::string first_line(const std::exception& error) {
  const std::string message = error.what();
  // TorchScript's own errors end with the line that Python would show.
  const size_t last = message.find_last_not_of("\n ");
  const size_t start = message.rfind('\n', last);
  return start == std::string::npos ? message
                                    : message.substr(start + 1, last - start);
}

}  // namespace

ScriptReference::ScriptReference(const jit::Module& module,
                                 const ScriptImporter& importer,
                                 const ImportOptions& options)
    : module_(module), options_(options) {
  ir::Graph& graph = *importer.model().graph;
  for (const ScriptImporter::Parameter& parameter : importer.parameters()) {
    Input input;
    input.name = parameter.input;
    input.constant = parameter.constant;
    input.script_type = parameter.type;
    if (const ir::Value* value = graph.find(parameter.input)) {
      input.type = value->type;
      input.number = value->type.shape && value->type.shape->empty() &&
                     !parameter.type->isSubtypeOf(*c10::TensorType::get());
    }
    const auto compared = importer.compared_with().find(parameter.input);
    if (compared != importer.compared_with().end())
      input.choices.assign(compared->second.begin(), compared->second.end());
    if (input.choices.empty()) input.choices = {1};
    inputs_.push_back(std::move(input));
  }
  for (const auto& [name, dims] : options_.input_shapes)
    if (dims.size() > 1 && dims.front() > 0) batch_ = dims.front();
  const bool free_sizes = std::ranges::any_of(inputs_, [](const Input& input) {
    return input.type.shape &&
           std::ranges::any_of(*input.type.shape, [](const ir::Dim& dim) {
             return !dim.known() && dim.symbol != "batch";
           });
  });
  if (!free_sizes) return;
  // What the program speaks of, then what images and signals often have.
  std::vector<int64_t> sizes(importer.constants().begin(),
                             importer.constants().end());
  sizes.insert(sizes.end(), {32, 224, 28, 96, 128, 160, 256, 299, 512, 16000});
  for (const int64_t size : sizes)
    if (size >= 2 && size <= kMaxSize && sizes_.size() < kMaxSizes)
      sizes_.push_back(size);
}

ScriptReference::Values ScriptReference::random_inputs(int64_t batch,
                                                       const Choice& choice,
                                                       uint64_t seed) const {
  Random random(seed);
  Values values;
  size_t number = 0;
  for (const Input& input : inputs_) {
    if (input.name.empty()) {
      values.push_back(input.constant);
      continue;
    }
    if (input.number) {
      const int64_t chosen = choice.numbers[number++];
      if (input.type.elem == DataType::kBool)
        values.emplace_back(chosen != 0);
      else if (input.type.elem == DataType::kInt64)
        values.emplace_back(chosen);
      else
        values.emplace_back(static_cast<double>(chosen));
      continue;
    }
    std::vector<int64_t> dims;
    if (input.type.shape)
      for (const ir::Dim& dim : *input.type.shape)
        dims.push_back(size_of(dim, batch, choice.size));
    values.emplace_back(random_tensor(dims, input.type.elem, random));
  }
  return values;
}

std::vector<ScriptReference::Choice> ScriptReference::choices() const {
  std::vector<std::vector<int64_t>> all{{}};
  for (const Input& input : inputs_) {
    if (!input.number) continue;
    std::vector<std::vector<int64_t>> longer;
    for (const auto& chosen : all)
      for (int64_t value : input.choices) {
        if (longer.size() >= kMaxChoices) break;
        longer.push_back(chosen);
        longer.back().push_back(value);
      }
    all = std::move(longer);
  }
  std::vector<Choice> choices;
  for (int64_t size : sizes_)
    for (const auto& numbers : all) choices.push_back({numbers, size});
  return choices;
}

// Inputs that were parts of one tuple are put together again.
std::vector<c10::IValue> ScriptReference::arguments(
    const Values& values) const {
  std::vector<c10::IValue> arguments;
  const auto schema = module_.get_method("forward").function().getSchema();
  size_t next = 0;
  for (size_t i = 1; i < schema.arguments().size(); ++i) {
    if (const auto tuple =
            schema.arguments()[i].type()->cast<c10::TupleType>()) {
      std::vector<c10::IValue> elements(
          values.begin() + static_cast<std::ptrdiff_t>(next),
          values.begin() +
              static_cast<std::ptrdiff_t>(next + tuple->elements().size()));
      next += elements.size();
      arguments.push_back(c10::ivalue::Tuple::create(std::move(elements)));
    } else {
      arguments.push_back(values[next++]);
    }
  }
  return arguments;
}

std::vector<State> ScriptReference::observe(
    const std::set<std::string>& paths) const {
  at::NoGradGuard no_grad;
  // After two calls, for two sizes of the batch.
  std::vector<std::vector<int64_t>> shapes[2];
  for (int round = 0; round < 2; ++round) {
    for (const Choice& choice : choices()) {
      jit::Module copy = module_.deepcopy();
      try {
        for (uint64_t call = 0; call < 2; ++call)
          copy.get_method("forward")(
              arguments(random_inputs(batch_ + round, choice, call)));
      } catch (const std::exception&) {
        continue;
      }
      for (const std::string& path : paths)
        shapes[round].push_back(attribute_at(copy, path).sizes().vec());
      break;
    }
  }
  std::vector<State> states;
  for (const std::string& path : paths) {
    const size_t i = states.size();
    State state;
    state.path = path;
    const at::Tensor first = attribute_at(module_, path);
    const auto type =
        aten::data_type_from_torch(static_cast<int64_t>(first.scalar_type()));
    state.type.elem = type.value_or(DataType::kFloat);
    if (i < shapes[0].size()) {
      state.type.shape = ir::to_shape(shapes[0][i]);
      for (size_t axis = 0; axis < shapes[0][i].size(); ++axis)
        if (i < shapes[1].size() && axis < shapes[1][i].size() &&
            shapes[0][i][axis] == batch_ && shapes[1][i][axis] == batch_ + 1)
          (*state.type.shape)[axis] = ir::Dim::named("batch");
    } else if (first.numel() > 0) {
      state.type.shape = ir::to_shape(first.sizes().vec());
    }
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<Reference> ScriptReference::run(const ScriptImporter& importer,
                                            std::string& reason) const {
  at::NoGradGuard no_grad;
  for (const Input& input : inputs_)
    if (!input.name.empty() && !input.number && !input.type.shape) {
      reason = "the shape of input '" + input.name + "' is not known";
      return {};
    }
  const ir::Graph& graph = *importer.model().graph;
  const std::vector<State>& states = importer.state_outputs();
  std::vector<Reference> references;
  std::set<std::vector<int64_t>> succeeded;  // number inputs
  const auto began = std::chrono::steady_clock::now();
  for (const Choice& choice : choices()) {
    if (succeeded.contains(choice.numbers)) continue;
    if (std::chrono::steady_clock::now() - began > kMaxTime) break;
    jit::Module copy = module_.deepcopy();
    std::vector<Reference> calls;
    std::vector<ir::Tensor> kept;  // of the states
    try {
      for (int call = 0; call < (states.empty() ? 1 : kCalls); ++call) {
        Reference reference;
        const Values values =
            random_inputs(batch_, choice, static_cast<uint64_t>(call) + 7);
        for (size_t i = 0; i < inputs_.size(); ++i) {
          if (inputs_[i].name.empty()) continue;
          std::vector<at::Tensor> tensor;
          flatten(values[i], tensor);
          reference.inputs.emplace_back(
              inputs_[i].name, to_ir_tensor(tensor.front().clone(), "input"));
        }
        std::vector<at::Tensor> outputs;
        flatten(copy.get_method("forward")(arguments(values)), outputs);
        if (outputs.size() != importer.program_outputs()) {
          reason = "its outputs cannot be matched with the model's";
          return {};
        }
        for (size_t i = 0; i < outputs.size(); ++i)
          reference.outputs.emplace_back(
              graph.outputs()[i]->name(),
              to_ir_tensor(outputs[i].clone(), "output"));
        std::vector<ir::Tensor> next;
        for (size_t i = 0; i < states.size(); ++i) {
          const at::Tensor now = attribute_at(copy, states[i].path).clone();
          const at::Tensor first = attribute_at(module_, states[i].path);
          // A program that makes its state at the first call starts from zeros.
          if (call == 0)
            kept.push_back(to_ir_tensor(first.sizes() == now.sizes()
                                            ? first.clone()
                                            : at::zeros_like(now),
                                        "state"));
          reference.inputs.emplace_back(states[i].input, kept[i]);
          next.push_back(to_ir_tensor(now, "state"));
          reference.outputs.emplace_back(states[i].output, next.back());
        }
        kept = std::move(next);
        calls.push_back(std::move(reference));
      }
    } catch (const std::exception& error) {
      if (reason.empty()) reason = first_line(error);
      continue;
    }
    std::ranges::move(calls, std::back_inserter(references));
    succeeded.insert(choice.numbers);
    if (succeeded.size() == kMaxReferences) break;
  }
  if (!references.empty()) reason.clear();
  return references;
}

}  // namespace lathe::io::script
