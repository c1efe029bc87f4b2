// Formulas of the operators, one small graph each; whole chains, bodies and
// binding of inputs.
#include "passes/ir/shape_inference.h"

#include <doctest/doctest.h>

#include "tests/passes/ir/infer_fixture.h"

namespace lathe::ir {
namespace {

using test::Fixture;
using test::Ints;

struct ConvCase {
  const char* what;
  Ints in, weight;
  Ints pads, strides, dilations;
  std::string auto_pad;
  int64_t group;
  const char* expected;
};

TEST_CASE("shape_inference: Conv") {
  const ConvCase cases[] = {
      {"plain",
       {1, 3, 32, 32},
       {8, 3, 3, 3},
       {},
       {},
       {},
       "",
       1,
       "float[1,8,30,30]"},
      {"pads and stride",
       {2, 3, 224, 224},
       {32, 3, 3, 3},
       {0, 0, 1, 1},
       {2, 2},
       {},
       "",
       1,
       "float[2,32,112,112]"},
      {"dilation",
       {1, 4, 65, 65},
       {4, 1, 3, 3},
       {2, 2, 2, 2},
       {1, 1},
       {2, 2},
       "",
       4,
       "float[1,4,65,65]"},
      {"1-D",
       {1, 2, 576},
       {258, 2, 256},
       {},
       {128},
       {},
       "",
       1,
       "float[1,258,3]"},
      {"3-D",
       {1, 1, 8, 9, 10},
       {2, 1, 2, 3, 4},
       {},
       {},
       {},
       "",
       1,
       "float[1,2,7,7,7]"},
      {"SAME_UPPER",
       {1, 1, 28, 27},
       {8, 1, 5, 5},
       {},
       {2, 2},
       {},
       "SAME_UPPER",
       1,
       "float[1,8,14,14]"},
      {"VALID",
       {1, 1, 28, 28},
       {8, 1, 5, 5},
       {},
       {2, 2},
       {},
       "VALID",
       1,
       "float[1,8,12,12]"},
  };
  for (const ConvCase& c : cases) {
    INFO(c.what);
    Fixture f;
    ValueType in, weight;
    in.elem = weight.elem = DataType::kFloat;
    in.shape = to_shape(c.in);
    weight.shape = to_shape(c.weight);
    Node* conv = f.node("Conv", {f.model.graph->add_input("in", in),
                                 f.model.graph->add_input("w", weight)});
    if (!c.pads.empty()) conv->set_attr("pads", c.pads);
    if (!c.strides.empty()) conv->set_attr("strides", c.strides);
    if (!c.dilations.empty()) conv->set_attr("dilations", c.dilations);
    if (!c.auto_pad.empty()) conv->set_attr("auto_pad", c.auto_pad);
    if (c.group != 1) conv->set_attr("group", c.group);
    CHECK(f.type(conv) == c.expected);
  }
}

TEST_CASE("shape_inference: Conv keeps symbols where the size stays") {
  Fixture f;
  Node* conv =
      f.node("Conv", {f.input({"N", 3, "H", "W"}), f.input({8, 3, 3, 3})});
  conv->set_attr("pads", Ints{1, 1, 1, 1});
  CHECK(f.type(conv) == "float[N,8,H,W]");
  conv->set_attr("strides", Ints{2, 2});
  Fixture g;
  Node* strided =
      g.node("Conv", {g.input({"N", 3, "H", 9}), g.input({8, 3, 3, 3})});
  strided->set_attr("strides", Ints{2, 2});
  CHECK(g.type(strided) == "float[N,8,?,4]");
}

TEST_CASE("shape_inference: Conv of an unknown input") {
  Fixture f;
  Node* conv =
      f.node("Conv", {f.input_of_unknown_rank(), f.input({8, 3, 3, 3})});
  CHECK(f.type(conv) == "float[?,8,?,?]");
}

TEST_CASE("shape_inference: Conv refuses what cannot go together") {
  auto message = [](const std::vector<test::TestDim>& in, Ints pads,
                    Ints strides, int64_t group) {
    Fixture f;
    Node* conv = f.node("Conv", {f.input(in), f.input({8, 3, 3, 3})});
    if (!pads.empty()) conv->set_attr("pads", pads);
    if (!strides.empty()) conv->set_attr("strides", strides);
    conv->set_attr("group", group);
    return f.error();
  };
  CHECK(message({1, 4, 8, 8}, {}, {}, 1) ==
        "Conv 'n': input has 4 channels, but the weight takes 3 in 1 group");
  CHECK(message({1, 9, 8, 8}, {}, {}, 3) ==
        "Conv 'n': 8 output channels do not divide into 3 groups");
  CHECK(message({1, 3, 8, 8}, {1, 1}, {}, 1) ==
        "Conv 'n': attribute 'pads' has 2 values, but needs 4");
  CHECK(message({1, 3, 8, 8}, {-1, 0, 0, 0}, {}, 1) ==
        "Conv 'n': attribute 'pads' has the value -1, but needs at least 0");
  CHECK(message({1, 3, 8, 8}, {}, {0, 1}, 1) ==
        "Conv 'n': attribute 'strides' has the value 0, but needs at least 1");
  CHECK(message({1, 3, 2, 8}, {}, {}, 1) ==
        "Conv 'n': the window covers 3 elements, but the padded input has "
        "only 2");
  CHECK(message({1, 3, 8, 8}, {INT64_MAX, 0, INT64_MAX, 0}, {}, 1) ==
        "Conv 'n': a dimension of the output does not fit 64 bits");
  CHECK(message({1, 3, 8}, {}, {}, 1) ==
        "Conv 'n': input has rank 3, but the weight has rank 4");
  CHECK(message({1, 3, 8, 8}, {}, {}, 0) == "Conv 'n': attribute 'group' is 0");
}

TEST_CASE("shape_inference: ConvTranspose") {
  Fixture f;
  Node* up =
      f.node("ConvTranspose", {f.input({1, 16, 7, 7}), f.input({16, 4, 3, 3})});
  up->set_attr("strides", Ints{2, 2});
  up->set_attr("pads", Ints{1, 1, 1, 1});
  up->set_attr("group", int64_t{2});
  CHECK(f.type(up) == "float[1,8,13,13]");
  up->set_attr("output_padding", Ints{1, 1});
  CHECK(f.type(up) == "float[1,8,14,14]");
  up->set_attr("output_shape", Ints{20, 21});
  CHECK(f.type(up) == "float[1,8,20,21]");
  Fixture g;
  Node* same =
      g.node("ConvTranspose", {g.input({1, 16, 7, 7}), g.input({16, 4, 3, 3})});
  same->set_attr("auto_pad", std::string("SAME_UPPER"));
  same->set_attr("strides", Ints{2, 3});
  CHECK(g.type(same) == "float[1,4,14,21]");
}

TEST_CASE("shape_inference: pooling and ceil_mode") {
  auto pooled = [](int size, Ints kernel, Ints strides, Ints pads,
                   bool ceil_mode) {
    Fixture f;
    Node* pool = f.node("MaxPool", {f.input({1, 2, size})}, 2);
    pool->set_attr("kernel_shape", kernel);
    pool->set_attr("strides", strides);
    pool->set_attr("pads", pads);
    pool->set_attr("ceil_mode", int64_t{ceil_mode});
    f.type(pool);
    CHECK(to_string(pool->output(1)->type.shape.value()) ==
          to_string(pool->output(0)->type.shape.value()));
    CHECK(pool->output(1)->type.elem == DataType::kInt64);
    return pool->output(0)->type.shape->at(2).value;
  };
  CHECK(pooled(113, {3}, {2}, {0, 0}, false) == 56);
  CHECK(pooled(112, {3}, {2}, {0, 0}, false) == 55);
  CHECK(pooled(112, {3}, {2}, {0, 0}, true) == 56);
  // The third window would start in the end padding, at 4 of 4: left out.
  CHECK(pooled(4, {1}, {2}, {0, 1}, true) == 2);
  CHECK(pooled(4, {3}, {2}, {0, 1}, true) == 2);
}

TEST_CASE("shape_inference: global pooling, Gemm, MatMul") {
  Fixture f;
  CHECK(f.type(f.node("GlobalAveragePool", {f.input({"N", 8, 7, 6})})) ==
        "float[N,8,1,1]");
  Node* gemm = f.node("Gemm", {f.input({5, "N"}), f.input({3, 5})});
  gemm->set_attr("transA", int64_t{1});
  gemm->set_attr("transB", int64_t{1});
  CHECK(f.type(gemm) == "float[N,3]");
  CHECK(f.type(f.node("MatMul", {f.input({7, 1, 2, 3}), f.input({5, 3, 4})})) ==
        "float[7,5,2,4]");
  CHECK(f.type(f.node("MatMul", {f.input({3}), f.input({3})})) == "float[]");
  CHECK(f.type(f.node("MatMul", {f.input({"B", 2, 3}), f.input({3})})) ==
        "float[B,2]");
  Fixture g;
  g.node("MatMul", {g.input({2, 3}), g.input({4, 5})});
  CHECK(g.error() == "MatMul 'n': columns of A and rows of B differ: 3 and 4");
}

TEST_CASE("shape_inference: broadcasting") {
  Fixture f;
  CHECK(f.type(f.node("Add", {f.input({3, 1, 5}), f.input({4, 1})})) ==
        "float[3,4,5]");
  CHECK(f.type(f.node("Mul", {f.input({"N", 1}), f.input({"N", 6})})) ==
        "float[N,6]");
  CHECK(f.type(f.node("Mul", {f.input({"N", 2}), f.input({"M", 2})})) ==
        "float[?,2]");
  CHECK(f.type(f.node("Less", {f.input({"N"}), f.input({})})) == "bool[N]");
  CHECK(f.type(f.node("Max", {f.input({2, 1}), f.input({1, 3}),
                              f.input({})})) == "float[2,3]");
  CHECK(f.type(f.node("Where", {f.input({2, 1}, DataType::kBool), f.input({3}),
                                f.input({1})})) == "float[2,3]");
  Fixture g;
  g.node("Add", {g.input({2, 3}), g.input({4})});
  CHECK(g.error() == "Add 'n': dimensions 3 and 4 do not broadcast");
}

TEST_CASE("shape_inference: Einsum") {
  auto einsum = [](const char* equation, const std::vector<Value*>& inputs,
                   Fixture& f) {
    Node* node = f.node("Einsum", inputs);
    node->set_attr("equation", std::string(equation));
    return node;
  };
  Fixture f;
  CHECK(f.type(einsum("bij,bjk->bik",
                      {f.input({"B", 2, 3}), f.input({"B", 3, 4})}, f)) ==
        "float[B,2,4]");
  CHECK(f.type(einsum("...hd, ...d -> ...h",
                      {f.input({6, 5, 2, 3}), f.input({5, 3})}, f)) ==
        "float[6,5,2]");
  CHECK(f.type(einsum("ij,jk", {f.input({2, 3}), f.input({3, 4})}, f)) ==
        "float[2,4]");
  CHECK(f.type(einsum("ii", {f.input({3, 3})}, f)) == "float[]");
  Fixture g;
  einsum("ij->k", {g.input({2, 3})}, g);
  CHECK(g.error() ==
        "Einsum 'n': equation 'ij->k' has the output label 'k', which no "
        "operand has");
  Fixture h;
  einsum("ij,jk->ik", {h.input({2, 3, 4}), h.input({3, 4})}, h);
  CHECK(h.error() ==
        "Einsum 'n': operand 0 has rank 3, but equation 'ij,jk->ik' gives it "
        "2 labels");
}

TEST_CASE("shape_inference: Reshape") {
  auto reshaped = [](const std::vector<test::TestDim>& in, Ints target,
                     bool allow_zero = false) {
    Fixture f;
    Node* node = f.node("Reshape", {f.input(in), f.ints(target)});
    if (allow_zero) node->set_attr("allowzero", int64_t{1});
    std::string failed = f.error();
    return failed.empty() ? to_string(node->output()->type) : failed;
  };
  CHECK(reshaped({2, 3, 4}, {0, -1}) == "float[2,12]");
  CHECK(reshaped({2, 3, 4}, {4, 3, 2}) == "float[4,3,2]");
  CHECK(reshaped({"N", 3, 4}, {0, -1}) == "float[N,12]");
  CHECK(reshaped({"N", 3, 4}, {-1, 12}) == "float[N,12]");
  CHECK(reshaped({"N", 3, 4}, {-1, 6}) == "float[?,6]");
  CHECK(reshaped({2, 0, 4}, {0, 0, 8}, true) == "float[0,0,8]");
  CHECK(reshaped({2, 3}, {-1, -1}) ==
        "Reshape 'n': the shape has more than one -1");
  CHECK(reshaped({2, 3}, {4, -1}) ==
        "Reshape 'n': cannot reshape 2x3: 6 elements are not a multiple of 4");
  CHECK(reshaped({2, 3}, {7}) == "Reshape 'n': cannot reshape 2x3 to 7");
  CHECK(reshaped({2, 3}, {2, 3, 0}) ==
        "Reshape 'n': the shape copies dimension 2, but the input has rank 2");
  CHECK(reshaped({2, 3}, {-2, 3}) ==
        "Reshape 'n': the shape has the dimension -2");
}

TEST_CASE("shape_inference: Slice") {
  auto sliced = [](const std::vector<test::TestDim>& in, Ints starts, Ints ends,
                   Ints axes, Ints steps) {
    Fixture f;
    Node* node = f.node("Slice", {f.input(in), f.ints(starts), f.ints(ends),
                                  f.ints(axes), f.ints(steps)});
    std::string failed = f.error();
    return failed.empty() ? to_string(node->output()->type) : failed;
  };
  CHECK(sliced({10, 20}, {1}, {7}, {1}, {2}) == "float[10,3]");
  CHECK(sliced({10, 20}, {-1}, {INT64_MIN}, {0}, {-1}) == "float[10,20]");
  CHECK(sliced({10, 20}, {-3}, {-100}, {0}, {-2}) == "float[4,20]");
  CHECK(sliced({10, 20}, {5}, {2}, {0}, {1}) == "float[0,20]");
  CHECK(sliced({10, 20}, {0, -2}, {INT64_MAX, INT64_MAX}, {0, 1}, {3, 1}) ==
        "float[4,2]");
  CHECK(sliced({10}, {0}, {10}, {0}, {INT64_MIN}) == "float[0]");
  CHECK(sliced({"N", 8}, {0}, {INT64_MAX}, {0}, {1}) == "float[N,8]");
  CHECK(sliced({"N", 8}, {1}, {INT64_MAX}, {0}, {1}) == "float[?,8]");
  CHECK(sliced({10}, {0}, {1}, {0}, {0}) == "Slice 'n': step is 0");
  CHECK(sliced({10}, {0}, {1}, {1}, {1}) ==
        "Slice 'n': axis 1 is out of range for rank 1");
  CHECK(sliced({10}, {0, 1}, {1}, {0}, {1}) ==
        "Slice 'n': starts, ends, axes and steps differ in length");
  Fixture old(9);
  Node* node = old.node("Slice", {old.input({1, 4420, 4})});
  node->set_attr("starts", Ints{2});
  node->set_attr("ends", Ints{9223372036854775807});
  node->set_attr("axes", Ints{2});
  CHECK(old.type(node) == "float[1,4420,2]");
}

TEST_CASE("shape_inference: Split, Concat, Pad, Tile") {
  Fixture f(18);
  Node* even = f.node("Split", {f.input({7, 2})}, 3);
  even->set_attr("num_outputs", int64_t{3});
  CHECK(f.type(even, 0) == "float[3,2]");
  CHECK(f.type(even, 2) == "float[1,2]");
  Node* sized = f.node("Split", {f.input({7, "N"}), f.ints({5, 2})}, 2);
  CHECK(f.type(sized, 1) == "float[2,N]");
  Node* joined = f.node("Concat", {f.input({2, "N"}), f.input({3, "N"})});
  joined->set_attr("axis", int64_t{-2});
  CHECK(f.type(joined) == "float[5,N]");
  CHECK(f.type(f.node("Pad", {f.input({1, 4, "H", 6}),
                              f.ints({0, 1, 0, -2, 0, 2, 0, 0})})) ==
        "float[1,7,H,4]");
  CHECK(f.type(f.node("Pad", {f.input({1, 4, 6}), f.ints({2, 3}), nullptr,
                              f.ints({-1})})) == "float[1,4,11]");
  CHECK(f.type(f.node("Tile", {f.input({2, 3}), f.ints({1, 4})})) ==
        "float[2,12]");
  Fixture g;
  g.node("Split", {g.input({7})}, 2);
  CHECK(g.error() == "Split 'n': dimension 7 does not divide into 2 parts");
  Fixture h;
  h.node("Split", {h.input({7}), h.ints({3, 3})}, 2);
  CHECK(h.error() == "Split 'n': the parts add up to 6, but axis 0 has 7");
  Fixture i;
  i.node("Pad", {i.input({3}), i.ints({-2, -2})});
  CHECK(i.error() == "Pad 'n': a dimension of the output would be -1");
}

TEST_CASE("shape_inference: Squeeze and Unsqueeze in both forms") {
  Fixture old(11);
  Node* squeeze = old.node("Squeeze", {old.input({1, 3, 1})});
  squeeze->set_attr("axes", Ints{-1});
  CHECK(old.type(squeeze) == "float[1,3]");
  Node* unsqueeze = old.node("Unsqueeze", {old.input({3})});
  unsqueeze->set_attr("axes", Ints{0, 2});
  CHECK(old.type(unsqueeze) == "float[1,3,1]");
  Fixture f;
  CHECK(f.type(f.node("Squeeze", {f.input({1, 3, 1})})) == "float[3]");
  CHECK(f.type(f.node("Squeeze", {f.input({1, "N"}), f.ints({0})})) ==
        "float[N]");
  CHECK(f.type(f.node("Unsqueeze", {f.input({"N"}), f.ints({-1, 0})})) ==
        "float[1,N,1]");
  Fixture g;
  g.node("Squeeze", {g.input({2, 3}), g.ints({0})});
  CHECK(g.error() == "Squeeze 'n': cannot squeeze axis 0 of 2x3");
  Fixture h;
  h.node("Unsqueeze", {h.input({2}), h.ints({0, 0})});
  CHECK(h.error() == "Unsqueeze 'n': axis 0 is given twice");
}

TEST_CASE("shape_inference: Resize and Upsample") {
  Fixture f(18);
  CHECK(f.type(f.node("Resize", {f.input({1, 3, 5, 6}), nullptr,
                                 f.floats({1, 1, 2.5f, 0.5f})})) ==
        "float[1,3,12,3]");
  CHECK(f.type(f.node("Resize", {f.input({1, "C", 5, 6}), nullptr, nullptr,
                                 f.ints({1, 3, 9, 4})})) == "float[1,3,9,4]");
  Node* axes = f.node(
      "Resize", {f.input({"N", 3, 5, 6}), nullptr, nullptr, f.ints({10, 8})});
  axes->set_attr("axes", Ints{2, 3});
  CHECK(f.type(axes) == "float[N,3,10,8]");
  axes->set_attr("keep_aspect_ratio_policy", std::string("not_larger"));
  Fixture fit(18);
  Node* kept = fit.node(
      "Resize", {fit.input({1, 3, 5, 6}), nullptr, nullptr, fit.ints({10, 8})});
  kept->set_attr("axes", Ints{2, 3});
  kept->set_attr("keep_aspect_ratio_policy", std::string("not_larger"));
  CHECK(fit.type(kept) == "float[1,3,7,8]");
  Fixture old(9);
  CHECK(old.type(old.node(
            "Upsample", {old.input({1, 3, 5, 6}), old.floats({1, 1, 2, 2})})) ==
        "float[1,3,10,12]");
  Fixture ten(10);
  CHECK(ten.type(ten.node(
            "Resize", {ten.input({1, 3, 5, 6}), ten.floats({1, 1, 2, 3})})) ==
        "float[1,3,10,18]");
  Fixture bad(18);
  bad.node("Resize", {bad.input({1, 3}), nullptr, bad.floats({1, -1})});
  CHECK(bad.error() ==
        "Resize 'n': scale is -1.000000, but should be positive");
  Fixture none(18);
  none.node("Resize", {none.input({1, 3})});
  CHECK(none.error() == "Resize 'n': neither scales nor sizes are given");
}

TEST_CASE("shape_inference: reductions, Arg and TopK") {
  Fixture old(11);
  Node* mean = old.node("ReduceMean", {old.input({2, 3, "W"})});
  mean->set_attr("axes", Ints{1});
  CHECK(old.type(mean) == "float[2,1,W]");
  mean->set_attr("keepdims", int64_t{0});
  Fixture f(18);
  CHECK(f.type(f.node("ReduceMean", {f.input({2, 3, 4}), f.ints({-1})})) ==
        "float[2,3,1]");
  CHECK(f.type(f.node("ReduceSum", {f.input({2, 3})})) == "float[1,1]");
  Node* noop = f.node("ReduceSum", {f.input({2, 3})});
  noop->set_attr("noop_with_empty_axes", int64_t{1});
  CHECK(f.type(noop) == "float[2,3]");
  Node* arg = f.node("ArgMax", {f.input({2, 3})});
  arg->set_attr("axis", int64_t{1});
  arg->set_attr("keepdims", int64_t{0});
  CHECK(f.type(arg) == "int64[2]");
  Node* top = f.node("TopK", {f.input({"N", 10}), f.ints({3})}, 2);
  CHECK(f.type(top, 0) == "float[N,3]");
  CHECK(f.type(top, 1) == "int64[N,3]");
}

TEST_CASE("shape_inference: gathering") {
  Fixture f;
  Node* rows = f.node(
      "Gather", {f.input({512, 64}), f.input({"B", "S"}, DataType::kInt64)});
  CHECK(f.type(rows) == "float[B,S,64]");
  Node* nd = f.node("GatherND",
                    {f.input({2, 3, 4}), f.input({5, 2}, DataType::kInt64)});
  CHECK(f.type(nd) == "float[5,4]");
  CHECK(f.type(f.node("OneHot", {f.input({2, 3}, DataType::kInt64),
                                 f.scalar(10), f.floats({0, 1})})) ==
        "float[2,3,10]");
}

TEST_CASE("shape_inference: recurrent layers") {
  Fixture f;
  Node* lstm = f.node(
      "LSTM",
      {f.input({"S", "B", 8}), f.input({2, 64, 8}), f.input({2, 64, 16})}, 3);
  lstm->set_attr("hidden_size", int64_t{16});
  lstm->set_attr("direction", std::string("bidirectional"));
  CHECK(f.type(lstm, 0) == "float[S,2,B,16]");
  CHECK(f.type(lstm, 1) == "float[2,B,16]");
  CHECK(f.type(lstm, 2) == "float[2,B,16]");
  Node* gru = f.node(
      "GRU",
      {f.input({"B", "S", 8}), f.input({1, 48, 8}), f.input({1, 48, 16})}, 2);
  gru->set_attr("layout", int64_t{1});
  CHECK(f.type(gru, 0) == "float[B,S,1,16]");
  CHECK(f.type(gru, 1) == "float[B,1,16]");
}

TEST_CASE("shape_inference: quantization types") {
  Fixture f;
  Node* plain = f.node("QuantizeLinear", {f.input({"N", 3}), f.floats({1})});
  CHECK(f.type(plain) == "uint8[N,3]");
  Node* typed = f.node("QuantizeLinear", {f.input({3}), f.input({}),
                                          f.input({}, DataType::kInt8)});
  CHECK(f.type(typed) == "int8[3]");
  CHECK(f.type(f.node("DequantizeLinear", {typed->output(), f.input({})})) ==
        "float[3]");
  Node* conv =
      f.node("QLinearConv",
             {f.input({1, 3, 8, 8}, DataType::kUint8), f.input({}), f.input({}),
              f.input({4, 3, 3, 3}, DataType::kInt8), f.input({}), f.input({}),
              f.input({}), f.input({}, DataType::kUint8)});
  CHECK(f.type(conv) == "uint8[1,4,6,6]");
  Node* nhwc =
      f.node("QLinearConv",
             {f.input({1, 8, 8, 3}, DataType::kUint8), f.input({}), f.input({}),
              f.input({4, 3, 3, 3}, DataType::kInt8), f.input({}), f.input({}),
              f.input({}), f.input({}, DataType::kUint8)},
             1, "com.ms.internal.nhwc");
  CHECK(f.type(nhwc) == "uint8[1,6,6,4]");
  Node* bits = f.node("MatMulNBits",
                      {f.input({"B", "S", 64}),
                       f.input({32, 2, 16}, DataType::kUint8), f.input({64})},
                      1, "com.microsoft");
  bits->set_attr("K", int64_t{64});
  bits->set_attr("N", int64_t{32});
  CHECK(f.type(bits) == "float[B,S,32]");
}

// x.view(x.size(0), -1), as PyTorch's exporter writes it.
TEST_CASE("shape_inference: a computed shape is followed") {
  Fixture f;
  Value* x = f.input({"N", 16, 4, 4});
  Value* batch = f.chain("Gather", {f.chain("Shape", {x}), f.scalar(0)});
  Value* row = f.chain("Unsqueeze", {batch, f.ints({0})});
  Node* concat = f.node("Concat", {row, f.ints({-1})});
  concat->set_attr("axis", int64_t{0});
  CHECK(f.type(f.node("Reshape", {x, concat->output()})) == "float[N,256]");
}

// The head split of attention: sizes multiplied and divided on the way.
TEST_CASE("shape_inference: arithmetic on sizes is followed") {
  Fixture f;
  Value* x = f.input({2, "S", 64});
  Value* shape = f.chain("Shape", {x});
  Value* width = f.chain("Gather", {shape, f.scalar(2)});
  Value* head = f.chain("Cast", {f.chain("Div", {width, f.scalar(8)})});
  head->producer()->set_attr("to", int64_t{7});
  Value* length = f.chain("Gather", {shape, f.scalar(1)});
  Node* target = f.node(
      "Concat", {f.chain("Unsqueeze", {f.chain("Gather", {shape, f.scalar(0)}),
                                       f.ints({0})}),
                 f.chain("Unsqueeze", {length, f.ints({0})}), f.ints({8}),
                 f.chain("Unsqueeze", {head, f.ints({0})})});
  target->set_attr("axis", int64_t{0});
  CHECK(f.type(f.node("Reshape", {x, target->output()})) == "float[2,S,8,8]");
}

// F.pad as PyTorch exports it: ConstantOfShape, Concat, Reshape [-1, 2], a
// reversing Slice, Transpose, Reshape [-1], Cast.
TEST_CASE("shape_inference: a reversed list of pads is followed") {
  Fixture f;
  Value* zeros = f.chain("ConstantOfShape", {f.ints({4})});
  zeros->producer()->set_attr("value", Tensor::vector_i64({0}));
  Node* all = f.node("Concat", {f.ints({0, 0, 0, 0, 8, 8}), zeros});
  all->set_attr("axis", int64_t{0});
  // Two more than 2 x 4 pads: cut.
  Value* eight =
      f.chain("Slice", {all->output(), f.ints({0}), f.ints({8}), f.ints({0})});
  Value* pairs = f.chain("Reshape", {eight, f.ints({-1, 2})});
  Value* reversed = f.chain("Slice", {pairs, f.ints({-1}), f.ints({INT64_MIN}),
                                      f.ints({0}), f.ints({-1})});
  Value* turned = f.chain("Transpose", {reversed});
  turned->producer()->set_attr("perm", Ints{1, 0});
  Value* flat = f.chain("Reshape", {turned, f.ints({-1})});
  Value* cast = f.chain("Cast", {flat});
  cast->producer()->set_attr("to", int64_t{7});
  CHECK(f.type(f.node("Pad", {f.input({"N", 16, 8, 8}), cast})) ==
        "float[N,32,8,8]");
}

TEST_CASE("shape_inference: Expand, Range, Where and Equal on shapes") {
  Fixture f;
  Value* x = f.input({"N", 3});
  Value* shape = f.chain("Shape", {x});
  // where(target == -1, shape, target), PyTorch's expand.
  Value* target = f.ints({-1, 3});
  Value* known = f.chain(
      "Where", {f.chain("Equal", {target, f.ints({-1})}), shape, target});
  CHECK(f.type(f.node("Expand", {f.input({1, 3}), known})) == "float[N,3]");
  CHECK(f.type(f.node("Range", {f.scalar(2), f.scalar(11), f.scalar(3)})) ==
        "int64[3]");
  Value* n = f.chain("Gather", {shape, f.scalar(0)});
  CHECK(f.type(f.node("Range", {f.scalar(0), n, f.scalar(1)})) == "int64[N]");
  CHECK(f.type(f.node("ConstantOfShape", {shape})) == "float[N,3]");
}

std::unique_ptr<Graph> branch(const std::string& op, Value* outer,
                              std::vector<Value*> more = {}) {
  auto graph = std::make_unique<Graph>();
  std::vector<Value*> inputs{outer};
  inputs.insert(inputs.end(), more.begin(), more.end());
  Node* node =
      graph->add_node(op, inputs, std::vector<std::string>{op + "_out"});
  graph->add_output(node->output());
  return graph;
}

TEST_CASE("shape_inference: If") {
  auto typed = [](Value* x, Fixture& f, Value* condition) {
    Node* node = f.node("If", {condition});
    Value* axes = f.ints({0});
    Graph::set_subgraph(node, "then_branch", branch("Squeeze", x, {axes}));
    Graph::set_subgraph(node, "else_branch", branch("Neg", x));
    return f.type(node);
  };
  SUBCASE("an unknown condition leaves what both branches share") {
    Fixture f;
    Node* node = f.node("If", {f.input({}, DataType::kBool)});
    Value* x = f.input({3, "N"});
    Value* y = f.input({4, "N"});
    Graph::set_subgraph(node, "then_branch", branch("Relu", x));
    Graph::set_subgraph(node, "else_branch", branch("Relu", y));
    CHECK(f.type(node) == "float[?,N]");
  }
  SUBCASE("a known condition decides, the other branch may not fit") {
    Fixture f;
    Value* x = f.input({2, 3});
    Value* one = f.chain(
        "Equal",
        {f.chain("Gather", {f.chain("Shape", {x}), f.scalar(0)}), f.scalar(1)});
    CHECK(typed(x, f, one) == "float[2,3]");
    Fixture g;
    Value* y = g.input({1, 3});
    Value* two = g.chain(
        "Equal",
        {g.chain("Gather", {g.chain("Shape", {y}), g.scalar(0)}), g.scalar(1)});
    CHECK(typed(y, g, two) == "float[3]");
  }
  SUBCASE("a branch that cannot work is not the one that runs") {
    Fixture f;
    CHECK(typed(f.input({2, 3}), f, f.input({}, DataType::kBool)) ==
          "float[2,3]");
  }
}

// Carried: one value that keeps its shape and one that grows; scanned: a row
// of the first.
TEST_CASE("shape_inference: Loop") {
  Fixture f;
  Value* kept = f.input({2, 3});
  Value* grows = f.input({1, 4});
  Value* always = f.constant(Tensor::scalar<bool>(true));
  Node* loop = f.node("Loop", {f.scalar(5), always, kept, grows}, 3);
  auto body = std::make_unique<Graph>();
  body->add_input("i", {});
  Value* condition = body->add_input("cond", {});
  Value* a = body->add_input("a", {});
  Value* b = body->add_input("b", {});
  Node* pass = body->add_node("Identity", {condition},
                              std::vector<std::string>{"cond_out"});
  Node* relu = body->add_node("Relu", {a}, std::vector<std::string>{"a_out"});
  Node* concat =
      body->add_node("Concat", {b, b}, std::vector<std::string>{"b_out"});
  concat->set_attr("axis", int64_t{0});
  Node* scan = body->add_node("Sigmoid", {relu->output()},
                              std::vector<std::string>{"scan"});
  for (Node* node : {pass, relu, concat, scan})
    body->add_output(node->output());
  Graph* inner = Graph::set_subgraph(loop, "body", std::move(body));
  CHECK(f.type(loop, 0) == "float[2,3]");
  CHECK(f.type(loop, 1) == "float[?,4]");
  CHECK(f.type(loop, 2) == "float[5,2,3]");
  CHECK(to_string(inner->find("i")->type) == "int64[]");
  CHECK(to_string(inner->find("b_out")->type) == "float[?,4]");
}

TEST_CASE("shape_inference: Scan") {
  Fixture f;
  Node* scan = f.node("Scan", {f.input({4}), f.input({9, 4})}, 2);
  scan->set_attr("num_scan_inputs", int64_t{1});
  auto body = std::make_unique<Graph>();
  Value* state = body->add_input("state", {});
  Value* element = body->add_input("element", {});
  Node* add =
      body->add_node("Add", {state, element}, std::vector<std::string>{"sum"});
  Node* copy =
      body->add_node("Relu", {add->output()}, std::vector<std::string>{"out"});
  body->add_output(add->output());
  body->add_output(copy->output());
  Graph::set_subgraph(scan, "body", std::move(body));
  CHECK(f.type(scan, 0) == "float[4]");
  CHECK(f.type(scan, 1) == "float[9,4]");
}

TEST_CASE("shape_inference: model-local functions") {
  Fixture f;
  Function function;
  function.domain = "local";
  function.name = "Flat";
  function.opset_imports[""] = 17;
  function.body = std::make_unique<Graph>();
  Value* in = function.body->add_input("in", {});
  Node* flatten =
      function.body->add_node("Flatten", {in}, std::vector<std::string>{"out"});
  Attribute reference;
  reference.ref_name = "from";
  reference.ref_type = 2;
  flatten->set_attribute("axis", std::move(reference));
  function.body->add_output(flatten->output());
  f.model.functions.push_back(std::move(function));
  Node* one = f.node("Flat", {f.input({2, 3, 4})}, 1, "local");
  one->set_attr("from", int64_t{2});
  Node* two = f.node("Flat", {f.input({5, 6})}, 1, "local");
  CHECK(f.type(one) == "float[6,4]");
  CHECK(f.type(two) == "float[5,6]");
  // The definition itself learns nothing from its calls.
  CHECK(to_string(f.model.functions[0].body->find("in")->type) == "?");
}

TEST_CASE("shape_inference: a function that calls itself") {
  Fixture f;
  Function function;
  function.domain = "local";
  function.name = "Again";
  function.body = std::make_unique<Graph>();
  Value* in = function.body->add_input("in", {});
  Node* call =
      function.body->add_node("Again", {in}, std::vector<std::string>{"out"});
  call->domain = "local";
  function.body->add_output(call->output());
  f.model.functions.push_back(std::move(function));
  f.node("Again", {f.input({2})}, 1, "local");
  CHECK(f.error() ==
        "Again -> 'out': model-local functions call each other more than 64 "
        "deep");
}

TEST_CASE("shape_inference: unknown operators leave their outputs alone") {
  Fixture f;
  Node* node = f.node("Mystery", {f.input({2})}, 1, "example.com");
  node->output()->type.elem = DataType::kFloat;
  node->output()->type.shape = test::shape({7, "K"});
  Node* relu = f.node("Relu", {node->output()});
  CHECK(f.type(relu) == "float[7,K]");
}

TEST_CASE("shape_inference: what follows replaces what the file says") {
  Fixture f;
  Node* relu = f.node("Relu", {f.input({"N", 3, "?"})});
  relu->output()->type.elem = DataType::kDouble;
  relu->output()->type.shape = test::shape({1, 4, 9});
  // The unknown dimension keeps what stood there.
  CHECK(f.type(relu) == "float[N,3,9]");
}

TEST_CASE("shape_inference: malformed nodes") {
  SUBCASE("too few inputs") {
    Fixture f;
    f.node("Conv", {f.input({1, 3, 8, 8})});
    CHECK(f.error() == "Conv 'n': has 1 inputs, but takes 2 to 3");
  }
  SUBCASE("a missing input") {
    Fixture f;
    f.node("MatMul", {f.input({1, 3}), nullptr});
    CHECK(f.error() == "MatMul 'n': input 1 is missing");
  }
  SUBCASE("too many outputs") {
    Fixture f;
    f.node("Relu", {f.input({1})}, 2);
    CHECK(f.error() == "Relu 'n': has 2 outputs, but takes 1");
  }
  SUBCASE("an attribute of another type") {
    Fixture f;
    Node* node = f.node("Flatten", {f.input({1, 2})});
    node->set_attr("axis", std::string("one"));
    CHECK(f.error() == "Flatten 'n': attribute 'axis' is not an integer");
  }
  SUBCASE("no branches") {
    Fixture f;
    f.node("If", {f.input({}, DataType::kBool)});
    CHECK(f.error() == "If 'n': attribute 'then_branch' is missing");
  }
  SUBCASE("a type that does not exist") {
    Fixture f;
    f.node("Cast", {f.input({1})})->set_attr("to", int64_t{99});
    CHECK(f.error() ==
          "Cast 'n': attribute 'to' is 99, which is no element type");
  }
  SUBCASE("an output that does not fit 64 bits") {
    Fixture f;
    f.node("Tile", {f.input({4}), f.ints({INT64_MAX})});
    CHECK(f.error() ==
          "Tile 'n': a dimension of the output does not fit 64 bits");
  }
  SUBCASE("a shape of absurd rank") {
    Fixture f;
    f.node("ConstantOfShape", {f.input({1000000}, DataType::kInt64)});
    CHECK(f.error() == "ConstantOfShape 'n': the shape has 1000000 dimensions");
  }
  SUBCASE("a list whose declared length is not its own") {
    Fixture f;
    Value* list = f.model.graph->add_input(
        "list", {DataType::kInt64, test::shape({9}), "", ""});
    f.model.graph->add_initializer("list", Tensor::vector_i64({1, 2}));
    Value* end = f.chain("Slice", {list, f.ints({5}), f.ints({9})});
    CHECK(f.type(f.node("ConstantOfShape", {end})) == "float[?,?,?,?]");
  }
  SUBCASE("a gather beyond the end") {
    Fixture f;
    f.node("Gather", {f.ints({1, 2}), f.scalar(5)});
    CHECK(f.error() == "Gather 'n': index 5 is out of range for 2 elements");
  }
}

std::string usage_error(const Model& model, const InputShapes& shapes) {
  Model copy = clone(model);
  try {
    bind_input_shapes(copy, shapes);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

TEST_CASE("bind_input_shapes: symbols become numbers everywhere") {
  Fixture f;
  Value* ids = f.input({"B", "S"}, DataType::kInt64);
  f.input({"B", 1, "S", "S"});
  Node* mystery = f.node("Mystery", {ids}, 1, "example.com");
  mystery->output()->type.shape = test::shape({"B", "T"});
  InputShapes shapes = default_input_shapes(f.model, {{"x", {2, 7}}});
  CHECK(shapes == InputShapes{{"x", {2, 7}}, {"x_2", {2, 1, 7, 7}}});
  bind_input_shapes(f.model, shapes);
  CHECK(to_string(mystery->output()->type.shape.value()) == "2xT");
  CHECK(f.type(f.node("Relu", {f.model.graph->inputs()[1]})) ==
        "float[2,1,7,7]");
}

TEST_CASE("bind_input_shapes: a name read in two ways says nothing") {
  Fixture f;
  f.input({"N", 3});
  f.input({"N", 3});
  Node* mystery = f.node("Mystery", {f.model.graph->inputs()[0]}, 1, "e");
  mystery->output()->type.shape = test::shape({"N"});
  bind_input_shapes(f.model, {{"x", {2, 3}}, {"x_2", {4, 3}}});
  CHECK(to_string(mystery->output()->type.shape.value()) == "?");
  CHECK(to_string(f.model.graph->inputs()[1]->type) == "float[4,3]");
}

TEST_CASE("bind_input_shapes: messages") {
  Fixture f;
  f.input({"N", 3, 8, 8});
  CHECK(usage_error(f.model, {{"", {1, 3, 8, 8}}}) == "");
  CHECK(usage_error(f.model, {{"y", {1}}}) ==
        "input 'y': the model has no such input (inputs: x)");
  CHECK(usage_error(f.model, {{"x", {1, 3, 8}}}) ==
        "input 'x': shape 1x3x8 has rank 3, but the model says Nx3x8x8");
  CHECK(usage_error(f.model, {{"x", {1, 4, 8, 8}}}) ==
        "input 'x': shape 1x4x8x8 has 4 as dimension 1, but the model says "
        "Nx3x8x8");
  f.input({1});
  CHECK(usage_error(f.model, {{"", {1, 3, 8, 8}}}) ==
        "input shape 1x3x8x8: names no input, but the model has 2 (give one "
        "shape for each of: x, x_2)");
}

TEST_CASE("default_input_shapes: unknown ranks and initializers") {
  Fixture f;
  f.input({"N", 3, "?"});
  // An input with a default value is a weight of an old file, not an input.
  Value* weight = f.model.graph->add_input("w", {});
  f.model.graph->add_initializer("w", Tensor::vector_i64({1}));
  CHECK(weight->is_graph_input());
  CHECK(default_input_shapes(f.model) == InputShapes{{"x", {1, 3, 1}}});
  CHECK(default_input_shapes(f.model, {{"", {4, 3, -1}}}) ==
        InputShapes{{"x", {4, 3, 1}}});
  f.input_of_unknown_rank();
  try {
    default_input_shapes(f.model);
    FAIL("an unknown rank was accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    CHECK(std::string(error.what()) ==
          "input 'x_2': the model does not say how many dimensions it has "
          "(give its shape: --input-shape x_2:1x3x224x224, with the model's "
          "own numbers)");
  }
}

}  // namespace
}  // namespace lathe::ir
