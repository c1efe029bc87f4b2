// Operators computed on the host, over ir::Tensor, for fold_constants.
//
// A kernel follows ONNX's definition of its operator in every form from opset
// 7 to 21 (axes as attribute or as input). What it cannot or should not do it
// says with NotFoldable, and the node stays.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::rewrite {

class NotFoldable : public std::exception {
 public:
  explicit NotFoldable(std::string reason) : reason_(std::move(reason)) {}
  const char* what() const noexcept override { return reason_.c_str(); }

 private:
  std::string reason_;
};

class KernelCall {
 public:
  KernelCall(const ir::Node& node, std::vector<const ir::Tensor*> inputs,
             uint64_t max_bytes)
      : node(node), inputs_(std::move(inputs)), max_bytes_(max_bytes) {}

  const ir::Node& node;

  size_t input_count() const { return inputs_.size(); }
  // Null when absent.
  const ir::Tensor* optional_input(size_t i) const {
    return i < inputs_.size() ? inputs_[i] : nullptr;
  }
  // NotFoldable when absent.
  const ir::Tensor& input(size_t i) const;
  // The integers that an attribute (older opsets) or an input (newer ones)
  // gives; nullopt when neither does.
  std::optional<std::vector<int64_t>> ints(const char* attribute,
                                           size_t input) const;
  // `axis` counted from the front. NotFoldable outside [-rank, rank).
  int64_t axis(int64_t axis, int64_t rank) const;

  // The same call on other tensors.
  KernelCall with_inputs(std::vector<const ir::Tensor*> inputs) const {
    return KernelCall(node, std::move(inputs), max_bytes_);
  }

  // NotFoldable when a result of this shape is larger than it may be: checked
  // before memory is taken.
  void require_size(ir::DataType type, const std::vector<int64_t>& dims) const;

 private:
  std::vector<const ir::Tensor*> inputs_;
  uint64_t max_bytes_;
};

using Tensors = std::vector<ir::Tensor>;
using HostKernel = Tensors (*)(const KernelCall&);

// Null when the operator has no kernel.
HostKernel find_host_kernel(const ir::Node& node);

// Elementwise, with broadcasting (host_kernels_arithmetic.cc,
// host_kernels_logic.cc, host_kernels_unary.cc).
Tensors run_add(const KernelCall& call);
Tensors run_sub(const KernelCall& call);
Tensors run_mul(const KernelCall& call);
Tensors run_div(const KernelCall& call);
Tensors run_mod(const KernelCall& call);
Tensors run_pow(const KernelCall& call);
Tensors run_min(const KernelCall& call);
Tensors run_max(const KernelCall& call);
Tensors run_sum(const KernelCall& call);
Tensors run_equal(const KernelCall& call);
Tensors run_less(const KernelCall& call);
Tensors run_less_or_equal(const KernelCall& call);
Tensors run_greater(const KernelCall& call);
Tensors run_greater_or_equal(const KernelCall& call);
Tensors run_and(const KernelCall& call);
Tensors run_or(const KernelCall& call);
Tensors run_xor(const KernelCall& call);
Tensors run_not(const KernelCall& call);
Tensors run_where(const KernelCall& call);
Tensors run_unary(const KernelCall& call);  // by the operator's name
Tensors run_cast(const KernelCall& call);

// Reductions (host_kernels_reduce.cc).
Tensors run_reduce(const KernelCall& call);  // by the operator's name

// New tensors (host_kernels_generate.cc).
Tensors run_range(const KernelCall& call);
Tensors run_constant_of_shape(const KernelCall& call);

// Data movement (host_kernels_movement.cc, host_kernels_indexing.cc,
// host_kernels_shape.cc).
Tensors run_identity(const KernelCall& call);
Tensors run_reshape(const KernelCall& call);
Tensors run_flatten(const KernelCall& call);
Tensors run_squeeze(const KernelCall& call);
Tensors run_unsqueeze(const KernelCall& call);
Tensors run_transpose(const KernelCall& call);
Tensors run_expand(const KernelCall& call);
Tensors run_tile(const KernelCall& call);
Tensors run_concat(const KernelCall& call);
Tensors run_split(const KernelCall& call);
Tensors run_slice(const KernelCall& call);
Tensors run_pad(const KernelCall& call);
Tensors run_trilu(const KernelCall& call);
Tensors run_gather(const KernelCall& call);
Tensors run_gather_nd(const KernelCall& call);
Tensors run_scatter_nd(const KernelCall& call);

}  // namespace lathe::rewrite
