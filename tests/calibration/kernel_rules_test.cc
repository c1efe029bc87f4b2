// The rules against the runtime's own optimized graph.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "calibration/latency/kernel_source.h"
#include "passes/io/onnx/onnx.h"
#include "tests/calibration/fixtures.h"
#include "tests/calibration/kernel_nets.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

using latency::DescribedKernel;
using Table = std::map<std::string, int>;

// Kernels without what depends on the whole network's size and order.
Table table_of(const std::vector<DescribedKernel>& kernels) {
  Table table;
  for (const DescribedKernel& kernel : kernels) {
    KernelDescriptor descriptor = kernel.descriptor;
    descriptor.working_set = descriptor.reuse_distance = 0;
    descriptor.traffic = 0;
    ++table[to_json(descriptor).dump()];
  }
  return table;
}

std::string difference(const std::vector<DescribedKernel>& runtime,
                       const std::vector<DescribedKernel>& rules) {
  Table a = table_of(runtime), b = table_of(rules);
  std::string text;
  for (const auto& [kernel, count] : a)
    if (b[kernel] != count)
      text += std::to_string(count) + " in the runtime, " +
              std::to_string(b[kernel]) + " by rules: " + kernel + "\n";
  for (const auto& [kernel, count] : b)
    if (!a.contains(kernel))
      text += "0 in the runtime, " + std::to_string(count) +
              " by rules: " + kernel + "\n";
  return text;
}

int64_t flops_of(const std::vector<DescribedKernel>& kernels) {
  int64_t flops = 0;
  for (const DescribedKernel& kernel : kernels)
    flops += kernel.descriptor.flops;
  return flops;
}

void check_equal(const ir::Model& model) {
  auto runtime = latency::kernels_by_runtime(model, /*threads=*/1);
  auto rules = latency::kernels_by_rules(model, latency::local_traits());
  CHECK(difference(runtime, rules) == "");
  CHECK(runtime.size() == rules.size());
  CHECK(flops_of(runtime) == flops_of(rules));
}

// Share of the runtime's flops in kernels that the rules describe alike.
double agreement(const std::vector<DescribedKernel>& runtime,
                 const std::vector<DescribedKernel>& rules) {
  Table left = table_of(rules);
  double all = 0, equal = 0;
  for (const DescribedKernel& kernel : runtime) {
    KernelDescriptor descriptor = kernel.descriptor;
    descriptor.working_set = descriptor.reuse_distance = 0;
    descriptor.traffic = 0;
    double flops = static_cast<double>(kernel.descriptor.flops);
    all += flops;
    if (left[to_json(descriptor).dump()]-- > 0) equal += flops;
  }
  return all > 0 ? equal / all : 1;
}

TEST_CASE("rules and runtime agree on convolutional networks") {
  for (bool quantized : {false, true})
    // Multiples of the block, of the reorder's four, of neither.
    for (int64_t width : {32, 24, 10}) {
      CAPTURE(quantized);
      CAPTURE(width);
      check_equal(test::residual_net(quantized, width));
      check_equal(test::inverted_net(quantized, width));
      check_equal(test::fire_net(quantized, width));
    }
}

TEST_CASE("rules and runtime agree on transformers") {
  for (bool pre : {false, true}) {
    CAPTURE(pre);
    check_equal(test::transformer_net(pre));
  }
}

