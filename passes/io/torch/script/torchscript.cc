// Importing TorchScript files.
#include <torch/version.h>

#include <optional>
#include <set>

#include "passes/base/error.h"
#include "passes/io/torch/archive/torch_file.h"
#include "passes/io/torch/aten/unused.h"
#include "passes/io/torch/script/script_importer.h"
#include "passes/io/torch/script/script_reference.h"
#include "passes/io/torch/torch_import.h"
#include "passes/ir/shape_inference.h"

namespace lathe::io {
namespace {

// State that shows only once other state is known.
constexpr int kMaxRounds = 6;

[[noreturn]] void throw_load_error(const std::string& where,
                                   const std::string& message) {
  const std::string linked = "LibTorch " TORCH_VERSION;
  for (const char* sign :
       {"Unknown builtin op: ", "Unknown builtin operator ",
        "could not find any similar ops to ", "Unsupported operator: "}) {
    const size_t at = message.find(sign);
    if (at == std::string::npos) continue;
    const size_t start = at + std::string_view(sign).size();
    std::string name =
        message.substr(start, message.find_first_of(". \n", start) - start);
    throw_unsupported(where,
                      "the program uses operator " + name + ", which " +
                          linked + " (linked) does not know",
                      "save it as a torch.export program (.pt2), which needs "
                      "no LibTorch, or from an older PyTorch");
  }
  if (message.find("maximum supported version for reading") !=
      std::string::npos)
    throw_unsupported(
        where,
        "was written by a newer PyTorch than " + linked + " (linked) reads",
        "save it as a torch.export program (.pt2)");
  throw_input(
      where,
      linked + " cannot load it: " + message.substr(0, message.find('\n')),
      "save it again with torch.jit.save");
}

torch::jit::Module load(const std::filesystem::path& path) {
  try {
    torch::jit::Module module = torch::jit::load(path.string(), c10::kCPU);
    module.eval();
    return module;
  } catch (const c10::Error& error) {
    throw_load_error(path.string(), error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw_load_error(path.string(), error.what());
  }
}

void note_states(const std::vector<script::State>& states,
                 std::vector<std::string>& notes) {
  for (const script::State& state : states)
    notes.push_back("attribute '" + state.path + "' is state: input '" +
                    state.input + "' (" + ir::to_string(state.type) +
                    ", zeros at the start), output '" + state.output + "'");
}

}  // namespace

namespace {

Imported import_module(const std::string& where,
                       const torch::jit::Module& module,
                       const ImportOptions& options) {
  std::vector<script::State> states;
  std::set<std::string> integers;
  for (int round = 0;; ++round) {
    script::ScriptImporter importer(where, options, states, integers);
    const bool complete = importer.import(module);
    const script::ScriptReference reference(module, importer, options);
    if (!complete && round < kMaxRounds) {
      std::set<std::string> paths = importer.found_states();
      for (const script::State& state : states) paths.insert(state.path);
      if (!paths.empty()) states = reference.observe(paths);
      integers.insert(importer.found_integers().begin(),
                      importer.found_integers().end());
      continue;
    }
    Imported imported;
    imported.references = reference.run(importer, imported.no_reference_reason);
    imported.notes = importer.notes();
    note_states(importer.state_outputs(), imported.notes);
    imported.model = std::move(importer.model());
    aten::remove_unused(*imported.model.graph);
    ir::infer_shapes(imported.model);
    ir::verify(*imported.model.graph, "import of " + where);
    return imported;
  }
}

// Nobody says the rank of an input and no layer tells it: ranks are tried, and
// the first that LibTorch runs with is taken.
std::optional<Imported> try_ranks(const std::string& where,
                                  const torch::jit::Module& module,
                                  const ImportOptions& options) {
  for (const int64_t rank : {2, 4, 3, 1}) {
    ImportOptions guess = options;
    guess.assumed_rank = rank;
    try {
      Imported imported = import_module(where, module, guess);
      if (!imported.references.empty()) return imported;
    } catch (const std::exception&) {
      // The next rank may do.
    }
  }
  return std::nullopt;
}

}  // namespace

Imported import_torchscript(const std::filesystem::path& path,
                            const ImportOptions& options) {
  check_torchscript_archive(ZipArchive::open(path));
  const torch::jit::Module module = load(path);
  try {
    try {
      return import_module(path.string(), module, options);
    } catch (const Error& error) {
      if (error.hint() != aten::kShapeHint) throw;
      if (auto imported = try_ranks(path.string(), module, options))
        return std::move(*imported);
      throw;
    }
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    throw_input(path.string(), message.substr(0, message.find('\n')));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    throw_input(path.string(), message.substr(0, message.find('\n')));
  }
}

}  // namespace lathe::io
