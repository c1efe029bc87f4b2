// Operators that keep the elements in order and change only the shape.
#include <algorithm>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {
namespace {

Tensors with_dims(const ir::Tensor& x, Dims dims) {
  for (int64_t dim : dims)
    if (dim < 0) throw NotFoldable("its target shape has a negative dimension");
  if (product(dims) != x.size())
    throw NotFoldable("its target shape has another number of elements");
  return {x.reshaped(std::move(dims))};
}

}  // namespace

Tensors run_identity(const KernelCall& call) { return {call.input(0)}; }

// 0 copies a dimension (unless allowzero), -1 takes what is left.
Tensors run_reshape(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  Dims dims = call.input(1).to_int64s();
  bool allow_zero = call.node.attr_int("allowzero", 0) != 0;
  int64_t known = 1, open = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (i >= x.dims().size())
        throw NotFoldable(
            "its target shape copies a dimension that its input "
            "does not have");
      dims[i] = x.dims()[i];
    }
    if (dims[i] < -1) throw NotFoldable("its target shape is negative");
    if (dims[i] == -1) {
      if (open >= 0) throw NotFoldable("its target shape has -1 twice");
      open = static_cast<int64_t>(i);
    } else if (dims[i] != 0 && known > INT64_MAX / dims[i]) {
      throw NotFoldable("its target shape has too many elements");
    } else {
      known *= dims[i];
    }
  }
  if (open >= 0) {
    if (known <= 0 || x.size() % known != 0)
      throw NotFoldable("its target shape does not divide its elements");
    dims[static_cast<size_t>(open)] = x.size() / known;
  }
  return with_dims(x, std::move(dims));
}

Tensors run_flatten(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  int64_t axis = call.node.attr_int("axis", 1);
  if (axis < -x.rank() || axis > x.rank())
    throw NotFoldable("axis " + std::to_string(axis) + " is outside rank " +
                      std::to_string(x.rank()));
  if (axis < 0) axis += x.rank();
  Dims front(x.dims().begin(), x.dims().begin() + axis);
  Dims back(x.dims().begin() + axis, x.dims().end());
  return with_dims(x, {product(front), product(back)});
}

Tensors run_squeeze(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  auto axes = call.ints("axes", 1);
  std::vector<bool> gone(x.dims().size());
  for (size_t d = 0; d < gone.size(); ++d) gone[d] = !axes && x.dims()[d] == 1;
  for (int64_t axis : axes.value_or(Dims{}))
    gone[static_cast<size_t>(call.axis(axis, x.rank()))] = true;
  Dims dims;
  for (size_t d = 0; d < gone.size(); ++d) {
    if (!gone[d]) dims.push_back(x.dims()[d]);
    if (gone[d] && x.dims()[d] != 1)
      throw NotFoldable("it squeezes a dimension of " +
                        std::to_string(x.dims()[d]));
  }
  return with_dims(x, std::move(dims));
}

Tensors run_unsqueeze(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  auto axes = call.ints("axes", 1);
  if (!axes) throw NotFoldable("its axes are missing");
  auto rank = x.rank() + static_cast<int64_t>(axes->size());
  std::vector<bool> added(static_cast<size_t>(rank), false);
  for (int64_t axis : *axes) {
    auto at = static_cast<size_t>(call.axis(axis, rank));
    if (added[at]) throw NotFoldable("it has an axis twice");
    added[at] = true;
  }
  Dims dims;
  auto next = x.dims().begin();
  for (bool one : added) dims.push_back(one ? 1 : *next++);
  return with_dims(x, std::move(dims));
}

}  // namespace lathe::rewrite
