#include "passes/ir/tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "passes/base/error.h"

namespace lathe::ir {
namespace {

std::string dims_text(std::span<const int64_t> dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

template <class T>
void convert_all(std::span<const std::byte> bytes, std::vector<double>& out) {
  const T* data = reinterpret_cast<const T*>(bytes.data());
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(data[i]);
}

// Element `i` of a tensor with 2 or 4 bits an element, low bits first.
int64_t packed_element(std::span<const std::byte> bytes, size_t i, int bits,
                       bool is_signed) {
  size_t per_byte = 8 / bits;
  unsigned byte = static_cast<unsigned>(bytes[i / per_byte]);
  unsigned value = (byte >> ((i % per_byte) * bits)) & ((1u << bits) - 1);
  if (is_signed && (value >> (bits - 1)))
    return static_cast<int64_t>(value) - (1 << bits);
  return value;
}

template <class T>
T saturate(double value) {
  if (std::isnan(value)) return 0;
  value = std::nearbyint(value);
  constexpr double low = static_cast<double>(std::numeric_limits<T>::min());
  constexpr double high = static_cast<double>(std::numeric_limits<T>::max());
  if (value <= low) return std::numeric_limits<T>::min();
  if (value >= high) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

template <class T, class F>
Bytes encode(std::span<const double> values, F convert) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    T element = convert(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
  }
  return Bytes::own(std::move(bytes));
}

}  // namespace

Bytes Bytes::copy_of(std::span<const std::byte> bytes) {
  return own(std::vector<std::byte>(bytes.begin(), bytes.end()));
}

Bytes Bytes::own(std::vector<std::byte> bytes) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return Bytes(owner, std::span<const std::byte>(*owner));
}

Bytes Bytes::own(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  return Bytes(owner, std::as_bytes(std::span<const char>(*owner)));
}

uint64_t element_count(std::span<const int64_t> dims,
                       const std::string& where) {
  uint64_t count = 1;
  bool has_zero = false;
  for (int64_t dim : dims) {
    if (dim < 0)
      throw_input(where, "negative dimension in shape " + dims_text(dims));
    if (dim == 0) has_zero = true;
  }
  if (has_zero) return 0;
  for (int64_t dim : dims) {
    if (count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) /
                    static_cast<uint64_t>(dim))
      throw_input(where, "shape " + dims_text(dims) + " has too many elements");
    count *= static_cast<uint64_t>(dim);
  }
  return count;
}

Tensor::Tensor(DataType type, std::vector<int64_t> dims, Bytes bytes,
               const std::string& where)
    : type_(type), dims_(std::move(dims)), bytes_(std::move(bytes)) {
  uint64_t count = element_count(dims_, where);
  if (bits_per_element(type) == 0)
    throw_input(where, std::string("element type ") + to_string(type) +
                           " has no bytes");
  uint64_t expected = packed_bytes(type, count);
  if (bytes_.size() != expected)
    throw_input(where, "holds " + std::to_string(bytes_.size()) +
                           " bytes, but shape " + dims_text(dims_) +
                           " of type " + to_string(type) + " needs " +
                           std::to_string(expected));
  size_ = static_cast<int64_t>(count);
  size_t alignment = std::clamp(bits_per_element(type) / 8, 1, 8);
  if (reinterpret_cast<uintptr_t>(bytes_.span().data()) % alignment != 0)
    bytes_ = Bytes::copy_of(bytes_.span());
}

Tensor::Tensor(std::vector<int64_t> dims, std::vector<std::string> strings,
               const std::string& where)
    : type_(DataType::kString), dims_(std::move(dims)) {
  uint64_t count = element_count(dims_, where);
  if (strings.size() != count)
    throw_input(where, "holds " + std::to_string(strings.size()) +
                           " strings, but shape " + dims_text(dims_) +
                           " needs " + std::to_string(count));
  size_ = static_cast<int64_t>(count);
  strings_ =
      std::make_shared<const std::vector<std::string>>(std::move(strings));
}

Tensor Tensor::zeros(DataType type, std::vector<int64_t> dims) {
  uint64_t bytes = packed_bytes(type, element_count(dims, "tensor"));
  return Tensor(type, std::move(dims),
                Bytes::own(std::vector<std::byte>(bytes)));
}

const std::vector<std::string>& Tensor::strings() const {
  static const std::vector<std::string> kNone;
  return strings_ ? *strings_ : kNone;
}

void Tensor::require_type(DataType type) const {
  if (type_ != type)
    throw_internal("tensor '" + name + "'", std::string("read as ") +
                                                to_string(type) + ", but is " +
                                                to_string(type_));
}

std::vector<double> Tensor::to_doubles() const {
  std::vector<double> out(static_cast<size_t>(size_));
  auto raw = bytes_.span();
  switch (type_) {
    case DataType::kFloat:
      convert_all<float>(raw, out);
      break;
    case DataType::kDouble:
      convert_all<double>(raw, out);
      break;
    case DataType::kInt8:
      convert_all<int8_t>(raw, out);
      break;
    case DataType::kUint8:
    case DataType::kBool:
      convert_all<uint8_t>(raw, out);
      break;
    case DataType::kInt16:
      convert_all<int16_t>(raw, out);
      break;
    case DataType::kUint16:
      convert_all<uint16_t>(raw, out);
      break;
    case DataType::kInt32:
      convert_all<int32_t>(raw, out);
      break;
    case DataType::kUint32:
      convert_all<uint32_t>(raw, out);
      break;
    case DataType::kInt64:
      convert_all<int64_t>(raw, out);
      break;
    case DataType::kUint64:
      convert_all<uint64_t>(raw, out);
      break;
    case DataType::kFloat16:
    case DataType::kBfloat16: {
      const uint16_t* data = reinterpret_cast<const uint16_t*>(raw.data());
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = type_ == DataType::kFloat16 ? half_to_float(data[i])
                                             : bfloat16_to_float(data[i]);
      break;
    }
    case DataType::kInt4:
    case DataType::kUint4:
    case DataType::kInt2:
    case DataType::kUint2: {
      bool is_signed = type_ == DataType::kInt4 || type_ == DataType::kInt2;
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<double>(
            packed_element(raw, i, bits_per_element(type_), is_signed));
      break;
    }
    default:
      throw_unsupported("tensor '" + name + "'",
                        std::string("cannot read elements of type ") +
                            to_string(type_) + " as numbers");
  }
  return out;
}

