#include "tests/zoo/zoo.h"

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/base/text.h"
#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Sized = ir::Model (*)(uint64_t seed, const Widths& widths, int64_t size);

std::function<ir::Model(uint64_t)> published(Sized build, int64_t size = 224) {
  return [=](uint64_t seed) { return build(seed, published_widths(), size); };
}

ir::Model varied(const char* name, Sized build, uint64_t seed, int64_t size) {
  return build(seed, random_widths(derive_seed(seed, name)), size);
}

RandomWidthFamily family(const char* name, Sized build) {
  return {std::string("random_width_") + name,
          [=](uint64_t seed, int64_t size) {
            return varied(name, build, seed, size);
          }};
}

ir::Model folded_resnet18(uint64_t seed, const Widths& widths, int64_t size) {
  return resnet18(seed, widths, size);
}

}  // namespace

const std::vector<ZooModel>& zoo() {
  static const std::vector<ZooModel> models = {
      {"resnet18", published(folded_resnet18)},
      {"resnet50", published(resnet50)},
      {"mobilenet_v1", published(mobilenet_v1)},
      {"mobilenet_v2", published(mobilenet_v2)},
      {"mobilenet_v3_large", published(mobilenet_v3_large)},
      {"squeezenet1_1", published(squeezenet)},
      {"efficientnet_b0", published(efficientnet_b0)},
      {"shufflenet_v2", shufflenet_v2},
      {"densenet121", densenet121},
      {"vgg11", published(vgg11)},
      {"convnext_tiny", convnext_tiny},
      {"vit_tiny", vit_tiny},
      {"bert_tiny", bert_tiny},
      {"speech_ds_cnn", speech_ds_cnn},
      {"speech_tc_resnet14", speech_tc_resnet},
      {"unet", published(unet)},
      {"unet_resize", published(unet_resize, 160)},
  };
  return models;
}

ir::Model build_zoo_model(const std::string& name, uint64_t seed) {
  std::vector<std::string> names;
  for (const ZooModel& model : zoo()) {
    if (model.name == name) return model.build(seed);
    names.push_back(model.name);
  }
  throw Error(ErrorKind::kUsage, "zoo",
              "has no model '" + name + "'" + did_you_mean(name, names),
              "models: " + join(names, ", "));
}

ir::Model resnet18_with_batch_norm(uint64_t seed) {
  return resnet18(seed, published_widths(), 224, /*keep_batch_norm=*/true);
}

const std::vector<RandomWidthFamily>& random_width_families() {
  static const std::vector<RandomWidthFamily> families = {
      family("resnet18", folded_resnet18),
      family("mobilenet_v2", mobilenet_v2),
      family("resnet50", resnet50),
      family("mobilenet_v1", mobilenet_v1),
      family("mobilenet_v3_large", mobilenet_v3_large),
      family("efficientnet_b0", efficientnet_b0),
      family("squeezenet1_1", squeezenet),
      family("vgg11_pooled", vgg11_pooled),
      family("unet", unet),
  };
  return families;
}

ir::Model random_width_resnet18(uint64_t seed, int64_t size) {
  return varied("resnet18", folded_resnet18, seed, size);
}

ir::Model random_width_mobilenet_v2(uint64_t seed, int64_t size) {
  return varied("mobilenet_v2", mobilenet_v2, seed, size);
}

}  // namespace lathe::zoo
