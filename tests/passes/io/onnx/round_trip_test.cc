// What the file says comes out again, whether the graph understands it or not.
#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <bit>
#include <cmath>

#include "passes/io/onnx/onnx.h"
#include "tests/passes/io/onnx/model_builder.h"

namespace lathe::test {
namespace {

using onnx::AttributeProto;

onnx::GraphProto& subgraph(onnx::NodeProto& node, const std::string& name) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(AttributeProto::GRAPH);
  attribute.mutable_g()->set_name(name);
  return *attribute.mutable_g();
}

// A model with an If whose branches use values of the main graph.
onnx::ModelProto model_with_subgraphs() {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  auto& cond = *graph.add_input();
  cond.set_name("cond");
  cond.mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::BOOL);
  onnx::NodeProto& node = add_node(graph, "If", {"cond"}, {"z"}, "choose");
  onnx::GraphProto& then_branch = subgraph(node, "then_branch");
  add_floats(then_branch, "two", {}, {2});
  add_node(then_branch, "Mul", {"y", "two"}, {"r"});
  set_float_type(*then_branch.add_output(), "r", {-1, 2});
  onnx::GraphProto& else_branch = subgraph(node, "else_branch");
  onnx::NodeProto& inner = add_node(else_branch, "If", {"cond"}, {"r"});
  for (const char* name : {"then_branch", "else_branch"}) {
    onnx::GraphProto& deep = subgraph(inner, name);
    add_node(deep, "Add", {"h", "w"}, {"s"});
    deep.add_output()->set_name("s");
  }
  else_branch.add_output()->set_name("r");
  set_float_type(*graph.add_output(), "z", {-1, 2});
  return model;
}

TEST_CASE("a small model comes out as it went in") {
  onnx::ModelProto model = small_model();
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("everything a model says about itself is kept") {
  onnx::ModelProto model = small_model();
  model.set_ir_version(10);
  model.set_producer_name("maker");
  model.set_producer_version("1.2");
  model.set_domain("org.example");
  model.set_model_version(7);
  model.set_doc_string("a model");
  auto& custom = *model.add_opset_import();
  custom.set_domain("com.example");
  custom.set_version(3);
  for (const char* key : {"b", "a", "b"}) {
    auto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(std::string("value of ") + key);
  }
  onnx::TrainingInfoProto& training = *model.add_training_info();
  training.mutable_algorithm()->set_name("step");
  training.add_update_binding()->set_key("w");
  auto& annotation = *model.mutable_graph()->add_quantization_annotation();
  annotation.set_tensor_name("h");
  annotation.add_quant_parameter_tensor_names()->set_key("SCALE_TENSOR");
  model.mutable_graph()->set_doc_string("the graph");
  model.mutable_graph()->mutable_node(0)->set_doc_string("a node");
  model.mutable_graph()->mutable_input(0)->set_doc_string("an input");
  model.mutable_graph()->mutable_initializer(0)->set_doc_string("a weight");
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("dynamic, named, unknown and denoted dimensions are kept") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  auto& shape = *graph.mutable_input(0)
                     ->mutable_type()
                     ->mutable_tensor_type()
                     ->mutable_shape();
  shape.mutable_dim(0)->set_dim_param("batch");
  shape.mutable_dim(0)->set_denotation("DATA_BATCH");
  graph.mutable_input(0)->mutable_type()->set_denotation("TENSOR");
  // Rank unknown, rank 0 and a size of 0 differ from each other.
  set_float_type(*graph.add_input(), "scalar", {});
  set_float_type(*graph.add_input(), "none", {0, -1});
  auto& any_rank = *graph.add_input();
  any_rank.set_name("any_rank");
  any_rank.mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::INT64);
  graph.add_input()->set_name("untyped");
  set_float_type(*graph.add_value_info(), "h", {-1, 2});
  CHECK(differences(model, round_trip(model)) == "");

  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  CHECK(to_string(imported.graph->find("x")->type) == "float[batch,2]");
  CHECK(to_string(imported.graph->find("scalar")->type) == "float[]");
  CHECK(to_string(imported.graph->find("none")->type) == "float[0,?]");
  CHECK(to_string(imported.graph->find("any_rank")->type) == "int64");
}

TEST_CASE("a negative dimension of an input means any") {
  onnx::ModelProto model = small_model();
  model.mutable_graph()
      ->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_value(-1);
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  CHECK(to_string(imported.graph->find("x")->type) == "float[?,2]");
}

