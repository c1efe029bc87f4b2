// Follows a TorchScript program without data and writes the ONNX graph as it
// goes: modules, numbers, lists and whatever else is known before running are
// evaluated here, what depends on data becomes nodes. Methods are inlined;
// If and Loop stay where they depend on data.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "passes/io/torch/aten/tracer.h"
#include "passes/io/torch/script/script_item.h"
#include "passes/io/torch/torch_import.h"

namespace lathe::io::script {

// A tensor that a module keeps from call to call: an attribute that its
// program assigns or writes to. It becomes a graph input and an output.
struct State {
  std::string path;           // "decoder.hidden"
  ir::ValueType type;         // of the input
  std::string input, output;  // names in the graph, set by the import
};

// Thrown where the program raises: a branch that ends so is never taken.
struct Raised {
  std::string message;
};

class ScriptImporter {
 public:
  // `states`: attributes found to be state by an import before this one.
  // `integers`: inputs found to hold int64.
  ScriptImporter(std::string file, const ImportOptions& options,
                 std::vector<State> states, std::set<std::string> integers);

  // Fills model(). False: further attributes turned out to be state, or inputs
  // to hold integers, see found_states() and found_integers(); import again
  // with them.
  bool import(const torch::jit::Module& module);

  ir::Model& model() { return model_; }
  const ir::Model& model() const { return model_; }
  const std::vector<std::string>& notes() const { return notes_; }
  // Paths of tensor attributes that the program changes.
  const std::set<std::string>& found_states() const { return found_states_; }
  const std::set<std::string>& found_integers() const {
    return found_integers_;
  }
  // Values that a number input is compared with, by input name: those a
  // program is written for.
  const std::map<std::string, std::set<int64_t>>& compared_with() const {
    return compared_with_;
  }
  // Integers that stand in the program: sizes that it may be written for.
  const std::set<int64_t>& constants() const { return constants_; }
  // What became of the forward method's arguments, in order: an input's name,
  // or empty for one that keeps `constant`.
  struct Parameter {
    std::string input;
    c10::TypePtr type;
    c10::IValue constant;
  };
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // Outputs that are the program's own, before those that are state.
  size_t program_outputs() const { return program_outputs_; }
  // In the order of the graph's outputs that are state.
  const std::vector<State>& state_outputs() const { return state_outputs_; }

 private:
  using Frame = std::unordered_map<const torch::jit::Value*, Item>;
  // An object, numbered in the order of discovery so that the graph does not
  // depend on addresses, and the attribute's name.
  using Key = std::pair<size_t, std::string>;
  Key key_of(const Item& object, const std::string& name);
  using Handler = void (ScriptImporter::*)(torch::jit::Node*, Frame&);

  // --- script_importer.cc ---
  void add_inputs(const c10::FunctionSchema& schema,
                  const torch::jit::Module& module, std::vector<Item>& items);
  Item add_input(const std::string& name, const c10::TypePtr& type);
  void add_outputs(const Item& result, const std::string& name);
  void add_state_outputs();
  void add_output(ir::Value* value, const std::string& name);

  // --- script_nodes.cc: single nodes ---
  std::vector<Item> run_graph(torch::jit::Graph& graph,
                              std::vector<Item> inputs,
                              const std::string& path);
  void run_block(torch::jit::Block* block, Frame& frame);
  void run_node(torch::jit::Node* node, Frame& frame);
  static const std::unordered_map<std::string, Handler>& handlers();
  Item& get(Frame& frame, const torch::jit::Value* value);
  Item& in(torch::jit::Node* node, Frame& frame, size_t i) {
    return get(frame, node->input(i));
  }
  void set(torch::jit::Node* node, Frame& frame, Item item) {
    frame[node->output()] = std::move(item);
  }
  void run_constant(torch::jit::Node*, Frame&);
  void run_get_attr(torch::jit::Node*, Frame&);
  void run_set_attr(torch::jit::Node*, Frame&);
  void run_has_attr(torch::jit::Node*, Frame&);
  void run_call_method(torch::jit::Node*, Frame&);
  void run_call_function(torch::jit::Node*, Frame&);
  void run_create_object(torch::jit::Node*, Frame&);
  void run_raise(torch::jit::Node*, Frame&);
  void run_uninitialized(torch::jit::Node*, Frame&);
  void run_nothing(torch::jit::Node*, Frame&);
  void run_first(torch::jit::Node*, Frame&);
  void run_format(torch::jit::Node*, Frame&);
  Item constant_item(const c10::IValue& value, const std::string& name);
  Item attribute(const Item& object, const std::string& name);

