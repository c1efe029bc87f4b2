// Operators of one input, and Cast.
#include <cmath>
#include <limits>
#include <type_traits>

#include "passes/rewrite/host_kernel_support.h"

namespace lathe::rewrite {
namespace {

// For float: the float overload, so that results are those of float code.
struct Unary {
  const char* op;
  float (*in_float)(float);
  double (*in_double)(double);
};

template <class T>
T sign_of(T x) {
  return static_cast<T>(x > 0 ? 1 : (x < 0 ? -1 : 0));
}

constexpr Unary kFloating[] = {
    {"Ceil", [](float x) { return std::ceil(x); },
     [](double x) { return std::ceil(x); }},
    {"Cos", [](float x) { return std::cos(x); },
     [](double x) { return std::cos(x); }},
    {"Exp", [](float x) { return std::exp(x); },
     [](double x) { return std::exp(x); }},
    {"Floor", [](float x) { return std::floor(x); },
     [](double x) { return std::floor(x); }},
    {"Log", [](float x) { return std::log(x); },
     [](double x) { return std::log(x); }},
    {"Reciprocal", [](float x) { return 1.0f / x; },
     [](double x) { return 1.0 / x; }},
    {"Round", [](float x) { return std::nearbyint(x); },  // half to even
     [](double x) { return std::nearbyint(x); }},
    {"Sin", [](float x) { return std::sin(x); },
     [](double x) { return std::sin(x); }},
    {"Sqrt", [](float x) { return std::sqrt(x); },
     [](double x) { return std::sqrt(x); }},
    {"Tanh", [](float x) { return std::tanh(x); },
     [](double x) { return std::tanh(x); }},
};

template <class T>
T negate(T x) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(0 - static_cast<uint64_t>(x));
  else
    return -x;
}

// Abs, Neg, Sign, Relu: defined for integers as well.
template <class T>
ir::Tensor signed_op(const KernelCall& call, const ir::Tensor& x) {
  const std::string& op = call.node.op_type;
  if (op == "Neg")
    return map_each<T, T>(call, x, [](T v) { return negate(v); });
  if (op == "Abs")
    return map_each<T, T>(call, x, [](T v) -> T {
      if constexpr (std::is_floating_point_v<T>) return std::abs(v);
      return v < T{0} ? negate(v) : v;
    });
  if (op == "Sign")
    return map_each<T, T>(call, x, [](T v) { return v != v ? v : sign_of(v); });
  if (op == "Relu")
    return map_each<T, T>(call, x, [](T v) { return v < T{0} ? T{0} : v; });
  throw NotFoldable(op + " is not defined for type " + ir::to_string(x.type()));
}

// The target's elements from double, int64_t or uint64_t ones.
template <class From>
ir::Tensor cast_elements(const KernelCall& call, const Dims& dims,
                         const std::vector<From>& values, ir::DataType to) {
  if (to == ir::DataType::kBool) {
    Writer out(call, to, dims);
    bool* y = out.data<bool>();
    for (From value : values) *y++ = value != From{0};
    return out.finish();
  }
  if (to == ir::DataType::kFloat16 || to == ir::DataType::kBfloat16) {
    Writer out(call, to, dims);
    uint16_t* y = out.data<uint16_t>();
    for (From value : values) {
      auto single = static_cast<float>(value);
      *y++ = to == ir::DataType::kFloat16 ? ir::float_to_half(single)
                                          : ir::float_to_bfloat16(single);
    }
    return out.finish();
  }
  return with_type(to, [&]<class T>() {
    Writer out(call, to, dims);
    T* y = out.data<T>();
    for (From value : values) {
      if constexpr (std::is_floating_point_v<From> && std::is_integral_v<T>) {
        // 2^bits is exact in double, the largest integer may not be.
        double low = static_cast<double>(std::numeric_limits<T>::min());
        double high = std::ldexp(1.0, std::numeric_limits<T>::digits);
        double whole = std::trunc(value);
        if (!(whole >= low && whole < high))
          throw NotFoldable("a number is outside the range of " +
                            std::string(ir::to_string(to)));
        *y++ = static_cast<T>(whole);
      } else {
        *y++ = static_cast<T>(value);
      }
    }
    return out.finish();
  });
}

}  // namespace

Tensors run_unary(const KernelCall& call) {
  if (auto done = run_in_float(call, run_unary)) return *done;
  const ir::Tensor& x = call.input(0);
  for (const Unary& row : kFloating) {
    if (call.node.op_type != row.op) continue;
    if (x.type() == ir::DataType::kFloat)
      return {map_each<float, float>(call, x, row.in_float)};
    if (x.type() == ir::DataType::kDouble)
      return {map_each<double, double>(call, x, row.in_double)};
    throw NotFoldable(call.node.op_type + " is not defined for type " +
                      ir::to_string(x.type()));
  }
  return {
      with_type(x.type(), [&]<class T>() { return signed_op<T>(call, x); })};
}

Tensors run_cast(const KernelCall& call) {
  const ir::Tensor& x = call.input(0);
  auto to = ir::data_type_from_number(call.node.attr_int("to", 0));
  if (!to) throw NotFoldable("its target type is not known");
  if (*to == x.type()) return {x};
  if (x.type() == ir::DataType::kUint64) {
    auto values = x.data<uint64_t>();
    return {cast_elements<uint64_t>(call, x.dims(),
                                    {values.begin(), values.end()}, *to)};
  }
  element_bytes(x);  // refuses strings and sub-byte types
  if (ir::is_integer(x.type()) || x.type() == ir::DataType::kBool)
    return {cast_elements<int64_t>(call, x.dims(), x.to_int64s(), *to)};
  switch (x.type()) {
    case ir::DataType::kFloat:
    case ir::DataType::kDouble:
    case ir::DataType::kFloat16:
    case ir::DataType::kBfloat16:
      return {cast_elements<double>(call, x.dims(), x.to_doubles(), *to)};
    default:
      throw NotFoldable(std::string("there is no host cast from type ") +
                        ir::to_string(x.type()));
  }
}

}  // namespace lathe::rewrite
