#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/distill/losses.h"
#include "passes/exec/train_options.h"
#include "passes/io/import.h"
#include "recipes/targets.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/recipe_run.h"

namespace lathe::cli {
namespace {

struct Options {
  std::string teacher, student, student_width, data, eval, device, output;
  std::string latency, max_drop, html;
  std::vector<std::string> losses, augment;
  std::string mode = "end-to-end", optimizer = "sgd", schedule = "cosine";
  std::string time_budget, temperature, learning_rate, momentum, weight_decay;
  std::string warm_up, clip_norm, ema, mixup, checkpoint, compute = "cpu";
  int64_t steps = 0, batch_size = 64, accumulate = 1, held_out = 0;
  int64_t patience = 0, feature_pairs = 4, block_samples = 1024;
  int64_t block_epochs = 8, teacher_cache = 4096;
  bool fresh = false, bfloat16 = false, restart = false, print = false;
};

[[noreturn]] void throw_usage(const std::string& where, const std::string& what,
                              const std::string& hint = "") {
  throw Error(ErrorKind::kUsage, where, what,
              hint.empty() ? "see 'lathe help distill'" : hint);
}

double parse_number(const std::string& flag, const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, value);
  if (failed != std::errc() || rest != end || !(value >= 0))
    throw_usage(flag, fmt::format("found '{}', expected a number", text));
  return value;
}

void set_number(Json& json, const char* key, const std::string& flag,
                const std::string& text) {
  if (!text.empty()) json[key] = parse_number(flag, text);
}

// "kl", "kl=0.9", "mse:boxes=2".
Json parse_loss(const std::string& text, const Options& options) {
  const size_t equals = text.rfind('=');
  const std::string front = text.substr(0, equals);
  const size_t colon = front.find(':');
  const std::string name = front.substr(0, colon);
  const distill::LossRow& row = distill::find_loss(name);
  Json loss = {{"loss", name}};
  if (equals != std::string::npos)
    loss["weight"] = parse_number("--loss", text.substr(equals + 1));
  if (colon != std::string::npos) loss["output"] = front.substr(colon + 1);
  if (!options.temperature.empty() && row.needs_classes && !row.needs_labels)
    loss["temperature"] = parse_number("--temperature", options.temperature);
  return loss;
}

// "flip", "shift=4", "crop=0.6", "erase=0.25".
void parse_augment(const std::string& text, Json& json) {
  for (const std::string& part : split(text, ',')) {
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    const std::string value =
        equals == std::string::npos ? "" : part.substr(equals + 1);
    if (name == "flip" && value.empty())
      json["flip"] = true;
    else if (name == "shift")
      json["shift"] = static_cast<int64_t>(parse_number("--augment", value));
    else if (name == "crop" || name == "erase")
      json[name] = parse_share("--augment", value);
    else
      throw_usage("--augment",
                  fmt::format("found '{}'; expected flip, shift=PIXELS, "
                              "crop=LEAST_SHARE or erase=PROBABILITY",
                              part));
  }
}

Json distill_options(const Options& options, const SharedFlags& flags) {
  const auto given = [&](const char* flag) {
    return flags.given.contains(flag);
  };
  Json json = Json::object();
  if (options.mode == "blocks") {
    json["mode"] = "blocks";
    json["block_samples"] = options.block_samples;
    json["block_epochs"] = options.block_epochs;
  }
  for (const std::string& loss : options.losses)
    json["losses"].push_back(parse_loss(loss, options));
  if (options.losses.empty() && !options.temperature.empty())
    throw_usage("--temperature", "found without --loss",
                "say which loss it is for, as in --loss kl --temperature 2");
  if (given("--steps")) json["steps"] = options.steps;
  if (!options.time_budget.empty())
    json["time_budget_s"] = parse_seconds("--time-budget", options.time_budget);
  if (given("--batch-size")) json["batch_size"] = options.batch_size;
  if (given("--accumulate")) json["accumulate"] = options.accumulate;
  if (given("--optimizer")) json["optimizer"] = options.optimizer;
  set_number(json, "learning_rate", "--learning-rate", options.learning_rate);
  set_number(json, "momentum", "--momentum", options.momentum);
  set_number(json, "weight_decay", "--weight-decay", options.weight_decay);
  if (given("--schedule")) json["schedule"] = options.schedule;
  set_number(json, "warm_up", "--warm-up", options.warm_up);
  set_number(json, "clip_norm", "--clip-norm", options.clip_norm);
  set_number(json, "ema", "--ema", options.ema);
  if (options.bfloat16) json["bfloat16"] = true;
  if (given("--compute")) json["compute"] = options.compute;
  for (const std::string& augment : options.augment)
    parse_augment(augment, json["augment"]);
  set_number(json, "mixup", "--mixup", options.mixup);
  if (given("--held-out")) json["held_out"] = options.held_out;
  if (given("--patience")) json["patience"] = options.patience;
  if (given("--feature-pairs")) json["feature_pairs"] = options.feature_pairs;
  if (!options.checkpoint.empty())
    json["checkpoint_s"] =
        parse_seconds("--checkpoint-interval", options.checkpoint);
  if (given("--teacher-cache"))
    json["teacher_cache_mib"] = options.teacher_cache;
  if (options.restart) json["restart"] = true;
  return json;
}

void add_student(const Options& options, recipes::Recipe& recipe) {
  const bool narrow = !options.student_width.empty();
  if (options.student.empty() == !narrow)
    throw_usage("lathe distill",
                narrow ? "--student-width was found beside --student"
                       : "--student or --student-width is required",
                "give one of the two");
  if (options.fresh && !narrow)
    throw_usage("--fresh", "found without --student-width",
                "it says what a narrower teacher's weights start from");
  if (!narrow) {
    io::format_of(options.student);  // it must exist
    recipe.stages.insert(
        recipe.stages.begin(),
        {"load_student", Json{{"student", options.student}}.dump()});
    return;
  }
  Json width = {
      {"ratio", parse_share("--student-width", options.student_width)}};
  if (options.fresh) width["weights"] = "fresh";
  recipe.stages.insert(recipe.stages.begin(), {"scale_width", width.dump()});
}

int distill(const Options& options, Context& context) {
  if (!options.latency.empty())
    recipes::parse_target(options.latency, "--target-latency");
  if (context.flags.given.contains("--steps") && !options.time_budget.empty())
    throw_usage("--time-budget", "found beside --steps", "give one of the two");
  const Json pass_options = distill_options(options, context.flags);
  recipes::Recipe recipe =
      recipe_from_preset("distill", options.teacher, options.data);
  for (recipes::StageSpec& stage : recipe.stages)
    if (stage.pass == "distill") stage.options = pass_options.dump();
  add_student(options, recipe);
  return run_file_job(std::move(recipe),
                      {.command = "lathe distill",
                       .eval = options.eval,
                       .device = options.device,
                       .latency = options.latency,
                       .max_drop = options.max_drop,
                       .output = options.output,
                       .html = options.html,
                       .print = options.print},
                      context);
}

void add_input_flags(CLI::App& app, Options& options) {
  constexpr const char* kGroup = "Input";
  add_text(app, "--teacher", "T.onnx", options.teacher,
           std::string("the model to learn from: ") + io::kModelFiles)
      ->required()
      ->group(kGroup);
  add_text(app, "--student", "S.onnx", options.student,
           "the model that learns: pruned, quantized (QDQ: trained through "
           "fake quantization with learned steps), or any other with the "
           "teacher's inputs and outputs")
      ->group(kGroup);
  add_text(app, "--student-width", "R", options.student_width,
           "instead of --student: the teacher with this share of its channels, "
           "those that contribute most")
      ->group(kGroup);
  add_switch(app, "--fresh", options.fresh,
             "with --student-width: weights drawn anew")
      ->group(kGroup);
  add_text(app, "--data", "D", options.data,
           "samples to learn on, with or without labels: a data descriptor "
           "(.json), an .npz file, an ONNX test-case folder, or 'synthetic'")
      ->required()
      ->group(kGroup);
  add_text(app, "--eval", "E", options.eval,
           "samples to score on, as --data; without it only those held out of "
           "training tell")
      ->group(kGroup);
}

void add_loss_flags(CLI::App& app, Options& options) {
  constexpr const char* kGroup = "What is learned";
  add_texts(app, "--loss", "NAME[:OUTPUT][=WEIGHT]", options.losses,
            "a part of the loss: " + join(distill::loss_names(), ", ") +
                "; can be given again (default: kl or mse, as it fits each "
                "output, and cross_entropy=0.5 where there are labels)")
      ->group(kGroup);
  add_text(app, "--temperature", "T", options.temperature,
           "of kl, dkd and dist")
      ->default_str("4")
      ->group(kGroup);
  add_count(app, "--feature-pairs", "N", 1, 64, options.feature_pairs,
            "values inside that features and attention look at, at most")
      ->group(kGroup);
  add_choice(app, "--mode", {"end-to-end", "blocks"}, options.mode,
             "blocks: each block by itself against the teacher's values, on "
             "samples in memory and without labels")
      ->group(kGroup);
  add_count(app, "--block-samples", "N", 1, 1 << 24, options.block_samples,
            "with --mode blocks: samples held in memory")
      ->group(kGroup);
  add_count(app, "--block-epochs", "N", 1, 1 << 20, options.block_epochs,
            "with --mode blocks: how often each sample is seen")
      ->group(kGroup);
}

void add_training_flags(CLI::App& app, Options& options) {
  constexpr const char* kGroup = "Training";
  add_count(app, "--steps", "N", 1, int64_t{1} << 40, options.steps,
            "steps to train for; the same command gives the same file")
      ->group(kGroup)
      ->default_str("as --time-budget says");
  add_text(app, "--time-budget", "T", options.time_budget,
           "how long to train: 900s, 20min; the steps that fit are found by a "
           "trial")
      ->default_str("900s")
      ->group(kGroup);
  add_count(app, "--batch-size", "N", 1, 1 << 20, options.batch_size,
            "samples to a batch, of each rank")
      ->group(kGroup);
  add_count(app, "--accumulate", "N", 1, 1 << 20, options.accumulate,
            "batches to a step")
      ->group(kGroup);
  add_choice(app, "--optimizer", exec::optimizer_names(), options.optimizer,
             "sgd has Nesterov's momentum")
      ->group(kGroup);
  add_text(
      app, "--learning-rate", "R", options.learning_rate,
      "at its highest (default: of sgd 0.05 with BatchNormalization, 0.02 on "
      "less than 5000 samples, 0.01 without; of adamw 0.0005)")
      ->group(kGroup);
  add_text(app, "--momentum", "M", options.momentum, "of sgd")
      ->default_str("0.9")
      ->group(kGroup);
  add_text(app, "--weight-decay", "D", options.weight_decay,
           "of weights; biases and normalizations have none")
      ->default_str("0.0005")
      ->group(kGroup);
  add_choice(app, "--schedule", exec::schedule_names(), options.schedule,
             "how the learning rate changes")
      ->group(kGroup);
  add_text(app, "--warm-up", "S", options.warm_up,
           "share of the steps over which the rate rises")
      ->default_str("0.05")
      ->group(kGroup);
  add_text(app, "--clip-norm", "N", options.clip_norm,
           "most that the norm of the gradient may be; 0: anything")
      ->default_str("1")
      ->group(kGroup);
  add_text(app, "--ema", "D", options.ema,
           "result: the moving average of the weights with this decay")
      ->group(kGroup);
  add_switch(app, "--bf16", options.bfloat16,
             "autocast: products in bfloat16, for CPUs that have it")
      ->group(kGroup);
  add_choice(app, "--compute", {"cpu", "cuda"}, options.compute,
             "where it is computed")
      ->group(kGroup);
  add_texts(app, "--augment", "WHAT", options.augment,
            "images vary: flip, shift=PIXELS, crop=LEAST_SHARE, "
            "erase=PROBABILITY, with commas between or given again; student "
            "and teacher see the same")
      ->group(kGroup);
  add_text(app, "--mixup", "ALPHA", options.mixup,
           "samples are mixed in pairs, by Beta(ALPHA, ALPHA)")
      ->group(kGroup);
  add_count(app, "--held-out", "N", 0, int64_t{1} << 40, options.held_out,
            "samples of --data not trained on, by which the best weights are "
            "found")
      ->default_str("a tenth, at most 1000")
      ->group(kGroup);
  add_count(app, "--patience", "N", 0, 1 << 20, options.patience,
            "stop after so many evaluations without a better one; 0: never")
      ->group(kGroup);
  add_count(app, "--teacher-cache", "MIB", 0, 1 << 20, options.teacher_cache,
            "the teacher's answers to what comes as it is, kept on disk")
      ->group(kGroup);
  add_text(app, "--checkpoint-interval", "T", options.checkpoint,
           "how often what it can go on from is written")
      ->default_str("30s")
      ->group(kGroup);
  add_switch(app, "--restart", options.restart,
             "begin anew where an interrupted run left a checkpoint")
      ->group(kGroup);
}

}  // namespace

