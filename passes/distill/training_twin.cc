#include "passes/distill/training_twin.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "passes/base/error.h"
#include "passes/distill/twin_parts.h"
#include "passes/exec/model_part.h"

namespace lathe::distill {
namespace {

// A scale that falls further has left the values it is the step of.
constexpr double kLeastShare = 1.0 / 1024;
// The sum of products needs the rest of int32.
constexpr double kMaxBiasCode = 1 << 30;

// Beginnings of names of operators that compute with codes, in any domain.
constexpr const char* kIntegerOperators[] = {
    "QLinear",     "QGemm",           "QAttention",  "MatMulInteger",
    "ConvInteger", "DynamicQuantize", "MatMulNBits", "GatherBlockQuantized"};

void refuse_integer_operators(const ir::Model& model) {
  ir::for_each_graph(*model.graph, [](ir::Graph& graph) {
    for (const auto& node : graph.nodes())
      for (const char* name : kIntegerOperators)
        if (node->op_type.starts_with(name))
          throw_unsupported(
              node->label(),
              "it computes with codes, which have no gradient; a quantized "
              "model is trained in QDQ form only",
              "quantize with --scheme int8, or int4-weights or int8-weights "
              "and --form qdq");
  });
}

ir::Value* initializer_of(ir::Model& model, const std::string& name) {
  ir::Value* value = nullptr;
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    ir::Value* found = graph.find(name);
    if (!value && found && found->has_initializer()) value = found;
  });
  if (!value)
    throw_input("initializer '" + name + "'", "the model does not have it",
                "store into the model that was trained, or a clone of it");
  return value;
}

void set(ir::Model& model, const std::string& name, const ir::Tensor& tensor) {
  ir::Value* value = initializer_of(model, name);
  if (value->tensor().size() != tensor.size())
    throw_input("initializer '" + name + "'",
                "its shape is not the one that was trained",
                "store into the model that was trained, or a clone of it");
  if (!value->tensor().identical(tensor))
    value->set_tensor(tensor.reshaped(value->tensor().dims()));
}

std::vector<double> doubles_of(const ir::Model& model,
                               const std::string& name) {
  return model.graph->find(name)->tensor().to_doubles();
}

double at(const std::vector<double>& values, size_t i) {
  return values[values.size() == 1 ? 0 : i];
}

// The scale of a bias in the model: a constant of its own, as another bias may
// have had the same one.
void set_bias_scale(ir::Model& model, const TwinBias& bias,
                    const ir::Tensor& scale) {
  ir::Value* old = initializer_of(model, bias.scale);
  if (old->tensor().identical(scale)) return;
  const ir::Value* codes = initializer_of(model, bias.codes);
  const bool own = std::ranges::all_of(old->uses(), [&](const ir::Use& use) {
    return use.index == 1 && use.node->input(0) == codes;
  });
  if (own) return old->set_tensor(scale);
  ir::Value* made = model.graph->add_constant(bias.codes + "_scale", scale);
  for (const ir::Use& use : codes->uses()) use.node->set_input(1, made);
}

// `trained`: the twin with what training made of it.
void store_bias(const ir::Model& trained, const TwinBias& bias,
                ir::Model& model) {
  const ir::Tensor old = initializer_of(model, bias.scale)->tensor();
  std::vector<double> steps = old.to_doubles();
  if (!bias.input_scale.empty()) {
    const double input = doubles_of(trained, bias.input_scale)[0];
    const auto weights = doubles_of(trained, bias.weight_scale);
    for (size_t i = 0; i < steps.size(); ++i)
      steps[i] = static_cast<float>(input) * static_cast<float>(at(weights, i));
    set_bias_scale(model, bias,
                   ir::Tensor::from_doubles(old.type(), old.dims(), steps));
  }
  const std::vector<double> values = doubles_of(trained, bias.values);
  std::vector<double> codes(values.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    const double code = values[i] / at(steps, i);
    // A product of two tiny scales may be 0.
    codes[i] = std::isfinite(code) ? std::clamp(std::nearbyint(code),
                                                -kMaxBiasCode, kMaxBiasCode)
                                   : 0;
  }
  set(model, bias.codes,
      ir::Tensor::from_doubles(
          ir::DataType::kInt32,
          trained.graph->find(bias.values)->tensor().dims(), codes));
}

int long_axes(const ir::Tensor& tensor) {
  return static_cast<int>(std::ranges::count_if(
      tensor.dims(), [](int64_t size) { return size > 1; }));
}

}  // namespace

bool is_quantize(const ir::Node& node) {
  return node.op_type == "QuantizeLinear";
}

bool is_dequantize(const ir::Node& node) {
  return node.op_type == "DequantizeLinear";
}

bool reads_codes(const ir::Node& node) {
  return is_dequantize(node) && node.input(0) && node.input(1) &&
         node.input(0)->has_initializer() &&
         ir::is_integer(node.input(0)->type.elem);
}

bool reads_bias(const ir::Node& node) {
  return reads_codes(node) && node.input(0)->type.elem == ir::DataType::kInt32;
}

