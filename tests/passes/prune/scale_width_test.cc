// Widths of students, what they inherit, and that they run.
#include "passes/prune/scale_width.h"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/json.h"
#include "passes/ir/text_format.h"
#include "passes/prune/prune.h"
#include "passes/prune/repair.h"
#include "tests/passes/prune/saliency_support.h"
#include "tests/zoo/net_builder.h"
#include "tests/zoo/zoo.h"

namespace lathe::prune {
namespace {

struct Student {
  ir::Model model;
  PassResult result;
  std::shared_ptr<const Pruned> pruned;

  // Of each group.
  std::map<std::string, int64_t> widths() const {
    std::map<std::string, int64_t> widths;
    const Json plan = Json::parse(result.plan);
    for (const Json& group : plan["groups"])
      widths[group["name"].get<std::string>()] = group["kept"].get<int64_t>();
    return widths;
  }
  std::vector<std::string> removed_blocks() const {
    return Json::parse(result.plan)["removed_blocks"]
        .get<std::vector<std::string>>();
  }
  std::string remarks() const {
    std::string text;
    for (const Remark& remark : result.remarks)
      text += remark.node + ": " + remark.reason + "\n";
    return text;
  }
  ir::Tensor run() const {
    return latency::Session::open(model, {})
        ->run(latency::random_inputs(model, ir::default_input_shapes(model, {}),
                                     /*seed=*/11))
        .front();
  }
};

Student student_of(const ir::Model& model, ScaleWidthOptions options,
                   BatchSource* data = nullptr, uint64_t seed = 0) {
  Student student{ir::clone(model), {}, nullptr};
  PassContext context;
  context.data = data;
  context.seed = seed;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(make_scale_width(std::move(options)));
  student.result = run_passes(student.model, passes, context);
  student.pruned = context.pruned;
  return student;
}

ir::Model chain() {
  zoo::NetBuilder net("chain", 1);
  zoo::NetBuilder::Value* x = net.conv(net.image(8), 32, 3, 1, zoo::Act::kRelu);
  x = net.conv(x, 20, 3, 1, zoo::Act::kRelu);
  x = net.conv(x, 6, 3, 1, zoo::Act::kRelu);
  return net.finish(net.classifier(x, 5));
}

// conv3x3 residual blocks of 16 channels.
ir::Model residual(int blocks) {
  zoo::NetBuilder net("residual", 1);
  zoo::NetBuilder::Value* x = net.conv(net.image(8), 16, 3, 1, zoo::Act::kRelu);
  for (int i = 0; i < blocks; ++i) {
    zoo::NetBuilder::Value* branch = net.conv(x, 16, 3, 1, zoo::Act::kRelu);
    x = net.add_node("Add", {net.conv(branch, 16, 3), x});
  }
  return net.finish(net.classifier(x, 5));
}

constexpr const char* kGemms = R"(opset 17
graph main {
  input %x: float[1,2]
  init %w = float[2,4] {1.0, 5.0, 2.0, 4.0, 1.0, -5.0, 3.0, 4.0}
  init %b = float[4] {0.1, 0.2, 0.3, 0.4}
  init %v = float[4,2] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}
  %h: float[1,4] = Gemm(%x, %w, %b) @first
  %r: float[1,4] = Relu(%h) @relu
  %y: float[1,2] = Gemm(%r, %v) @second
  output %y
})";

TEST_CASE("scale_width: half of the channels, those of largest norm") {
  const Student student =
      student_of(ir::parse_text(kGemms), {.ratio = 0.5, .multiple_of = 1});
  const ir::Model expected = ir::parse_text(R"(opset 17
graph main {
  input %x: float[1,2]
  init %w = float[2,2] {5.0, 4.0, -5.0, 4.0}
  init %b = float[2] {0.2, 0.4}
  init %v = float[2,2] {3.0, 4.0, 7.0, 8.0}
  %h: float[1,2] = Gemm(%x, %w, %b) @first
  %r: float[1,2] = Relu(%h) @relu
  %y: float[1,2] = Gemm(%r, %v) @second
  output %y
})");
  CHECK(ir::to_text(student.model) == ir::to_text(expected));
  CHECK(student.result.changes == 1);
  CHECK(student.remarks() ==
        "second: its 2 channels stay: 'y' is an output of the model\n");
  REQUIRE(student.pruned);
  CHECK(student.pruned->selection[0] ==
        std::vector<bool>{false, true, false, true});
}

