#include "calibration/accuracy/layer_compare.h"

#include <fmt/format.h>

#include <cmath>

#include "calibration/accuracy/layer_stats.h"
#include "tests/calibration/code_nets.h"
#include "tests/calibration/fixtures.h"

namespace lathe::accuracy {
namespace {

using test::error_of;
using test::MemorySource;
using test::model_of;

// What two spans of numbers have for figures.
LayerStats stats_of(std::vector<int64_t> dims, const std::vector<float>& r,
                    const std::vector<float>& x,
                    std::optional<Quantizer> quantizer = std::nullopt,
                    int64_t batch = 1, int64_t samples = 1) {
  LayerStats stats;
  stats.measure(ir::Tensor::from<float>(dims, r),
                ir::Tensor::from<float>(dims, x), /*codes=*/false, quantizer,
                batch, samples);
  return stats;
}

TEST_CASE("the figures of a layer") {
  // Channels: exact, 20 dB, 0 dB; the fourth is dead.
  CHECK_FALSE(stats_of({1, 0, 2}, {}, {}).comparable());
  const LayerStats four = stats_of({1, 4, 1, 2}, {300, 400, 1, 0, 0, 2, 0, 0},
                                   {300, 400, 1.1f, 0, 0, 0, 0, 0});
  REQUIRE(four.comparable());
  CHECK(four.sqnr_db() == doctest::Approx(10 * std::log10(250005 / 4.01)));
  CHECK(four.max_abs_diff() == 2);
  CHECK(four.cosine() == doctest::Approx(1).epsilon(1e-4));
  CHECK(*four.channel_sqnr_db() == doctest::Approx(20).epsilon(1e-4));
  CHECK(*four.channel_spread() == 200);
  CHECK_FALSE(four.clipped_share());
  CHECK_FALSE(four.unused_codes_share());
}

TEST_CASE("clipped values and unused codes") {
  const Quantizer quantizer{{/*scale=*/1, /*zero_point=*/8},
                            ir::DataType::kUint4};
  // Codes 0 to 15 stand for -8 to 7.
  const LayerStats stats =
      stats_of({1, 8}, {-9, -8.4f, 0, 1, 2, 7.4f, 7.6f, 100},
               {-8, -8, 0, 1, 2, 7, 7, 7}, quantizer);
  CHECK(*stats.clipped_share() == doctest::Approx(3.0 / 8));
  CHECK(*stats.unused_codes_share() == doctest::Approx(11.0 / 16));
  CHECK(stats.codes() == 16);
}

TEST_CASE("padded samples do not count, and merging adds up") {
  // The second sample of the second batch is filling.
  LayerStats sum;
  sum.merge(stats_of({2, 2}, {1, 0, 0, 1}, {1, 0, 0, 0.9f}, {}, 2, 2));
  sum.merge(stats_of({2, 2}, {2, 0, 5, 5}, {1.8f, 0, 0, 0}, {}, 2, 1));
  CHECK(sum.sqnr_db() == doctest::Approx((200 + 20 + 20) / 3.0));
  CHECK(sum.max_abs_diff() == doctest::Approx(0.2));
  CHECK(sum.elements() == 6);
  // Channels over all samples: 5 to 0.04, and 1 to 0.01.
  CHECK(*sum.channel_sqnr_db() == doctest::Approx(20));
}

TEST_CASE("what cannot be compared has no figures") {
  LayerStats stats = stats_of({1, 2}, {1, 2}, {1, 2});
  LayerStats other;
  other.measure(ir::Tensor::zeros(ir::DataType::kFloat, {1, 2}),
                ir::Tensor::zeros(ir::DataType::kFloat, {2, 2}), false, {}, 1,
                1);
  CHECK_FALSE(other.comparable());
  stats.merge(other);
  CHECK_FALSE(stats.comparable());
  LayerStats integers;
  integers.measure(ir::Tensor::zeros(ir::DataType::kFloat, {1, 2}),
                   ir::Tensor::zeros(ir::DataType::kInt64, {1, 2}), false, {},
                   1, 1);
  CHECK_FALSE(integers.comparable());
}

// x -> Conv c1 -> Relu r1 -> Conv c2 -> y; one channel of r1 is `factor` times
// as large, and c2 takes it back. Quantized: r1 and y have one scale each.
ir::Model skewed(double factor, bool quantized) {
  const std::string head = R"(graph main {
    input %x: float[N,4,8,8]
    init %w1 = float[4,4,1,1] {1, 0.5, -0.25, 0.5, BIG, BIG, -BIG, BIG, -0.5, 1, 0.5, 0.25, 0.5, -1, 1, 0.5}
    init %w2 = float[4,4,1,1] {1, SMALL, -1, 0.5, 0.5, -SMALL, 1, 1, -1, SMALL, 0.5, 1, 1, SMALL, 1, -1}
    init %s1 = float[] {SCALE}
    init %s2 = float[] {0.05}
    init %z1 = uint8[] {0}
    init %z2 = uint8[] {128}
    %c1: float[N,4,8,8] = Conv(%x, %w1) @c1
    %r1: float[N,4,8,8] = Relu(%c1) @r1
)";
  std::string text =
      head + (quantized ? R"(
    %q1: uint8[N,4,8,8] = QuantizeLinear(%r1, %s1, %z1)
    %d1: float[N,4,8,8] = DequantizeLinear(%q1, %s1, %z1)
    %y_float: float[N,4,8,8] = Conv(%d1, %w2) @c2
    %q2: uint8[N,4,8,8] = QuantizeLinear(%y_float, %s2, %z2)
    %y: float[N,4,8,8] = DequantizeLinear(%q2, %s2, %z2)
    output %y
  })"
                        : "%y: float[N,4,8,8] = Conv(%r1, %w2) @c2\n"
                          "output %y\n}");
  const auto replace = [&](const std::string& from, double to) {
    for (size_t at; (at = text.find(from)) != std::string::npos;)
      text.replace(at, from.size(), std::to_string(to));
  };
  replace("BIG", factor);
  replace("SMALL", 1 / factor);
  replace("SCALE", 8 * factor / 255);
  return model_of(text);
}

