// Blocked models give the outputs of those they come from, bit for bit.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "calibration/latency/session.h"
#include "calibration/ranges/min_max.h"
#include "passes/io/onnx/onnx.h"
#include "passes/latency_model.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/quantize/noise.h"
#include "tests/passes/quantize/random_network.h"
#include "tests/passes/quantize/support.h"
#include "tests/support/shared.h"

namespace lathe::quantize::test {
namespace {

// Prices a convolution by its output pixels alone, or by its weights alone.
class TableLatency final : public LatencyModel {
 public:
  explicit TableLatency(bool blocks_pay) : blocks_pay_(blocks_pay) {}
  GraphEstimate estimate(const ir::Model&) const override { return {}; }
  LatencyEstimate kernel(const KernelDescriptor& kernel) const override {
    asked.push_back(kernel);
    double us = 0;
    if (kernel.kind == "conv2d")
      us = static_cast<double>(blocks_pay_
                                   ? kernel.elements / kernel.out_channels
                                   : kernel.bytes_weights);
    return {us, us, us};
  }
  std::string device() const override { return "table"; }
  bool calibrated() const override { return true; }

  mutable std::vector<KernelDescriptor> asked;

 private:
  bool blocks_pay_;
};

PassResult block(ir::Model& model, const LatencyModel* latency = nullptr,
                 BlockPixelsOptions options = {.max_channels = 16}) {
  PassContext context;
  context.latency = latency;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(make_block_pixels(options));
  return run_passes(model, passes, context);
}

struct Compared {
  PassResult result;
  ir::Model before, after;
  std::map<std::string, int> kernels_before, kernels_after;
};

std::map<std::string, int> kernels(const std::filesystem::path& optimized) {
  std::map<std::string, int> found;
  const ir::Model model = io::import_onnx(optimized);
  for (const auto& node : model.graph->nodes()) ++found[node->op_type];
  return found;
}

int count(const ir::Model& model, const char* op) {
  int found = 0;
  for (const auto& node : model.graph->nodes()) found += node->is(op);
  return found;
}

// Quantizes with noise, blocks, and checks that the runtime gives the same.
Compared compare(ir::Model model, const LatencyModel* latency,
                 const ir::InputShapes& shapes = {},
                 const QuantizeOptions& options = {}) {
  PassContext context;
  rewrite::make_simplify()->run(model, context);
  ir::Model bound = ir::clone(model);
  ir::bind_input_shapes(bound, shapes);
  NoiseSource data(bound, 3);
  auto collector = ranges::make_min_max_collector(data, /*samples=*/0, 1);
  context.ranges = collector.get();
  make_quantize_static(options)->run(model, context);
  Compared compared;
  compared.before = ir::clone(model);
  compared.result = block(model, latency);
  compared.after = std::move(model);

  lathe::test::TempDir folder;
  latency::SessionOptions plain, blocked;
  plain.optimized_model = folder.path() / "plain.onnx";
  blocked.optimized_model = folder.path() / "blocked.onnx";
  const auto expect = latency::Session::open(compared.before, plain);
  const auto found = latency::Session::open(compared.after, blocked);
  for (int64_t i = 0; i < data.size(); ++i) {
    const auto a = expect->run(data.inputs(i)), b = found->run(data.inputs(i));
    REQUIRE(a.size() == b.size());
    for (size_t o = 0; o < a.size(); ++o) CHECK(a[o].identical(b[o]));
  }
  compared.kernels_before = kernels(plain.optimized_model);
  compared.kernels_after = kernels(blocked.optimized_model);
  return compared;
}

void check_kernels(Compared& compared) {
  auto &before = compared.kernels_before, &after = compared.kernels_after;
  CHECK(after["QLinearConv"] == count(compared.after, "Conv"));
  for (const char* op : {"Transpose", "QuantizeLinear", "DequantizeLinear",
                         "Conv", "FusedConv", "Relu", "Clip", "MaxPool"}) {
    CAPTURE(op);
    CHECK(after[op] <= before[op]);
  }
}

TEST_CASE("block_pixels: random networks give the same outputs") {
  const TableLatency latency(/*blocks_pay=*/true);
  int changed = 0, masked_twice = 0, pooled = 0, sampled = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const RandomNetwork network(seed);
    const ir::Model model = network.model();
    QuantizeOptions options;
    options.per_channel = seed % 4 != 0;
    Compared compared =
        compare(ir::clone(model), &latency, network.shapes(model), options);
    check_kernels(compared);
    changed += compared.result.changes > 0;
    if (compared.result.changes == 0)
      CHECK(ir::to_text(compared.before) == ir::to_text(compared.after));
    const int masks = count(compared.after, "Min");
    masked_twice += masks > 0 && count(compared.after, "Max") > 0;
    pooled +=
        count(compared.after, "MaxPool") < count(compared.before, "MaxPool");
    sampled += count(compared.after, "Slice") < count(compared.before, "Slice");
  }
  CHECK(changed >= 20);
  CHECK(masked_twice >= 3);
  CHECK(pooled >= 3);
  CHECK(sampled >= 3);
}

TEST_CASE("block_pixels: the rule blocks the first stage of the ResNets") {
  struct Row {
    const char* name;
    int64_t changes;
    int convs, masks, adds;
  };
  // Stem, two convolutions a block, and what reads the last sum.
  for (const Row& row : {Row{"cifar10_resnet20", 9, 20, 3, 9},
                         Row{"cifar10_resnet56", 21, 56, 9, 27},
                         Row{"cifar10_mlperf_tiny_resnet8", 5, 9, 1, 3}}) {
    CAPTURE(row.name);
    const std::string file = std::string("models/") + row.name + "/model.onnx";
    if (lathe::test::shared_file(file).empty()) return;
    Compared compared =
        compare(io::import_onnx(lathe::test::shared_dir() / file), nullptr);
    check_kernels(compared);
    CHECK(compared.result.changes == row.changes);
    CHECK(compared.result.remarks.empty());
    CHECK(compared.kernels_after["QLinearConv"] == row.convs);
    CHECK(compared.kernels_after["Min"] == row.masks);
    CHECK(compared.kernels_after["QLinearAdd"] == row.adds);
    CHECK(compared.kernels_after["QuantizeLinear"] == 1);
  }
}

// A chain on an image of 16x16: `body` between %x and %y, with weights %w0 to
// %w5 of 8 channels and %wide of 20.
PassResult block_chain(const std::string& body,
                       const std::string& size = "16,16",
                       const LatencyModel* latency = nullptr,
                       const QuantizeOptions& options = {},
                       BlockPixelsOptions blocking = {.max_channels = 16}) {
  std::string text = "opset 17\ngraph {\n  input %x: float[1,8," + size + "]\n";
  const auto weights = [&](const std::string& name, int64_t outputs,
                           int64_t inputs, int64_t kernel) {
    const int64_t count = outputs * inputs * kernel * kernel;
    text += fmt::format("  init %{} = float[{},{},{},{}] {{", name, outputs,
                        inputs, kernel, kernel);
    for (int64_t i = 0; i < count; ++i)
      text += fmt::format("{}{}", i ? ", " : "", (i % 7 - 3) * 0.25);
    text += "}\n";
  };
  weights("w", 8, 8, 3);
  weights("wide", 20, 8, 3);
  weights("grouped", 8, 1, 3);
  weights("one", 8, 8, 1);
  weights("long", 8, 8, 9);
  Outcome outcome =
      quantize_text(text + body + "  output %y\n}\n", {}, options);
  const std::string before = ir::to_text(outcome.model);
  PassResult result = block(outcome.model, latency, blocking);
  CHECK((result.changes > 0) == (ir::to_text(outcome.model) != before));
  return result;
}

std::string remarks(const PassResult& result) {
  std::string text;
  for (const Remark& remark : result.remarks)
    text += remark.node + ": " + remark.reason + "\n";
  return text;
}

const char* const kPads = "{pads = [1, 1, 1, 1]} ";
const char* const kDown = "{pads = [1, 1, 1, 1], strides = [2, 2]} ";

TEST_CASE("block_pixels: what is left alone says why") {
  const std::string pads = kPads, down = kDown;
  const std::string two = "%a = Conv(%x, %w) " + pads + "@a\n%ra = Relu(%a)\n" +
                          "%b = Conv(%ra, %w) " + pads + "@b\n" +
                          "%rb = Relu(%b)\n";
  const std::string exit = "%y = Conv(%rb, %wide) " + down + "@y\n";
  SUBCASE("nothing: blocked from end to end") {
    const PassResult result = block_chain(two + exit);
    CHECK(result.changes == 3);
    CHECK(remarks(result) == "");
  }
  SUBCASE("a reader that reads no blocks, and what leads there") {
    const PassResult result =
        block_chain(two + "%y = GlobalAveragePool(%rb) @gap\n");
    CHECK(result.changes == 0);
    CHECK(remarks(result) ==
          "a: blocks would reach Conv 'b', and its result is read by "
          "GlobalAveragePool 'gap', which reads no blocks\n"
          "b: its result is read by GlobalAveragePool 'gap', which reads no "
          "blocks\n");
  }
  SUBCASE("a wide result at stride 1") {
    CHECK(
        remarks(block_chain(two + "%y = Conv(%rb, %wide) " + pads + "@y\n")) ==
        "a: blocks would reach Conv 'y', and its result has 20 channels, "
        "more than 16\n"
        "b: blocks would reach Conv 'y', and its result has 20 channels, "
        "more than 16\n");
  }
  SUBCASE("an odd size") {
    CHECK(remarks(block_chain(two + exit, "17,16")) ==
          "a: its result of 17x16 pixels has an odd size\n"
          "b: its result of 17x16 pixels has an odd size\n");
  }
  SUBCASE("an unknown size") {
    CHECK(remarks(block_chain(two + exit, "H,16")) ==
          "a: the size of its image is not known\n"
          "b: the size of its image is not known\n");
  }
  SUBCASE("too few pixels") {
    CHECK(remarks(block_chain(two + exit, "8,8")) ==
          "a: its region of blocked pixels has results of 8x8 pixels, too few "
          "to pay\n"
          "b: its region of blocked pixels has results of 8x8 pixels, too few "
          "to pay\n");
  }
  SUBCASE("a shortcut past one convolution") {
    CHECK(remarks(block_chain(two +
                              "%s = Add(%ra, %rb) @s\n%rs = Relu(%s)\n"
                              "%y = Conv(%rs, %wide) " +
                              down + "@y\n")) ==
          "a: a shortcut near it passes an odd number of convolutions that "
          "shift blocks\n"
          "b: a shortcut near it passes an odd number of convolutions that "
          "shift blocks\n");
  }
  SUBCASE("a sum with what stays as it is") {
    CHECK(remarks(block_chain(two +
                              "%d = Conv(%x, %grouped) {group = 8, pads = [1, "
                              "1, 1, 1]} @d\n%s = Add(%d, %rb) @s\n"
                              "%y = Conv(%s, %wide) " +
                              down + "@y\n")) ==
          "a: blocks would reach Conv 'd', and it writes no blocks\n"
          "b: blocks would reach Conv 'd', and it writes no blocks\n");
  }
  SUBCASE("a stride of 3") {
    CHECK(remarks(block_chain("%a = Conv(%x, %w) " + pads +
                              "@a\n%y = Conv(%a, %wide) {strides = [3, 3]} "
                              "@y\n")) ==
          "a: its result is read by Conv 'y' at a stride that blocks cannot "
          "say\n");
  }
  SUBCASE("windows") {
    CHECK(
        remarks(block_chain("%a = Conv(%x, %w) {pads = [2, 2, 2, 2], "
                            "dilations = [2, 2]} @a\n%b = Conv(%a, %long) "
                            "{pads = [4, 4, 4, 4]} @b\n%y = Conv(%b, %wide) " +
                            down + "@y\n")) ==
        "a: its taps lie apart\nb: its kernel is longer than 7\n");
    CHECK(remarks(block_chain("%a = Conv(%x, %one) @a\n%y = Conv(%a, %wide) " +
                              down + "@y\n")) ==
          "a: its region of blocked pixels would hold no convolution of "
          "stride 1 with a window\n");
  }
  SUBCASE("a pool needs more pixels or more convolutions") {
    const std::string pool =
        "%p = MaxPool(%R) {kernel_shape = [2, 2], strides = [2, 2]}\n"
        "%y = Conv(%p, %wide) @y\n";
    const auto after = [&](const std::string& value) {
      std::string text = pool;
      return text.replace(text.find("%R"), 2, value);
    };
    CHECK(remarks(block_chain(two + after("%rb"))) ==
          "a: its region of blocked pixels has results of 16x16 pixels, too "
          "few to pay\n"
          "b: its region of blocked pixels has results of 16x16 pixels, too "
          "few to pay\n");
    CHECK(block_chain(two + after("%rb"), "32,32").changes == 3);
    CHECK(block_chain(two + "%c = Conv(%rb, %w) " + pads + "@c\n" + after("%c"))
              .changes == 4);
  }
  SUBCASE("codes of int8, a graph output, the option") {
    const std::string twice =
        "its result has int8 codes, around whose masks the runtime computes in "
        "float\n";
    CHECK(remarks(block_chain(two + exit, "16,16", nullptr,
                              {.activation_type = ir::DataType::kInt8})) ==
          "a: " + twice + "b: " + twice);
    CHECK(remarks(block_chain("%y = Conv(%x, %w) " + pads + "@a\n")) ==
          "a: its result leaves the graph\n");
    CHECK(remarks(block_chain(two + exit, "16,16", nullptr, {},
                              {.max_channels = 0})) ==
          ": max_channels is 0, so nothing is blocked: whether it pays was "
          "measured on x86-64 only\n");
    CHECK(block_chain(two + exit, "16,16", nullptr, {}, {.max_channels = 7})
              .changes == 0);
  }
}

TEST_CASE("block_pixels: a calibrated latency model decides") {
  const std::string body = std::string("%a = Conv(%x, %w) ") + kPads +
                           "@a\n%ra = Relu(%a)\n" + "%b = Conv(%ra, %w) " +
                           kPads + "@b\n%y = Conv(%b, %wide) " + kDown + "@y\n";
  const TableLatency pays(true), costs(false);
  CHECK(block_chain(body, "8,8", &pays).changes == 3);
  const PassResult result = block_chain(body, "32,32", &costs);
  CHECK(result.changes == 0);
  // int8 weights, and 9 bytes an output; 4x4, 2x2 and 2x2 windows.
  const int64_t before = 2 * (8 * 8 * 9 + 72) + 20 * 8 * 9 + 180;
  const int64_t after =
      32 * 8 * 16 + 288 + 32 * 32 * 4 + 288 + 20 * 32 * 4 + 180;
  CHECK(remarks(result) ==
        fmt::format("a: its region of blocked pixels would take {0}.0 us "
                    "instead of {1}.0 us on table\nb: its region of blocked "
                    "pixels would take {0}.0 us instead of {1}.0 us on table\n",
                    after, before));
  // Each convolution as it is and as it would be, and one mask.
  REQUIRE(costs.asked.size() == 7);
  const KernelDescriptor& inner = costs.asked[3];
  CHECK(inner.in_channels == 32);
  CHECK(inner.out_channels == 32);
  CHECK(inner.kernel_height == 2);
  CHECK(inner.flops == 2 * 32 * 32 * 4 * inner.out_height * inner.out_width);
  CHECK(costs.asked[6].kind == "min");
}

}  // namespace
}  // namespace lathe::quantize::test
