#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "calibration/ranges/observer.h"
#include "passes/base/error.h"
#include "passes/io/import.h"
#include "recipes/pass_table.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/recipe_run.h"

namespace lathe::cli {
namespace {

// A preset, and the pass in it that the flags are options of.
struct Scheme {
  const char *name, *preset, *pass;
};
// The first is the default.
constexpr Scheme kSchemes[] = {
    {"int8", "int8-latency", "quantize_static"},
    {"int8-dynamic", "int8-dynamic", "quantize_dynamic"},
    {"fp16", "fp16", "float16"},
    {"bf16-weights", "bf16-weights", "bfloat16_weights"},
    {"int4-weights", "int4-weights", "quantize_weights"},
    {"int8-weights", "int8-weights", "quantize_weights"},
};

struct Options {
  std::string scheme, device;
  std::string model, data, output, activation_type, calibration, percentile;
  std::string block_size, rounding, form, placement, equalize, adaround;
  std::string max_drop, min_sqnr, latency_limit;
  std::vector<std::string> exclude_nodes, exclude_operators;
  int64_t weight_bits = 0;  // 0: the default
  bool per_tensor = false, symmetric = false, print = false;
  bool correct_biases = false, convolutions = false;
};

// The observers as flags spell them: "min-max".
std::string replaced(std::string name, char from, char to) {
  std::replace(name.begin(), name.end(), from, to);
  return name;
}

std::vector<std::string> calibrations() {
  std::vector<std::string> names = ranges::observer_names();
  for (std::string& name : names) name = replaced(name, '_', '-');
  return names;
}

double parse_percentile(const std::string& text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, code] = std::from_chars(text.data(), last, value);
  if (code != std::errc() || end != last || !(value > 50 && value <= 100))
    throw Error(
        ErrorKind::kUsage, "--percentile",
        "found '" + text + "', expected a number above 50 and at most 100");
  return value;
}

std::vector<std::string> scheme_names() {
  std::vector<std::string> names;
  for (const Scheme& scheme : kSchemes) names.emplace_back(scheme.name);
  return names;
}

const Scheme& find_scheme(const std::string& name) {
  for (const Scheme& scheme : kSchemes)
    if (scheme.name == name) return scheme;
  return kSchemes[0];
}

// Collects the options that flags give to a scheme's pass.
class PassOptions {
 public:
  explicit PassOptions(const Scheme& scheme)
      : scheme_(scheme),
        known_(Json::parse(recipes::find_pass(scheme.pass)->options_schema)
                   .at("properties")) {}

  // Error kUsage where the pass has no such option.
  void set(const char* flag, const char* key, Json value) {
    if (!known_.contains(key))
      throw Error(
          ErrorKind::kUsage, flag,
          std::string("--scheme ") + scheme_.name + " has no such option",
          "see 'lathe list passes' for what " + std::string(scheme_.pass) +
              " takes");
    json_[key] = std::move(value);
  }
  // Over those that the preset gives.
  std::string over(const std::string& preset) const {
    Json json = Json::parse(preset);
    json.update(json_);
    return json.dump();
  }

