#include "calibration/latency/probe/random_network.h"

#include <array>
#include <vector>

#include "calibration/latency/probe/families.h"
#include "calibration/latency/probe/network_precision.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace {

struct Family {
  std::string_view name;
  void (*add)(NetworkBuilder&);
};

constexpr std::array<Family, 26> kFamilies = {{
    {"residual", add_residual},
    {"inverted", add_inverted},
    {"transformer", add_transformer},
    {"tiny", add_tiny},
    {"plain", add_plain},
    {"tiny_dense", add_tiny_dense},
    {"elementwise", add_elementwise},
    {"bottleneck", add_bottleneck},
    {"large", add_large},
    {"mlp", add_mlp},
    {"shuffle", add_shuffle},
    {"unet", add_unet},
    {"separable", add_separable},
    {"movement", add_movement},
    {"tiny_tokens", add_tiny_tokens},
    {"dense", add_dense},
    {"grouped", add_grouped},
    {"speech", add_speech},
    {"detector", add_detector},
    {"convnext", add_convnext},
    {"tiny_speech", add_tiny_speech},
    {"fire", add_fire},
    {"heavy", add_heavy},
    {"pooling", add_pooling},
    {"inception", add_inception},
    {"recurrent", add_recurrent},
}};

// Integer kernels do about as many multiply-accumulates more a second.
constexpr double kInt8Work = 2.5;

constexpr auto kNames = [] {
  std::array<std::string_view, kFamilies.size()> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = kFamilies[i].name;
  return names;
}();

const Family& find_family(const std::string& name) {
  for (const Family& family : kFamilies)
    if (family.name == name) return family;
  std::vector<std::string> names(kNames.begin(), kNames.end());
  throw Error(ErrorKind::kUsage, "",
              "there is no family of networks '" + name + "'" +
                  did_you_mean(name, names),
              "the families are " + join(names, ", "));
}

}  // namespace

std::string name_of(const NetworkSpec& spec) {
  std::string name = spec.family + "-" + std::to_string(spec.seed);
  if (spec.precision != Precision::kFp32)
    name += std::string("-") + to_string(spec.precision);
  return name;
}

std::span<const std::string_view> network_families() { return kNames; }

ir::Model random_network(const NetworkSpec& spec) {
  const Family& family = find_family(spec.family);
  NetworkBuilder builder(derive_seed(spec.seed, spec.family),
                         spec.precision == Precision::kInt8 ? kInt8Work : 1);
  family.add(builder);
  ir::Model model = builder.finish();
  switch (spec.precision) {
    case Precision::kFp32:
      break;
    case Precision::kInt8:
      make_int8(model);
      break;
    case Precision::kFp16:
      make_fp16(model);
      break;
    case Precision::kOther:
      throw_unsupported(name_of(spec), "networks are fp32, int8 or fp16");
  }
  return model;
}

}  // namespace lathe::latency