  // --- script_containers.cc: lists, tuples, dicts ---
  void run_list(torch::jit::Node*, Frame&);
  void run_tuple(torch::jit::Node*, Frame&);
  void run_dict(torch::jit::Node*, Frame&);
  void run_unpack(torch::jit::Node*, Frame&);
  void run_tuple_index(torch::jit::Node*, Frame&);
  void run_tuple_slice(torch::jit::Node*, Frame&);
  void run_get_item(torch::jit::Node*, Frame&);
  void run_set_item(torch::jit::Node*, Frame&);
  void run_append(torch::jit::Node*, Frame&);
  void run_len(torch::jit::Node*, Frame&);
  void run_contains(torch::jit::Node*, Frame&);
  void run_list_add(torch::jit::Node*, Frame&);
  bool run_on_stacked(torch::jit::Node*, Frame&);
  bool run_on_list(torch::jit::Node*, Frame&);
  bool slice_list(torch::jit::Node*, Frame&, const std::vector<Item>& items);
  Item compared_lists(const std::vector<Item>& a, const std::vector<Item>& b,
                      bool equal);

  // --- script_scalars.cc: numbers and what is asked of tensors ---
  ir::Value* tensor_in(torch::jit::Node*, Frame&, size_t i);
  void run_size(torch::jit::Node*, Frame&);
  void run_dim(torch::jit::Node*, Frame&);
  void run_numel(torch::jit::Node*, Frame&);
  void run_dtype(torch::jit::Node*, Frame&);
  void run_true(torch::jit::Node*, Frame&);
  void run_false(torch::jit::Node*, Frame&);
  void run_device(torch::jit::Node*, Frame&);
  void run_num_to_tensor(torch::jit::Node*, Frame&);
  void run_to_number(torch::jit::Node*, Frame&);
  void run_is(torch::jit::Node*, Frame&);
  void run_tensor(torch::jit::Node*, Frame&);
  void run_is_instance(torch::jit::Node*, Frame&);
  bool run_constant_operator(torch::jit::Node*, Frame&);
  bool run_number_operator(torch::jit::Node*, Frame&);
  bool fold_comparison(torch::jit::Node*, const Item&, const Item&, Frame&);
  Item number_item(ir::Value* value, const c10::TypePtr& type);
  // Two sizes that are one dimension by name.
  bool same_size(const Item& a, const Item& b);

  // --- script_operators.cc: ATen calls ---
  void run_operator(torch::jit::Node*, Frame&);
  Item from_argument(Argument argument);
  void learn_input(const std::string& name,
                   const aten::NamedArguments& arguments);

  // --- script_control.cc, script_loop.cc ---
  struct Branch {
    bool alive = true;
    std::string raised;
    std::vector<Item> outputs;
    aten::Tracer::Written written;
    std::map<Key, Item> attributes;  // those that changed
  };
  void run_if(torch::jit::Node*, Frame&);
  void run_loop(torch::jit::Node*, Frame&);
  // `start` runs first, inside the branch.
  Branch run_branch(torch::jit::Block* block, Frame& frame, ir::Graph& subgraph,
                    const std::function<void()>& start = {});
  Item settled(const Item& item);
  struct Merge;
  Item merge(const Item& a, const Item& b, Merge& into);
  void emit_loop(torch::jit::Node* node, Frame& frame, const Item& trips,
                 const Item& condition, std::vector<Item> carried);

  [[noreturn]] void fail(const std::string& what, const std::string& hint = "");
  aten::OnnxBuilder& builder() { return builder_; }
  size_t depth() const { return builder_.depth(); }

  std::string file_;
  const ImportOptions& options_;
  std::vector<State> states_;
  ir::Model model_;
  aten::OnnxBuilder builder_;
  aten::Tracer tracer_;
  std::vector<std::string> notes_;
  std::set<std::string> integers_, found_integers_;
  std::set<std::string> found_states_;
  std::map<std::string, std::set<int64_t>> compared_with_;
  std::set<int64_t> constants_;
  std::vector<Parameter> parameters_;
  size_t program_outputs_ = 0;
  std::vector<State> state_outputs_;

  std::unordered_map<const void*, size_t> objects_;
  // Objects that the program makes: no state, and kept so that no address
  // comes again.
  std::vector<c10::IValue> created_;
  std::set<size_t> created_ids_;
  std::map<Key, Item> attributes_;
  struct Original {
    std::string path;
    Item item;
    ir::Value* value = nullptr;  // of a tensor, as it was read first
  };
  std::map<Key, Original> originals_;
  // By storage and layout. The tensors are kept: an address that is freed may
  // be another tensor's next.
  std::map<std::string, std::pair<at::Tensor, ir::Value*>> weights_;
  int call_depth_ = 0;
  int64_t steps_ = 0;
  // Lists made outside the Loop body that is being followed, and what it
  // appends to each.
  struct Appended {
    std::shared_ptr<ItemList> list;
    ir::Value* value = nullptr;
  };
  std::vector<std::pair<size_t, std::vector<Appended>>> loop_appends_;
};

}  // namespace lathe::io::script
