#include "calibration/latency/probe/join_kernels.h"

#include "passes/ir/shape_inference.h"
#include "tests/calibration/fixtures.h"

namespace lathe::latency {
namespace {

using test::error_of;
using test::model_of;

// Relu twice under one name, as some exporters do, Neg without a name.
const char* const kGraph = R"(graph main {
  input %x: float[1,4]
  %a: float[1,4] = Relu(%x)
  %b: float[1,4] = Relu(%a)
  %c: float[1,4] = Neg(%b)
  %d: float[4,1] = Transpose(%c)
  output %d
})";

struct Fixture {
  ir::Model model = model_of(kGraph);
  std::vector<DescribedKernel> kernels;
  Fixture() {
    ir::infer_shapes(model);
    std::vector<std::string> names = {"r", "r", "", "t"};
    size_t i = 0;
    for (const auto& node : model.graph->nodes()) {
      node->name = names[i++];
      DescribedKernel kernel;
      kernel.name = node->id();
      kernel.descriptor.kind = node->op_type;
      kernels.push_back(kernel);
    }
  }
  std::vector<const DescribedKernel*> join(
      std::vector<RuntimeProfile::Node> nodes) {
    RuntimeProfile profile;
    profile.nodes = std::move(nodes);
    return join_kernels(profile, model, kernels, "net");
  }
};

TEST_CASE("by name, else by operator, shape and order") {
  Fixture f;
  auto joined = f.join({{"r", "Relu", "[1,4]"},
                        {"r", "Relu", "[1,4]"},
                        {"Neg_7", "Neg", "[1,4]"},
                        {"t", "Transpose", "[9,9]"}});
  REQUIRE(joined.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(joined[i] == &f.kernels[i]);
}

TEST_CASE("in the profile's order") {
  Fixture f;
  auto joined = f.join({{"t", "Transpose", "[4,1]"},
                        {"Neg_7", "Neg", "[1,4]"},
                        {"r", "Relu", "[1,4]"},
                        {"r", "Relu", "[1,4]"}});
  CHECK(joined[0] == &f.kernels[3]);
  CHECK(joined[1] == &f.kernels[2]);
  CHECK(joined[2] == &f.kernels[0]);
  CHECK(joined[3] == &f.kernels[1]);
}

TEST_CASE("nothing is guessed") {
  Fixture f;
  // Another shape.
  CHECK(error_of([&] {
          f.join({{"r", "Relu", "[1,4]"},
                  {"r", "Relu", "[1,4]"},
                  {"Neg_7", "Neg", "[1,5]"},
                  {"t", "Transpose", "[4,1]"}});
        }) ==
        "input: net: the profile's node 'Neg_7' (Neg) is no kernel of the "
        "optimized graph");
  // One Relu fewer than the graph has.
  CHECK(error_of([&] {
          f.join({{"r", "Relu", "[1,4]"},
                  {"Neg_7", "Neg", "[1,4]"},
                  {"t", "Transpose", "[4,1]"}});
        }) ==
        "input: net: the profile's node 'r' (Relu) is no kernel of the "
        "optimized graph");
  CHECK(error_of([&] {
          f.join({{"r", "Relu", "[1,4]"},
                  {"r", "Relu", "[1,4]"},
                  {"Neg_7", "Neg", "[1,4]"}});
        }) == "input: net: the profile has no time for kernel 't' (Transpose)");
  f.kernels[3].name = "elsewhere";
  CHECK(error_of([&] { f.join({}); }) ==
        "input: net: kernel 'elsewhere' is not in the optimized graph");
}

}  // namespace
}  // namespace lathe::latency
