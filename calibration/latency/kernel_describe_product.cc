// Sizes of matrix products, recurrent cells and attention.
#include <algorithm>
#include <string_view>

#include "calibration/latency/kernel_describe.h"

namespace lathe::latency {
namespace {

using Dims = std::vector<int64_t>;

int64_t product_of(const Dims& dims, size_t first, size_t last) {
  int64_t product = 1;
  for (size_t i = first; i < last; ++i)
    product = saturating_multiply(product, dims[i]);
  return product;
}

void describe_gemm(const ir::Node& node, size_t b, KernelDescriptor& kernel) {
  auto left = dims_of(node.input(0)), right = dims_of(node.input(b));
  if (!left || !right || left->size() != 2 || right->size() != 2) return;
  kernel.transposed_a = node.attr_int("transA", 0) != 0;
  kernel.transposed_b = node.attr_int("transB", 0) != 0;
  kernel.constant_b = is_constant_value(node.input(b));
  kernel.matrices = 1;
  kernel.rows = (*left)[kernel.transposed_a ? 1 : 0];
  kernel.depth = (*left)[kernel.transposed_a ? 0 : 1];
  kernel.columns = (*right)[kernel.transposed_b ? 0 : 1];
}

void describe_matmul(const ir::Node& node, size_t b, KernelDescriptor& kernel) {
  auto left = dims_of(node.input(0)), right = dims_of(node.input(b));
  auto out = dims_of(node.output());
  if (!left || !right || !out || left->empty() || right->empty()) return;
  kernel.transposed_a = node.attr_int("transA", 0) != 0;
  kernel.transposed_b = node.attr_int("transB", 0) != 0;
  kernel.constant_b = is_constant_value(node.input(b));
  // A vector is a matrix of one row, or of one column.
  bool row = left->size() == 1, column = right->size() == 1;
  if (row) left->insert(left->begin(), 1);
  if (column) right->push_back(1);
  size_t l = left->size(), r = right->size();
  kernel.rows = (*left)[kernel.transposed_a ? l - 1 : l - 2];
  kernel.depth = (*left)[kernel.transposed_a ? l - 2 : l - 1];
  kernel.columns = (*right)[kernel.transposed_b ? r - 2 : r - 1];
  int64_t elements = product_of(*out, 0, out->size());
  int64_t plane = saturating_multiply(kernel.rows, kernel.columns);
  kernel.matrices = plane > 0 ? elements / plane : 0;
  // The runtime makes one product of a batch times one matrix.
  if (product_of(*right, 0, r - 2) == 1 && !kernel.transposed_a) {
    kernel.rows = saturating_multiply(kernel.rows, kernel.matrices);
    kernel.matrices = 1;
  }
}

void describe_nbits(const ir::Node& node, KernelDescriptor& kernel) {
  auto left = dims_of(node.input(0));
  if (!left || left->empty()) return;
  kernel.constant_b = kernel.transposed_b = true;
  kernel.matrices = 1;
  kernel.rows = product_of(*left, 0, left->size() - 1);
  kernel.depth = node.attr_int("K", 0);
  kernel.columns = node.attr_int("N", 0);
}

// X [sequence, batch, in]: `matrices` directions of [batch, in] x [in, hidden];
// the sequence's length stands in in_height.
void describe_recurrent(const ir::Node& node, KernelDescriptor& kernel) {
  auto x = dims_of(node.input(0));
  if (!x || x->size() != 3) return;
  bool both = node.attr_string("direction", "forward") == "bidirectional";
  kernel.constant_b =
      is_constant_value(node.input(1)) && is_constant_value(node.input(2));
  kernel.matrices = both ? 2 : 1;
  kernel.in_height = (*x)[0];
  kernel.rows = kernel.batch = (*x)[1];
  kernel.depth = (*x)[2];
  kernel.columns = node.attr_int("hidden_size", 0);
  if (node.attr_int("layout", 0)) {
    kernel.in_height = (*x)[1];
    kernel.rows = kernel.batch = (*x)[0];
  }
}

// query [batch, sequence, hidden]: `matrices` heads of `rows` tokens.
void describe_attention(const ir::Node& node, KernelDescriptor& kernel) {
  auto x = dims_of(node.input(0)), out = dims_of(node.output());
  if (!x || !out || x->size() != 3 || out->size() != 3) return;
  kernel.batch = (*x)[0];
  kernel.rows = (*x)[1];
  kernel.depth = (*x)[2];
  kernel.columns = (*out)[2];
  kernel.matrices =
      saturating_multiply(kernel.batch, node.attr_int("num_heads", 1));
  kernel.constant_b = is_constant_value(node.input(1));
}

}  // namespace

void describe_product(const NodeView& view, KernelDescriptor& kernel) {
  const ir::Node& node = view.node;
  const std::string& kind = kernel.kind;
  bool scales_between =
      node.op_type.starts_with("QLinear") || node.op_type == "QGemm";
  size_t b = scales_between ? 3 : 1;
  if (kind == "gemm") return describe_gemm(node, b, kernel);
  if (kind == "matmul" || kind == "dynamic_quantize_matmul")
    return describe_matmul(node, b, kernel);
  if (kind == "matmul_nbits") return describe_nbits(node, kernel);
  if (kind == "lstm" || kind == "gru" || kind == "rnn" ||
      kind == "dynamic_quantize_lstm")
    return describe_recurrent(node, kernel);
  if (kind.ends_with("attention")) return describe_attention(node, kernel);
}

}  // namespace lathe::latency
