#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "tests/passes/quantize/reference_support.h"

namespace lathe::quantize::test {
namespace {

using Granularity = AdaroundOptions::Granularity;
using Remarks = std::vector<Remark>;

// Elements of a sample go together: of independent ones the nearest codes are
// the best already.
GivenSamples noise(size_t count, const std::vector<int64_t>& dims) {
  Random random(5);
  return samples_of_x(count, dims, [&, mean = 0.0](size_t, size_t k) mutable {
    if (k == 0) mean = random.uniform(-0.7, 0.7);
    return static_cast<float>(mean + random.uniform(-0.3, 0.3));
  });
}

// Inputs named w… become seeded constants.
ir::Model with_weights(const std::string& text) {
  ir::Model model = ir::parse_text(text);
  for (ir::Value* value : model.graph->values()) {
    if (!value->is_graph_input() || value->name()[0] != 'w') continue;
    Random random(derive_seed(5, value->name()));
    std::vector<float> values(*value->type.element_count());
    for (float& v : values) v = static_cast<float>(random.normal() * 0.3);
    value->set_tensor(
        ir::Tensor::from<float>(ir::to_dims(*value->type.shape), values));
    model.graph->remove_input(value);
  }
  return model;
}

// A residual block with codes that are padded inside, and a head.
ir::Model residual_net() {
  return with_weights(R"(opset 17 graph {
    input %x: float[N,3,6,6]
    input %w1: float[6,3,3,3]
    input %w2: float[6,6,3,3]
    input %w3: float[6,6,3,3]
    input %w4: float[6,4]
    init %b = float[6] {0.1, 0, -0.1, 0.05, 0, 0.2}
    %a: float[N,6,6,6] = Conv(%x, %w1, %b) {pads = [1, 1, 1, 1]} @stem
    %ar: float[N,6,6,6] = Relu(%a) @stem_relu
    %c: float[N,6,6,6] = Conv(%ar, %w2, %b) {pads = [1, 1, 1, 1]} @left
    %cr: float[N,6,6,6] = Relu(%c) @left_relu
    %d: float[N,6,6,6] = Conv(%cr, %w3, %b) {pads = [1, 1, 1, 1]} @right
    %s: float[N,6,6,6] = Add(%d, %ar) @add
    %sr: float[N,6,6,6] = Relu(%s) @sum_relu
    %g: float[N,6,1,1] = GlobalAveragePool(%sr) @pool
    %f: float[N,6] = Flatten(%g) @flatten
    %y: float[N,4] = Gemm(%f, %w4) @head
    output %y
  })");
}

const std::map<std::string, Range> kRanges{
    {"x", {-1, 1}},  {"a", {-30, 30}}, {"ar", {0, 30}},  {"c", {-90, 90}},
    {"cr", {0, 90}}, {"d", {-90, 90}}, {"s", {-90, 90}}, {"sr", {0, 90}},
    {"g", {0, 90}},  {"f", {0, 90}},   {"y", {-90, 90}}};
// Nearly all of the error is that of the weights.
const QuantizeOptions kCoarse{.activation_type = ir::DataType::kUint16,
                              .per_channel = false,
                              .weight_bits = 7};

double squared_error(const ir::Model& reference, const ir::Model& changed,
                     const GivenSamples& data, size_t begin, size_t end) {
  const auto before = latency::Session::open(reference);
  const auto after = latency::Session::open(changed);
  double sum = 0;
  auto reader = const_cast<GivenSamples&>(data).read({});
  for (size_t i = 0; i < end; ++i) {
    const Batch batch = *reader->next();
    if (i < begin) continue;
    const auto expected = before->run(batch.inputs)[0].to_doubles();
    const auto found = after->run(batch.inputs)[0].to_doubles();
    for (size_t k = 0; k < expected.size(); ++k)
      sum += (expected[k] - found[k]) * (expected[k] - found[k]);
  }
  return sum;
}

TEST_CASE("adaround: two equal inputs share what one step rounds") {
  // Per tensor, steps of 0.01. The second column is 0.46 and 0.42 steps: each
  // rounds to 0, but one of them should become 1. The third, 1.35 and 1.3
  // steps, is best as 1 and 2, the fourth stays.
  const Pair pair(R"(opset 17 graph {
    input %x: float[1,2]
    init %w = float[2,4] {1.27, 0.0046, 0.0135, 0.05, 0, 0.0042, 0.013, 0.05}
    init %b = float[4] {0, 0, 0, 0}
    %y = Gemm(%x, %w, %b) @gemm
    output %y
  })",
                  {{"x", {-1.28f, 1.27f}}}, {.per_channel = false});
  CHECK(codes_of<int8_t>(pair.quantized, "gemm", 1) ==
        std::vector<int8_t>{127, 0, 1, 5, 0, 0, 1, 5});
  Random random(1);
  GivenSamples data =
      samples_of_x(16, {1, 2}, [&, last = 0.0f](size_t, size_t k) mutable {
        if (k == 0) last = static_cast<float>(random.below(255)) / 100 - 1.27f;
        return last;
      });
  for (const Granularity granularity :
       {Granularity::kLayer, Granularity::kBlock}) {
    const Outcome outcome = pair.run(
        make_adaround({.granularity = granularity, .steps = 400}), data);
    const auto codes = codes_of<int8_t>(outcome, "gemm", 1);
    CHECK(codes[0] == 127);
    CHECK(codes[4] == 0);
    CHECK(codes[1] + codes[5] == 1);
    CHECK(codes[2] + codes[6] == 3);
    CHECK(codes[3] == 5);
    CHECK(codes[7] == 5);
    CHECK(outcome.result.changes == 1);
    CHECK(outcome.result.remarks.empty());
  }
}

