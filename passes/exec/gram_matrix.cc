// Rows are gathered until there are enough for a matrix product to be worth it.
#include "passes/exec/gram_matrix.h"

#include <algorithm>
#include <optional>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/exec/model_part.h"
#include "passes/exec/program.h"
#include "passes/exec/single_thread.h"

namespace lathe::exec {
namespace {

constexpr int64_t kRowsAtOnce = 512;
constexpr int64_t kSlab = 256;  // rows of the sums that one job adds to

[[noreturn]] void throw_value(const std::string& name, std::string what,
                              std::string hint = "") {
  throw_input("value '" + name + "'", std::move(what), std::move(hint));
}

class Accumulator {
 public:
  Accumulator(const GramRequest& request, int jobs)
      : request_(request), jobs_(jobs) {}

  void add(const at::Tensor& value) {
    if (!value.is_floating_point())
      throw_value(request_.value, "its elements are no floating-point numbers");
    const int64_t rank = std::max<int64_t>(value.dim(), 1);
    if (request_.axis < -rank || request_.axis >= rank)
      throw_value(request_.value, "it has " + std::to_string(rank) +
                                      " axes, no axis " +
                                      std::to_string(request_.axis));
    if (value.numel() == 0) return;
    const at::Tensor last = value.dim() == 0 ? value.reshape({1})
                                             : value.movedim(request_.axis, -1);
    const at::Tensor rows = last.reshape({-1, last.size(-1)}).to(at::kFloat);
    if (!sums_.defined()) sums_ = at::zeros({rows.size(1), rows.size(1)});
    if (rows.size(1) != sums_.size(0))
      throw_value(request_.value, "it has " + std::to_string(rows.size(1)) +
                                      " features in one sample and " +
                                      std::to_string(sums_.size(0)) +
                                      " in another");
    waiting_.push_back(rows);
    waiting_rows_ += rows.size(0);
    if (waiting_rows_ >= kRowsAtOnce) flush();
  }

  GramMatrix result() {
    GramMatrix gram;
    if (!sums_.defined()) return gram;
    flush();
    if (!at::isfinite(sums_).all().item<bool>())
      throw_value(request_.value, "it is not finite over the calibration data",
                  "check the preprocessing of the data and the model's "
                  "weights");
    gram.size = sums_.size(0);
    gram.rows = rows_;
    const float* data = sums_.data_ptr<float>();
    gram.sums.assign(data, data + sums_.numel());
    sums_ = at::Tensor();
    return gram;
  }

 private:
  void flush() {
    if (waiting_.empty()) return;
    const at::Tensor rows =
        waiting_.size() == 1 ? waiting_[0] : at::cat(waiting_);
    const int64_t size = sums_.size(0);
    parallel_for(static_cast<size_t>((size + kSlab - 1) / kSlab), jobs_,
                 [&](size_t slab) {
                   const at::NoGradGuard no_grad;
                   const SingleThread single;
                   const int64_t begin = static_cast<int64_t>(slab) * kSlab;
                   const int64_t end = std::min(begin + kSlab, size);
                   sums_.slice(0, begin, end)
                       .addmm_(rows.slice(1, begin, end).t(), rows);
                 });
    rows_ += waiting_rows_;
    waiting_.clear();
    waiting_rows_ = 0;
  }

  const GramRequest& request_;
  int jobs_;
  at::Tensor sums_;
  std::vector<at::Tensor> waiting_;
  int64_t waiting_rows_ = 0, rows_ = 0;
};

// The values that are wanted, each once, and each request's place among them.
struct Wanted {
  std::vector<std::string> values;
  std::vector<size_t> places;
};

Wanted wanted_by(const std::vector<GramRequest>& requests,
                 const ir::Graph& graph) {
  Wanted wanted;
  for (const GramRequest& request : requests) {
    const ir::Value* value = graph.find(request.value);
    if (!value || (!value->producer() && !value->is_graph_input()))
      throw Error(ErrorKind::kUsage, "gram matrix",
                  "the graph computes no value '" + request.value + "'");
    const auto found = std::ranges::find(wanted.values, request.value);
    wanted.places.push_back(static_cast<size_t>(found - wanted.values.begin()));
    if (found == wanted.values.end()) wanted.values.push_back(request.value);
  }
  return wanted;
}

int64_t samples_of(const Batch& batch) {
  return std::max<int64_t>(batch.samples, 1);
}

// At most `count`, of no more samples than wanted.
std::vector<Batch> next_batches(BatchReader& reader, int count,
                                int64_t wanted) {
  std::vector<Batch> batches;
  while (static_cast<int>(batches.size()) < count && wanted > 0) {
    std::optional<Batch> batch = reader.next();
    if (!batch) break;
    wanted -= samples_of(*batch);
    batches.push_back(std::move(*batch));
  }
  return batches;
}

std::vector<at::Tensor> run(const Program& program, const Batch& batch) {
  const at::NoGradGuard no_grad;
  const SingleThread single;
  Program::Named inputs;
  for (const auto& [name, tensor] : batch.inputs)
    inputs.emplace_back(name, to_torch(tensor));
  return program.run(inputs);
}

}  // namespace

std::vector<GramMatrix> gram_matrices(const ir::Model& model,
                                      const std::vector<GramRequest>& requests,
                                      BatchSource& data,
                                      const GramOptions& options,
                                      ProgressSink& progress,
                                      const CancelToken* cancel) {
  if (requests.empty()) return {};
  int64_t left = data.size();
  if (options.samples > 0) left = std::min(left, options.samples);
  if (left <= 0) throw_input(data.description(), "the data has no samples");
  const Wanted wanted = wanted_by(requests, *model.graph);
  const std::vector<size_t>& places = wanted.places;
  const int jobs = effective_jobs(options.jobs);
  const SingleThread single;
  const at::NoGradGuard no_grad;
  const auto program =
      Program::compile(model_part(model, {}, wanted.values),
                       {.trainable = [](const ir::Value&) { return false; }});

  ReadOptions read;
  read.batch_size = fixed_batch_size(*model.graph).value_or(1);
  read.drop_last = read.batch_size > 1 && left >= read.batch_size;
  const std::unique_ptr<BatchReader> reader = data.read(read);
  std::vector<Accumulator> accumulators;
  for (const GramRequest& request : requests)
    accumulators.emplace_back(request, jobs);
  progress.begin("gather input statistics", static_cast<uint64_t>(left));
  while (left > 0) {
    std::vector<Batch> wave = next_batches(*reader, jobs, left);
    if (wave.empty()) break;
    std::vector<std::vector<at::Tensor>> values(wave.size());
    parallel_for(wave.size(), jobs, [&](size_t i) {
      if (cancel) cancel->check();
      values[i] = run(*program, wave[i]);
    });
    for (const std::vector<at::Tensor>& computed : values)
      for (size_t i = 0; i < accumulators.size(); ++i)
        accumulators[i].add(computed[places[i]]);
    int64_t samples = 0;
    for (const Batch& batch : wave) samples += samples_of(batch);
    left -= samples;
    progress.advance(static_cast<uint64_t>(samples));
  }
  progress.end();
  std::vector<GramMatrix> results;
  for (Accumulator& accumulator : accumulators)
    results.push_back(accumulator.result());
  return results;
}

}  // namespace lathe::exec
