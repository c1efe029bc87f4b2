// Taylor and Fisher saliency: known answers, and every gate beside a finite
// difference of the loss.
#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/exec/program.h"
#include "passes/ir/shape_inference.h"
#include "passes/prune/saliency.h"
#include "tests/passes/prune/saliency_support.h"
#include "tests/zoo/blocks.h"
#include "tests/zoo/net_builder.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include "passes/base/error.h"

namespace lathe {
namespace {

using prune::Saliency;
using zoo::NetBuilder;

struct Net : NetBuilder {
  explicit Net(uint64_t seed = 1) : NetBuilder("test", seed) {}
};

// The same model in double precision, for finite differences.
ir::Model as_double(const ir::Model& model) {
  ir::Model result = ir::clone(model);
  for (ir::Value* value : result.graph->values()) {
    if (value->type.elem != ir::DataType::kFloat) continue;
    value->type.elem = ir::DataType::kDouble;
    if (value->has_initializer())
      value->set_tensor(ir::Tensor::from_doubles(ir::DataType::kDouble,
                                                 value->tensor().dims(),
                                                 value->tensor().to_doubles()));
  }
  return result;
}

void scale_weight(ir::Model& model, const prune::WeightAxis& weight,
                  size_t unit, double factor) {
  ir::Value& value = *model.graph->find(weight.weight);
  std::vector<double> elements = value.tensor().to_doubles();
  const std::vector<int64_t>& dims = value.tensor().dims();
  size_t inner = 1;
  for (size_t i = static_cast<size_t>(weight.axis) + 1; i < dims.size(); ++i)
    inner *= static_cast<size_t>(dims[i]);
  const auto size = static_cast<size_t>(dims[weight.axis]);
  for (size_t i = 0; i < elements.size(); ++i)
    for (const int64_t at : weight.positions[unit])
      if (i / inner % size == static_cast<size_t>(at)) elements[i] *= factor;
  value.set_tensor(ir::Tensor::from_doubles(value.type.elem, dims, elements));
}

// What reads the unit reads `factor` times it; where no weight does, the first
// weight that computes it (and its bias) does so.
ir::Model with_gate(const ir::Model& model, const prune::ChannelGroup& group,
                    size_t unit, double factor) {
  ir::Model gated = ir::clone(model);
  for (const prune::WeightAxis& reader : group.readers)
    scale_weight(gated, reader, unit, factor);
  if (group.readers.empty())
    for (const prune::WeightAxis& source : group.sources)
      if (source.value == group.sources[0].value)
        scale_weight(gated, source, unit, factor);
  return gated;
}

double cross_entropy(const ir::Model& model, const Batch& batch) {
  const std::vector<double> scores = exec::make_torch_executor()
                                         ->prepare(model)
                                         ->run(batch.inputs)[0]
                                         .to_doubles();
  double sum = 0;
  for (const double score : scores) sum += std::exp(score);
  return std::log(sum) - scores[static_cast<size_t>(batch.labels[0])];
}

void gates_agree(const ir::Model& single) {
  const ir::Model model = as_double(single);
  const prune::ChannelGroups groups(model);
  test::GivenBatches data = test::GivenBatches::normal(model, 1, 3);
  const Batch& batch = data.batches()[0];
  const Saliency taylor =
      test::saliency_of(model, {.method = "taylor", .labels = true}, &data);
  const Saliency fisher =
      test::saliency_of(model, {.method = "fisher", .labels = true}, &data);
  bool any = false;
  for (size_t g = 0; g < groups.groups().size(); ++g) {
    const prune::ChannelGroup& group = groups.groups()[g];
    if (!group.frozen.empty()) continue;
    CAPTURE(group.name);
    for (size_t unit = 0; unit < taylor[g].size(); ++unit) {
      CAPTURE(unit);
      constexpr double kStep = 1e-4;
      const double slope =
          (cross_entropy(with_gate(model, group, unit, 1 + kStep), batch) -
           cross_entropy(with_gate(model, group, unit, 1 - kStep), batch)) /
          (2 * kStep);
      CHECK(std::abs(taylor[g][unit] - std::abs(slope)) <=
            1e-6 * (1 + std::abs(slope)));
      CHECK(fisher[g][unit] ==
            doctest::Approx(0.5 * taylor[g][unit] * taylor[g][unit]));
      any = any || std::abs(slope) > 1e-3;
    }
  }
  CHECK(any);
}

TEST_CASE("gates: convolutions, residual sums and squeeze-excite") {
  Net net;
  net.keep_batch_norm();
  ir::Value* x = net.conv(net.image(8), 6, 3, 1, zoo::Act::kRelu);
  x = zoo::inverted_residual(
      net, x, {.hidden = 8, .out = 6, .act = zoo::Act::kSwish, .squeeze = {4}});
  x = net.add(net.conv(net.conv(x, 5, 3, 1, zoo::Act::kRelu), 6, 3), x);
  // Two groups behind each other, read by one grouped convolution.
  x = net.concat({net.conv(x, 4, 1), net.conv(x, 4, 3)});
  x = net.conv(x, 6, zoo::square(3), zoo::Act::kNone, 2);
  gates_agree(net.finish(net.classifier(x, 3)));
}

TEST_CASE("gates: heads and their width") {
  Net net;
  constexpr int64_t kTokens = 4, kHeads = 2, kWidth = 3;
  ir::Value* x = net.input("x", {1, kTokens, 5});
  const auto heads = [&](ir::Value* value, const NetBuilder::Dims& order) {
    return net.transpose(net.reshape(net.linear(value, kHeads * kWidth),
                                     {1, kTokens, kHeads, kWidth}),
                         order);
  };
  ir::Value* scores =
      net.softmax(net.matmul(heads(x, {0, 2, 1, 3}), heads(x, {0, 2, 3, 1})));
  ir::Value* mixed = net.matmul(scores, heads(x, {0, 2, 1, 3}));
  mixed = net.reshape(net.transpose(mixed, {0, 2, 1, 3}),
                      {1, kTokens, kHeads * kWidth});
  ir::Value* y = net.add(net.linear(mixed, 5), x);
  y = net.add(net.linear(net.gelu(net.linear(net.layer_norm(y), 7)), 5), y);
  y = net.linear(net.reshape(y, {1, kTokens * 5}), 3);
  gates_agree(net.finish(y));
}

TEST_CASE("gates: a recurrent layer's own state is read as well") {
  for (const auto& [op, gates] : {std::pair{"LSTM", 4}, {"GRU", 3}}) {
    CAPTURE(std::string(op));
    Net net;
    ir::Value* x = net.linear(net.input("x", {3, 1, 4}), 5, zoo::Act::kRelu);
    ir::Value* y = net.add_node(op,
                                {x, net.uniform("w", {1, gates * 4, 5}, 1),
                                 net.uniform("r", {1, gates * 4, 4}, 1),
                                 net.uniform("b", {1, 2 * gates * 4}, 1)},
                                {{"hidden_size", int64_t{4}}});
    y = net.linear(net.reshape(y, {1, 12}), 3);
    gates_agree(net.finish(y));
  }
}

// y = w2 (w1 x): each unit's part of y is known.
const char* kSum = R"(
  input %x: float[N,2]
  init %w1 = float[2,3] {1.0, 0.0, 2.0, 0.0, 1.0, -1.0}
  init %w2 = float[3,1] {1.0, -3.0, 0.0}
  %h = MatMul(%x, %w1) @first
  %y = MatMul(%h, %w2) @second
  output %y)";

TEST_CASE("saliency: the squared relative error of an output") {
  const ir::Model model = test::text_model(kSum);
  // h = (1, 2, 0), y = 1 - 6 = -5; h = (4, 1, 7), y = 4 - 3 = 1.
  test::GivenBatches data(
      {test::batch_of({1, 2}, {1, 2}), test::batch_of({1, 2}, {4, 1})});
  const Saliency taylor = test::saliency_of(model, {.method = "taylor"}, &data);
  CHECK(taylor[0][0] == doctest::Approx((1.0 / 5 + 4) / 2));
  CHECK(taylor[0][1] == doctest::Approx((6.0 / 5 + 3) / 2));
  CHECK(taylor[0][2] == 0);  // nobody looks at it
  const Saliency fisher = test::saliency_of(model, {.method = "fisher"}, &data);
  CHECK(fisher[0][0] == doctest::Approx((1.0 / 25 + 16) / 4));
  CHECK(fisher[0][1] == doctest::Approx((36.0 / 25 + 9) / 4));
  CHECK(fisher[0][2] == 0);
  // One sample alone.
  CHECK(test::saliency_of(model, {.method = "taylor", .samples = 1},
                          &data)[0][0] == doctest::Approx(1.0 / 5));
}

TEST_CASE("saliency: samples of one batch are told apart") {
  ir::Model model = test::text_model(kSum);
  ir::bind_input_shapes(model, {{"x", {2, 2}}});
  test::GivenBatches data({test::batch_of({2, 2}, {1, 2, 4, 1})});
  const Saliency fisher = test::saliency_of(model, {.method = "fisher"}, &data);
  CHECK(fisher[0][0] == doctest::Approx((1.0 / 25 + 16) / 4));
  CHECK(fisher[0][1] == doctest::Approx((36.0 / 25 + 9) / 4));
}

TEST_CASE("saliency: probabilities move by their Fisher information") {
  const ir::Model model = test::text_model(R"(
    input %x: float[1,2]
    init %w1 = float[2,2] {1.0, 0.0, 0.0, 1.0}
    init %w2 = float[2,3] {1.0, -1.0, 0.0, 0.0, 1.0, 0.5}
    %h = MatMul(%x, %w1) @first
    %z = MatMul(%h, %w2) @second
    %y = Softmax(%z)
    output %y)");
  const std::vector<double> x = {0.5, 0.8};
  const double w2[2][3] = {{1, -1, 0}, {0, 1, 0.5}};
  double p[3], sum = 0;
  for (int k = 0; k < 3; ++k)
    sum += p[k] = std::exp(x[0] * w2[0][k] + x[1] * w2[1][k]);
  test::GivenBatches data(
      std::vector<Batch>(4000, test::batch_of({1, 2}, {0.5f, 0.8f})));
  const Saliency fisher =
      test::saliency_of(model, {.method = "fisher", .samples = 4000}, &data);
  for (int unit = 0; unit < 2; ++unit) {
    double mean = 0, square = 0;
    for (int k = 0; k < 3; ++k) {
      mean += p[k] / sum * x[unit] * w2[unit][k];
      square += p[k] / sum * std::pow(x[unit] * w2[unit][k], 2);
    }
    CHECK(fisher[0][unit] ==
          doctest::Approx((square - mean * mean) / 2).epsilon(0.05));
  }
}

TEST_CASE("saliency: labels beside probabilities and beside scores") {
  const std::string scores = R"(
    input %x: float[1,2]
    init %w1 = float[2,2] {1.0, 0.5, -0.5, 1.0}
    init %w2 = float[2,3] {1.0, -1.0, 0.0, 0.0, 1.0, 0.5}
    %h = MatMul(%x, %w1) @first
    %z = MatMul(%h, %w2) @second)";
  test::GivenBatches data({test::batch_of({1, 2}, {1, 3}, {2})});
  const prune::SaliencyOptions options{.method = "taylor", .labels = true};
  const Saliency plain = test::saliency_of(
      test::text_model(scores + " output %z"), options, &data);
  const Saliency probabilities = test::saliency_of(
      test::text_model(scores + " %y = Softmax(%z) output %y"), options, &data);
  for (size_t unit = 0; unit < 2; ++unit) {
    CHECK(plain[0][unit] > 0.01);
    CHECK(probabilities[0][unit] == doctest::Approx(plain[0][unit]));
  }
}

