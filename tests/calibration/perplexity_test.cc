#include "calibration/accuracy/perplexity.h"

#include <cmath>
#include <limits>

#include "calibration/accuracy/accuracy.h"
#include "calibration/data/data.h"
#include "passes/io/onnx/onnx.h"
#include "tests/calibration/fixtures.h"
#include "tests/support/shared.h"

namespace lathe::accuracy {
namespace {

using test::MemorySource;
using test::model_of;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

double loss_of(const std::vector<float>& scores, int64_t token) {
  return token_loss({scores.data(), static_cast<int64_t>(scores.size()), 1},
                    token);
}

TEST_CASE("the loss of a token") {
  CHECK(loss_of({0, 0, 0, 0}, 2) == doctest::Approx(std::log(4.0)));
  CHECK(loss_of({std::log(3.0f), 0}, 0) == doctest::Approx(std::log(4.0 / 3)));
  CHECK(loss_of({1000, 0}, 1) == doctest::Approx(1000));
  CHECK(loss_of({1000, 0}, 0) == 0);
  CHECK(loss_of({-kInf, 2}, 1) == 0);
  CHECK(loss_of({-kInf, 2}, 0) == kInf);
  for (const auto& scores : std::vector<std::vector<float>>{
           {kNan, 1}, {1, kNan}, {kInf, 1}, {-kInf, -kInf}})
    CHECK(loss_of(scores, 0) == kInf);
}

TEST_CASE("the loss of a sequence") {
  // The token after 0 is 1, after 1 is 0; the last has none after it.
  const std::vector<float> scores = {0, std::log(3.0f), 0, 0, 5, 7};
  const auto loss = sequence_loss(std::vector<int64_t>{0, 1, 0}, scores);
  REQUIRE(loss);
  CHECK(loss->count == 2);
  CHECK(loss->sum == doctest::Approx(std::log(4.0 / 3) + std::log(2.0)));
  CHECK_FALSE(sequence_loss(std::vector<int64_t>{0, 2, 0}, scores));
  CHECK_FALSE(sequence_loss(std::vector<int64_t>{-1, 1, 0}, scores));
  const auto one =
      sequence_loss(std::vector<int64_t>{1}, std::vector<float>{0, 0});
  REQUIRE(one);
  CHECK(one->count == 0);
}

// A model of which token follows which: scores of log 1 to log 4.
std::string bigram(const std::string& batch, const std::string& scores) {
  std::string text = R"(graph main {
    input %x: int64[BATCH,S]
    init %table = float[4,4] {SCORES}
    %y: float[BATCH,S,4] = Gather(%table, %x) {axis = 0}
    output %y
  })";
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (size_t at; (at = text.find(from)) != std::string::npos;)
      text.replace(at, from.size(), to);
  };
  replace("BATCH", batch);
  replace("SCORES", scores);
  return text;
}
const char* const kFlat = "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0";
// After 0: 1 with 1/2, others with 1/6. After 1 to 3: all the same.
const char* const kFirst =
    "0, 1.0986123, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0";

MemorySource tokens(std::vector<std::vector<float>> samples) {
  const auto length = static_cast<int64_t>(samples[0].size());
  return {{length}, std::move(samples), {}, ir::DataType::kInt64};
}

std::optional<double> perplexity(const std::string& graph, BatchSource& data,
                                 int jobs = 1) {
  EvaluateOptions options;
  options.jobs = jobs;
  return evaluate(model_of(graph), nullptr, data, options, silent_progress(),
                  nullptr)
      .perplexity;
}

TEST_CASE("perplexity is of all positions of all samples") {
  MemorySource data = tokens({{0, 1, 2}, {0, 2, 0}, {3, 3, 3}});
  CHECK(*perplexity(bigram("N", kFlat), data) == doctest::Approx(4));
  // 0-1, 1-2, 0-2, 2-0, 3-3, 3-3.
  const double expected =
      std::exp((std::log(2.0) + std::log(6.0) + 4 * std::log(4.0)) / 6);
  CHECK(*perplexity(bigram("N", kFirst), data) == doctest::Approx(expected));
  // The fourth sample of a batch of two is filling.
  CHECK(*perplexity(bigram("2", kFirst), data) ==
        doctest::Approx(expected).epsilon(1e-12));
  CHECK(perplexity(bigram("N", kFirst), data, 3) ==
        perplexity(bigram("N", kFirst), data, 1));
}

TEST_CASE("perplexity without bound") {
  MemorySource data = tokens({{0, 1, 2}});
  std::string scores = kFirst;
  scores.replace(scores.rfind("0"), 1, "nan");
  CHECK(*perplexity(bigram("N", scores), data) ==
        doctest::Approx(std::sqrt(8)));
  MemorySource last = tokens({{3, 1, 2}});
  CHECK(*perplexity(bigram("N", scores), last) ==
        std::numeric_limits<double>::infinity());
}

TEST_CASE("no perplexity where nothing is foretold") {
  // Ids that the runtime takes and that are no tokens of the four.
  MemorySource negative = tokens({{0, 1, 2}, {0, -1, 2}});
  CHECK_FALSE(perplexity(bigram("N", kFlat), negative));
  MemorySource single = tokens({{0}, {1}});
  CHECK_FALSE(perplexity(bigram("N", kFlat), single));
  MemorySource real({2}, {{1, 2}});
  CHECK_FALSE(perplexity(R"(graph main {
    input %x: float[N,2]
    init %axes = int64[1] {2}
    %y: float[N,2,1] = Unsqueeze(%x, %axes)
    %z: float[N,2,2] = Concat(%y, %y) {axis = 2}
    output %z
  })",
                         real));
  MemorySource data = tokens({{0, 1, 2}});
  const std::string two = R"(graph main {
    input %x: int64[N,S]
    init %table = float[4,4] {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
    %y: float[N,S,4] = Gather(%table, %x) {axis = 0}
    %z: float[N,4,S] = Transpose(%y) {perm = [0, 2, 1]}
    output %z
  })";
  CHECK_FALSE(perplexity(two, data));
}

TEST_CASE("agreement of a language model is the share of positions") {
  const ir::Model flat = model_of(bigram("N", kFlat));
  const ir::Model first = model_of(bigram("N", kFirst));
  // Only after token 0 do the two choose differently.
  MemorySource data = tokens({{0, 1, 2, 3}, {0, 0, 2, 3}});
  const Accuracy result =
      evaluate(first, &flat, data, {}, silent_progress(), nullptr);
  CHECK(*result.agreement == doctest::Approx((0.75 + 0.5) / 2));
  CHECK(*result.perplexity ==
        doctest::Approx(std::exp(
            (std::log(2.0) + 2 * std::log(6.0) + 3 * std::log(4.0)) / 6)));
}

TEST_CASE("stories260k has the perplexity that it was published with here") {
  const auto model = test::shared_file("models/lm_stories260k/model.onnx");
  const auto file = test::shared_file("data/stories260k_tokens/tokens.npy");
  if (model.empty() || file.empty()) return;
  const ir::Model network = io::import_onnx(model);
  const auto data = data::open_data(file.string(), network, {});
  const Accuracy result =
      evaluate(network, nullptr, *data, {}, silent_progress(), nullptr);
  CHECK(result.samples == 48);
  CHECK(*result.perplexity == doctest::Approx(3.681).epsilon(1e-3));
  CHECK_FALSE(result.top1);
}

}  // namespace
}  // namespace lathe::accuracy
