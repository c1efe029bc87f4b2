#include "calibration/accuracy/accuracy.h"

#include <cmath>
#include <limits>

#include "calibration/accuracy/metrics.h"
#include "calibration/accuracy/reference.h"
#include "calibration/accuracy/sample_score.h"
#include "tests/calibration/fixtures.h"

namespace lathe::accuracy {
namespace {

using test::error_of;
using test::MemorySource;
using test::model_of;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Scores scores_of(const std::vector<float>& values) {
  return {values.data(), static_cast<int64_t>(values.size()), 1};
}

TEST_CASE("arg max takes the first of equals and refuses NaN") {
  CHECK(arg_max(scores_of({1, 3, 3, 2})) == 1);
  CHECK(arg_max(scores_of({-kInf, -5})) == 1);
  CHECK(arg_max(scores_of({1, kNan, 3})) == -1);
  CHECK(arg_max(scores_of({})) == -1);
  std::vector<float> strided = {9, 0, 1, 9, 5, 9};
  CHECK(arg_max({strided.data() + 1, 3, 2}) == 1);  // 0, 9, 9
}

TEST_CASE("top k breaks ties by index") {
  std::vector<float> scores = {5, 4, 4, 3, 2, 1};
  CHECK(in_top(scores_of(scores), 0, 1));
  CHECK(in_top(scores_of(scores), 1, 2));
  CHECK_FALSE(in_top(scores_of(scores), 2, 2));
  CHECK(in_top(scores_of(scores), 4, 5));
  CHECK_FALSE(in_top(scores_of(scores), 5, 5));
  CHECK_FALSE(in_top(scores_of({kNan, 1}), 0, 2));
}

TEST_CASE("one score is a decision") {
  CHECK(same_choice(scores_of({0.6f}), scores_of({0.9f})));
  CHECK_FALSE(same_choice(scores_of({0.4f}), scores_of({0.6f})));
  CHECK(same_choice(scores_of({-3}), scores_of({-1})));
  CHECK_FALSE(same_choice(scores_of({-3}), scores_of({0.2f})));
  CHECK_FALSE(same_choice(scores_of({kNan}), scores_of({kNan})));
}

TEST_CASE("fidelity by hand") {
  // r = (3, 4), x = (3, 3): noise 1, signal 25.
  SampleFidelity f =
      fidelity(std::vector<float>{3, 4}, std::vector<float>{3, 3});
  CHECK(f.sqnr_db == doctest::Approx(10 * std::log10(25.0)));
  CHECK(f.cosine == doctest::Approx(21 / (5 * std::sqrt(18.0))));
  CHECK(f.max_abs_diff == 1);
}

TEST_CASE("fidelity at its edges") {
  auto check = [](std::vector<float> r, std::vector<float> x, double sqnr,
                  double cosine, double diff) {
    SampleFidelity f = fidelity(r, x);
    CHECK(f.sqnr_db == doctest::Approx(sqnr));
    CHECK(f.cosine == doctest::Approx(cosine));
    CHECK(f.max_abs_diff == doctest::Approx(diff));
  };
  constexpr double kLargest = std::numeric_limits<float>::max();
  check({1, 2}, {1, 2}, 200, 1, 0);
  check({0, 0}, {0, 0}, 200, 1, 0);
  check({0, 0}, {1, 0}, -200, 0, 1);
  check({1, 0}, {0, 0}, 0, 0, 1);
  check({1, 0}, {-1, 0}, 10 * std::log10(0.25), -1, 2);
  check({1, 2}, {1, kNan}, -200, -1, kLargest);
  check({1, kInf}, {1, 2}, -200, -1, kLargest);
  check({1, kInf}, {1, -kInf}, -200, -1, kLargest);
  check({1, -kInf}, {1, -kInf}, 200, 1, 0);
  check({3, kNan}, {3, kNan}, 200, 1, 0);
  check({}, {}, 200, 1, 0);
  // One unit in the last place: 2^43 of 1e20.
  check({1e20f}, {1e20f * (1 + 1.2e-7f)}, 141.114, 1, 8.796e12);
}

ScoredBatch batch_of(const std::vector<std::string>& names,
                     const std::vector<ir::Tensor>& outputs,
                     const std::vector<ir::Tensor>& reference,
                     const std::vector<int64_t>& labels, int64_t samples) {
  return {names, outputs, reference, labels, samples, samples};
}

TEST_CASE("class axes of outputs") {
  std::vector<std::string> names = {"y"};
  auto agreement = [&](std::vector<int64_t> dims, std::vector<float> a,
                       std::vector<float> b, int64_t samples) {
    std::vector<ir::Tensor> ours = {ir::Tensor::from<float>(dims, a)};
    std::vector<ir::Tensor> theirs = {ir::Tensor::from<float>(dims, b)};
    std::vector<double> result;
    for (const SampleScore& score :
         score_batch(batch_of(names, ours, theirs, {}, samples)))
      result.push_back(score.agreement.value_or(-1));
    return result;
  };
  using Shares = std::vector<double>;
  CHECK(agreement({2, 2}, {0, 1, 1, 0}, {0, 1, 0, 1}, 2) == Shares{1, 0});
  // [N, C, H, W]: two classes, two positions, one differs.
  CHECK(agreement({1, 2, 1, 2}, {0, 0, 1, 1}, {0, 2, 1, 1}, 1) == Shares{0.5});
  // [N, S, C]: four positions of one sample, classes last.
  CHECK(agreement({1, 4, 2}, {0, 1, 0, 1, 0, 1, 0, 1}, {0, 1, 0, 1, 0, 1, 1, 0},
                  1) == Shares{0.75});
  // A batch that the model folded into its rows: 2 samples of 2 positions.
  CHECK(agreement({4, 2}, {0, 1, 0, 1, 0, 1, 0, 1}, {0, 1, 1, 0, 0, 1, 0, 1},
                  2) == Shares{0.5, 1});
  CHECK(agreement({2}, {0.2f, 0.8f}, {0.4f, 0.4f}, 2) == Shares{1, 0});
}

TEST_CASE("integer outputs agree element by element and have no fidelity") {
  std::vector<std::string> names = {"ids"};
  std::vector<ir::Tensor> ours = {
      ir::Tensor::from<int64_t>({1, 4}, std::vector<int64_t>{1, 2, 3, 4})};
  std::vector<ir::Tensor> theirs = {
      ir::Tensor::from<int64_t>({1, 4}, std::vector<int64_t>{1, 2, 3, 5})};
  auto scores = score_batch(batch_of(names, ours, theirs, {}, 1));
  REQUIRE(scores.size() == 1);
  CHECK(scores[0].agreement == 0.75);
  CHECK_FALSE(scores[0].outputs[0].has_value());
}

const char* const kIdentity = R"(graph main {
  input %x: float[N,6]
  %y: float[N,6] = Identity(%x)
  output %y
})";
const char* const kReversed = R"(graph main {
  input %x: float[N,6]
  init %order = int64[6] {5, 4, 3, 2, 1, 0}
  %y: float[N,6] = Gather(%x, %order) {axis = 1}
  output %y
})";

