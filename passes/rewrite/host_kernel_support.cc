#include "passes/rewrite/host_kernel_support.h"

#include <algorithm>

namespace lathe::rewrite {
namespace {

bool is_half(ir::DataType type) {
  return type == ir::DataType::kFloat16 || type == ir::DataType::kBfloat16;
}

std::string text(const Dims& dims) {
  return "[" + ir::to_string(ir::to_shape(dims)) + "]";
}

}  // namespace

size_t element_bytes(const ir::Tensor& tensor) {
  int bits = ir::bits_per_element(tensor.type());
  if (bits == 0 || bits % 8 != 0)
    throw NotFoldable(std::string("elements of type ") +
                      ir::to_string(tensor.type()) +
                      " are not moved on the host");
  return static_cast<size_t>(bits / 8);
}

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

Dims broadcast_dims(const Dims& a, const Dims& b) {
  Dims out(std::max(a.size(), b.size()));
  for (size_t i = 1; i <= out.size(); ++i) {
    int64_t left = i <= a.size() ? a[a.size() - i] : 1;
    int64_t right = i <= b.size() ? b[b.size() - i] : 1;
    if (left != right && left != 1 && right != 1)
      throw NotFoldable("shapes " + text(a) + " and " + text(b) +
                        " do not broadcast");
    out[out.size() - i] = left == 1 ? right : left;
  }
  return out;
}

Dims broadcast_strides(const Dims& dims, const Dims& out) {
  Dims own = row_major_strides(dims), strides(out.size(), 0);
  for (size_t i = 1; i <= dims.size(); ++i)
    if (dims[dims.size() - i] != 1)
      strides[out.size() - i] = own[dims.size() - i];
  return strides;
}

int64_t product(const Dims& dims) {
  int64_t count = 1;
  for (int64_t dim : dims) count *= dim;
  return count;
}

Writer::Writer(const KernelCall& call, ir::DataType type, Dims dims)
    : type_(type), dims_(std::move(dims)) {
  call.require_size(type_, dims_);
  bytes_.resize(ir::packed_bytes(type_, static_cast<uint64_t>(product(dims_))));
}

ir::Tensor Writer::finish() {
  return ir::Tensor(type_, dims_, ir::Bytes::own(std::move(bytes_)));
}

ir::Tensor strided_copy(const KernelCall& call, const ir::Tensor& tensor,
                        const Dims& dims, const Dims& strides, int64_t start) {
  const size_t width = element_bytes(tensor);
  Writer out(call, tensor.type(), dims);
  const std::byte* from = tensor.bytes().data();
  std::byte* to = out.bytes();
  walk<1>(dims, {strides}, {start},
          [&](int64_t n, const std::array<int64_t, 1>& at) {
            std::memcpy(to + static_cast<size_t>(n) * width,
                        from + static_cast<size_t>(at[0]) * width, width);
          });
  return out.finish();
}

void require_same_type(const ir::Tensor& a, const ir::Tensor& b) {
  if (a.type() != b.type())
    throw NotFoldable(std::string("its inputs differ in type (") +
                      ir::to_string(a.type()) + " and " +
                      ir::to_string(b.type()) + ")");
}

std::optional<Tensors> run_in_float(const KernelCall& call, HostKernel kernel) {
  ir::DataType half = ir::DataType::kUndefined;
  std::vector<ir::Tensor> converted(call.input_count());
  std::vector<const ir::Tensor*> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) {
    const ir::Tensor* tensor = call.optional_input(i);
    if (tensor && is_half(tensor->type())) {
      half = tensor->type();
      converted[i] =
          ir::Tensor::from<float>(tensor->dims(), tensor->to_floats());
      tensor = &converted[i];
    }
    inputs.push_back(tensor);
  }
  if (half == ir::DataType::kUndefined) return std::nullopt;
  Tensors results = kernel(call.with_inputs(std::move(inputs)));
  for (ir::Tensor& result : results)
    if (result.type() == ir::DataType::kFloat)
      result =
          ir::Tensor::from_doubles(half, result.dims(), result.to_doubles());
  return results;
}

}  // namespace lathe::rewrite
