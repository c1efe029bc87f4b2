#include "tests/passes/io/torch/aten/aten_expected.h"

namespace lathe::test {
namespace {

at::Tensor positive(Ints sizes) { return random(sizes).abs() + 0.5; }

TEST_CASE("aten: batch_norm with stored statistics") {
  for (const Ints& sizes :
       {Ints{4, 3}, Ints{2, 3, 5}, Ints{2, 3, 4, 5}, Ints{1, 3, 2, 3, 4}})
    same_as_torch("aten::batch_norm",
                  {random(sizes), random({3}), random({3}), random({3}),
                   positive({3}), false, 0.1, 1e-3, true});
  same_as_torch("aten::batch_norm",
                {random({2, 3, 4}), kNone, kNone, random({3}), positive({3}),
                 false, 0.1, 1e-5, true});
  same_as_torch("aten::batch_norm",
                {random({2, 3, 4}), random({3}), kNone, random({3}),
                 positive({3}), false, 0.1, 1e-5, true});
  auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
  same_as_torch(
      "aten::batch_norm",
      {wide(random({2, 3, 4})), wide(random({3})), wide(random({3})),
       wide(random({3})), wide(positive({3})), false, 0.1, 1e-5, false});
  CHECK(emitted_nodes("aten::batch_norm",
                      {random({2, 3, 4}), kNone, kNone, random({3}),
                       positive({3}), false, 0.1, 1e-5, true}) ==
        Names{"BatchNormalization"});
}

TEST_CASE("aten: batch_norm by the batch's own statistics") {
  for (const Ints& sizes : {Ints{4, 3}, Ints{2, 3, 4, 5}})
    same_as_torch("aten::batch_norm", {random(sizes), random({3}), random({3}),
                                       kNone, kNone, true, 0.1, 1e-3, true});
  same_as_torch("aten::batch_norm", {random({2, 3, 4}), kNone, kNone, kNone,
                                     kNone, true, 0.1, 1e-5, true});
}

TEST_CASE("aten: batch_norm with more results") {
  const at::Tensor x = random({2, 3, 4, 5}), weight = random({3}),
                   bias = random({3}), mean = random({3}),
                   variance = positive({3});
  same_as_torch("aten::native_batch_norm",
                {x, weight, bias, mean, variance, false, 0.1, 1e-5});
  same_as_torch("aten::_batch_norm_impl_index",
                {x, weight, bias, mean, variance, false, 0.1, 1e-5, false});
  const at::Tensor expected =
      at::batch_norm(x, weight, bias, mean, variance, false, 0.1, 1e-3, false);
  NamedValues args{{"input", x},
                   {"weight", weight},
                   {"bias", bias},
                   {"running_mean", mean},
                   {"running_var", variance}};
  NamedValues core = args;
  core.emplace_back("momentum", 0.1);
  core.emplace_back("eps", 1e-3);
  gives("_native_batch_norm_legit_no_training", core, {expected, {}, {}});
  gives("_batch_norm_no_update", core, {expected, {}, {}, {}});
  core.emplace_back("training", false);
  gives("_native_batch_norm_legit", core, {expected, {}, {}});
  gives("miopen_batch_norm", core, {expected, {}, {}});
  NamedValues cudnn = args;
  cudnn.emplace_back("training", false);
  cudnn.emplace_back("epsilon", 1e-3);
  gives("cudnn_batch_norm", cudnn, {expected, {}, {}, {}});
}

TEST_CASE("aten: normalization in training mode") {
  const at::Tensor x = random({2, 3, 4}), mean = random({3}),
                   variance = positive({3});
  CHECK(emit_error("aten::batch_norm",
                   {x, kNone, kNone, mean, variance, true, 0.1, 1e-5, true}) ==
        "test: aten::batch_norm: the batch normalization is in training mode "
        "(call eval() on the model before it is traced or exported)");
  CHECK(emit_error("aten::instance_norm",
                   {x, kNone, kNone, mean, variance, true, 0.1, 1e-5, true}) ==
        "test: aten::instance_norm: the instance normalization is in training "
        "mode (call eval() on the model before it is traced or exported)");
  CHECK(emit_error("aten::batch_norm",
                   {x, kNone, kNone, kNone, kNone, false, 0.1, 1e-5, true}) ==
        "test: aten::batch_norm: argument 'running_mean' is absent, expected "
        "a tensor");
}

TEST_CASE("aten: instance_norm") {
  for (const Ints& sizes : {Ints{2, 3, 7}, Ints{2, 3, 4, 5}}) {
    same_as_torch("aten::instance_norm",
                  {random(sizes), random({3}), random({3}), kNone, kNone, true,
                   0.1, 1e-3, true});
    same_as_torch("aten::instance_norm", {random(sizes), kNone, kNone, kNone,
                                          kNone, true, 0.1, 1e-5, true});
    same_as_torch("aten::instance_norm",
                  {random(sizes), random({3}), random({3}), random({3}),
                   positive({3}), false, 0.1, 1e-3, true});
  }
  same_as_torch("aten::instance_norm",
                {random({2, 3, 7}).to(at::kDouble), kNone, kNone, kNone, kNone,
                 true, 0.1, 1e-5, true});
  CHECK(emitted_nodes("aten::instance_norm",
                      {random({2, 3, 7}), kNone, kNone, kNone, kNone, true, 0.1,
                       1e-5, true}) == Names{"InstanceNormalization"});
}

TEST_CASE("aten: layer_norm") {
  const at::Tensor x = random({2, 3, 4, 5});
  same_as_torch("aten::layer_norm", {x, Ints{5}, random({5}), random({5})});
  same_as_torch("aten::layer_norm",
                {x, Ints{4, 5}, random({4, 5}), random({4, 5}), 1e-3});
  same_as_torch("aten::layer_norm", {x, Ints{3, 4, 5}});
  same_as_torch("aten::layer_norm", {x, Ints{5}, random({5})});
  same_as_torch("aten::layer_norm", {x.to(at::kDouble), Ints{5}});
  same_as_torch("aten::layer_norm", {random({5}), Ints{5}});
  CHECK(emitted_nodes("aten::layer_norm", {x, Ints{5}, random({5}), kNone}) ==
        Names{"LayerNormalization"});
  same_as_torch("aten::native_layer_norm",
                {x, Ints{4, 5}, random({4, 5}), random({4, 5}), 1e-4});
  same_as_torch("aten::native_layer_norm", {x, Ints{5}, kNone, kNone, 1e-5});
}

TEST_CASE("aten: layer_norm over sizes that are computed") {
  using io::aten::Argument;
  ir::Model model;
  io::aten::OnnxBuilder builder(model);
  ir::Value* x = model.graph->add_input(
      "x",
      tensor_type(ir::DataType::kFloat, {ir::Dim(2), ir::Dim::named("width")}));
  const io::aten::AtenCall call(
      "layer_norm", "",
      {{"input", Argument::tensor(x)},
       {"normalized_shape", Argument::list({builder.size(x, 1)})}},
      builder);
  const ir::Value* y = io::aten::find_aten("layer_norm")->emit(call)[0].value;
  CHECK(ir::to_string(y->type) == "float[2,width]");
  CHECK(y->producer()->input(1)->producer()->op_type == "Expand");
}

TEST_CASE("aten: group_norm") {
  for (const Ints& sizes : {Ints{2, 6, 4, 5}, Ints{2, 6, 7}, Ints{3, 6}}) {
    same_as_torch("aten::group_norm",
                  {random(sizes), 3, random({6}), random({6}), 1e-3});
    same_as_torch("aten::group_norm", {random(sizes), 2});
    same_as_torch("aten::group_norm", {random(sizes), 1, random({6}), kNone});
  }
  same_as_torch("aten::group_norm",
                {random({2, 6, 4}), 6, random({6}), random({6})});
  same_as_torch("aten::group_norm", {random({2, 6, 4}).to(at::kDouble), 3});
  CHECK(emitted_nodes("aten::group_norm",
                      {random({2, 6, 4}), 6, random({6}), random({6})}) ==
        Names{"InstanceNormalization"});
  CHECK(emitted_nodes("aten::group_norm",
                      {random({2, 6, 4}), 3, random({6}), random({6})}) ==
        Names{"Reshape", "InstanceNormalization", "Reshape", "Unsqueeze", "Mul",
              "Unsqueeze", "Add"});
  same_as_torch("aten::native_group_norm", {random({2, 6, 4, 5}), random({6}),
                                            random({6}), 2, 6, 20, 3, 1e-4});
  same_as_torch("aten::native_group_norm",
                {random({2, 6, 5}), kNone, kNone, 2, 6, 5, 6, 1e-5});
  CHECK(emit_error("aten::group_norm", {random({2, 6, 4}), 0}) ==
        "test: aten::group_norm: the number of groups is 0, expected at least "
        "1");
}

TEST_CASE("aten: rms_norm") {
  const at::Tensor x = random({2, 3, 4, 5}), weight = random({5}),
                   plane = random({4, 5});
  auto root = [&](Ints axes, double eps) {
    return ((x * x).mean(axes, true) + eps).sqrt();
  };
  gives("rms_norm",
        {{"input", x},
         {"normalized_shape", Ints{5}},
         {"weight", weight},
         {"eps", 1e-2}},
        {x / root({3}, 1e-2) * weight});
  gives("rms_norm",
        {{"input", x}, {"normalized_shape", Ints{4, 5}}, {"weight", plane}},
        {x / root({2, 3}, 1.1920929e-07) * plane});
  gives("rms_norm", {{"input", x}, {"normalized_shape", Ints{5}}},
        {x / root({3}, 1.1920929e-07)});
  gives("_fused_rms_norm",
        {{"input", x}, {"normalized_shape", Ints{5}}, {"eps", 1e-3}},
        {x / root({3}, 1e-3), 1 / root({3}, 1e-3)});
}

TEST_CASE("aten: rms_norm without eps adds its type's own") {
  for (const auto& [type, eps] : {std::pair{at::kHalf, 9.765625e-4},
                                  {at::kDouble, 2.220446049250313e-16},
                                  {at::kBFloat16, 7.8125e-3}}) {
    ir::Model model;
    io::aten::OnnxBuilder builder(model);
    const ir::ValueType input =
        tensor_type(*io::aten::data_type_from_torch(static_cast<int64_t>(type)),
                    {ir::Dim(2), ir::Dim(8)});
    using io::aten::Argument;
    const io::aten::AtenCall call(
        "rms_norm", "",
        {{"input", Argument::tensor(model.graph->add_input("x", input))},
         {"normalized_shape", Argument::list(Ints{8})}},
        builder);
    const ir::Value* y = io::aten::find_aten("rms_norm")->emit(call)[0].value;
    CHECK(y->type.elem == input.elem);
    bool found = false;
    for (const ir::Value* value : model.graph->initializers())
      if (value->tensor().rank() == 0)
        found |= value->tensor().to_doubles()[0] == eps;
    CHECK(found);
  }
}

}  // namespace
}  // namespace lathe::test
