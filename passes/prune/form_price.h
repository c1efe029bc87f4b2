// The latency that pruning aims at.
#pragma once

#include <string>

#include "passes/ir/shape_inference.h"
#include "passes/latency_model.h"
#include "passes/prune/prune.h"

namespace lathe::prune {

// A copy with these shapes, and 1 for what they leave open.
ir::Model with_static_shapes(const ir::Model& model,
                             const ir::InputShapes& shapes);

// The latency that a model stays within with this probability: log-normal.
double latency_at(double confidence, const LatencyEstimate& latency);

// Asks context.latency about models in the form whose latency counts.
class FormPrice {
 public:
  // Both outlive this.
  FormPrice(const PruneOptions& options, const PassContext& context)
      : options_(options), context_(context) {}

  // Of the model itself, and of its form; shapes need not be static.
  LatencyEstimate plain(const ir::Model& model) const;
  LatencyEstimate formed(const ir::Model& model) const;
  // Microseconds of formed(), with options.confidence.
  double us(const ir::Model& model) const {
    return latency_at(options_.confidence, formed(model));
  }
  // us() is the median of the model itself.
  bool is_plain() const {
    return !options_.form.make && options_.confidence == 0.5;
  }
  // " as int8 with a probability of 0.95": what us() says more than that.
  std::string what() const;

 private:
  const PruneOptions& options_;
  const PassContext& context_;
};

}  // namespace lathe::prune
