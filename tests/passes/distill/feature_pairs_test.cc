#include "passes/distill/feature_pairs.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "passes/base/text.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "passes/pass_context.h"
#include "passes/rewrite/rewrite.h"
#include "tests/zoo/architectures.h"
#include "tests/zoo/zoo.h"

namespace lathe {
namespace {

using distill::FeaturePair;
using distill::PairOptions;
using zoo::NetBuilder;
using Value = ir::Value;

// "student/teacher channels/channels axis" a line, and " by name".
std::string shown(const std::vector<FeaturePair>& pairs) {
  std::vector<std::string> lines;
  for (const FeaturePair& pair : pairs)
    lines.push_back(fmt::format("{}/{} {}/{} {}{}", pair.student, pair.teacher,
                                pair.student_channels, pair.teacher_channels,
                                pair.axis, pair.by_name ? " by name" : ""));
  return join(lines, "\n");
}

std::string shown(const ir::Model& student, const ir::Model& teacher,
                  const PairOptions& options = {}) {
  return shown(distill::pair_features(student, teacher, options));
}

ir::Model zoo_model(const std::string& name) {
  return zoo::build_zoo_model(name, 1);
}

// Blocks of x + f(x) on [1, 16, width] tokens.
ir::Model transformer(int layers, int64_t width) {
  NetBuilder net("transformer", 1);
  Value* ids = net.input("ids", {1, 16}, ir::DataType::kInt64);
  Value* mask = net.input("mask", {1, 16, 1}, ir::DataType::kFloat);
  Value* x =
      net.add_node("Gather", {net.uniform("table", {10, width}, 1.0f), ids});
  x = net.layer_norm(x);
  for (int layer = 0; layer < layers; ++layer) {
    net.scope("layer" + std::to_string(layer));
    Value* y = net.linear(net.mul(x, mask), width);
    x = net.layer_norm(net.add(y, x));
    y = net.linear(net.gelu(net.linear(x, 2 * width)), width);
    x = net.layer_norm(net.add(y, x));
  }
  net.scope("head");
  return net.finish(net.linear(x, 7));
}

// Two stages of two residual blocks; a width of 0 leaves the block out.
ir::Model residual(int64_t first, int64_t second, std::vector<int64_t> inner,
                   int64_t size = 16) {
  NetBuilder net("residual", 1);
  net.scope("stem");
  Value* x = net.conv(net.image(size), first, 3, 1, zoo::Act::kRelu);
  for (size_t block = 0; block < inner.size(); ++block) {
    net.scope("block" + std::to_string(block));
    if (block == 2) x = net.conv(x, second, 3, 2, zoo::Act::kRelu);
    if (inner[block] == 0) continue;
    Value* y = net.conv(x, inner[block], 3, 1, zoo::Act::kRelu);
    x = net.add(net.conv(y, NetBuilder::channels(x), 3), x);
  }
  net.scope("head");
  return net.finish(net.classifier(x, 5));
}

// What reads the value reads an earlier one, and what is between is gone.
void skip(ir::Model& model, const std::string& from, const std::string& to) {
  ir::Graph& graph = *model.graph;
  graph.replace_all_uses(graph.find(from), graph.find(to));
  PassContext context;
  rewrite::make_remove_dead_code()->run(model, context);
}

ir::Model mlp(const std::vector<int64_t>& widths) {
  NetBuilder net("mlp", 1);
  Value* x = net.input("x", {1, 20}, ir::DataType::kFloat);
  for (const int64_t width : widths) x = net.linear(x, width, zoo::Act::kRelu);
  return net.finish(net.linear(x, 5));
}

TEST_CASE("a residual network gives the ends of its stages") {
  CHECK(shown(zoo_model("resnet18"), zoo_model("resnet50")) ==
        "layer1.1.relu_2/layer1.2.relu_3 64/256 1\n"
        "layer2.1.relu_2/layer2.3.relu_3 128/512 1\n"
        "layer3.1.relu_2/layer3.5.relu_3 256/1024 1\n"
        "layer4.1.relu_2/layer4.2.relu_3 512/2048 1");
  // More are ends of blocks between.
  CHECK(shown(zoo_model("resnet50"), zoo_model("resnet18"), {.most = 6}) ==
        "layer1.2.relu_3/layer1.1.relu_2 256/64 1\n"
        "layer2.3.relu_3/layer2.1.relu_2 512/128 1\n"
        "layer3.4.relu_3/layer3.0.relu_2 1024/256 1\n"
        "layer3.5.relu_3/layer3.1.relu_2 1024/256 1\n"
        "layer4.1.relu_3/layer4.0.relu_2 2048/512 1\n"
        "layer4.2.relu_3/layer4.1.relu_2 2048/512 1");
  CHECK(shown(zoo_model("resnet18"), zoo_model("resnet50"), {.most = 1}) ==
        "layer4.1.relu_2/layer4.2.relu_3 512/2048 1");
  CHECK(shown(zoo_model("resnet18"), zoo_model("resnet50"), {.most = 0}) == "");
}

TEST_CASE("other architectures of the same resolutions") {
  CHECK(shown(zoo_model("mobilenet_v2"), zoo_model("resnet50")) ==
        "block4.clip/layer1.2.relu_3 144/256 1\n"
        "block7.clip/layer2.3.relu_3 192/512 1\n"
        "block14.clip/layer3.5.relu_3 576/1024 1\n"
        "head.clip/layer4.2.relu_3 1280/2048 1");
  CHECK(shown(zoo_model("resnet50"), zoo_model("convnext_tiny")) ==
        "layer1.2.relu_3/stage1.2.add_4 256/96 1\n"
        "layer2.3.relu_3/stage2.2.add_4 512/192 1\n"
        "layer3.5.relu_3/stage3.8.add_4 1024/384 1\n"
        "layer4.2.relu_3/stage4.2.add_4 2048/768 1");
}

TEST_CASE("every architecture is paired with itself by name") {
  for (const zoo::ZooModel& row : zoo::zoo()) {
    CAPTURE(row.name);
    const ir::Model model = row.build(1);
    const auto named = distill::pair_features(model, model);
    CHECK(named.size() >= 3);
    for (const FeaturePair& pair : named) {
      CHECK(pair.by_name);
      CHECK(pair.student == pair.teacher);
      CHECK(pair.student_channels == pair.teacher_channels);
    }
    // Depth says the same.
    PairOptions options;
    options.by_name = false;
    for (const FeaturePair& pair :
         distill::pair_features(model, model, options)) {
      CHECK(!pair.by_name);
      CHECK(pair.student == pair.teacher);
    }
  }
}

TEST_CASE("branches that are concatenated end in a value") {
  const ir::Model model = zoo_model("squeezenet1_1");
  CHECK(shown(model, model) ==
        "fire3.concat/fire3.concat 128/128 1 by name\n"
        "fire5.concat/fire5.concat 256/256 1 by name\n"
        "fire7.concat/fire7.concat 384/384 1 by name\n"
        "fire9.concat/fire9.concat 512/512 1 by name");
}

TEST_CASE("a transformer of fewer layers is paired by depth") {
  const ir::Model teacher = zoo_model("vit_tiny");
  ir::Model half = zoo_model("vit_tiny");
  skip(half, "block11.add_7", "block5.add_7");
  CHECK(shown(half, teacher, {.most = 2}) ==
        "block2.add_7/block5.add_7 192/192 2\n"
        "head.layer_normalization/head.layer_normalization 192/192 2");
  // Words, with a mask that every layer reads; narrower.
  CHECK(shown(transformer(2, 32), transformer(4, 64)) ==
        "layer0.layer_normalization_2/layer1.layer_normalization_2 32/64 2\n"
        "layer1.layer_normalization/layer2.layer_normalization 32/64 2\n"
        "layer1.layer_normalization_2/layer3.layer_normalization_2 32/64 2");
}

TEST_CASE("a student that lost a block keeps its names") {
  ir::Model student = zoo_model("vit_tiny");
  skip(student, "block3.add_7", "block2.add_7");
  CHECK(shown(student, zoo_model("vit_tiny"), {.most = 2}) ==
        "block6.add_3/block6.add_3 192/192 2 by name\n"
        "head.layer_normalization/head.layer_normalization 192/192 2 by name");
}

TEST_CASE("a pruned network is paired by name") {
  const ir::Model teacher = residual(8, 16, {8, 8, 8, 8});
  CHECK(shown(residual(4, 12, {5, 0, 3, 8}), teacher) ==
        "block0.add/block0.add 4/8 1 by name\n"
        "block2.relu/block2.relu 12/16 1 by name\n"
        "block2.add/block2.add 12/16 1 by name\n"
        "block3.add/block3.add 12/16 1 by name");
  // The caller knows better.
  PairOptions options;
  options.most = 2;
  options.by_name = false;
  CHECK(shown(residual(4, 12, {5, 0, 3, 8}), teacher, options) ==
        "block0.add/block1.add 4/8 1\n"
        "block3.add/block3.add 12/16 1");
}

TEST_CASE("values without positions are taken where there are no others") {
  const ir::Model student = mlp({32, 16}), teacher = mlp({64, 48, 16});
  CHECK(shown(student, teacher) == "relu_2/relu_3 16/16 1");
  PairOptions options;
  options.needs_positions = true;
  CHECK(shown(student, teacher, options) == "");
}

TEST_CASE("nothing fits") {
  CHECK(shown(zoo_model("vit_tiny"), zoo_model("resnet50")) == "");
  CHECK(shown(zoo_model("bert_tiny"), zoo_model("resnet18")) == "");
  CHECK(shown(residual(4, 8, {8, 8, 8}, 12), residual(4, 8, {8, 8, 8}, 16)) ==
        "");
}

TEST_CASE("shapes that are computed and other outputs do not close a path") {
  ir::Model model = ir::parse_text(R"(ir_version 8 opset 17 graph g {
    input %x: float[1,2,4,4] input %c: bool[]
    init %w = float[2,2,1,1] {1, 2, 3, 4}
    %a = Conv(%x, %w) %b = Conv(%a, %w) %s = Shape(%a)
    %early = Conv(%a, %w)
    %d = If(%c) {
      then_branch = graph t { %t = Conv(%b, %w) output %t },
      else_branch = graph e { %e = Relu(%b) output %e }
    }
    %r = Reshape(%d, %s) %g = Conv(%r, %w) %f = Relu(%g) %y = Conv(%f, %w)
    output %y output %early
  })");
  ir::infer_shapes(model);
  PairOptions options;
  options.most = 9;
  CHECK(shown(model, model, options) ==
        "d/d 2/2 1 by name\n"
        "f/f 2/2 1 by name");
}

TEST_CASE("channels lie where the layers around have them") {
  const auto axes = [](const std::string& body) {
    ir::Model model = ir::parse_text(
        R"(ir_version 8 opset 17 graph g { input %x: float[1,2,2]
        init %k = float[2,2,1] {1, 2, 3, 4} init %w = float[2,2] {1, 2, 3, 4}
        )" +
        body + " output %y }");
    ir::infer_shapes(model);
    std::string shown;
    for (const FeaturePair& pair : distill::pair_features(model, model))
      shown += pair.student + std::to_string(pair.axis) + " ";
    return shown;
  };
  CHECK(axes(R"(%a = Conv(%x, %k) %b = Conv(%a, %k) %c = Relu(%b)
                %y = Conv(%c, %k))") == "c1 ");
  CHECK(axes(R"(%a = MatMul(%x, %w) %b = MatMul(%a, %w) %c = Relu(%b)
                %y = MatMul(%c, %w))") == "c2 ");
  CHECK(axes(
            R"(%a = MatMul(%x, %w) %b = MatMul(%a, %w)
                %t = Transpose(%b) {perm = [0, 2, 1]}
                %c = Relu(%t) %y = Conv(%c, %k))") == "c1 ");
}

}  // namespace
}  // namespace lathe
