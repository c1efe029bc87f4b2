#include <limits>

#include "tests/passes/io/torch/aten/aten_expected.h"

namespace lathe::test {
namespace {

using Tensors = std::vector<at::Tensor>;

at::Tensor whole(Ints sizes, at::ScalarType type = at::kLong) {
  static at::Generator generator = at::detail::createCPUGenerator(19);
  return at::randint(-6, 6, sizes, generator).to(type);
}

TEST_CASE("aten: linear") {
  for (const Ints& sizes :
       {Ints{4}, Ints{3, 4}, Ints{2, 3, 4}, Ints{1, 2, 3, 4}}) {
    same_as_torch("aten::linear", {random(sizes), random({5, 4}), random({5})});
    same_as_torch("aten::linear", {random(sizes), random({5, 4})});
  }
  same_as_torch("aten::linear", {random({3, 4}), random({4})});
  same_as_torch("aten::linear", {whole({3, 4}), whole({5, 4})});
  same_as_torch("aten::linear",
                {random({3, 4}).to(at::kDouble), random({5, 4}).to(at::kDouble),
                 random({5}).to(at::kDouble)});
  CHECK(emitted_nodes("aten::linear", {random({3, 4}), random({5, 4}),
                                       random({5})}) == Names{"Gemm"});
  CHECK(emitted_nodes("aten::linear",
                      {random({2, 3, 4}), random({5, 4}), random({5})}) ==
        Names{"Transpose", "MatMul", "Add"});
}

TEST_CASE("aten: matmul of every pair of ranks") {
  const std::vector<Ints> left{{4}, {3, 4}, {2, 3, 4}, {5, 1, 3, 4}};
  const std::vector<Ints> right{{4}, {4, 6}, {2, 4, 6}, {5, 2, 4, 6}};
  for (const Ints& a : left)
    for (const Ints& b : right) {
      CAPTURE(a);
      CAPTURE(b);
      same_as_torch("aten::matmul", {random(a), random(b)});
      same_as_torch("aten::linalg_matmul", {random(a), random(b)});
    }
  CHECK(emitted_nodes("aten::matmul", {random({3, 4}), random({4})}) ==
        Names{"MatMul"});
}

TEST_CASE("aten: matmul of integers") {
  for (const at::ScalarType type :
       {at::kLong, at::kInt, at::kShort, at::kChar, at::kByte, at::kDouble})
    same_as_torch("aten::matmul", {whole({3, 4}, type), whole({4, 5}, type)});
}

TEST_CASE("aten: mm, bmm, mv and dot") {
  same_as_torch("aten::mm", {random({3, 4}), random({4, 5})});
  same_as_torch("aten::bmm", {random({2, 3, 4}), random({2, 4, 5})});
  same_as_torch("aten::mv", {random({3, 4}), random({4})});
  same_as_torch("aten::dot", {random({4}), random({4})});
  same_as_torch("aten::vdot", {random({4}), random({4})});
  same_as_torch("aten::mm", {whole({3, 4}), whole({4, 5})});
}

TEST_CASE("aten: addmm") {
  const at::Tensor a = random({3, 4}), b = random({4, 5});
  for (const at::Tensor& c :
       {random({3, 5}), random({5}), random({3, 1}), random({})}) {
    same_as_torch("aten::addmm", {c, a, b});
    same_as_torch("aten::addmm", {c, a, b, 0.5, 2.0});
  }
  same_as_torch(
      "aten::addmm",
      {at::full({5}, std::numeric_limits<float>::quiet_NaN()), a, b, 0, 1});
  same_as_torch("aten::addmm",
                {whole({5}), whole({3, 4}), whole({4, 5}), 3, -2});
  same_as_torch("aten::addmm", {whole({5}, at::kChar), whole({3, 4}, at::kChar),
                                whole({4, 5}, at::kChar), 3, -2});
  CHECK(emitted_nodes("aten::addmm", {random({5}), a, b}) == Names{"Gemm"});
}

TEST_CASE("aten: addmm takes a transposed weight as it was") {
  ir::Model model;
  io::aten::OnnxBuilder builder(model);
  auto input = [&](const char* name, Ints sizes) {
    return model.graph->add_input(
        name, tensor_type(ir::DataType::kFloat, ir::to_shape(sizes)));
  };
  ir::Value* weight = input("weight", {5, 4});
  using io::aten::Argument;
  const io::aten::AtenCall call(
      "addmm", "",
      {{"self", Argument::tensor(input("bias", {5}))},
       {"mat1", Argument::tensor(input("x", {3, 4}))},
       {"mat2", Argument::tensor(builder.transpose(weight, {1, 0}))}},
      builder);
  const ir::Node* gemm =
      io::aten::find_aten("addmm")->emit(call)[0].value->producer();
  CHECK(gemm->op_type == "Gemm");
  CHECK(gemm->input(1) == weight);
  CHECK(gemm->attr_int("transB", 0) == 1);
  CHECK(ir::to_string(gemm->output()->type) == "float[3,5]");
}

TEST_CASE("aten: products that are added to something") {
  same_as_torch("aten::addmv", {random({3}), random({3, 4}), random({4})});
  same_as_torch("aten::addmv",
                {random({}), random({3, 4}), random({4}), 0.5, 3.0});
  same_as_torch("aten::addr",
                {random({3, 4}), random({3}), random({4}), 2.0, 0.25});
  same_as_torch("aten::baddbmm",
                {random({2, 3, 5}), random({2, 3, 4}), random({2, 4, 5})});
  same_as_torch("aten::baddbmm",
                {random({5}), random({2, 3, 4}), random({2, 4, 5}), 0.5, 2.0});
  // With beta 0, LibTorch 1.13 lets NaN out of memory it never wrote.
  CHECK(emitted_nodes("aten::baddbmm", {random({5}), random({2, 3, 4}),
                                        random({2, 4, 5}), 0, 1.0}) ==
        std::vector<std::string>{"MatMul"});
  same_as_torch("aten::addbmm", {random({3, 5}), random({2, 3, 4}),
                                 random({2, 4, 5}), 0.5, 2.0});
  same_as_torch("aten::addbmm",
                {whole({3, 5}), whole({2, 3, 4}), whole({2, 4, 5}), 2, 3});
}

TEST_CASE("aten: outer products") {
  same_as_torch("aten::outer", {random({3}), random({4})});
  same_as_torch("aten::ger", {random({3}), whole({4})});
  same_as_torch("aten::outer", {whole({3}, at::kShort), whole({4}, at::kChar)});
}

TEST_CASE("aten: inner products") {
  same_as_torch("aten::inner", {random({4}), random({4})});
  same_as_torch("aten::inner", {random({3, 4}), random({5, 4})});
  same_as_torch("aten::inner", {random({2, 3, 4}), random({4})});
  same_as_torch("aten::inner", {random({2, 3, 4}), random({5, 6, 4})});
  same_as_torch("aten::inner", {random({2, 3}), random({})});
  same_as_torch("aten::linalg_vecdot", {random({2, 3, 4}), random({3, 4})});
  same_as_torch("aten::linalg_vecdot",
                {random({2, 3, 4}), random({2, 3, 4}), 1});
}

TEST_CASE("aten: chains of products") {
  same_as_torch("aten::chain_matmul",
                {Tensors{random({2, 3}), random({3, 4}), random({4, 5})}});
  same_as_torch("aten::linalg_multi_dot",
                {Tensors{random({3}), random({3, 4}), random({4})}});
  CHECK(emit_error("aten::chain_matmul", {c10::List<at::Tensor>()}) ==
        "test: aten::chain_matmul: argument 'matrices' is empty");
}

TEST_CASE("aten: einsum") {
  const at::Tensor a = random({2, 3, 4}), b = random({2, 4, 5});
  for (const char* equation :
       {"bij,bjk->bik", "bij, bjk -> bki", "bij,bjk", "...ij,...jk->...ik",
        "...ij,...jk", "bij,bjk->", "Bij,Bjk->Bk", "bij,Bjk"})
    same_as_torch("aten::einsum", {equation, Tensors{a, b}});
  same_as_torch("aten::einsum", {"ij->ji", Tensors{random({3, 4})}});
  same_as_torch("aten::einsum", {"ii->i", Tensors{random({4, 4})}});
  same_as_torch("aten::einsum", {"ii", Tensors{random({4, 4})}});
  same_as_torch(
      "aten::einsum",
      {"i,ij,j->", Tensors{random({3}), random({3, 4}), random({4})}});
  same_as_torch("aten::einsum", {"bij,bjk->bik", Tensors{a, random({1, 4, 5})}},
                /*symbolic=*/false);
  same_as_torch(
      "aten::einsum",
      {"bhqd,bhkd->bhqk", Tensors{random({2, 3, 4, 5}), random({2, 3, 6, 5})}});
  same_as_torch("aten::einsum",
                {"ij,jk->ik", Tensors{whole({3, 4}), whole({4, 5})}});
  same_as_torch("aten::einsum",
                {"ij,jk->ik",
                 Tensors{whole({3, 4}, at::kChar), whole({4, 5}, at::kChar)}});
  CHECK(emitted_nodes("aten::einsum", {"bij,bjk->bik", Tensors{a, b}}) ==
        Names{"Einsum"});
  CHECK(emit_error("aten::einsum", {"i1->i", Tensors{random({3, 4})}}) ==
        "test: aten::einsum: the equation 'i1->i' holds '1', expected letters, "
        "',', '...' and '->'");
  CHECK(emit_error("aten::einsum", {"i->i", c10::List<at::Tensor>()}) ==
        "test: aten::einsum: argument 'tensors' is empty");
}

TEST_CASE("aten: tensordot") {
  const at::Tensor a = random({2, 3, 4});
  same_as_torch("aten::tensordot", {a, random({4, 5}), Ints{2}, Ints{0}});
  same_as_torch("aten::tensordot", {a, random({5, 4}), Ints{-1}, Ints{-1}});
  same_as_torch("aten::tensordot",
                {a, random({5, 4, 3}), Ints{1, 2}, Ints{2, 1}});
  same_as_torch("aten::tensordot", {a, random({5, 2}), Ints{0}, Ints{1}});
  same_as_torch("aten::tensordot", {a, random({5, 6}), Ints{}, Ints{}});
  CHECK(emitted_nodes("aten::tensordot", {a, random({4, 5}), Ints{2},
                                          Ints{0}}) == Names{"MatMul"});
  CHECK(emit_error("aten::tensordot", {a, random({4, 5}), Ints{3}, Ints{0}}) ==
        "test: aten::tensordot: argument 'dims_self' holds 3, but the tensor "
        "has rank 3");
  CHECK(
      emit_error("aten::tensordot", {a, random({4, 5}), Ints{1, 2}, Ints{0}}) ==
      "test: aten::tensordot: the first tensor has rank 3 and sums over 2 "
      "axes, the second has rank 2 and sums over 1 axes");
}

TEST_CASE("aten: bilinear") {
  same_as_torch("aten::bilinear", {random({7, 3}), random({7, 4}),
                                   random({5, 3, 4}), random({5})});
  same_as_torch("aten::bilinear",
                {random({2, 7, 3}), random({2, 7, 4}), random({5, 3, 4})});
}

TEST_CASE("aten: cosine_similarity") {
  same_as_torch("aten::cosine_similarity", {random({3, 4}), random({3, 4})});
  same_as_torch("aten::cosine_similarity",
                {random({3, 4, 5}), random({3, 4, 5}), -1});
  same_as_torch("aten::cosine_similarity",
                {random({3, 1, 5}), random({4, 5}), 2});
  same_as_torch("aten::cosine_similarity", {random({3, 4}), random({3, 1}), 1});
  same_as_torch("aten::cosine_similarity",
                {random({3, 4}), random({3, 4}), 1, 10.0});
  same_as_torch("aten::cosine_similarity",
                {at::zeros({3, 4}), random({3, 4}), 1});
  CHECK(emit_error("aten::cosine_similarity", {whole({3, 4}), whole({3, 4})}) ==
        "test: aten::cosine_similarity: the tensors' elements are int64, "
        "expected floating point");
}

TEST_CASE("aten: pairwise_distance") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double p : {2.0, 1.0, 3.0, 0.5, 0.0, infinity, -infinity}) {
    CAPTURE(p);
    same_as_torch("aten::pairwise_distance",
                  {random({3, 4}), random({3, 4}), p});
    same_as_torch("aten::pairwise_distance",
                  {random({2, 3, 4}), random({4}), p, 1e-2, true});
    same_as_torch(
        "aten::pairwise_distance",
        {random({3, 4}).to(at::kDouble), random({3, 4}).to(at::kDouble), p});
  }
}