std::vector<float> Tensor::to_floats() const {
  if (type_ == DataType::kFloat) {
    auto values = data<float>();
    return {values.begin(), values.end()};
  }
  auto values = to_doubles();
  return {values.begin(), values.end()};
}

std::vector<int64_t> Tensor::to_int64s() const {
  if (type_ == DataType::kInt64) {
    auto values = data<int64_t>();
    return {values.begin(), values.end()};
  }
  if (!is_integer(type_) && type_ != DataType::kBool)
    throw_unsupported(
        "tensor '" + name + "'",
        std::string("expected integers, found ") + to_string(type_));
  std::vector<int64_t> out;
  out.reserve(static_cast<size_t>(size_));
  for (double value : to_doubles()) out.push_back(saturate<int64_t>(value));
  return out;
}

Tensor Tensor::from_doubles(DataType type, std::vector<int64_t> dims,
                            std::span<const double> values) {
  Bytes bytes;
  switch (type) {
    case DataType::kFloat:
      bytes =
          encode<float>(values, [](double v) { return static_cast<float>(v); });
      break;
    case DataType::kDouble:
      bytes = encode<double>(values, [](double v) { return v; });
      break;
    case DataType::kFloat16:
      bytes = encode<uint16_t>(values, [](double v) {
        return float_to_half(static_cast<float>(v));
      });
      break;
    case DataType::kBfloat16:
      bytes = encode<uint16_t>(values, [](double v) {
        return float_to_bfloat16(static_cast<float>(v));
      });
      break;
    case DataType::kInt8:
      bytes = encode<int8_t>(values, saturate<int8_t>);
      break;
    case DataType::kUint8:
      bytes = encode<uint8_t>(values, saturate<uint8_t>);
      break;
    case DataType::kInt16:
      bytes = encode<int16_t>(values, saturate<int16_t>);
      break;
    case DataType::kUint16:
      bytes = encode<uint16_t>(values, saturate<uint16_t>);
      break;
    case DataType::kInt32:
      bytes = encode<int32_t>(values, saturate<int32_t>);
      break;
    case DataType::kUint32:
      bytes = encode<uint32_t>(values, saturate<uint32_t>);
      break;
    case DataType::kInt64:
      bytes = encode<int64_t>(values, saturate<int64_t>);
      break;
    case DataType::kUint64:
      bytes = encode<uint64_t>(values, saturate<uint64_t>);
      break;
    case DataType::kBool:
      bytes = encode<uint8_t>(
          values, [](double v) { return static_cast<uint8_t>(v != 0); });
      break;
    case DataType::kInt4:
    case DataType::kUint4:
    case DataType::kInt2:
    case DataType::kUint2: {
      int bits = bits_per_element(type);
      bool is_signed = type == DataType::kInt4 || type == DataType::kInt2;
      double low = is_signed ? -(1 << (bits - 1)) : 0;
      double high = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
      size_t per_byte = 8 / bits;
      std::vector<std::byte> packed(packed_bytes(type, values.size()));
      for (size_t i = 0; i < values.size(); ++i) {
        double clamped = std::clamp(std::nearbyint(values[i]), low, high);
        unsigned code = static_cast<unsigned>(static_cast<int>(clamped)) &
                        ((1u << bits) - 1);
        packed[i / per_byte] |=
            static_cast<std::byte>(code << ((i % per_byte) * bits));
      }
      bytes = Bytes::own(std::move(packed));
      break;
    }
    default:
      throw_unsupported(
          "tensor",
          std::string("cannot write elements of type ") + to_string(type));
  }
  return Tensor(type, std::move(dims), std::move(bytes));
}

Tensor Tensor::reshaped(std::vector<int64_t> dims) const {
  Tensor result = type_ == DataType::kString
                      ? Tensor(std::move(dims), strings())
                      : Tensor(type_, std::move(dims), bytes_);
  result.name = name;
  return result;
}

bool Tensor::identical(const Tensor& other) const {
  return type_ == other.type_ && dims_ == other.dims_ &&
         std::ranges::equal(bytes(), other.bytes()) &&
         strings() == other.strings();
}

float half_to_float(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1f;
  uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0x1f)
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    float value = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) |
                              (mantissa << 13));
}

uint16_t float_to_half(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;   // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to infinity
  if (magnitude < 0x38800000u) {                        // subnormal or zero
    float scaled = std::ldexp(std::bit_cast<float>(magnitude), 24);
    return sign | static_cast<uint16_t>(std::nearbyint(scaled));
  }
  uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return sign | static_cast<uint16_t>((rounded - 0x38000000u) >> 13);
}

float bfloat16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

uint16_t float_to_bfloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace lathe::ir
