#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7)
    bytes += static_cast<char>(value % 128 + 128);
  return bytes + static_cast<char>(value);
}

// A serialized TensorProto of floats (field numbers of onnx.proto).
std::string tensor_proto(const std::vector<uint64_t>& dims,
                         const std::vector<float>& values) {
  std::string bytes;
  for (const uint64_t dim : dims) bytes += "\x08" + varint(dim);
  bytes += "\x10" + varint(1);
  bytes += "\x4a" + varint(4 * values.size());
  return bytes + std::string(reinterpret_cast<const char*>(values.data()),
                             4 * values.size());
}

TEST_CASE("onnx-testcase: a folder of sets, by number; rows are samples") {
  TempDir dir;
  write(dir.path() / "test_data_set_10/input_0.pb",
        tensor_proto({1, 2}, {5, 6}));
  write(dir.path() / "test_data_set_2/input_0.pb",
        tensor_proto({2, 2}, {1, 2, 3, 4}));
  write(dir.path() / "test_data_set_2/output_0.pb", "not read");
  const auto source =
      data::open_data(dir.path().string(), image_model({-1, 2}), {});
  CHECK(source->size() == 3);
  CHECK_FALSE(source->has_labels());
  ReadOptions options;
  options.batch_size = 3;
  const auto batches = read_all(*source, options);
  REQUIRE(batches.size() == 1);
  CHECK(values<float>(*batches[0].find("x")) ==
        std::vector<float>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("onnx-testcase: sets that cannot be stacked come whole") {
  TempDir dir;
  for (const int set : {0, 1}) {
    const fs::path folder =
        dir.path() / ("test_data_set_" + std::to_string(set));
    const auto base = static_cast<float>(set);
    write(folder / "input_0.pb", tensor_proto({1, 2}, {base, 1}));
    write(folder / "input_1.pb", tensor_proto({3, 1}, {base, 1, 2}));
  }
  const ir::Model model = model_with({{"a", ir::DataType::kFloat, {1, 2}},
                                      {"b", ir::DataType::kFloat, {3, -1}}});
  const auto source = open_text(
      dir.path(), R"({"format": "onnx-testcase", "path": "."})", model);
  ReadOptions options;
  options.batch_size = 4;
  const auto batches = read_all(*source, options);
  REQUIRE(batches.size() == 2);
  CHECK(batches[1].samples == 1);
  CHECK(batches[1].find("a")->dims() == std::vector<int64_t>{1, 2});
  CHECK(values<float>(*batches[1].find("b")) == std::vector<float>{1, 1, 2});
}

TEST_CASE("onnx-testcase: what does not match the model is named") {
  TempDir dir;
  const std::string set = (dir.path() / "test_data_set_0").string();
  write(fs::path(set) / "input_0.pb", tensor_proto({1, 2}, {1, 2}));
  const auto fail = [&](const ir::Model& model) {
    return error_of([&] { data::open_data(set, model, {}); });
  };
  CHECK(fail(image_model({-1, 3})) ==
        "input|" + set +
            "/input_0.pb: float[1,2] does not fit input 'x' of shape "
            "float[N,3]");
  CHECK(fail(image_model({-1, 2}, ir::DataType::kInt64)) ==
        "input|" + set +
            "/input_0.pb: float[1,2] does not fit input 'x' of shape "
            "int64[N,2]");
  CHECK(fail(model_with({{"a", ir::DataType::kFloat, {-1, 2}},
                         {"b", ir::DataType::kFloat, {-1, 2}}})) ==
        "input|" + set + ": holds 1 input tensors, the model has 2 inputs");
}

}  // namespace
}  // namespace lathe::test
