#include "tests/passes/io/torch/exported/exported_program_fixture.h"

#include <algorithm>

#include "calibration/latency/session.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "tests/support/shared.h"

namespace lathe::test {
namespace {

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

std::string list_json(const std::vector<std::string>& items) {
  return "[" + join(items, ", ") + "]";
}

std::string size_json(const std::string& size) {
  if (size.find_first_not_of("0123456789") == std::string::npos)
    return "{\"as_int\": " + size + "}";
  return R"({"as_expr": {"expr_str": ")" + size + R"("}})";
}

std::string placeholder(const std::string& prefix, std::string name) {
  std::ranges::replace(name, '.', '_');
  return prefix + name;
}

void add_weight(ProgramText& program, const std::string& in_graph,
                const std::string& meta, const std::string& spec) {
  program.inputs.push_back(tensor_json(in_graph));
  program.values.push_back(in_quotes(in_graph) + ": " + meta);
  program.input_specs.push_back(spec);
}

// Errors name the file with its folder, which is another one each time.
[[noreturn]] void throw_without_folder(const Error& error,
                                       const std::string& folder) {
  std::string text = error.where();
  for (size_t at; (at = text.find(folder)) != std::string::npos;)
    text.erase(at, folder.size());
  throw Error(error.kind(), text, error.message(), error.hint());
}

}  // namespace

std::string meta_json(const std::vector<std::string>& sizes, int dtype) {
  std::vector<std::string> items;
  for (const std::string& size : sizes) items.push_back(size_json(size));
  return "{\"dtype\": " + std::to_string(dtype) +
         ", \"sizes\": " + list_json(items) +
         R"(, "requires_grad": false, "device": {"type": "cpu", "index": null},)"
         R"( "strides": [], "storage_offset": {"as_int": 0}, "layout": 7})";
}

std::string tensor_json(const std::string& name) {
  return R"({"as_tensor": {"name": ")" + name + R"("}})";
}

std::string sym_int_json(const std::string& name) {
  return R"({"as_sym_int": {"as_name": ")" + name + R"("}})";
}

std::string argument_json(const std::string& name, const std::string& value) {
  return "{\"name\": " + in_quotes(name) + ", \"arg\": " + value + "}";
}

std::string tensor_argument(const std::string& name, const std::string& value) {
  return argument_json(name, tensor_json(value));
}

std::string int_argument(const std::string& name, int64_t value) {
  return argument_json(name, "{\"as_int\": " + std::to_string(value) + "}");
}

std::string sym_argument(const std::string& name, const std::string& value) {
  return argument_json(name, sym_int_json(value));
}

void ProgramText::user_input(const std::string& name,
                             const std::vector<std::string>& sizes, int dtype) {
  add_weight(*this, name, meta_json(sizes, dtype),
             R"({"user_input": {"arg": )" + tensor_json(name) + "}}");
}

std::string ProgramText::parameter(const std::string& name,
                                   const std::vector<std::string>& sizes) {
  const std::string in_graph = placeholder("p_", name);
  add_weight(*this, in_graph, meta_json(sizes),
             R"({"parameter": {"arg": {"name": ")" + in_graph +
                 R"("}, "parameter_name": ")" + name + R"("}})");
  return in_graph;
}

std::string ProgramText::buffer(const std::string& name,
                                const std::vector<std::string>& sizes,
                                int dtype) {
  const std::string in_graph = placeholder("b_", name);
  add_weight(*this, in_graph, meta_json(sizes, dtype),
             R"({"buffer": {"arg": {"name": ")" + in_graph +
                 R"("}, "persistent": true, "buffer_name": ")" + name +
                 R"("}})");
  return in_graph;
}

void ProgramText::node_json(const std::string& target,
                            const std::vector<std::string>& arguments,
                            const std::string& results,
                            const std::string& metadata) {
  nodes.push_back("{\"target\": " + in_quotes(target) +
                  ", \"inputs\": " + list_json(arguments) + ", \"outputs\": [" +
                  results + "], \"metadata\": " + metadata + "}");
}

void ProgramText::node(const std::string& target,
                       const std::vector<std::string>& arguments,
                       const std::string& result,
                       const std::vector<std::string>& sizes, int dtype,
                       const std::string& metadata) {
  values.push_back(in_quotes(result) + ": " + meta_json(sizes, dtype));
  node_json(target, arguments, tensor_json(result), metadata);
}

