// Broken files end in one clear error, whatever is wrong with them.
#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "tests/passes/io/onnx/model_builder.h"
#include "tests/support/shared.h"

namespace lathe::test {
namespace {

const std::string kUnreadable = "input: m.onnx: is not a readable ONNX model";

TEST_CASE("bytes that are no model") {
  using namespace std::string_literals;
  CHECK(import_error("") ==
        kUnreadable + ": the file is empty (fetch or export it again)");
  CHECK(import_error("garbage, not protobuf") ==
        kUnreadable +
            " (it may be cut short or damaged; fetch or export it again)");
  CHECK(import_error("version https://git-lfs.github.com/spec/v1\n") ==
        kUnreadable +
            ": it is a Git LFS pointer (run `git lfs pull` to fetch "
            "the file itself)");
  CHECK(import_error("PK\x03\x04\x14\x00\x00\x00"s) ==
        kUnreadable +
            ": it looks like a zip archive, as PyTorch saves them "
            "(export the model to ONNX first)");
  CHECK(import_error("\x80\x02}q\x00."s) ==
        kUnreadable +
            ": it looks like a Python pickle (export the model to "
            "ONNX first)");
  CHECK(import_error("\x89HDF\r\n\x1a\n") ==
        kUnreadable +
            ": it looks like an HDF5 file, as Keras saves them "
            "(export the model to ONNX first)");
  CHECK(import_error("\x1c\x00\x00\x00TFL3"s) ==
        kUnreadable +
            ": it looks like a TensorFlow Lite model (convert the "
            "model to ONNX first)");
  CHECK(import_error("\x1c\x00\x00\x00ORTM"s) ==
        kUnreadable +
            ": it looks like a model in ONNX Runtime's own format "
            "(use the .onnx file it was made from)");
  CHECK(import_error("\x1f\x8b\x08\x00"s) ==
        kUnreadable + ": it looks like a gzip archive (unpack it first)");
  CHECK(import_error("\n <!DOCTYPE html>\n<html>") ==
        kUnreadable +
            ": it looks like a web page or XML (the download failed "
            "or the address was wrong)");
  CHECK(import_error("{\"nodes\": []}") ==
        kUnreadable + ": it looks like JSON (a model is a binary .onnx file)");
  CHECK(import_error("ir_version: 8\ngraph {}\n") ==
        kUnreadable +
            ": it looks like a model in protobuf's text form "
            "(convert it to a binary .onnx file with protoc "
            "--encode)");
}

TEST_CASE("a truncated model") {
  std::string bytes = small_model().SerializeAsString();
  CHECK(import_error(bytes.substr(0, bytes.size() / 2)) ==
        kUnreadable +
            " (it may be cut short or damaged; fetch or export it again)");
}

TEST_CASE("subgraphs nested without end") {
  onnx::GraphProto graph;
  for (int depth = 0; depth < 200; ++depth) {
    onnx::GraphProto outer;
    auto& attribute = *add_node(outer, "If", {}, {}).add_attribute();
    attribute.set_name("then_branch");
    attribute.set_type(onnx::AttributeProto::GRAPH);
    *attribute.mutable_g() = std::move(graph);
    graph = std::move(outer);
    if (depth == 30) {
      onnx::ModelProto model = empty_model();
      *model.mutable_graph() = graph;
      CHECK(import_error(model) == "no error");
    }
  }
  onnx::ModelProto model = empty_model();
  *model.mutable_graph() = std::move(graph);
  CHECK(import_error(model) ==
        kUnreadable +
            " (it may be cut short or damaged; fetch or export it again)");
}

TEST_CASE("parts of the model are missing") {
  onnx::ModelProto model = small_model();
  model.clear_graph();
  CHECK(import_error(model) ==
        "input: m.onnx: has no graph (the file may be cut short; fetch or "
        "export it again)");
  model = small_model();
  model.clear_opset_import();
  CHECK(import_error(model) ==
        "input: m.onnx: imports no operator set (the file may be cut short; "
        "fetch or export it again)");
  model = small_model();
  model.clear_ir_version();
  CHECK(import_error(model) == "input: m.onnx: has no valid IR version: 0");
}

TEST_CASE("operator sets") {
  onnx::ModelProto model = small_model();
  model.mutable_opset_import(0)->set_version(6);
  // MatMul and Relu are the same in opset 7, Mul is not.
  CHECK(io::import_onnx_bytes(model.SerializeAsString(), "m.onnx").opset() ==
        7);
  model.mutable_graph()->mutable_node(0)->set_op_type("Mul");
  CHECK(import_error(model) ==
        "unsupported: m.onnx: uses opset 6, in which Mul 'mm' has another "
        "form; Lathe reads that of opset 7 and newer (export the model again "
        "with a newer opset)");
  model.mutable_graph()->mutable_node(0)->set_op_type("MatMul");
  model.mutable_opset_import(0)->set_version(-1);
  CHECK(import_error(model) ==
        "input: m.onnx: imports version -1 of the operator set 'ai.onnx'");
  model.mutable_opset_import(0)->set_version(17);
  auto& second = *model.add_opset_import();
  second.set_domain("ai.onnx");
  second.set_version(18);
  CHECK(import_error(model) ==
        "input: m.onnx: imports versions 17 and 18 of the operator set "
        "'ai.onnx'");
}

TEST_CASE("a cyclic graph") {
  onnx::ModelProto model = small_model();
  model.mutable_graph()->mutable_node(0)->set_input(0, "y");
  CHECK(import_error(model) ==
        "input: m.onnx: the graph has a cycle through Relu 'act' -> "
        "MatMul 'mm' (an ONNX graph must be acyclic; export the model again)");
}

TEST_CASE("values that nothing defines") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.mutable_node(1)->set_input(0, "hidden_layer");
  CHECK(import_error(model) ==
        "input: m.onnx: Relu 'act' uses value 'hidden_layer', which nothing "
        "defines (every value must be an input, an initializer or the output "
        "of a node)");
  graph.mutable_node(0)->set_output(0, "hidden_layers");
  CHECK(import_error(model) ==
        "input: m.onnx: Relu 'act' uses value 'hidden_layer', which nothing "
        "defines (did you mean 'hidden_layers'?)");
  graph.mutable_node(1)->clear_name();
  CHECK(import_error(model) ==
        "input: m.onnx: Relu -> 'y' uses value 'hidden_layer', which nothing "
        "defines (did you mean 'hidden_layers'?)");
  graph.mutable_node(1)->set_input(0, "hidden_layers");
  graph.mutable_output(0)->set_name("missing");
  CHECK(import_error(model) ==
        "input: m.onnx: the graph gives out value 'missing', which nothing "
        "defines (every value must be an input, an initializer or the output "
        "of a node)");
}

TEST_CASE("a subgraph's values are not seen outside it") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  auto& attribute = *add_node(graph, "If", {"x"}, {"z"}).add_attribute();
  attribute.set_name("then_branch");
  attribute.set_type(onnx::AttributeProto::GRAPH);
  add_node(*attribute.mutable_g(), "Relu", {"x"}, {"inside_only"});
  add_node(graph, "Relu", {"inside_only"}, {"o"}, "late");
  CHECK(import_error(model) ==
        "input: m.onnx: Relu 'late' uses value 'inside_only', which nothing "
        "defines (every value must be an input, an initializer or the output "
        "of a node)");
}

