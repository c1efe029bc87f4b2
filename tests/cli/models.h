// Small models for the tests of the program, good ones and broken ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lathe::test {

// input float[N,3,8,8] -> Conv, BatchNormalization, Relu, GlobalAveragePool,
// Flatten, Gemm -> output float[N,4]; opset 13, seeded weights.
void write_small_model(const std::filesystem::path& path);

// A model file written field by field, so that it can be wrong. Messages and
// field numbers: onnx.proto.
class RawModel {
 public:
  void add_node(const std::string& op_type, const std::string& input,
                const std::string& output);
  // float[dims...] with `bytes` bytes of zeros.
  void add_initializer(const std::string& name, int64_t dim, size_t bytes);
  void add_external_initializer(const std::string& name, int64_t dim,
                                const std::string& location);
  void add_input(const std::string& name, int64_t dim);
  void add_output(const std::string& name, int64_t dim);
  void write(const std::filesystem::path& path) const;

 private:
  std::string graph_;
};

}  // namespace lathe::test