TEST_CASE("sequences, maps, optionals and sparse types are kept") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  auto& sequence = *graph.add_input();
  sequence.set_name("sequence");
  sequence.mutable_type()
      ->mutable_sequence_type()
      ->mutable_elem_type()
      ->mutable_tensor_type()
      ->set_elem_type(1);
  auto& map = *graph.add_input();
  map.set_name("map");
  map.mutable_type()->mutable_map_type()->set_key_type(7);
  auto& optional = *graph.add_input();
  optional.set_name("optional");
  optional.mutable_type()->mutable_optional_type()->mutable_elem_type();
  auto& sparse = *graph.add_input();
  sparse.set_name("sparse");
  sparse.mutable_type()->mutable_sparse_tensor_type()->set_elem_type(1);
  auto& future = *graph.add_input();
  future.set_name("future");
  add_unknown(*future.mutable_type(), 30, "a kind of type not known yet");
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("every type of attribute is kept, floats bit for bit") {
  onnx::ModelProto model = small_model();
  onnx::NodeProto& node = add_node(*model.mutable_graph(), "Custom",
                                   {"x", "", "w", ""}, {"", "c", ""}, "custom");
  node.set_domain("com.example");
  auto add = [&](const char* name,
                 AttributeProto::AttributeType type) -> AttributeProto& {
    AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(type);
    attribute.set_doc_string(std::string("about ") + name);
    return attribute;
  };
  const float nan = std::bit_cast<float>(0xffc12345u);
  add("f", AttributeProto::FLOAT).set_f(nan);
  add("i", AttributeProto::INT).set_i(INT64_MIN);
  add("s", AttributeProto::STRING).set_s(std::string("bytes \0 \xff", 9));
  add("no_ints", AttributeProto::INTS);
  AttributeProto& floats = add("floats", AttributeProto::FLOATS);
  floats.add_floats(nan);
  floats.add_floats(-0.0f);
  add("ints", AttributeProto::INTS).add_ints(-1);
  AttributeProto& strings = add("strings", AttributeProto::STRINGS);
  strings.add_strings("");
  strings.add_strings("two");
  auto& tensor = *add("t", AttributeProto::TENSOR).mutable_t();
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.set_name("inside");
  tensor.add_int64_data(5);
  auto& listed = *add("tensors", AttributeProto::TENSORS).add_tensors();
  listed.set_data_type(onnx::TensorProto::STRING);
  listed.add_dims(1);
  listed.add_string_data("text");
  AttributeProto& graphs = add("graphs", AttributeProto::GRAPHS);
  add_node(*graphs.add_graphs(), "Identity", {"h"}, {"i"});
  add_node(*graphs.add_graphs(), "Identity", {"y"}, {"i"});
  add("tp", AttributeProto::TYPE_PROTO)
      .mutable_tp()
      ->mutable_tensor_type()
      ->set_elem_type(1);
  auto& sparse =
      *add("sparse", AttributeProto::SPARSE_TENSOR).mutable_sparse_tensor();
  sparse.add_dims(4);
  sparse.mutable_values()->set_data_type(1);
  onnx::ModelProto result = round_trip(model);
  CHECK(differences(model, result) == "");
  const auto& exported = result.graph().node(2);
  CHECK(std::bit_cast<uint32_t>(exported.attribute(0).f()) == 0xffc12345u);
  CHECK(std::bit_cast<uint32_t>(exported.attribute(4).floats(0)) ==
        0xffc12345u);

  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  const ir::Node* found = imported.graph->find("c")->producer();
  CHECK(found->inputs().size() == 4);
  CHECK(found->input(1) == nullptr);
  CHECK(found->outputs().size() == 3);
  CHECK(std::bit_cast<uint32_t>(found->attr_float("f", 0)) == 0xffc12345u);
  CHECK(std::bit_cast<uint32_t>(found->attr_floats("floats")[0]) ==
        0xffc12345u);
}

TEST_CASE("attributes without a type take it from what they hold") {
  onnx::ModelProto model = small_model();
  onnx::NodeProto& node = *model.mutable_graph()->mutable_node(1);
  AttributeProto& ints = *node.add_attribute();
  ints.set_name("axes");
  ints.add_ints(3);
  AttributeProto& value = *node.add_attribute();
  value.set_name("alpha");
  value.set_f(0.5f);
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  const ir::Node* found = imported.graph->find("y")->producer();
  CHECK(found->attr_ints("axes") == std::vector<int64_t>{3});
  CHECK(found->attr_float("alpha", 0) == 0.5f);
}

TEST_CASE("subgraphs use the values around them") {
  onnx::ModelProto model = model_with_subgraphs();
  CHECK(differences(model, round_trip(model)) == "");
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  const ir::Graph& graph = *imported.graph;
  // MatMul, and Add in each of the two innermost branches.
  CHECK(graph.find("w")->uses().size() == 3);
  CHECK(graph.find("h")->uses().size() == 3);
  const ir::Node* node = graph.find("z")->producer();
  CHECK(node->attr_graph("then_branch")->parent() == &graph);
}