TEST_CASE("values that are defined twice") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  add_node(graph, "Relu", {"x"}, {"h"}, "again");
  CHECK(import_error(model) ==
        "input: m.onnx: value 'h' is defined twice: by MatMul 'mm' and by "
        "Relu 'again'");
  graph.mutable_node(2)->set_output(0, "x");
  CHECK(import_error(model) ==
        "input: m.onnx: value 'x' is defined twice: as a graph input and by "
        "Relu 'again'");
  graph.mutable_node(2)->set_output(0, "w");
  CHECK(import_error(model) ==
        "input: m.onnx: value 'w' is defined twice: as an initializer and by "
        "Relu 'again'");
  graph.mutable_node()->RemoveLast();
  *graph.add_initializer() = graph.initializer(0);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w' is listed twice");
  graph.mutable_initializer()->RemoveLast();
  *graph.add_input() = graph.input(0);
  CHECK(import_error(model) ==
        "input: m.onnx: graph input 'x' is listed twice");
}

TEST_CASE("names that are missing") {
  onnx::ModelProto model = small_model();
  model.mutable_graph()->mutable_node(1)->clear_op_type();
  CHECK(import_error(model) ==
        "input: m.onnx: a node named 'act' has no operator type");
  model.mutable_graph()->mutable_node(1)->clear_name();
  CHECK(import_error(model) == "input: m.onnx: a node has no operator type");
  model = small_model();
  model.mutable_graph()->mutable_initializer(0)->clear_name();
  CHECK(import_error(model) == "input: m.onnx: an initializer has no name");
  model = small_model();
  model.mutable_graph()->mutable_input(0)->clear_name();
  CHECK(import_error(model) == "input: m.onnx: a graph input has no name");
  model = small_model();
  model.mutable_graph()->mutable_output(0)->clear_name();
  CHECK(import_error(model) == "input: m.onnx: a graph output has no name");
  model = small_model();
  model.mutable_graph()->mutable_node(0)->add_attribute()->set_i(1);
  CHECK(import_error(model) ==
        "input: m.onnx: MatMul 'mm' has an attribute without a name");
  model = small_model();
  model.add_functions();
  CHECK(import_error(model) == "input: m.onnx: a function has no name");
}