TEST_CASE("rules and runtime agree on operators around a convolution") {
  using Net = test::KernelNet;
  using Build = std::function<ir::Value*(Net&, ir::Value*)>;
  auto conv = [](Net& net, ir::Value* x, int64_t out, int64_t group = 1) {
    return net.conv(x, 32, out, 3, 1, group, "");
  };
  auto unary = [](const std::string& op) {
    return [op](Net& net, ir::Value* x) { return net.op(op, {x}); };
  };
  const std::pair<const char*, Build> cases[] = {
      {"relu", unary("Relu")},
      {"sigmoid", unary("Sigmoid")},
      {"hard swish", unary("HardSwish")},
      {"leaky relu", unary("LeakyRelu")},
      {"a sum and its activation",
       [&](Net& net, ir::Value* x) {
         return net.op("HardSwish", {net.op("Add", {x, conv(net, x, 32)})});
       }},
      {"a sum and a clip",
       [&](Net& net, ir::Value* x) {
         return net.activate(net.op("Add", {x, conv(net, x, 32)}), "Clip");
       }},
      {"a product",
       [&](Net& net, ir::Value* x) {
         return net.op("Mul", {x, conv(net, x, 32)});
       }},
      {"a gate",
       [&](Net& net, ir::Value* x) {
         return net.op("Mul", {x, net.op("GlobalAveragePool", {x})});
       }},
      {"a broadcast sum",
       [&](Net& net, ir::Value* x) {
         return net.op("Add", {x, net.op("GlobalAveragePool", {x})});
       }},
      {"swish",
       [&](Net& net, ir::Value* x) {
         return net.op("Mul", {x, net.op("Sigmoid", {x})});
       }},
      {"gelu", [&](Net& net, ir::Value* x) { return net.gelu(x); }},
      {"batch normalization",
       [&](Net& net, ir::Value* x) {
         ir::Value* one = net.op("Abs", {net.weight({32})});
         ir::Value* pooled = net.max_pool(x);
         return net.op("BatchNormalization",
                       {pooled, net.weight({32}), net.weight({32}),
                        net.weight({32}), one});
       }},
      {"folded normalization",
       [&](Net& net, ir::Value* x) {
         ir::Value* one = net.op("Abs", {net.weight({32})});
         return net.op("BatchNormalization",
                       {conv(net, x, 32), net.weight({32}), net.weight({32}),
                        net.weight({32}), one});
       }},
      {"groups of eight",
       [&](Net& net, ir::Value* x) { return conv(net, x, 32, 4); }},
      {"groups of sixteen",
       [&](Net& net, ir::Value* x) { return conv(net, x, 32, 2); }},
      {"channels last and back",
       [&](Net& net, ir::Value* x) {
         ir::Value* y = net.transpose(x, {0, 2, 3, 1});
         y = net.layer_norm(y, 32);
         return conv(net, net.transpose(y, {0, 3, 1, 2}), 32);
       }},
      {"slices that share out the channels",
       [&](Net& net, ir::Value* x) {
         auto slice = [&](int64_t from, int64_t to) {
           return net.op("Slice", {x, net.integers({from}), net.integers({to}),
                                   net.integers({1})});
         };
         return net.op("Concat", {slice(16, 32), slice(0, 16)});
       }},
  };
  for (const auto& [name, build] : cases) {
    CAPTURE(name);
    Net net(/*quantized=*/false);
    ir::Value* x = net.conv(net.input({1, 3, 16, 16}), 3, 32, 3, 1, 1, "");
    ir::Value* y = build(net, x);
    if (y->producer()->is("Concat")) net.with(y, "axis", int64_t{1});
    y = net.conv(y, 32, 16, 1, 1, 1, "Relu");
    check_equal(net.finish_model(y));
  }
}

TEST_CASE("rules and runtime agree on real models") {
  std::filesystem::path folder = test::shared_file("models");
  if (folder.empty()) return;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (std::filesystem::exists(entry.path() / "model.onnx"))
      paths.push_back(entry.path() / "model.onnx");
  std::ranges::sort(paths);
  for (const std::filesystem::path& path : paths) {
    CAPTURE(path.string());
    ir::Model model = io::import_onnx(path);
    ir::bind_input_shapes(model, ir::default_input_shapes(model));
    ir::infer_shapes(model);
    auto runtime = latency::kernels_by_runtime(model, /*threads=*/1);
    auto rules = latency::kernels_by_rules(model, latency::local_traits());
    // The language model adds a mask that is 0 for one token: the runtime sees
    // that the sum does nothing, the rules do not compute constants.
    bool exact = path.string().find("stories") == std::string::npos;
    if (exact)
      CHECK(difference(runtime, rules) == "");
    else
      CHECK(agreement(runtime, rules) > 0.999);
  }
}

TEST_CASE("rules for a device without blocked layouts") {
  ir::Model model = test::residual_net(/*quantized=*/false, 32);
  auto kernels = latency::kernels_by_rules(
      model, {"1.30.0", "arm64", /*nchwc_block=*/0, false});
  std::set<Layout> layouts;
  int fused = 0;
  for (const DescribedKernel& kernel : kernels) {
    layouts.insert(kernel.descriptor.layout);
    fused += kernel.descriptor.fused_add;
    CHECK(!kernel.descriptor.kind.starts_with("reorder"));
  }
  CHECK(layouts == std::set<Layout>{Layout::kPlain});
  CHECK(fused == 2);
}

TEST_CASE("each original node belongs to one kernel by either way") {
  for (bool quantized : {false, true}) {
    ir::Model model = test::residual_net(quantized, 24);
    std::set<std::string> computed;
    for (const auto& node : model.graph->nodes()) {
      bool constant = std::ranges::all_of(
          node->inputs(), [](const ir::Value* v) { return v->is_constant(); });
      if (!constant) computed.insert(node->id());
    }
    for (bool by_rules : {false, true}) {
      CAPTURE(quantized);
      CAPTURE(by_rules);
      auto kernels =
          by_rules ? latency::kernels_by_rules(model, latency::local_traits())
                   : latency::kernels_by_runtime(model, 1);
      std::multiset<std::string> owned;
      for (const DescribedKernel& kernel : kernels)
        owned.insert(kernel.nodes.begin(), kernel.nodes.end());
      for (const std::string& id : computed) {
        CAPTURE(id);
        CHECK(owned.count(id) == 1);
      }
    }
  }
}

}  // namespace
}  // namespace lathe
