// For every operator of the executor: a graph whose gradients can be checked,
// or why there is none.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/base/random.h"

namespace lathe::test {

struct GradientRow {
  std::string op;  // as executable_operators() spells it
  // $n, $c, $h, $w stand for random sizes (2 to 4), $C for twice $c, $q for a
  // random 0 or 1.
  std::string body;
  int64_t opset = 17;
};
const std::vector<GradientRow>& gradient_rows();
// The body with sizes in it.
std::string with_sizes(std::string body, Random& random);

struct NoGradient {
  std::string_view op, reason;
};
std::span<const NoGradient> operators_without_gradient();

}  // namespace lathe::test
