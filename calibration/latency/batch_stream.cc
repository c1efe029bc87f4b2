#include "calibration/latency/batch_stream.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/in_order.h"
#include "passes/base/jobs.h"
#include "passes/ranks.h"

namespace lathe::latency {
namespace {

// Enough that a batch that takes longer than others keeps no job waiting.
constexpr size_t kBatchesPerJob = 4;

// `tensor` holds `have` samples along its first dimension; the result holds
// `want`: cut, or the last one repeated.
ir::Tensor resized(const ir::Tensor& tensor, int64_t have, int64_t want) {
  if (tensor.rank() == 0 || tensor.dims()[0] != have || have <= 0)
    return tensor;
  std::vector<int64_t> dims = tensor.dims();
  dims[0] = want;
  if (tensor.type() == ir::DataType::kString) {
    size_t each = tensor.strings().size() / static_cast<size_t>(have);
    std::vector<std::string> strings;
    for (int64_t i = 0; i < want; ++i) {
      auto from = tensor.strings().begin() +
                  static_cast<std::ptrdiff_t>(each * std::min(i, have - 1));
      strings.insert(strings.end(), from,
                     from + static_cast<std::ptrdiff_t>(each));
    }
    return ir::Tensor(dims, std::move(strings));
  }
  size_t each = tensor.bytes().size() / static_cast<size_t>(have);
  std::vector<std::byte> bytes;
  bytes.reserve(each * static_cast<size_t>(want));
  for (int64_t i = 0; i < want; ++i) {
    auto from = tensor.bytes().subspan(
        each * static_cast<size_t>(std::min(i, have - 1)), each);
    bytes.insert(bytes.end(), from.begin(), from.end());
  }
  return ir::Tensor(tensor.type(), dims, ir::Bytes::own(std::move(bytes)));
}

// A test case comes as one sample whose tensors are the whole batch already.
bool is_whole(const Batch& batch, int64_t batch_size) {
  if (batch.samples != 1 || batch_size == 1 || batch.inputs.empty())
    return false;
  for (const auto& [name, tensor] : batch.inputs)
    if (tensor.rank() == 0 || tensor.dims()[0] != batch_size) return false;
  return true;
}

// Keeps `samples` of the batch and fills its tensors up to `batch_size`.
void fit_batch(Batch& batch, int64_t samples, int64_t batch_size) {
  if (samples == batch.samples && samples == batch_size) return;
  for (auto& [name, tensor] : batch.inputs)
    tensor =
        resized(resized(tensor, batch.samples, samples), samples, batch_size);
  if (static_cast<int64_t>(batch.labels.size()) > samples)
    batch.labels.resize(static_cast<size_t>(samples));
  batch.samples = samples;
}

}  // namespace

int64_t session_batch_size(const Session& session) {
  int64_t batch = 1;
  bool first = true;
  for (const TensorInfo& input : session.inputs()) {
    if (!input.type.shape || input.type.shape->empty()) continue;
    int64_t dim = input.type.shape->front().value;
    if (dim < 1 || (!first && dim != batch)) return 1;
    batch = dim;
    first = false;
  }
  return batch;
}

size_t stream_slots(const StreamOptions& options) {
  return kBatchesPerJob * static_cast<size_t>(effective_jobs(options.jobs));
}

void stream_batches(BatchSource& data, const StreamOptions& options,
                    ProgressSink& progress, const CancelToken* cancel,
                    const std::function<void(size_t, const Batch&)>& work,
                    const std::function<void(size_t, const Batch&)>& fold) {
  int64_t left = data.size();
  if (options.samples > 0) left = std::min(left, options.samples);
  if (left <= 0) throw_input(data.description(), "the data has no samples");
  left = shard_size(left, options.rank, options.ranks);
  ReadOptions read;
  read.rank = options.rank;
  read.ranks = options.ranks;
  read.batch_size = std::max(options.batch_size, int64_t{1});
  std::unique_ptr<BatchReader> reader = data.read(read);
  std::vector<Batch> slots(stream_slots(options));
  progress.begin(options.task, static_cast<uint64_t>(left));
  const auto next = [&](size_t i) {
    if (left <= 0) return false;
    if (cancel) cancel->check();
    std::optional<Batch> batch = reader->next();
    if (!batch) return false;
    if (is_whole(*batch, read.batch_size)) {
      batch->samples = read.batch_size;
      --left;
    } else {
      fit_batch(*batch, std::min(batch->samples, left), read.batch_size);
      left -= batch->samples;
    }
    slots[i % slots.size()] = std::move(*batch);
    return true;
  };
  for_each_in_order(
      slots.size(), options.jobs, next,
      [&](size_t i) {
        if (cancel) cancel->check();
        work(i, slots[i % slots.size()]);
      },
      [&](size_t i) {
        const Batch batch = std::exchange(slots[i % slots.size()], {});
        fold(i, batch);
        progress.advance(static_cast<uint64_t>(batch.samples));
      });
  progress.end();
}

}  // namespace lathe::latency
