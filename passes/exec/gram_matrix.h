// The calibration Gram matrix: how a value's features go together over data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/base/progress.h"
#include "passes/batch_source.h"
#include "passes/ir/graph.h"

namespace lathe::exec {

// X^T X, where each row of X holds the features of one position of one sample.
// With X the input of a linear layer of weights W, the squared error of its
// output is tr((W - W')^T X^T X (W - W')): twice the matrix is the Hessian of
// Frantar et al. 2022, "GPTQ" (arXiv 2210.17323), section 3.
struct GramMatrix {
  int64_t size = 0;         // features; 0 where the value never had an element
  int64_t rows = 0;         // positions over all samples
  std::vector<float> sums;  // [size, size], symmetric
};

// A value of the main graph that is computed or a graph input.
struct GramRequest {
  std::string value;
  int64_t axis = -1;  // of the features; all other axes are positions
};

struct GramOptions {
  int64_t samples = 0;  // the first ones, in whole batches; 0: all
  int jobs = 0;
};

// One for each request, in order. Runs only what the values need, in one pass
// over the data; the memory it takes is the matrices and a batch a job, however
// many samples there are. The result does not depend on jobs. Errors: kUsage
// for a value that is not computed; kInput when the data is empty or does not
// fit the model, or, with the value's name, when its features are not finite or
// differ in number between samples.
std::vector<GramMatrix> gram_matrices(const ir::Model& model,
                                      const std::vector<GramRequest>& requests,
                                      BatchSource& data,
                                      const GramOptions& options,
                                      ProgressSink& progress,
                                      const CancelToken* cancel);

}  // namespace lathe::exec
