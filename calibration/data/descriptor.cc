#include "calibration/data/descriptor.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/json_schema.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

// The format names come from the table.
constexpr const char* kSchema = R"json({{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Lathe data descriptor",
  "type": "object",
  "required": ["format"],
  "additionalProperties": false,
  "properties": {{
    "format": {{"enum": [{}]}},
    "path": {{
      "description": "A folder, file or tar archive, relative to the descriptor",
      "type": "string", "minLength": 1
    }},
    "files": {{
      "description": "Shell pattern over the paths inside; '*' spans folders",
      "type": "string", "minLength": 1
    }},
    "labels": {{
      "oneOf": [
        {{"description": "A file of labels (idx, npy)",
         "type": "string", "minLength": 1}},
        {{
          "type": "object",
          "additionalProperties": false,
          "properties": {{
            "from": {{"enum": ["folder", "name-prefix", "none", "csv"]}},
            "csv": {{"type": "string", "minLength": 1}},
            "file_column": {{"type": "string", "minLength": 1,
                            "default": "file"}},
            "label_column": {{"type": "string", "minLength": 1,
                             "default": "label"}},
            "offset": {{"description": "Added to every label",
                       "type": "integer", "minimum": -1000000,
                       "maximum": 1000000, "default": 0}},
            "classes": {{"description": "Class names in the order of the labels",
                        "type": "array", "minItems": 1, "uniqueItems": true,
                        "items": {{"type": "string"}}}}
          }}
        }}
      ]
    }},
    "input": {{
      "description": "The model input that is fed; default: the only one",
      "type": "string", "minLength": 1
    }},
    "image": {{
      "type": "object",
      "additionalProperties": false,
      "properties": {{
        "resize_short": {{"description": "Pixels of the short side",
                         "type": "integer", "minimum": 1, "maximum": 16384}},
        "resize": {{"description": "[height, width], whatever the ratio",
                   "$ref": "#/$defs/size"}},
        "interpolation": {{"enum": ["nearest", "bilinear", "area", "bicubic"],
                          "default": "bilinear"}},
        "crop": {{"description": "[height, width] around the centre",
                 "$ref": "#/$defs/size"}},
        "channels": {{"enum": ["rgb", "bgr", "gray"], "default": "rgb"}},
        "layout": {{"enum": ["nchw", "nhwc"], "default": "nchw"}},
        "scale": {{"type": "number", "default": 1}},
        "mean": {{"$ref": "#/$defs/per_channel"}},
        "std": {{"type": "array", "minItems": 1, "maxItems": 3,
                "items": {{"type": "number", "exclusiveMinimum": 0}}}},
        "augment": {{
          "description": "Variations that training applies",
          "type": "object",
          "additionalProperties": false,
          "properties": {{
            "flip": {{"description": "Mirror left and right",
                     "type": "boolean", "default": false}},
            "shift": {{"description": "By up to so many pixels each way",
                      "type": "integer", "minimum": 0, "maximum": 1024,
                      "default": 0}},
            "crop": {{"description": "A region of at least this share of the area, resized",
                     "type": "number", "exclusiveMinimum": 0, "maximum": 1,
                     "default": 1}},
            "erase": {{"description": "Probability that a rectangle becomes zeros",
                      "type": "number", "minimum": 0, "maximum": 1,
                      "default": 0}}
          }}
        }}
      }}
    }},
    "audio": {{
      "type": "object",
      "additionalProperties": false,
      "properties": {{
        "length": {{"description": "Samples a channel; cut or filled with zeros",
                   "type": "integer", "minimum": 1, "maximum": 100000000}},
        "scale": {{"type": "number", "default": 0.000030517578125}},
        "sample_rate": {{"description": "What every recording must have",
                        "type": "integer", "minimum": 1, "maximum": 10000000}}
      }}
    }},
    "count": {{"description": "Samples to generate",
              "type": "integer", "minimum": 1, "maximum": 10000000}},
    "seed": {{"type": "integer", "minimum": 0}},
    "limit": {{"description": "At most so many samples",
              "type": "integer", "minimum": 1}},
    "shuffle_seed": {{"description": "Shuffles before the limit is applied",
                     "type": "integer", "minimum": 0}}
  }},
  "$defs": {{
    "size": {{"type": "array", "minItems": 2, "maxItems": 2,
             "items": {{"type": "integer", "minimum": 1, "maximum": 16384}}}},
    "per_channel": {{"type": "array", "minItems": 1, "maxItems": 3,
                    "items": {{"type": "number"}}}}
  }}
}}
)json";

