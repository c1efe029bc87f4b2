#include "passes/exec/plan.h"

#include <algorithm>

#include "passes/base/error.h"
#include "passes/exec/fake_quantize.h"
#include "passes/exec/quantization_pairs.h"

namespace lathe::exec {
namespace {

int64_t version_of(const ir::Model& model, const std::string& domain) {
  auto found = model.opset_imports.find(domain);
  if (found == model.opset_imports.end() && domain == "ai.onnx")
    found = model.opset_imports.find("");
  return found == model.opset_imports.end() ? 0 : found->second;
}

// What LibTorch says, without where in its sources.
std::string first_line(const char* what) {
  const std::string text = what;
  return text.substr(0, text.find('\n'));
}

double bytes_of(const ir::ValueType& type) {
  const int bits = ir::bits_per_element(type.elem);
  double bytes = bits > 0 ? bits / 8.0 : 4;
  if (type.shape)
    for (const ir::Dim& dim : *type.shape)
      if (dim.known()) bytes *= static_cast<double>(dim.value);
  return bytes;
}

bool is_short_float(const at::Tensor& tensor) {
  return tensor.defined() && tensor.is_cpu() &&
         (tensor.scalar_type() == at::kHalf ||
          tensor.scalar_type() == at::kBFloat16);
}

}  // namespace

Plan::Plan(const ir::Graph& graph, const ir::Model& model,
           std::shared_ptr<const Constants> constants)
    : constants_(std::move(constants)) {
  for (const ir::Value* input : graph.inputs()) {
    if (input->has_initializer() && graph.parent() == nullptr) continue;
    formals_.push_back(input);
    formal_slots_.push_back(new_slot(input));
  }
  for (const auto& node : graph.nodes()) add_step(*node, model);
  for (const ir::Value* output : graph.outputs())
    outputs_.push_back(source(output));
  plan_releases();
}

int Plan::new_slot(const ir::Value* value) {
  const int slot = static_cast<int>(slot_bytes_.size());
  slot_bytes_.push_back(bytes_of(value->type));
  slot_[value] = slot;
  return slot;
}

int Plan::slot_of(const ir::Value* value) const {
  auto found = slot_.find(value);
  return found == slot_.end() ? -1 : found->second;
}

Plan::Source Plan::source(const ir::Value* value) {
  if (!value) return {};
  auto found = slot_.find(value);
  if (found != slot_.end()) return {.slot = found->second};
  if (value->has_initializer())
    return {.constant = static_cast<int>(constants_->at(value))};
  // Of a graph around this one.
  captures_.push_back(value);
  capture_slots_.push_back(new_slot(value));
  return {.slot = capture_slots_.back()};
}

void Plan::add_step(const ir::Node& node, const ir::Model& model) {
  if (is_only_undone(node)) return;
  Step step;
  step.label = node.label();
  if (!add_fake_quantization(node, step)) add_kernel(node, model, step);
  for (const ir::Value* output : node.outputs()) {
    step.outputs.push_back(!output || output->unused() ? -1 : new_slot(output));
    step.types.push_back(output ? output->type.elem : ir::DataType::kUndefined);
  }
  steps_.push_back(std::move(step));
}

bool Plan::add_fake_quantization(const ir::Node& node, Step& step) {
  const auto pair = undone_quantization(node);
  if (!pair) return false;
  step.inputs = {source(pair->quantize->input(0)), source(node.input(1)),
                 source(node.input(2))};
  step.takes.half = true;
  step.kernel = [axis = node.attr_int("axis", 1),
                 block_size = node.attr_int("block_size", 0),
                 codes = pair->codes](Inputs in, const RunState&) -> Tensors {
    return {fake_quantize(in[0], in[1], in[2], axis, codes.low, codes.high,
                          block_size)};
  };
  return true;
}

void Plan::add_kernel(const ir::Node& node, const ir::Model& model,
                      Step& step) {
  if (model.has_function(node))
    throw_unsupported(node.label(),
                      "calls a function of the model, which is not executed");
  const OperatorRow* row = find_operator_row(node);
  if (!row)
    throw Error(ErrorKind::kUnsupported, node.label(),
                "the executor has no kernel for the operator " +
                    (node.domain.empty() ? "" : node.domain + "::") +
                    node.op_type,
                "ONNX Runtime may run it; training, pruning and rounding "
                "need a kernel here");
  for (const ir::Value* input : node.inputs())
    step.inputs.push_back(source(input));
  std::vector<std::pair<std::string, std::shared_ptr<Body>>> bodies;
  for (const auto& [name, attribute] : node.attributes()) {
    const auto* graph = attribute.get_if<std::unique_ptr<ir::Graph>>();
    if (!graph) continue;
    auto body = std::make_shared<Plan>(**graph, model, constants_);
    body->set_first_capture(step.inputs.size());
    for (const ir::Value* captured : body->captures())
      step.inputs.push_back(source(captured));
    step.bodies.push_back(body);
    bodies.emplace_back(name, std::move(body));
  }
  step.takes = row->takes;
  step.kernel = row->make(NodeInfo(node, version_of(model, node.domain),
                                   constants_->device, std::move(bodies)));
}

void Plan::plan_releases() {
  std::vector<char> seen(slots(), 0);
  for (const Source& output : outputs_)
    if (output.slot >= 0) seen[static_cast<size_t>(output.slot)] = 1;
  for (size_t i = steps_.size(); i-- > 0;) {
    Step& step = steps_[i];
    const auto release = [&](int slot) {
      if (slot < 0 || seen[static_cast<size_t>(slot)]) return;
      seen[static_cast<size_t>(slot)] = 1;
      step.released.push_back(slot);
    };
    for (const Source& input : step.inputs) release(input.slot);
  }
}

at::Tensor Plan::fetch(const Source& from, const Frame& frame) const {
  if (from.slot >= 0) return frame[static_cast<size_t>(from.slot)];
  if (from.constant >= 0)
    return constants_->tensors[static_cast<size_t>(from.constant)];
  return at::Tensor();
}

void Plan::bring_together(const Step& step, Tensors& inputs) const {
  const auto comes_along = [&](size_t i) {
    return inputs[i].defined() && !(i < 32 && step.takes.host >> i & 1);
  };
  bool moves = false;
  for (size_t i = 0; i < inputs.size(); ++i)
    moves = moves || (comes_along(i) && !inputs[i].is_cpu());
  for (size_t i = 0; moves && i < inputs.size(); ++i) {
    if (!comes_along(i) || !inputs[i].is_cpu()) continue;
    const int constant = step.inputs[i].constant;
    inputs[i] = constant < 0 ? inputs[i].to(constants_->device)
                             : constants_->moved[static_cast<size_t>(constant)];
  }
}

Tensors Plan::run_step(const Step& step, Tensors& inputs,
                       const RunState& state) const {
  // What a subgraph takes from around it stays where it is.
  if (!constants_->device.is_cpu() && step.bodies.empty())
    bring_together(step, inputs);
  const auto found = step.takes.half
                         ? inputs.end()
                         : std::ranges::find_if(inputs, is_short_float);
  if (found == inputs.end()) return step.kernel(inputs, state);
  const at::ScalarType given = found->scalar_type();
  for (at::Tensor& input : inputs)
    if (is_short_float(input)) input = input.to(at::kFloat);
  Tensors results = step.kernel(inputs, state);
  for (size_t i = 0; i < results.size() && i < step.types.size(); ++i) {
    if (!results[i].defined() || results[i].scalar_type() != at::kFloat)
      continue;
    const ir::DataType type = step.types[i];
    results[i] = results[i].to(
        type == ir::DataType::kUndefined ? given : scalar_type(type));
  }
  return results;
}

void Plan::run_steps(size_t begin, size_t end, Frame& frame,
                     const RunState& state,
                     const std::vector<Hook>* hooks) const {
  Tensors inputs;
  for (size_t at = begin; at < end; ++at) {
    const Step& step = steps_[at];
    for (const Source& from : step.inputs) inputs.push_back(fetch(from, frame));
    Tensors results;
    try {
      results = run_step(step, inputs, state);
    } catch (const c10::Error& error) {
      throw_input(step.label, "it cannot be computed on these inputs: " +
                                  first_line(error.what_without_backtrace()));
    }
    inputs.clear();
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      if (step.outputs[i] < 0) continue;
      const auto slot = static_cast<size_t>(step.outputs[i]);
      if (i >= results.size() || !results[i].defined())
        throw_unsupported(step.label, "output " + std::to_string(i) +
                                          " is not computed by the executor");
      frame[slot] = hooks && (*hooks)[slot] ? (*hooks)[slot](results[i])
                                            : std::move(results[i]);
    }
    for (int slot : step.released) frame[static_cast<size_t>(slot)].reset();
  }
}

