// Data sets: descriptors and paths to BatchSources.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "passes/base/json.h"
#include "passes/batch_source.h"
#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"

namespace lathe::data {

struct OpenOptions {
  int64_t limit = 0;             // --samples: 0 is all
  uint64_t seed = 0;             // for synthetic data
  int jobs = 0;                  // decoding threads
  ir::InputShapes input_shapes;  // for dynamic inputs
};

// `spec`: a path to a descriptor (.json), a path that says everything itself
// (.npz, an ONNX test-case folder) or the word "synthetic". The model's inputs
// say what the samples must fit. Errors: kInput/kUsage with file, place and a
// descriptor to start from where a bare image folder was named.
std::unique_ptr<BatchSource> open_data(const std::string& spec,
                                       const ir::Model& model,
                                       const OpenOptions& options);
// A descriptor inside a larger document (a recipe): paths relative to `folder`.
// `pointer` is its JSON Pointer in `text`.
std::unique_ptr<BatchSource> open_descriptor(
    const JsonText& text, const std::string& pointer,
    const std::filesystem::path& folder, const ir::Model& model,
    const OpenOptions& options);

// The JSON Schema of a descriptor, as text.
const char* descriptor_schema();
// Every error in a descriptor, each "file:line:column: /pointer: …".
std::vector<std::string> validate_descriptor(const JsonText& text,
                                             const std::string& pointer);

// Splits labelled data in two by seed: `first_share` of the samples, and the
// rest.
std::pair<std::unique_ptr<BatchSource>, std::unique_ptr<BatchSource>> split(
    std::shared_ptr<BatchSource> source, double first_share, uint64_t seed);

// The files a spec reads, for manifests (descriptor and data files; a folder's
// files sorted).
std::vector<std::filesystem::path> input_files(const std::string& spec);
// The same for a descriptor inside a larger document, without that document.
std::vector<std::filesystem::path> descriptor_files(
    const JsonText& text, const std::string& pointer,
    const std::filesystem::path& folder);

}  // namespace lathe::data