Action setup_distill(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_input_flags(app, *options);
  add_loss_flags(app, *options);
  add_training_flags(app, *options);
  add_text(app, "--target-latency", "T", options->latency,
           "exit with 3 where the result is slower: 3ms, 800us, 200fps, or "
           "0.5x of the teacher")
      ->group("Target");
  add_text(app, "--max-drop", "X%", options->max_drop,
           "exit with 3 where more accuracy is lost against the teacher, in "
           "percentage points of top-1 (of agreement without labels)")
      ->group("Target");
  add_text(app, "--device", "P", options->device,
           "device profile that prices estimates (default: this machine); "
           "'lathe list devices' names them")
      ->group("Target");
  add_text(app, "-o,--output", "OUT.onnx", options->output,
           "the ONNX file to write; OUT.onnx.training/ beside it keeps "
           "metrics.jsonl and, until the file is written, a checkpoint: the "
           "same command goes on from there")
      ->group("Output");
  add_text(app, "--html", "F.html", options->html,
           "write the curves of loss and accuracy as a page")
      ->group("Output");
  add_switch(app, "--print-recipe", options->print,
             "print the recipe and run nothing")
      ->group("Output");
  app.footer(
      "  lathe distill --teacher model.onnx --student pruned.onnx --data "
      "train.json --eval test.json --time-budget 20min -o small.onnx\n"
      "  lathe distill --teacher model.onnx --student int4.onnx --data "
      "train.json --loss kl=1 --loss features=0.1 --steps 2000 --augment "
      "flip,shift=4 -o qat.onnx\n"
      "  lathe distill --teacher model.onnx --student-width 0.5 --data "
      "train.json --time-budget 1800s -o half.onnx");
  return [options](Context& context) { return distill(*options, context); };
}

}  // namespace lathe::cli
