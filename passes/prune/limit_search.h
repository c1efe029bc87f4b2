// Which latency to solve widths for, so that another is within a bound.
#pragma once

#include <optional>

namespace lathe::prune {

// The solver prices a model by rules and as it is; what counts is the runtime's
// own graph, or the model in another form. That rises with the limit that
// widths are solved for, and is followed from point to point.
class LimitSearch {
 public:
  // At `limit` (more is never tried) it takes `us`, above the bound. Once it
  // takes from `close` times the bound to the bound, the search is over.
  LimitSearch(double limit, double us, double bound_us, double close);

  bool done() const;
  double limit() const { return next_; }  // to try next
  // What it takes at limit(), or that no widths reach that.
  void found(double us);
  void unreachable();

 private:
  struct Point {
    double limit = 0;
    double us = 0;  // 0: no widths reach the limit
  };
  void choose_next();

  double bound_us_, close_;
  Point above_;                 // the lowest limit above the bound
  std::optional<Point> below_;  // the highest that is not
  double steepness_ = 1;        // d ln us / d ln limit
  double next_ = 0;
  int rounds_ = 0;
};

}  // namespace lathe::prune
