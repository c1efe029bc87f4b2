// Assignments of precisions that no other beats in noise and in latency.
#pragma once

#include <vector>

#include "passes/pass_context.h"
#include "passes/quantize/placement.h"

namespace lathe::quantize {

struct PrecisionPoint {
  Labels labels;
  double noise = 0;        // the sum over integer layers
  double modelled_us = 0;  // Placement::modelled_us()
  double latency_us = 0;   // of the whole graph
};

// Nothing is quantized.
bool is_float(const Labels& labels);

// How it is found: mixed_precision.cc.
class PrecisionFrontier {
 public:
  // `noise`: one a node; `layers`: the nodes that have some, in order.
  PrecisionFrontier(Placement& placement, const std::vector<double>& noise,
                    const std::vector<size_t>& layers,
                    const PassContext& context);

  // Corners of the lower convex hull in noise and modelled latency, from the
  // least of the latter to float.
  const std::vector<PrecisionPoint>& hull() const { return hull_; }
  // Each slower than the one before and with less noise; float is the last.
  const std::vector<PrecisionPoint>& points() const { return points_; }

  // The hull at that noise, and at that modelled latency: no assignment lies
  // below it.
  double bound_us(double noise) const;
  double bound_noise(double us) const;

 private:
  PrecisionPoint point(Labels labels);
  void between(const PrecisionPoint& fast, const PrecisionPoint& clean);
  std::vector<Labels> greedy_walk() const;
  std::vector<Labels> walk_from_end(bool last) const;
  void fill();

  Placement& placement_;
  const std::vector<double>& noise_;
  const std::vector<size_t>& layers_;
  const PassContext& context_;
  std::vector<PrecisionPoint> hull_, points_;
};

}  // namespace lathe::quantize
