// A BatchNormalization behind each convolution, and back.
#include "passes/distill/batch_norm_form.h"

#include <algorithm>

#include "tests/passes/distill/distill_support.h"
#include "tests/passes/distill/parsed_graph.h"
#include "tests/passes/distill/twin_support.h"

namespace lathe::distill::test {
namespace {

int64_t count(const ir::Model& model, const char* op) {
  return std::count_if(model.graph->nodes().begin(), model.graph->nodes().end(),
                       [&](const auto& node) { return node->is(op); });
}

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a, b, /*rtol=*/1e-4, /*atol=*/1e-5);
}

// As training computes it, of all samples in one batch.
at::Tensor training_scores(const ir::Model& model) {
  auto program = exec::Program::compile(model);
  program->set_training(true);
  auto samples = image_samples();
  ReadOptions all;
  all.batch_size = kSamples;
  const auto batch = samples.read(all)->next();
  const at::NoGradGuard no_grad;
  return program->run({{"x", exec::to_torch(batch->inputs[0].second)}})[0];
}

TEST_CASE("batch norm form: unfolded, the values stay; folded, the form") {
  const ir::Model before = conv_net(8, 3);
  ir::Model model = ir::clone(before);
  Bench bench;
  CHECK(unfold_batch_norm(model, bench.context) == 2);
  CHECK(count(model, "BatchNormalization") == 2);
  CHECK(close(scores(model), scores(before)));
  // Of the batch that the statistics are of, training computes the same.
  CHECK(at::allclose(training_scores(model), scores(before), 1e-3, 1e-3));

  fold_batch_norm(model, bench.context);
  CHECK(count(model, "BatchNormalization") == 0);
  CHECK(model.graph->nodes().size() == before.graph->nodes().size());
  CHECK(close(scores(model), scores(before)));
}

TEST_CASE("batch norm form: values of any size stay") {
  const ir::Model before = conv_net(8, 3);
  for (const float factor : {1e-4F, 1e4F}) {
    CAPTURE(factor);
    ir::Model model = ir::clone(before);
    scale_inside(model, factor);
    Bench bench;
    REQUIRE(unfold_batch_norm(model, bench.context) == 2);
    CHECK(close(scores(model), scores(before)));
    CHECK(at::allclose(training_scores(model), scores(before), 1e-3, 1e-3));
  }
}

TEST_CASE("batch norm form: statistics of another network are renewed") {
  // What the convolution gives has neither this mean nor this variance.
  ir::Model model = lathe::test::parsed_graph(R"(
    input %x: float[N,2,4,4]
    init %w = float[2,2,1,1] {1, -2, 3, 0.5} init %b = float[2] {1, -1}
    init %s = float[2] {2, 0.5} init %o = float[2] {-1, 0.25}
    init %m = float[2] {5, -3} init %v = float[2] {9, 0.25}
    init %p = float[4,2,1,1] {1, 0, 0, 1, 1, 1, 1, -1}
    %c = Conv(%x, %w, %b) %n = BatchNormalization(%c, %s, %o, %m, %v)
    %r = Relu(%n) %a = GlobalAveragePool(%r) %e = Conv(%a, %p) %u = Relu(%e)
    %y = Flatten(%u) output %y)");
  const at::Tensor before = scores(model);
  Bench bench;
  // One position is too little: %e has none.
  CHECK(unfold_batch_norm(model, bench.context) == 1);
  CHECK(count(model, "BatchNormalization") == 1);
  CHECK(close(scores(model), before));
  CHECK(at::allclose(training_scores(model), before, 1e-3, 1e-3));
}

TEST_CASE("batch norm form: fresh weights keep theirs") {
  ir::Model model = lathe::test::parsed_graph(R"(
    input %x: float[N,2,4,4]
    init %w = float[2,2,1,1] {1, -2, 3, 0.5}
    init %s = float[2] {1, 1} init %o = float[2] {0, 0}
    init %m = float[2] {0, 0} init %v = float[2] {1, 1}
    %c = Conv(%x, %w) %n = BatchNormalization(%c, %s, %o, %m, %v)
    %r = Relu(%n) %y = GlobalAveragePool(%r) output %y)");
  const std::string before = ir::to_text(model);
  Bench bench;
  CHECK(unfold_batch_norm(model, bench.context) == 0);
  CHECK(ir::to_text(model) == before);
}

TEST_CASE("batch norm form: what is trained so is folded again") {
  const ir::Model teacher = conv_net(16, 1);
  ir::Model student = conv_net(8, 2);
  const double before = agreement(student, teacher);
  Bench bench;
  DistillOptions options = quick();
  const Distilled made = bench.run(student, teacher, options);
  CHECK(made.remarks().find(
            "trained with a BatchNormalization behind each convolution, which "
            "is folded into it again\n") != std::string::npos);
  CHECK(count(student, "BatchNormalization") == 0);
  CHECK(agreement(student, teacher) > before + 0.2);
}

TEST_CASE("batch norm form: codes with a scale for each filter") {
  const ir::Model teacher = conv_net(16, 1);
  ir::Model student = conv_net(8, 2);
  PassContext context;
  quantize::make_quantize_weights({.bits = 8,
                                   .block_size = 16,
                                   .form = quantize::WeightOptions::Form::kQdq,
                                   .convolutions = true})
      ->run(student, context);
  const ir::Model start = ir::clone(student);
  Bench bench;
  ir::Model unfolded = ir::clone(student);
  CHECK(unfold_batch_norm(unfolded, bench.context) == 2);
  CHECK(close(scores(unfolded), scores(start)));
  fold_batch_norm(unfolded, bench.context);
  CHECK(ir::to_text(form_of(unfolded)) == ir::to_text(form_of(start)));
  CHECK(close(scores(unfolded), scores(start)));

  const double before = agreement(student, teacher);
  DistillOptions options = quick();
  options.train.optimizer = {};
  options.learning_rate = {};
  bench.run(student, teacher, options);
  CHECK(agreement(student, teacher) > before + 0.2);
  CHECK(ir::to_text(form_of(student)) == ir::to_text(form_of(start)));
}

}  // namespace
}  // namespace lathe::distill::test
