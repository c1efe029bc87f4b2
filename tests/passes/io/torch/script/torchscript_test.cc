// TorchScript files: layers, names, errors, real models.
#include <cmath>

#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "tests/passes/io/torch/script/script_fixture.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

using test::check_script;
using test::node_types;
using test::script;
using test::script_error;

torch::jit::Module convolution() {
  torch::jit::Module module("Net");
  module.register_parameter("weight", at::randn({4, 3, 3, 3}), false);
  module.register_parameter("bias", at::randn({4}), false);
  module.define(R"(
def forward(self, image):
    return torch.relu(torch.conv2d(image, self.weight, self.bias, [1, 1], [1, 1]))
)");
  return module;
}

TEST_CASE("torchscript: the first layer tells the input's rank") {
  const auto imported = check_script(convolution());
  CHECK(ir::to_string(imported.model.graph->inputs()[0]->type) ==
        "float[batch,3,height,width]");
  CHECK(imported.notes ==
        std::vector<std::string>{
            "the shape of input 'image' is not given; taken as "
            "batchx3xheightxwidth from the layer that reads it (--input-shape "
            "says more)"});
}

TEST_CASE("torchscript: the batch stays free, other sizes are taken") {
  const auto imported =
      check_script(convolution(), {{{"image", {1, 3, 8, 8}}}});
  CHECK(ir::to_string(imported.model.graph->inputs()[0]->type) ==
        "float[batch,3,8,8]");
  CHECK(ir::to_string(imported.model.graph->outputs()[0]->type) ==
        "float[batch,4,8,8]");
  CHECK(imported.notes.empty());
}

TEST_CASE("torchscript: names come from the modules") {
  torch::jit::Module layer = convolution();
  torch::jit::Module root("Root");
  root.register_module("stem", layer);
  root.define(R"(
def forward(self, x):
    return self.stem.forward(x)
)");
  const auto imported = check_script(root, {{{"", {1, 3, 4, 4}}}});
  std::vector<std::string> nodes;
  for (const auto& node : imported.model.graph->nodes())
    nodes.push_back(node->name);
  CHECK(nodes == std::vector<std::string>{"stem/Conv", "stem/Relu"});
  CHECK(imported.model.graph->find("stem.weight"));
  CHECK(imported.model.graph->outputs()[0]->name() == "output");
}

TEST_CASE("torchscript: a rank that nothing tells is asked for") {
  CHECK(script_error(script("def forward(self, x):\n"
                            "    assert x.dim() == 5\n"
                            "    return x.relu()\n")) ==
        "model.pt: the rank of its argument 'x' must be known and is not (give "
        "the inputs' shapes with --input-shape)");
}

TEST_CASE("torchscript: an operator without translation is named") {
  CHECK(script_error(script("def forward(self, x):\n"
                            "    return torch.linalg_svdvals(x)\n"),
                     {{{"x", {2, 2}}}}) ==
        "model.pt (<string>:2): operator aten::linalg_svdvals has no "
        "translation to ONNX "
        "(replace it in the model, or export with torch.onnx.export)");
}

TEST_CASE("torchscript: a program that always raises") {
  CHECK(script_error(script("def forward(self, x):\n"
                            "    assert x.size(1) > 7, 'never'\n"
                            "    return x\n"),
                     {{{"x", {2, 2}}}})
            .find("the program always raises on these inputs") !=
        std::string::npos);
}

TEST_CASE("torchscript: inputs that ONNX has no form for") {
  CHECK(script_error(script("def forward(self, names: Dict[str, Tensor]):\n"
                            "    return names['a']\n")) ==
        "model.pt: input 'names' is a Dict[str, Tensor], expected a tensor, a "
        "tuple of tensors or a number (wrap the model in a module that takes "
        "tensors)");
}

