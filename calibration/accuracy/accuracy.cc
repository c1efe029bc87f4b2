#include "calibration/accuracy/accuracy.h"

#include <algorithm>
#include <cstddef>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "calibration/accuracy/align_inputs.h"
#include "calibration/accuracy/reference.h"
#include "calibration/accuracy/sample_score.h"
#include "calibration/accuracy/totals.h"
#include "calibration/latency/batch_stream.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/text.h"

namespace lathe::accuracy {
namespace {

using latency::Session;
using latency::TensorInfo;

std::vector<std::string> output_names(const Session& session) {
  std::vector<std::string> names;
  for (const TensorInfo& output : session.outputs())
    names.push_back(output.name);
  return names;
}

// For each of the model's outputs, which of the reference's it is compared
// with: the one of its name, else, where no name is shared, the one in its
// place.
std::vector<size_t> match_outputs(const std::vector<std::string>& ours,
                                  const std::vector<std::string>& reference) {
  std::vector<size_t> match;
  for (const std::string& name : ours) {
    auto found = std::find(reference.begin(), reference.end(), name);
    if (found != reference.end())
      match.push_back(static_cast<size_t>(found - reference.begin()));
  }
  if (match.size() == ours.size()) return match;
  if (match.empty() && ours.size() == reference.size()) {
    for (size_t i = 0; i < ours.size(); ++i) match.push_back(i);
    return match;
  }
  throw_input("model",
              "its outputs are " + join(ours, ", ") + ", the reference's are " +
                  join(reference, ", "),
              "both need the same outputs to be compared");
}

// What a model that reads nothing but token ids is fed; else null.
const ir::Tensor* token_ids(const Batch& batch) {
  return batch.inputs.size() == 1 ? &batch.inputs[0].second : nullptr;
}

std::unique_ptr<Session> open_model(const ir::Model& model) {
  latency::SessionOptions options;
  options.threads = 1;
  options.spin = false;
  return Session::open(model, options);
}

// A session of `model` that is fed what `reference` is: a Session's inputs or a
// model.
template <class Fed>
std::unique_ptr<Session> open_aligned(const Fed& reference,
                                      const ir::Model& model) {
  const std::optional<ir::Model> aligned = align_inputs(reference, model);
  return open_model(aligned ? *aligned : model);
}

// Runs the model over the data beside `reference` (may be null).
Accuracy score_model(const Session& session, Reference* reference,
                     BatchSource& data, const EvaluateOptions& options,
                     ProgressSink& progress, const CancelToken* cancel) {
  const std::vector<std::string> names = output_names(session);

  latency::StreamOptions stream;
  stream.task = "evaluate";
  stream.samples = options.samples;
  stream.jobs = options.jobs;
  stream.batch_size = latency::session_batch_size(session);
  if (options.ranks) {
    stream.rank = options.ranks->rank();
    stream.ranks = options.ranks->ranks();
  }
  std::vector<size_t> match;
  if (reference) {
    match = match_outputs(names, output_names(reference->session()));
    stream.batch_size = std::max(
        stream.batch_size, latency::session_batch_size(reference->session()));
    reference->begin(stream.batch_size);
  }

  struct Slot {
    std::vector<SampleScore> scores;
    std::vector<ir::Tensor> reference;
  };
  std::vector<Slot> slots(latency::stream_slots(stream));
  Totals totals(names, reference != nullptr);

  auto work = [&](size_t index, const Batch& batch) {
    std::vector<ir::Tensor> outputs = session.run(batch.inputs);
    std::vector<ir::Tensor> theirs, matched;
    if (reference) {
      theirs = reference->outputs(index, batch);
      for (const size_t i : match) matched.push_back(theirs[i]);
    }
    Slot& slot = slots[index % slots.size()];
    slot.scores =
        score_batch({names, outputs, matched, batch.labels, stream.batch_size,
                     batch.samples, token_ids(batch)});
    slot.reference = std::move(theirs);
  };
  auto fold = [&](size_t index, const Batch&) {
    const Slot slot = std::exchange(slots[index % slots.size()], {});
    for (const SampleScore& score : slot.scores) totals.add(score);
    if (reference) reference->keep(index, slot.reference);
  };
  latency::stream_batches(data, stream, progress, cancel, work, fold);
  if (options.ranks) totals.gather(*options.ranks);
  return totals.result();
}

class RuntimeEvaluator final : public Evaluator {
 public:
  RuntimeEvaluator(const ir::Model& reference, BatchSource& data,
                   const EvaluateOptions& options, ProgressSink& progress,
                   const CancelToken* cancel)
      : reference_(reference, kMaxKeptBytes, options.quick_reference),
        data_(data),
        options_(options),
        progress_(progress),
        cancel_(cancel) {}

  Accuracy evaluate(const ir::Model& model) override {
    return score_model(*open_aligned(reference_.session().inputs(), model),
                       &reference_, data_, options_, progress_, cancel_);
  }

 private:
  Reference reference_;
  BatchSource& data_;
  EvaluateOptions options_;
  ProgressSink& progress_;
  const CancelToken* cancel_;
};

}  // namespace

Accuracy evaluate(const ir::Model& model, const ir::Model* reference,
                  BatchSource& data, const EvaluateOptions& options,
                  ProgressSink& progress, const CancelToken* cancel) {
  if (!reference)
    return score_model(*open_model(model), nullptr, data, options, progress,
                       cancel);
  std::future<std::unique_ptr<Session>> session =
      std::async(effective_jobs(options.jobs) > 1 ? std::launch::async
                                                  : std::launch::deferred,
                 [&] { return open_aligned(*reference, model); });
  Reference bound(*reference, /*max_kept_bytes=*/0, options.quick_reference);
  return score_model(*session.get(), &bound, data, options, progress, cancel);
}

std::unique_ptr<Evaluator> make_evaluator(const ir::Model& reference,
                                          BatchSource& data,
                                          const EvaluateOptions& options,
                                          ProgressSink& progress,
                                          const CancelToken* cancel) {
  return std::make_unique<RuntimeEvaluator>(reference, data, options, progress,
                                            cancel);
}

}  // namespace lathe::accuracy
