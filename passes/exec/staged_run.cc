#include "passes/exec/staged_run.h"

#include <algorithm>
#include <optional>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/exec/model_part.h"
#include "passes/exec/single_thread.h"

namespace lathe::exec {
namespace {

using Named = Program::Named;

std::unique_ptr<Program> compile(const ir::Model& part) {
  return Program::compile(
      part, {.trainable = [](const ir::Value&) { return false; }});
}

const at::Tensor* find(const Named& values, const std::string& name) {
  const auto found = std::ranges::find(values, name, &Named::value_type::first);
  return found == values.end() ? nullptr : &found->second;
}

}  // namespace

std::vector<Named> draw_samples(const ir::Graph& graph, BatchSource& data,
                                int64_t count, uint64_t seed, int64_t at_once) {
  ReadOptions options;
  options.shuffle_seed = static_cast<int64_t>(seed >> 1);
  const std::optional<int64_t> fixed = fixed_batch_size(graph);
  if (!fixed) {
    at_once = std::clamp<int64_t>(at_once, 1, std::max<int64_t>(count, 1));
    count /= at_once;
  }
  options.batch_size =
      std::clamp<int64_t>(data.size(), 1, fixed.value_or(at_once));
  options.drop_last = true;
  std::vector<Named> samples;
  const std::unique_ptr<BatchReader> reader = data.read(options);
  while (static_cast<int64_t>(samples.size()) < count) {
    std::optional<Batch> batch = reader->next();
    if (!batch) break;
    Named inputs;
    for (const auto& [name, tensor] : batch->inputs)
      inputs.emplace_back(name, to_torch(tensor));
    samples.push_back(std::move(inputs));
  }
  if (samples.empty())
    throw_input(data.description(), "the data has no samples");
  return samples;
}

StagedRun::StagedRun(const ir::Model& model, std::vector<Named> samples,
                     const PassContext& context)
    : model_(model), context_(context), held_(std::move(samples)) {}

std::vector<std::string> StagedRun::held_names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : held_.front()) names.push_back(name);
  return names;
}

size_t StagedRun::bytes() const {
  size_t sum = 0;
  for (const Held& values : held_)
    for (const auto& [name, tensor] : values) sum += tensor.nbytes();
  return sum;
}

ir::Model StagedRun::part(const std::vector<std::string>& values) const {
  return model_part(model_, held_names(), values);
}

const at::Tensor& StagedRun::held(size_t sample,
                                  const std::string& name) const {
  if (const at::Tensor* tensor = find(held_[sample], name)) return *tensor;
  throw_internal("staged run", "value '" + name + "' is not held");
}

void StagedRun::compute(const std::vector<std::string>& values,
                        const Take& take) const {
  const SingleThread outer;
  const auto program = compile(part(values));
  parallel_for(samples(), context_.jobs, [&](size_t sample) {
    context_.check_cancelled();
    const at::NoGradGuard no_grad;
    const SingleThread single;
    std::vector<at::Tensor> results = program->run(held_[sample]);
    results.resize(values.size());
    take(sample, std::move(results));
  });
}

void StagedRun::advance(const ir::Node& node) {
  const ExecutionOrder order(*model_.graph);
  std::vector<std::string> fresh, kept;
  for (const ir::Value* value : order.alive(order.position(node)))
    (find(held_.front(), value->name()) ? kept : fresh)
        .push_back(value->name());
  const auto hold = [&](size_t sample, std::vector<at::Tensor> values) {
    Held next;
    for (const std::string& name : kept)
      next.emplace_back(name, held(sample, name));
    for (size_t i = 0; i < fresh.size(); ++i)
      next.emplace_back(fresh[i], values[i]);
    held_[sample] = std::move(next);
  };
  if (!fresh.empty()) return compute(fresh, hold);
  for (size_t sample = 0; sample < samples(); ++sample) hold(sample, {});
}

}  // namespace lathe::exec