TEST_CASE("a channel a hundred times as large is found behind what it spoils") {
  MemorySource data({4, 8, 8}, test::random_samples(8, 256, 3),
                    std::vector<int64_t>(8, 1));
  const Comparison fair = compare_layers(skewed(1, false), skewed(1, true),
                                         data, {}, silent_progress(), nullptr);
  CHECK_FALSE(fair.jumps);
  CHECK_FALSE(fair.cause);
  const Comparison found = compare_layers(skewed(100, false), skewed(100, true),
                                          data, {}, silent_progress(), nullptr);
  REQUIRE(found.layers.size() == 3);
  CHECK(found.jumps);
  REQUIRE(found.first_jump);
  CHECK(found.layers[*found.first_jump].name == "c2");
  CHECK(found.layers[1].sqnr_db > 30);  // in all it looks well
  CHECK(*found.layers[1].channel_sqnr_db < 10);
  REQUIRE(found.cause);
  CHECK(found.layers[*found.cause].name == "r1");
  const std::string text = describe_jump(found);
  CAPTURE(text);
  CHECK(text.starts_with("The error jumps at Conv 'c2': its SQNR is "));
  CHECK(text.find(" It comes from Relu 'r1' after Conv 'c1': half of its "
                  "channels have ") != std::string::npos);
  CHECK(text.ends_with("too many for one scale."));
}

TEST_CASE("a quantizer that clips is found, and said") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,2,4,4]
    init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
    %c: float[N,2,4,4] = Conv(%x, %w) @conv
    %r: float[N,2,4,4] = Relu(%c) @relu
    %p: float[N,2,1,1] = GlobalAveragePool(%r) @pool
    %y: float[N,2,1,1] = Sigmoid(%p) @gate
    output %y
  })");
  const ir::Model clipped = model_of(R"(graph main {
    input %x: float[N,2,4,4]
    init %s = float[] {0.002}
    init %z = uint8[] {0}
    init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
    %c: float[N,2,4,4] = Conv(%x, %w) @conv
    %r: float[N,2,4,4] = Relu(%c) @relu
    %q: uint8[N,2,4,4] = QuantizeLinear(%r, %s, %z)
    %d: float[N,2,4,4] = DequantizeLinear(%q, %s, %z)
    %p: float[N,2,1,1] = GlobalAveragePool(%d) @pool
    %y: float[N,2,1,1] = Sigmoid(%p) @gate
    output %y
  })");
  MemorySource data({2, 4, 4}, test::random_samples(20, 32, 5));
  const Comparison found =
      compare_layers(real, clipped, data, {}, silent_progress(), nullptr);
  REQUIRE(found.first_jump);
  CHECK(found.layers[*found.first_jump].name == "relu");
  CHECK(found.layers[0].drop_db == 0);
  CHECK_FALSE(found.cause);
  CHECK(describe_jump(found) ==
        fmt::format("The error jumps at Relu 'relu' after Conv 'conv': its "
                    "SQNR is {:.1f} dB, {:.1f} dB below the 40 dB that count "
                    "as no loss.",
                    found.layers[1].sqnr_db, 40 - found.layers[1].sqnr_db));
  const double share = *found.layers[1].clipped_share;
  CHECK(share > 0.2);
  CHECK(share < 0.6);
  const auto remarks = comparison_remarks(found);
  REQUIRE(remarks.size() == 1);
  CHECK(remarks[0].starts_with("Relu 'relu' after Conv 'conv': "));
  CHECK(
      remarks[0].ends_with("% of its values lie beyond the quantizer's "
                           "range; calibrate on more samples or with a "
                           "wider range"));
}

