// repair(): what is fitted, what is left alone and why, and what it needs.
#include "passes/prune/repair.h"

#include <algorithm>
#include <fstream>
#include <numeric>

#include "calibration/data/data.h"
#include "passes/base/error.h"
#include "passes/exec/program.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/text_format.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/prune/repair_support.h"
#include "tests/passes/prune/saliency_support.h"
#include "tests/support/shared.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

namespace lathe {
namespace {

using test::DrawnSamples;
using test::PrunedModel;
using test::remarks_of;

// h1 is x1, h2 is x2: without h2 much is lost.
constexpr const char* kChain = R"(
  input %x: float[n,2,5,5]
  init %w = float[3,2,1,1] {1.0, 0.0, 0.0, 1.0, 1.0, 1.0}
  init %v = float[2,3,3,3] {%v}
  init %u = float[2,2,1,1] {1.0, 2.0, -1.0, 0.5}
  %h = Conv(%x, %w) @first
  %r = Relu(%h)
  %k = Conv(%r, %v) {pads = [1, 1, 1, 1]} @second
  %t = Relu(%k)
  %y = Conv(%t, %u) @third
  output %y)";

std::string chain() {
  Random random(3);
  std::string numbers;
  for (int i = 0; i < 54; ++i)
    numbers += (i ? ", " : "") + std::to_string(random.uniform(-1, 1));
  std::string text = kChain;
  return text.replace(text.find("{%v}"), 4, "{" + numbers + "}");
}

std::string text_of(const ir::Model& model) {
  return ir::to_text(model, {.max_elements = 1000, .value_types = true});
}

TEST_CASE("repair: better by far, and the same for any number of jobs") {
  std::string one;
  for (const int jobs : {1, 2, 5}) {
    PrunedModel pruned(chain(), {{"first", {2}}});
    const double before = pruned.difference();
    DrawnSamples data(pruned.model, 96);
    const PassResult result = pruned.repair(data, {}, jobs);
    CHECK(result.changes >= 1);
    CHECK(pruned.difference() < before / 2);
    if (one.empty()) one = text_of(pruned.model);
    CHECK(text_of(pruned.model) == one);
  }
  PrunedModel other(chain(), {{"first", {2}}});
  DrawnSamples fewer(other.model, 32);
  other.repair(fewer);
  CHECK(text_of(other.model) != one);
}

TEST_CASE("repair: a batch that the model fixes, and a single sample") {
  std::string body = chain();
  body.replace(body.find("float[n,"), 8, "float[1,");
  PrunedModel pruned(body, {{"first", {2}}});
  const double before = pruned.difference();
  DrawnSamples data(pruned.model, 96);
  CHECK(pruned.repair(data).changes >= 1);
  CHECK(pruned.difference() < before / 2);
  PrunedModel once(body, {{"first", {2}}});
  DrawnSamples single(once.model, 1);
  CHECK(once.repair(single).changes > 0);
}

TEST_CASE("repair: nothing that comes before what was removed") {
  PrunedModel pruned(chain(), {{"second", {1}}});
  const std::string second =
      ir::to_text(*pruned.model.graph, {.max_elements = 1000});
  DrawnSamples data(pruned.model, 32);
  CHECK(pruned.repair(data).changes == 1);
  const auto weights = [](const ir::Model& model, size_t node) {
    return model.graph->node_list()[node]->input(1)->tensor().to_floats();
  };
  PrunedModel untouched(chain(), {{"second", {1}}});
  CHECK(weights(pruned.model, 2) == weights(untouched.model, 2));
  CHECK(weights(pruned.model, 4) != weights(untouched.model, 4));
}

TEST_CASE("repair: a block that is gone as a whole") {
  // Without it the rest reads x + b(x) as x: the last layer makes up for it.
  PrunedModel pruned(R"(
    input %x: float[n,2]
    init %w = float[2,2] {1.0, 0.5, -0.5, 1.0}
    init %b = float[2,2] {2.0, 0.0, 1.0, 1.0}
    init %v = float[2,2] {1.0, 2.0, 3.0, -1.0}
    %s = MatMul(%x, %w) @stem
    %t = MatMul(%s, %b) @branch
    %z = Add(%s, %t) @sum
    %y = MatMul(%z, %v) @head
    output %y)",
                     {});
  prune::remove_blocks(pruned.model, {"z"});
  REQUIRE(pruned.model.graph->node_list().size() == 2);
  REQUIRE(pruned.difference() > 0.1);
  DrawnSamples data(pruned.model, 32);
  CHECK(pruned.repair(data).changes == 1);
  CHECK(pruned.difference() < 1e-4);
}

