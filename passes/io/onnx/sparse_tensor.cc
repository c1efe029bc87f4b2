#include <onnx/onnx_pb.h>

#include <cstring>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/onnx/tensor_proto.h"

namespace lathe::io {
namespace {

// Row-major position of each stored value. Indices are [NNZ] (linear) or
// [NNZ, rank] (coordinates).
std::vector<uint64_t> positions(const ir::Tensor& indices, int64_t stored,
                                const std::vector<int64_t>& dims,
                                uint64_t count, const std::string& place) {
  auto rank = static_cast<int64_t>(dims.size());
  bool linear = indices.rank() == 1 && indices.dims()[0] == stored;
  bool coordinates = indices.rank() == 2 && indices.dims()[0] == stored &&
                     indices.dims()[1] == rank;
  if (indices.type() != ir::DataType::kInt64 || (!linear && !coordinates))
    throw_input(place, "has sparse indices that do not fit its values");
  auto numbers = indices.data<int64_t>();
  std::vector<uint64_t> found;
  found.reserve(static_cast<size_t>(stored));
  for (int64_t i = 0; i < stored; ++i) {
    uint64_t position = 0;
    bool inside = true;
    if (linear) {
      inside = numbers[i] >= 0;
      position = static_cast<uint64_t>(numbers[i]);
    } else {
      for (int64_t axis = 0; axis < rank; ++axis) {
        int64_t index = numbers[i * rank + axis];
        inside = inside && index >= 0 && index < dims[axis];
        position = position * static_cast<uint64_t>(dims[axis]) +
                   static_cast<uint64_t>(index);
      }
    }
    if (!inside || position >= count)
      throw_input(place, "has a sparse index outside its shape");
    found.push_back(position);
  }
  return found;
}

}  // namespace

ir::Tensor import_sparse_tensor(onnx::SparseTensorProto& proto,
                                const std::string& where,
                                const std::string& subject,
                                ExternalReader& external, uint64_t& budget) {
  std::string place = where + ": " + subject;
  ir::Tensor values =
      import_tensor(*proto.mutable_values(), where, subject, external);
  ir::Tensor indices = import_tensor(*proto.mutable_indices(), where,
                                     "the indices of " + subject, external);
  int bits = ir::bits_per_element(values.type());
  if (bits < 8)
    throw_unsupported(place, std::string("is a sparse tensor of type ") +
                                 ir::to_string(values.type()));
  std::vector<int64_t> dims(proto.dims().begin(), proto.dims().end());
  uint64_t count = ir::element_count(dims, place);
  uint64_t dense_bytes = ir::packed_bytes(values.type(), count);
  if (dense_bytes > budget)
    throw_unsupported(place, "takes " + format_bytes(dense_bytes) +
                                 " in dense form, more than the " +
                                 format_bytes(budget) +
                                 " that sparse tensors may still take");
  budget -= dense_bytes;
  auto size = static_cast<size_t>(bits / 8);
  std::vector<std::byte> dense(static_cast<size_t>(dense_bytes));
  auto at = positions(indices, values.size(), dims, count, place);
  for (size_t i = 0; i < at.size(); ++i)
    std::memcpy(dense.data() + at[i] * size, values.bytes().data() + i * size,
                size);
  ir::Tensor tensor(values.type(), std::move(dims),
                    ir::Bytes::own(std::move(dense)), place);
  tensor.name = values.name;
  return tensor;
}

}  // namespace lathe::io
