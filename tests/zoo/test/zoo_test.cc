#include "tests/zoo/zoo.h"

#include <doctest/doctest.h>

#include <cmath>
#include <iterator>
#include <optional>
#include <set>
#include <string>

#include "passes/base/error.h"
#include "passes/ir/op_table.h"
#include "tests/zoo/test/run_once.h"

namespace lathe::zoo {
namespace {

struct Figures {
  const char* name;
  double parameters_m, macs_g;  // millions, billions
};

// As published, except the multiply-accumulates where the publication has
// another input (DS-CNN, U-Net) or none (BERT), and the parameters of DS-CNN
// and U-Net: those are added up layer by layer from the published widths.
const Figures kFigures[] = {
    {"resnet18", 11.69, 1.82},
    {"resnet50", 25.56, 4.10},
    {"mobilenet_v1", 4.23, 0.57},
    {"mobilenet_v2", 3.50, 0.30},
    {"mobilenet_v3_large", 5.48, 0.217},
    {"squeezenet1_1", 1.24, 0.35},
    {"efficientnet_b0", 5.29, 0.39},
    {"shufflenet_v2", 2.28, 0.146},
    {"densenet121", 7.98, 2.87},
    {"vgg11", 132.86, 7.61},
    {"convnext_tiny", 28.59, 4.46},
    {"vit_tiny", 5.72, 1.26},
    {"bert_tiny", 4.39, 0.05872},
    {"speech_ds_cnn", 0.4107, 0.2183},
    {"speech_tc_resnet14", 0.137, 0.00305},
    {"unet", 1.941, 2.338},
    {"unet_resize", 1.811, 1.193},
};
constexpr double kTolerance = 0.02;

TEST_CASE("every architecture has its published size and runs") {
  std::set<std::string> names;
  for (const ZooModel& entry : zoo()) names.insert(entry.name);
  CHECK(names.size() == zoo().size());
  CHECK(names.size() == std::size(kFigures));
  for (const Figures& figures : kFigures) {
    CAPTURE(figures.name);
    ir::Model model = build_zoo_model(figures.name, 1);
    ir::verify(*model.graph, "zoo");
    CHECK(model.opset() == 17);
    auto close_to = [&](double published) {
      return doctest::Approx(published).epsilon(kTolerance).scale(0);
    };
    CHECK(static_cast<double>(ir::count_parameters(model)) / 1e6 ==
          close_to(figures.parameters_m));
    std::optional<int64_t> macs = ir::total_macs(model);
    REQUIRE(macs);
    CHECK(static_cast<double>(*macs) / 1e9 == close_to(figures.macs_g));
    test::check_runs(model);
  }
}

TEST_CASE("an unknown architecture is refused with the nearest name") {
  auto message = [](const std::string& name) -> std::string {
    try {
      build_zoo_model(name, 0);
    } catch (const Error& error) {
      return std::string(to_string(error.kind())) + ": " + error.what();
    }
    return "no error";
  };
  const std::string models =
      " (models: resnet18, resnet50, mobilenet_v1, mobilenet_v2, "
      "mobilenet_v3_large, squeezenet1_1, efficientnet_b0, shufflenet_v2, "
      "densenet121, vgg11, convnext_tiny, vit_tiny, bert_tiny, speech_ds_cnn, "
      "speech_tc_resnet14, unet, unet_resize)";
  CHECK(message("resnet_18") ==
        "usage: zoo: has no model 'resnet_18'; did you mean 'resnet18'?" +
            models);
  CHECK(message("alexnet") == "usage: zoo: has no model 'alexnet'" + models);
}

TEST_CASE("names say where a node stands, and weights are spread as meant") {
  ir::Model model = build_zoo_model("resnet50", 3);
  const ir::Value* value = model.graph->find("layer2.1.conv_2");
  REQUIRE(value);
  CHECK(value->producer()->id() == "layer2.1.conv_2");
  // Uniform, of variance 2 / fan-in: a 3x3 of 128 channels, then a rectifier.
  auto weights = value->producer()->input(1)->tensor().data<float>();
  REQUIRE(weights.size() == 128 * 128 * 9);
  double sum = 0, squares = 0;
  for (float weight : weights) {
    sum += weight;
    squares += weight * weight;
  }
  double count = static_cast<double>(weights.size());
  CHECK(std::abs(sum / count) < 1e-3);
  CHECK(squares / count ==
        doctest::Approx(2.0 / (128 * 9)).epsilon(0.02).scale(0));
}

}  // namespace
}  // namespace lathe::zoo