bool same_constant(const ir::Value* a, const ir::Value* b) {
  return a == b || (a && b && a->is_constant() && b->is_constant() &&
                    a->tensor().identical(b->tensor()));
}

std::vector<ir::Tensor> computed(const ir::Model& model,
                                 const std::vector<std::string>& values) {
  if (values.empty()) return {};
  std::vector<ir::Tensor> found =
      exec::make_torch_executor()
          ->prepare(exec::model_part(model, {}, values))
          ->run({});
  found.resize(values.size());
  return found;
}

struct TrainingTwin::Impl {
  TwinParts parts;
  // Of each scale: where it started.
  std::vector<at::Tensor> starts;

  void clamp(const TwinScale& scale, const at::Tensor& start,
             const at::Tensor& tensor) const {
    const at::Tensor from = start.to(tensor.device(), at::kFloat);
    const at::Tensor sign =
        at::where(from < 0, at::full_like(from, -1), at::ones_like(from));
    const at::Tensor size = from * sign;
    const double smallest = std::numeric_limits<float>::min();
    at::Tensor moved = tensor.to(at::kFloat) * sign;
    moved = at::where(at::isfinite(moved), moved, size);
    moved = at::maximum(
        moved, at::minimum(size, (size * kLeastShare).clamp_min(smallest)));
    if (scale.largest > 0) moved = moved.clamp_max(scale.largest);
    tensor.copy_(moved * sign);
  }
};

TrainingTwin::TrainingTwin(const ir::Model& model, const ir::Model* reference,
                           const ir::InputShapes& shapes)
    : impl_(std::make_unique<Impl>()) {
  refuse_integer_operators(model);
  TwinParts& parts = impl_->parts;
  parts.model = ir::clone(model);
  ir::infer_shapes(parts.model);
  tie_scales(parts);
  dequantize_operators(parts.model);
  make_floats(parts, reference);
  choose_scales(parts, shapes);
  ir::verify(*parts.model.graph, "training twin");
  for (const TwinScale& scale : parts.scales)
    impl_->starts.push_back(
        exec::to_torch(parts.model.graph->find(scale.name)->tensor()));
}

TrainingTwin::~TrainingTwin() = default;
TrainingTwin::TrainingTwin(TrainingTwin&&) noexcept = default;
TrainingTwin& TrainingTwin::operator=(TrainingTwin&&) noexcept = default;

const ir::Model& TrainingTwin::model() const { return impl_->parts.model; }

bool TrainingTwin::trainable(const ir::Value& initializer) const {
  const TwinParts& parts = impl_->parts;
  if (initializer.graph().owner() == nullptr) {
    if (parts.trained.contains(initializer.name())) return true;
    if (parts.frozen.contains(initializer.name())) return false;
  }
  return exec::is_trainable(initializer);
}

ParameterInfo TrainingTwin::info(const std::string& parameter) const {
  const TwinParts& parts = impl_->parts;
  for (const TwinScale& scale : parts.scales)
    if (scale.name == parameter)
      return {ParameterKind::kScale, scale.gradient_factor, scale.far};
  ParameterInfo info;
  ir::for_each_graph(*parts.model.graph, [&](ir::Graph& graph) {
    const ir::Value* value = graph.find(parameter);
    if (value && value->has_initializer() && long_axes(value->tensor()) <= 1)
      info.kind = ParameterKind::kVector;
  });
  return info;
}

bool TrainingTwin::quantized() const {
  return !impl_->parts.codes.empty() || !impl_->parts.scales.empty();
}

void TrainingTwin::clamp_scales(const exec::Program& trained) const {
  const at::NoGradGuard no_grad;
  const auto& scales = impl_->parts.scales;
  for (const auto& [name, tensor] : trained.parameters())
    for (size_t i = 0; i < scales.size(); ++i)
      if (scales[i].name == name)
        impl_->clamp(scales[i], impl_->starts[i], tensor);
}

void TrainingTwin::store(const exec::Program& trained, ir::Model& model) const {
  clamp_scales(trained);
  const TwinParts& parts = impl_->parts;
  ir::Model twin = ir::clone(parts.model);
  trained.store(twin);
  // What stands for codes is in the model by its codes alone.
  std::set<std::string> coded;
  std::vector<std::string> names;
  for (const TwinBias& bias : parts.biases) coded.insert(bias.values);
  for (const TwinCodes& made : parts.codes) {
    coded.insert(made.values);
    names.push_back(made.codes);
  }
  for (const auto list : {trained.parameters(), trained.buffers()})
    for (const exec::Program::Parameter& changed : list)
      if (!coded.contains(changed.name))
        set(model, changed.name, initializer_of(twin, changed.name)->tensor());
  const std::vector<ir::Tensor> codes = computed(twin, names);
  for (size_t i = 0; i < codes.size(); ++i) set(model, names[i], codes[i]);
  for (const TwinBias& bias : parts.biases) store_bias(twin, bias, model);
  for (const auto& [name, representative] : parts.tied)
    set(model, name, twin.graph->find(representative)->tensor());
}

}  // namespace lathe::distill
