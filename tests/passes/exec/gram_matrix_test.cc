#include "passes/exec/gram_matrix.h"

#include <cmath>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using exec::GramMatrix;
using test::exec_model;

// Batches as given, `samples` in each.
class FixedBatches final : public BatchSource {
 public:
  FixedBatches(std::string input, std::vector<ir::Tensor> batches,
               int64_t samples = 1)
      : input_(std::move(input)),
        batches_(std::move(batches)),
        samples_(samples) {}
  int64_t size() const override {
    return static_cast<int64_t>(batches_.size()) * samples_;
  }
  bool has_labels() const override { return false; }
  bool is_synthetic() const override { return false; }
  std::string description() const override { return "fixed batches"; }
  std::unique_ptr<BatchReader> read(const ReadOptions& options) override {
    asked = options;
    return std::make_unique<Reader>(*this);
  }

  ReadOptions asked;

 private:
  struct Reader final : BatchReader {
    explicit Reader(const FixedBatches& all) : source(all) {}
    std::optional<Batch> next() override {
      if (at == source.batches_.size()) return std::nullopt;
      Batch batch;
      batch.inputs.emplace_back(source.input_, source.batches_[at++]);
      batch.samples = source.samples_;
      return batch;
    }
    const FixedBatches& source;
    size_t at = 0;
  };
  std::string input_;
  std::vector<ir::Tensor> batches_;
  int64_t samples_;
};

ir::Tensor drawn(std::vector<int64_t> dims, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(ir::element_count(dims, "test"));
  for (float& value : values) value = static_cast<float>(random.normal());
  return ir::Tensor::from<float>(std::move(dims), values);
}

// Features along the last axis.
std::vector<double> naive(const std::vector<ir::Tensor>& tensors,
                          int64_t size) {
  std::vector<double> sums(static_cast<size_t>(size * size));
  for (const ir::Tensor& tensor : tensors) {
    const auto data = tensor.data<float>();
    for (int64_t row = 0; row < tensor.size() / size; ++row)
      for (int64_t i = 0; i < size; ++i)
        for (int64_t j = 0; j < size; ++j)
          sums[i * size + j] +=
              double{data[row * size + i]} * data[row * size + j];
  }
  return sums;
}

void check_equal(const GramMatrix& gram, const std::vector<double>& expected) {
  REQUIRE(gram.sums.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i)
    worst = std::max(worst, std::fabs(gram.sums[i] - expected[i]) /
                                (1 + std::fabs(expected[i])));
  CHECK(worst < 1e-4);
}

std::vector<GramMatrix> collect(const ir::Model& model,
                                const std::vector<exec::GramRequest>& requests,
                                BatchSource& data,
                                exec::GramOptions options = {}) {
  return exec::gram_matrices(model, requests, data, options, silent_progress(),
                             nullptr);
}

const char* const kNet =
    "input %x: float[n,s,3] init %two = float[] {2.0} "
    "%a = Mul(%x, %two) @double %b = Transpose(%a) {perm = [0, 2, 1]} @turn "
    "%c = my.domain::Frob(%b) @frob output %c";

TEST_CASE("gram matrix: sums of products over all samples and positions") {
  std::vector<ir::Tensor> batches;
  for (uint64_t i = 0; i < 40; ++i)
    batches.push_back(drawn({1, 20 + static_cast<int64_t>(i), 3}, i));
  FixedBatches data("x", batches);
  // What follows the values is not run: nobody knows Frob.
  const ir::Model model = exec_model(kNet);
  const auto grams =
      collect(model, {{"x"}, {"b", 1}, {"a"}, {"x"}}, data, {.jobs = 1});
  REQUIRE(grams.size() == 4);
  CHECK(grams[0].size == 3);
  CHECK(grams[0].rows == 40 * 20 + 39 * 40 / 2);
  const std::vector<double> expected = naive(batches, 3);
  check_equal(grams[0], expected);
  check_equal(grams[3], expected);
  std::vector<double> doubled = expected;
  for (double& value : doubled) value *= 4;
  CHECK(grams[1].rows == grams[0].rows);
  check_equal(grams[1], doubled);
  check_equal(grams[2], doubled);
}

