#include "calibration/ranges/value_stream.h"

#include <utility>

#include "calibration/latency/batch_stream.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::ranges {
namespace {

constexpr int64_t kFewSamples = 16;

std::vector<std::string> value_names(const ir::Graph& graph) {
  std::vector<std::string> names;
  for (const ir::Value* value : graph.values()) names.push_back(value->name());
  return names;
}

const ir::Value& find_value(const ir::Graph& graph, const std::string& name) {
  const ir::Value* value = graph.find(name);
  if (!value)
    throw_input(
        "value '" + name + "'",
        "the model has no such value" + did_you_mean(name, value_names(graph)));
  const ir::DataType type = value->type.elem;
  if (type != ir::DataType::kUndefined && !ir::is_floating(type))
    throw_input("value '" + name + "'",
                "a range needs floating-point elements, not " +
                    std::string(ir::to_string(type)));
  return *value;
}

latency::StreamOptions stream_options(const StreamData& data) {
  latency::StreamOptions stream;
  stream.task = "calibrate";
  stream.samples = data.samples;
  stream.jobs = data.jobs;
  if (data.ranks) {
    stream.rank = data.ranks->rank();
    stream.ranks = data.ranks->ranks();
  }
  return stream;
}

// Hands the elements to `use`, without those of samples beyond `samples`.
template <class Use>
void with_elements(const ir::Tensor& tensor, int64_t batch_size,
                   int64_t samples, const Use& use) {
  std::vector<float> converted;
  std::span<const float> values;
  if (tensor.type() == ir::DataType::kFloat) {
    values = tensor.data<float>();
  } else {
    converted = tensor.to_floats();
    values = converted;
  }
  std::vector<int64_t> dims = tensor.dims();
  if (samples < batch_size && !dims.empty() && dims[0] == batch_size) {
    const auto whole = static_cast<size_t>(batch_size);
    values = values.first(values.size() / whole * static_cast<size_t>(samples));
    dims[0] = samples;
  }
  use(Elements{values, dims});
}

}  // namespace

ValueStream::ValueStream(const ir::Model& model,
                         std::vector<std::string> values)
    : model_(model), values_(std::move(values)) {
  for (size_t i = 0; i < values_.size(); ++i) {
    const ir::Value& value = find_value(*model.graph, values_[i]);
    (value.has_initializer()  ? constants_
     : value.is_graph_input() ? inputs_
                              : computed_)
        .push_back(i);
  }
}

size_t ValueStream::slots(const StreamData& data) {
  return latency::stream_slots(stream_options(data));
}

void ValueStream::run(const StreamData& data, ProgressSink& progress,
                      const CancelToken* cancel, const Visit& visit,
                      const Fold& fold) const {
  const bool first = !data.ranks || data.ranks->rank() == 0;
  for (size_t i : constants_) {
    if (!first) break;
    const ir::Tensor& tensor = model_.graph->find(values_[i])->tensor();
    with_elements(tensor, /*batch_size=*/1, /*samples=*/1,
                  [&](const Elements& elements) { visit(0, i, elements); });
  }
  if (first && !constants_.empty()) fold(0);
  if (!inputs_.empty() || !computed_.empty())
    run_data(data, progress, cancel, visit, fold);
}

void ValueStream::run_data(const StreamData& data, ProgressSink& progress,
                           const CancelToken* cancel, const Visit& visit,
                           const Fold& fold) const {
  ir::Model extended = ir::clone(model_);
  std::vector<std::string> outputs;
  for (size_t i : computed_) {
    outputs.push_back(values_[i]);
    ir::Value* value = extended.graph->find(values_[i]);
    if (!value->is_graph_output()) extended.graph->add_output(value);
  }
  latency::SessionOptions options;
  options.threads = 1;
  options.spin = false;
  // Blocked convolutions are faster, but take longer to prepare.
  const bool few = data.samples > 0 && data.samples <= kFewSamples;
  options.level = few ? latency::OptimizationLevel::kBasic
                      : latency::OptimizationLevel::kAll;
  const auto session = latency::Session::open(
      extended, options, "the model with its values as outputs");

  latency::StreamOptions stream = stream_options(data);
  stream.batch_size = latency::session_batch_size(*session);
  const size_t slots = latency::stream_slots(stream);
  const auto work = [&](size_t index, const Batch& batch) {
    const size_t slot = index % slots;
    const auto show = [&](size_t i, const ir::Tensor& tensor) {
      with_elements(
          tensor, stream.batch_size, batch.samples,
          [&](const Elements& elements) { visit(slot, i, elements); });
    };
    for (size_t i : inputs_)
      if (const ir::Tensor* tensor = batch.find(values_[i])) show(i, *tensor);
    if (!outputs.empty())
      session->run(batch.inputs, outputs,
                   [&](size_t output, const ir::Tensor& view) {
                     show(computed_[output], view);
                   });
  };
  latency::stream_batches(
      data.source, stream, progress, cancel, work,
      [&](size_t index, const Batch&) { fold(index % slots); });
}

}  // namespace lathe::ranges
