// The model runs with the wanted values as further graph outputs; of each run
// only two numbers a value are kept. One session is shared by all jobs.
#include "calibration/ranges/min_max.h"

#include <cstddef>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "calibration/latency/batch_stream.h"
#include "calibration/latency/session.h"
#include "calibration/ranges/finite_range.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::ranges {
namespace {

// Where each wanted value's elements are found.
struct Plan {
  std::vector<std::string> inputs;    // in the data
  std::vector<std::string> computed;  // as outputs of the session
  std::unordered_map<std::string, FiniteRange> ranges;  // constants are done
};

std::vector<std::string> value_names(const ir::Graph& graph) {
  std::vector<std::string> names;
  for (const ir::Value* value : graph.values()) names.push_back(value->name());
  return names;
}

Plan make_plan(const ir::Model& model, const std::vector<std::string>& names) {
  Plan plan;
  for (const std::string& name : names) {
    const ir::Value* value = model.graph->find(name);
    if (!value)
      throw_input("value '" + name + "'",
                  "the model has no such value" +
                      did_you_mean(name, value_names(*model.graph)));
    bool known = value->type.elem != ir::DataType::kUndefined;
    if (known && !ir::is_floating(value->type.elem))
      throw_input("value '" + name + "'",
                  "a range needs floating-point elements, not " +
                      std::string(ir::to_string(value->type.elem)));
    if (!plan.ranges.emplace(name, FiniteRange{}).second) continue;
    if (value->has_initializer())
      plan.ranges[name] = finite_range(value->tensor());
    else if (value->is_graph_input())
      plan.inputs.push_back(name);
    else
      plan.computed.push_back(name);
  }
  return plan;
}

class MinMaxCollector final : public RangeCollector {
 public:
  MinMaxCollector(BatchSource& data, int64_t samples, int jobs)
      : data_(data), samples_(samples), jobs_(jobs) {}

  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& values,
                           ProgressSink& progress,
                           const CancelToken* cancel) override {
    Plan plan = make_plan(model, values);
    if (!plan.inputs.empty() || !plan.computed.empty())
      run(model, plan, progress, cancel);
    ActivationRanges result;
    for (const auto& [name, range] : plan.ranges) {
      if (!range.any_element) continue;
      if (!range.any_finite())
        throw_input("value '" + name + "'",
                    "it is never finite over the calibration data",
                    "check the preprocessing of the data and the model's "
                    "weights");
      // Adding zero makes -0 to 0, which would depend on the order.
      result[name] = {range.min + 0.0f, range.max + 0.0f};
    }
    return result;
  }

 private:
  void run(const ir::Model& model, Plan& plan, ProgressSink& progress,
           const CancelToken* cancel) {
    std::unique_ptr<latency::Session> session = open(model, plan.computed);
    latency::StreamOptions stream;
    stream.task = "calibrate";
    stream.samples = samples_;
    stream.batch_size = latency::session_batch_size(*session);
    stream.jobs = jobs_;
    std::mutex mutex;
    auto work = [&](size_t, const Batch& batch) {
      std::vector<std::pair<const std::string*, FiniteRange>> found;
      for (const std::string& name : plan.inputs)
        if (const ir::Tensor* tensor = batch.find(name))
          found.emplace_back(&name, finite_range(*tensor));
      if (!plan.computed.empty())
        session->run(
            batch.inputs, plan.computed, [&](size_t i, const ir::Tensor& view) {
              found.emplace_back(&plan.computed[i], finite_range(view));
            });
      std::lock_guard lock(mutex);
      for (const auto& [name, range] : found) plan.ranges[*name].widen(range);
    };
    latency::stream_batches(data_, stream, progress, cancel, work,
                            [](size_t, const Batch&) {});
  }

  static std::unique_ptr<latency::Session> open(
      const ir::Model& model, const std::vector<std::string>& computed) {
    ir::Model extended = ir::clone(model);
    for (const std::string& name : computed) {
      ir::Value* value = extended.graph->find(name);
      if (!value->is_graph_output()) extended.graph->add_output(value);
    }
    latency::SessionOptions options;
    options.threads = 1;
    options.spin = false;
    options.level = latency::OptimizationLevel::kBasic;
    return latency::Session::open(extended, options,
                                  "the model with its values as outputs");
  }

  BatchSource& data_;
  int64_t samples_;
  int jobs_;
};

}  // namespace

std::unique_ptr<RangeCollector> make_min_max_collector(BatchSource& data,
                                                       int64_t samples,
                                                       int jobs) {
  return std::make_unique<MinMaxCollector>(data, samples, jobs);
}

}  // namespace lathe::ranges
