#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "calibration/data/data.h"
#include "calibration/latency/estimator/device_file.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/json_schema.h"
#include "passes/base/text.h"
#include "passes/ir/shape_inference.h"
#include "passes/prune/prune.h"
#include "recipes/recipe.h"
#include "recipes/report.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

struct Verdict {
  std::string path;
  const char* kind = "unknown";
  std::vector<std::string> errors;
};

std::vector<std::string> check_report(const JsonText& text) {
  const std::string schema = recipes::report_schema().dump();
  return validate_schema(text, "", schema.c_str());
}

std::vector<std::string> check_descriptor(const JsonText& text) {
  return data::validate_descriptor(text, "");
}

std::vector<std::string> check_device(const JsonText& text) {
  latency::device_file_from_json(text);
  return {};
}

std::vector<std::string> check_plan(const JsonText& text) {
  return validate_schema(text, "", prune::plan_schema());
}

std::vector<std::string> check_measurements(const JsonText& text) {
  latency::measurements_from_json(text);
  return {};
}

// A JSON document of ours, told by the keys that only it has; first match.
struct JsonKind {
  const char* name;
  std::vector<const char*> keys;  // any of them
  std::vector<std::string> (*check)(const JsonText&);
};

const std::vector<JsonKind>& json_kinds() {
  static const std::vector<JsonKind> kKinds{
      {"report", {"variants", "exit_code"}, &check_report},
      {"device profile", {"columns", "traits", "sha256"}, &check_device},
      {"measurements", {"networks"}, &check_measurements},
      {"pruning plan", {"groups", "removed_blocks"}, &check_plan},
      {"data descriptor", {"format"}, &check_descriptor},
      {"recipe", {"stages", "model", "targets", "gates"}, &recipes::validate},
  };
  return kKinds;
}

bool looks_like_json(const std::string& path) {
  const auto file = MappedFile::open(path);
  std::string_view text(reinterpret_cast<const char*>(file->bytes().data()),
                        std::min<size_t>(file->bytes().size(), 4096));
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text = trim(text);
  return text.starts_with("{") || text.starts_with("[") ||
         text.starts_with("//") || text.starts_with("/*") ||
         std::filesystem::path(path).extension() == ".json";
}

void check_json(Verdict& verdict) {
  const JsonText text = JsonText::read(verdict.path);
  for (const JsonKind& kind : json_kinds()) {
    const bool found =
        text.root().is_object() &&
        std::any_of(kind.keys.begin(), kind.keys.end(),
                    [&](const char* key) { return text.root().contains(key); });
    if (!found) continue;
    verdict.kind = kind.name;
    verdict.errors = kind.check(text);
    return;
  }
  throw_input(text.where(""),
              "found JSON that is no recipe (key 'stages'), data descriptor "
              "(key 'format'), report (key 'variants'), device profile (key "
              "'columns') or pruning plan (key 'groups')");
}

void check_model(Verdict& verdict, Context& context) {
  verdict.kind = is_onnx(verdict.path) ? "ONNX model" : "PyTorch program";
  ir::Model model = load_model(verdict.path, context);
  ir::infer_shapes(model);
}

Verdict check(const std::string& path, Context& context) {
  Verdict verdict;
  verdict.path = path;
  try {
    if (looks_like_json(path)) {
      check_json(verdict);
    } else {
      check_model(verdict, context);
    }
  } catch (const Error& error) {
    if (exit_code(error.kind()) != exit_code(ErrorKind::kInput)) throw;
    verdict.errors.push_back(error.what());
  }
  return verdict;
}

int validate(const std::vector<std::string>& paths, Context& context) {
  std::vector<Verdict> verdicts;
  for (const std::string& path : paths) {
    context.cancel.check();
    verdicts.push_back(check(path, context));
  }
  bool valid = true;
  Json files = Json::array();
  std::string text;
  for (const Verdict& verdict : verdicts) {
    valid = valid && verdict.errors.empty();
    files.push_back({{"path", verdict.path},
                     {"kind", verdict.kind},
                     {"valid", verdict.errors.empty()},
                     {"errors", verdict.errors}});
    if (verdict.errors.empty())
      text += fmt::format("{}: valid {}\n", verdict.path, verdict.kind);
    if (context.flags.json) continue;
    for (const std::string& error : verdict.errors)
      context.terminal.error(Error(ErrorKind::kInput, "", error));
  }
  if (context.flags.json) {
    print_json({{"schema_version", kSchemaVersion}, {"files", files}});
  } else {
    print_result(text);
  }
  return valid ? 0 : exit_code(ErrorKind::kInput);
}

}  // namespace

Action setup_validate(CLI::App& app) {
  auto paths = std::make_shared<std::vector<std::string>>();
  add_texts(app, "FILE", "FILE...", *paths,
            "recipes, data descriptors, reports, device profiles, pruning "
            "plans, ONNX models: told apart by what is in them")
      ->required()
      ->group("Input");
  app.footer(
      "  lathe validate recipe.json train.json\n"
      "  lathe validate device.json model.onnx --json");
  return [paths](Context& context) { return validate(*paths, context); };
}

}  // namespace lathe::cli