TEST_CASE("repair: what is left alone, and why") {
  PrunedModel pruned(R"(
    input %x: float[1,2,4,4]
    init %w = float[3,2,1,1] {1.0, 0.0, 0.0, 1.0, 1.0, 3.0}
    init %t = float[3,1,2,2] {1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0,
                              1.0, 0.0}
    init %v = float[1,3,1,1] {1.0, 2.0, 1.0}
    %h = Conv(%x, %w) @first
    %a = ConvTranspose(%h, %t) {strides = [2, 2]} @upsample
    %b = Conv(%h, %v) @left
    %c = Conv(%h, %v) @right
    output %a output %b output %c)",
                     {{"first", {2}}});
  DrawnSamples data(pruned.model, 16);
  const PassResult result = pruned.repair(data);
  CHECK(result.changes == 0);
  CHECK(remarks_of(result) ==
        "upsample: it lost inputs, but only Conv, Gemm and MatMul are fitted\n"
        "left: another node has the same weights\n"
        "right: another node has the same weights\n");
}

TEST_CASE("repair: values that are not finite") {
  PrunedModel pruned(R"(
    input %x: float[n,2]
    init %w = float[2,2] {1.0, 0.0, 0.0, 1.0}
    init %v = float[2,1] {1.0, 1.0} init %zero = float[1] {0.0}
    %h = MatMul(%x, %w) @first
    %d = Div(%h, %zero)
    %y = MatMul(%d, %v) @second
    output %y)",
                     {{"first", {1}}});
  DrawnSamples data(pruned.model, 16);
  CHECK(remarks_of(pruned.repair(data)) ==
        "second: its values are not finite over the samples\n");
}

TEST_CASE("repair: a BatchNormalization that stands by itself") {
  // The convolution in front of it feeds another reader as well.
  PrunedModel pruned(R"(
    input %x: float[n,2,4,4]
    init %w = float[2,2,1,1] {1.0, 0.0, 0.0, 1.0}
    init %a = float[2] {0.0, 2.0}
    init %v = float[1,2,1,1] {1.0, 1.0}
    init %s = float[1] {1.0} init %b = float[1] {0.0}
    init %m = float[1] {7.0} init %q = float[1] {7.0}
    %h = Conv(%x, %w, %a) @first
    %k = Conv(%h, %v) @second
    %n = BatchNormalization(%k, %s, %b, %m, %q) @norm
    %y = Add(%n, %k)
    output %y)",
                     {{"first", {1}}});
  DrawnSamples data(pruned.model, 64);
  CHECK(pruned.repair(data).changes == 2);
  const ir::Node& norm = *pruned.model.graph->node_list()[2];
  CHECK(norm.input(3)->tensor().to_floats()[0] ==
        doctest::Approx(2).epsilon(0.05));
  CHECK(norm.input(4)->tensor().to_floats()[0] ==
        doctest::Approx(1).epsilon(0.1));
}

