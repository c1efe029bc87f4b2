#include "tools/model_file.h"

#include <string_view>

#include "calibration/data/data.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::cli {

bool is_onnx(const std::filesystem::path& path) {
  return io::format_of(path).name == std::string_view("onnx");
}

io::Imported import_file(const std::filesystem::path& path, Context& context) {
  io::Imported imported = io::import_model(path, {context.flags.input_shapes});
  for (const std::string& note : imported.notes)
    context.terminal.info(path.string() + ": " + note);
  return imported;
}

ir::Model load_model(const std::filesystem::path& path, Context& context) {
  return import_file(path, context).model;
}

ir::InputShapes shapes_for(const ir::Model& model, const ir::InputShapes& all) {
  ir::InputShapes shapes;
  for (const auto& [name, dims] : all) {
    const ir::Value* value = name.empty() ? nullptr : model.graph->find(name);
    if (name.empty() || (value && value->is_graph_input())) shapes[name] = dims;
  }
  return shapes;
}

std::unique_ptr<BatchSource> open_samples(const std::string& spec,
                                          const ir::Model& model,
                                          const char* synthetic,
                                          Context& context) {
  data::OpenOptions open;
  open.limit = context.flags.samples;
  open.seed = context.flags.seed;
  open.jobs = context.jobs();
  open.input_shapes = context.flags.input_shapes;
  auto source = data::open_data(spec, model, open);
  if (source->is_synthetic()) context.terminal.warn(synthetic);
  return source;
}

void require_inputs(const ir::Model& model, const ir::InputShapes& shapes) {
  for (const auto& [name, dims] : shapes) {
    const ir::Value* value = name.empty() ? nullptr : model.graph->find(name);
    if (name.empty() || (value && value->is_graph_input())) continue;
    std::vector<std::string> inputs;
    for (const ir::Value* input : model.graph->inputs())
      inputs.push_back(input->name());
    throw Error(
        ErrorKind::kUsage, "--input-shape",
        "the model has no input '" + name + "'" + did_you_mean(name, inputs));
  }
}

void require_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.parent_path();
  std::error_code ignored;
  if (!folder.empty() && !std::filesystem::is_directory(folder, ignored))
    throw_input(path.string(), "the folder to write to does not exist",
                "create it first");
}

}  // namespace lathe::cli
