// Gather, GatherND and ScatterND.
#include <algorithm>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {
namespace {

int64_t checked_index(int64_t index, int64_t extent) {
  if (index < -extent || index >= extent)
    throw NotFoldable("index " + std::to_string(index) +
                      " is outside a dimension of " + std::to_string(extent));
  return index < 0 ? index + extent : index;
}

// The element offset that one index tuple gives into dims from `first` on.
int64_t tuple_offset(const int64_t* tuple, size_t length, const Dims& dims,
                     size_t first) {
  Dims strides = row_major_strides(dims);
  int64_t offset = 0;
  for (size_t i = 0; i < length; ++i)
    offset += checked_index(tuple[i], dims[first + i]) * strides[first + i];
  return offset;
}

}  // namespace

Tensors run_gather(const KernelCall& call) {
  const ir::Tensor &x = call.input(0), &indices = call.input(1);
  auto at = static_cast<ptrdiff_t>(
      call.axis(call.node.attr_int("axis", 0), x.rank()));
  if (!ir::is_integer(indices.type()))
    throw NotFoldable("its indices are not integers");
  Dims outer(x.dims().begin(), x.dims().begin() + at);
  Dims inner(x.dims().begin() + at + 1, x.dims().end());
  int64_t extent = x.dims()[static_cast<size_t>(at)];
  Dims dims = outer;
  dims.insert(dims.end(), indices.dims().begin(), indices.dims().end());
  dims.insert(dims.end(), inner.begin(), inner.end());
  auto chunk = static_cast<size_t>(product(inner)) * element_bytes(x);
  Writer out(call, x.type(), dims);
  std::vector<int64_t> wanted = indices.to_int64s();
  std::byte* to = out.bytes();
  for (int64_t row = 0, rows = product(outer); row < rows; ++row)
    for (int64_t index : wanted) {
      auto from =
          static_cast<size_t>(row * extent + checked_index(index, extent));
      if (chunk == 0) continue;
      std::memcpy(to, x.bytes().data() + from * chunk, chunk);
      to += chunk;
    }
  return {out.finish()};
}

Tensors run_gather_nd(const KernelCall& call) {
  const ir::Tensor &x = call.input(0), &indices = call.input(1);
  int64_t batch = call.node.attr_int("batch_dims", 0);
  if (indices.type() != ir::DataType::kInt64 || indices.rank() < 1 ||
      batch < 0 || batch >= indices.rank() || batch >= x.rank())
    throw NotFoldable("its indices do not fit its input");
  auto first = static_cast<size_t>(batch);
  int64_t length = indices.dims().back();
  if (length < 0 || batch + length > x.rank() ||
      !std::equal(x.dims().begin(), x.dims().begin() + batch,
                  indices.dims().begin()))
    throw NotFoldable("its indices do not fit its input");
  Dims inner(x.dims().begin() + batch + length, x.dims().end());
  Dims dims(indices.dims().begin(), indices.dims().end() - 1);
  int64_t tuples = product(dims);
  int64_t batches = product(Dims(dims.begin(), dims.begin() + batch));
  dims.insert(dims.end(), inner.begin(), inner.end());
  auto width = element_bytes(x);
  auto chunk = static_cast<size_t>(product(inner)) * width;
  Writer out(call, x.type(), dims);
  if (batches == 0 || tuples == 0 || chunk == 0) return {out.finish()};
  int64_t batch_size = x.size() / batches, each = tuples / batches;
  auto values = indices.data<int64_t>();
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t from = t / each * batch_size +
                   tuple_offset(values.data() + t * length,
                                static_cast<size_t>(length), x.dims(), first);
    std::memcpy(out.bytes() + static_cast<size_t>(t) * chunk,
                x.bytes().data() + static_cast<size_t>(from) * width, chunk);
  }
  return {out.finish()};
}

Tensors run_scatter_nd(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  const ir::Tensor &indices = call.input(1), &updates = call.input(2);
  if (call.node.attr_string("reduction", "none") != "none")
    throw NotFoldable("only ScatterND without reduction folds");
  require_same_type(x, updates);
  if (indices.type() != ir::DataType::kInt64 || indices.rank() < 1 ||
      indices.dims().back() > x.rank())
    throw NotFoldable("its indices do not fit its input");
  int64_t length = indices.dims().back();
  Dims inner(x.dims().begin() + length, x.dims().end());
  Dims expected(indices.dims().begin(), indices.dims().end() - 1);
  int64_t tuples = product(expected);
  expected.insert(expected.end(), inner.begin(), inner.end());
  if (updates.dims() != expected)
    throw NotFoldable("its updates do not fit its indices");
  auto width = element_bytes(x);
  auto chunk = static_cast<size_t>(product(inner)) * width;
  Writer out(call, x.type(), x.dims());
  if (x.size() > 0)
    std::memcpy(out.bytes(), x.bytes().data(), out.size_bytes());
  auto values = indices.data<int64_t>();
  for (int64_t t = 0; t < tuples && chunk > 0; ++t) {
    int64_t to = tuple_offset(values.data() + t * length,
                              static_cast<size_t>(length), x.dims(), 0);
    std::memcpy(out.bytes() + static_cast<size_t>(to) * width,
                updates.bytes().data() + static_cast<size_t>(t) * chunk, chunk);
  }
  return {out.finish()};
}

}  // namespace lathe::rewrite