void ProgramText::sym_node(const std::string& target,
                           const std::vector<std::string>& arguments,
                           const std::string& result) {
  sym_ints.push_back(in_quotes(result) +
                     R"(: {"as_expr": {"expr_str": "2*s0"}})");
  node_json(target, arguments, sym_int_json(result));
}

void ProgramText::user_output(const std::string& name) {
  outputs.push_back(tensor_json(name));
  output_specs.push_back(R"({"user_output": {"arg": )" + tensor_json(name) +
                         "}}");
}

std::string ProgramText::graph() const {
  return "{\"inputs\": " + list_json(inputs) +
         ",\n\"outputs\": " + list_json(outputs) +
         ",\n\"nodes\": " + list_json(nodes) + ",\n\"tensor_values\": {" +
         join(values, ",\n") + "},\n\"sym_int_values\": {" +
         join(sym_ints, ", ") +
         "}, \"sym_bool_values\": {}, \"is_single_tensor_return\": false}";
}

std::string ProgramText::text() const {
  return "{\"graph_module\": {\"graph\": " + graph() +
         ",\n\"signature\": {\"input_specs\": " + list_json(input_specs) +
         ",\n\"output_specs\": " + list_json(output_specs) +
         "}, \"module_call_graph\": []},\n"
         R"("opset_version": {"aten": 10}, "range_constraints": {},)"
         R"( "schema_version": {"major": 8, "minor": 2},)"
         R"( "verifiers": ["TRAINING"], "torch_version": "2.6.0"})";
}

std::string raw_floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(float)};
}

std::string saved_tensors(const std::vector<SavedTensor>& tensors) {
  ZipEntries entries(1);
  std::vector<std::pair<std::string, std::string>> items;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const SavedTensor& tensor = tensors[i];
    PyTensor described{.key = std::to_string(i),
                       .elements = static_cast<int64_t>(tensor.values.size()),
                       .sizes = tensor.sizes,
                       .strides = std::vector<int64_t>(tensor.sizes.size())};
    int64_t stride = 1;
    for (size_t axis = tensor.sizes.size(); axis-- > 0;) {
      described.strides[axis] = stride;
      stride *= tensor.sizes[axis];
    }
    items.emplace_back(tensor.name, py_tensor(described));
    entries.emplace_back("archive/data/" + described.key,
                         raw_floats(tensor.values));
  }
  entries[0] = {"archive/data.pkl", py_pickle(py_dict(items))};
  entries.emplace_back("archive/version", "3\n");
  return make_zip(entries);
}

ZipEntries program_entries(const ProgramText& program,
                           const std::vector<SavedTensor>& weights,
                           const std::vector<SavedTensor>& constants) {
  return {{"serialized_exported_program.json", program.text()},
          {"serialized_state_dict.pt", saved_tensors(weights)},
          {"serialized_constants.pt", saved_tensors(constants)},
          {"version", "8.2"}};
}

io::Imported import_entries(const ZipEntries& entries,
                            const io::ImportOptions& options) {
  const TempDir folder;
  const auto path = folder.path() / "net.pt2";
  write_file_atomic(path, make_zip(entries));
  try {
    return io::import_exported_program(path, options);
  } catch (const Error& error) {
    throw_without_folder(error, folder.path().string() + "/");
  }
}

io::Imported import_program(const ProgramText& program,
                            const std::vector<SavedTensor>& weights,
                            const io::ImportOptions& options) {
  return import_entries(program_entries(program, weights), options);
}

std::string program_error(const ZipEntries& entries,
                          const io::ImportOptions& options) {
  return message_from([&] { import_entries(entries, options); });
}

ir::Tensor vector_of(const std::vector<float>& values) {
  return ir::Tensor::from({static_cast<int64_t>(values.size())}, values);
}

std::vector<ir::Tensor> run_model(const ir::Model& model,
                                  const std::vector<ir::Tensor>& inputs) {
  NamedTensors named;
  const std::vector<ir::Value*>& wanted = model.graph->inputs();
  for (size_t i = 0; i < inputs.size(); ++i)
    named.emplace_back(wanted.at(i)->name(), inputs[i]);
  return latency::Session::open(model)->run(named);
}

}  // namespace lathe::test
