#include "tools/command.h"

namespace lathe::cli {
namespace {

constexpr char kCompressing[] = "Make a model faster";
constexpr char kMeasuring[] = "Measure";
constexpr char kLooking[] = "Look, translate, check";

constexpr Command kCommands[] = {
    {"compress", "bring a model to a latency target", kCompressing,
     &setup_compress},
    {"run", "run a recipe", kCompressing, &setup_run},
    {"quantize", "turn a model to int8, int4 or half precision", kCompressing,
     &setup_quantize},
    {"prune", "remove channels, heads and blocks for a latency", kCompressing,
     &setup_prune},
    {"distill", "train a smaller model to do what its teacher does",
     kCompressing, &setup_distill},
    {"demo", "the whole way on a built-in model and data", kCompressing,
     &setup_demo},
    {"profile", "measure this device for estimates", kMeasuring, &setup_profile,
     /*several_threads=*/true},
    {"estimate", "estimate the latency of models on a device", kMeasuring,
     &setup_estimate},
    {"bench", "measure the latency of models, interleaved", kMeasuring,
     &setup_bench},
    {"eval", "measure accuracy or perplexity, and fidelity to a reference",
     kMeasuring, &setup_eval},
    {"compare", "find the layer where a changed model goes wrong", kMeasuring,
     &setup_compare},
    {"inspect", "show what is in a model and what it costs", kLooking,
     &setup_inspect},
    {"convert", "read a model and write it as ONNX", kLooking, &setup_convert},
    {"validate", "check recipes, data, reports, device profiles, models",
     kLooking, &setup_validate},
    {"list", "list passes, devices, recipes, formats and more", kLooking,
     &setup_list},
};

}  // namespace

std::span<const Command> command_table() { return kCommands; }

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& command : kCommands) names.push_back(command.name);
  return names;
}

}  // namespace lathe::cli
