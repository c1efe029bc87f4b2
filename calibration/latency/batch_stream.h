// Data through sessions: several batches at a time, results in order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "calibration/latency/session.h"
#include "passes/base/progress.h"
#include "passes/batch_source.h"

namespace lathe::latency {

// The batch size that a session can only be run with: the first dimension that
// all its inputs share when it is a number; 1 when it is free.
int64_t session_batch_size(const Session& session);

struct StreamOptions {
  std::string task;        // for progress
  int64_t samples = 0;     // to read at most, by all ranks; 0: all
  int64_t batch_size = 1;  // session_batch_size()
  int jobs = 0;            // batches at work at the same time; 0: all cores
  int64_t rank = 0, ranks = 1;  // ReadOptions' own
};

// How many batches are in memory at once. What belongs to the i-th batch may
// lie in a slot, i % stream_slots(options), until it is folded.
size_t stream_slots(const StreamOptions& options);

// Reads `data` once. For the i-th batch `work(i, batch)` runs beside others;
// then, one at a time and in the data's order, while others work,
// `fold(i, batch)`. Both run on any thread. A last, incomplete batch is filled
// up by repeating its last sample, so its tensors hold batch_size samples while
// batch.samples counts the real ones. Error kInput when the data has no
// samples; a rank may have none of them.
void stream_batches(BatchSource& data, const StreamOptions& options,
                    ProgressSink& progress, const CancelToken* cancel,
                    const std::function<void(size_t, const Batch&)>& work,
                    const std::function<void(size_t, const Batch&)>& fold);

}  // namespace lathe::latency
