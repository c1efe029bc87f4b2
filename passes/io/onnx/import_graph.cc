#include "passes/io/onnx/import_graph.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/onnx/tensor_proto.h"
#include "passes/io/onnx/types.h"
#include "passes/io/onnx/wire.h"

namespace lathe::io {
namespace {

// As ir::Node::label().
std::string label(const onnx::NodeProto& node) {
  if (!node.name().empty()) return node.op_type() + " '" + node.name() + "'";
  for (const std::string& output : node.output())
    if (!output.empty()) return node.op_type() + " -> '" + output + "'";
  return node.op_type();
}

class GraphImporter {
 public:
  GraphImporter(onnx::GraphProto& proto, ir::Graph& graph,
                const ImportContext& context)
      : proto_(proto), graph_(graph), context_(context) {}

  void run() {
    graph_.name = proto_.name();
    graph_.doc_string = proto_.doc_string();
    for (const auto& annotation : proto_.quantization_annotation())
      graph_.quantization_annotations.push_back(annotation.SerializeAsString());
    add_inputs_and_initializers();
    add_sparse_initializers();
    declare_computed();
    describe_values();
    for (auto& node : *proto_.mutable_node()) add_node(node);
    add_outputs();
    graph_.unknown_fields =
        take_rest(proto_, {1, 2, 5, 10, 11, 12, 13, 14, 15});
    graph_.sort_nodes(context_.where);
  }

 private:
  [[noreturn]] void fail(std::string what, std::string hint = "") const {
    throw_input(context_.where, std::move(what), std::move(hint));
  }

  [[noreturn]] void fail_undefined(const std::string& user,
                                   const std::string& name) const {
    // The search costs a product of lengths: only among so many names.
    constexpr size_t kMaxNames = 10'000, kMaxLength = 200;
    std::vector<std::string> names;
    for (const ir::Graph* graph = &graph_; graph; graph = graph->parent())
      for (const ir::Value* value : graph->values())
        if (names.size() < kMaxNames && name.size() <= kMaxLength &&
            value->name().size() <= kMaxLength)
          names.push_back(value->name());
    std::string near = nearest_name(name, names);
    fail(user + " '" + name + "', which nothing defines",
         near.empty() ? "every value must be an input, an initializer or the "
                        "output of a node"
                      : "did you mean '" + near + "'?");
  }

  void set_description(ir::Value& value, onnx::ValueInfoProto& info) {
    if (info.has_type())
      value.type = import_type(info.type(), context_.where,
                               "value '" + info.name() + "'");
    if (info.has_doc_string()) value.doc_string = info.doc_string();
    std::string rest = take_rest(info, {1, 2, 3});
    if (!rest.empty()) value.unknown_fields = std::move(rest);
  }

  void add_input(onnx::ValueInfoProto& info) {
    set_description(*graph_.add_input(info.name(), {}), info);
  }

  void add_initializer(onnx::TensorProto& tensor) {
    std::string name = tensor.name();
    ir::Tensor imported =
        import_tensor(tensor, context_.where, "initializer '" + name + "'",
                      context_.external);
    graph_.add_initializer(name, std::move(imported));
  }

  // Values keep the order in which they are made, so where initializers are
  // on the input list as well (IR version 3), those come first and the input
  // list is put in order afterwards.
  void add_inputs_and_initializers() {
    std::unordered_map<std::string, onnx::ValueInfoProto*> inputs;
    for (auto& info : *proto_.mutable_input()) {
      if (info.name().empty()) fail("a graph input has no name");
      if (!inputs.emplace(info.name(), &info).second)
        fail("graph input '" + info.name() + "' is listed twice");
    }
    std::unordered_set<std::string> initialized;
    bool overlap = false;
    for (const auto& tensor : proto_.initializer()) {
      if (tensor.name().empty()) fail("an initializer has no name");
      if (!initialized.insert(tensor.name()).second)
        fail("initializer '" + tensor.name() + "' is listed twice");
      overlap = overlap || inputs.contains(tensor.name());
    }
    // Reordering is quadratic; nobody has that many inputs in earnest.
    if (!overlap || inputs.size() > 10'000) {
      for (auto& info : *proto_.mutable_input()) add_input(info);
      for (auto& tensor : *proto_.mutable_initializer())
        add_initializer(tensor);
      return;
    }
    for (auto& tensor : *proto_.mutable_initializer()) {
      auto input = inputs.find(tensor.name());
      if (input != inputs.end()) add_input(*input->second);
      add_initializer(tensor);
    }
    for (auto& info : *proto_.mutable_input())
      if (!initialized.contains(info.name())) add_input(info);
    for (int i = 0; i < proto_.input_size(); ++i) {
      auto at = std::ranges::find(graph_.inputs(), proto_.input(i).name(),
                                  &ir::Value::name);
      graph_.move_input(static_cast<size_t>(at - graph_.inputs().begin()),
                        static_cast<size_t>(i));
    }
  }

