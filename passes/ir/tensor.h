// An immutable tensor with shared storage: a copy costs a pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "passes/ir/data_type.h"

namespace lathe::ir {

// Bytes with whatever keeps them alive (a vector, a mapped file, …).
class Bytes {
 public:
  Bytes() = default;
  Bytes(std::shared_ptr<const void> owner, std::span<const std::byte> bytes)
      : owner_(std::move(owner)), bytes_(bytes) {}
  static Bytes copy_of(std::span<const std::byte> bytes);
  static Bytes own(std::vector<std::byte> bytes);
  static Bytes own(std::string bytes);
  std::span<const std::byte> span() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

// Elements of `dims` multiplied; 1 for a scalar. Error kInput on a negative
// dimension or on overflow, with `where` as its place.
uint64_t element_count(std::span<const int64_t> dims, const std::string& where);

class Tensor {
 public:
  Tensor() = default;  // undefined, no dims, no bytes
  // Little-endian, row-major, sub-byte types packed from the low bits. Error
  // kInput when bytes.size() != packed_bytes(type, product of dims). Data that
  // is not aligned for its type is copied.
  Tensor(DataType type, std::vector<int64_t> dims, Bytes bytes,
         const std::string& where = "tensor");
  // A string tensor.
  Tensor(std::vector<int64_t> dims, std::vector<std::string> strings,
         const std::string& where = "tensor");

  template <class T>
  static Tensor from(std::vector<int64_t> dims, std::span<const T> values) {
    return Tensor(DataTypeOf<T>::value, std::move(dims),
                  Bytes::copy_of(std::as_bytes(values)));
  }
  template <class T>
  static Tensor from(std::vector<int64_t> dims, const std::vector<T>& values) {
    return from<T>(std::move(dims), std::span<const T>(values));
  }
  template <class T>
  static Tensor scalar(T value) {
    return from<T>({}, std::span<const T>(&value, 1));
  }
  static Tensor vector_i64(const std::vector<int64_t>& values) {
    return from<int64_t>({static_cast<int64_t>(values.size())}, values);
  }
  static Tensor zeros(DataType type, std::vector<int64_t> dims);

  DataType type() const { return type_; }
  const std::vector<int64_t>& dims() const { return dims_; }
  int64_t rank() const { return static_cast<int64_t>(dims_.size()); }
  int64_t size() const { return size_; }  // elements
  uint64_t size_bytes() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_.span(); }
  const Bytes& storage() const { return bytes_; }
  const std::vector<std::string>& strings() const;

  // The elements. Error kInternal when T is not the tensor's type.
  template <class T>
  std::span<const T> data() const {
    require_type(DataTypeOf<T>::value);
    return {reinterpret_cast<const T*>(bytes_.span().data()),
            static_cast<size_t>(size_)};
  }
  // Every element converted: float, double, float16, bfloat16, bool and the
  // integers (sub-byte included). Error kUnsupported for other types.
  std::vector<double> to_doubles() const;
  std::vector<float> to_floats() const;
  // Integers and bool only.
  std::vector<int64_t> to_int64s() const;
  // `type`: any type to_doubles reads; out-of-range integers saturate.
  static Tensor from_doubles(DataType type, std::vector<int64_t> dims,
                             std::span<const double> values);

  Tensor reshaped(std::vector<int64_t> dims) const;
  // Same type, dims and bytes (NaNs compare by bits).
  bool identical(const Tensor& other) const;

  // What the file said beside the data; kept for the round trip.
  std::string name, doc_string;
  std::string unknown_fields;  // serialized protobuf fields we do not know

 private:
  void require_type(DataType type) const;
  DataType type_ = DataType::kUndefined;
  std::vector<int64_t> dims_;
  int64_t size_ = 0;
  Bytes bytes_;
  std::shared_ptr<const std::vector<std::string>> strings_;
};

// IEEE 754 half and bfloat16, round to nearest even.
float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);

}  // namespace lathe::ir
