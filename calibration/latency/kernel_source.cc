#include "calibration/latency/kernel_source.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "calibration/latency/kernel_describe.h"
#include "calibration/latency/kernel_source_layout.h"
#include "calibration/latency/kernel_source_origins.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

// A folder of our own below the temporary one, gone at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "lathe-XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
      throw Error(ErrorKind::kIo, pattern, "the folder cannot be made",
                  "set TMPDIR to a folder with enough room");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The runtime writes its graph as one protobuf message of less than 2 GiB.
constexpr uint64_t kMostDumpedBytes = 1'900'000'000;

uint64_t weight_bytes(const ir::Graph& graph) {
  uint64_t bytes = 0;
  for (const ir::Value* value : graph.initializers())
    bytes += value->tensor().size_bytes();
  return bytes;
}

// The dump keeps the inputs' free dimensions; the model's are bound.
ir::InputShapes input_shapes(const ir::Model& model) {
  ir::InputShapes shapes;
  for (const ir::Value* input : model.graph->inputs())
    if (!input->has_initializer() && input->type.has_static_shape())
      shapes[input->name()] = ir::to_dims(*input->type.shape);
  return shapes;
}

}  // namespace

std::vector<DescribedKernel> kernels_of_optimized(const ir::Model& optimized,
                                                  const ir::Model& original) {
  ir::Model logical = ir::clone(optimized);
  fix_old_initializers(logical);
  restore_logical_channels(logical, original);
  std::vector<DescribedKernel> kernels = describe_kernels(logical);
  auto origins = find_origins(*logical.graph, *original.graph);
  size_t at = 0;
  for (const auto& node : logical.graph->nodes()) {
    if (node->is("Constant")) continue;
    DescribedKernel& kernel = kernels[at++];
    auto found = origins.find(node.get());
    if (found == origins.end()) continue;
    for (const ir::Node* origin : found->second.nodes)
      kernel.nodes.push_back(origin->id());
    if (found->second.main) kernel.label = found->second.main->label();
  }
  return kernels;
}

RuntimeTraits make_traits(std::string version, std::string architecture,
                          bool avx512) {
  RuntimeTraits traits;
  const bool x86 = architecture == "x86-64";
  traits.version = std::move(version);
  traits.architecture = std::move(architecture);
  traits.nchwc_block = !x86 ? 0 : avx512 ? 16 : 8;
  traits.unsigned_activations = x86;
  return traits;
}

RuntimeTraits local_traits() {
#if defined(__x86_64__)
  return make_traits(runtime_version(), "x86-64",
                     __builtin_cpu_supports("avx512f"));
#else
  return make_traits(runtime_version(), "arm64", /*avx512=*/false);
#endif
}

std::vector<DescribedKernel> kernels_by_runtime(const ir::Model& model,
                                                int threads) {
  if (weight_bytes(*model.graph) > kMostDumpedBytes)
    return kernels_by_rules(model, local_traits());
  TemporaryFolder folder;
  SessionOptions options;
  options.threads = threads;
  options.optimized_model = folder.path() / "optimized.onnx";
  Session::open(model, options);
  ir::Model optimized = io::import_onnx(options.optimized_model);
  ir::bind_input_shapes(optimized, input_shapes(model));
  ir::infer_shapes(optimized);
  return kernels_of_optimized(optimized, model);
}

}  // namespace lathe::latency
