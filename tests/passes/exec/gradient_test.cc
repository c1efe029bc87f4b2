// Every operator's gradient beside finite differences, on random shapes.
#include <algorithm>
#include <set>

#include "passes/exec/operator_kernel.h"
#include "tests/passes/exec/exec_fixtures.h"
#include "tests/passes/exec/gradient_rows.h"

namespace lathe::test {
namespace {

TEST_CASE("gradients of every operator on random shapes") {
  for (const GradientRow& row : gradient_rows())
    for (uint64_t seed : {1, 2, 3}) {
      Random random(seed);
      CAPTURE(row.op);
      CAPTURE(seed);
      gradients_agree(with_sizes(row.body, random),
                      {.opset = row.opset, .tolerance = 1e-5, .seed = seed});
    }
}

TEST_CASE("no operator's gradient is forgotten") {
  std::set<std::string> checked;
  for (const GradientRow& row : gradient_rows()) {
    CAPTURE(row.op);
    // It stands in its own graph, and once in the table.
    CHECK(row.body.find(" = " + row.op + "(") != std::string::npos);
    CHECK(checked.insert(row.op).second);
  }
  for (const NoGradient& row : operators_without_gradient()) {
    CAPTURE(row.op);
    CHECK(!row.reason.empty());
    CHECK(checked.insert(std::string(row.op)).second);
  }
  const std::vector<std::string> operators = exec::executable_operators();
  for (const std::string& op : operators) {
    CAPTURE(op);
    CHECK(checked.contains(op));
  }
  CHECK(checked.size() == operators.size());
}

}  // namespace
}  // namespace lathe::test
