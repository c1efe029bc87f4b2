#include "passes/distill/training_units.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include <cmath>

#include "tests/passes/distill/parsed_graph.h"

namespace lathe::distill::test {
namespace {

const double kRoot = std::sqrt(2.0);

void check_unit(const at::Tensor& unit, const std::vector<int64_t>& shape,
                const std::vector<double>& expected) {
  CAPTURE(unit);
  REQUIRE(unit.sizes() == at::IntArrayRef(shape));
  CHECK(at::allclose(unit.flatten().to(at::kDouble),
                     at::tensor(expected, at::kDouble)));
}

TEST_CASE("training_units: filters of products, along their axis of outputs") {
  const ir::Model model = lathe::test::parsed_graph(R"(
    input %x: float[N,2,1,2]
    init %w = float[3,2,1,1] {3, 4, 0, 0, 0.6, 0.8} init %b = float[3] {9, 9, 9}
    init %t = float[3,2,1,1] {3, 0, 4, 0, 0, 2}
    init %g = float[2,4] {1, 1, 1, 1, 2, 2, 2, 2} init %m = float[2,1] {6, 8}
    init %s = int64[2] {-1, 4}
    %c = Conv(%x, %w, %b) %d = ConvTranspose(%c, %t) %f = Reshape(%d, %s)
    %h = Gemm(%f, %g) {transB = 1} %y = MatMul(%h, %m) output %y)");
  const auto units = training_units(TrainingTwin(model));
  REQUIRE(units.size() == 4);
  // The filter of zeros has the mean of the others.
  check_unit(units.at("w"), {3, 1, 1, 1}, {5 / kRoot, 3 / kRoot, 1 / kRoot});
  check_unit(units.at("t"), {1, 2, 1, 1}, {5 / kRoot, 2 / kRoot});
  check_unit(units.at("g"), {2, 1}, {2 / kRoot, 4 / kRoot});
  check_unit(units.at("m"), {1, 1}, {10 / kRoot});
}

TEST_CASE("training_units: steps of quantizers") {
  const char* text = R"(
    input %x: float[1,1,2,2]
    init %xs = float[] {0.1} init %xz = uint8[] {10}
    init %w8 = int8[2,1,1,2] {30, 40, 60, -80}
    init %ws = float[$] {0.01, 0.02} init %wz = int8[$] {0, 0}
    init %ys = float[] {0.2} init %yz = uint8[] {0}
    %q = QuantizeLinear(%x, %xs, %xz) %d = DequantizeLinear(%q, %xs, %xz)
    %w = DequantizeLinear(%w8, %ws, %wz) {axis = 0}
    %c = Conv(%d, %w) %r = Relu(%c)
    %yq = QuantizeLinear(%r, %ys, %yz) %y = DequantizeLinear(%yq, %ys, %yz)
    output %y)";
  std::string each = text, one = text;
  for (size_t at = each.find('$'); at != std::string::npos; at = each.find('$'))
    each.replace(at, 1, "2");
  for (const char* more : {", 0.02}", ", 0}"}) {
    const size_t at = one.find(more);
    one.replace(at, std::string(more).size(), "}");
  }
  for (size_t at = one.find("[$]"); at != std::string::npos;
       at = one.find("[$]"))
    one.replace(at, 3, "[]");

  auto units = training_units(TrainingTwin(lathe::test::parsed_graph(each)));
  check_unit(units.at("w8_float"), {2, 1, 1, 1}, {0.5 / kRoot, 2 / kRoot});
  check_unit(units.at("ws"), {2}, {0.5 / kRoot, 2 / kRoot});
  // 245 codes above the zero point, and 255.
  check_unit(units.at("xs"), {}, {0.1 * std::sqrt(245.0) / 2});
  check_unit(units.at("ys"), {}, {0.2 * std::sqrt(255.0) / 2});
  CHECK(units.size() == 4);

  units = training_units(TrainingTwin(lathe::test::parsed_graph(one)));
  check_unit(units.at("ws"), {}, {0.75 / kRoot});
}

}  // namespace
}  // namespace lathe::distill::test
