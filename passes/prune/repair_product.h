// The products that repair refits: convolutions and matrix products by
// constants, each with what is affine behind it.
#pragma once

#include <cstdint>
#include <string>

#include "passes/exec/torch.h"
#include "passes/ir/graph.h"

namespace lathe::prune {

// z = W x + b at every position, for each group of channels on its own.
struct Affine {
  at::Tensor weights;    // double [groups, outputs of a group, features]
  at::Tensor intercept;  // double [outputs]; undefined: there is none
};

// A Conv, Gemm or MatMul whose second factor is constant. The features of a
// convolution are its window's elements, channels outermost.
struct Product {
  ir::Node* node = nullptr;
  // A BatchNormalization behind a Conv, an Add of a constant vector behind a
  // MatMul; null: neither.
  ir::Node* affine = nullptr;
  int64_t groups = 1;
  int64_t outputs = 0;   // of all groups
  int64_t features = 0;  // of one group

  bool is_convolution() const { return node->op_type == "Conv"; }
  bool normalized() const {
    return affine && affine->op_type == "BatchNormalization";
  }
  // Can be given another intercept, whatever it has now.
  bool takes_intercept() const { return !node->is("MatMul") || affine; }
  ir::Value* input() const { return node->input(0); }
  ir::Value* weights() const { return node->input(1); }
  // Behind `affine`.
  ir::Value* result() const { return (affine ? affine : node)->output(); }

  Affine read() const;
  // Values of Affine for this product, of finite numbers. Constants that other
  // nodes use as well are left to them. An output channel whose
  // BatchNormalization multiplies by 0 keeps its weights.
  void write(const Affine& affine) const;
};

// Null `node` where it is no product of this kind; `reason` says why where it
// is a product at all. What a graph's input can replace is not constant.
Product find_product(ir::Node& node, std::string& reason);

// The node's input as a constant of its own with these values, of the type
// that is there, else float.
void set_constant(ir::Node& node, size_t input, const at::Tensor& values,
                  const std::string& base_name);

// A BatchNormalization that normalises with its constants.
bool is_fixed_batch_norm(const ir::Node& node);

}  // namespace lathe::prune