TEST_CASE("scale_width: with data, by the saliency that it names") {
  const ir::Model model = ir::parse_text(kGemms);
  // Unit 1 reads x0 - x1, which is 0 on all samples: the l2 favourite goes.
  test::GivenBatches data(
      {test::batch_of({1, 2}, {1, 1}), test::batch_of({1, 2}, {2, 2})});
  const Student student = student_of(
      model, {.ratio = 0.5, .multiple_of = 1, .saliency = "reconstruction"},
      &data);
  CHECK(student.pruned->selection[0] ==
        std::vector<bool>{false, false, true, true});
}

TEST_CASE("scale_width: widths are multiples, and small ones stay") {
  const auto widths = [](double ratio, int64_t multiple) {
    std::vector<int64_t> result;
    for (const auto& [name, width] :
         student_of(chain(), {.ratio = ratio, .multiple_of = multiple})
             .widths())
      result.push_back(width);
    return result;
  };
  CHECK(widths(0.5, 8) == std::vector<int64_t>{16, 8, 6});
  CHECK(widths(0.7, 8) == std::vector<int64_t>{24, 16, 6});
  CHECK(widths(0.01, 8) == std::vector<int64_t>{8, 8, 6});
  CHECK(widths(0.99, 8) == std::vector<int64_t>{32, 16, 6});
  CHECK(widths(0.3, 1) == std::vector<int64_t>{10, 6, 2});
  CHECK(widths(0.001, 1) == std::vector<int64_t>{1, 1, 1});
  const Student student = student_of(chain(), {.ratio = 0.5});
  CHECK(student.remarks() ==
        "gemm: its 5 channels stay: 'output' is an output of the model\n"
        "conv_3: its 6 channels stay: 0.5 of them is no smaller multiple of "
        "8\n");
  CHECK(student.run().dims() == std::vector<int64_t>{1, 5});
}

TEST_CASE("scale_width: a ratio of 1 changes nothing") {
  const ir::Model model = chain();
  const Student student = student_of(model, {.ratio = 1});
  CHECK(student.result.changes == 0);
  CHECK(ir::to_text(student.model) == ir::to_text(model));
}

TEST_CASE("scale_width: names that keep their groups") {
  const Student student =
      student_of(chain(), {.ratio = 0.5, .keep = {"conv_3", "cnv"}});
  CHECK(student.widths().at("conv") == 16);
  CHECK(student.widths().at("conv_2") == 20);  // conv_3 reads it
  CHECK(student.remarks().find(
            ": keep names 'cnv', which is no group or node of the model; did "
            "you mean 'conv'?\n") != std::string::npos);
}

TEST_CASE("scale_width: a transformer loses heads, and keeps their width") {
  const Student student =
      student_of(zoo::build_zoo_model("bert_tiny", 1), {.ratio = 0.5});
  const auto widths = student.widths();
  CHECK(widths.at("layer0.mat_mul") == 1);     // of 2 heads
  CHECK(widths.at("layer0.mat_mul#2") == 64);  // an element of each
  CHECK(widths.at("layer0.mat_mul_7") == 256);
  CHECK(student.remarks().find(
            "layer0.mat_mul#2: its 64 channels stay: those of "
            "'layer0.mat_mul', which they are parts of, get fewer instead\n") !=
        std::string::npos);
  CHECK(student.run().size() > 0);
}

TEST_CASE("scale_width: heads in one product with their queries and keys") {
  const Student student =
      student_of(zoo::build_zoo_model("vit_tiny", 1), {.ratio = 0.5});
  const auto widths = student.widths();
  CHECK(widths.at("embedding.conv") == 96);
  CHECK(widths.at("block0.mat_mul#2") == 2);   // of 3 heads
  CHECK(widths.at("block0.mat_mul#3") == 64);  // an element of each
  CHECK(widths.at("block0.mat_mul_5") == 384);
}

TEST_CASE("scale_width: depth leaves blocks evenly, one of a kind at least") {
  const ir::Model model = residual(6);
  std::vector<std::string> all;
  for (const auto& node : model.graph->nodes())
    if (node->is("Add")) all.push_back(node->output()->name());
  REQUIRE(all.size() == 6);
  const auto removed = [&](double depth) {
    const Student student = student_of(model, {.ratio = 1, .depth = depth});
    CHECK(student.run().dims() == std::vector<int64_t>{1, 5});
    CHECK(student.result.changes ==
          static_cast<int64_t>(student.removed_blocks().size()));
    return student.removed_blocks();
  };
  CHECK(removed(1).empty());
  CHECK(removed(0.5) == std::vector<std::string>{all[0], all[2], all[4]});
  CHECK(removed(2.0 / 3) == std::vector<std::string>{all[0], all[3]});
  CHECK(removed(0.01) == std::vector<std::string>(all.begin(), all.end() - 1));

  // Of attention and feed-forward the same layers.
  const Student bert = student_of(zoo::build_zoo_model("bert_tiny", 1),
                                  {.ratio = 1, .depth = 0.5});
  for (const std::string& block : bert.removed_blocks()) {
    CAPTURE(block);
    CHECK(block.find("layer0") != std::string::npos);
  }
}

