#include "passes/prune/repair_product.h"

#include <algorithm>
#include <cmath>

#include "passes/ir/data_type.h"

namespace lathe::prune {
namespace {

constexpr const char* kNotConstant = "its weights are not constant";

at::Tensor doubles(const ir::Value& value) {
  const std::vector<double> data = value.tensor().to_doubles();
  return at::tensor(data, at::kDouble).reshape(value.tensor().dims());
}

bool is_number_constant(const ir::Value* value) {
  if (!value || !value->is_constant()) return false;
  const ir::DataType type = value->type.elem;
  return type == ir::DataType::kFloat || type == ir::DataType::kDouble ||
         type == ir::DataType::kFloat16 || type == ir::DataType::kBfloat16;
}

// A vector of `size` elements, whatever axes of one it has in front, or one
// element for all.
bool is_vector(const ir::Value* value, int64_t size) {
  if (!is_number_constant(value)) return false;
  const ir::Tensor& tensor = value->tensor();
  return tensor.size() == 1 || (tensor.size() == size && tensor.rank() > 0 &&
                                tensor.dims().back() == size);
}

at::Tensor as_vector(const ir::Value& value, int64_t size) {
  return doubles(value).reshape({-1}).expand({size}).contiguous();
}

ir::Node* only_reader(const ir::Value& value) {
  if (value.is_graph_output() || value.uses().size() != 1) return nullptr;
  ir::Node* node = value.uses()[0].node;
  return &node->graph() == &value.graph() ? node : nullptr;
}

ir::Node* affine_behind(const Product& product) {
  ir::Node* reader = only_reader(*product.node->output());
  if (!reader) return nullptr;
  if (product.is_convolution())
    return is_fixed_batch_norm(*reader) &&
                   reader->input(0) == product.node->output()
               ? reader
               : nullptr;
  if (!product.node->is("MatMul") || !reader->is("Add")) return nullptr;
  const size_t other = reader->input(0) == product.node->output() ? 1 : 0;
  if (!is_vector(reader->input(other), product.outputs)) return nullptr;
  // One number for all must not give the result another rank.
  const ir::Tensor& added = reader->input(other)->tensor();
  return added.rank() <= 1 || added.size() == product.outputs ? reader
                                                              : nullptr;
}

size_t vector_index(const ir::Node& add) {
  return is_number_constant(add.input(1)) ? 1 : 0;
}

// z = factor * y + offset, with y the product's own result.
struct ChannelAffine {
  at::Tensor factor, offset;
};

ChannelAffine batch_norm_affine(const ir::Node& node) {
  const at::Tensor variance = doubles(*node.input(4));
  const at::Tensor factor =
      doubles(*node.input(1)) *
      at::rsqrt(variance +
                static_cast<double>(node.attr_float("epsilon", 1e-5f)));
  return {factor, doubles(*node.input(2)) - factor * doubles(*node.input(3))};
}

// From [groups, outputs, features] to the constant's own shape, and back.
at::Tensor to_constant(const Product& product, const at::Tensor& weights) {
  const std::vector<int64_t>& dims = product.weights()->tensor().dims();
  if (product.is_convolution()) return weights.reshape(dims);
  const at::Tensor matrix = weights[0];
  const bool turned =
      product.node->is("Gemm") && product.node->attr_int("transB", 0) != 0;
  return (turned ? matrix : matrix.t()).reshape(dims);
}

at::Tensor from_constant(const Product& product) {
  const at::Tensor constant = doubles(*product.weights());
  if (product.is_convolution())
    return constant.reshape(
        {product.groups, product.outputs / product.groups, product.features});
  const bool turned =
      product.node->is("Gemm") && product.node->attr_int("transB", 0) != 0;
  return (turned ? constant : constant.t()).unsqueeze(0);
}

Product find_convolution(ir::Node& node, std::string& reason) {
  const ir::Tensor& weights = node.input(1)->tensor();
  const int64_t groups = node.attr_int("group", 1);
  Product product{&node};
  if (weights.rank() < 3 || groups < 1 || weights.size() == 0 ||
      weights.dims()[0] % groups != 0) {
    reason = "its weights have no elements, or no whole groups";
    return {};
  }
  product.groups = groups;
  product.outputs = weights.dims()[0];
  product.features = weights.size() / product.outputs;
  if (node.input(2) && !is_vector(node.input(2), product.outputs)) {
    reason = "its bias is not constant";
    return {};
  }
  return product;
}

Product find_matrix_product(ir::Node& node, std::string& reason) {
  const ir::Tensor& weights = node.input(1)->tensor();
  if (weights.rank() != 2 || weights.size() == 0) {
    reason = "its weights are no matrix";
    return {};
  }
  Product product{&node};
  const bool gemm = node.is("Gemm");
  const size_t out = gemm && node.attr_int("transB", 0) != 0 ? 0 : 1;
  product.outputs = weights.dims()[out];
  product.features = weights.dims()[1 - out];
  if (!gemm) return product;
  if (node.attr_int("transA", 0) != 0 || node.attr_float("alpha", 1) == 0) {
    reason = "it transposes its input, or multiplies by 0";
    return {};
  }
  if (node.input(2) && (!is_vector(node.input(2), product.outputs) ||
                        node.attr_float("beta", 1) == 0)) {
    reason = "its bias is not one constant a channel";
    return {};
  }
  return product;
}

}  // namespace

bool is_fixed_batch_norm(const ir::Node& node) {
  if (!node.is("BatchNormalization") || node.attr_int("training_mode", 0) != 0)
    return false;
  for (size_t i = 1; i < 5; ++i)
    if (!is_number_constant(node.input(i))) return false;
  return true;
}

Product find_product(ir::Node& node, std::string& reason) {
  reason.clear();
  const bool convolution = node.is("Conv");
  if (!convolution && !node.is("Gemm") && !node.is("MatMul")) return {};
  if (!node.input(0) || !node.output()) return {};
  if (!is_number_constant(node.input(1))) {
    // A MatMul of two activations has no weights to begin with.
    if (!node.is("MatMul") || is_number_constant(node.input(0)))
      reason = kNotConstant;
    return {};
  }
  Product product = convolution ? find_convolution(node, reason)
                                : find_matrix_product(node, reason);
  if (product.node) product.affine = affine_behind(product);
  return product;
}

Affine Product::read() const {
  Affine result{from_constant(*this), {}};
  if (node->is("MatMul")) {
    if (affine)
      result.intercept =
          as_vector(*affine->input(vector_index(*affine)), outputs);
    return result;
  }
  const bool gemm = node->is("Gemm");
  result.intercept = node->input(2) ? as_vector(*node->input(2), outputs)
                                    : at::zeros({outputs}, at::kDouble);
  if (gemm) {
    result.weights = result.weights * node->attr_float("alpha", 1);
    result.intercept = result.intercept * node->attr_float("beta", 1);
  }
  if (normalized()) {
    const ChannelAffine behind = batch_norm_affine(*affine);
    result.weights = result.weights * behind.factor.reshape({groups, -1, 1});
    result.intercept = result.intercept * behind.factor + behind.offset;
  }
  return result;
}

void Product::write(const Affine& values) const {
  at::Tensor weights_now = values.weights, intercept_now = values.intercept;
  const std::string bias_name = node->id() + "_bias";
  if (normalized()) {
    // Through the mean; the bias, if there is one, stays.
    const ChannelAffine behind = batch_norm_affine(*affine);
    const at::Tensor none = behind.factor.abs() < 1e-12;
    const at::Tensor factor = behind.factor.masked_fill(none, 1);
    weights_now = at::where(none.reshape({groups, -1, 1}), from_constant(*this),
                            weights_now / factor.reshape({groups, -1, 1}));
    at::Tensor mean = (doubles(*affine->input(2)) - intercept_now) / factor;
    if (node->input(2)) mean = mean + as_vector(*node->input(2), outputs);
    set_constant(*affine, 3, at::where(none, doubles(*affine->input(3)), mean),
                 affine->id() + "_mean");
  } else if (node->is("MatMul")) {
    if (affine) {
      const size_t index = vector_index(*affine);
      const ir::Tensor& added = affine->input(index)->tensor();
      if (added.size() == outputs)
        intercept_now = intercept_now.reshape(added.dims());
      set_constant(*affine, index, intercept_now, bias_name);
    }
  } else {
    if (node->is("Gemm")) {
      weights_now = weights_now / node->attr_float("alpha", 1);
      if (node->input(2))
        intercept_now = intercept_now / node->attr_float("beta", 1);
      else
        node->remove_attribute("beta");
    }
    set_constant(*node, 2, intercept_now, bias_name);
  }
  set_constant(*node, 1, to_constant(*this, weights_now),
               node->id() + "_weight");
}

void set_constant(ir::Node& node, size_t input, const at::Tensor& values,
                  const std::string& base_name) {
  ir::Value* before = node.input(input);
  const ir::DataType type =
      before ? before->type.elem : node.input(1)->type.elem;
  const at::Tensor flat = values.contiguous();
  ir::Tensor tensor = ir::Tensor::from_doubles(
      type, flat.sizes().vec(),
      {flat.data_ptr<double>(), static_cast<size_t>(flat.numel())});
  if (before && before->uses().size() == 1 && !before->is_graph_output())
    return before->set_tensor(tensor);
  node.set_input(input, node.graph().add_constant(base_name, tensor));
}

}  // namespace lathe::prune