TEST_CASE("a subgraph may give out a value of the graph around it") {
  onnx::ModelProto model = model_with_subgraphs();
  onnx::GraphProto& then_branch = *model.mutable_graph()
                                       ->mutable_node(2)
                                       ->mutable_attribute(0)
                                       ->mutable_g();
  then_branch.clear_node();
  then_branch.mutable_output(0)->set_name("y");
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("nodes out of order are sorted, the others keep their order") {
  onnx::ModelProto model = model_with_subgraphs();
  auto& nodes = *model.mutable_graph()->mutable_node();
  nodes.SwapElements(0, 2);  // If, Relu, MatMul
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  std::string order;
  for (const ir::Node* node : imported.graph->node_list())
    order += node->op_type + " ";
  CHECK(order == "MatMul Relu If ");
  ir::verify(*imported.graph, "m.onnx");
}

TEST_CASE("initializers on the input list keep both orders") {
  onnx::ModelProto model = empty_model();
  model.set_ir_version(3);
  onnx::GraphProto& graph = *model.mutable_graph();
  add_floats(graph, "b", {2}, {5, 6});
  add_floats(graph, "hidden", {1}, {7});
  add_floats(graph, "a", {2}, {8, 9});
  for (const char* name : {"a", "x", "b"})
    set_float_type(*graph.add_input(), name, {2});
  graph.mutable_input(0)->set_doc_string("may be overridden");
  add_node(graph, "Sum", {"x", "a", "b", "hidden"}, {"y"});
  set_float_type(*graph.add_output(), "y", {2});
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("outputs may repeat, and may be inputs or initializers") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  *graph.add_output() = graph.output(0);
  *graph.add_output() = graph.input(0);
  set_float_type(*graph.add_output(), "w", {2, 2});
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("model-local functions are kept") {
  onnx::ModelProto model = small_model();
  onnx::FunctionProto& function = *model.add_functions();
  function.set_name("Scale");
  function.set_domain("com.example");
  function.set_doc_string("times alpha");
  function.add_input("in");
  function.add_output("out");
  function.add_attribute("alpha");
  auto& opset = *function.add_opset_import();
  opset.set_domain("");
  opset.set_version(17);
  onnx::NodeProto& constant = *function.add_node();
  constant.set_op_type("Constant");
  constant.add_output("factor");
  AttributeProto& value = *constant.add_attribute();
  value.set_name("value_float");
  value.set_type(AttributeProto::FLOAT);
  value.set_ref_attr_name("alpha");
  onnx::NodeProto& mul = *function.add_node();
  mul.set_op_type("Mul");
  mul.add_input("in");
  mul.add_input("factor");
  mul.add_output("out");
  // Fields younger than the classes: a default attribute, a value's type, the
  // overload, metadata.
  AttributeProto beta;
  beta.set_name("beta");
  beta.set_type(AttributeProto::FLOAT);
  beta.set_f(2);
  add_unknown(function, 11, beta.SerializeAsString());
  onnx::ValueInfoProto info;
  set_float_type(info, "factor", {});
  onnx::ValueInfoProto input_info;
  set_float_type(input_info, "in", {3});
  add_unknown(function, 12, input_info.SerializeAsString());
  onnx::ValueInfoProto output_info;
  set_float_type(output_info, "out", {3});
  add_unknown(function, 12, output_info.SerializeAsString());
  add_unknown(function, 12, info.SerializeAsString());
  add_unknown(function, 13, "fast");
  add_unknown(function, 14, "");
  onnx::NodeProto& call =
      add_node(*model.mutable_graph(), "Scale", {"y"}, {"z"}, "call");
  call.set_domain("com.example");
  add_unknown(call, 8, "fast");
  CHECK(differences(model, round_trip(model)) == "");

  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  const ir::Function& found = imported.functions.at(0);
  CHECK(found.overload == "fast");
  CHECK(found.attributes == std::vector<std::string>{"alpha"});
  CHECK(found.default_attributes.at(0).first == "beta");
  CHECK(to_string(found.body->find("factor")->type) == "float[]");
  CHECK(to_string(found.body->find("in")->type) == "float[3]");
  CHECK(to_string(found.body->find("out")->type) == "float[3]");
  const ir::Node* first = found.body->node_list().at(0);
  CHECK(first->attribute("value_float")->ref_name == "alpha");
  CHECK(first->attribute("value_float")->ref_type == AttributeProto::FLOAT);
  const ir::Node* caller = imported.graph->find("z")->producer();
  CHECK(caller->overload == "fast");
  CHECK(imported.has_function(*caller));
}

TEST_CASE("constants that a pass put in a function become nodes") {
  onnx::ModelProto model = small_model();
  onnx::FunctionProto& function = *model.add_functions();
  function.set_name("F");
  function.add_input("a");
  function.add_output("b");
  onnx::NodeProto& node = *function.add_node();
  node.set_op_type("Identity");
  node.add_input("a");
  node.add_output("b");
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  ir::Graph& body = *imported.functions.at(0).body;
  ir::Value* constant = body.add_initializer(
      "c", ir::Tensor::from<float>({1}, std::vector<float>{3}));
  body.node_list().at(0)->set_input(0, constant);
  ir::Model again =
      io::import_onnx_bytes(io::export_onnx_bytes(imported), "m.onnx");
  const ir::Graph& found = *again.functions.at(0).body;
  const ir::Node* producer = found.find("c")->producer();
  REQUIRE(producer != nullptr);
  CHECK(producer->is("Constant"));
  CHECK(producer->attr_tensor("value")->to_floats() == std::vector<float>{3});
  CHECK(found.find("b")->producer()->input(0) == found.find("c"));
}

TEST_CASE("fields that the linked classes do not know are kept") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  set_float_type(*graph.add_value_info(), "h", {-1, 2});
  add_node(graph, "Flatten", {"y"}, {"z"});
  graph.mutable_node(2)->add_attribute()->set_name("axis");
  graph.mutable_node(2)->mutable_attribute(0)->set_type(AttributeProto::INT);
  auto mark = [](google::protobuf::Message& message) {
    add_unknown(message, 1000, "kept");
    add_unknown(message, 400, "kept as well");
  };
  mark(model);
  mark(graph);
  mark(*graph.mutable_node(0));
  mark(*graph.mutable_node(2)->mutable_attribute(0));
  mark(*graph.mutable_initializer(0));
  mark(*graph.mutable_input(0));
  mark(*graph.mutable_output(0));
  mark(*graph.mutable_value_info(0));
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("a sparse initializer is dense for passes and sparse in the file") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  auto add = [&](const std::string& name, bool coordinates) {
    onnx::SparseTensorProto& sparse = *graph.add_sparse_initializer();
    sparse.add_dims(2);
    sparse.add_dims(3);
    auto& values = *sparse.mutable_values();
    values.set_name(name);
    values.set_data_type(onnx::TensorProto::FLOAT);
    values.add_dims(2);
    values.add_float_data(4);
    values.add_float_data(5);
    auto& indices = *sparse.mutable_indices();
    indices.set_data_type(onnx::TensorProto::INT64);
    indices.add_dims(2);
    if (coordinates) indices.add_dims(2);
    for (int64_t index : coordinates ? std::vector<int64_t>{0, 1, 1, 2}
                                     : std::vector<int64_t>{1, 5})
      indices.add_int64_data(index);
  };
  add("linear", false);
  add("coordinates", true);
  add_node(graph, "MatMul", {"y", "linear"}, {"z"});
  // Sparse tensors are carried as they are, typed fields included.
  CHECK(differences(model, round_trip(model)) == "");

  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  for (const char* name : {"linear", "coordinates"})
    CHECK(imported.graph->find(name)->tensor().to_floats() ==
          std::vector<float>{0, 4, 0, 0, 0, 5});
  // Once a pass has changed the tensor, the sparse form is out of date.
  imported.graph->find("linear")->set_tensor(
      ir::Tensor::from<float>({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}));
  onnx::ModelProto changed;
  CHECK(changed.ParseFromString(io::export_onnx_bytes(imported)));
  CHECK(changed.graph().sparse_initializer_size() == 1);
  CHECK(changed.graph().initializer_size() == 2);
}

TEST_CASE("the long spelling of ONNX's own domain is the short one") {
  onnx::ModelProto model = small_model();
  model.mutable_opset_import(0)->set_domain("ai.onnx");
  model.mutable_graph()->mutable_node(0)->set_domain("ai.onnx");
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  CHECK(imported.opset() == 17);
  CHECK(imported.graph->find("h")->producer()->is("MatMul"));
}

TEST_CASE("exporting twice gives the same bytes") {
  onnx::ModelProto model = model_with_subgraphs();
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  std::string once = io::export_onnx_bytes(imported);
  CHECK(once == io::export_onnx_bytes(imported));
  CHECK(once == io::export_onnx_bytes(io::import_onnx_bytes(once, "m.onnx")));
  CHECK(once == io::export_onnx_bytes(ir::clone(imported)));
}

}  // namespace
}  // namespace lathe::test
