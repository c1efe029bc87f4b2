#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/onnx/onnx.h"
#include "passes/rewrite/rewrite.h"
#include "tools/command.h"
#include "tools/conversion_check.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

struct Options {
  std::string input, output;
  int64_t opset = 0;  // 0: as it is
};

PassResult raise(ir::Model& model, int64_t opset, Context& context) {
  PassContext pass_context;
  pass_context.seed = context.flags.seed;
  pass_context.jobs = context.jobs();
  pass_context.progress = &context.terminal;
  pass_context.cancel = &context.cancel;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(rewrite::make_raise_opset(opset));
  return run_passes(model, passes, pass_context);
}

ConversionCheck checked(const io::Imported& imported, const Options& options) {
  const ConversionCheck check = check_conversion(imported, options.input);
  const double allowed = allowed_difference(imported);
  if (!(check.max_relative_difference <= allowed))
    throw_internal(
        options.input,
        fmt::format("output '{}' of the converted model differs from the "
                    "source's by {:.2g} of its largest element, allowed are "
                    "{:.0e}; nothing is written",
                    check.output, check.max_relative_difference, allowed));
  return check;
}

std::string check_text(const io::Imported& imported,
                       const ConversionCheck& check) {
  if (check.calls > 0)
    return fmt::format(
        "checked against LibTorch's own run: {} call{}, largest difference "
        "{:.1e} of an output's largest element\n",
        check.calls, check.calls == 1 ? "" : "s",
        check.max_relative_difference);
  if (imported.no_reference_reason.empty()) return "";
  return "not checked against the source: " + imported.no_reference_reason +
         "\n";
}

Json check_json(const io::Imported& imported, const ConversionCheck& check) {
  if (check.calls > 0)
    return {{"calls", check.calls},
            {"max_relative_difference", check.max_relative_difference}};
  if (imported.no_reference_reason.empty()) return nullptr;
  return {{"calls", 0}, {"reason", imported.no_reference_reason}};
}

int convert(const Options& options, Context& context) {
  require_folder_of(options.output);
  io::Imported imported = import_file(options.input, context);
  ir::Model& model = imported.model;
  require_inputs(model, context.flags.input_shapes);
  PassResult raised;
  if (options.opset > 0) raised = raise(model, options.opset, context);
  context.cancel.check();
  const ConversionCheck check = checked(imported, options);
  io::export_onnx(model, options.output);
  const uint64_t size = std::filesystem::file_size(options.output);
  for (const Remark& remark : raised.remarks)
    context.terminal.info((remark.node.empty() ? "" : remark.node + ": ") +
                          remark.reason);
  if (context.flags.json) {
    Json json = {{"schema_version", kSchemaVersion},
                 {"path", options.output},
                 {"opset", model.opset()},
                 {"size_bytes", size},
                 {"changes", raised.changes},
                 {"remarks", Json::array()},
                 {"notes", imported.notes},
                 {"check", check_json(imported, check)}};
    for (const Remark& remark : raised.remarks)
      json["remarks"].push_back(
          {{"node", remark.node}, {"reason", remark.reason}});
    print_json(json);
  } else {
    print_result(fmt::format("{}: opset {}, {}\n{}", options.output,
                             model.opset(), format_bytes(size),
                             check_text(imported, check)));
  }
  return 0;
}

}  // namespace

Action setup_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "IN", "IN", options->input, io::kModelFiles)
      ->required()
      ->group("Input");
  add_text(app, "-o,--output", "OUT", options->output,
           "the ONNX file to write (weights beside it above 2 GB)")
      ->required()
      ->group("Output");
  auto* opset = add_count(app, "--opset", "N", 17, 21, options->opset,
                          "raise a lower opset to this one");
  opset->default_str("no rewrite at all")->group("Output");
  app.footer(
      "  lathe convert model.pt --input-shape 1x3x224x224 -o model.onnx\n"
      "  lathe convert old.onnx -o new.onnx --opset 17");
  return [options](Context& context) { return convert(*options, context); };
}

}  // namespace lathe::cli