TEST_CASE("aten: cdist") {
  const double infinity = std::numeric_limits<double>::infinity();
  const at::Tensor a = random({2, 3, 4}), b = random({2, 5, 4});
  for (const double p : {2.0, 1.0, 3.0, 0.0, infinity}) {
    CAPTURE(p);
    same_as_torch("aten::cdist", {a, b, p});
    same_as_torch("aten::cdist", {random({3, 4}), b, p});
    same_as_torch("aten::_cdist_forward", {a, b, p, kNone});
  }
  for (const int64_t mode : {0, 1, 2})
    same_as_torch("aten::cdist", {random({30, 4}), random({5, 4}), 2.0, mode},
                  /*symbolic=*/true, {1e-4, 1e-4});
  same_as_torch("aten::_euclidean_dist", {random({6, 4}), random({5, 4})},
                /*symbolic=*/true, {1e-4, 1e-4});
  CHECK(emitted_nodes("aten::cdist", {random({3, 4}), random({5, 4})}) ==
        Names{"Unsqueeze", "Unsqueeze", "Sub", "ReduceL2"});
  CHECK(emitted_nodes("aten::cdist", {random({3, 4}), random({26, 4})}) ==
        Names{"Transpose", "MatMul", "Mul", "ReduceSumSquare",
              "ReduceSumSquare", "Transpose", "Add", "Sub", "Max", "Sqrt"});
}

}  // namespace
}  // namespace lathe::test
