// What host kernels are made of: element types, strides and walks over them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "passes/rewrite/host_kernels.h"

namespace lathe::rewrite {

using Dims = std::vector<int64_t>;

// Bytes of one element. NotFoldable for strings and sub-byte types.
size_t element_bytes(const ir::Tensor& tensor);
Dims row_major_strides(const Dims& dims);
// NumPy's rule. NotFoldable when the shapes do not go together.
Dims broadcast_dims(const Dims& a, const Dims& b);
// Element strides of a tensor of `dims` seen as `out`: 0 along what repeats.
Dims broadcast_strides(const Dims& dims, const Dims& out);
int64_t product(const Dims& dims);

// Calls f(n, offsets) for n = 0, 1, … over an index space in row-major order;
// offsets[k] is the element offset that strides[k] give, from start[k].
template <size_t K, class F>
void walk(const Dims& dims, const std::array<Dims, K>& strides,
          std::array<int64_t, K> start, F&& f) {
  const int64_t count = product(dims);
  Dims index(dims.size(), 0);
  for (int64_t n = 0; n < count; ++n) {
    f(n, start);
    for (size_t d = dims.size(); d-- > 0;) {
      for (size_t k = 0; k < K; ++k) start[k] += strides[k][d];
      if (++index[d] < dims[d]) break;
      index[d] = 0;
      for (size_t k = 0; k < K; ++k) start[k] -= strides[k][d] * dims[d];
    }
  }
}

// A result being written: bytes that become a tensor.
class Writer {
 public:
  // NotFoldable when it would be too large.
  Writer(const KernelCall& call, ir::DataType type, Dims dims);
  template <class T>
  T* data() {
    return reinterpret_cast<T*>(bytes_.data());
  }
  std::byte* bytes() { return bytes_.data(); }
  size_t size_bytes() const { return bytes_.size(); }
  const Dims& dims() const { return dims_; }
  ir::Tensor finish();

 private:
  ir::DataType type_;
  Dims dims_;
  std::vector<std::byte> bytes_;
};

// The elements of `tensor` at the offsets that dims, strides and start give.
ir::Tensor strided_copy(const KernelCall& call, const ir::Tensor& tensor,
                        const Dims& dims, const Dims& strides, int64_t start);

// Calls f.operator()<T>() with the C++ type of an arithmetic element type.
// NotFoldable for the others (float16 goes through run_in_float).
template <class F>
auto with_type(ir::DataType type, F&& f) {
  switch (type) {
    case ir::DataType::kFloat:
      return f.template operator()<float>();
    case ir::DataType::kDouble:
      return f.template operator()<double>();
    case ir::DataType::kInt8:
      return f.template operator()<int8_t>();
    case ir::DataType::kInt16:
      return f.template operator()<int16_t>();
    case ir::DataType::kInt32:
      return f.template operator()<int32_t>();
    case ir::DataType::kInt64:
      return f.template operator()<int64_t>();
    case ir::DataType::kUint8:
      return f.template operator()<uint8_t>();
    case ir::DataType::kUint16:
      return f.template operator()<uint16_t>();
    case ir::DataType::kUint32:
      return f.template operator()<uint32_t>();
    case ir::DataType::kUint64:
      return f.template operator()<uint64_t>();
    default:
      throw NotFoldable(std::string("there is no host arithmetic for type ") +
                        ir::to_string(type));
  }
}

// y[i] = f(a[i], b[i]) with broadcasting; T the inputs' type, R the result's.
template <class T, class R, class F>
ir::Tensor map_pairs(const KernelCall& call, const ir::Tensor& a,
                     const ir::Tensor& b, F&& f) {
  Writer out(call, ir::DataTypeOf<R>::value,
             broadcast_dims(a.dims(), b.dims()));
  auto left = a.data<T>();
  auto right = b.data<T>();
  R* y = out.data<R>();
  walk<2>(out.dims(),
          {broadcast_strides(a.dims(), out.dims()),
           broadcast_strides(b.dims(), out.dims())},
          {0, 0}, [&](int64_t n, const std::array<int64_t, 2>& at) {
            y[n] = f(left[static_cast<size_t>(at[0])],
                     right[static_cast<size_t>(at[1])]);
          });
  return out.finish();
}

// y[i] = f(x[i]).
template <class T, class R, class F>
ir::Tensor map_each(const KernelCall& call, const ir::Tensor& x, F&& f) {
  Writer out(call, ir::DataTypeOf<R>::value, x.dims());
  R* y = out.data<R>();
  for (T value : x.data<T>()) *y++ = f(value);
  return out.finish();
}

// Both inputs of one element type; NotFoldable otherwise.
void require_same_type(const ir::Tensor& a, const ir::Tensor& b);

// float16 and bfloat16: inputs converted to float, the kernel run, its float
// results rounded back, as the runtime's CPU kernels do. nullopt when no input
// is of such a type.
std::optional<Tensors> run_in_float(const KernelCall& call, HostKernel kernel);

}  // namespace lathe::rewrite
