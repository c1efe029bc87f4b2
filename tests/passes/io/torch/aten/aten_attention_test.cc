#include <cmath>
#include <limits>

#include "tests/passes/io/torch/aten/aten_expected.h"

namespace lathe::test {
namespace {

at::Tensor integers(std::vector<int64_t> values, Ints sizes) {
  return at::tensor(values).reshape(sizes);
}

// softmax(q·kᵀ·scale + bias)
at::Tensor weights_of(const at::Tensor& q, const at::Tensor& k, double scale,
                      const at::Tensor& bias = at::zeros({})) {
  return at::softmax(at::matmul(q, k.transpose(-2, -1)) * scale + bias, -1);
}

at::Tensor causal_bias(int64_t rows, int64_t columns) {
  return at::full({rows, columns}, -std::numeric_limits<float>::infinity())
      .triu(1);
}

struct Qkv {
  at::Tensor q = random({2, 3, 5, 8}), k = random({2, 3, 6, 8}),
             v = random({2, 3, 6, 4});
  double scale = 1 / std::sqrt(8.0);

  NamedValues args(NamedValues more = {}) const {
    NamedValues all{{"query", q}, {"key", k}, {"value", v}};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  at::Tensor output(const at::Tensor& bias = at::zeros({})) const {
    return at::matmul(weights_of(q, k, scale, bias), v);
  }
};

TEST_CASE("aten: scaled_dot_product_attention") {
  const Qkv in;
  gives("scaled_dot_product_attention", in.args(), {in.output()});
  gives("scaled_dot_product_attention",
        in.args({{"attn_mask", kNone}, {"dropout_p", 0.0}, {"scale", 0.25}}),
        {at::matmul(weights_of(in.q, in.k, 0.25), in.v)});
  gives("scaled_dot_product_attention", in.args({{"is_causal", true}}),
        {in.output(causal_bias(5, 6))});
  const at::Tensor bias = random({3, 5, 6});
  gives("scaled_dot_product_attention", in.args({{"attn_mask", bias}}),
        {in.output(bias)});
  gives("scaled_dot_product_attention",
        {{"query", in.q[0][0]}, {"key", in.k[0][0]}, {"value", in.v[0][0]}},
        {in.output()[0][0]});
}

TEST_CASE("aten: scaled_dot_product_attention with a mask of bools") {
  const Qkv in;
  at::Tensor mask = random({2, 1, 5, 6}) > 0;
  mask.select(3, 2).fill_(true);
  const at::Tensor bias =
      at::zeros({2, 1, 5, 6})
          .masked_fill(~mask, -std::numeric_limits<float>::infinity());
  gives("scaled_dot_product_attention", in.args({{"attn_mask", mask}}),
        {in.output(bias)});
  // A row that attends to nothing gives zeros.
  mask.select(2, 1).fill_(false);
  at::Tensor expected = in.output(bias).clone();
  expected.select(2, 1).fill_(0);
  gives("scaled_dot_product_attention", in.args({{"attn_mask", mask}}),
        {expected});
}

TEST_CASE("aten: scaled_dot_product_attention of grouped heads") {
  const at::Tensor q = random({2, 6, 5, 8}), k = random({2, 2, 4, 8}),
                   v = random({2, 2, 4, 3});
  const at::Tensor wide_k = k.repeat_interleave(3, 1),
                   wide_v = v.repeat_interleave(3, 1);
  const NamedValues args{
      {"query", q}, {"key", k}, {"value", v}, {"enable_gqa", true}};
  gives("scaled_dot_product_attention", args,
        {at::matmul(weights_of(q, wide_k, 1 / std::sqrt(8.0)), wide_v)},
        /*symbolic=*/false);
  CHECK(emit_error_of("scaled_dot_product_attention",
                      {{"query", random({1, 5, 2, 4})},
                       {"key", random({1, 2, 2, 4})},
                       {"value", random({1, 2, 2, 4})},
                       {"enable_gqa", true}}) ==
        "test: aten::scaled_dot_product_attention: the query has 5 heads, "
        "which is no multiple of 2 heads of keys and values");
  CHECK(emit_error_of("scaled_dot_product_attention",
                      {{"query", random({5, 2, 4})},
                       {"key", random({2, 4})},
                       {"value", random({2, 4})},
                       {"enable_gqa", true}}) ==
        "test: aten::scaled_dot_product_attention: grouped heads with tensors "
        "of rank 2 and 3");
}

TEST_CASE("aten: the kernels of scaled_dot_product_attention") {
  const Qkv in;
  const at::Tensor none, bias = random({5, 6});
  gives("_scaled_dot_product_flash_attention", in.args({{"is_causal", true}}),
        {in.output(causal_bias(5, 6)), none, none, none, none, none, none, none,
         none});
  gives("_scaled_dot_product_flash_attention_for_cpu",
        in.args({{"attn_mask", bias}}), {in.output(bias), none});
  gives("_scaled_dot_product_efficient_attention",
        in.args({{"attn_bias", bias}, {"compute_log_sumexp", false}}),
        {in.output(bias), none, none, none});
  gives("_scaled_dot_product_cudnn_attention", in.args(),
        {in.output(), none, none, none, none, none, none, none, none});
  gives("_scaled_dot_product_attention_math", in.args(),
        {in.output(), weights_of(in.q, in.k, in.scale)});
  CHECK(emit_error_of("scaled_dot_product_attention",
                      in.args({{"dropout_p", 0.1}})) ==
        "test: aten::scaled_dot_product_attention: argument 'dropout_p' is "
        "above 0, as in training (call eval() on the model before it is traced "
        "or exported)");
}

TEST_CASE("aten: _scaled_dot_product_attention of LibTorch 1.13") {
  const Qkv in;
  const at::Tensor bias = random({5, 6}), mask = random({5, 6}) > -0.5;
  for (const bool causal : {false, true})
    for (const bool weights : {false, true}) {
      same_as_torch("aten::_scaled_dot_product_attention",
                    {in.q, in.k, in.v, kNone, 0.0, weights, causal});
      if (causal) continue;
      same_as_torch("aten::_scaled_dot_product_attention",
                    {in.q, in.k, in.v, bias, 0.0, weights, false});
      same_as_torch("aten::_scaled_dot_product_attention",
                    {in.q, in.k, in.v, mask, 0.0, weights, false});
    }
  same_as_torch("aten::_scaled_dot_product_attention_forward",
                {in.q, in.k, in.v});
  same_as_torch("aten::_scaled_dot_product_attention_math",
                {in.q, in.k, in.v, bias, 0.0, true});
  auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
  same_as_torch("aten::_scaled_dot_product_attention",
                {wide(in.q), wide(in.k), wide(in.v), mask, 0.0, true, false});
  CHECK(emitted_nodes("aten::_scaled_dot_product_attention",
                      {in.q, in.k, in.v}) ==
        Names{"Mul", "Transpose", "MatMul", "Softmax", "MatMul"});
  CHECK(emitted_nodes("aten::_scaled_dot_product_attention",
                      {in.q, in.k, in.v, kNone, 0.0, false, true}) ==
        Names{"Mul", "Transpose", "MatMul", "Expand", "Trilu", "Add", "Softmax",
              "MatMul"});
}

// Weights of a layer with `width` features.
struct Projections {
  explicit Projections(int64_t width)
      : qkv_weight(random({3 * width, width})),
        qkv_bias(random({3 * width})),
        out_weight(random({width, width})),
        out_bias(random({width})) {}
  at::Tensor qkv_weight, qkv_bias, out_weight, out_bias;
};

TEST_CASE("aten: _native_multi_head_attention") {
  const Projections p(8);
  const at::Tensor x = random({2, 5, 8}), y = random({2, 5, 8}),
                   z = random({2, 5, 8});
  auto args = [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  std::vector<c10::IValue> more) {
    std::vector<c10::IValue> all{
        q, k, v, 8, 2, p.qkv_weight, p.qkv_bias, p.out_weight, p.out_bias};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const AtenTolerance near{1e-4, 1e-4};
  for (const bool weights : {false, true})
    for (const bool average : {false, true}) {
      same_as_torch("aten::_native_multi_head_attention",
                    args(x, x, x, {kNone, weights, average}), true, near);
      same_as_torch("aten::_native_multi_head_attention",
                    args(x, y, z, {kNone, weights, average}), true, near);
    }
  at::Tensor padding_mask = at::zeros({2, 5}, at::kBool);
  padding_mask[1].slice(0, 3).fill_(true);
  same_as_torch("aten::_native_multi_head_attention",
                args(x, x, x, {padding_mask, true, false, 1}), true, near);
  CHECK(emit_error("aten::_native_multi_head_attention",
                   {x, x, x, 8, 3, p.qkv_weight, p.qkv_bias, p.out_weight,
                    p.out_bias}) ==
        "test: aten::_native_multi_head_attention: argument 'embed_dim' is 8, "
        "expected a multiple of the 3 heads");
}

// LibTorch 1.13 cannot do these on the CPU.
TEST_CASE("aten: masks of _native_multi_head_attention by their types") {
  const Projections p(8);
  const at::Tensor x = random({2, 5, 8}), memory = random({2, 6, 8});
  auto heads = [&](const at::Tensor& from, int64_t part) {
    const at::Tensor weight = p.qkv_weight.slice(0, 8 * part, 8 * part + 8),
                     bias = p.qkv_bias.slice(0, 8 * part, 8 * part + 8);
    return at::linear(from, weight, bias)
        .reshape({2, from.size(1), 2, 4})
        .transpose(1, 2);
  };
  auto expect = [&](const at::Tensor& keys, const at::Tensor& mask,
                    const c10::IValue& type) {
    const at::Tensor each = mask.size(0) == 2 && mask.dim() == 2
                                ? mask.unsqueeze(1).unsqueeze(1)
                                : mask;
    const at::Tensor bias =
        at::zeros(each.sizes())
            .masked_fill(each, -std::numeric_limits<float>::infinity());
    const at::Tensor weights =
        weights_of(heads(x, 0), heads(keys, 1), 0.5, bias);
    const at::Tensor joined =
        at::matmul(weights, heads(keys, 2)).transpose(1, 2).reshape({2, 5, 8});
    gives("_native_multi_head_attention",
          {{"query", x},
           {"key", keys},
           {"value", keys},
           {"embed_dim", 8},
           {"num_head", 2},
           {"qkv_weight", p.qkv_weight},
           {"qkv_bias", p.qkv_bias},
           {"proj_weight", p.out_weight},
           {"proj_bias", p.out_bias},
           {"mask", mask},
           {"need_weights", true},
           {"mask_type", type}},
          {at::linear(joined, p.out_weight, p.out_bias), weights.mean(1)},
          /*symbolic=*/true, 1e-4);
  };
  expect(x, causal_bias(5, 5) < 0, 0);
  expect(memory, causal_bias(5, 6) < 0, 0);
  expect(x, (causal_bias(5, 5) < 0).expand({2, 2, 5, 5}), 2);
  // LibTorch 1.12 gave no type.
  at::Tensor padding = at::zeros({2, 6}, at::kBool);
  padding[1].slice(0, 3).fill_(true);
  expect(memory, padding, kNone);
}

TEST_CASE("aten: _transformer_encoder_layer_fwd") {
  const Projections p(8);
  const at::Tensor x = random({2, 5, 8});
  std::vector<c10::IValue> norms_and_linears;
  for (int i = 0; i < 4; ++i) norms_and_linears.emplace_back(random({8}));
  for (const Ints& sizes : {Ints{16, 8}, Ints{16}, Ints{8, 16}, Ints{8}})
    norms_and_linears.emplace_back(random(sizes));
  at::Tensor mask = at::zeros({2, 5}, at::kBool);
  mask[0].slice(0, 4).fill_(true);
  for (const bool gelu : {false, true})
    for (const bool norm_first : {false, true})
      for (const bool masked : {false, true}) {
        std::vector<c10::IValue> args{x,          8,
                                      2,          p.qkv_weight,
                                      p.qkv_bias, p.out_weight,
                                      p.out_bias, gelu,
                                      norm_first, 1e-5};
        args.insert(args.end(), norms_and_linears.begin(),
                    norms_and_linears.end());
        if (masked) args.insert(args.end(), {mask, 1});
        same_as_torch("aten::_transformer_encoder_layer_fwd", args,
                      /*symbolic=*/true, {1e-4, 1e-4});
      }
}

TEST_CASE("aten: embedding") {
  const at::Tensor weight = random({7, 4});
  for (const at::ScalarType type : {at::kLong, at::kInt})
    same_as_torch("aten::embedding",
                  {weight, integers({0, 6, 2, 2, 5, 1}, {2, 3}).to(type), 2});
  same_as_torch("aten::embedding", {weight, integers({3}, {})});
  CHECK(emitted_nodes("aten::embedding", {weight, integers({0, 6}, {2})}) ==
        Names{"Gather"});
}

// The first result only: the others are for the backward pass.
TEST_CASE("aten: embedding_bag") {
  const at::Tensor weight = random({7, 4}),
                   indices = integers({0, 6, 2, 2, 5, 1}, {6}),
                   factors = random({6});
  for (const Ints& begins : {Ints{0, 2, 4}, Ints{0, 1, 1, 5}, Ints{0, 3, 6}}) {
    const at::Tensor offsets = at::tensor(begins);
    for (int64_t mode = 0; mode < 3; ++mode) {
      CAPTURE(begins);
      CAPTURE(mode);
      for (const bool last : {false, true}) {
        if (last && begins.back() != 6) continue;
        same_as_torch("aten::embedding_bag", {weight, indices, offsets, false,
                                              mode, false, kNone, last});
        same_as_torch("aten::_embedding_bag", {weight, indices, offsets, false,
                                               mode, false, kNone, last, 2});
      }
      same_as_torch("aten::_embedding_bag_forward_only",
                    {weight, indices, offsets, false, mode});
      for (const int64_t padding : {2, -1})
        same_as_torch("aten::embedding_bag.padding_idx",
                      {weight, indices, offsets, false, mode, false, kNone,
                       false, padding},
                      /*symbolic=*/padding >= 0);
    }
    same_as_torch("aten::embedding_bag",
                  {weight, indices, offsets, false, 0, false, factors});
  }
  CHECK(emit_error("aten::embedding_bag",
                   {weight, indices, integers({0}, {1}), false, 3}) ==
        "test: aten::embedding_bag: argument 'mode' is 3, expected 0 (sum), 1 "
        "(mean) or 2 (max)");
}

TEST_CASE("aten: embedding_bag of bags with one known size") {
  using io::aten::Argument;
  const char* reductions[] = {"ReduceSum", "ReduceMean", "ReduceMax"};
  for (int64_t mode = 0; mode < 3; ++mode) {
    ir::Model model;
    io::aten::OnnxBuilder builder(model);
    ir::Value* weight = model.graph->add_input(
        "weight", tensor_type(ir::DataType::kFloat, {7, 4}));
    ir::Value* indices = model.graph->add_input(
        "indices", tensor_type(ir::DataType::kInt64, {6}));
    const io::aten::AtenCall call(
        "embedding_bag", "",
        {{"weight", Argument::tensor(weight)},
         {"indices", Argument::tensor(indices)},
         {"offsets", Argument::tensor(builder.ints({0, 3}))},
         {"mode", Argument::of_int(mode)}},
        builder);
    ir::Value* y = io::aten::find_aten("embedding_bag")->emit(call)[0].value;
    CHECK(y->producer()->op_type == reductions[mode]);
    CHECK(ir::to_string(y->type) == "float[2,4]");
    CHECK(model.graph->nodes().size() == 3);
  }
}

TEST_CASE("aten: one_hot") {
  const at::Tensor x = integers({0, 3, 2, 2}, {2, 2});
  same_as_torch("aten::one_hot", {x, 5});
  same_as_torch("aten::one_hot", {x});
  same_as_torch("aten::one_hot", {integers({2}, {}), 3});
  CHECK(emitted_nodes("aten::one_hot", {x, 5}) == Names{"OneHot"});
}

TEST_CASE("aten: dropout in inference") {
  const at::Tensor x = random({2, 3});
  for (const char* name :
       {"aten::dropout", "aten::feature_dropout", "aten::alpha_dropout",
        "aten::feature_alpha_dropout"}) {
    CAPTURE(name);
    same_as_torch(name, {x, 0.5, false});
    same_as_torch(name, {x, 0.0, true});
    CHECK(emitted_nodes(name, {x, 0.5, false}).empty());
  }
  same_as_torch("aten::native_dropout", {x, 0.5, false});
  CHECK(emit_error("aten::dropout", {x, 0.5, true}) ==
        "test: aten::dropout: it is in training mode (call eval() on the model "
        "before it is traced or exported)");
  CHECK(emit_error("aten::native_dropout", {x, 0.5, kNone}) ==
        "test: aten::native_dropout: it is in training mode (call eval() on "
        "the model before it is traced or exported)");
}

}  // namespace
}  // namespace lathe::test