TEST_CASE("gram matrix: jobs change nothing") {
  std::vector<ir::Tensor> batches;
  for (uint64_t i = 0; i < 7; ++i) batches.push_back(drawn({1, 300, 300}, i));
  FixedBatches data("x", batches);
  const ir::Model model =
      exec_model("input %x: float[n,s,300] %y = Relu(%x) @relu output %y");
  const auto one = collect(model, {{"y"}}, data, {.jobs = 1});
  const auto many = collect(model, {{"y"}}, data, {.jobs = 3});
  CHECK(one[0].sums == many[0].sums);
  CHECK(one[0].rows == 2100);
  CHECK(collect(model, {{"y"}}, data, {.samples = 3})[0].rows == 900);
}

TEST_CASE("gram matrix: a batch that the model fixes") {
  const ir::Model model =
      exec_model("input %x: float[4,2] %y = Neg(%x) @neg output %y");
  FixedBatches data("x", {drawn({4, 2}, 1), drawn({4, 2}, 2)}, 4);
  CHECK(collect(model, {{"y"}}, data)[0].rows == 8);
  CHECK(data.asked.batch_size == 4);
  CHECK(data.asked.drop_last);
}

TEST_CASE("gram matrix: scalars, and values without elements") {
  const ir::Model model = exec_model(
      "input %x: float[n,2] %y = ReduceSum(%x) {keepdims = 0} @sum output %y");
  FixedBatches data("x", {drawn({1, 2}, 1), drawn({1, 2}, 2)});
  const auto gram = collect(model, {{"y"}}, data);
  CHECK(gram[0].size == 1);
  CHECK(gram[0].rows == 2);
  FixedBatches empty("x", {drawn({0, 2}, 1)});
  const auto nothing = collect(model, {{"x"}}, empty);
  CHECK(nothing[0].size == 0);
  CHECK(nothing[0].rows == 0);
}

TEST_CASE("gram matrix: what it cannot collect") {
  const ir::Model model = exec_model(
      "input %x: float[n,k] init %w = float[2,2] {1.0, 2.0, 3.0, 4.0} "
      "%y = Neg(%x) @neg %l = Shape(%x) @shape output %y output %l");
  FixedBatches data("x", {drawn({1, 2}, 1)});
  CHECK_THROWS_WITH_AS(collect(model, {{"z"}}, data),
                       "gram matrix: the graph computes no value 'z'", Error);
  CHECK_THROWS_WITH_AS(collect(model, {{"w"}}, data),
                       "gram matrix: the graph computes no value 'w'", Error);
  CHECK_THROWS_WITH_AS(collect(model, {{"l"}}, data),
                       "value 'l': its elements are no floating-point numbers",
                       Error);
  CHECK_THROWS_WITH_AS(collect(model, {{"y", 2}}, data),
                       "value 'y': it has 2 axes, no axis 2", Error);
  FixedBatches none("x", {});
  CHECK_THROWS_WITH_AS(collect(model, {{"y"}}, none),
                       "fixed batches: the data has no samples", Error);
  FixedBatches uneven("x", {drawn({1, 2}, 1), drawn({1, 3}, 1)});
  CHECK_THROWS_WITH_AS(
      collect(model, {{"y"}}, uneven),
      "value 'y': it has 3 features in one sample and 2 in another", Error);
  FixedBatches wild(
      "x", {ir::Tensor::from<float>({1, 2}, std::vector<float>{1, INFINITY})});
  CHECK_THROWS_WITH_AS(
      collect(model, {{"y"}}, wild),
      "value 'y': it is not finite over the calibration data (check "
      "the preprocessing of the data and the model's weights)",
      Error);
  FixedBatches other("z", {drawn({1, 2}, 1)});
  CHECK_THROWS_WITH_AS(collect(model, {{"y"}}, other),
                       "input 'x': it is not given", Error);
  CHECK(collect(model, {}, data).empty());
}

}  // namespace
}  // namespace lathe