  // Passes see the dense tensor; the exporter writes the sparse one as long
  // as the two agree.
  void add_sparse_initializers() {
    for (auto& sparse : *proto_.mutable_sparse_initializer()) {
      std::string name = sparse.values().name();
      if (name.empty()) fail("a sparse initializer has no name");
      if (graph_.find(name))
        fail("sparse initializer '" + name + "' has the name of another value");
      std::string subject = "sparse initializer '" + name + "'";
      graph_.sparse_initializers.push_back(
          keep_message(sparse, context_, subject));
      graph_.add_initializer(
          name,
          import_sparse_tensor(sparse, context_.where, subject,
                               context_.external, context_.sparse_budget));
    }
  }

  // Makes the values that nodes compute before the nodes themselves, so that
  // nodes may stand in any order: first those of value_info, in its order.
  void declare_computed() {
    std::unordered_map<std::string, const onnx::NodeProto*> computed;
    for (const auto& node : proto_.node()) {
      for (const std::string& name : node.output()) {
        if (name.empty()) continue;
        auto [it, is_new] = computed.emplace(name, &node);
        if (!is_new)
          fail("value '" + name + "' is defined twice: by " +
               label(*it->second) + " and by " + label(node));
        if (ir::Value* value = graph_.find(name))
          fail("value '" + name + "' is defined twice: as " +
               (value->is_graph_input() ? "a graph input" : "an initializer") +
               " and by " + label(node));
      }
    }
    for (const auto& info : proto_.value_info())
      if (computed.contains(info.name()) && !graph_.find(info.name()))
        graph_.add_value(info.name());
    for (const auto& node : proto_.node())
      for (const std::string& name : node.output())
        if (!name.empty() && !graph_.find(name)) graph_.add_value(name);
  }

  // Types of computed values. Inputs and initializers have theirs already, and
  // a name that nothing defines describes nothing.
  void describe_values() {
    auto describe = [&](onnx::ValueInfoProto& info) {
      ir::Value* value = graph_.find(info.name());
      if (value && !value->is_graph_input() && !value->has_initializer())
        set_description(*value, info);
    };
    for (auto& info : *proto_.mutable_value_info()) describe(info);
    for (auto& info : *proto_.mutable_output()) describe(info);
  }

  void add_node(onnx::NodeProto& proto) {
    if (proto.op_type().empty())
      fail("a node" +
           (proto.name().empty() ? "" : " named '" + proto.name() + "'") +
           " has no operator type");
    std::vector<ir::Value*> inputs, outputs;
    for (const std::string& name : proto.input()) {
      ir::Value* value = name.empty() ? nullptr : graph_.find_visible(name);
      if (!value && !name.empty())
        fail_undefined(label(proto) + " uses value", name);
      inputs.push_back(value);
    }
    for (const std::string& name : proto.output())
      outputs.push_back(name.empty() ? nullptr : graph_.find(name));
    ir::Node* node =
        graph_.add_node(proto.op_type(), std::move(inputs), std::move(outputs));
    node->name = proto.name();
    node->domain = normal_domain(proto.domain());
    node->doc_string = proto.doc_string();
    for (auto& attribute : *proto.mutable_attribute()) {
      if (node->has_attribute(attribute.name()))
        fail(node->label() + " has the attribute '" + attribute.name() +
             "' twice");
      ImportedAttribute imported =
          import_attribute(attribute, context_, node->label());
      node->set_attribute(attribute.name(), std::move(imported.attribute));
      for (auto [graph, from] : imported.graphs)
        import_graph(*from, *graph, context_);
    }
    node->unknown_fields = take_rest(proto, {1, 2, 3, 4, 5, 6, 7});
    for (std::string& overload : take_fields(node->unknown_fields, 8))
      node->overload = std::move(overload);
  }

  void add_outputs() {
    for (const auto& info : proto_.output()) {
      if (info.name().empty()) fail("a graph output has no name");
      ir::Value* value = graph_.find_visible(info.name());
      if (!value) fail_undefined("the graph gives out value", info.name());
      graph_.add_output(value);
    }
  }

  onnx::GraphProto& proto_;
  ir::Graph& graph_;
  const ImportContext& context_;
};

}  // namespace

std::string normal_domain(const std::string& domain) {
  return domain == "ai.onnx" ? "" : domain;
}

void import_graph(onnx::GraphProto& proto, ir::Graph& graph,
                  const ImportContext& context) {
  GraphImporter(proto, graph, context).run();
}

}  // namespace lathe::io