 private:
  const Scheme& scheme_;
  Json known_, json_ = Json::object();
};

PassOptions pass_options(const Scheme& scheme, const Options& options) {
  PassOptions made(scheme);
  if (!options.activation_type.empty())
    made.set("--activation-type", "activation_type", options.activation_type);
  if (options.symmetric) made.set("--symmetric", "activation_symmetric", true);
  if (options.weight_bits != 0)
    made.set("--weight-bits", "weight_bits", options.weight_bits);
  if (options.per_tensor) made.set("--per-tensor", "per_channel", false);
  if (!options.calibration.empty())
    made.set("--calibration", "observer",
             replaced(options.calibration, '-', '_'));
  if (!options.percentile.empty())
    made.set("--percentile", "percentile",
             parse_percentile(options.percentile));
  if (!options.block_size.empty())
    made.set("--block-size", "block_size", Json::parse(options.block_size));
  if (!options.rounding.empty())
    made.set("--rounding", "method", options.rounding);
  if (!options.form.empty())
    made.set("--form", "form", replaced(options.form, '-', '_'));
  if (options.convolutions) {
    made.set("--convolutions", "convolutions", true);
    if (options.form.empty()) made.set("--convolutions", "form", "qdq");
  }
  if (!options.placement.empty())
    made.set("--placement", "placement", options.placement);
  if (!options.max_drop.empty())
    made.set("--max-drop", "max_drop",
             recipes::parse_drop(options.max_drop, "--max-drop"));
  if (!options.min_sqnr.empty())
    made.set("--min-sqnr", "min_sqnr_db",
             parse_decibels("--min-sqnr", options.min_sqnr));
  if (!options.latency_limit.empty()) {
    recipes::parse_target(options.latency_limit, "--target-latency");
    made.set("--target-latency", "latency_limit", options.latency_limit);
  }
  if (!options.exclude_nodes.empty())
    made.set("--exclude-node", "exclude_nodes", options.exclude_nodes);
  if (!options.exclude_operators.empty())
    made.set("--exclude-op", "exclude_operators", options.exclude_operators);
  return made;
}

void drop_equalization(const Scheme& scheme, const Options& options,
                       recipes::Recipe& recipe) {
  const auto evens_out = [](const recipes::StageSpec& stage) {
    return stage.pass == "cross_layer_equalization" ||
           stage.pass == "smooth_quant";
  };
  if (std::none_of(recipe.stages.begin(), recipe.stages.end(), evens_out))
    throw Error(
        ErrorKind::kUsage, "--equalize",
        std::string("--scheme ") + scheme.name + " evens out no channels",
        "leave the flag away");
  if (options.equalize == "off") std::erase_if(recipe.stages, evens_out);
}

// Stages that bring the int8 model closer to the float one.
void add_corrections(const Scheme& scheme, const Options& options,
                     recipes::Recipe& recipe) {
  const auto add = [&](const char* flag, const char* pass, const Json& json) {
    const auto at = std::find_if(
        recipe.stages.begin(), recipe.stages.end(),
        [](const auto& stage) { return stage.pass == "quantize_static"; });
    if (at == recipe.stages.end())
      throw Error(ErrorKind::kUsage, flag,
                  std::string("--scheme ") + scheme.name +
                      " has no weights that it could change",
                  "use it with --scheme int8");
    recipe.stages.insert(at + 1, {pass, json.dump()});
  };
  if (options.correct_biases)
    add("--correct-biases", "bias_correction", Json::object());
  if (!options.adaround.empty())
    add("--adaround", "adaround", {{"granularity", options.adaround}});
}

int quantize(const Options& options, Context& context) {
  const Scheme& scheme = find_scheme(options.scheme);
  if (recipes::find_pass(scheme.pass)->needs_data && options.data.empty())
    throw Error(ErrorKind::kUsage, "lathe quantize", "--data is required",
                "see 'lathe help quantize'");
  recipes::Recipe recipe =
      recipe_from_preset(scheme.preset, options.model, options.data);
  if (!options.equalize.empty()) drop_equalization(scheme, options, recipe);
  const PassOptions given = pass_options(scheme, options);
  for (recipes::StageSpec& stage : recipe.stages)
    if (stage.pass == scheme.pass) stage.options = given.over(stage.options);
  add_corrections(scheme, options, recipe);
  return run_file_job(std::move(recipe),
                      {.command = "lathe quantize",
                       .device = options.device,
                       .latency = options.latency_limit,
                       .max_drop = options.max_drop,
                       .output = options.output,
                       .score = !options.min_sqnr.empty(),
                       .print = options.print},
                      context);
}

}  // namespace