Tensors Plan::execute(Inputs formal, Inputs captured, const RunState& state,
                      const std::vector<Hook>* hooks,
                      const std::vector<Segment>* segments) const {
  Frame frame(slots());
  for (size_t i = 0; i < formal_slots_.size() && i < formal.size(); ++i) {
    const auto slot = static_cast<size_t>(formal_slots_[i]);
    frame[slot] =
        hooks && (*hooks)[slot] ? (*hooks)[slot](formal[i]) : formal[i];
  }
  for (size_t i = 0; i < capture_slots_.size(); ++i)
    frame[static_cast<size_t>(capture_slots_[i])] = captured[i];
  size_t begin = 0;
  if (segments && !segments->empty()) {
    // What the last one computes is needed at once on the way back.
    for (size_t i = 0; i + 1 < segments->size(); ++i)
      run_checkpoint((*segments)[i], frame, state, hooks);
    begin = segments->back().begin;
  }
  run_steps(begin, steps_.size(), frame, state, hooks);
  Tensors outputs;
  for (const Source& output : outputs_) outputs.push_back(fetch(output, frame));
  return outputs;
}

Tensors Plan::run(Inputs formal, Inputs node_inputs,
                  const RunState& state) const {
  return execute(formal,
                 node_inputs.subspan(first_capture_, capture_slots_.size()),
                 state);
}

}  // namespace lathe::exec
