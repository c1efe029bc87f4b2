// What belongs together, operator by operator. Each network is then pruned at
// random and held against its masked self in the runtime.
#include "passes/prune/channel_groups.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "passes/base/text.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "tests/passes/prune/plan_support.h"
#include "tests/zoo/net_builder.h"

namespace lathe {
namespace {

using zoo::NetBuilder;
using Value = ir::Value;

// "8 channel, 4 block frozen, …": the groups in order.
std::string shown(const prune::ChannelGroups& groups) {
  std::vector<std::string> parts;
  for (const prune::ChannelGroup& group : groups.groups())
    parts.push_back(fmt::format("{} {}{}{}", group.units,
                                prune::to_string(group.kind),
                                group.frozen.empty() ? "" : " frozen",
                                group.rescaling ? " rescaling" : ""));
  return join(parts, ", ");
}

prune::ChannelGroups check_plans(const ir::Model& model,
                                 const ir::InputShapes& shapes = {}) {
  prune::ChannelGroups groups(model, shapes);
  for (uint64_t plan = 0; plan < 6; ++plan) {
    CAPTURE(plan);
    const auto found = test::masked_against_shrunk(
        model, groups, test::random_selection(groups, plan), shapes);
    CHECK(found.same_shapes);
    CHECK(found.difference <= 1e-4);
  }
  return groups;
}

struct Net : NetBuilder {
  explicit Net(uint64_t seed = 1) : NetBuilder("test", seed) {}
};

TEST_CASE("a chain of convolutions is pruned channel by channel") {
  Net net;
  Value* x = net.conv(net.image(8), 6, 3, 1, zoo::Act::kRelu);
  const auto groups = check_plans(net.finish(net.classifier(x, 5)));
  CHECK(shown(groups) == "6 channel, 5 channel frozen");
  const prune::ChannelGroup& first = groups.groups()[0];
  CHECK(first.sources.size() == 2);  // weight and bias
  CHECK(first.readers.size() == 1);
  CHECK(first.readers[0].op_type == "Gemm");
  CHECK(groups.groups()[1].frozen == "'output' is an output of the model");
  CHECK(groups.find(first.name) == 0);
  CHECK(groups.find("nothing") == -1);
}

TEST_CASE("a residual sum ties what it adds") {
  Net net;
  Value* x = net.conv(net.image(8), 8, 3, 1, zoo::Act::kRelu);
  Value* inner = net.conv(x, 12, 3, 1, zoo::Act::kRelu);
  Value* y = net.relu(net.add(net.conv(inner, 8, 3), x));
  const auto groups = check_plans(net.finish(net.classifier(y, 5)));
  CHECK(shown(groups) == "8 channel, 12 channel, 5 channel frozen");
}

TEST_CASE("branches that are concatenated keep their own channels") {
  Net net;
  Value* x = net.conv(net.image(8), 8, 1, 1, zoo::Act::kRelu);
  Value* y = net.concat({net.conv(x, 4, 1), net.conv(x, 6, 3), x});
  y = net.concat({net.conv(y, 5, 3), y});
  const auto groups = check_plans(net.finish(net.classifier(y, 5)));
  CHECK(shown(groups) ==
        "8 channel, 4 channel, 6 channel, 5 channel, 5 channel frozen");
  // The 6 channels lie behind the 4.
  const prune::ChannelGroup& second = groups.groups()[2];
  REQUIRE(second.readers.size() == 2);
  CHECK(second.readers[0].positions[0] == std::vector<int64_t>{4});
  CHECK(second.readers[1].positions[0] == std::vector<int64_t>{5 + 4});
}

TEST_CASE("a flattened image has each channel as often as it has pixels") {
  Net net;
  Value* x = net.conv(net.image(4), 6, 3, 1, zoo::Act::kRelu);
  Value* y = net.linear(net.flatten(x), 7, zoo::Act::kRelu);
  const auto groups = check_plans(net.finish(net.linear(y, 3)));
  CHECK(shown(groups) == "6 channel, 7 channel, 3 channel frozen");
  CHECK(groups.groups()[0].readers[0].positions[1].size() == 16);
  CHECK(groups.groups()[0].readers[0].positions[1][0] == 16);
}

TEST_CASE("a channel-last view is followed") {
  Net net;
  Value* x = net.conv(net.image(4), 6, 3, 1, zoo::Act::kRelu);
  Value* y = net.reshape(net.transpose(x, {0, 2, 3, 1}), {1, 96});
  const auto groups = check_plans(net.finish(net.linear(y, 3)));
  CHECK(shown(groups) == "6 channel, 3 channel frozen");
  CHECK(groups.groups()[0].readers[0].positions[1][1] == 7);
}

TEST_CASE("depthwise and grouped convolutions lose whole groups or a share") {
  Net net;
  Value* x = net.conv(net.image(8), 8, 1, 1, zoo::Act::kRelu6);
  x = net.depthwise(x, 3, 1, zoo::Act::kRelu6);
  x = net.conv(x, 12, 1);
  x = net.conv(x, 8, zoo::square(3), zoo::Act::kRelu, /*group=*/4);
  const auto groups = check_plans(net.finish(net.classifier(x, 5)));
  // Of the grouped one: its 4 groups, 3 inputs and 2 outputs of each.
  CHECK(shown(groups) ==
        "8 channel, 4 block, 3 element, 2 element, 5 channel frozen");
}

TEST_CASE("a channel shuffle takes the same channels of every group") {
  Net net;
  Value* x = net.conv(net.image(6), 8, 1, 1, zoo::Act::kRelu);
  Value* y = net.reshape(x, {1, 2, 4, 6, 6});
  y = net.reshape(net.transpose(y, {0, 2, 1, 3, 4}), {1, 8, 6, 6});
  y = net.conv(y, 8, zoo::square(3), zoo::Act::kRelu, /*group=*/2);
  const ir::Model model = net.finish(net.classifier(y, 5));
  check_plans(model);
}

TEST_CASE("a squeeze-and-excite gate goes with its channels") {
  Net net;
  Value* x = net.conv(net.image(8), 8, 3, 1, zoo::Act::kRelu);
  Value* gate = net.conv(net.global_pool(x), 4, 1, 1, zoo::Act::kRelu);
  gate = net.add_node("Sigmoid", {net.conv(gate, 8, 1)});
  const auto groups =
      check_plans(net.finish(net.classifier(net.mul(x, gate), 5)));
  CHECK(shown(groups) == "8 channel, 4 channel, 5 channel frozen");
}

TEST_CASE("a shortcut without parameters pads channels") {
  Net net;
  Value* x = net.conv(net.image(8), 4, 3, 1, zoo::Act::kRelu);
  Value* cut = net.add_node(
      "Slice",
      {x, net.integers("starts", {0, 0}), net.integers("ends", {1000, 1000}),
       net.integers("axes", {2, 3}), net.integers("steps", {2, 2})});
  Value* padded = net.add_node(
      "Pad", {cut, net.integers("pads", {0, 2, 0, 0, 0, 2, 0, 0})});
  Value* y = net.relu(net.add(net.conv(x, 8, 3, 2), padded));
  const auto groups = check_plans(net.finish(net.classifier(y, 5)));
  // The 4 that go through the shortcut, and the 4 beside them.
  CHECK(shown(groups) == "4 channel, 4 channel, 5 channel frozen");
  CHECK(groups.groups()[0].sources[0].positions[0] == std::vector<int64_t>{0});
}

TEST_CASE("slices and splits of channels are followed") {
  Net net;
  Value* x = net.conv(net.image(8), 10, 3, 1, zoo::Act::kRelu);
  const auto parts = net.split(x, {4, 6});
  Value* cut = net.add_node(
      "Slice", {parts[1], net.integers("starts", {2}),
                net.integers("ends", {6}), net.integers("axes", {1})});
  Value* y = net.add(net.conv(parts[0], 4, 1), cut);
  const auto groups = check_plans(net.finish(net.classifier(y, 5)));
  CHECK(shown(groups) == "4 channel, 2 channel, 4 channel, 5 channel frozen");
}

TEST_CASE("pixels made of channels keep their place") {
  Net net;
  Value* x = net.conv(net.image(4), 12, 3, 1, zoo::Act::kRelu);
  x = net.add_node("DepthToSpace", {x},
                   {{"blocksize", int64_t{2}}, {"mode", std::string("CRD")}});
  x = net.conv(x, 5, 3, 1, zoo::Act::kRelu);
  x = net.add_node("SpaceToDepth", {x}, {{"blocksize", int64_t{2}}});
  const auto groups = check_plans(net.finish(net.classifier(x, 5)));
  CHECK(groups.groups()[0].units == 3);
  CHECK(groups.groups()[0].sources[0].positions[1] ==
        std::vector<int64_t>{4, 5, 6, 7});
}

TEST_CASE("transposed convolutions and resizes") {
  Net net;
  Value* x = net.conv(net.image(8), 8, 3, 2, zoo::Act::kRelu);
  Value* up = net.up_conv(x, 6, zoo::Act::kRelu);
  Value* other = net.resize2(net.conv(x, 6, 1), "linear");
  const auto groups =
      check_plans(net.finish(net.classifier(net.add(up, other), 5)));
  CHECK(shown(groups) == "8 channel, 6 channel, 5 channel frozen");
}

TEST_CASE("normalizations carry their parameters") {
  Net net;
  Value* x = net.conv(net.image(6), 8, 3, 1);
  x = net.relu(net.batch_norm(x));
  x = net.conv(x, 6, 3, 1);
  x = net.relu(net.add_node(
      "InstanceNormalization",
      {x, net.uniform("scale", {6}, 0.5f, 1.5f), net.uniform("bias", {6}, 1)}));
  x = net.conv(x, 8, 3, 1);
  const auto groups = check_plans(net.finish(net.classifier(x, 5)));
  CHECK(shown(groups) == "8 channel, 6 channel, 8 channel, 5 channel frozen");
}

TEST_CASE("a layer normalization rescales what is left") {
  Net net;
  Value* x = net.linear(net.input("x", {1, 4, 6}), 8, zoo::Act::kRelu);
  x = net.linear(net.layer_norm(x), 7, zoo::Act::kRelu);
  const ir::Model model = net.finish(net.linear(x, 3));
  const auto groups = check_plans(model);
  CHECK(shown(groups) == "8 channel rescaling, 7 channel, 3 channel frozen");
  // It can be pruned all the same.
  ir::Model smaller = ir::clone(model);
  prune::Selection selection = groups.everything();
  selection[0][3] = selection[0][5] = false;
  prune::shrink(smaller, groups, selection);
  CHECK(groups.kept(smaller.graph->outputs()[0]->name(), selection)[2].size() ==
        3);
}

TEST_CASE("attention loses heads and elements of every head") {
  Net net;
  constexpr int64_t kTokens = 5, kHeads = 3, kWidth = 4;
  Value* x = net.input("x", {1, kTokens, 8});
  const auto heads = [&](Value* value) {
    return net.transpose(net.reshape(net.linear(value, kHeads * kWidth),
                                     {1, kTokens, kHeads, kWidth}),
                         {0, 2, 1, 3});
  };
  Value* q = heads(x);
  Value* k = net.transpose(heads(x), {0, 1, 3, 2});
  Value* scores = net.softmax(net.mul(net.matmul(q, k), net.scalar("s", 0.5f)));
  Value* mixed = net.matmul(scores, heads(x));
  mixed = net.reshape(net.transpose(mixed, {0, 2, 1, 3}),
                      {1, kTokens, kHeads * kWidth});
  Value* y = net.add(net.linear(mixed, 8), x);
  y = net.add(net.linear(net.linear(y, 16, zoo::Act::kRelu), 8), y);
  const auto groups = check_plans(net.finish(y));
  // Heads of q, k and v together; the width of q and k, and that of v.
  CHECK(shown(groups) ==
        "3 block, 4 element, 4 element, 8 channel frozen, 16 channel, "
        "8 channel frozen");
  CHECK(groups.groups()[0].sources[0].positions[1] ==
        std::vector<int64_t>{4, 5, 6, 7});
  CHECK(groups.groups()[1].sources[0].positions[1] ==
        std::vector<int64_t>{1, 5, 9});
}

TEST_CASE("queries, keys and values of one product") {
  Net net;
  constexpr int64_t kTokens = 5, kHeads = 3, kWidth = 4;
  Value* x = net.input("x", {1, kTokens, 8});
  Value* all = net.reshape(net.linear(x, 3 * kHeads * kWidth),
                           {1, kTokens, 3, kHeads, kWidth});
  all = net.transpose(all, {2, 0, 3, 1, 4});
  const auto pick = [&](int64_t which) {
    return net.add_node("Gather", {all, net.integer("which", which)});
  };
  Value* k = net.transpose(pick(1), {0, 1, 3, 2});
  Value* mixed = net.matmul(net.softmax(net.matmul(pick(0), k)), pick(2));
  mixed = net.reshape(net.transpose(mixed, {0, 2, 1, 3}),
                      {1, kTokens, kHeads * kWidth});
  const auto groups = check_plans(net.finish(net.linear(mixed, 8)));
  CHECK(groups.groups()[0].frozen.find("picks it") != std::string::npos);
  int64_t open = 0;
  for (const auto& group : groups.groups()) open += group.frozen.empty();
  CHECK(open == 2);  // heads, and their width
}

TEST_CASE("recurrent layers lose hidden units in every gate") {
  for (const auto& [op, gates] :
       {std::pair{"LSTM", 4}, {"GRU", 3}, {"RNN", 1}}) {
    CAPTURE(op);
    Net net;
    Value* x = net.linear(net.input("x", {6, 1, 5}), 7, zoo::Act::kRelu);
    Value* y = net.add_node(op,
                            {x, net.uniform("w", {2, gates * 8, 7}, 1),
                             net.uniform("r", {2, gates * 8, 8}, 1),
                             net.uniform("b", {2, 2 * gates * 8}, 1)},
                            {{"hidden_size", int64_t{8}},
                             {"direction", std::string("bidirectional")}});
    y = net.reshape(net.transpose(y, {0, 2, 1, 3}), {6, 1, 16});
    const auto groups = check_plans(net.finish(net.linear(y, 4)));
    REQUIRE(groups.groups().size() == 3);
    CHECK(groups.groups()[1].units == 8);
    CHECK(groups.groups()[1].sources[0].positions[0].size() ==
          static_cast<size_t>(gates));
  }
}

TEST_CASE("a weight that two layers share is cut once") {
  Net net;
  Value* w = net.uniform("w", {8, 8}, 1);
  Value* x = net.linear(net.input("x", {2, 6}), 8, zoo::Act::kRelu);
  Value* y = net.relu(net.matmul(net.relu(net.matmul(x, w)), w));
  const auto groups = check_plans(net.finish(net.linear(y, 4)));
  CHECK(shown(groups) == "8 channel, 4 channel frozen");
}

TEST_CASE("what cannot be followed is named") {
  Net net;
  Value* image = net.image(8);
  Value* x = net.conv(image, 6, 3);
  Value* hard = net.add_node("Hardmax", {x}, {{"axis", int64_t{1}}});
  Value* y = net.conv(net.add(hard, net.conv(image, 6, 3)), 4, 1);
  const auto groups = check_plans(net.finish(net.classifier(y, 5)));
  CHECK(shown(groups) ==
        "6 channel frozen, 6 channel frozen, 4 channel, "
        "5 channel frozen");
  CHECK(groups.groups()[0].frozen.find("Hardmax") != std::string::npos);
}

TEST_CASE("an operator without a rule freezes and leaves a remark") {
  const ir::Model model = [] {
    ir::Model parsed = ir::parse_text(
        "opset 17\nopset com.microsoft 1\ngraph g {\n"
        "input %x: float[1,4]\n"
        "init %w = float[4,2] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}\n"
        "%h: float[1,2] = MatMul(%x, %w) @first\n"
        "%y: float[1,2] = com.example::Strange(%h) @odd\n"
        "output %y\n}");
    return parsed;
  }();
  const prune::ChannelGroups groups(model);
  REQUIRE(groups.remarks().size() == 1);
  CHECK(groups.remarks()[0].node == "odd");
  CHECK(groups.remarks()[0].reason ==
        "operator 'Strange' cannot be followed (Strange 'odd')");
  CHECK(groups.groups()[0].frozen == groups.remarks()[0].reason);
}

TEST_CASE("ranks that an operator does not have freeze what it reads") {
  const ir::Model model = ir::parse_text(
      "opset 17\ngraph g {\n"
      "input %x: float[1,4]\n"
      "init %w = float[4,2] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}\n"
      "init %s = float[] {1.0}\n"
      "%h: float[1,2] = MatMul(%x, %w) @first\n"
      "%y: float[1,2] = InstanceNormalization(%h, %s, %s) @odd\n"
      "output %y\n}");
  const prune::ChannelGroups groups(model);
  REQUIRE(groups.groups().size() == 1);
  CHECK(groups.groups()[0].frozen ==
        "InstanceNormalization 'odd' has inputs of unexpected ranks");
}

TEST_CASE("opsets below 13 are refused") {
  const ir::Model model = ir::parse_text(
      "opset 11\ngraph g {\ninput %x: float[1,4]\n%y = Relu(%x)\noutput %y\n}");
  CHECK_THROWS_WITH(prune::ChannelGroups{model},
                    doctest::Contains("the model has opset 11"));
}

}  // namespace
}  // namespace lathe