Action setup_quantize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "MODEL", "MODEL", options->model, io::kModelFiles)
      ->required()
      ->group("Input");
  add_text(app, "--data", "D", options->data,
           "samples to calibrate on: a data descriptor (.json), an .npz file, "
           "an ONNX test-case folder, or 'synthetic'; --scheme int8 needs "
           "them, fp16 looks for values beyond its range")
      ->group("Input");
  add_choice(app, "--scheme", scheme_names(), options->scheme,
             "what the numbers become")
      ->default_str(kSchemes[0].name)
      ->group("Quantization");
  add_text(app, "--device", "P", options->device,
           "device profile of the target: decides between uint8 and int8 "
           "activations, and where weights need 7 bits (default: this "
           "machine); 'lathe list devices' names them")
      ->group("Quantization");
  add_choice(app, "--placement", {"latency", "all"}, options->placement,
             "int8: integer kernels where they pay by the device's profile, or "
             "wherever the runtime has one")
      ->default_str("latency")
      ->group("Quantization");
  add_choice(app, "--equalize", {"auto", "off"}, options->equalize,
             "int8: channels that reach far beyond the others are evened out "
             "before, where that is predicted to help")
      ->default_str("auto")
      ->group("Quantization");
  add_switch(app, "--correct-biases", options->correct_biases,
             "int8: moves biases so that the float layers' means come out")
      ->group("Quantization");
  add_choice(app, "--adaround", {"layer", "block"}, options->adaround,
             "int8: learns on the data whether to round each weight up or "
             "down, layer by layer or block by block; takes minutes")
      ->group("Quantization");
  add_text(app, "--max-drop", "X%", options->max_drop,
           "mixed precision: layers stay in float until top-1 drops by no more "
           "than this (agreement with MODEL where there are no labels)")
      ->group("Mixed precision");
  add_text(app, "--min-sqnr", "DB", options->min_sqnr,
           "mixed precision: layers stay in float until every output has this "
           "signal to noise against MODEL, as 20dB")
      ->group("Mixed precision");
  add_text(app, "--target-latency", "T", options->latency_limit,
           "mixed precision: as few layers in int8 as this latency allows, "
           "those first that disturb the outputs least: 3ms, 800us, 0.5x")
      ->group("Mixed precision");
  add_choice(app, "--activation-type", {"uint8", "int8", "uint16", "int16"},
             options->activation_type,
             "integer type of activations (default: uint8 for an x86, int8 "
             "for an Arm)")
      ->group("Quantization");
  add_choice(app, "--calibration", calibrations(), options->calibration,
             "how the ranges of activations follow from the data")
      ->default_str(replaced(ranges::default_observer().name, '_', '-'))
      ->group("Quantization");
  add_text(app, "--percentile", "P", options->percentile,
           "with --calibration percentile: the share of elements in the range")
      ->default_str(fmt::format("{}", ObserverOptions{}.percentile))
      ->group("Quantization");
  add_switch(app, "--per-tensor", options->per_tensor,
             "one weight scale a tensor instead of one an output channel")
      ->group("Quantization");
  add_switch(app, "--symmetric", options->symmetric,
             "ranges of activations with zero in the middle of the codes")
      ->group("Quantization");
  add_count(app, "--weight-bits", "N", 7, 8, options->weight_bits,
            "bits of an int8 weight; layers whose products would saturate on "
            "the device get 7 by themselves")
      ->default_str("8")
      ->group("Quantization");
  add_choice(app, "--block-size", {"16", "32", "64", "128", "256"},
             options->block_size,
             "int4-weights, int8-weights: weights that share a scale (default: "
             "32)")
      ->group("Quantization");
  add_choice(app, "--rounding", {"rtn", "gptq"}, options->rounding,
             "int4-weights, int8-weights: to nearest, or by GPTQ on the data "
             "(default: gptq where real data is given)")
      ->group("Quantization");
  add_choice(app, "--form", {"matmul-nbits", "qdq"}, options->form,
             "int4-weights, int8-weights: as MatMulNBits nodes, or as blocks "
             "behind DequantizeLinear (default: matmul-nbits)")
      ->group("Quantization");
  add_switch(
      app, "--convolutions", options->convolutions,
      "int4-weights, int8-weights: weights of Conv as well, one scale an "
      "output channel; implies --form qdq")
      ->group("Quantization");
  add_texts(app, "--exclude-node", "NAME", options->exclude_nodes,
            "leave this node in float; can be given again")
      ->group("Quantization");
  add_texts(app, "--exclude-op", "TYPE", options->exclude_operators,
            "leave nodes of this operator in float; can be given again")
      ->group("Quantization");
  add_text(app, "-o,--output", "OUT.onnx", options->output,
           "the ONNX file to write")
      ->group("Output");
  add_switch(app, "--print-recipe", options->print,
             "print the recipe and run nothing")
      ->group("Output");
  app.footer(
      "  lathe quantize model.onnx --data train.json -o model-int8.onnx\n"
      "  lathe quantize model.onnx --data train.json --max-drop 0.5% -o "
      "model-int8.onnx\n"
      "  lathe quantize model.onnx --data train.json --samples 256 "
      "--exclude-op Gemm -o model-int8.onnx\n"
      "  lathe quantize model.onnx --scheme int8-dynamic -o "
      "model-dynamic.onnx\n"
      "  lathe quantize model.onnx --scheme int4-weights --data tokens.npy -o "
      "model-int4.onnx");
  return [options](Context& context) { return quantize(*options, context); };
}

}  // namespace lathe::cli