TEST_CASE("attributes that contradict themselves") {
  onnx::ModelProto model = small_model();
  onnx::NodeProto& node = *model.mutable_graph()->mutable_node(0);
  for (int i = 0; i < 2; ++i) {
    node.add_attribute()->set_name("axis");
    node.mutable_attribute(i)->set_type(onnx::AttributeProto::INT);
  }
  CHECK(import_error(model) ==
        "input: m.onnx: MatMul 'mm' has the attribute 'axis' twice");
  node.mutable_attribute()->RemoveLast();
  node.mutable_attribute(0)->set_type(onnx::AttributeProto::TENSOR);
  CHECK(import_error(model) ==
        "input: m.onnx: attribute 'axis' of MatMul 'mm' is a tensor, but "
        "holds none");
  node.mutable_attribute(0)->set_type(onnx::AttributeProto::GRAPH);
  CHECK(import_error(model) ==
        "input: m.onnx: attribute 'axis' of MatMul 'mm' is a graph, but holds "
        "none");
}

TEST_CASE("tensors whose bytes disagree with their shape") {
  onnx::ModelProto model = small_model();
  onnx::TensorProto& tensor = *model.mutable_graph()->mutable_initializer(0);
  tensor.set_dims(0, 3);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w': holds 16 bytes, but shape [3,2] of "
        "type float needs 24");
  tensor.set_dims(0, -2);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w': negative dimension in shape [-2,2]");
  // Neither of these may allocate what the shape asks for.
  tensor.set_dims(0, int64_t{1} << 61);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w': holds 16 bytes, but shape "
        "[2305843009213693952,2] of type float needs 18446744073709551615");
  tensor.set_dims(0, int64_t{1} << 62);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w': shape [4611686018427387904,2] has "
        "too many elements");
  tensor.clear_float_data();
  tensor.set_dims(0, int64_t{1} << 40);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w': holds 0 bytes, but shape "
        "[1099511627776,2] of type float needs 8796093022208");
  tensor.set_data_type(onnx::TensorProto::STRING);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w': holds 0 strings, but shape "
        "[1099511627776,2] needs 2199023255552");
  tensor.set_raw_data("text");
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w' holds strings as raw bytes (string "
        "tensors must use the field string_data)");
}

