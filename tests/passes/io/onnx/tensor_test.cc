// Element types and the fields that hold them.
#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <bit>
#include <cstring>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "tests/passes/io/onnx/model_builder.h"
#include "tests/support/shared.h"

namespace lathe::test {
namespace {

using onnx::TensorProto;

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes) {
    const char* digits = "0123456789abcdef";
    text += digits[static_cast<unsigned>(byte) >> 4];
    text += digits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

// "type[dims] bytes" of the tensor as imported from a .pb file.
std::string imported(const TensorProto& proto) {
  TempDir folder;
  auto path = folder.path() / "t.pb";
  write_file_atomic(path, proto.SerializeAsString());
  ir::Tensor tensor = io::read_tensor_file(path);
  ir::ValueType type;
  type.elem = tensor.type();
  type.shape = ir::to_shape(tensor.dims());
  return ir::to_string(type) + " " + hex(tensor.bytes());
}

TensorProto typed(int type, std::vector<int64_t> dims,
                  std::vector<int32_t> values) {
  TensorProto proto;
  proto.set_data_type(type);
  for (int64_t dim : dims) proto.add_dims(dim);
  for (int32_t value : values) proto.add_int32_data(value);
  return proto;
}

TEST_CASE("int32_data holds every small type") {
  CHECK(imported(typed(TensorProto::INT32, {1}, {-2})) == "int32[1] feffffff");
  CHECK(imported(typed(TensorProto::INT16, {1}, {-2})) == "int16[1] feff");
  CHECK(imported(typed(TensorProto::UINT16, {1}, {65534})) == "uint16[1] feff");
  CHECK(imported(typed(TensorProto::INT8, {2}, {-2, 127})) == "int8[2] fe7f");
  CHECK(imported(typed(TensorProto::UINT8, {2}, {254, 3})) == "uint8[2] fe03");
  CHECK(imported(typed(TensorProto::BOOL, {3}, {0, 1, 256})) ==
        "bool[3] 000101");
  CHECK(imported(typed(TensorProto::FLOAT16, {2}, {0x3c00, 0x7e01})) ==
        "float16[2] 003c017e");
  CHECK(imported(typed(TensorProto::BFLOAT16, {1}, {0x3f80})) ==
        "bfloat16[1] 803f");
}

TEST_CASE("types newer than the linked classes") {
  CHECK(imported(typed(17, {1}, {0x7f})) == "float8e4m3fn[1] 7f");
  CHECK(imported(typed(18, {1}, {0x80})) == "float8e4m3fnuz[1] 80");
  CHECK(imported(typed(19, {1}, {0x7c})) == "float8e5m2[1] 7c");
  CHECK(imported(typed(20, {1}, {0x80})) == "float8e5m2fnuz[1] 80");
  CHECK(imported(typed(21, {3}, {0x21, 0x03})) == "uint4[3] 2103");
  CHECK(imported(typed(22, {2, 2}, {0xf1, 0x8f})) == "int4[2,2] f18f");
  CHECK(imported(typed(23, {1}, {0x07})) == "float4e2m1[1] 07");
  CHECK(imported(typed(24, {1}, {0x7f})) == "float8e8m0[1] 7f");
  CHECK(imported(typed(25, {5}, {0xe4, 0x01})) == "uint2[5] e401");
  CHECK(imported(typed(26, {4}, {0xe4})) == "int2[4] e4");
}

TEST_CASE("the wide fields") {
  TensorProto floats;
  floats.set_data_type(TensorProto::FLOAT);
  floats.add_dims(2);
  floats.add_float_data(std::bit_cast<float>(0x7fa00001u));  // a signalling NaN
  floats.add_float_data(-0.0f);
  CHECK(imported(floats) == "float[2] 0100a07f00000080");
  floats.set_data_type(TensorProto::COMPLEX64);
  floats.set_dims(0, 1);
  CHECK(imported(floats) == "complex64[1] 0100a07f00000080");

  TensorProto doubles;
  doubles.set_data_type(TensorProto::DOUBLE);
  doubles.add_double_data(1);
  CHECK(imported(doubles) == "double[] 000000000000f03f");
  doubles.add_double_data(0);
  doubles.set_data_type(TensorProto::COMPLEX128);
  CHECK(imported(doubles) == "complex128[] 000000000000f03f0000000000000000");

  TensorProto integers;
  integers.set_data_type(TensorProto::INT64);
  integers.add_int64_data(-2);
  CHECK(imported(integers) == "int64[] feffffffffffffff");

  TensorProto naturals;
  naturals.set_data_type(TensorProto::UINT64);
  naturals.add_uint64_data(UINT64_MAX - 1);
  CHECK(imported(naturals) == "uint64[] feffffffffffffff");
  naturals.set_data_type(TensorProto::UINT32);
  naturals.set_uint64_data(0, 7);
  CHECK(imported(naturals) == "uint32[] 07000000");
}

TEST_CASE("raw data, strings, and tensors without elements") {
  TensorProto raw;
  raw.set_data_type(TensorProto::INT16);
  raw.add_dims(2);
  raw.set_raw_data("\x01\x02\x03\x04");
  CHECK(imported(raw) == "int16[2] 01020304");

  TensorProto none;
  none.set_data_type(TensorProto::FLOAT);
  none.add_dims(0);
  CHECK(imported(none) == "float[0] ");

  onnx::ModelProto model = small_model();
  TensorProto& strings = *model.mutable_graph()->add_initializer();
  strings.set_name("words");
  strings.set_data_type(TensorProto::STRING);
  strings.add_dims(2);
  strings.add_string_data("one");
  strings.add_string_data(std::string("\0two", 4));
  CHECK(differences(model, round_trip(model)) == "");
}

TEST_CASE("every type goes out as it came in") {
  for (int type = 1; type <= 26; ++type) {
    if (type == TensorProto::STRING) continue;
    CAPTURE(type);
    onnx::ModelProto model = small_model();
    TensorProto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name("t");
    tensor.set_data_type(type);
    tensor.add_dims(8);
    auto known = static_cast<ir::DataType>(type);
    std::string bytes(ir::packed_bytes(known, 8), '\0');
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(i * 37 + 200);
    tensor.set_raw_data(bytes);
    CHECK(differences(model, round_trip(model)) == "");
  }
}

std::string tensor_error(const std::string& bytes) {
  TempDir folder;
  auto path = folder.path() / "t.pb";
  write_file_atomic(path, bytes);
  try {
    io::read_tensor_file(path);
  } catch (const Error& error) {
    CHECK(error.where().starts_with(path.string()));
    std::string where = error.where().substr(path.string().size());
    return std::string(to_string(error.kind())) + where + ": " +
           error.message() + " (" + error.hint() + ")";
  }
  return "no error";
}

TEST_CASE("files that hold no tensor") {
  CHECK(tensor_error("") ==
        "input: is not a readable ONNX tensor: the file is empty (fetch or "
        "export it again)");
  CHECK(tensor_error("\x93NUMPY") ==
        "input: is not a readable ONNX tensor (it may be cut short or "
        "damaged; fetch or export it again)");
  TensorProto proto = typed(TensorProto::INT32, {2, 2}, {1, 2, 3});
  proto.set_name("t");
  CHECK(tensor_error(proto.SerializeAsString()) ==
        "input: tensor 't': holds 12 bytes, but shape [2,2] of type int32 "
        "needs 16 ()");
  proto.mutable_segment()->set_begin(0);
  CHECK(tensor_error(proto.SerializeAsString()) ==
        "unsupported: tensor 't' is stored in segments (export the model "
        "again, without segments)");
}

}  // namespace
}  // namespace lathe::test
