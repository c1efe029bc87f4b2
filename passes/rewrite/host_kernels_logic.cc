// Comparisons, bool arithmetic and Where.
#include <functional>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {
namespace {

template <class Op>
Tensors compare(const KernelCall& call) {
  if (auto done = run_in_float(call, compare<Op>)) return *done;
  const ir::Tensor &a = call.input(0), &b = call.input(1);
  require_same_type(a, b);
  if (a.type() == ir::DataType::kBool)
    return {map_pairs<bool, bool>(call, a, b, Op{})};
  return {with_type(a.type(), [&]<class T>() {
    return map_pairs<T, bool>(call, a, b, Op{});
  })};
}

template <class Op>
Tensors logic(const KernelCall& call) {
  const ir::Tensor &a = call.input(0), &b = call.input(1);
  if (a.type() != ir::DataType::kBool || b.type() != ir::DataType::kBool)
    throw NotFoldable("its inputs are not bool");
  return {map_pairs<bool, bool>(call, a, b, Op{})};
}

}  // namespace

Tensors run_equal(const KernelCall& call) {
  return compare<std::equal_to<>>(call);
}
Tensors run_less(const KernelCall& call) { return compare<std::less<>>(call); }
Tensors run_less_or_equal(const KernelCall& call) {
  return compare<std::less_equal<>>(call);
}
Tensors run_greater(const KernelCall& call) {
  return compare<std::greater<>>(call);
}
Tensors run_greater_or_equal(const KernelCall& call) {
  return compare<std::greater_equal<>>(call);
}
Tensors run_and(const KernelCall& call) {
  return logic<std::logical_and<>>(call);
}
Tensors run_or(const KernelCall& call) {
  return logic<std::logical_or<>>(call);
}
Tensors run_xor(const KernelCall& call) {
  return logic<std::not_equal_to<>>(call);
}

Tensors run_not(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  if (x.type() != ir::DataType::kBool)
    throw NotFoldable("its input is not bool");
  return {map_each<bool, bool>(call, x, [](bool value) { return !value; })};
}

Tensors run_where(const KernelCall& call) {
  const ir::Tensor& condition = call.input(0);
  const ir::Tensor &yes = call.input(1), &no = call.input(2);
  require_same_type(yes, no);
  if (condition.type() != ir::DataType::kBool)
    throw NotFoldable("its condition is not bool");
  Dims dims =
      broadcast_dims(broadcast_dims(condition.dims(), yes.dims()), no.dims());
  const size_t width = element_bytes(yes);
  Writer out(call, yes.type(), dims);
  auto choose = condition.data<bool>();
  walk<3>(
      dims,
      {broadcast_strides(condition.dims(), dims),
       broadcast_strides(yes.dims(), dims), broadcast_strides(no.dims(), dims)},
      {0, 0, 0}, [&](int64_t n, const std::array<int64_t, 3>& at) {
        bool first = choose[static_cast<size_t>(at[0])];
        const ir::Tensor& from = first ? yes : no;
        std::memcpy(out.bytes() + static_cast<size_t>(n) * width,
                    from.bytes().data() +
                        static_cast<size_t>(first ? at[1] : at[2]) * width,
                    width);
      });
  return {out.finish()};
}

}  // namespace lathe::rewrite
