// Options of the passes that train a student.
#include <nlohmann/json.hpp>

#include "passes/distill/distill.h"
#include "recipes/pass_options.h"

namespace lathe::recipes {
namespace {

constexpr const char* kLoadStudentOptions = R"({
  "type": "object", "additionalProperties": false, "required": ["student"],
  "properties": {
    "student": {
      "description": "the model file that becomes the student",
      "type": "string", "minLength": 1}}})";

constexpr const char* kDistillOptions = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "mode": {
      "description": "end_to_end, or blocks: each block by itself against the teacher's values, on samples held in memory",
      "enum": ["end_to_end", "blocks"], "default": "end_to_end"},
    "losses": {
      "description": "what the student is held to, each with its weight; default: what fits each output",
      "type": "array",
      "items": {
        "type": "object", "additionalProperties": false, "required": ["loss"],
        "properties": {
          "loss": {"description": "which one"},
          "weight": {
            "description": "in the sum", "type": "number",
            "exclusiveMinimum": 0, "default": 1},
          "output": {
            "description": "the teacher's output that it looks at; default: every one that it fits",
            "type": "string", "minLength": 1},
          "temperature": {
            "description": "of kl, dkd and dist", "type": "number",
            "exclusiveMinimum": 0},
          "alpha": {
            "description": "dkd: weight of the target class; dist: of correlation between classes",
            "type": "number", "minimum": 0},
          "beta": {
            "description": "dkd: weight of the other classes; dist: of correlation between samples",
            "type": "number", "minimum": 0}}}},
    "steps": {
      "description": "steps of the optimizer; the result repeats to the bit",
      "type": "integer", "minimum": 1},
    "time_budget_s": {
      "description": "seconds to train for, where steps are not given; the steps that fit are found by a trial",
      "type": "number", "exclusiveMinimum": 0, "default": 900},
    "batch_size": {
      "description": "samples to a batch",
      "type": "integer", "minimum": 1, "default": 64},
    "accumulate": {
      "description": "batches to a step",
      "type": "integer", "minimum": 1, "default": 1},
    "optimizer": {
      "description": "what turns gradients into steps", "default": "sgd"},
    "learning_rate": {
      "description": "at its highest; default: of sgd 0.05 where the student trains with BatchNormalization (0.02 on less than 5000 samples), else 0.01; 0.0005 of adamw",
      "type": "number", "exclusiveMinimum": 0},
    "momentum": {
      "description": "of sgd",
      "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.9},
    "nesterov": {
      "description": "Nesterov's momentum, of sgd",
      "type": "boolean", "default": true},
    "weight_decay": {
      "description": "of weights, not of biases and normalizations",
      "type": "number", "minimum": 0, "default": 0.0005},
    "schedule": {
      "description": "how the learning rate changes", "default": "cosine"},
    "warm_up": {
      "description": "share of the steps over which the rate rises",
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.05},
    "milestones": {
      "description": "shares of the steps at which schedule step lowers the rate",
      "type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1},
      "default": [0.5, 0.75]},
    "gamma": {
      "description": "what schedule step multiplies the rate with",
      "type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.1},
    "clip_norm": {
      "description": "most that the norm of the gradient may be; 0: anything",
      "type": "number", "minimum": 0, "default": 1},
    "ema": {
      "description": "decay of an exponential moving average of the weights, which is then the result; 0: none",
      "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0},
    "unfold_batch_norm": {
      "description": "a student with activations in float trains with a BatchNormalization behind each convolution, folded at the end, where a batch has 16 samples",
      "type": "boolean", "default": true},
    "bfloat16": {
      "description": "autocast: products in bfloat16",
      "type": "boolean", "default": false},
    "compute": {
      "description": "where it is computed",
      "enum": ["cpu", "cuda"], "default": "cpu"},
    "augment": {
      "description": "how images vary from epoch to epoch; student and teacher see the same",
      "type": "object", "additionalProperties": false,
      "properties": {
        "flip": {
          "description": "mirrored left and right, every other time",
          "type": "boolean", "default": false},
        "shift": {
          "description": "by up to so many pixels each way",
          "type": "integer", "minimum": 0, "maximum": 65536, "default": 0},
        "crop": {
          "description": "a crop of at least this share of the area, resized",
          "type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
        "erase": {
          "description": "probability that a rectangle is erased",
          "type": "number", "minimum": 0, "maximum": 1, "default": 0}}},
    "mixup": {
      "description": "alpha of the Beta distribution by which samples are mixed; 0: they are not",
      "type": "number", "minimum": 0, "default": 0},
    "held_out": {
      "description": "samples to find the best weights by, not trained on; -1: a tenth, at most 1000",
      "type": "integer", "minimum": -1, "default": -1},
    "evaluate_every": {
      "description": "steps between evaluations of those; 0: twenty in all",
      "type": "integer", "minimum": 0, "default": 0},
    "patience": {
      "description": "evaluations without a better one before training stops; 0: it does not",
      "type": "integer", "minimum": 0, "default": 0},
    "feature_pairs": {
      "description": "values inside that features and attention look at, at most",
      "type": "integer", "minimum": 1, "maximum": 64, "default": 4},
    "block_samples": {
      "description": "mode blocks: samples held in memory; fewer where they take more than 1 GiB",
      "type": "integer", "minimum": 1, "default": 1024},
    "block_epochs": {
      "description": "mode blocks: how often each sample is seen",
      "type": "integer", "minimum": 1, "default": 8},
    "teacher_cache_mib": {
      "description": "MiB of the teacher's outputs kept on disk where nothing varies; 0: none",
      "type": "integer", "minimum": 0, "maximum": 1048576, "default": 4096},
    "checkpoint_s": {
      "description": "seconds between checkpoints",
      "type": "number", "exclusiveMinimum": 0, "default": 30},
    "restart": {
      "description": "begin anew where there is a checkpoint",
      "type": "boolean", "default": false}}})";

std::vector<distill::LossSpec> losses(const Json& options) {
  std::vector<distill::LossSpec> made;
  for (const Json& loss : options.value("losses", Json::array())) {
    distill::LossSpec spec;
    spec.loss = loss.at("loss").get<std::string>();
    spec.weight = loss.value("weight", spec.weight);
    spec.output = loss.value("output", spec.output);
    spec.settings = distill::find_loss(spec.loss).defaults;
    spec.settings.temperature =
        loss.value("temperature", spec.settings.temperature);
    spec.settings.alpha = loss.value("alpha", spec.settings.alpha);
    spec.settings.beta = loss.value("beta", spec.settings.beta);
    made.push_back(std::move(spec));
  }
  return made;
}

exec::OptimizerOptions optimizer(const Json& options) {
  exec::OptimizerOptions made;
  made.kind = exec::find_optimizer(options.value("optimizer", "sgd"));
  made.momentum = options.value("momentum", made.momentum);
  made.nesterov = options.value("nesterov", made.nesterov);
  made.weight_decay = options.value("weight_decay", made.weight_decay);
  return made;
}

void read_augmentation(const Json& options, exec::TrainOptions& train) {
  const auto augment = options.find("augment");
  if (augment == options.end()) return;
  Augmentation& made = train.augmentation;
  made.flip = augment->value("flip", made.flip);
  made.shift = augment->value("shift", made.shift);
  made.crop = augment->value("crop", made.crop);
  made.erase = augment->value("erase", made.erase);
  train.augment = made.any();
}

exec::TrainOptions train_options(const Json& options) {
  exec::TrainOptions made;
  if (options.contains("steps"))
    made.steps = options["steps"].get<int64_t>();
  else
    made.time_budget_s = options.value("time_budget_s", 900.0);
  made.batch_size = options.value("batch_size", made.batch_size);
  made.accumulate = options.value("accumulate", made.accumulate);
  made.optimizer = optimizer(options);
  made.schedule.name = options.value("schedule", made.schedule.name);
  made.schedule.warm_up = options.value("warm_up", made.schedule.warm_up);
  made.schedule.milestones =
      options.value("milestones", made.schedule.milestones);
  made.schedule.gamma = options.value("gamma", made.schedule.gamma);
  made.clip_norm = options.value("clip_norm", made.clip_norm);
  made.ema_decay = options.value("ema", made.ema_decay);
  made.bfloat16 = options.value("bfloat16", made.bfloat16);
  made.device = options.value("compute", made.device);
  read_augmentation(options, made);
  made.mixup = options.value("mixup", made.mixup);
  made.held_out = options.value("held_out", int64_t{-1});
  made.evaluate_every = options.value("evaluate_every", made.evaluate_every);
  made.patience = options.value("patience", made.patience);
  made.checkpoint_seconds =
      options.value("checkpoint_s", made.checkpoint_seconds);
  made.restart = options.value("restart", made.restart);
  return made;
}

}  // namespace