TEST_CASE("element types that do not exist") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.mutable_initializer(0)->set_data_type(99);
  CHECK(import_error(model) ==
        "unsupported: m.onnx: initializer 'w' has element type number 99, "
        "which Lathe does not know (element types up to number 26 (int2) are "
        "known)");
  graph.mutable_initializer(0)->set_data_type(0);
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w' has no element type");
  model = small_model();
  model.mutable_graph()
      ->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->set_elem_type(-4);
  CHECK(import_error(model) ==
        "unsupported: m.onnx: value 'x' has element type number -4, which "
        "Lathe does not know (element types up to number 26 (int2) are "
        "known)");
}

TEST_CASE("sparse initializers that make no sense") {
  onnx::ModelProto model = small_model();
  onnx::SparseTensorProto& sparse =
      *model.mutable_graph()->add_sparse_initializer();
  CHECK(import_error(model) ==
        "input: m.onnx: a sparse initializer has no name");
  onnx::TensorProto& values = *sparse.mutable_values();
  values.set_name("s");
  values.set_data_type(onnx::TensorProto::FLOAT);
  values.add_dims(1);
  values.add_float_data(1);
  onnx::TensorProto& indices = *sparse.mutable_indices();
  indices.set_data_type(onnx::TensorProto::INT64);
  indices.add_dims(1);
  indices.add_int64_data(8);
  sparse.add_dims(8);
  CHECK(import_error(model) ==
        "input: m.onnx: sparse initializer 's': has a sparse index outside "
        "its shape");
  sparse.set_dims(0, int64_t{1} << 40);
  CHECK(import_error(model) ==
        "unsupported: m.onnx: sparse initializer 's': takes 4.0 TiB in dense "
        "form, more than the 256.0 MiB that sparse tensors may still take");
  // The limit is for all of them together.
  sparse.set_dims(0, 40 << 20);
  *model.mutable_graph()->add_sparse_initializer() = sparse;
  model.mutable_graph()
      ->mutable_sparse_initializer(1)
      ->mutable_values()
      ->set_name("t");
  CHECK(import_error(model) ==
        "unsupported: m.onnx: sparse initializer 't': takes 160.0 MiB in "
        "dense form, more than the 96.0 MiB that sparse tensors may still "
        "take");
  model.mutable_graph()->mutable_sparse_initializer()->RemoveLast();
  indices.set_data_type(onnx::TensorProto::UINT64);
  indices.clear_int64_data();
  indices.add_uint64_data(1);
  sparse.set_dims(0, 8);
  CHECK(import_error(model) ==
        "input: m.onnx: sparse initializer 's': has sparse indices that do "
        "not fit its values");
  values.set_name("w");
  CHECK(import_error(model) ==
        "input: m.onnx: sparse initializer 'w' has the name of another value");
}

TEST_CASE("errors in a function name it") {
  onnx::ModelProto model = small_model();
  onnx::FunctionProto& function = *model.add_functions();
  function.set_name("F");
  function.add_input("a");
  function.add_output("b");
  CHECK(import_error(model) ==
        "input: m.onnx: function 'F': the graph gives out value 'b', which "
        "nothing defines (every value must be an input, an initializer or the "
        "output of a node)");
  function.set_output(0, "a");
  *model.add_functions() = function;
  CHECK(import_error(model) == "input: m.onnx: defines function 'F' twice");
}

TEST_CASE("files that are not there, or folders") {
  TempDir folder;
  CHECK_THROWS_AS(io::import_onnx(folder.path() / "none.onnx"), Error);
  CHECK_THROWS_AS(io::import_onnx(folder.path()), Error);
}

TEST_CASE("a file above 2 GiB is refused before it is read") {
  TempDir folder;
  auto path = folder.path() / "large.onnx";
  write_file_atomic(path, "");
  std::filesystem::resize_file(path, uint64_t{5} << 29);
  try {
    io::import_onnx(path);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.message() ==
          "is 2.5 GiB, but an ONNX file holds less than 2 GiB");
    CHECK(error.hint() ==
          "larger models keep their weights in external data files");
  }
}

}  // namespace
}  // namespace lathe::test
