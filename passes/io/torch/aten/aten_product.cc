// Products of matrices and vectors.
#include <algorithm>
#include <cctype>
#include <map>

#include "passes/io/torch/aten/aten_composites.h"
#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_vector_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;
using Sizes = std::vector<int64_t>;

bool is_number(const Argument& argument, double value) {
  return argument.is_number() && argument.is_constant() &&
         argument.number() == value;
}

// value · factor; absent factors are one.
Value* scaled(OnnxBuilder& builder, Value* value, const Argument& factor) {
  if (factor.is_none() || is_number(factor, 1)) return value;
  return builder.op("Mul",
                    {value, builder.as_tensor(factor, builder.elem(value))});
}

// beta · self + alpha · product, in self's element type.
Arguments accumulated(const AtenCall& call, Value* product) {
  OnnxBuilder& builder = call.builder();
  const DataType type = builder.elem(product), inner = arithmetic_type(type);
  Value* sum = scaled(builder, builder.cast(product, inner), call["alpha"]);
  // NaNs in `self` do not count where beta is 0.
  if (!is_number(call["beta"], 0)) {
    Value* self = builder.cast(call.tensor("self"), inner);
    sum = builder.op("Add", {scaled(builder, self, call["beta"]), sum});
  }
  return one(builder.cast(sum, type));
}

// The second factor's name differs from operator to operator.
Arguments emit_matmul(const AtenCall& call) {
  const char* second = "other";
  for (const char* name : {"mat2", "vec", "tensor"})
    if (call.given(name)) second = name;
  return one(matmul(call.builder(), call.tensor("self"), call.tensor(second)));
}

Arguments emit_linear(const AtenCall& call) {
  return one(linear(call.builder(), call.tensor("input"), call.tensor("weight"),
                    call.tensor_or_null("bias")));
}

// The matrix that this one is the transpose of, or null.
Value* transpose_of(const Value* matrix) {
  const ir::Node* node = matrix->producer();
  if (!node || !node->is("Transpose") ||
      node->attr_ints("perm", {1, 0}) != Sizes{1, 0})
    return nullptr;
  return node->input(0);
}

Arguments emit_addmm(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* a = call.tensor("mat1");
  Value* b = call.tensor("mat2");
  const Argument &alpha = call["alpha"], &beta = call["beta"];
  if (!builder.is_floating(a) || !alpha.is_constant() || !beta.is_constant())
    return accumulated(call, matmul(builder, a, b));
  NamedAttributes attributes;
  auto factor = [&](const char* name) {
    if (call.real(name, 1) != 1)
      attributes.emplace_back(name, static_cast<float>(call.real(name)));
  };
  factor("alpha");
  Value* self = is_number(beta, 0) ? nullptr : call.tensor("self");
  if (self) factor("beta");
  if (Value* original = transpose_of(b)) {
    b = original;
    attributes.emplace_back("transB", int64_t{1});
  }
  return one(builder.op("Gemm", {a, b, self}, attributes));
}

Arguments emit_addmv(const AtenCall& call) {
  return accumulated(
      call, matmul(call.builder(), call.tensor("mat"), call.tensor("vec")));
}

Arguments emit_baddbmm(const AtenCall& call) {
  return accumulated(call, matmul(call.builder(), call.tensor("batch1"),
                                  call.tensor("batch2")));
}

Arguments emit_addbmm(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* products =
      matmul(builder, call.tensor("batch1"), call.tensor("batch2"));
  const DataType type = builder.elem(products);
  Value* sum =
      builder.reduce("ReduceSum", builder.cast(products, arithmetic_type(type)),
                     {0}, /*keep_dims=*/false);
  return accumulated(call, builder.cast(sum, type));
}

// a [n], b [m] -> [n, m]
Value* outer(const AtenCall& call, const char* left, const char* right) {
  OnnxBuilder& builder = call.builder();
  const DataType type = builder.result_type({&call[left], &call[right]});
  const DataType inner = arithmetic_type(type);
  return builder.cast(
      builder.op(
          "Mul",
          {builder.unsqueeze(builder.cast(call.tensor(left), inner), {1}),
           builder.unsqueeze(builder.cast(call.tensor(right), inner), {0})}),
      type);
}

Arguments emit_outer(const AtenCall& call) {
  return one(outer(call, "self", "vec2"));
}

Arguments emit_addr(const AtenCall& call) {
  return accumulated(call, outer(call, "vec1", "vec2"));
}

Arguments emit_chain(const AtenCall& call) {
  const char* name = call.given("matrices") ? "matrices" : "tensors";
  const std::vector<Value*> matrices = call.tensors(name);
  if (matrices.empty())
    call.unsupported("argument '" + std::string(name) + "' is empty");
  Value* product = matrices.front();
  for (size_t i = 1; i < matrices.size(); ++i)
    product = matmul(call.builder(), product, matrices[i]);
  return one(product);
}

Arguments emit_vecdot(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const DataType type = builder.result_type({&call["x"], &call["y"]});
  const DataType inner = arithmetic_type(type);
  Value* product = builder.op("Mul", {builder.cast(call.tensor("x"), inner),
                                      builder.cast(call.tensor("y"), inner)});
  const int64_t axis = call.axis("dim", builder.rank(product), -1);
  return one(builder.cast(
      builder.reduce("ReduceSum", product, {axis}, /*keep_dims=*/false), type));
}

// --- sums of products over named axes ---

Value* einsum(OnnxBuilder& builder, const std::string& equation,
              std::vector<Value*> operands) {
  const DataType type = builder.elem(operands.front());
  for (Value*& operand : operands)
    operand = builder.cast(operand, arithmetic_type(type));
  return builder.cast(builder.op("Einsum", operands, {{"equation", equation}}),
                      type);
}