void check_same(const Comparison& a, const Comparison& b) {
  CHECK(a.samples == b.samples);
  CHECK(a.first_jump == b.first_jump);
  REQUIRE(a.layers.size() == b.layers.size());
  for (size_t i = 0; i < a.layers.size(); ++i) {
    CHECK(a.layers[i].name == b.layers[i].name);
    CHECK(a.layers[i].sqnr_db == b.layers[i].sqnr_db);
    CHECK(a.layers[i].cosine == b.layers[i].cosine);
    CHECK(a.layers[i].channel_sqnr_db == b.layers[i].channel_sqnr_db);
    CHECK(a.layers[i].unused_codes_share == b.layers[i].unused_codes_share);
  }
}

TEST_CASE("neither jobs nor groups change the result") {
  MemorySource data({4, 8, 8}, test::random_samples(19, 256, 9));
  const ir::Model real = skewed(10, false), quantized = skewed(10, true);
  const auto run = [&](int jobs, uint64_t max_bytes) {
    CompareOptions options;
    options.jobs = jobs;
    options.max_bytes = max_bytes;
    data.reads = 0;
    return compare_layers(real, quantized, data, options, silent_progress(),
                          nullptr);
  };
  const Comparison one = run(1, uint64_t{1} << 30);
  const int reads = data.reads;
  check_same(one, run(3, uint64_t{1} << 30));
  CHECK(data.reads == reads);
  check_same(one, run(2, 1));
  CHECK(data.reads == reads + 2);  // three groups of one layer
}

TEST_CASE("a copy loses nothing, and labels give both accuracies") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,3]
    %a: float[N,3] = Neg(%x)
    %y: float[N,3] = Softmax(%a)
    output %y
  })");
  MemorySource data({3}, {{3, 2, 1}, {1, 2, 3}}, {2, 1});
  const Comparison same =
      compare_layers(real, real, data, {}, silent_progress(), nullptr);
  CHECK(same.samples == 2);
  CHECK_FALSE(same.first_jump);
  CHECK(describe_jump(same) == "No layer falls below 40 dB.");
  CHECK(comparison_remarks(same).empty());
  CHECK(*same.reference_top1 == 0.5);
  CHECK(*same.accuracy.top1 == 0.5);
  CHECK(*same.accuracy.agreement == 1);
  for (const LayerError& layer : same.layers) CHECK(layer.sqnr_db == 200);
}

TEST_CASE("codes of integer operators are compared as real numbers") {
  const ir::Model quantized = model_of(test::kOnCodes);
  const ir::Model real = model_of(test::kOnFloats);
  MemorySource data({2, 4, 4}, test::random_samples(5, 32, 1));
  const Comparison comparison =
      compare_layers(real, quantized, data, {}, silent_progress(), nullptr);
  REQUIRE(comparison.layers.size() == 4);
  CHECK(comparison.unmatched == 0);
  for (const LayerError& layer : comparison.layers) {
    CHECK(layer.sqnr_db > 25);
    CHECK(layer.unused_codes_share);
  }
}

