// Moving a Transpose from one side of a node to the other. Internal to the
// rules.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "calibration/latency/kernel_rules.h"

namespace lathe::latency {

// Result axis -> source axis, as the attribute of Transpose.
using Perm = std::vector<int64_t>;

Perm inverse(const Perm& perm);
// First `a`, then `b`.
Perm compose(const Perm& a, const Perm& b);
bool is_identity(const Perm& perm);
ir::ValueType permuted(ir::ValueType type, const Perm& perm);
// Of a Transpose; nullopt when it is none or says nonsense.
std::optional<Perm> perm_of(const ir::Node* node);
// Channels from place 1 to the end.
Perm channels_last(size_t rank);
// What is left of `perm` when these axes of its source go.
Perm squeezed(const Perm& perm, const std::vector<int64_t>& axes);
// The Transpose that a Reshape is which only moves axes of one element.
std::optional<Perm> perm_of_reshape(const std::vector<int64_t>& in,
                                    const std::vector<int64_t>& out);
// Transpose by `perm` and then a Reshape from `in` to `out` that splits one
// axis: the Transpose that follows when the split comes first.
std::optional<Perm> perm_behind_split(const std::vector<int64_t>& in,
                                      const std::vector<int64_t>& out,
                                      const Perm& perm);

class TransposeMover {
 public:
  explicit TransposeMover(RuleGraph& rules) : rules_(rules) {}

  // A constant, or one behind a DequantizeLinear of its own: turned in advance.
  bool is_constant(const ir::Value* value) const;
  // Input i becomes its transpose by `perm`; a Transpose in front is merged.
  void transpose_input(ir::Node* node, size_t i, const Perm& perm);
  // What read output i reads it through a Transpose by `perm`, in front of
  // `next`, and the output itself is turned the other way.
  void transpose_output(ir::Node* node, size_t i, const Perm& perm,
                        ir::Node* next);
  // Takes a Transpose by `perm` off the inputs and puts one by `out_perm`
  // behind the outputs.
  void move(ir::Node* node, const Perm& perm, const std::vector<size_t>& inputs,
            const Perm& out_perm, ir::Node* next);
  // Inputs of lower rank gain axes of one element in front. False, and nothing
  // done, when one has a higher rank or none that is known.
  bool widen_inputs(ir::Node* node, size_t rank,
                    const std::vector<size_t>& inputs);
  void drop_if_unused(ir::Node* node);

 private:
  ir::Node* add_transpose(ir::Value* from, const Perm& perm, ir::Node* before);
  RuleGraph& rules_;
};

// Gives Transposes between floats and codes the missing half of their group,
// and drops pairs of DQ and Q that nothing stands between any more.
void repair_quantized_transposes(RuleGraph& rules);

}  // namespace lathe::latency
