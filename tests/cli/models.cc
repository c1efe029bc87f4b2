#include "tests/cli/models.h"

#include <vector>

#include "passes/base/file.h"
#include "passes/base/random.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/graph.h"

namespace lathe::test {
namespace {

ir::Tensor random_tensor(Random& random, std::vector<int64_t> dims, double low,
                         double high) {
  std::vector<float> values(ir::element_count(dims, "test"));
  for (float& value : values) value = float(random.uniform(low, high));
  return ir::Tensor::from<float>(std::move(dims), values);
}

ir::ValueType type_of(ir::Shape shape) {
  ir::ValueType type;
  type.elem = ir::DataType::kFloat;
  type.shape = std::move(shape);
  return type;
}

// Protobuf's wire format.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += char(value | 0x80);
  return bytes + char(value);
}
std::string number(int field, uint64_t value) {
  return varint(uint64_t(field) << 3) + varint(value);
}
std::string text(int field, const std::string& bytes) {
  return varint(uint64_t(field) << 3 | 2) + varint(bytes.size()) + bytes;
}

constexpr uint64_t kFloat = 1;

std::string value_info(const std::string& name, int64_t dim) {
  const std::string shape = text(1, number(1, uint64_t(dim)));
  const std::string tensor_type = number(1, kFloat) + text(2, shape);
  return text(1, name) + text(2, text(1, tensor_type));
}

std::string tensor(const std::string& name, int64_t dim) {
  return number(1, uint64_t(dim)) + number(2, kFloat) + text(8, name);
}

}  // namespace

void write_small_model(const std::filesystem::path& path) {
  Random random(1);
  ir::Model model;
  model.opset_imports[""] = 13;
  ir::Graph& graph = *model.graph;
  graph.name = "small";
  const auto weight = [&](const char* name, std::vector<int64_t> dims,
                          double low = -0.5, double high = 0.5) {
    return graph.add_initializer(
        name, random_tensor(random, std::move(dims), low, high));
  };
  ir::Value* input =
      graph.add_input("input", type_of({ir::Dim::named("N"), 3, 8, 8}));
  ir::Node* conv =
      graph.add_node("Conv", {input, weight("conv.weight", {8, 3, 3, 3})},
                     std::vector<std::string>{"conv_out"});
  conv->name = "conv";
  conv->set_attr("pads", std::vector<int64_t>{1, 1, 1, 1});
  ir::Node* norm =
      graph.add_node("BatchNormalization",
                     {conv->output(), weight("bn.scale", {8}, 0.5, 1.5),
                      weight("bn.bias", {8}), weight("bn.mean", {8}),
                      weight("bn.var", {8}, 0.5, 1.5)},
                     std::vector<std::string>{"bn_out"});
  ir::Node* relu = graph.add_node("Relu", {norm->output()},
                                  std::vector<std::string>{"relu_out"});
  ir::Node* pool = graph.add_node("GlobalAveragePool", {relu->output()},
                                  std::vector<std::string>{"pool_out"});
  ir::Node* flat = graph.add_node("Flatten", {pool->output()},
                                  std::vector<std::string>{"flat_out"});
  ir::Node* gemm = graph.add_node(
      "Gemm",
      {flat->output(), weight("fc.weight", {8, 4}), weight("fc.bias", {4})},
      std::vector<std::string>{"output"});
  gemm->name = "fc";
  gemm->output()->type = type_of({ir::Dim::named("N"), 4});
  graph.add_output(gemm->output());
  io::export_onnx(model, path);
}

void RawModel::add_node(const std::string& op_type, const std::string& input,
                        const std::string& output) {
  graph_ += text(1, text(1, input) + text(2, output) +
                        text(3, "make_" + output) + text(4, op_type));
}

void RawModel::add_initializer(const std::string& name, int64_t dim,
                               size_t bytes) {
  graph_ += text(5, tensor(name, dim) + text(9, std::string(bytes, '\0')));
}

void RawModel::add_external_initializer(const std::string& name, int64_t dim,
                                        const std::string& location) {
  constexpr uint64_t kExternal = 1;
  graph_ += text(5, tensor(name, dim) +
                        text(13, text(1, "location") + text(2, location)) +
                        number(14, kExternal));
}

void RawModel::add_input(const std::string& name, int64_t dim) {
  graph_ += text(11, value_info(name, dim));
}

void RawModel::add_output(const std::string& name, int64_t dim) {
  graph_ += text(12, value_info(name, dim));
}

void RawModel::write(const std::filesystem::path& path) const {
  const std::string opset = text(1, "") + number(2, 17);
  write_file_atomic(
      path, number(1, 8) + text(7, text(2, "raw") + graph_) + text(8, opset));
}

}  // namespace lathe::test
