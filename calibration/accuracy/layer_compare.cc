#include "calibration/accuracy/layer_compare.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "calibration/accuracy/accuracy.h"
#include "calibration/accuracy/align_inputs.h"
#include "calibration/accuracy/layer_jump.h"
#include "calibration/accuracy/layer_match.h"
#include "calibration/accuracy/layer_stats.h"
#include "calibration/latency/batch_stream.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/ir/shape_inference.h"

namespace lathe::accuracy {
namespace {

using latency::Session;

// The shapes that the data's batches give the inputs.
ir::InputShapes batch_shapes(BatchSource& data, int64_t batch_size) {
  ReadOptions read;
  read.batch_size = batch_size;
  std::optional<Batch> batch = data.read(read)->next();
  if (!batch) throw_input(data.description(), "the data has no samples");
  ir::InputShapes shapes;
  for (const auto& [name, tensor] : batch->inputs) {
    std::vector<int64_t> dims = tensor.dims();
    if (!dims.empty() && dims[0] == batch->samples) dims[0] = batch_size;
    shapes[name] = std::move(dims);
  }
  return shapes;
}

ir::Model with_shapes(const ir::Model& model, const ir::InputShapes& shapes) {
  ir::Model shaped = ir::clone(model);
  ir::bind_input_shapes(shaped, shapes);
  ir::infer_shapes(shaped);
  return shaped;
}

int64_t batch_size_of(const ir::Model& model) {
  latency::SessionOptions options;
  options.level = latency::OptimizationLevel::kNone;
  return latency::session_batch_size(*Session::open(model, options));
}

// The model with exactly these values, and its own outputs, as outputs.
std::unique_ptr<Session> open_with(const ir::Model& model,
                                   const std::vector<std::string>& values,
                                   const char* where) {
  ir::Model extended = ir::clone(model);
  for (const std::string& name : values) {
    ir::Value* value = extended.graph->find(name);
    if (!value->is_graph_output()) extended.graph->add_output(value);
  }
  latency::SessionOptions options;
  options.threads = 1;
  options.spin = false;
  options.level = latency::OptimizationLevel::kBasic;
  return Session::open(extended, options, where);
}

class LayerRun {
 public:
  LayerRun(const ir::Model& reference, const ir::Model& other,
           BatchSource& data, const CompareOptions& options,
           ProgressSink& progress, const CancelToken* cancel)
      : reference_(reference),
        other_(other),
        data_(data),
        options_(options),
        progress_(progress),
        cancel_(cancel),
        batch_size_(std::max(batch_size_of(reference), batch_size_of(other))) {
    const ir::InputShapes shapes = batch_shapes(data, batch_size_);
    const ir::Model shaped = with_shapes(reference, shapes);
    layers_ = match_layers(shaped, with_shapes(other, shapes));
    make_groups(*shaped.graph);
    stats_.resize(layers_.size());
  }

  void run() {
    for (size_t i = 0; i < groups_.size(); ++i) {
      std::string task = "compare layers";
      if (groups_.size() > 1)
        task +=
            " " + std::to_string(i + 1) + "/" + std::to_string(groups_.size());
      run_group(groups_[i], task);
    }
  }

  const std::vector<LayerPair>& layers() const { return layers_; }
  const std::vector<LayerStats>& stats() const { return stats_; }

 private:
  // So many layers together that their results stay below max_bytes: the
  // reference's in the runtime and copied, and the other's.
  void make_groups(const ir::Graph& shaped) {
    constexpr uint64_t kBytesPerElement = 3 * sizeof(float);
    const uint64_t most = options_.max_bytes /
                          static_cast<uint64_t>(effective_jobs(options_.jobs));
    uint64_t largest = 0;  // stands for unknown ones
    std::vector<uint64_t> bytes(layers_.size());
    for (size_t i = 0; i < layers_.size(); ++i) {
      const auto count = shaped.find(layers_[i].value)->type.element_count();
      bytes[i] = kBytesPerElement * static_cast<uint64_t>(count.value_or(0));
      largest = std::max(largest, bytes[i]);
    }
    uint64_t filled = 0;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (!layers_[i].matched()) continue;
      const uint64_t size = bytes[i] > 0 ? bytes[i] : largest;
      if (groups_.empty() || filled + size > most) {
        groups_.emplace_back();
        filled = 0;
      }
      groups_.back().push_back(i);
      filled += size;
    }
  }

