// Shape inference on whole models: nothing stays unknown, and the runtime
// computes tensors of just these shapes.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/op_table.h"
#include "passes/ir/shape_inference.h"
#include "tests/passes/io/onnx/real_models.h"
#include "tests/support/shared.h"

namespace lathe::test {
namespace {

bool is_silero(const std::filesystem::path& path) {
  return path.filename().string().starts_with("silero");
}

// 16 kHz: 64 samples of context and 512 new ones.
ir::InputShapes wanted_shapes(const std::filesystem::path& path) {
  if (!is_silero(path)) return {};
  return {{"input", {1, 576}}, {"state", {2, 1, 128}}};
}

// With input shapes bound, and without what the file says of computed values.
ir::Model bound_model(const std::filesystem::path& path) {
  ir::Model model = io::import_onnx(path);
  ir::bind_input_shapes(model,
                        ir::default_input_shapes(model, wanted_shapes(path)));
  ir::for_each_graph(*model.graph, [](ir::Graph& graph) {
    for (ir::Value* value : graph.values())
      if (value->producer()) value->type = {};
  });
  return model;
}

bool is_told(const ir::Value& value) {
  return value.type.has_static_shape() &&
         value.type.elem != ir::DataType::kUndefined;
}

TEST_CASE("shapes of real models: every value is told") {
  for (const auto& path : real_models()) {
    CAPTURE(path.string());
    ir::Model model = bound_model(path);
    ir::infer_shapes(model);
    int unknown = 0;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      for (ir::Value* value : graph.values()) {
        if (is_told(*value)) continue;
        ++unknown;
        // Silero's branch for 8 kHz squeezes a length that 576 samples do not
        // give; what follows from there is never computed.
        CAPTURE(value->name());
        CHECK(path.filename() == "silero_vad.onnx");
        CHECK(value->name().starts_with("If_0_else_branch"));
      }
    });
    CHECK((unknown > 0) == (path.filename() == "silero_vad.onnx"));
    CHECK(ir::total_macs(model).has_value());
    // A second run adds nothing.
    std::map<std::string, std::string> before;
    for (ir::Value* value : model.graph->values())
      before[value->name()] = to_string(value->type);
    ir::infer_shapes(model);
    for (ir::Value* value : model.graph->values())
      CHECK(before[value->name()] == to_string(value->type));
  }
}

TEST_CASE("shapes of real models: the runtime computes these shapes") {
  for (const auto& path : real_models()) {
    CAPTURE(path.string());
    ir::Model model = bound_model(path);
    ir::infer_shapes(model);
    ir::InputShapes shapes =
        ir::default_input_shapes(model, wanted_shapes(path));
    NamedTensors inputs = latency::random_inputs(model, shapes, 3);
    for (auto& [name, tensor] : inputs)
      if (name == "sr") tensor = ir::Tensor::scalar<int64_t>(16000);
    // With the file's own input shapes: told 576 samples, the runtime checks
    // Silero's branch for 8 kHz as well and refuses the model.
    ir::Model as_found = io::import_onnx(path);
    std::vector<ir::Value*> values;
    for (ir::Value* output : as_found.graph->outputs())
      values.push_back(model.graph->find(output->name()));
    for (ir::Node* node : as_found.graph->node_list())
      for (ir::Value* value : node->outputs()) {
        if (!value || value->is_graph_output()) continue;
        values.push_back(model.graph->find(value->name()));
        as_found.graph->add_output(value);
      }
    latency::SessionOptions options;
    options.level = latency::OptimizationLevel::kNone;
    auto outputs = latency::Session::open(as_found, options)->run(inputs);
    REQUIRE(outputs.size() == values.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      REQUIRE(values[i] != nullptr);
      const ir::Value& value = *values[i];
      CAPTURE(value.name());
      REQUIRE(is_told(value));
      CHECK(to_dims(*value.type.shape) == outputs[i].dims());
      CHECK(value.type.elem == outputs[i].type());
    }
  }
}

// Worked out by hand from the layers' sizes.
TEST_CASE("shapes of real models: MACs and parameters") {
  struct Expected {
    const char* model;
    int64_t macs, parameters;
  };
  const Expected cases[] = {
      // 16 * 27 * 32^2 + 6 * 2359296 + 2 * (1179648 + 5 * 2359296) + 640;
      // shortcuts without weights. Weights, four BatchNormalization lists a
      // Conv, the classifier.
      {"cifar10_resnet20", 40'551'040, 271'098},
      // As above with 18 convolutions a stage.
      {"cifar10_resnet56", 125'485'696, 857'082},
      // The usual figures of MobileNetV2 1.0 at 224 x 224, BatchNormalization
      // folded.
      {"imagenet_mobilenet_v2", 300'774'272, 3'487'816},
      // 227 x 227, and conv10 padded to 16 x 16: 113^2 * 64 * 27 +
      // 56^2 * 23552 + 28^2 * 94208 + 14^2 * 600064 + 16^2 * 512000.
      {"imagenet_squeezenet1_1", 418'467'520, 1'235'496},
      // 2 * 640 * 128 + 6 * 128 * 128 + 2 * 128 * 8.
      {"anomaly_mlperf_tiny_autoencoder", 264'192, 265'864},
      // 28^2 * 8 * 25 + 14^2 * 16 * 8 * 25 + 256 * 10.
      {"mnist_cntk_opset8", 786'560, 5'994},
  };
  for (const Expected& expected : cases) {
    CAPTURE(expected.model);
    auto path =
        shared_file(std::string("models/") + expected.model + "/model.onnx");
    if (path.empty()) continue;
    ir::Model model = bound_model(path);
    ir::infer_shapes(model);
    CHECK(ir::total_macs(model) == expected.macs);
    CHECK(ir::count_parameters(model) == expected.parameters);
  }
}

TEST_CASE("shapes of real models: a symbolic batch reaches the output") {
  for (const auto& [name, output] : std::map<std::string, std::string>{
           {"cifar10_resnet56", "float[N,10]"},
           {"imagenet_mobilenet_v2", "float[N,1000]"},
           {"imagenet_squeezenet1_1", "float[N,1000]"},
           {"lm_stories260k", "float[batch,seq,512]"}}) {
    CAPTURE(name);
    auto path = shared_file("models/" + name + "/model.onnx");
    if (path.empty()) continue;
    ir::Model model = io::import_onnx(path);
    for (ir::Value* value : model.graph->values())
      if (value->producer()) value->type = {};
    ir::infer_shapes(model);
    CHECK(to_string(model.graph->outputs()[0]->type) == output);
  }
}

}  // namespace
}  // namespace lathe::test
