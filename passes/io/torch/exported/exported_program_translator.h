// Translates the graph of a torch.export program, node after node.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "passes/io/torch/aten/argument.h"
#include "passes/io/torch/aten/onnx_builder.h"
#include "passes/io/torch/aten/tracer.h"
#include "passes/io/torch/exported/exported_program_json.h"
#include "passes/io/torch/exported/exported_program_numbers.h"
#include "passes/io/torch/exported/exported_program_types.h"

namespace lathe::io::exported {

// A graph of the program (the program's own, or a branch's) and what its names
// stand for so far.
struct Frame {
  explicit Frame(const JsonField& graph);

  JsonField graph, tensor_values;
  std::optional<JsonField> sym_int_values;
  std::unordered_map<std::string, aten::Argument> names;
  // Asked for a name that is not in `names`; may be empty.
  std::function<std::optional<aten::Argument>(const std::string&)> missing;
};

class Translator {
 public:
  // `file` starts every message.
  Translator(aten::OnnxBuilder& builder, const Symbols& symbols,
             std::string file);

  aten::Tracer& tracer() { return tracer_; }

  // The nodes of a graph whose inputs are in `frame` already.
  void run_nodes(Frame& frame);
  // An Argument of the schema as nodes and graph outputs have it.
  aten::Argument argument(const JsonField& field, Frame& frame);
  aten::Argument lookup(const JsonField& name, Frame& frame);
  // A number as a 0-D tensor; a tensor as it is now.
  ir::Value* as_value(const aten::Argument& argument);

 private:
  using Argument = aten::Argument;
  using Arguments = aten::Arguments;

  void run_node(const JsonField& node, Frame& frame);
  Arguments call(const std::string& target, const JsonField& node,
                 Frame& frame);
  Arguments call_aten(const std::string& name, const std::string& overload,
                      aten::NamedArguments arguments);
  Arguments call_prims(const std::string& name, const std::string& overload,
                       aten::NamedArguments arguments);
  std::optional<Arguments> call_size(const std::string& name,
                                     const aten::NamedArguments& arguments);
  Argument item(const aten::NamedArguments& arguments);
  void prepare(const std::string& name, const JsonField& node, Frame& frame,
               aten::NamedArguments& arguments);
  bool divides_integers(const aten::NamedArguments& arguments);
  void settle_squeeze(const JsonField& node, Frame& frame,
                      aten::NamedArguments& arguments);
  aten::NamedArguments named_arguments(const JsonField& node, Frame& frame);
  template <class Item>
  Argument list(const JsonField& field, Item item);
  Argument symbolic(const JsonField& field, Frame& frame);

  void bind(const JsonField& outputs, const Arguments& results, Frame& frame);
  void bind_one(const JsonField& output, const Argument& result, Frame& frame);
  void bind_tensor(const JsonField& name, const Argument& result, Frame& frame);
  void bind_number(const JsonField& name, const Argument& result, Frame& frame);
  void check_type(const JsonField& meta, ir::Value* value);

  // Higher-order operators: exported_program_control.cc.
  struct Operands {
    std::vector<JsonField> graphs;
    Arguments before, after;  // of the first graph; lists opened
  };
  Operands operands(const JsonField& node, Frame& frame);
  Arguments call_higher_order(const std::string& name, const JsonField& node,
                              Frame& frame);
  Arguments run_graph(const JsonField& graph, const Arguments& operands);
  Arguments cond(const Operands& operands);
  Arguments while_loop(const Operands& operands);
  void fill_branch(ir::Node* node, const char* attribute,
                   const JsonField& graph, const Arguments& operands);
  Arguments finish_node(ir::Node* node, const std::string& name, size_t count);
  ir::Value* scalar_bool(const Argument& condition);
  void add_outputs(ir::Graph& graph, const Arguments& results);
  void refuse_writes(const aten::Tracer::Written& written);

  aten::OnnxBuilder& builder_;
  const Symbols& symbols_;
  std::string file_;
  aten::Tracer tracer_;
  Numbers numbers_;
  int depth_ = 0;  // of graphs within graphs
  bool in_loop_test_ = false;
  // What the program says of its results.
  bool trusts_shapes_ = true, trusts_elements_ = true;
};

}  // namespace lathe::io::exported