  void run_group(const std::vector<size_t>& group, const std::string& task) {
    std::vector<std::string> ours, theirs;
    std::vector<size_t> computed;  // places in `group` of what the session runs
    for (size_t i = 0; i < group.size(); ++i) {
      const LayerPair& layer = layers_[group[i]];
      theirs.push_back(layer.other);
      if (reference_.graph->find(layer.value)->is_graph_input()) continue;
      ours.push_back(layer.value);
      computed.push_back(i);
    }
    const std::unique_ptr<Session> our_session =
        open_with(reference_, ours, "the first model with its layers' results");
    const std::unique_ptr<Session> their_session =
        open_with(other_, theirs, "the second model with its layers' results");
    latency::StreamOptions stream;
    stream.task = task;
    stream.samples = options_.samples;
    stream.jobs = options_.jobs;
    stream.batch_size = batch_size_;
    std::vector<std::vector<LayerStats>> slots(latency::stream_slots(stream));

    auto work = [&](size_t index, const Batch& batch) {
      std::vector<ir::Tensor> results(group.size());
      for (size_t i = 0; i < group.size(); ++i)
        if (const ir::Tensor* input = batch.find(layers_[group[i]].value))
          results[i] = *input;
      if (!ours.empty()) {
        std::vector<ir::Tensor> run = our_session->run(batch.inputs, ours);
        for (size_t i = 0; i < run.size(); ++i)
          results[computed[i]] = std::move(run[i]);
      }
      std::vector<LayerStats> measured(group.size());
      their_session->run(
          batch.inputs, theirs, [&](size_t i, const ir::Tensor& view) {
            const LayerPair& layer = layers_[group[i]];
            measured[i].measure(results[i], view, layer.codes, layer.quantizer,
                                batch_size_, batch.samples);
            results[i] = {};
          });
      slots[index % slots.size()] = std::move(measured);
    };
    auto fold = [&](size_t index, const Batch&) {
      const std::vector<LayerStats> measured =
          std::exchange(slots[index % slots.size()], {});
      for (size_t i = 0; i < group.size(); ++i)
        stats_[group[i]].merge(measured[i]);
    };
    latency::stream_batches(data_, stream, progress_, cancel_, work, fold);
  }

  const ir::Model &reference_, &other_;
  BatchSource& data_;
  const CompareOptions& options_;
  ProgressSink& progress_;
  const CancelToken* cancel_;
  int64_t batch_size_;
  std::vector<LayerPair> layers_;
  std::vector<LayerStats> stats_;  // of each layer
  std::vector<std::vector<size_t>> groups_;
};

}  // namespace

Comparison compare_layers(const ir::Model& reference, const ir::Model& other,
                          BatchSource& data, const CompareOptions& options,
                          ProgressSink& progress, const CancelToken* cancel) {
  const std::optional<ir::Model> changed = align_inputs(reference, other);
  const ir::Model& aligned = changed ? *changed : other;
  EvaluateOptions evaluate_options;
  evaluate_options.samples = options.samples;
  evaluate_options.jobs = options.jobs;
  const Accuracy accuracy =
      evaluate(aligned, &reference, data, evaluate_options, progress, cancel);
  LayerRun run(reference, aligned, data, options, progress, cancel);
  run.run();
  Comparison comparison = judge_layers(run.layers(), run.stats());
  comparison.samples = accuracy.samples;
  comparison.accuracy = accuracy;
  if (accuracy.top1)
    comparison.reference_top1 =
        evaluate(reference, nullptr, data, evaluate_options, progress, cancel)
            .top1;
  return comparison;
}

}  // namespace lathe::accuracy