TEST_CASE("adaround: the error falls, by layers and by blocks") {
  const Pair pair(residual_net(), kRanges, kCoarse);
  GivenSamples data = noise(64, {1, 3, 6, 6});
  const double before =
      squared_error(pair.reference, pair.quantized.model, data, 0, 64);
  for (const Granularity granularity :
       {Granularity::kLayer, Granularity::kBlock}) {
    const Outcome outcome = pair.run(
        make_adaround({.granularity = granularity, .steps = 300}), data);
    CHECK(outcome.result.changes >= 3);
    const double after =
        squared_error(pair.reference, outcome.model, data, 0, 64);
    CHECK(after < 0.6 * before);
  }
}

TEST_CASE("adaround: the same codes for any number of jobs") {
  const Pair pair(residual_net(), kRanges, kCoarse);
  GivenSamples data = noise(24, {1, 3, 6, 6});
  const AdaroundOptions options{.steps = 20, .learning_rate = 0.3};
  const std::string one = pair.run(make_adaround(options), data, 1).text();
  const auto gives = [&](int jobs, uint64_t seed) {
    return pair.run(make_adaround(options), data, jobs, seed).text();
  };
  CHECK((one != pair.quantized.text()));
  CHECK((one == gives(1, 0)));
  CHECK((one == gives(3, 0)));
  CHECK((one != gives(1, 7)));
}

TEST_CASE("adaround: held-out samples never come out worse") {
  const Pair pair(with_weights(R"(opset 17 graph {
    input %x: float[1,3,5,5]
    input %w: float[4,3,3,3]
    %y = Conv(%x, %w) @conv
    output %y
  })"),
                  {{"x", {-1, 1}}, {"y", {-8, 8}}}, kCoarse);

  int changed = 0, kept = 0;
  for (const int64_t steps : {1, 3, 10, 40})
    for (const double rate : {0.01, 0.3}) {
      // The last two of sixteen are held out.
      GivenSamples data = noise(16, {1, 3, 5, 5});
      const Outcome outcome = pair.run(
          make_adaround({.steps = steps, .learning_rate = rate}), data);
      const Remarks& remarks = outcome.result.remarks;
      if (outcome.result.changes == 0) {
        ++kept;
        REQUIRE(remarks.size() == 1);
        const bool same =
            remarks[0].reason == "learning ends at the codes that it has";
        CHECK(
            (same || remarks[0].reason ==
                         "learned codes are no better on held-out samples than "
                         "those it has"));
        CHECK(outcome.text() == pair.quantized.text());
        continue;
      }
      ++changed;
      CHECK(remarks.empty());
      // As the layer itself is measured: before its result is coded.
      const auto without_codes = [](const ir::Model& model) {
        ir::Model bare = ir::clone(model);
        for (const auto& node : bare.graph->nodes())
          if (node->id() == "conv") bare.graph->set_output(0, node->output());
        return bare;
      };
      CHECK(squared_error(pair.reference, without_codes(outcome.model), data,
                          14, 16) <
            squared_error(pair.reference, without_codes(pair.quantized.model),
                          data, 14, 16));
    }
  CHECK(changed > 0);
  CHECK(kept > 0);
}

TEST_CASE("adaround: samples that cannot be stacked") {
  // The batch is fixed inside, so samples run one by one.
  const Pair pair(with_weights(R"(opset 17 graph {
    input %x: float[1,3,4,4]
    input %w1: float[6,3,1,1]
    input %w2: float[96,3]
    init %shape = int64[2] {1, 96}
    %a = Conv(%x, %w1) @conv
    %f = Reshape(%a, %shape) @reshape
    %y = Gemm(%f, %w2) @head
    output %y
  })"),
                  {{"x", {-1, 1}}, {"a", {-9, 9}}, {"f", {-9, 9}}}, kCoarse);
  GivenSamples data = noise(16, {1, 3, 4, 4});
  const Outcome outcome =
      pair.run(make_adaround({.steps = 150, .batch_size = 4}), data);
  CHECK(outcome.result.changes >= 1);
  CHECK(squared_error(pair.reference, outcome.model, data, 0, 16) <
        squared_error(pair.reference, pair.quantized.model, data, 0, 16));
}

