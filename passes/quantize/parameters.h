// Scale and zero point of every value that is seen as codes.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "passes/activation_ranges.h"
#include "passes/affine.h"
#include "passes/pass_context.h"
#include "passes/quantize/select_nodes.h"

namespace lathe::quantize {

struct Observations;

class Parameters {
 public:
  // Values seen as codes, in execution order (what reads them or, for values
  // nobody reads as codes, what computes them).
  const std::vector<ir::Value*>& values() const { return values_; }
  bool has(const ir::Value* value) const { return root_.contains(value); }
  const Affine& affine(const ir::Value* value) const {
    return affine_.at(root(value));
  }
  // The codes that the observed range takes, that of real 0 among them.
  CodeRange reached(const ir::Value* value) const {
    return reached_.at(root(value));
  }
  // The value whose parameters `value` shares (possibly itself).
  const ir::Value* root(const ir::Value* value) const {
    return root_.at(value);
  }

  // Which values are seen as codes and which of them share parameters; what
  // those are stays open (affine() has no entry).
  static Parameters outline(const ir::Model& model, const Selection& selection);

 private:
  friend Parameters choose_parameters(const ir::Model&, const Selection&,
                                      const QuantizeOptions&,
                                      const Observations&);
  std::vector<ir::Value*> values_;
  std::unordered_map<const ir::Value*, const ir::Value*> root_;
  std::unordered_map<const ir::Value*, Affine> affine_;
  std::unordered_map<const ir::Value*, CodeRange> reached_;
};

// What calibration saw of a selection, and of every part of it.
struct Observations {
  // Value name -> range; values that share parameters have that of their root.
  ActivationRanges ranges;
  // One for each value that was not always finite.
  std::vector<Remark> remarks;
};

// Collects ranges through context.ranges; error kUsage when there is none.
Observations observe(const ir::Model& model, const Selection& selection,
                     const QuantizeOptions& options, PassContext& context);

// A value that was not observed has the range {0, 0}.
Parameters choose_parameters(const ir::Model& model, const Selection& selection,
                             const QuantizeOptions& options,
                             const Observations& observed);

// `affine` with its scale made smaller until every code lies in `bounds`
// (which hold 0), so that the runtime can drop a Clip to them. The zero point
// may move by one code where that costs less.
Affine fit_inside(Affine affine, CodeRange codes, Range bounds);

}  // namespace lathe::quantize
