// One file: the SHA-256 of what follows, in hexadecimal, then as LibTorch
// pickles (json, names, tensors).
#include "passes/exec/training_state.h"

#include <torch/csrc/jit/serialization/pickle.h>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/hash.h"

namespace lathe::exec {
namespace {

constexpr size_t kHashSize = 64;

}  // namespace

void save_training_state(const TrainingState& state,
                         const std::filesystem::path& path) {
  c10::List<std::string> names;
  c10::List<at::Tensor> tensors;
  for (const auto& [name, tensor] : state.tensors) {
    names.push_back(name);
    tensors.push_back(tensor.detach().cpu());
  }
  const std::vector<char> bytes = torch::jit::pickle_save(
      c10::ivalue::Tuple::create({state.json, names, tensors}));
  AtomicFile file(path);
  file.write(sha256_hex({bytes.data(), bytes.size()}));
  file.write(std::string_view(bytes.data(), bytes.size()));
  file.commit();
}

std::optional<TrainingState> load_training_state(
    const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  const std::string bytes = read_file(path);
  try {
    const std::string_view pickled = std::string_view(bytes).substr(kHashSize);
    TORCH_CHECK(bytes.starts_with(sha256_hex(pickled)));
    const c10::IValue value =
        torch::jit::pickle_load({pickled.begin(), pickled.end()});
    const auto& parts = value.toTupleRef().elements();
    TrainingState state;
    state.json = parts.at(0).toStringRef();
    const auto names = parts.at(1).toListRef();
    const auto tensors = parts.at(2).toListRef();
    TORCH_CHECK(names.size() == tensors.size());
    for (size_t i = 0; i < names.size(); ++i)
      state.tensors.emplace_back(names[i].toStringRef(), tensors[i].toTensor());
    return state;
  } catch (const std::exception&) {
    throw Error(ErrorKind::kInput, path.string(),
                "is no checkpoint of a training run, or a damaged one",
                "remove it, or start anew with --restart");
  }
}

}  // namespace lathe::exec
