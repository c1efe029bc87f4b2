// The inputs, weights, state and outputs of a torch.export program.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "passes/io/torch/exported/exported_program_archive.h"
#include "passes/io/torch/exported/exported_program_translator.h"
#include "passes/io/torch/torch_import.h"

namespace lathe::io::exported {

// One translation of a program into a model.
class ProgramTranslation {
 public:
  // `state`: the weights that the program changes. Each becomes an input, with
  // the archive's tensor as its default, and an output "<name>_next".
  ProgramTranslation(ExportedArchive& archive, const ImportOptions& options,
                     std::set<std::string> state);

  // Weights outside `state` that the program turned out to change; when there
  // are any, the model is of no use.
  std::set<std::string> run();

  Imported take_result();

 private:
  using Argument = aten::Argument;

  struct Weight {
    std::string name;   // in the module: "layer1.0.conv1.weight"
    Argument argument;  // none before its first use
    ir::Value* initial = nullptr;
  };
  struct UserInput {
    std::string name;
    Argument argument;
    ir::Value* initial = nullptr;
  };

  // What a weight or an input holds after the call.
  struct Next {
    std::string name;
    ir::Value* value;
    const char* what;
  };

  void add_inputs();
  void add_input(const JsonField& spec);
  void add_user_input(const JsonField& field);
  void name_batch(const JsonField& tensor_meta);
  void bind_shapes();
  std::optional<Argument> weight(const std::string& node_name);
  Argument load_weight(const std::string& name);

  void add_outputs();
  void add_output(const JsonField& spec, size_t index);
  void add_user_output(const JsonField& field, size_t index);
  void add_mutation(const JsonField& spec, const char* name_key);
  void find_writes();
  void give(ir::Value* value, const std::string& name);
  void give_next(const std::string& name, ir::Value* value, const char* what);

  ExportedArchive& archive_;
  const ImportOptions& options_;
  std::set<std::string> state_, changed_, given_;
  Imported imported_;
  aten::OnnxBuilder builder_;
  Symbols symbols_;
  JsonField signature_;
  Frame frame_;
  Translator translator_;
  std::unordered_map<std::string, Weight> weights_;  // by node_name
  std::vector<UserInput> user_inputs_;
  std::vector<Next> next_;
  // Tensors that share type, sizes and bytes are one weight.
  std::map<std::tuple<const void*, int, std::vector<int64_t>>, Argument> tied_;
};

}  // namespace lathe::io::exported
