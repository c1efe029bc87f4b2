#include "passes/ir/tensor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe::ir {
namespace {

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("tensor: bytes must fit the shape") {
  CHECK(
      error_of([] {
        Tensor(DataType::kFloat, {2, 3}, Bytes::own(std::string(20, 'x')), "w");
      }) == "w: holds 20 bytes, but shape [2,3] of type float needs 24");
  CHECK(error_of([] {
          Tensor(DataType::kFloat, {1'000'000'000'000, 1'000'000'000'000},
                 Bytes());
        }) ==
        "tensor: shape [1000000000000,1000000000000] has too many elements");
  CHECK(error_of([] { Tensor(DataType::kInt8, {-1}, Bytes()); }) ==
        "tensor: negative dimension in shape [-1]");
  CHECK(error_of([] { Tensor(DataType::kUndefined, {1}, Bytes()); }) ==
        "tensor: element type undefined has no bytes");
  CHECK(error_of([] { Tensor({2}, std::vector<std::string>{"a"}); }) ==
        "tensor: holds 1 strings, but shape [2] needs 2");
  CHECK(error_of([] { Tensor::scalar(1.0f).data<int32_t>(); }) ==
        "tensor '': read as int32, but is float"
        " (this is a bug in Lathe; please report it)");
}

TEST_CASE("tensor: a zero dimension means no elements, whatever the others") {
  Tensor empty(DataType::kFloat, {0, std::numeric_limits<int64_t>::max(), 4},
               Bytes());
  CHECK(empty.size() == 0);
  CHECK(empty.to_floats().empty());
}

TEST_CASE("tensor: unaligned bytes are copied") {
  std::string bytes(9, '\0');
  float value = 1.5f;
  std::memcpy(bytes.data() + 1, &value, 4);
  auto owner = std::make_shared<const std::string>(bytes);
  Tensor tensor(DataType::kFloat, {1},
                Bytes(owner, std::as_bytes(std::span(*owner)).subspan(1, 4)));
  CHECK(reinterpret_cast<uintptr_t>(tensor.bytes().data()) % 4 == 0);
  CHECK(tensor.data<float>()[0] == 1.5f);
}

TEST_CASE("tensor: copies share their bytes") {
  Tensor a = Tensor::vector_i64({1, 2, 3});
  Tensor b = a.reshaped({3, 1});
  CHECK(a.bytes().data() == b.bytes().data());
  CHECK(b.dims() == std::vector<int64_t>{3, 1});
  CHECK_FALSE(a.identical(b));
  CHECK(a.identical(Tensor::vector_i64({1, 2, 3})));
}

TEST_CASE("tensor: numbers of every type come back") {
  for (DataType type : {DataType::kFloat, DataType::kDouble, DataType::kFloat16,
                        DataType::kBfloat16, DataType::kInt8, DataType::kInt16,
                        DataType::kInt32, DataType::kInt64, DataType::kInt4}) {
    std::vector<double> values{-8, -2, -1, 0, 1, 3, 7};
    Tensor tensor = Tensor::from_doubles(type, {7}, values);
    CHECK(tensor.to_doubles() == values);
  }
  for (DataType type : {DataType::kUint8, DataType::kUint16, DataType::kUint32,
                        DataType::kUint64, DataType::kUint2}) {
    std::vector<double> values{0, 1, 2, 3, 1};
    CHECK(Tensor::from_doubles(type, {5}, values).to_doubles() == values);
  }
}

TEST_CASE("tensor: integers saturate and round half to even") {
  std::vector<double> values{-1e30, 1e30, 2.5, 3.5, NAN};
  CHECK(Tensor::from_doubles(DataType::kInt8, {5}, values).to_int64s() ==
        std::vector<int64_t>{-128, 127, 2, 4, 0});
  CHECK(Tensor::from_doubles(DataType::kUint4, {5}, {values.data(), 5})
            .to_doubles()[1] == 15);
}

TEST_CASE("tensor: half and bfloat16 round to nearest even") {
  CHECK(float_to_half(1.0f) == 0x3c00);
  CHECK(float_to_half(65519.0f) == 0x7bff);  // still the largest finite one
  CHECK(float_to_half(65520.0f) == 0x7c00);  // infinity
  CHECK(float_to_half(std::ldexp(1.0f, -24)) == 1);
  CHECK(float_to_half(std::ldexp(1.0f, -25)) == 0);
  CHECK(float_to_half(1.0f + std::ldexp(1.0f, -11)) == 0x3c00);
  CHECK(float_to_half(1.0f + 3 * std::ldexp(1.0f, -11)) == 0x3c02);
  CHECK(std::isnan(half_to_float(float_to_half(NAN))));
  CHECK(std::isnan(bfloat16_to_float(float_to_bfloat16(NAN))));
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = half_to_float(static_cast<uint16_t>(bits));
    if (!std::isnan(value)) CHECK(float_to_half(value) == bits);
    float wide = bfloat16_to_float(static_cast<uint16_t>(bits));
    if (!std::isnan(wide)) CHECK(float_to_bfloat16(wide) == bits);
  }
}

}  // namespace
}  // namespace lathe::ir
