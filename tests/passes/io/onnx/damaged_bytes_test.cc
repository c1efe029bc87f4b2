// Damaged files of every kind: an answer or a lathe::Error, nothing else.
#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/io/onnx/onnx.h"
#include "tests/passes/io/onnx/model_builder.h"

namespace lathe::test {
namespace {

// A bit of everything the importer has a path for, in few bytes.
std::string seed_model() {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  add_unknown(graph, 99, "new");
  onnx::NodeProto& node = add_node(graph, "If", {"y"}, {"z"});
  auto& attribute = *node.add_attribute();
  attribute.set_name("then_branch");
  attribute.set_type(onnx::AttributeProto::GRAPH);
  add_node(*attribute.mutable_g(), "Neg", {"h"}, {"r"});
  attribute.mutable_g()->add_output()->set_name("r");
  auto& ints = *node.add_attribute();
  ints.set_name("i");
  ints.set_type(onnx::AttributeProto::INTS);
  ints.add_ints(1);
  onnx::SparseTensorProto& sparse = *graph.add_sparse_initializer();
  sparse.add_dims(4);
  sparse.mutable_values()->set_name("s");
  sparse.mutable_values()->set_data_type(1);
  sparse.mutable_values()->add_dims(1);
  sparse.mutable_values()->add_float_data(1);
  sparse.mutable_indices()->set_data_type(7);
  sparse.mutable_indices()->add_dims(1);
  sparse.mutable_indices()->add_int64_data(2);
  onnx::TensorProto& half = *graph.add_initializer();
  half.set_name("half");
  half.set_data_type(onnx::TensorProto::FLOAT16);
  half.add_dims(2);
  half.add_int32_data(1);
  half.add_int32_data(2);
  onnx::FunctionProto& function = *model.add_functions();
  function.set_name("F");
  function.add_input("a");
  function.add_output("a");
  return model.SerializeAsString();
}

// What importing, and exporting what was imported, ends in.
enum class Outcome { kModel, kError };
Outcome try_import(const std::string& bytes) {
  try {
    ir::Model model = io::import_onnx_bytes(bytes, "m.onnx");
    ir::verify(*model.graph, "m.onnx");
    std::string exported = io::export_onnx_bytes(model);
    io::import_onnx_bytes(exported, "again");
    return Outcome::kModel;
  } catch (const Error& error) {
    // An internal error would be a bug of ours.
    CHECK(error.kind() != ErrorKind::kInternal);
    CHECK(!error.message().empty());
    return Outcome::kError;
  }
}

TEST_CASE("every truncation") {
  std::string bytes = seed_model();
  REQUIRE(try_import(bytes) == Outcome::kModel);
  for (size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    try_import(bytes.substr(0, size));
  }
}

TEST_CASE("random damage") {
  std::string seed = seed_model();
  Random random(20240601);
  int models = 0, errors = 0;
  for (int round = 0; round < 6000; ++round) {
    CAPTURE(round);
    std::string bytes = seed;
    for (uint64_t i = 0, count = 1 + random.below(4); i < count; ++i) {
      size_t at = random.below(bytes.size());
      switch (random.below(4)) {
        case 0:
          bytes[at] ^= static_cast<char>(1 << random.below(8));
          break;
        case 1:
          bytes[at] = static_cast<char>(random.below(256));
          break;
        case 2:
          bytes.erase(at, 1 + random.below(4));
          break;
        default:
          bytes.insert(at, bytes.substr(random.below(bytes.size()),
                                        1 + random.below(16)));
      }
    }
    (try_import(bytes) == Outcome::kModel ? models : errors) += 1;
  }
  // The damage is neither too weak nor too strong to test anything.
  CHECK(models > 100);
  CHECK(errors > 1000);
}

}  // namespace
}  // namespace lathe::test