// What the schema does not say: which keys go with which format.
void check_keys(const JsonText& text, const std::string& pointer,
                std::vector<std::string>& errors) {
  const Json& value = text.root().at(Json::json_pointer(pointer));
  if (!value.is_object()) return;
  const auto named = value.find("format");
  if (named == value.end() || !named->is_string()) return;
  const Format* format = find_format(named->get<std::string>());
  if (!format) return;
  const auto add = [&](const std::string& place, const std::string& message) {
    errors.push_back(text.where(pointer + place) + ": " + message);
  };
  const bool has_path = *format->path_kind != '\0';
  if (has_path && !value.contains("path"))
    add("", fmt::format("key 'path' is missing: {}", format->path_kind));
  const std::pair<const char*, bool> keys[] = {
      {"path", has_path},
      {"files", format->files},
      {"image", format->image},
      {"audio", format->audio},
      {"count", format->generated},
      {"seed", format->generated},
      {"labels", format->labels != LabelForm::kNone},
      {"input", std::string_view(format->name) != "npz" &&
                    std::string_view(format->name) != "onnx-testcase"}};
  for (const auto& [key, taken] : keys)
    if (!taken && value.contains(key))
      add(fmt::format("/{}", key),
          fmt::format("format '{}' does not use key '{}'", format->name, key));
  const auto labels = value.find("labels");
  if (labels != value.end() && format->labels == LabelForm::kFile &&
      labels->is_object())
    add("/labels", fmt::format("format '{}' takes the path of a label file "
                               "here",
                               format->name));
  if (labels != value.end() && format->labels == LabelForm::kRules &&
      labels->is_string())
    add("/labels", "expected an object such as {\"csv\": \"labels.csv\"}");
  const bool has_csv =
      labels != value.end() && labels->is_object() && labels->contains("csv");
  if (std::string_view(format->name) == "image-list" &&
      (labels == value.end() || (labels->is_object() && !has_csv)))
    add(labels == value.end() ? "" : "/labels",
        "format 'image-list' needs a csv file of labels: \"labels\": {\"csv\": "
        "\"labels.csv\"}");
  if (labels != value.end() && labels->is_object()) {
    const std::string from =
        labels->contains("from") && (*labels)["from"].is_string()
            ? (*labels)["from"].get<std::string>()
            : "";
    if (has_csv && !from.empty() && from != "csv")
      add("/labels/from", "labels come from the csv file; drop one of the two");
    if (!has_csv && from == "csv")
      add("/labels", "key 'csv' is missing: the file of labels");
  }
  const auto image = value.find("image");
  if (image != value.end() && image->is_object() && image->contains("resize") &&
      image->contains("resize_short"))
    add("/image/resize_short", "resize is given as well; drop one of the two");
}

template <class T>
void take(const Json& object, const char* key, T& into) {
  if (const auto found = object.find(key); found != object.end())
    into = found->get<T>();
}

template <class T>
void take(const Json& object, const char* key, std::optional<T>& into) {
  if (const auto found = object.find(key); found != object.end())
    into = found->get<T>();
}

void read_labels(const Json& labels, const std::filesystem::path& folder,
                 Descriptor& result) {
  if (labels.is_string()) {
    result.labels_file = folder / labels.get<std::string>();
    return;
  }
  take(labels, "from", result.labels.from);
  if (labels.contains("csv")) {
    result.labels.from = "csv";
    result.labels.csv = folder / labels["csv"].get<std::string>();
  }
  take(labels, "file_column", result.labels.file_column);
  take(labels, "label_column", result.labels.label_column);
  take(labels, "offset", result.labels.offset);
  take(labels, "classes", result.labels.classes);
}

void read_image(const Json& image, ImageOptions& result) {
  take(image, "resize_short", result.resize_short);
  take(image, "resize", result.resize);
  take(image, "interpolation", result.interpolation);
  take(image, "crop", result.crop);
  take(image, "channels", result.channels);
  take(image, "layout", result.layout);
  take(image, "scale", result.scale);
  take(image, "mean", result.mean);
  take(image, "std", result.std);
  if (const auto augment = image.find("augment"); augment != image.end()) {
    take(*augment, "flip", result.augment.flip);
    take(*augment, "shift", result.augment.shift);
    take(*augment, "crop", result.augment.crop);
    take(*augment, "erase", result.augment.erase);
  }
}

}  // namespace

const char* descriptor_schema() {
  static const std::string kText = [] {
    std::vector<std::string> names;
    for (const Format& format : formats())
      names.push_back(fmt::format("\"{}\"", format.name));
    return fmt::format(kSchema, join(names, ", "));
  }();
  return kText.c_str();
}

std::vector<std::string> validate_descriptor(const JsonText& text,
                                             const std::string& pointer) {
  std::vector<std::string> errors =
      validate_schema(text, pointer, descriptor_schema());
  check_keys(text, pointer, errors);
  return errors;
}

std::string Descriptor::where(const std::string& key) const {
  for (const auto& [name, place] : places_)
    if (name == key) return place;
  return places_.empty() ? path.string() : places_.front().second;
}

Descriptor parse_descriptor(const JsonText& text, const std::string& pointer,
                            const std::filesystem::path& folder) {
  if (const auto errors = validate_descriptor(text, pointer); !errors.empty())
    throw_input("", join(errors, "\n"));
  const Json& value = text.root().at(Json::json_pointer(pointer));
  Descriptor result;
  result.places_.emplace_back("", text.where(pointer));
  for (const auto& [key, unused] : value.items())
    result.places_.emplace_back(key, text.where(pointer + "/" + key));
  take(value, "format", result.format);
  if (result.format == "idx") result.image.channels = "gray";
  if (value.contains("path"))
    result.path = folder / value["path"].get<std::string>();
  take(value, "files", result.files);
  if (value.contains("labels")) read_labels(value["labels"], folder, result);
  take(value, "input", result.input);
  if (value.contains("image")) read_image(value["image"], result.image);
  if (value.contains("audio")) {
    take(value["audio"], "length", result.audio.length);
    take(value["audio"], "scale", result.audio.scale);
    take(value["audio"], "sample_rate", result.audio.sample_rate);
  }
  take(value, "count", result.count);
  take(value, "seed", result.seed);
  take(value, "limit", result.limit);
  take(value, "shuffle_seed", result.shuffle_seed);
  return result;
}

}  // namespace lathe::data