// The equation without spaces and with its output written out: letters that
// stand once, in the order of the alphabet, capitals first.
std::string explicit_equation(const AtenCall& call, std::string equation) {
  std::erase(equation, ' ');
  for (const char c : equation)
    if (!std::isalpha(static_cast<unsigned char>(c)) &&
        std::string(",.->").find(c) == std::string::npos)
      call.unsupported("the equation '" + equation + "' holds '" + c +
                       "', expected letters, ',', '...' and '->'");
  if (equation.find("->") != std::string::npos) return equation;
  std::map<char, int> counts;
  for (const char c : equation) ++counts[c];
  std::string output = counts['.'] > 0 ? "..." : "";
  for (const auto& [c, count] : counts)
    if (std::isalpha(static_cast<unsigned char>(c)) && count == 1) output += c;
  return equation + "->" + output;
}

Arguments emit_einsum(const AtenCall& call) {
  const std::vector<Value*> operands = call.tensors("tensors");
  if (operands.empty()) call.unsupported("argument 'tensors' is empty");
  return one(einsum(call.builder(),
                    explicit_equation(call, call.text("equation", "")),
                    operands));
}

Sizes negative_to_front(const AtenCall& call, const char* name, int64_t rank) {
  Sizes axes = call.integers(name);
  for (int64_t& axis : axes) {
    if (axis < -rank || axis >= rank)
      call.unsupported("argument '" + std::string(name) + "' holds " +
                       std::to_string(axis) + ", but the tensor has rank " +
                       std::to_string(rank));
    if (axis < 0) axis += rank;
  }
  return axes;
}

// The sum of products over pairs of axes; the others of `a` come first.
Value* contracted(const AtenCall& call, Value* a, Value* b, const Sizes& a_axes,
                  const Sizes& b_axes) {
  OnnxBuilder& builder = call.builder();
  const int64_t a_rank = builder.rank(a), b_rank = builder.rank(b);
  if (a_axes.size() != b_axes.size() || a_rank + b_rank > 52)
    call.unsupported("the first tensor has rank " + std::to_string(a_rank) +
                     " and sums over " + std::to_string(a_axes.size()) +
                     " axes, the second has rank " + std::to_string(b_rank) +
                     " and sums over " + std::to_string(b_axes.size()) +
                     " axes");
  const bool last = a_axes == Sizes{a_rank - 1};
  if (last && b_axes == Sizes{0} && b_rank <= 2) return matmul(builder, a, b);
  if (last && b_axes == Sizes{1} && b_rank == 2)
    return matmul(builder, a, swap_last_axes(builder, b));
  char next = 'a';
  auto letter = [&] {
    const char c = next;
    next = next == 'z' ? 'A' : static_cast<char>(next + 1);
    return c;
  };
  std::string left(static_cast<size_t>(a_rank), ' '),
      right(static_cast<size_t>(b_rank), ' '), output;
  for (size_t i = 0; i < a_axes.size(); ++i)
    left[static_cast<size_t>(a_axes[i])] =
        right[static_cast<size_t>(b_axes[i])] = letter();
  for (std::string* labels : {&left, &right})
    for (char& c : *labels)
      if (c == ' ') output += c = letter();
  return einsum(builder, left + "," + right + "->" + output, {a, b});
}

Arguments emit_tensordot(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* a = call.tensor("self");
  Value* b = call.tensor("other");
  return one(contracted(
      call, a, b, negative_to_front(call, "dims_self", builder.rank(a)),
      negative_to_front(call, "dims_other", builder.rank(b))));
}

Arguments emit_inner(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* a = call.tensor("self");
  Value* b = call.tensor("other");
  const int64_t a_rank = builder.rank(a), b_rank = builder.rank(b);
  if (a_rank > 0 && b_rank > 0)
    return one(contracted(call, a, b, {a_rank - 1}, {b_rank - 1}));
  const DataType type = builder.result_type({&call["self"], &call["other"]});
  const DataType inner = arithmetic_type(type);
  return one(builder.cast(
      builder.op("Mul", {builder.cast(a, inner), builder.cast(b, inner)}),
      type));
}

// input1 · weight[o] · input2 for every output o
Arguments emit_bilinear(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* result = einsum(
      builder, "...i,oij,...j->...o",
      {call.tensor("input1"), call.tensor("weight"), call.tensor("input2")});
  if (Value* bias = call.tensor_or_null("bias"))
    result = builder.op("Add", {result, bias});
  return one(result);
}

constexpr AtenRow kRows[] = {
    {"linear", emit_linear},
    {"matmul", emit_matmul},
    {"linalg_matmul", emit_matmul},
    {"mm", emit_matmul},
    {"bmm", emit_matmul},
    {"mv", emit_matmul},
    {"dot", emit_matmul},
    {"vdot", emit_matmul},
    {"addmm", emit_addmm},
    {"addmv", emit_addmv},
    {"baddbmm", emit_baddbmm},
    {"addbmm", emit_addbmm},
    {"outer", emit_outer},
    {"ger", emit_outer},
    {"addr", emit_addr},
    {"inner", emit_inner},
    {"linalg_vecdot", emit_vecdot},
    {"chain_matmul", emit_chain},
    {"linalg_multi_dot", emit_chain},
    {"einsum", emit_einsum},
    {"tensordot", emit_tensordot},
    {"bilinear", emit_bilinear},
    {"cosine_similarity", emit_cosine_similarity},
    {"pairwise_distance", emit_pairwise_distance},
    {"cdist", emit_cdist},
    {"_cdist_forward", emit_cdist},
    {"_euclidean_dist", emit_euclidean_dist},
};

}  // namespace

std::span<const AtenRow> product_rows() { return kRows; }

}  // namespace lathe::io::aten