TEST_CASE("repair: what it needs") {
  PrunedModel pruned(chain(), {{"first", {2}}});
  PassContext context;
  const auto repair = [&](const prune::RepairOptions& options) {
    return prune::repair(pruned.model, pruned.dense, pruned.groups,
                         pruned.selection, options, context);
  };
  CHECK_THROWS_WITH_AS(
      repair({}), "repair: it needs samples, but none are given (give data)",
      Error);
  DrawnSamples none(pruned.model, 0);
  context.data = &none;
  CHECK_THROWS_WITH_AS(repair({}), "drawn samples: the data has no samples",
                       Error);
  prune::RepairOptions options;
  options.samples = 0;
  CHECK_THROWS_WITH_AS(repair(options),
                       "repair: samples is 0, expected 1 or more", Error);
  options = {};
  options.memory = 0;
  CHECK_THROWS_WITH_AS(repair(options),
                       "repair: memory is 0, expected 1 or more", Error);
  options = {};
  options.ridge = 0;
  CHECK_THROWS_WITH_AS(repair(options), "repair: ridge is 0, expected above 0",
                       Error);
  CHECK_THROWS_WITH_AS(
      prune::make_reconstruct_consumers()->run(pruned.model, context),
      "reconstruct_consumers: it compares with the dense model, but no pass "
      "before it pruned one (put it behind prune_channels in the recipe)",
      Error);
  CHECK_THROWS_WITH_AS(
      prune::make_match_channel_moments()->run(pruned.model, context),
      "match_channel_moments: it compares with the dense model, but no pass "
      "before it pruned one (put it behind prune_channels in the recipe)",
      Error);
  context.reference = &pruned.dense;
  context.pruned =
      std::make_shared<prune::Pruned>(pruned.groups, pruned.selection);
  context.data = nullptr;
  CHECK_THROWS_WITH_AS(
      prune::make_match_channel_moments()->run(pruned.model, context),
      "match_channel_moments: it needs samples, but none are given (give data)",
      Error);
}

// The share of samples for which two models give the same class.
double agreement(const ir::Model& a, const ir::Model& b, BatchSource& data) {
  ReadOptions options;
  options.batch_size = 64;
  options.shuffle_seed = 77;
  const auto reader = data.read(options);
  const auto batch = reader->next();
  const auto executor = exec::make_torch_executor();
  const auto classes = [&](const ir::Model& model) {
    const ir::Tensor scores = executor->prepare(model)->run(batch->inputs)[0];
    std::vector<int64_t> best;
    const auto width = static_cast<std::ptrdiff_t>(scores.dims()[1]);
    const auto values = scores.data<float>();
    for (auto row = values.begin(); row != values.end(); row += width)
      best.push_back(std::max_element(row, row + width) - row);
    return best;
  };
  const auto of_a = classes(a), of_b = classes(b);
  return std::inner_product(of_a.begin(), of_a.end(), of_b.begin(), 0.0,
                            std::plus<>(), std::equal_to<>()) /
         static_cast<double>(of_a.size());
}

TEST_CASE("repair: a trained network that lost a third of its channels") {
  const auto path = test::shared_file("models/cifar10_resnet20/model.onnx");
  const auto images =
      test::shared_file("data/cifar10/cifar10_jpegdec_test_dev1k.bin.gz");
  if (path.empty() || images.empty()) return;
  ir::Model dense = io::import_onnx(path);
  PassContext context;
  rewrite::make_simplify()->run(dense, context);
  const test::TempDir folder;
  const auto descriptor = folder.path() / "data.json";
  std::ofstream(descriptor)
      << R"({"format": "cifar-binary", "path": ")" << images.string()
      << R"(", "image": {"scale": 0.00392156862745098,
             "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}})";
  const auto data = data::open_data(descriptor.string(), dense, {});
  const prune::ChannelGroups groups(dense);
  prune::Selection selection = groups.everything();
  for (size_t i = 0; i < selection.size(); ++i)
    if (groups.groups()[i].frozen.empty())
      for (size_t unit = 0; unit < selection[i].size(); unit += 3)
        selection[i][unit] = false;
  ir::Model model = ir::clone(dense);
  prune::shrink(model, groups, selection);
  const double before = agreement(dense, model, *data);
  context.data = data.get();
  context.jobs = 2;
  prune::RepairOptions options;
  options.samples = 128;
  const PassResult result =
      prune::repair(model, dense, groups, selection, options, context);
  CHECK(result.changes == 19);
  const double after = agreement(dense, model, *data);
  CAPTURE(before);
  CHECK(before < 0.3);
  CHECK(after > 0.6);
}

}  // namespace
}  // namespace lathe
