// torch.export programs written in a test, as JSON text and archives.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "passes/io/torch/torch_import.h"
#include "passes/ir/tensor.h"
#include "tests/passes/io/torch/archive/pickle_writer.h"

namespace lathe::test {

// Pieces of the schema. `sizes`: numbers, and symbols as "s0".
std::string meta_json(const std::vector<std::string>& sizes, int dtype = 7);
std::string tensor_json(const std::string& name);  // {"as_tensor": …}
std::string sym_int_json(const std::string& name);
// An argument with its name.
std::string argument_json(const std::string& name, const std::string& value);
std::string tensor_argument(const std::string& name, const std::string& value);
std::string int_argument(const std::string& name, int64_t value);
std::string sym_argument(const std::string& name, const std::string& value);

// A program as serialized_exported_program.json has it. Every part is JSON
// text; the lists are joined by commas.
struct ProgramText {
  std::vector<std::string> inputs, nodes, outputs;
  std::vector<std::string> values, sym_ints;  // "name": meta
  std::vector<std::string> input_specs, output_specs;

  void user_input(const std::string& name,
                  const std::vector<std::string>& sizes, int dtype = 7);
  // The names in the graph are "p_" or "b_" and `name` with _ for dots.
  std::string parameter(const std::string& name,
                        const std::vector<std::string>& sizes);
  std::string buffer(const std::string& name,
                     const std::vector<std::string>& sizes, int dtype = 7);
  // A node with one tensor as its result.
  void node(const std::string& target, const std::vector<std::string>& inputs,
            const std::string& output, const std::vector<std::string>& sizes,
            int dtype = 7, const std::string& metadata = "{}");
  // A node with results that are written out.
  void node_json(const std::string& target,
                 const std::vector<std::string>& inputs,
                 const std::string& outputs,
                 const std::string& metadata = "{}");
  void sym_node(const std::string& target,
                const std::vector<std::string>& inputs,
                const std::string& output);
  void user_output(const std::string& name);

  std::string graph() const;
  std::string text() const;
};

// float32 values in the order of `tensors`, as torch.save writes a state_dict.
struct SavedTensor {
  std::string name;
  std::vector<int64_t> sizes;
  std::vector<float> values;
};
std::string saved_tensors(const std::vector<SavedTensor>& tensors);
std::string raw_floats(const std::vector<float>& values);

// The entries of a file of PyTorch 2.6.
ZipEntries program_entries(const ProgramText& program,
                           const std::vector<SavedTensor>& weights = {},
                           const std::vector<SavedTensor>& constants = {});

// Writes "net.pt2" and reads it. Messages start with "net.pt2": the folder is
// cut out of them.
io::Imported import_entries(const ZipEntries& entries,
                            const io::ImportOptions& options = {});
io::Imported import_program(const ProgramText& program,
                            const std::vector<SavedTensor>& weights = {},
                            const io::ImportOptions& options = {});
std::string program_error(const ZipEntries& entries,
                          const io::ImportOptions& options = {});

ir::Tensor vector_of(const std::vector<float>& values);
// The model's outputs in ONNX Runtime, for its inputs in order.
std::vector<ir::Tensor> run_model(const ir::Model& model,
                                  const std::vector<ir::Tensor>& inputs);

}  // namespace lathe::test
