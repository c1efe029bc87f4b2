// Add, Sub, Mul, Div, Mod, Pow, and the variadic Min, Max, Sum. Floats in the
// precision of their type; integers wrap, and division truncates, as in the
// runtime. Division of integers by zero does not fold.
#include <cmath>
#include <limits>
#include <type_traits>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {
namespace {

// T op T without undefined overflow.
template <class T, class F>
T wrapping(T a, T b, F f) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(
        f(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
  else
    return f(a, b);
}

template <class T>
void check_division(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) throw NotFoldable("it divides an integer by zero");
    if constexpr (std::is_signed_v<T>)
      if (b == -1 && a == std::numeric_limits<T>::min())
        throw NotFoldable("an integer division overflows");
  }
}

struct AddOp {
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x + y; });
  }
};
struct SubOp {
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x - y; });
  }
};
struct MulOp {
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x * y; });
  }
};
struct DivOp {
  template <class T>
  T operator()(T a, T b) const {
    check_division(a, b);
    return static_cast<T>(a / b);
  }
};
// The divisor's sign, as Python's %.
struct ModOp {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      check_division(a, b);
      T rest = static_cast<T>(a % b);
      if constexpr (std::is_signed_v<T>)
        if (rest != 0 && ((rest < 0) != (b < 0)))
          rest = static_cast<T>(rest + b);
      return rest;
    } else {
      throw NotFoldable("Mod of floats is only defined with fmod=1");
    }
  }
};
// The dividend's sign, as C's fmod.
struct FmodOp {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      check_division(a, b);
      return static_cast<T>(a % b);
    } else {
      return std::fmod(a, b);
    }
  }
};
// NaN wins, as in the runtime.
struct MinOp {
  template <class T>
  T operator()(T a, T b) const {
    return a != a || a < b ? a : b;
  }
};
struct MaxOp {
  template <class T>
  T operator()(T a, T b) const {
    return a != a || a > b ? a : b;
  }
};

template <class Op>
ir::Tensor pair(const KernelCall& call, const ir::Tensor& a,
                const ir::Tensor& b) {
  require_same_type(a, b);
  return with_type(
      a.type(), [&]<class T>() { return map_pairs<T, T>(call, a, b, Op{}); });
}

template <class Op>
Tensors binary(const KernelCall& call) {
  if (auto done = run_in_float(call, binary<Op>)) return *done;
  return {pair<Op>(call, call.input(0), call.input(1))};
}

template <class Op>
Tensors variadic(const KernelCall& call) {
  if (auto done = run_in_float(call, variadic<Op>)) return *done;
  ir::Tensor total = call.input(0);
  for (size_t i = 1; i < call.input_count(); ++i)
    total = pair<Op>(call, total, call.input(i));
  return {total};
}

// The exponent may be of another type; the result has the base's.
template <class T>
T power(T base, double exponent, float float_exponent) {
  if constexpr (std::is_same_v<T, float>) {
    if (exponent == 2) return base * base;
    if (exponent == 3) return base * base * base;
    return std::pow(base, float_exponent);
  } else if constexpr (std::is_same_v<T, double>) {
    return std::pow(base, exponent);
  } else {
    double value = std::pow(static_cast<double>(base), exponent);
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (!(std::abs(value) <= kExact) ||
        value < static_cast<double>(std::numeric_limits<T>::min()) ||
        value > static_cast<double>(std::numeric_limits<T>::max()))
      throw NotFoldable("a power does not fit its integer type");
    return static_cast<T>(value);
  }
}

}  // namespace

Tensors run_add(const KernelCall& call) { return binary<AddOp>(call); }
Tensors run_sub(const KernelCall& call) { return binary<SubOp>(call); }
Tensors run_mul(const KernelCall& call) { return binary<MulOp>(call); }
Tensors run_div(const KernelCall& call) { return binary<DivOp>(call); }
Tensors run_min(const KernelCall& call) { return variadic<MinOp>(call); }
Tensors run_max(const KernelCall& call) { return variadic<MaxOp>(call); }
Tensors run_sum(const KernelCall& call) { return variadic<AddOp>(call); }

Tensors run_mod(const KernelCall& call) {
  return call.node.attr_int("fmod", 0) != 0 ? binary<FmodOp>(call)
                                            : binary<ModOp>(call);
}

Tensors run_pow(const KernelCall& call) {
  const ir::Tensor &base = call.input(0), &exponent = call.input(1);
  if (base.type() == ir::DataType::kFloat16 ||
      base.type() == ir::DataType::kBfloat16)
    return *run_in_float(call, run_pow);
  ir::Tensor wide =
      ir::Tensor::from<double>(exponent.dims(), exponent.to_doubles());
  return {with_type(base.type(), [&]<class T>() {
    Writer out(call, base.type(), broadcast_dims(base.dims(), wide.dims()));
    auto left = base.data<T>();
    auto right = wide.data<double>();
    T* y = out.data<T>();
    walk<2>(out.dims(),
            {broadcast_strides(base.dims(), out.dims()),
             broadcast_strides(wide.dims(), out.dims())},
            {0, 0}, [&](int64_t n, const std::array<int64_t, 2>& at) {
              double e = right[static_cast<size_t>(at[1])];
              y[n] = power(left[static_cast<size_t>(at[0])], e,
                           static_cast<float>(e));
            });
    return out.finish();
  })};
}

}  // namespace lathe::rewrite
