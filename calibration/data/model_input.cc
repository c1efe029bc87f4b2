#include "calibration/data/model_input.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::data {

std::string ModelInput::to_string() const {
  if (!dims) return ir::to_string(type);
  std::vector<std::string> parts;
  for (size_t i = 0; i < dims->size(); ++i)
    parts.push_back((*dims)[i] >= 0      ? std::to_string((*dims)[i])
                    : symbols[i].empty() ? "?"
                                         : symbols[i]);
  return fmt::format("{}[{}]", ir::to_string(type), join(parts, ","));
}

std::vector<ModelInput> model_inputs(const ir::Model& model,
                                     const ir::InputShapes& bound) {
  std::vector<ModelInput> inputs;
  for (const ir::Value* value : model.graph->inputs()) {
    if (value->has_initializer()) continue;
    if (!value->type.is_tensor())
      throw_unsupported(fmt::format("input '{}'", value->name()),
                        "data can be given for tensors only, and this input "
                        "is a sequence, map or optional");
    if (value->type.elem == ir::DataType::kString)
      throw_unsupported(fmt::format("input '{}'", value->name()),
                        "data cannot be given for a tensor of strings");
    ModelInput input;
    input.name = value->name();
    input.type = value->type.elem;
    if (value->type.shape) {
      input.dims = ir::to_dims(*value->type.shape);
      for (const ir::Dim& dim : *value->type.shape)
        input.symbols.push_back(dim.symbol);
    }
    inputs.push_back(std::move(input));
  }
  std::vector<std::string> names;
  for (const ModelInput& input : inputs) names.push_back(input.name);
  for (const auto& [name, dims] : bound) {
    auto input = std::find_if(
        inputs.begin(), inputs.end(),
        [&name = name](const ModelInput& one) { return one.name == name; });
    if (name.empty() && inputs.size() == 1) input = inputs.begin();
    if (input == inputs.end())
      throw Error(ErrorKind::kUsage, "--input-shape",
                  name.empty()
                      ? fmt::format("the model has {} inputs, name one of {}",
                                    inputs.size(), join(names, ", "))
                      : fmt::format("the model has no input '{}'{}", name,
                                    did_you_mean(name, names)));
    const bool fits = !input->dims || fits_whole(dims, *input);
    if (!fits)
      throw Error(
          ErrorKind::kUsage, "--input-shape",
          fmt::format("{} does not fit input '{}' of shape {}",
                      fmt::join(dims, "x"), input->name, input->to_string()));
    const bool open_batch =
        input->dims && !dims.empty() && input->dims->front() < 0;
    std::string symbol = open_batch ? input->symbols.front() : "";
    input->dims = dims;
    input->symbols.assign(dims.size(), "");
    if (open_batch) {
      input->given_batch = dims.front();
      input->dims->front() = -1;
      input->symbols.front() = std::move(symbol);
    }
  }
  return inputs;
}

const ModelInput& choose_input(const std::vector<ModelInput>& inputs,
                               const std::optional<std::string>& name,
                               const std::string& where) {
  std::vector<std::string> names;
  for (const ModelInput& input : inputs) names.push_back(input.name);
  if (name && std::find(names.begin(), names.end(), *name) == names.end())
    throw_input(where, fmt::format("the model has no input '{}'{}", *name,
                                   did_you_mean(*name, names)));
  if (inputs.size() != 1)
    throw_input(
        where,
        inputs.empty()
            ? std::string("the model has no input to feed")
            : fmt::format("the model has {} inputs ({}) and this data feeds "
                          "one",
                          inputs.size(), join(names, ", ")),
        inputs.empty() ? "" : "use an .npz with one array for each input");
  return inputs.front();
}

std::vector<int64_t> fit_sample(const std::vector<int64_t>& dims,
                                const ModelInput& input,
                                const std::string& where,
                                const std::string& hint) {
  if (!input.dims) return dims;
  const auto refuse = [&] {
    throw_input(where,
                fmt::format("{} does not fit input '{}' of shape {}",
                            dims.empty() ? "a scalar"
                                         : fmt::to_string(fmt::join(dims, "x")),
                            input.name, input.to_string()),
                hint);
  };
  if (input.dims->empty()) refuse();
  const std::vector<int64_t> wanted(input.dims->begin() + 1, input.dims->end());
  const auto matches = [](const std::vector<int64_t>& have,
                          const std::vector<int64_t>& want) {
    if (have.size() != want.size()) return false;
    for (size_t i = 0; i < have.size(); ++i)
      if (want[i] >= 0 && want[i] != have[i]) return false;
    return true;
  };
  if (matches(dims, wanted)) return dims;
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  if (wanted.size() == 1 && wanted[0] == count) return {count};
  // Without dimensions of 1 on either side.
  const auto squeezed = [](std::vector<int64_t> all) {
    std::erase(all, 1);
    return all;
  };
  if (!matches(squeezed(dims), squeezed(wanted))) refuse();
  std::vector<int64_t> result = wanted;
  const std::vector<int64_t> have = squeezed(dims);
  size_t next = 0;
  for (int64_t& dim : result)
    if (dim != 1) dim = have[next++];
  return result;
}

bool fits_whole(const std::vector<int64_t>& dims, const ModelInput& input) {
  if (!input.dims) return true;
  if (dims.size() != input.dims->size()) return false;
  for (size_t i = 0; i < dims.size(); ++i)
    if ((*input.dims)[i] >= 0 && (*input.dims)[i] != dims[i]) return false;
  return true;
}

}  // namespace lathe::data
