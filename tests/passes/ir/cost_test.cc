// Figures worked out by hand from the formulas in passes/ir/op_table.h.
#include <doctest/doctest.h>

#include "tests/passes/ir/infer_fixture.h"

namespace lathe::ir {
namespace {

using test::Fixture;
using test::Ints;

Cost cost_of(Fixture& f, const Node* node) {
  infer_shapes(f.model);
  auto cost = node_cost(*node);
  REQUIRE(cost.has_value());
  return *cost;
}

TEST_CASE("cost: Conv counts outputs times weights of a filter") {
  Fixture f;
  Node* conv = f.node(
      "Conv", {f.input({2, 8, 10, 10}), f.input({16, 4, 3, 3}), f.input({16})});
  conv->set_attr("group", int64_t{2});
  Cost cost = cost_of(f, conv);
  // 2 x 16 x 8 x 8 outputs, 4 x 3 x 3 products each, and a bias.
  CHECK(cost.macs == 2048 * 36);
  CHECK(cost.flops == 2 * 2048 * 36 + 2048);
  CHECK(cost.bytes == 4 * (1600 + 576 + 16 + 2048));
}

TEST_CASE("cost: ConvTranspose counts inputs times weights of a channel") {
  Fixture f;
  Node* up =
      f.node("ConvTranspose", {f.input({1, 16, 7, 7}), f.input({16, 4, 3, 3})});
  CHECK(cost_of(f, up).macs == 16 * 49 * 36);
}

TEST_CASE("cost: Gemm, MatMul, Einsum agree on one product") {
  Fixture f;
  Node* gemm = f.node("Gemm", {f.input({3, 2}), f.input({3, 4})});
  gemm->set_attr("transA", int64_t{1});
  Node* matmul = f.node("MatMul", {f.input({2, 3}), f.input({3, 4})});
  Node* einsum = f.node("Einsum", {f.input({2, 3}), f.input({3, 4})});
  einsum->set_attr("equation", std::string("ij,jk->ik"));
  Node* fused = f.node("FusedMatMul", {f.input({3, 2}), f.input({4, 3})}, 1,
                       "com.microsoft");
  fused->set_attr("transA", int64_t{1});
  fused->set_attr("transB", int64_t{1});
  for (Node* node : {gemm, matmul, einsum, fused})
    CHECK(cost_of(f, node).macs == 2 * 3 * 4);
  Node* batched = f.node("MatMul", {f.input({5, 2, 3}), f.input({3, 4})});
  CHECK(cost_of(f, batched).macs == 5 * 2 * 3 * 4);
}

TEST_CASE("cost: recurrent layers") {
  Fixture f;
  Node* lstm = f.node(
      "LSTM", {f.input({7, 2, 8}), f.input({1, 64, 8}), f.input({1, 64, 16})});
  CHECK(cost_of(f, lstm).macs == 7 * 2 * 4 * 16 * (8 + 16));
  Node* gru = f.node(
      "GRU", {f.input({7, 2, 8}), f.input({2, 48, 8}), f.input({2, 48, 16})});
  gru->set_attr("direction", std::string("bidirectional"));
  CHECK(cost_of(f, gru).macs == 2 * 7 * 2 * 3 * 16 * (8 + 16));
}

TEST_CASE("cost: pooling, activations and movement do no MACs") {
  Fixture f;
  Node* pool = f.node("MaxPool", {f.input({1, 2, 8, 8})});
  pool->set_attr("kernel_shape", Ints{2, 2});
  pool->set_attr("strides", Ints{2, 2});
  CHECK(cost_of(f, pool).flops == 2 * 16 * 4);
  CHECK(cost_of(f, pool).macs == 0);
  Node* relu = f.node("Relu", {f.input({10})});
  CHECK(cost_of(f, relu).flops == 10);
  CHECK(cost_of(f, relu).bytes == 80);
  Node* transpose = f.node("Transpose", {f.input({2, 3})});
  CHECK(cost_of(f, transpose).flops == 0);
  CHECK(cost_of(f, transpose).bytes == 48);
}

TEST_CASE("cost: integer forms do the MACs of the float form") {
  Fixture f;
  Value* x = f.input({1, 3, 8, 8}, DataType::kUint8);
  Value* w = f.input({4, 3, 3, 3}, DataType::kInt8);
  Value* scale = f.input({});
  Value* zero = f.input({}, DataType::kUint8);
  Node* q =
      f.node("QLinearConv", {x, scale, zero, w, scale, zero, scale, zero});
  Node* dq_x = f.node("DequantizeLinear", {x, scale, zero});
  Node* dq_w = f.node("DequantizeLinear", {w, scale, zero});
  Node* conv = f.node("Conv", {dq_x->output(), dq_w->output()});
  CHECK(cost_of(f, q).macs == 4 * 36 * 27);
  CHECK(cost_of(f, conv).macs == 4 * 36 * 27);
  // Bytes are those of the types that stand there.
  CHECK(cost_of(f, q).bytes == 192 + 108 + 4 * 36 + 3 * 4 + 3);
  CHECK(total_macs(f.model) == 2 * 4 * 36 * 27);
}

TEST_CASE("cost: unknown shapes have none") {
  Fixture f;
  Node* conv = f.node("Conv", {f.input({"N", 3, 8, 8}), f.input({4, 3, 3, 3})});
  infer_shapes(f.model);
  CHECK_FALSE(node_cost(*conv).has_value());
  CHECK_FALSE(total_macs(f.model).has_value());
  bind_input_shapes(f.model, {{"x", {2, 3, 8, 8}}});
  infer_shapes(f.model);
  CHECK(total_macs(f.model) == 2 * 4 * 36 * 27);
}

TEST_CASE("cost: an unknown shape off the compute nodes does not matter") {
  Fixture f;
  f.node("Gemm", {f.input({2, 3}), f.input({3, 4})});
  f.node("Relu", {f.input({"N"})});
  infer_shapes(f.model);
  CHECK(total_macs(f.model) == 24);
}

TEST_CASE("cost: huge shapes saturate") {
  Fixture f;
  Value* a = f.input({2000000000, 2000000000});
  Node* matmul = f.node("MatMul", {a, a});
  CHECK(cost_of(f, matmul).macs == INT64_MAX);
}

TEST_CASE("cost: If counts its costlier branch") {
  Fixture f;
  Value* x = f.input({2, 3});
  Node* node = f.node("If", {f.input({}, DataType::kBool)});
  auto branch = [&](int columns) {
    auto graph = std::make_unique<Graph>();
    Value* w = graph->add_initializer(
        "w", Tensor::zeros(DataType::kFloat, {3, columns}));
    Node* matmul =
        graph->add_node("MatMul", {x, w}, std::vector<std::string>{"out"});
    graph->add_output(matmul->output());
    return graph;
  };
  Graph::set_subgraph(node, "then_branch", branch(4));
  Graph::set_subgraph(node, "else_branch", branch(6));
  infer_shapes(f.model);
  CHECK(total_macs(f.model) == 2 * 3 * 6);
  CHECK(count_parameters(f.model) == 3 * 4 + 3 * 6);
}

TEST_CASE("cost: a function call counts its body") {
  Fixture f;
  Function function;
  function.domain = "local";
  function.name = "Dense";
  function.opset_imports[""] = 17;
  function.body = std::make_unique<Graph>();
  Value* a = function.body->add_input("a", {});
  Value* b = function.body->add_input("b", {});
  Node* matmul =
      function.body->add_node("MatMul", {a, b}, std::vector<std::string>{"c"});
  function.body->add_output(matmul->output());
  f.model.functions.push_back(std::move(function));
  f.node("Dense", {f.input({2, 3}), f.input({3, 4})}, 1, "local");
  infer_shapes(f.model);
  CHECK(total_macs(f.model) == 24);
}

TEST_CASE("cost: parameters") {
  Fixture f;
  Value* x = f.input({1, 3, 8, 8});
  Value* weight = f.constant(Tensor::zeros(DataType::kFloat, {4, 3, 3, 3}));
  Value* bias = f.constant(Tensor::zeros(DataType::kFloat, {4}));
  Node* conv = f.node("Conv", {x, weight, bias});
  f.node("Mul", {conv->output(), f.constant(Tensor::scalar<float>(2))});
  f.node("Reshape", {conv->output(), f.ints({1, -1})});
  CHECK(count_parameters(f.model) == 4 * 27 + 4);
  // The same Conv behind Q/DQ counts the same: scales are no parameters.
  Fixture q;
  Value* qx = q.input({1, 3, 8, 8});
  Value* qw = q.constant(Tensor::zeros(DataType::kInt8, {4, 3, 3, 3}));
  Value* qb = q.constant(Tensor::zeros(DataType::kInt32, {4}));
  Value* scales = q.floats({1, 1, 1, 1});
  Node* dw = q.node("DequantizeLinear", {qw, scales});
  Node* db = q.node("DequantizeLinear", {qb, scales});
  q.node("Conv", {qx, dw->output(), db->output()});
  CHECK(count_parameters(q.model) == 4 * 27 + 4);
}

TEST_CASE("cost: parameters of Constant nodes and packed weights") {
  Fixture f;
  Node* constant = f.node("Constant", {});
  constant->set_attr("value", Tensor::zeros(DataType::kFloat, {3, 4}));
  f.node("MatMul", {f.input({2, 3}), constant->output()});
  Node* shape = f.node("Constant", {});
  shape->set_attr("value", Tensor::vector_i64({2, 2}));
  Node* bits = f.node(
      "MatMulNBits",
      {f.input({2, 32}),
       f.constant(Tensor::zeros(DataType::kUint8, {8, 1, 16})), f.floats({1})},
      1, "com.microsoft");
  bits->set_attr("K", int64_t{32});
  bits->set_attr("N", int64_t{8});
  CHECK(count_parameters(f.model) == 12 + 32 * 8);
}

}  // namespace
}  // namespace lathe::ir
