#include "recipes/run_data.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "calibration/data/data.h"
#include "calibration/latency/bench.h"
#include "passes/base/random.h"

namespace lathe::recipes {
namespace {

constexpr double kCalibrationShare = 0.5;

std::shared_ptr<BatchSource> open(const Recipe& recipe, const DataSpec& data,
                                  const char* key, int64_t limit, int jobs,
                                  const ir::Model& model) {
  data::OpenOptions options;
  options.limit = limit;
  options.seed = derive_seed(recipe.seed, key);
  options.jobs = jobs;
  options.input_shapes = recipe.input_shapes;
  if (data.descriptor.empty()) {
    const std::string spec = data.spec == "synthetic"
                                 ? data.spec
                                 : recipe.resolve(data.spec).string();
    return data::open_data(spec, model, options);
  }
  return data::open_descriptor(
      JsonText::wrap(Json::parse(data.descriptor),
                     fmt::format("the recipe's {}", key)),
      "", recipe.resolve("."), model, options);
}

std::optional<Batch> first_sample(BatchSource* data) {
  if (!data || data->size() == 0) return std::nullopt;
  return data->read({})->next();
}

std::vector<const ir::Value*> free_inputs(const ir::Model& model) {
  std::vector<const ir::Value*> inputs;
  for (const ir::Value* input : model.graph->inputs())
    if (!input->has_initializer()) inputs.push_back(input);
  return inputs;
}

}  // namespace

RunData open_run_data(const Recipe& recipe, const ir::Model& model,
                      const RunOptions& options) {
  RunData run;
  if (recipe.data.given())
    run.calibration =
        open(recipe, recipe.data, "data", recipe.samples, options.jobs, model);
  if (recipe.eval.given()) {
    if (options.score)
      run.scoring = open(recipe, recipe.eval, "eval", recipe.eval_samples,
                         options.jobs, model);
  } else if (run.calibration) {
    const int64_t size = run.calibration->size();
    if (run.calibration->has_labels() && size >= 2) {
      auto [first, second] = data::split(run.calibration, kCalibrationShare,
                                         derive_seed(recipe.seed, "split"));
      run.calibration = std::move(first);
      run.scoring = std::move(second);
      run.notes.push_back(fmt::format(
          "the {} labelled samples are split by seed: {} calibrate, {} score",
          size, run.calibration->size(), run.scoring->size()));
    } else {
      run.scoring = run.calibration;
      run.notes.push_back(
          fmt::format("the same {} samples calibrate and score", size));
    }
  }
  const auto warn = [&](const BatchSource& source, const char* what) {
    run.notes.push_back(
        fmt::format("the model is {} on synthetic data ({}): the figures say "
                    "nothing about real input",
                    what, source.description()));
  };
  const auto synthetic = [](const auto& source) {
    return source && source->is_synthetic();
  };
  if (run.calibration == run.scoring) {
    if (synthetic(run.scoring)) warn(*run.scoring, "calibrated and scored");
  } else {
    if (synthetic(run.calibration)) warn(*run.calibration, "calibrated");
    if (synthetic(run.scoring)) warn(*run.scoring, "scored");
  }
  return run;
}

DataReport describe(const BatchSource& source) {
  return {source.description(), source.size(), source.has_labels(),
          source.is_synthetic()};
}

ir::InputShapes effective_shapes(const Recipe& recipe, const ir::Model& model,
                                 BatchSource* data) {
  ir::InputShapes shapes = recipe.input_shapes;
  const auto inputs = free_inputs(model);
  const auto sample = first_sample(data);
  for (const ir::Value* input : inputs) {
    const bool only = inputs.size() == 1;
    if (shapes.contains(input->name()) || (only && shapes.contains("")) ||
        input->type.has_static_shape())
      continue;
    const ir::Tensor* tensor = sample ? sample->find(input->name()) : nullptr;
    if (tensor) shapes[input->name()] = tensor->dims();
  }
  return ir::default_input_shapes(model, shapes);
}

NamedTensors bench_inputs(const ir::Model& model, const ir::InputShapes& shapes,
                          BatchSource* data, uint64_t seed) {
  const auto inputs = free_inputs(model);
  if (const auto sample = first_sample(data)) {
    NamedTensors tensors;
    for (const ir::Value* input : inputs) {
      const ir::Tensor* tensor = sample->find(input->name());
      const auto dims = shapes.find(input->name());
      if (!tensor || dims == shapes.end() || dims->second != tensor->dims())
        break;
      tensors.emplace_back(input->name(), *tensor);
    }
    if (tensors.size() == inputs.size()) return tensors;
  }
  return latency::random_inputs(model, shapes, derive_seed(seed, "bench"));
}

}  // namespace lathe::recipes
