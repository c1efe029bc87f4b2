// Model files as the commands take them.
#pragma once

#include <filesystem>

#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"

namespace lathe::cli {

// Error kUnsupported for a PyTorch file, by its first bytes or its name;
// kInput when there is no file.
void require_onnx(const std::filesystem::path& path);

// require_onnx, then io::import_onnx.
ir::Model load_model(const std::filesystem::path& path);

// The shapes of `all` that are for inputs of this model. The nameless one is
// for every model.
ir::InputShapes shapes_for(const ir::Model& model, const ir::InputShapes& all);

// Error kInput when the folder that `path` is to be written to does not exist,
// so that a mistyped path costs no work.
void require_folder_of(const std::filesystem::path& path);

}  // namespace lathe::cli
