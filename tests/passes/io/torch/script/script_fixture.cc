#include "tests/passes/io/torch/script/script_fixture.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "tests/support/shared.h"

namespace lathe::test {

torch::jit::Module script(const std::string& source) {
  torch::jit::Module module("Model");
  module.define(source);
  return module;
}

io::Imported import_script(const torch::jit::Module& module,
                           const io::ImportOptions& options,
                           const std::string& name) {
  const TempDir folder;
  const std::filesystem::path path = folder.path() / name;
  module.save(path.string());
  return io::import_torchscript(path, options);
}

double largest_difference(const io::Imported& imported) {
  const auto session = latency::Session::open(imported.model, {}, "converted");
  double worst = 0;
  for (const io::Reference& reference : imported.references) {
    const auto outputs = session->run(reference.inputs);
    REQUIRE(outputs.size() == reference.outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(reference.outputs[i].first);
      const ir::Tensor& expected = reference.outputs[i].second;
      CHECK(ir::to_string(outputs[i].type()) == ir::to_string(expected.type()));
      REQUIRE(outputs[i].dims() == expected.dims());
      const auto mine = outputs[i].to_doubles(), theirs = expected.to_doubles();
      double largest = 1e-30, off = 0;
      for (size_t k = 0; k < mine.size(); ++k) {
        largest = std::max(largest, std::abs(theirs[k]));
        off = std::max(off, std::abs(mine[k] - theirs[k]));
      }
      worst = std::max(worst, off / largest);
    }
  }
  return worst;
}

io::Imported check_script(const torch::jit::Module& module,
                          const io::ImportOptions& options) {
  io::Imported imported = import_script(module, options);
  REQUIRE_MESSAGE(!imported.references.empty(), imported.no_reference_reason);
  CHECK(largest_difference(imported) <= 1e-4);
  return imported;
}

std::string script_error(const torch::jit::Module& module,
                         const io::ImportOptions& options) {
  try {
    import_script(module, options);
  } catch (const Error& error) {
    const std::string message = error.what();
    // Without the temporary folder.
    const size_t end = message.find("model.pt");
    return end == std::string::npos ? message : message.substr(end);
  }
  return "no error";
}

std::vector<std::string> node_types(const ir::Model& model) {
  std::vector<std::string> types;
  for (const auto& node : model.graph->nodes()) types.push_back(node->op_type);
  return types;
}

}  // namespace lathe::test
