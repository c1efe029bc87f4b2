// Training in 4 bits.
#include "passes/base/random.h"
#include "passes/io/onnx/onnx.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/distill/twin_support.h"
#include "tests/support/shared.h"

namespace lathe::distill::test {
namespace {

using Form = quantize::WeightOptions::Form;
using Method = quantize::WeightOptions::Method;

void draw(ir::Model& model) {
  for (ir::Value* value : model.graph->initializers()) {
    Random random(derive_seed(1, value->name()));
    std::vector<float> values(static_cast<size_t>(value->tensor().size()));
    for (float& v : values) v = static_cast<float>(random.normal() * 0.4);
    value->set_tensor(ir::Tensor::from(value->tensor().dims(), values));
  }
}

// A convolution and a product of `depth` inputs, with random weights.
ir::Model network() {
  std::string text = R"(opset 21 graph {
    input %x: float[32,2,4,4]
    init %w = float[8,2,3,3] {} init %b = float[8] {}
    init %v = float[8,3] {} init %c = float[3] {}
    %h = Conv(%x, %w, %b) {pads = [1, 1, 1, 1]} @conv
    %r = Relu(%h) %p = GlobalAveragePool(%r) %f = Flatten(%p)
    %m = MatMul(%f, %v) @product %y = Add(%m, %c) output %y })";
  for (const auto& [dims, count] : {std::pair{"[8,2,3,3] {", 144},
                                    {"[8] {", 8},
                                    {"[8,3] {", 24},
                                    {"= float[3] {", 3}}) {
    std::string zeros = "0";
    for (int i = 1; i < count; ++i) zeros += ", 0";
    text.insert(text.find(dims) + std::string(dims).size(), zeros);
  }
  ir::Model model = ir::parse_text(text);
  draw(model);
  ir::infer_shapes(model);
  return model;
}

ir::Model int4(const ir::Model& model, bool symmetric) {
  ir::Model result = ir::clone(model);
  PassContext context;
  quantize::make_quantize_weights({.block_size = 16,
                                   .symmetric = symmetric,
                                   .form = Form::kQdq,
                                   .method = Method::kRtn,
                                   .search_scale = false,
                                   .convolutions = true})
      ->run(result, context);
  return result;
}

at::Tensor distance(const at::Tensor& found, const at::Tensor& wanted) {
  return (found - wanted).square().mean();
}

TEST_CASE("training_twin: 4 bits trained come closer than 4 bits rounded") {
  const ir::Model model = network();
  const at::Tensor wanted = evaluate(model, 0), held_out = evaluate(model, 1);
  for (const bool symmetric : {true, false}) {
    CAPTURE(symmetric);
    const ir::Model rounded = int4(model, symmetric);
    const TrainingTwin twin(rounded, &model);
    const auto program = compile(twin);
    CHECK(program->parameters().size() == 6);
    const at::Tensor x = exec::to_torch(inputs_of(model, 0)[0].second);
    for (int step = 0; step < 60; ++step) {
      const at::AutoGradMode gradients(true);
      distance(program->run({{"x", x}})[0], wanted).backward();
      const at::NoGradGuard no_grad;
      for (const auto& [name, tensor] : program->parameters()) {
        const double factor = twin.info(name).gradient_factor;
        tensor.sub_(tensor.grad(), 0.3 * factor);
        tensor.mutable_grad().zero_();
      }
      twin.clamp_scales(*program);
    }
    ir::Model trained = ir::clone(rounded);
    twin.store(*program, trained);
    const auto loss = [](const ir::Model& of, const at::Tensor& to,
                         uint64_t seed) {
      return distance(evaluate(of, seed), to).item<double>();
    };
    CHECK(loss(trained, wanted, 0) < 0.25 * loss(rounded, wanted, 0));
    CHECK(loss(trained, held_out, 1) < 0.5 * loss(rounded, held_out, 1));
    CHECK(run(*program, model, 1).equal(evaluate(trained, 1)));
    CHECK_FALSE(different_initializers(rounded, trained).empty());
  }
}

TEST_CASE("training_twin: 4-bit codes that nothing trained stay") {
  const ir::Model model = network();
  for (const bool symmetric : {true, false}) {
    const ir::Model rounded = int4(model, symmetric);
    // From the codes, and from the weights that they were rounded from.
    for (const ir::Model* reference :
         std::initializer_list<const ir::Model*>{nullptr, &model}) {
      const TrainingTwin twin(rounded, reference);
      ir::Model stored = ir::clone(rounded);
      twin.store(*compile(twin), stored);
      CHECK(different_initializers(rounded, stored).empty());
    }
  }
}

TEST_CASE("training_twin: ResNet-20") {
  const auto file =
      lathe::test::shared_file("models/cifar10_resnet20/model.onnx");
  if (file.empty()) return;
  ir::Model model = io::import_onnx(file);
  PassContext context;
  quantize::test::FixedRanges ranges;
  context.ranges = &ranges;
  rewrite::make_simplify()->run(model, context);
  ir::Model int8 = ir::clone(model);
  quantize::make_quantize_static({})->run(int8, context);
  std::vector<ir::Model> models;
  models.push_back(int4(model, /*symmetric=*/true));
  models.push_back(std::move(int8));
  for (const ir::Model& quantized : models) {
    const TrainingTwin twin(quantized, &model);
    const auto program = compile(twin);
    // Weights, bias and scale of 20 layers, and the scales of activations.
    if (&quantized == &models[0])
      CHECK(program->parameters().size() == 60);
    else
      CHECK(program->parameters().size() > 60 + 20);
    ir::Model stored = ir::clone(quantized);
    twin.store(*program, stored);
    CHECK(different_initializers(quantized, stored).empty());
  }
}

}  // namespace
}  // namespace lathe::distill::test
