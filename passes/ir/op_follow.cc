#include "passes/ir/op_follow.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::ir {
namespace {

bool is_value(const Element& x, int64_t value) {
  return x.is_int() && x.integer == value;
}

bool same_symbol(const Element& a, const Element& b) {
  return a.is_symbol() && b.is_symbol() && a.symbol == b.symbol;
}

Element whole(const std::string& op, int64_t a, int64_t b) {
  int64_t result = 0;
  if (op == "Add" || op == "Sum") {
    if (__builtin_add_overflow(a, b, &result)) return {};
  } else if (op == "Sub") {
    if (__builtin_sub_overflow(a, b, &result)) return {};
  } else if (op == "Mul") {
    if (__builtin_mul_overflow(a, b, &result)) return {};
  } else if (op == "Div" || op == "Mod") {
    if (b == 0 || (a == std::numeric_limits<int64_t>::min() && b == -1))
      return {};
    // Integer division cuts towards zero; Mod's sign follows the divisor.
    result = op == "Div" ? a / b : a % b;
    if (op == "Mod" && result != 0 && (result < 0) != (b < 0)) result += b;
  } else if (op == "Max") {
    result = std::max(a, b);
  } else if (op == "Min") {
    result = std::min(a, b);
  } else if (op == "BitwiseAnd") {
    result = a & b;
  } else if (op == "BitwiseOr") {
    result = a | b;
  } else if (op == "BitwiseXor") {
    result = a ^ b;
  } else {
    return {};
  }
  return Element::of(result);
}

Element real(const std::string& op, double a, double b) {
  if (op == "Add" || op == "Sum") return Element::of_real(a + b);
  if (op == "Sub") return Element::of_real(a - b);
  if (op == "Mul") return Element::of_real(a * b);
  if (op == "Div") return b == 0 ? Element() : Element::of_real(a / b);
  if (op == "Max") return Element::of_real(std::max(a, b));
  if (op == "Min") return Element::of_real(std::min(a, b));
  if (op == "Pow") return Element::of_real(std::pow(a, b));
  return {};
}

Element symbolic(const std::string& op, const Element& a, const Element& b) {
  auto is_number = [](const Element& x, double value) {
    return x.is_number() && x.number() == value;
  };
  if (op == "Add" || op == "Sum") {
    if (is_number(b, 0)) return a;
    if (is_number(a, 0)) return b;
  } else if (op == "Sub") {
    if (is_number(b, 0)) return a;
    if (same_symbol(a, b)) return Element::of(int64_t{0});
  } else if (op == "Mul") {
    if (is_number(b, 1)) return a;
    if (is_number(a, 1)) return b;
    if (is_value(a, 0) || is_value(b, 0)) return Element::of(int64_t{0});
  } else if (op == "Div") {
    if (is_number(b, 1)) return a;
  } else if (op == "Max" || op == "Min") {
    if (same_symbol(a, b)) return a;
    // A dimension is at least 0.
    if (op == "Max" && a.is_symbol() && b.is_int() && b.integer <= 0) return a;
    if (op == "Max" && b.is_symbol() && a.is_int() && a.integer <= 0) return b;
  }
  return {};
}

Element combine(const std::string& op, const Element& a, const Element& b) {
  if (a.is_int() && b.is_int()) return whole(op, a.integer, b.integer);
  if (a.is_number() && b.is_number()) return real(op, a.number(), b.number());
  return symbolic(op, a, b);
}

Element truth(bool value) { return Element::of(int64_t{value ? 1 : 0}); }

}  // namespace

Element follow_unary(const std::string& op, const std::vector<Element>& x) {
  const Element& a = x[0];
  // What rounding does to a whole number, and Abs to a dimension: nothing.
  if (a.is_symbol())
    return op == "Floor" || op == "Ceil" || op == "Round" || op == "Abs"
               ? a
               : Element();
  if (!a.is_number()) return {};
  if (op == "Not") return a.is_int() ? truth(a.integer == 0) : Element();
  if (a.is_int()) {
    if (a.integer == std::numeric_limits<int64_t>::min()) return {};
    if (op == "Neg") return Element::of(-a.integer);
    if (op == "Abs") return Element::of(std::abs(a.integer));
    if (op == "Sign")
      return Element::of(int64_t{(a.integer > 0) - (a.integer < 0)});
    return {};
  }
  if (op == "Neg") return Element::of_real(-a.real);
  if (op == "Abs") return Element::of_real(std::abs(a.real));
  if (op == "Floor") return Element::of_real(std::floor(a.real));
  if (op == "Ceil") return Element::of_real(std::ceil(a.real));
  if (op == "Round") return Element::of_real(std::nearbyint(a.real));
  if (op == "Sqrt" && a.real >= 0) return Element::of_real(std::sqrt(a.real));
  if (op == "Sign") return Element::of_real((a.real > 0) - (a.real < 0));
  return {};
}

Element follow_arithmetic(const std::string& op,
                          const std::vector<Element>& x) {
  if (op == "Mean" && x.size() > 1) return {};
  Element result = x[0];
  for (size_t i = 1; i < x.size(); ++i) result = combine(op, result, x[i]);
  return result;
}

Element follow_comparison(const std::string& op,
                          const std::vector<Element>& x) {
  const Element &a = x[0], &b = x[1];
  if (op == "And" || op == "Or") {
    // One operand can decide.
    int64_t deciding = op == "Or" ? 1 : 0;
    if (is_value(a, deciding) || is_value(b, deciding))
      return Element::of(deciding);
    if (a.is_int() && b.is_int()) return Element::of(1 - deciding);
    return {};
  }
  if (op == "Xor")
    return a.is_int() && b.is_int() ? truth(a.integer != b.integer) : Element();
  if (same_symbol(a, b))
    return truth(op == "Equal" || op == "GreaterOrEqual" ||
                 op == "LessOrEqual");
  // A dimension is never negative.
  if (op == "Equal" && ((a.is_symbol() && b.is_int() && b.integer < 0) ||
                        (b.is_symbol() && a.is_int() && a.integer < 0)))
    return truth(false);
  if (!a.is_number() || !b.is_number()) return {};
  auto decide = [&](auto left, auto right) {
    if (op == "Equal") return left == right;
    if (op == "Greater") return left > right;
    if (op == "GreaterOrEqual") return left >= right;
    if (op == "Less") return left < right;
    return left <= right;
  };
  return truth(a.is_int() && b.is_int() ? decide(a.integer, b.integer)
                                        : decide(a.number(), b.number()));
}

Element follow_where(const std::string&, const std::vector<Element>& x) {
  if (x[0].is_int()) return x[0].integer ? x[1] : x[2];
  if (same_symbol(x[1], x[2]) ||
      (x[1].is_int() && is_value(x[2], x[1].integer)))
    return x[1];
  return {};
}

FollowedValue follow_cast(const FollowedValue& value, DataType to) {
  FollowedValue result = value;
  for (Element& element : result.elements) {
    if (to == DataType::kBool) {
      element = element.is_number() ? truth(element.number() != 0) : Element();
    } else if (is_integer(to)) {
      if (element.kind != Element::Kind::kReal) continue;
      // Doubles beyond 2^62 do not fit; no dimension is that large.
      element = std::abs(element.real) < 0x1p62
                    ? Element::of(static_cast<int64_t>(element.real))
                    : Element();
    } else if (is_floating(to)) {
      if (!element.is_number()) continue;
      double number = element.number();
      element = Element::of_real(
          to == DataType::kDouble ? number : static_cast<float>(number));
    } else {
      element = Element();
    }
  }
  return result;
}

}  // namespace lathe::ir
