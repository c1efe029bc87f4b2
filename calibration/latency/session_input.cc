#include "calibration/latency/session_input.h"

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace {

const TensorInfo* find(const std::vector<TensorInfo>& infos,
                       const std::string& name) {
  for (const TensorInfo& info : infos)
    if (info.name == name) return &info;
  return nullptr;
}

std::vector<std::string> names(const std::vector<TensorInfo>& infos) {
  std::vector<std::string> result;
  for (const TensorInfo& info : infos) result.push_back(info.name);
  return result;
}

bool fits(const ir::Tensor& tensor, const ir::ValueType& type) {
  if (tensor.type() != type.elem) return false;
  // The runtime shows an unknown rank as rank 0.
  if (!type.shape || type.shape->empty()) return true;
  if (tensor.dims().size() != type.shape->size()) return false;
  for (size_t i = 0; i < tensor.dims().size(); ++i) {
    const ir::Dim& dim = (*type.shape)[i];
    if (dim.known() && dim.value != tensor.dims()[i]) return false;
  }
  return true;
}

std::string describe(const ir::Tensor& tensor) {
  ir::ValueType type;
  type.elem = tensor.type();
  type.shape = ir::to_shape(tensor.dims());
  return ir::to_string(type);
}

}  // namespace

void check_inputs(const std::string& where,
                  const std::vector<TensorInfo>& inputs,
                  const std::vector<TensorInfo>& overridable,
                  const NamedTensors& given) {
  for (size_t i = 0; i < given.size(); ++i) {
    const auto& [name, tensor] = given[i];
    for (size_t j = 0; j < i; ++j)
      if (given[j].first == name)
        throw_input(where, "input '" + name + "' is given twice");
    const TensorInfo* info = find(inputs, name);
    if (!info) info = find(overridable, name);
    if (!info)
      throw_input(where, "the model has no input '" + name + "'" +
                             did_you_mean(name, names(inputs)));
    if (!info->type.is_tensor())
      throw_unsupported(where, "input '" + name + "' is not a tensor",
                        "only tensors can be given");
    if (!fits(tensor, info->type))
      throw_input(where, "input '" + name + "' is " + describe(tensor) +
                             ", the model expects " +
                             ir::to_string(info->type));
  }
  for (const TensorInfo& info : inputs) {
    bool found = false;
    for (const auto& [name, tensor] : given) found |= name == info.name;
    if (!found)
      throw_input(where, "input '" + info.name + "' (" +
                             ir::to_string(info.type) + ") is missing");
  }
}

NamedTensors fit_types(const Session& session, const NamedTensors& given) {
  NamedTensors fitted = given;
  for (auto& [name, tensor] : fitted) {
    const TensorInfo* info = find(session.inputs(), name);
    if (info && info->type.elem != tensor.type() &&
        ir::is_floating(info->type.elem) && ir::is_floating(tensor.type()))
      tensor = ir::Tensor::from_doubles(info->type.elem, tensor.dims(),
                                        tensor.to_doubles());
  }
  return fitted;
}

void check_output(const std::string& where,
                  const std::vector<TensorInfo>& outputs,
                  const std::string& name) {
  if (!find(outputs, name))
    throw_input(where, "the model has no output '" + name + "'" +
                           did_you_mean(name, names(outputs)));
}

}  // namespace lathe::latency