TEST_CASE("top 1 and top 5 over labelled data") {
  MemorySource data(
      {6}, {{9, 1, 2, 3, 4, 5}, {1, 9, 2, 3, 4, 5}, {6, 5, 4, 3, 2, 1}},
      {0, 5, 5});
  Accuracy result = evaluate(model_of(kIdentity), nullptr, data, {},
                             silent_progress(), nullptr);
  CHECK(result.samples == 3);
  CHECK(*result.top1 == doctest::Approx(1.0 / 3));
  CHECK(*result.top5 == doctest::Approx(2.0 / 3));
  CHECK_FALSE(result.agreement.has_value());
  CHECK(result.outputs.empty());

  EvaluateOptions two;
  two.samples = 2;
  result = evaluate(model_of(kIdentity), nullptr, data, two, silent_progress(),
                    nullptr);
  CHECK(result.samples == 2);
  CHECK(*result.top1 == doctest::Approx(0.5));
}

TEST_CASE("no labels, few classes, other shapes: no top 1 or 5") {
  MemorySource unlabelled({6}, {{9, 1, 2, 3, 4, 5}});
  Accuracy result = evaluate(model_of(kIdentity), nullptr, unlabelled, {},
                             silent_progress(), nullptr);
  CHECK_FALSE(result.top1.has_value());

  MemorySource binary({3}, {{1, 2, 0}}, {1});
  ir::Model three = model_of(R"(graph main {
    input %x: float[N,3]
    %y: float[N,3] = Identity(%x)
    output %y
  })");
  result = evaluate(three, nullptr, binary, {}, silent_progress(), nullptr);
  CHECK(*result.top1 == 1);
  CHECK_FALSE(result.top5.has_value());

  MemorySource dense({2, 2, 2}, {{1, 2, 3, 4, 5, 6, 7, 8}}, {1});
  ir::Model map = model_of(R"(graph main {
    input %x: float[N,2,2,2]
    %y: float[N,2,2,2] = Identity(%x)
    output %y
  })");
  result = evaluate(map, nullptr, dense, {}, silent_progress(), nullptr);
  CHECK_FALSE(result.top1.has_value());
  CHECK(result.samples == 1);
}