// A shortcut whose added channels a Constant counts, no shape inferred.
ir::Model unsimplified() {
  const auto zeros = [](const char* name, const char* dims, int count) {
    std::string text =
        std::string("init %") + name + " = float[" + dims + "] {";
    for (int i = 0; i < count; ++i)
      text += (i ? ", 0." : "0.") + std::to_string(i % 7 + 1);
    return text + "}\n";
  };
  return ir::parse_text(
      "ir_version 8 opset 17 graph g {\ninput %x: float[1,3,4,4]\n" +
      zeros("w1", "16,3,1,1", 48) + zeros("w2", "32,16,1,1", 512) +
      zeros("w3", "32,32,1,1", 1024) + zeros("w4", "2,32,1,1", 64) +
      "%a = Conv(%x, %w1) @stem %b = Conv(%a, %w2) @wide\n"
      "%p = Constant() {value = int64[8] {0,8,0,0,0,8,0,0}}\n"
      "%s = Pad(%a, %p) @shortcut %c = Add(%b, %s) @joined\n"
      "%d = Conv(%c, %w3) @block %e = Add(%d, %c) @sum\n"
      "%y = Conv(%e, %w4) @head output %y }");
}

TEST_CASE("scale_width: constants that are nodes, values without shapes") {
  const Student student = student_of(unsimplified(), {.ratio = 0.5});
  CHECK(student.widths().at("stem") == 8);
  CHECK(student.run().dims() == std::vector<int64_t>{1, 2, 4, 4});
  const Student shallow =
      student_of(unsimplified(), {.ratio = 1, .depth = 0.01});
  CHECK(shallow.removed_blocks().empty());  // the only one of its kind

  ir::Model model = unsimplified();
  remove_blocks(model, {"e"});
  CHECK(model.graph->find("e") == nullptr);
}

TEST_CASE("scale_width: fresh weights follow from the seed") {
  const ScaleWidthOptions options{.ratio = 0.5,
                                  .weights = StudentWeights::kFresh};
  const auto text = [&](uint64_t seed) {
    const Student student = student_of(chain(), options, nullptr, seed);
    CHECK(student.pruned == nullptr);
    CHECK(student.widths().at("conv") == 16);
    CHECK(student.run().dims() == std::vector<int64_t>{1, 5});
    return ir::to_text(student.model);
  };
  CHECK(text(1) == text(1));
  CHECK(text(1) != text(2));
  // The teacher's weights leave no trace.
  ir::Model other = chain();
  for (ir::Value* value : other.graph->initializers())
    if (ir::is_floating(value->type.elem))
      value->set_tensor(ir::Tensor::from_doubles(
          value->type.elem, value->tensor().dims(),
          std::vector<double>(static_cast<size_t>(value->tensor().size()),
                              0.5)));
  CHECK(ir::to_text(student_of(other, options, nullptr, 1).model) == text(1));
}

TEST_CASE("scale_width: the same plan gives the same widths again") {
  const ir::Model model = chain();
  const Student student = student_of(model, {.ratio = 0.5});
  PruneOptions options;
  options.plan = student.result.plan;
  options.repair = false;
  ir::Model again = ir::clone(model);
  PassContext context;
  make_prune_channels(options)->run(again, context);
  CHECK(ir::to_text(again) == ir::to_text(student.model));
}

TEST_CASE("scale_width: options that make no sense") {
  CHECK_THROWS_WITH_AS(make_scale_width({.ratio = 0}),
                       "scale_width.ratio: found 0, expected more than 0 and "
                       "at most 1",
                       Error);
  CHECK_THROWS_WITH_AS(make_scale_width({.depth = 1.5}),
                       "scale_width.depth: found 1.5, expected more than 0 "
                       "and at most 1",
                       Error);
  CHECK_THROWS_WITH_AS(make_scale_width({.multiple_of = 0}),
                       "scale_width.multiple_of: found 0, expected at least 1",
                       Error);
}

}  // namespace
}  // namespace lathe::prune
