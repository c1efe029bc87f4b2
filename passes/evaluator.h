// Accuracy and fidelity of a model, the same figures for every stage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe {

// How close one output is to the reference's, over all samples.
struct OutputFidelity {
  std::string name;
  double sqnr_db = 0;  // mean over samples of 10 log10(sum r^2 / sum (r-x)^2)
  double cosine = 0;   // mean over samples
  double max_abs_diff = 0;
};

struct Accuracy {
  int64_t samples = 0;
  // Fractions in [0, 1]; absent without labels or class scores.
  std::optional<double> top1, top5;
  // exp of the mean of -log p(next token) over all positions of all samples;
  // absent where the model does not foretell the tokens it reads.
  std::optional<double> perplexity;
  // Against the reference; absent without one. Agreement: the mean over samples
  // of the share of positions (one, for a classifier) whose arg max is the
  // reference's.
  std::optional<double> agreement;
  std::vector<OutputFidelity> outputs;  // empty without a reference
};

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  virtual Accuracy evaluate(const ir::Model& model) = 0;
};

}  // namespace lathe