TEST_CASE("a label outside the classes") {
  MemorySource data({6}, {{9, 1, 2, 3, 4, 5}}, {6});
  CHECK(
      error_of([&] {
        evaluate(model_of(kIdentity), nullptr, data, {}, silent_progress(),
                 nullptr);
      }) ==
      "input: output 'y': label 6 is outside the model's classes, 0 to 5 (set "
      "labels.offset in the data's descriptor)");
}

TEST_CASE("against a reference") {
  MemorySource data({6}, {{3, 0, 0, 0, 0, 0}, {0, 0, 1, 1, 0, 0}});
  ir::Model reference = model_of(kIdentity);
  Accuracy result = evaluate(model_of(kReversed), &reference, data, {},
                             silent_progress(), nullptr);
  // Sample 1: disjoint: noise 18, signal 9, cosine 0. Sample 2: the same.
  CHECK(*result.agreement == doctest::Approx(0.5));
  REQUIRE(result.outputs.size() == 1);
  CHECK(result.outputs[0].name == "y");
  CHECK(result.outputs[0].sqnr_db ==
        doctest::Approx((10 * std::log10(0.5) + 200) / 2));
  CHECK(result.outputs[0].cosine == doctest::Approx(0.5));
  CHECK(result.outputs[0].max_abs_diff == 3);

  result =
      evaluate(reference, &reference, data, {}, silent_progress(), nullptr);
  CHECK(*result.agreement == 1);
  CHECK(result.outputs[0].sqnr_db == 200);
  CHECK(result.outputs[0].cosine == 1);
}

TEST_CASE("outputs that cannot be compared") {
  MemorySource data({6}, {{3, 0, 0, 0, 0, 0}});
  ir::Model reference = model_of(kIdentity);
  ir::Model shorter = model_of(R"(graph main {
    input %x: float[N,6]
    %y: float[N,1] = ReduceMax(%x) {axes = [1], keepdims = 1}
    output %y
  })");
  CHECK(error_of([&] {
          evaluate(shorter, &reference, data, {}, silent_progress(), nullptr);
        }) == "input: output 'y': its shape is 1x1, the reference's is 1x6");
  ir::Model two = model_of(R"(graph main {
    input %x: float[N,6]
    %y: float[N,6] = Neg(%x)
    %z: float[N,6] = Abs(%x)
    output %y
    output %z
  })");
  CHECK(error_of([&] {
          evaluate(two, &reference, data, {}, silent_progress(), nullptr);
        }) ==
        "input: model: its outputs are y, z, the reference's are y (both need "
        "the same outputs to be compared)");
}