TEST_CASE("adaround: samples of several sizes") {
  const Pair pair(with_weights(R"(opset 17 graph {
    input %x: float[1,3,H,4]
    input %w: float[6,3,1,1]
    %y = Conv(%x, %w) @conv
    output %y
  })"),
                  {{"x", {-1, 1}}, {"y", {-9, 9}}}, kCoarse);
  std::vector<NamedTensors> samples;
  for (int64_t i = 0; i < 12; ++i) {
    GivenSamples one = noise(1, {1, 3, 2 + i % 3, 4});
    samples.push_back(one.read({})->next()->inputs);
  }
  GivenSamples data(std::move(samples));
  CHECK(pair.run(make_adaround({.steps = 100}), data).result.changes == 1);
}

TEST_CASE("adaround: one sample serves for both") {
  const Pair pair(residual_net(), kRanges, kCoarse);
  GivenSamples data = noise(1, {1, 3, 6, 6});
  CHECK(pair.run(make_adaround({.steps = 100}), data).result.changes >= 1);
}

TEST_CASE("adaround: layers left alone") {
  const std::string text = R"(opset 17 graph {
    input %x: float[1,2]
    init %w = float[2,2] {1.27, 0, 0, 1.27}
    init %u = float[2,2] {1.27, 0.3, 0.2, 1}
    init %v = float[2,2] {1, 0.313, 0.2, 1}
    init %k = float[2,2] {1, 0.313, 0.2, 1}
    %a = MatMul(%x, %w) @exact
    %b = MatMul(%a, %u) @shared_one
    %c = MatMul(%b, %u) @shared_two
    %d = MatMul(%c, %v) @changed
    %y = MatMul(%d, %k) @floating
    output %y
  })";
  Pair pair(text, {{"x", {-1.28f, 1.27f}}}, {.exclude_nodes = {"floating"}});
  pair.reference.graph->find("v")->set_tensor(
      ir::Tensor::from<float>({2, 2}, std::vector<float>(4, 0.5f)));
  GivenSamples data = samples_of_x(
      4, {1, 2}, [](size_t i, size_t k) { return 0.01f * (i + 10 * k); });
  const Outcome outcome = pair.run(make_adaround({.steps = 5}), data);
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.text() == pair.quantized.text());
  CHECK(outcome.result.remarks ==
        Remarks{{"changed",
                 "its weights are not those of the float model: another pass "
                 "rewrote them"},
                {"floating", "it is not quantized"},
                {"shared_one", "another layer has the same weights"},
                {"shared_two", "another layer has the same weights"},
                {"exact",
                 "its codes already stand for the float weights, or give the "
                 "same results"}});
}

TEST_CASE("adaround: what it needs") {
  ir::Model model = residual_net();
  PassContext context;
  CHECK_THROWS_WITH_AS(
      make_adaround({})->run(model, context),
      "adaround: it compares with the float model that was quantized, but no "
      "pass before it quantized one (put it behind quantize_static in the "
      "recipe)",
      Error);
  const ir::Model reference = ir::clone(model);
  context.reference = &reference;
  CHECK_THROWS_WITH_AS(
      make_adaround({})->run(model, context),
      "adaround: it needs samples, but none are given (give data)", Error);
  GivenSamples data = noise(1, {1, 3, 6, 6});
  context.data = &data;
  const auto fails = [&](AdaroundOptions options, const char* message) {
    CHECK_THROWS_WITH_AS(make_adaround(options)->run(model, context), message,
                         Error);
  };
  fails({.steps = 0}, "adaround: steps is 0, expected 1 or more");
  fails({.samples = 0}, "adaround: samples is 0, expected 1 or more");
  fails({.batch_size = 0}, "adaround: batch_size is 0, expected 1 or more");
  fails({.learning_rate = 0},
        "adaround: learning_rate is 0, expected above 0 to 1");
  fails({.regularization = -1},
        "adaround: regularization is -1, expected 0 or more");
}

TEST_CASE("adaround: it can be cancelled") {
  const Pair pair(residual_net(), kRanges, kCoarse);
  GivenSamples data = noise(8, {1, 3, 6, 6});
  ir::Model model = ir::clone(pair.quantized.model);
  CancelToken cancel;
  cancel.cancel();
  PassContext context;
  context.reference = &pair.reference;
  context.data = &data;
  context.cancel = &cancel;
  try {
    make_adaround({})->run(model, context);
    FAIL("it ran");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInterrupted);
  }
}

}  // namespace
}  // namespace lathe::quantize::test
