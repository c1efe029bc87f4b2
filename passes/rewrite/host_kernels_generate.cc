// Range and ConstantOfShape.
#include <cmath>
#include <type_traits>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {

// max(ceil((limit - start) / delta), 0) elements from start on. Each adds
// delta to the one before, as the runtime does.
Tensors run_range(const KernelCall& call) {
  const ir::Tensor& start = call.input(0);
  const ir::Tensor &limit = call.input(1), &delta = call.input(2);
  require_same_type(start, limit);
  require_same_type(start, delta);
  if (start.size() != 1 || limit.size() != 1 || delta.size() != 1)
    throw NotFoldable("start, limit and delta are not scalars");
  return {with_type(start.type(), [&]<class T>() {
    T value = start.data<T>()[0], end = limit.data<T>()[0];
    T step = delta.data<T>()[0];
    double count =
        std::ceil((static_cast<double>(end) - static_cast<double>(value)) /
                  static_cast<double>(step));
    if (step == T{0} || !(count < 1e15))
      throw NotFoldable("its number of elements is not finite");
    Dims dims{count > 0 ? static_cast<int64_t>(count) : 0};
    Writer out(call, start.type(), dims);
    T* y = out.data<T>();
    for (int64_t i = 0; i < dims[0]; ++i) {
      y[i] = value;
      if constexpr (std::is_integral_v<T>)
        value = static_cast<T>(static_cast<uint64_t>(value) +
                               static_cast<uint64_t>(step));
      else
        value += step;
    }
    return out.finish();
  })};
}

Tensors run_constant_of_shape(const KernelCall& call) {
  ir::Tensor fill = ir::Tensor::from<float>({1}, std::vector<float>{0});
  if (const ir::Tensor* value = call.node.attr_tensor("value")) fill = *value;
  if (fill.size() != 1) throw NotFoldable("its value is not one element");
  const size_t width = element_bytes(fill);
  Writer out(call, fill.type(), call.input(0).to_int64s());
  for (size_t at = 0; at < out.size_bytes(); at += width)
    std::memcpy(out.bytes() + at, fill.bytes().data(), width);
  return {out.finish()};
}

}  // namespace lathe::rewrite