TEST_CASE("jobs change nothing, and neither does the kept reference") {
  MemorySource data({6}, test::random_samples(101, 6, 11),
                    std::vector<int64_t>(101, 2));
  ir::Model reference = model_of(kIdentity), model = model_of(kReversed);
  auto run = [&](int jobs) {
    EvaluateOptions options;
    options.jobs = jobs;
    return evaluate(model, &reference, data, options, silent_progress(),
                    nullptr);
  };
  auto same = [](const Accuracy& a, const Accuracy& b) {
    CHECK(a.samples == b.samples);
    CHECK(a.top1 == b.top1);
    CHECK(a.top5 == b.top5);
    CHECK(a.agreement == b.agreement);
    REQUIRE(a.outputs.size() == b.outputs.size());
    CHECK(a.outputs[0].sqnr_db == b.outputs[0].sqnr_db);
    CHECK(a.outputs[0].cosine == b.outputs[0].cosine);
    CHECK(a.outputs[0].max_abs_diff == b.outputs[0].max_abs_diff);
  };
  Accuracy one = run(1);
  same(one, run(4));
  EvaluateOptions options;
  options.jobs = 2;
  auto evaluator =
      make_evaluator(reference, data, options, silent_progress(), nullptr);
  same(one, evaluator->evaluate(model));
  same(one, evaluator->evaluate(model));
  CHECK(*evaluator->evaluate(reference).agreement == 1);
  options.quick_reference = true;
  const Accuracy quick =
      evaluate(model, &reference, data, options, silent_progress(), nullptr);
  CHECK(quick.agreement == one.agreement);
  CHECK(quick.outputs[0].sqnr_db ==
        doctest::Approx(one.outputs[0].sqnr_db).epsilon(1e-3));
}

TEST_CASE("a reference keeps outputs while they fit") {
  MemorySource data({6}, test::random_samples(3, 6, 1));
  auto reader = data.read({});
  Batch batch = *reader->next();
  Reference reference(model_of(kIdentity), /*max_kept_bytes=*/60,
                      /*quick=*/false);
  reference.begin(1);
  auto outputs = reference.outputs(0, batch);  // 24 bytes
  reference.keep(0, outputs);
  reference.keep(0, outputs);  // not in order: ignored
  CHECK(reference.kept() == 1);
  reference.keep(1, outputs);
  CHECK(reference.kept() == 2);
  reference.keep(2, outputs);
  CHECK(reference.kept() == 0);
  reference.keep(0, outputs);
  CHECK(reference.kept() == 0);
  CHECK(reference.outputs(0, batch)[0].identical(outputs[0]));
}

TEST_CASE("models of a fixed batch are fed whole batches") {
  ir::Model fixed = model_of(R"(graph main {
    input %x: float[4,6]
    %y: float[4,6] = Identity(%x)
    output %y
  })");
  ir::Model free = model_of(kReversed);
  MemorySource data({6}, test::random_samples(10, 6, 4),
                    std::vector<int64_t>{0, 1, 2, 3, 4, 5, 0, 1, 2, 3});
  Accuracy a = evaluate(fixed, nullptr, data, {}, silent_progress(), nullptr);
  Accuracy b = evaluate(model_of(kIdentity), nullptr, data, {},
                        silent_progress(), nullptr);
  CHECK(a.samples == 10);
  CHECK(a.top1 == b.top1);
  CHECK(a.top5 == b.top5);
  ir::Model identity = model_of(kIdentity);
  Accuracy c = evaluate(free, &fixed, data, {}, silent_progress(), nullptr);
  Accuracy d = evaluate(free, &identity, data, {}, silent_progress(), nullptr);
  CHECK(c.agreement == d.agreement);
  CHECK(c.outputs[0].sqnr_db == d.outputs[0].sqnr_db);
}

TEST_CASE("NaN outputs are wrong everywhere") {
  ir::Model broken = model_of(R"(graph main {
    input %x: float[N,6]
    %n: float[N,6] = Neg(%x)
    %y: float[N,6] = Sqrt(%n)
    output %y
  })");
  ir::Model reference = model_of(kIdentity);
  MemorySource data({6}, {{1, 2, 3, 4, 5, 6}}, {5});
  Accuracy result =
      evaluate(broken, &reference, data, {}, silent_progress(), nullptr);
  CHECK(*result.top1 == 0);
  CHECK(*result.top5 == 0);
  CHECK(*result.agreement == 0);
  CHECK(result.outputs[0].sqnr_db == -200);
  CHECK(result.outputs[0].cosine == -1);
}

}  // namespace
}  // namespace lathe::accuracy