// The model beside the file on the same inputs: its own test data.
void agrees_with_onnx(const std::string& folder, const std::string& file) {
  const auto path = test::shared_file("models/" + folder + "/" + file);
  if (path.empty()) return;
  CAPTURE(path.string());
  const auto imported = io::import_torch(path, {});
  CHECK(test::largest_difference(imported) <= 1e-4);
  const auto onnx =
      io::import_onnx(test::shared_file("models/" + folder + "/model.onnx"));
  const auto mine = latency::Session::open(imported.model, {}, "converted");
  const auto theirs = latency::Session::open(onnx, {}, "model.onnx");
  for (const char* set : {"test_data_set_0", "test_data_set_1"}) {
    const ir::Tensor input = io::read_tensor_file(
        test::shared_file("models/" + folder + "/" + set + "/input_0.pb"));
    const auto a = mine->run({{mine->inputs()[0].name, input}})[0].to_doubles();
    const auto b =
        theirs->run({{theirs->inputs()[0].name, input}})[0].to_doubles();
    REQUIRE(a.size() == b.size());
    double largest = 0, off = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::abs(b[i]));
      off = std::max(off, std::abs(a[i] - b[i]));
    }
    CHECK(off <= 1e-4 * largest);
  }
}

TEST_CASE("torchscript: real traced models give what their .onnx gives") {
  agrees_with_onnx("cifar10_resnet20", "model_traced.pt");
  agrees_with_onnx("cifar10_resnet56", "model_traced.pt");
}

TEST_CASE("torchscript: a real scripted model gives what LibTorch gives") {
  const auto path =
      test::shared_file("models/cifar10_resnet20/original_scripted.pt");
  if (path.empty()) return;
  const auto imported = io::import_torch(path, {});
  REQUIRE(!imported.references.empty());
  CHECK(test::largest_difference(imported) <= 1e-4);
}

TEST_CASE("torchscript: silero's state and control flow") {
  const auto path = test::shared_file("models/vad_silero/silero_vad.jit");
  if (path.empty()) return;
  const auto imported = io::import_torch(path, {{{"x", {1, 512}}}});
  CHECK(imported.references.size() == 3);
  CHECK(test::largest_difference(imported) <= 1e-4);

  // Chunk by chunk, as upstream's own program was run over the recording.
  const std::string wav =
      read_file(test::shared_file("models/vad_silero/speech_16k_mono.wav"));
  const std::string npy = read_file(test::shared_file(
      "models/vad_silero/torchscript_speech_prob_per_512_chunk.npy"));
  const size_t header = 10 + static_cast<unsigned char>(npy[8]) +
                        256 * static_cast<unsigned char>(npy[9]);
  const float* expected = reinterpret_cast<const float*>(npy.data() + header);
  const size_t chunks = (npy.size() - header) / sizeof(float);
  const int16_t* samples = reinterpret_cast<const int16_t*>(wav.data() + 44);
  const auto session = latency::Session::open(imported.model, {}, "silero");
  NamedTensors inputs = imported.references[0].inputs;
  double worst = 0;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    std::vector<float> x(512);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t at = chunk * 512 + i;
      x[i] = 44 + 2 * at + 1 < wav.size()
                 ? static_cast<float>(samples[at]) / 32768.0F
                 : 0.0F;
    }
    for (auto& [name, tensor] : inputs)
      if (name == "x") tensor = ir::Tensor::from<float>({1, 512}, x);
    const auto outputs = session->run(inputs);
    worst =
        std::max(worst, std::abs(outputs[0].to_doubles()[0] - expected[chunk]));
    for (size_t i = 1; i < outputs.size(); ++i) {
      const std::string& next = session->outputs()[i].name;
      for (auto& [name, tensor] : inputs)
        if (name + "_next" == next) tensor = outputs[i];
    }
  }
  INFO("largest difference " << worst << " over " << chunks << " chunks");
  CHECK(chunks > 900);
  CHECK(worst <= 1e-4);
}

}  // namespace
}  // namespace lathe