const char* load_student_options() { return kLoadStudentOptions; }

PassPtr make_load_student(const Json& options) {
  return distill::make_load_student(options.at("student").get<std::string>());
}

// The text above with the tables of losses, optimizers and schedules.
const char* distill_options() {
  static const std::string text = [] {
    Json schema = Json::parse(kDistillOptions);
    Json& properties = schema["properties"];
    properties["losses"]["items"]["properties"]["loss"]["enum"] =
        distill::loss_names();
    properties["optimizer"]["enum"] = exec::optimizer_names();
    properties["schedule"]["enum"] = exec::schedule_names();
    return schema.dump();
  }();
  return text.c_str();
}

PassPtr make_distill(const Json& options) {
  distill::DistillOptions made;
  if (options.value("mode", "") == "blocks")
    made.mode = distill::TrainingMode::kBlocks;
  made.losses = losses(options);
  made.train = train_options(options);
  made.unfold_batch_norm =
      options.value("unfold_batch_norm", made.unfold_batch_norm);
  if (options.contains("learning_rate"))
    made.learning_rate = options.at("learning_rate").get<double>();
  made.feature_pairs = options.value("feature_pairs", made.feature_pairs);
  made.block_samples = options.value("block_samples", made.block_samples);
  made.block_epochs = options.value("block_epochs", made.block_epochs);
  made.teacher_cache_bytes = options.value("teacher_cache_mib", int64_t{4096})
                             << 20;
  Json text = options;
  for (const char* key : {"restart", "checkpoint_s", "teacher_cache_mib"})
    text.erase(key);
  made.text = text.dump();
  return distill::make_distill(std::move(made));
}

}  // namespace lathe::recipes
