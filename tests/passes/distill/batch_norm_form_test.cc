// A BatchNormalization behind each convolution, and back.
#include "passes/distill/batch_norm_form.h"

#include <algorithm>

#include "tests/passes/distill/distill_support.h"

namespace lathe::distill::test {
namespace {

int64_t count(const ir::Model& model, const char* op) {
  return std::count_if(model.graph->nodes().begin(), model.graph->nodes().end(),
                       [&](const auto& node) { return node->is(op); });
}

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a, b, /*rtol=*/1e-4, /*atol=*/1e-5);
}

TEST_CASE("batch norm form: unfolded, the values stay; folded, the form") {
  const ir::Model before = conv_net(8, 3);
  ir::Model model = ir::clone(before);
  Bench bench;
  CHECK(unfold_batch_norm(model, bench.context) == 2);
  CHECK(count(model, "BatchNormalization") == 2);
  CHECK(close(scores(model), scores(before)));
  // Of the batch that the statistics are of, training computes the same.
  auto program = exec::Program::compile(model);
  program->set_training(true);
  auto samples = image_samples();
  ReadOptions all;
  all.batch_size = kSamples;
  const auto batch = samples.read(all)->next();
  const at::NoGradGuard no_grad;
  const at::Tensor trained =
      program->run({{"x", exec::to_torch(batch->inputs[0].second)}})[0];
  CHECK(at::allclose(trained, scores(before), 1e-3, 1e-3));

  CHECK(unfold_batch_norm(model, bench.context) == 0);  // it has some
  fold_batch_norm(model, bench.context);
  CHECK(count(model, "BatchNormalization") == 0);
  CHECK(model.graph->nodes().size() == before.graph->nodes().size());
  CHECK(close(scores(model), scores(before)));
}

TEST_CASE("batch norm form: what is trained so is folded again") {
  const ir::Model teacher = conv_net(16, 1);
  ir::Model student = conv_net(8, 2);
  const double before = agreement(student, teacher);
  Bench bench;
  DistillOptions options = quick();
  options.unfold_batch_norm = true;
  const Distilled made = bench.run(student, teacher, options);
  CHECK(made.remarks().starts_with(
      "trained with a BatchNormalization behind each convolution, which is "
      "folded into it again\n"));
  CHECK(count(student, "BatchNormalization") == 0);
  CHECK(agreement(student, teacher) > before + 0.2);
}

}  // namespace
}  // namespace lathe::distill::test
