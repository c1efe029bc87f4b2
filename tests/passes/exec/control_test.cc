// If, Loop and Scan beside the runtime, and gradients through their bodies.
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

const char* const kIf =
    "input %c: bool[] input %x: float[2,3] "
    "%y = If(%c) {then_branch = graph t { %a = Add(%x, %x) output %a }, "
    "else_branch = graph e { %b = Mul(%x, %x) output %b }} output %y";

TEST_CASE("exec If") {
  same_as_runtime(kIf);  // the random condition is true
  const at::Tensor x = at::rand({2, 3});
  const auto options = at::TensorOptions(at::kBool);
  CHECK(at::equal(run_program(kIf, {at::ones({}, options), x})[0], x + x));
  CHECK(at::equal(run_program(kIf, {at::zeros({}, options), x})[0], x * x));
}

// A carried value and a scanned one; `next` computes %go.
std::string loop(const std::string& inits, const std::string& inputs,
                 const std::string& next, const std::string& type = "float") {
  return "input %x: " + type + "[2,3] input %w: " + type + "[2,3] " + inits +
         " %s, %ys = Loop(" + inputs +
         ", %x) {body = graph b { input %i: int64[] input %c: bool[] input "
         "%a: " +
         type + "[2,3] %m = Mul(%a, %w) %n = Add(%m, %x) %o = Identity(%m) " +
         next + " output %go output %n output %o }} output %s output %ys";
}

TEST_CASE("exec Loop: count and condition") {
  const std::string same = "%go = Identity(%c)";
  const std::string stop = "%go = Less(%i, %two)";
  const std::string yes = "init %yes = bool[] {1} ";
  const std::string two = "init %two = int64[] {2} ";
  same_as_runtime(loop(yes + "init %k = int64[] {4}", "%k, %yes", same));
  same_as_runtime(loop(yes + two + "init %k = int64[] {10}", "%k, %yes", stop));
  same_as_runtime(loop(yes + two, "_, %yes", stop));
  same_as_runtime(loop(two + "init %k = int64[] {3}", "%k, _", stop));
}

TEST_CASE("exec Loop: no iteration") {
  const std::string same = "%go = Identity(%c)";
  same_as_runtime(
      loop("init %yes = bool[] {1} init %k = int64[] {0}", "%k, %yes", same));
  same_as_runtime(
      loop("init %no = bool[] {0} init %k = int64[] {3}", "%k, %no", same));
}

TEST_CASE("exec Loop: the iteration number") {
  const auto out = run_program(
      "input %k: int64[] %ys = Loop(%k, _) {body = graph b { input %i: int64[] "
      "input %c: bool[] %o = Mul(%i, %i) %go = Identity(%c) "
      "output %go output %o }} output %ys",
      {at::full({}, 4, at::kLong)});
  const int64_t squares[] = {0, 1, 4, 9};
  REQUIRE(out[0].sizes() == at::IntArrayRef({4}));
  for (int64_t i = 0; i < 4; ++i)
    CHECK(out[0][i].item<int64_t>() == squares[i]);
}

std::string scan(const std::string& x, const std::string& attributes,
                 const std::string& type = "float") {
  return "input %s0: " + type + "[3] input %x: " + type + "[" + x +
         "] %s, %ys = Scan(%s0, %x) {num_scan_inputs = 1" + attributes +
         ", body = graph b { input %a: " + type + "[3] input %b: " + type +
         "[3] %c = Add(%a, %b) %d = Mul(%c, %b) output %c output %d }} "
         "output %s output %ys";
}

TEST_CASE("exec Scan: axes and directions") {
  same_as_runtime(scan("4,3", ""));
  same_as_runtime(scan("4,3", ", scan_input_directions = [1]"));
  same_as_runtime(scan("4,3", ", scan_output_directions = [1]"));
  same_as_runtime(scan("3,4", ", scan_input_axes = [1]"));
  same_as_runtime(scan("3,4",
                       ", scan_input_axes = [-1], scan_output_axes = [-1], "
                       "scan_input_directions = [1], "
                       "scan_output_directions = [1]"));
}

TEST_CASE("exec control flow: gradients") {
  gradients_agree(loop("init %yes = bool[] {1} init %k = int64[] {3}",
                       "%k, %yes", "%go = Identity(%c)", "double"));
  gradients_agree(scan("4,3", "", "double"));
  gradients_agree(
      "init %c = bool[] {1} input %x: double[2,3] "
      "%y = If(%c) {then_branch = graph t { %a = Mul(%x, %x) output %a }, "
      "else_branch = graph e { %b = Identity(%x) output %b }} output %y");
}

}  // namespace
}  // namespace lathe::test
