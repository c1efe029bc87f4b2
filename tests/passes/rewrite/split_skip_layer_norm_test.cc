#include <doctest/doctest.h>

#include "passes/ir/text_format.h"
#include "passes/latency_model.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

// Add and LayerNormalization are one kernel; all other nodes take nothing.
class FusingLatency final : public LatencyModel {
 public:
  FusingLatency(double fused_us, double apart_us)
      : fused_us_(fused_us), apart_us_(apart_us) {}

  GraphEstimate estimate(const ir::Model& model) const override {
    GraphEstimate result;
    for (const auto& node : model.graph->nodes()) {
      if (!node->is("LayerNormalization")) continue;
      const ir::Node* before = node->input(0)->producer();
      const bool fused = before && before->is("Add");
      KernelEstimate kernel;
      kernel.kind = fused ? "skip_layer_normalization" : "layer_normalization";
      if (fused) kernel.nodes.push_back(before->id());
      kernel.nodes.push_back(node->id());
      result.latency.p50_us += fused ? fused_us_ : apart_us_;
      result.kernels.push_back(std::move(kernel));
    }
    return result;
  }
  LatencyEstimate kernel(const KernelDescriptor&) const override { return {}; }
  std::string device() const override { return "table"; }
  bool calibrated() const override { return true; }

 private:
  double fused_us_, apart_us_;
};

constexpr const char* kBlock = R"(opset 17 graph {
  input %x: float[1,4,8]
  init %g = float[8] {1, 1, 1, 1, 1, 1, 1, 1}
  %r = Relu(%x) @relu
  %s = Add(%x, %r) @sum
  %n = LayerNormalization(%s, %g) @norm
  %y = Add(%n, %x) @last
  output %y
})";

PassResult split(ir::Model& model, const LatencyModel* latency) {
  PassContext context;
  context.latency = latency;
  return make_split_skip_layer_norm()->run(model, context);
}

const ir::Node& node(const ir::Model& model, const std::string& name) {
  for (const auto& node : model.graph->nodes())
    if (node->name == name) return *node;
  FAIL("no such node");
  return *model.graph->nodes().front();
}

TEST_CASE("split_skip_layer_norm: where the fused kernel is slower") {
  ir::Model model = ir::parse_text(kBlock);
  const FusingLatency slow(82, 14);
  const PassResult result = split(model, &slow);
  CHECK(result.changes == 1);
  CHECK(result.remarks.empty());
  CHECK(node(model, "sum").op_type == "Sum");
  CHECK(node(model, "last").op_type == "Add");
}

TEST_CASE("split_skip_layer_norm: where it is faster, and says so") {
  ir::Model model = ir::parse_text(kBlock);
  const FusingLatency fast(10, 14);
  const PassResult result = split(model, &fast);
  CHECK(result.changes == 0);
  REQUIRE(result.remarks.size() == 1);
  CHECK(result.remarks[0].reason ==
        "1 sum stays fused into LayerNormalization: 10.0 us, and 14.0 us "
        "apart, on table");
  CHECK(node(model, "sum").op_type == "Add");
}

TEST_CASE("split_skip_layer_norm: without latencies nothing changes") {
  ir::Model model = ir::parse_text(kBlock);
  CHECK(split(model, nullptr).changes == 0);
  CHECK(node(model, "sum").op_type == "Add");
}

}  // namespace
}  // namespace lathe::rewrite
