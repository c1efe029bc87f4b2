// Model files as the commands take them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "passes/batch_source.h"
#include "passes/io/import.h"
#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"
#include "tools/command.h"

namespace lathe::cli {

// Whether the runtime reads the file itself. Error kInput when there is none.
bool is_onnx(const std::filesystem::path& path);

// Of any format, with the shapes that --input-shape gives. What the importer
// has to say goes to the terminal.
io::Imported import_file(const std::filesystem::path& path, Context& context);
ir::Model load_model(const std::filesystem::path& path, Context& context);

// The shapes of `all` that are for inputs of this model. The nameless one is
// for every model.
ir::InputShapes shapes_for(const ir::Model& model, const ir::InputShapes& all);

// The samples that `spec` names, for this model, as the shared flags say. Warns
// with `synthetic` where they are random.
std::unique_ptr<BatchSource> open_samples(const std::string& spec,
                                          const ir::Model& model,
                                          const char* synthetic,
                                          Context& context);

// Error kUsage when a shape is given for what is no input of the model.
void require_inputs(const ir::Model& model, const ir::InputShapes& shapes);

// Error kInput when the folder that `path` is to be written to does not exist,
// so that a mistyped path costs no work.
void require_folder_of(const std::filesystem::path& path);

}  // namespace lathe::cli
