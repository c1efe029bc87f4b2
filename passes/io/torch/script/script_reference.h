// Runs a TorchScript program in LibTorch on random inputs: what its state
// looks like, and what a translation must give.
#pragma once

#include <string>
#include <vector>

#include "passes/io/torch/script/script_importer.h"

namespace lathe::io::script {

class ScriptReference {
 public:
  // Inputs as `importer` found them. Sizes nobody knows are taken as 1 (the
  // batch) or a small number.
  ScriptReference(const torch::jit::Module& module,
                  const ScriptImporter& importer, const ImportOptions& options);

  // Shapes that the attributes at `paths` take after two calls, the dimension
  // that follows the batch named so. Rank unknown where no call succeeds and
  // the attribute starts empty.
  std::vector<State> observe(const std::set<std::string>& paths) const;

  // Calls in order, with state from each to the next, for up to two choices of
  // number inputs. Empty when every call fails: `reason` says how.
  std::vector<Reference> run(const ScriptImporter& importer,
                             std::string& reason) const;

 private:
  struct Input {
    std::string name;  // in the graph; empty: a constant
    ir::ValueType type;
    bool number = false;
    std::vector<int64_t> choices;  // of a number
    c10::IValue constant;
    c10::TypePtr script_type;
  };
  using Values = std::vector<c10::IValue>;  // of inputs_
  // Number inputs, and the size of dimensions that nobody knows (0: a default
  // by their name).
  struct Choice {
    std::vector<int64_t> numbers;
    int64_t size = 0;
  };
  Values random_inputs(int64_t batch, const Choice& choice,
                       uint64_t seed) const;
  std::vector<Choice> choices() const;
  std::vector<c10::IValue> arguments(const Values& values) const;

  const torch::jit::Module& module_;
  const ImportOptions& options_;
  std::vector<Input> inputs_;
  int64_t batch_ = 1;
  std::vector<int64_t> sizes_{0};
};

}  // namespace lathe::io::script