TEST_CASE("saliency: jobs do not change it") {
  Net net;
  net.keep_batch_norm();
  ir::Value* x = net.conv(net.image(8), 6, 3, 1, zoo::Act::kRelu);
  x = net.conv(x, 6, 3, 2, zoo::Act::kRelu);
  const ir::Model model = net.finish(net.classifier(x, 4));
  test::GivenBatches data = test::GivenBatches::normal(model, 7);
  for (const char* method : {"taylor", "fisher", "reconstruction"}) {
    CAPTURE(std::string(method));
    CHECK(test::saliency_of(model, {.method = method}, &data, 1) ==
          test::saliency_of(model, {.method = method}, &data, 3));
  }
}

TEST_CASE("saliency: what samples cannot be used for") {
  const ir::Model model = test::text_model(kSum);
  const prune::SaliencyOptions labels{.method = "fisher", .labels = true};
  test::GivenBatches empty({});
  CHECK_THROWS_WITH_AS(test::saliency_of(model, {.method = "fisher"}, &empty),
                       "given batches: the data has no samples", Error);
  test::GivenBatches unlabelled({test::batch_of({1, 2}, {1, 2})});
  CHECK_THROWS_WITH_AS(
      test::saliency_of(model, labels, &unlabelled),
      "saliency 'fisher': labels are to count, but the data has none (without "
      "them, the model's own outputs are what counts)",
      Error);
  test::GivenBatches labelled({test::batch_of({1, 2}, {1, 2}, {3})});
  CHECK_THROWS_WITH_AS(
      test::saliency_of(model, labels, &labelled),
      "saliency: labels are to count, but the first output is not [N, classes] "
      "(without them, the model's own outputs are what counts)",
      Error);
  const ir::Model classifier = test::text_model(R"(
    input %x: float[1,2]
    init %w1 = float[2,2] {1.0, 0.5, -0.5, 1.0}
    init %w2 = float[2,3] {1.0, -1.0, 0.0, 0.0, 1.0, 0.5}
    %h = MatMul(%x, %w1) @first
    %z = MatMul(%h, %w2) @second
    output %z)");
  CHECK_THROWS_WITH_AS(test::saliency_of(classifier, labels, &labelled),
                       "label 3: it is outside the model's classes, 0 to 2",
                       Error);
  test::GivenBatches broken(
      {test::batch_of({1, 2}, {std::numeric_limits<float>::infinity(), 2})});
  CHECK_THROWS_WITH_AS(
      test::saliency_of(model, {.method = "fisher"}, &broken),
      "group 'first': saliency 'fisher' is not finite (check the preprocessing "
      "of the data and the model's weights)",
      Error);
}

}  // namespace
}  // namespace lathe
