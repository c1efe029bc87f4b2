// What kernels share: tensors between the graph and LibTorch, integer lists,
// axes, and errors that name the node.
#include "passes/exec/operator_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "passes/base/error.h"
#include "passes/exec/program.h"

namespace lathe::exec {
namespace {

using ir::DataType;

// An 8-bit floating type: how its codes are read.
struct Float8 {
  DataType type;
  int mantissa_bits;
  int bias;
  int largest;   // code of the largest finite number
  int nan;       // the code that NaN is written as
  int infinity;  // its code; -1 when the type has none
  bool fnuz;     // no negative zero: that code is the only NaN
};

constexpr Float8 kFloat8[] = {
    {DataType::kFloat8E4M3FN, 3, 7, 0x7e, 0x7f, -1, false},
    {DataType::kFloat8E4M3FNUZ, 3, 8, 0x7f, 0x80, -1, true},
    {DataType::kFloat8E5M2, 2, 15, 0x7b, 0x7f, 0x7c, false},
    {DataType::kFloat8E5M2FNUZ, 2, 16, 0x7f, 0x80, -1, true},
};

const Float8* find_float8(DataType type) {
  for (const Float8& row : kFloat8)
    if (row.type == type) return &row;
  return nullptr;
}

float decode(const Float8& row, int code) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  if (row.fnuz && code == row.nan) return kNan;
  const int magnitude = code & 0x7f;
  const float sign = code & 0x80 ? -1.0f : 1.0f;
  if (magnitude > row.largest)
    return magnitude == row.infinity
               ? sign * std::numeric_limits<float>::infinity()
               : kNan;
  const int fraction = magnitude & ((1 << row.mantissa_bits) - 1);
  const int exponent = magnitude >> row.mantissa_bits;
  const int whole = exponent ? fraction + (1 << row.mantissa_bits) : fraction;
  return sign *
         std::ldexp(static_cast<float>(whole),
                    std::max(exponent, 1) - row.bias - row.mantissa_bits);
}

// Nearest, ties to the even code; finite numbers saturate.
int encode(const Float8& row, double value) {
  if (std::isnan(value)) return row.nan;
  const int sign = std::signbit(value) ? 0x80 : 0;
  const double magnitude = std::abs(value);
  if (std::isinf(value) && row.infinity >= 0) return sign | row.infinity;
  // Codes of finite numbers are in the order of the numbers.
  int low = 0, high = row.largest;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (decode(row, middle) <= magnitude)
      low = middle;
    else
      high = middle - 1;
  }
  if (low < row.largest) {
    const double below = magnitude - decode(row, low);
    const double above = decode(row, low + 1) - magnitude;
    if (below > above || (below == above && low % 2 == 1)) ++low;
  }
  return row.fnuz && low == 0 ? 0 : sign | low;
}

template <class From, class To>
at::Tensor each(const ir::Tensor& tensor, at::ScalarType type) {
  at::Tensor result = at::empty(tensor.dims(), type);
  To* out = result.data_ptr<To>();
  for (From value : tensor.data<From>()) *out++ = static_cast<To>(value);
  return result;
}

at::Tensor same_bytes(const ir::Tensor& tensor, at::ScalarType type) {
  at::Tensor result = at::empty(tensor.dims(), type);
  if (tensor.size_bytes())
    std::memcpy(result.data_ptr(), tensor.bytes().data(), tensor.size_bytes());
  return result;
}

at::Tensor on_host(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.to(at::kCPU, type).contiguous();
}

template <class T>
std::vector<T> elements(const at::Tensor& tensor, at::ScalarType type) {
  if (!tensor.defined()) return {};
  const at::Tensor host = on_host(tensor, type);
  const T* data = host.data_ptr<T>();
  return {data, data + host.numel()};
}

// Integers of a wider type into `To`, modulo its range.
template <class From, class To>
ir::Tensor narrowed(const at::Tensor& tensor, at::ScalarType type) {
  const at::Tensor host = on_host(tensor, type);
  const From* data = host.data_ptr<From>();
  std::vector<To> values(static_cast<size_t>(host.numel()));
  for (To& value : values) value = static_cast<To>(*data++);
  return ir::Tensor::from<To>(host.sizes().vec(), values);
}

ir::Tensor to_float8(const at::Tensor& tensor, const Float8& row) {
  std::vector<std::byte> bytes;
  for (double value : doubles(tensor))
    bytes.push_back(static_cast<std::byte>(encode(row, value)));
  return ir::Tensor(row.type, tensor.sizes().vec(),
                    ir::Bytes::own(std::move(bytes)));
}

}  // namespace

std::shared_ptr<Body> NodeInfo::body(std::string_view attribute) const {
  for (const auto& [name, body] : bodies_)
    if (name == attribute) return body;
  return nullptr;
}

void NodeInfo::unsupported(const std::string& what,
                           const std::string& hint) const {
  throw_unsupported(node.label(), what, hint);
}

void NodeInfo::invalid(const std::string& what, const std::string& hint) const {
  throw_input(node.label(), what, hint);
}

std::vector<int64_t> int64s(const at::Tensor& tensor) {
  return elements<int64_t>(tensor, at::kLong);
}

std::vector<double> doubles(const at::Tensor& tensor) {
  return elements<double>(tensor, at::kDouble);
}

