#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "passes/base/text.h"
#include "passes/io/onnx/onnx.h"
#include "passes/rewrite/rewrite.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

struct Options {
  std::string input, output;
  int64_t opset = 0;  // 0: as it is
};

int convert(const Options& options, Context& context) {
  require_folder_of(options.output);
  ir::Model model = load_model(options.input);
  PassResult raised;
  if (options.opset > 0) {
    PassContext pass_context;
    pass_context.seed = context.flags.seed;
    pass_context.jobs = context.jobs();
    pass_context.progress = &context.terminal;
    pass_context.cancel = &context.cancel;
    std::vector<std::unique_ptr<Pass>> passes;
    passes.push_back(rewrite::make_raise_opset(options.opset));
    raised = run_passes(model, passes, pass_context);
  }
  context.cancel.check();
  io::export_onnx(model, options.output);
  const uint64_t size = std::filesystem::file_size(options.output);
  for (const Remark& remark : raised.remarks)
    context.terminal.info((remark.node.empty() ? "" : remark.node + ": ") +
                          remark.reason);
  if (context.flags.json) {
    Json json = {
        {"schema_version", kSchemaVersion}, {"path", options.output},
        {"opset", model.opset()},           {"size_bytes", size},
        {"changes", raised.changes},        {"remarks", Json::array()}};
    for (const Remark& remark : raised.remarks)
      json["remarks"].push_back(
          {{"node", remark.node}, {"reason", remark.reason}});
    print_json(json);
  } else {
    print_result(fmt::format("{}: opset {}, {}\n", options.output,
                             model.opset(), format_bytes(size)));
  }
  return 0;
}

}  // namespace

Action setup_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "IN", "IN", options->input, "an ONNX file")
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
      "  lathe convert model.onnx -o copy.onnx\n"
      "  lathe convert old.onnx -o new.onnx --opset 17");
  return [options](Context& context) { return convert(*options, context); };
}

}  // namespace lathe::cli