TEST_CASE("one value may stand for two, and types may be unknown") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,3]
    %h: float[N,3] = Tanh(%x) @tanh
    %y0: float[N,3] = Abs(%h) @abs
    %y: float[N,3] = Identity(%y0) @same
    output %y
  })");
  const ir::Model other = ir::parse_text(R"(ir_version 8
  opset 17
  opset com.microsoft 1
  graph main {
    input %x: float[N,3]
    init %s = float[] {0.004}
    init %z = uint8[] {0}
    %t: float[N,3] = Tanh(%x) @tanh
    %h = com.microsoft::QuickGelu(%t) {alpha = 100.0} @gelu
    %y0: float[N,3] = Abs(%h) @abs
    %q: uint8[N,3] = QuantizeLinear(%y0, %s, %z)
    %y: float[N,3] = DequantizeLinear(%q, %s, %z)
    output %y
  })");
  MemorySource data({3}, {{1, 2, 3}, {0.5f, 1.5f, 0.25f}});
  const Comparison found =
      compare_layers(real, other, data, {}, silent_progress(), nullptr);
  REQUIRE(found.layers.size() == 3);
  CHECK(found.unmatched == 0);
  CHECK(found.layers[0].name == "tanh");
  CHECK(found.layers[1].sqnr_db == found.layers[2].sqnr_db);
  CHECK(found.layers[1].sqnr_db > 40);
}

TEST_CASE("half precision inside and at the inputs, under other names") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,3]
    init %w = float[3] {1.001, 2.002, 3.003}
    %a: float[N,3] = Mul(%x, %w) @mul
    %y: float[N,3] = Sigmoid(%a) @gate
    output %y
  })");
  const ir::Model half = model_of(R"(graph main {
    input %in: float16[N,3]
    init %w32 = float[3] {1.001, 2.002, 3.003}
    %w: float16[3] = Cast(%w32) {to = 10}
    %a: float16[N,3] = Mul(%in, %w) @mul
    %z: float16[N,3] = Sigmoid(%a) @gate
    output %z
  })");
  MemorySource data({3}, test::random_samples(4, 3, 2));
  const Comparison found =
      compare_layers(real, half, data, {}, silent_progress(), nullptr);
  REQUIRE(found.layers.size() == 2);
  CHECK(found.unmatched == 0);
  for (const LayerError& layer : found.layers) {
    CHECK(layer.sqnr_db > 55);
    CHECK(layer.sqnr_db < 90);
  }
}

TEST_CASE("layers that are lost are counted, and passed over") {
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,3]
    %a: float[N,3] = Abs(%x) @abs
    %b: float[N,3] = Neg(%a) @neg
    %y: float[N,3] = Exp(%b) @exp
    output %y
  })");
  const ir::Model other = model_of(R"(graph main {
    input %x: float[N,3]
    init %h = float[] {0.25}
    %a: float[N,3] = Mul(%x, %h)
    %t: float[N,3] = Tanh(%a)
    %y: float[N,3] = Sigmoid(%t)
    output %y
  })");
  MemorySource data({3}, test::random_samples(4, 3, 2));
  const Comparison found =
      compare_layers(real, other, data, {}, silent_progress(), nullptr);
  REQUIRE(found.layers.size() == 2);
  CHECK(found.layers[1].name == "exp");
  CHECK(found.layers[1].inputs == std::vector<size_t>{0});
  CHECK(found.unmatched == 1);
  CHECK(comparison_remarks(found) ==
        std::vector<std::string>{
            "1 of 3 layers have no counterpart in the second model: folded "
            "into others, or not found"});
}

TEST_CASE("models that do not belong together") {
  MemorySource data({3}, {{1, 2, 3}});
  const ir::Model real = model_of(R"(graph main {
    input %x: float[N,3]
    %y: float[N,3] = Abs(%x)
    output %y
  })");
  const ir::Model other = model_of(R"(graph main {
    input %x: float[N,3]
    %u: float[N,3] = Abs(%x)
    %v: float[N,3] = Neg(%x)
    output %u
    output %v
  })");
  CHECK(error_of([&] {
          compare_layers(real, other, data, {}, silent_progress(), nullptr);
        }) ==
        "input: model: its outputs are u, v, the reference's are y (both need "
        "the same outputs to be compared)");
  CancelToken cancel;
  cancel.cancel();
  CHECK(error_of([&] {
          compare_layers(real, real, data, {}, silent_progress(), &cancel);
        }).starts_with("interrupted"));
}

}  // namespace
}  // namespace lathe::accuracy