std::optional<double> constant_number(const ir::Value* value) {
  if (!value || !value->is_constant() || value->tensor().size() != 1)
    return std::nullopt;
  return value->tensor().to_doubles().front();
}

Tensors together(Tensors tensors) {
  auto found = std::ranges::find_if(tensors, [](const at::Tensor& tensor) {
    return tensor.defined() && !tensor.is_cpu();
  });
  if (found == tensors.end()) return tensors;
  const at::Device device = found->device();
  for (at::Tensor& tensor : tensors)
    if (tensor.defined()) tensor = tensor.to(device);
  return tensors;
}

int64_t normalized_axis(const NodeInfo& info, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    info.invalid("axis " + std::to_string(axis) + " is out of range for rank " +
                 std::to_string(rank));
  return axis < 0 ? axis + rank : axis;
}

bool is_float8(DataType type) { return find_float8(type) != nullptr; }

at::Tensor rounded_to_float8(const at::Tensor& x, DataType type,
                             bool saturate) {
  const Float8& row = *find_float8(type);
  const double largest = decode(row, row.largest),
               before = decode(row, row.largest - 1);
  const at::Tensor wide = x.detach().to(at::kDouble);
  const at::Tensor near =
      to_torch(from_torch(wide.clamp(-largest, largest), type)).to(x.device());
  if (saturate) return near;
  // From half a step above the largest on; at it, ties go to even codes.
  const double limit = largest + (largest - before) / 2;
  const at::Tensor magnitude = wide.abs();
  const at::Tensor beyond =
      row.largest % 2 == 0 ? magnitude > limit : magnitude >= limit;
  const at::Tensor instead =
      row.infinity >= 0
          ? at::sign(wide) * std::numeric_limits<double>::infinity()
          : at::full_like(wide, std::numeric_limits<double>::quiet_NaN());
  return at::where(beyond, instead.to(at::kFloat), near);
}

at::ScalarType scalar_type(DataType type) {
  switch (type) {
    case DataType::kFloat:
    case DataType::kFloat8E4M3FN:
    case DataType::kFloat8E4M3FNUZ:
    case DataType::kFloat8E5M2:
    case DataType::kFloat8E5M2FNUZ:
      return at::kFloat;
    case DataType::kDouble:
      return at::kDouble;
    case DataType::kFloat16:
      return at::kHalf;
    case DataType::kBfloat16:
      return at::kBFloat16;
    case DataType::kBool:
      return at::kBool;
    case DataType::kUint8:
    case DataType::kUint4:
    case DataType::kUint2:
      return at::kByte;
    case DataType::kInt8:
    case DataType::kInt4:
    case DataType::kInt2:
      return at::kChar;
    case DataType::kInt16:
      return at::kShort;
    case DataType::kInt32:
    case DataType::kUint16:
      return at::kInt;
    case DataType::kInt64:
    case DataType::kUint32:
    case DataType::kUint64:
      return at::kLong;
    default:
      throw_unsupported("", std::string("LibTorch has no tensors of type ") +
                                ir::to_string(type));
  }
}

at::Tensor to_torch(const ir::Tensor& tensor) {
  const DataType type = tensor.type();
  const at::ScalarType held = scalar_type(type);
  if (const Float8* row = find_float8(type)) {
    at::Tensor result = at::empty(tensor.dims(), held);
    float* out = result.data_ptr<float>();
    for (std::byte code : tensor.bytes())
      *out++ = decode(*row, static_cast<int>(code));
    return result;
  }
  switch (type) {
    case DataType::kBool:  // any byte but 0 is true, for LibTorch 1 only
      return same_bytes(tensor, at::kByte).ne(0);
    case DataType::kUint16:
      return each<uint16_t, int32_t>(tensor, held);
    case DataType::kUint32:
      return each<uint32_t, int64_t>(tensor, held);
    case DataType::kUint4:
    case DataType::kInt4:
    case DataType::kUint2:
    case DataType::kInt2: {
      const std::vector<int64_t> values = tensor.to_int64s();
      at::Tensor result = at::empty(tensor.dims(), at::kLong);
      std::ranges::copy(values, result.data_ptr<int64_t>());
      return result.to(held);
    }
    default:
      return same_bytes(tensor, held);
  }
}

ir::Tensor from_torch(const at::Tensor& tensor, DataType type) {
  const at::ScalarType held = scalar_type(type);
  if (const Float8* row = find_float8(type)) return to_float8(tensor, *row);
  const std::vector<int64_t> dims = tensor.sizes().vec();
  const bool packed = ir::bits_per_element(type) < 8;
  if (packed || (ir::is_integer(type) && tensor.is_floating_point()))
    return ir::Tensor::from_doubles(type, dims, doubles(tensor));
  if (type == DataType::kUint16)
    return narrowed<int32_t, uint16_t>(tensor, held);
  if (type == DataType::kUint32)
    return narrowed<int64_t, uint32_t>(tensor, held);
  const at::Tensor host = on_host(tensor, held);
  return ir::Tensor(
      type, dims,
      ir::Bytes::copy_of({static_cast<const std::byte*>(host.data_ptr()),
                          static_cast<size_t>(host.nbytes())}));
}

}  // namespace lathe::exec
