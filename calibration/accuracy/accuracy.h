// Top-1, top-5, perplexity and fidelity to a reference model. What each figure
// means at its edges: sample_score.h, metrics.h and perplexity.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "passes/base/progress.h"
#include "passes/batch_source.h"
#include "passes/evaluator.h"
#include "passes/ranks.h"

namespace lathe::accuracy {

struct EvaluateOptions {
  int64_t samples = 0;  // 0: all
  int jobs = 0;
  // The reference is prepared faster and runs slower: for few samples. Its last
  // bits may differ from those of the same model prepared in full.
  bool quick_reference = false;
  // Where given, each rank runs its own samples, and every rank returns the
  // figures of all, the same bits.
  Ranks* ranks = nullptr;
  // What labels are compared with: the first output when it is [N, classes].
};

// Runs `model` (and `reference`, when given) in ONNX Runtime over the data,
// which fits the reference's inputs where there is one: align_inputs.h says
// what of `model`'s may differ. Memory does not grow with the number of
// samples; results do not depend on jobs.
Accuracy evaluate(const ir::Model& model, const ir::Model* reference,
                  BatchSource& data, const EvaluateOptions& options,
                  ProgressSink& progress, const CancelToken* cancel);

// An Evaluator bound to a reference (cloned) and data. The reference's outputs
// are computed once and kept when they fit 256 MiB, else run again.
std::unique_ptr<Evaluator> make_evaluator(const ir::Model& reference,
                                          BatchSource& data,
                                          const EvaluateOptions& options,
                                          ProgressSink& progress,
                                          const CancelToken* cancel);

}  // namespace lathe::accuracy
