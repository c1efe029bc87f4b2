#include <nlohmann/json.hpp>

#include "recipes/report.h"

namespace lathe::recipes {
namespace {

constexpr const char* kSchema = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"title": "Lathe report",
"type": "object",
"additionalProperties": false,
"required": ["schema_version", "tool", "runtime", "inputs", "device",
             "input_shapes", "targets", "data", "stages", "variants",
             "rejected", "gates", "notes", "recipe", "exit_code"],
"properties": {
  "schema_version": {"const": 1},
  "tool": {"$ref": "#/$defs/named"},
  "runtime": {"$ref": "#/$defs/named"},
  "inputs": {
    "description": "the files that were read; manifest.json lists each of them",
    "type": "object", "additionalProperties": false, "required": ["model"],
    "properties": {
      "model": {"$ref": "#/$defs/files"},
      "data": {"$ref": "#/$defs/files"},
      "eval": {"$ref": "#/$defs/files"},
      "device": {"description": "the device profile, where it is a file",
                 "$ref": "#/$defs/files"},
      "plan": {"description": "plans that stages were given as files",
               "$ref": "#/$defs/files"},
      "student": {"description": "models that the stage load_student took",
                  "$ref": "#/$defs/files"}}},
  "device": {
    "type": "object", "additionalProperties": false,
    "required": ["profile", "calibrated", "this_machine", "threads"],
    "properties": {
      "profile": {"description": "what priced the estimates", "type": "string"},
      "calibrated": {"description": "measurements stand behind the profile",
                     "type": "boolean"},
      "this_machine": {"description": "latency was also measured",
                       "type": "boolean"},
      "threads": {"type": "integer", "minimum": 1}}},
  "input_shapes": {
    "description": "that latency and MACs are quoted for",
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
  "targets": {
    "type": "object", "additionalProperties": false, "required": ["latency"],
    "properties": {
      "latency": {"type": "array", "items": {"type": "string"}},
      "max_drop": {"$ref": "#/$defs/fraction"}}},
  "data": {
    "type": "object", "additionalProperties": false,
    "properties": {
      "calibration": {"$ref": "#/$defs/data"},
      "scoring": {"$ref": "#/$defs/data"}}},
  "stages": {
    "type": "array", "minItems": 1,
    "items": {
      "type": "object", "additionalProperties": false,
      "required": ["name", "score", "seconds", "remarks"],
      "properties": {
        "name": {"type": "string"},
        "pass": {"description": "absent for the baseline", "type": "string"},
        "options": {"description": "with defaults filled in", "type": "object"},
        "changes": {"description": "places that changed",
                    "type": "integer", "minimum": 0},
        "score": {"$ref": "#/$defs/score"},
        "seconds": {"description": "the pass and its scoring",
                    "type": "number", "minimum": 0},
        "remarks": {
          "type": "array",
          "items": {
            "type": "object", "additionalProperties": false,
            "required": ["node", "reason"],
            "properties": {
              "node": {"description": "empty: the whole model",
                       "type": "string"},
              "reason": {"type": "string", "minLength": 1}}}},
        "layers": {
          "description": "what the pass decided for each layer",
          "type": "array",
          "items": {
            "type": "object", "additionalProperties": false,
            "required": ["node", "operator", "precision", "reason"],
            "properties": {
              "node": {"type": "string"},
              "operator": {"type": "string"},
              "precision": {"enum": ["int8", "float"]},
              "sqnr_db": {"description": "of the model's outputs with this layer alone in that way",
                          "type": "number"},
              "saved_us": {"description": "less than in float on the device, borders aside",
                           "type": "number"},
              "reason": {"type": "string", "minLength": 1}}}},
        "plan": {
          "description": "what the pass decided, to be edited and fed back; plan.schema.json says what is in it",
          "type": "object"},
        "training": {
          "description": "how the pass trained, a point of the curve as a line of metrics.jsonl",
          "type": "object", "additionalProperties": false,
          "required": ["steps", "samples", "seconds", "curve"],
          "properties": {
            "steps": {"type": "integer", "minimum": 0},
            "samples": {"description": "seen, each as often as it was",
                        "type": "integer", "minimum": 0},
            "samples_per_step": {"description": "of all ranks",
                                 "type": "integer", "minimum": 0},
            "seconds": {"description": "of all sessions together",
                        "type": "number", "minimum": 0},
            "waiting_s": {"description": "of the last session, for data",
                          "type": "number", "minimum": 0},
            "resumed_at": {"description": "the step of the checkpoint that it went on from; 0: none",
                           "type": "integer", "minimum": 0},
            "best_step": {"description": "whose weights are the result, where samples are held out; 0: those that training began with",
                          "type": "integer", "minimum": 0},
            "stopped_early": {"type": "boolean"},
            "curve": {
              "type": "array",
              "items": {
                "type": "object", "additionalProperties": false,
                "required": ["step", "epoch", "seconds", "learning_rate", "samples_per_s", "loss", "terms"],
                "properties": {
                  "step": {"description": "steps done", "type": "integer", "minimum": 1},
                  "epoch": {"type": "number", "minimum": 0},
                  "seconds": {"type": "number", "minimum": 0},
                  "learning_rate": {"type": "number", "minimum": 0},
                  "samples_per_s": {"type": "number", "minimum": 0},
                  "loss": {"description": "mean since the point before", "type": "number"},
                  "terms": {"description": "what it is made of, weighted",
                            "type": "object",
                            "additionalProperties": {"type": "number"}},
                  "accuracy": {"description": "share that is right by label, without labels as the teacher says",
                               "$ref": "#/$defs/fraction"},
                  "gradient_norm": {"description": "before clipping", "type": "number", "minimum": 0},
                  "held_out_loss": {"type": "number"},
                  "held_out_accuracy": {"$ref": "#/$defs/fraction"}}}}}}}}},
  "variants": {
    "description": "models that were written, one for each target",
    "type": "array",
    "items": {
      "type": "object", "additionalProperties": false,
      "required": ["path", "sha256", "stage", "target", "score", "met"],
      "properties": {
        "path": {"description": "relative to the report", "type": "string"},
        "sha256": {"$ref": "#/$defs/sha256"},
        "stage": {"description": "whose result it is", "type": "string"},
        "target": {"type": "string"},
        "score": {"$ref": "#/$defs/score"},
        "met": {"enum": ["measured", "estimated", false]},
        "reason": {"description": "why not met", "type": "string"}}}},
  "rejected": {
    "description": "stages' models that do not serve a target, and why",
    "type": "array",
    "items": {
      "type": "object", "additionalProperties": false,
      "required": ["stage", "target", "reason"],
      "properties": {
        "stage": {"type": "string"},
        "target": {"type": "string"},
        "reason": {"type": "string", "minLength": 1},
        "score": {"$ref": "#/$defs/score"}}}},
  "gates": {
    "type": "array",
    "items": {
      "type": "object", "additionalProperties": false,
      "required": ["name", "variant", "bound", "passed"],
      "properties": {
        "name": {"type": "string"},
        "variant": {"type": "string"},
        "bound": {"type": "number"},
        "value": {"description": "absent: the figure does not exist",
                  "type": "number"},
        "passed": {"type": "boolean"}}}},
  "notes": {"type": "array", "items": {"type": "string"}},
  "recipe": {"description": "the recipe in effect, with absolute paths",
             "type": "object"},
  "exit_code": {"enum": [0, 3]}},
"$defs": {
  "fraction": {"type": "number", "minimum": 0, "maximum": 1},
  "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
  "named": {
    "type": "object", "additionalProperties": false,
    "required": ["name", "version"],
    "properties": {"name": {"type": "string"}, "version": {"type": "string"}}},
  "files": {
    "description": "up to 16 files one by one, more as their number and the SHA-256 of their hashes, a line each",
    "type": "object", "additionalProperties": false, "required": ["size_bytes"],
    "properties": {
      "files": {
        "type": "array",
        "items": {
          "type": "object", "additionalProperties": false,
          "required": ["path", "sha256", "size_bytes"],
          "properties": {
            "path": {"type": "string"},
            "sha256": {"$ref": "#/$defs/sha256"},
            "size_bytes": {"type": "integer", "minimum": 0}}}},
      "file_count": {"type": "integer", "minimum": 1},
      "sha256_of_hashes": {"$ref": "#/$defs/sha256"},
      "size_bytes": {"type": "integer", "minimum": 0}}},
  "data": {
    "type": "object", "additionalProperties": false,
    "required": ["description", "samples", "labels", "synthetic"],
    "properties": {
      "description": {"type": "string"},
      "samples": {"type": "integer", "minimum": 0},
      "labels": {"type": "boolean"},
      "synthetic": {"type": "boolean"}}},
  "score": {
    "description": "a figure that does not exist is absent",
    "type": "object", "additionalProperties": false,
    "required": ["size_bytes", "parameters"],
    "properties": {
      "estimated_latency_us": {
        "description": "median and 90% interval",
        "type": "object", "additionalProperties": false,
        "required": ["p5", "p50", "p95"],
        "properties": {"p5": {"type": "number", "minimum": 0},
                       "p50": {"type": "number", "minimum": 0},
                       "p95": {"type": "number", "minimum": 0}}},
      "measured_latency_us": {
        "type": "object", "additionalProperties": false,
        "required": ["min", "p10", "median", "p90", "runs", "noisy"],
        "properties": {
          "min": {"type": "number", "minimum": 0},
          "p10": {"type": "number", "minimum": 0},
          "median": {"type": "number", "minimum": 0},
          "p90": {"type": "number", "minimum": 0},
          "runs": {"type": "integer", "minimum": 1},
          "noisy": {"type": "boolean"},
          "ratio_to_input": {
            "description": "median over the input model's, measured interleaved",
            "type": "number", "minimum": 0}}},
      "size_bytes": {"description": "of the .onnx file and its external data",
                     "type": "integer", "minimum": 0},
      "parameters": {"type": "integer", "minimum": 0},
      "macs": {"description": "multiply-accumulates of one run",
               "type": "integer", "minimum": 0},
      "samples": {"description": "that accuracy was scored on",
                  "type": "integer", "minimum": 0},
      "top1": {"$ref": "#/$defs/fraction"},
      "top5": {"$ref": "#/$defs/fraction"},
      "agreement": {
        "description": "share of samples (of positions, where a sample has several) with the input model's arg max",
        "$ref": "#/$defs/fraction"},
      "sqnr_db": {"description": "lowest of all outputs, against the input model",
                  "type": "number"},
      "perplexity": {
        "description": "of the next token, where the model foretells its input",
        "type": "number", "minimum": 1},
      "outputs": {
        "description": "against the input model",
        "type": "array",
        "items": {
          "type": "object", "additionalProperties": false,
          "required": ["name"],
          "properties": {
            "name": {"type": "string"},
            "sqnr_db": {"type": "number"},
            "cosine": {"type": "number"},
            "max_abs_diff": {"type": "number", "minimum": 0}}}}}}}})";

}  // namespace

Json report_schema() { return Json::parse(kSchema); }

}  // namespace lathe::recipes
