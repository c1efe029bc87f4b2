#include <limits>

#include "tests/passes/io/torch/aten/aten_fixture.h"

namespace lathe::test {
namespace {

using Nodes = std::vector<std::string>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

at::Tensor counting(at::ScalarType type = at::kFloat) {
  return at::arange(-3, 5).view({2, 4}).to(type);
}

at::Tensor odd(at::ScalarType type = at::kFloat) {
  return at::tensor({kNaN, kInf, -kInf, 0.0, 1.5, -2.0}, type).view({2, 3});
}

at::Tensor bools() {
  return at::tensor({1, 0, 0, 1}).view({2, 2}).to(at::kBool);
}

TEST_CASE("aten: comparisons promote types") {
  const at::Tensor row = at::tensor({-3.0f, 0.5f, -1.0f, 4.0f});
  for (const std::string op :
       {"aten::eq", "aten::ne", "aten::lt", "aten::le", "aten::gt", "aten::ge",
        "aten::not_equal", "aten::less", "aten::less_equal", "aten::greater",
        "aten::greater_equal"}) {
    same_as_torch(op + ".Tensor", {counting(), row});
    same_as_torch(op + ".Tensor", {counting(at::kLong), row});
    same_as_torch(op + ".Tensor", {counting(at::kDouble), row});
    same_as_torch(op + ".Tensor", {counting(at::kInt), counting(at::kLong)});
    same_as_torch(op + ".Tensor", {counting(at::kChar), counting(at::kShort)});
    same_as_torch(op + ".Tensor", {bools(), bools().logical_not()});
    same_as_torch(op + ".Scalar", {counting(), 0});
    same_as_torch(op + ".Scalar", {counting(at::kLong), -1});
    same_as_torch(op + ".Scalar", {counting(at::kLong), -0.5});
    same_as_torch(op + ".Scalar", {bools(), true});
    same_as_torch(op + ".Scalar", {odd(), 0});
  }
  CHECK(emitted_nodes("aten::ge.Scalar", {counting(), 0}) ==
        Nodes{"GreaterOrEqual"});
  CHECK(emitted_nodes("aten::ne.Scalar", {counting(), 0}) ==
        Nodes{"Equal", "Not"});
  CHECK(emit_error("aten::equal", {counting(), row}) ==
        "test: aten::equal: it compares whole tensors to one Python bool "
        "(decide before the export, or compare with torch.eq)");
}

TEST_CASE("aten: logic on any type") {
  for (const char* op :
       {"aten::logical_and", "aten::logical_or", "aten::logical_xor"}) {
    same_as_torch(op, {bools(), bools().t()});
    same_as_torch(op, {counting(), counting(at::kLong) % 2});
  }
  for (auto type : {at::kBool, at::kFloat, at::kDouble, at::kLong, at::kByte})
    same_as_torch("aten::logical_not", {counting(type)});
  CHECK(emitted_nodes("aten::logical_and", {bools(), bools()}) == Nodes{"And"});
}

TEST_CASE("aten: kinds of numbers") {
  for (const char* op : {"aten::isnan", "aten::isinf", "aten::isfinite",
                         "aten::isposinf", "aten::isneginf"}) {
    same_as_torch(op, {odd()});
    same_as_torch(op, {odd(at::kDouble)});
    same_as_torch(op, {counting(at::kLong)});
  }
  CHECK(emitted_nodes("aten::isnan", {odd()}) == Nodes{"IsNaN"});
  CHECK(emitted_nodes("aten::isfinite", {odd()}) == Nodes{"Abs", "Less"});
}

TEST_CASE("aten: isclose") {
  const at::Tensor a = at::tensor({1.0, 1.0, kInf, kNaN, -kInf, 100.0});
  const at::Tensor b = at::tensor({1.000001, 1.1, kInf, kNaN, kInf, 101.0});
  for (auto type : {at::kFloat, at::kDouble}) {
    same_as_torch("aten::isclose", {a.to(type), b.to(type)});
    same_as_torch("aten::isclose", {a.to(type), b.to(type), 0.02, 0.0, true});
    same_as_torch("aten::isclose", {a.to(type), b.to(type), 0.0, 0.2});
  }
  same_as_torch(
      "aten::isclose",
      {counting(at::kLong), counting(at::kLong).t().reshape({2, 4}), 0.0, 1.5});
}

TEST_CASE("aten: where chooses with promoted types") {
  const at::Tensor mask = counting() > 0;
  same_as_torch("aten::where.self", {mask, counting(), odd().sum()});
  same_as_torch("aten::where.self",
                {mask, counting(), at::ones({3, 1, 4}, at::kDouble)});
  for (auto type :
       {at::kLong, at::kInt, at::kShort, at::kByte, at::kBool, at::kDouble})
    same_as_torch("aten::where.self",
                  {mask, counting(type), counting(type).flip(0)});
  same_as_torch("aten::where.self",
                {mask.to(at::kByte), counting(at::kLong), counting()});
  same_as_torch("aten::where.ScalarSelf", {mask, 2, counting()});
  same_as_torch("aten::where.ScalarOther", {mask, counting(), 0.5});
  same_as_torch("aten::where.Scalar", {mask, 1.0, 0.0});
  CHECK(emitted_nodes("aten::where.self", {mask, counting(), counting()}) ==
        Nodes{"Where"});
}

TEST_CASE("aten: where with one argument lists indices") {
  for (auto type : {at::kBool, at::kFloat, at::kDouble, at::kLong, at::kShort})
    same_as_torch("aten::where", {counting(type)});
  same_as_torch("aten::where", {at::scalar_tensor(3.0)});
  same_as_torch("aten::where", {at::ones({2, 1, 3})});
}

TEST_CASE("aten: masked_fill keeps the tensor's type") {
  const at::Tensor mask = at::tensor({1, 0, 0, 1}).to(at::kBool);
  for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kBool})
    same_as_torch("aten::masked_fill.Scalar", {counting(type), mask, 1});
  same_as_torch("aten::masked_fill.Scalar", {counting(), mask, -kInf});
  same_as_torch(
      "aten::masked_fill.Scalar",
      {counting(at::kLong), mask, std::numeric_limits<int64_t>::min()});
  same_as_torch("aten::masked_fill.Tensor",
                {counting(), mask, at::scalar_tensor(2, at::kLong)});
  CHECK(emitted_nodes("aten::masked_fill.Scalar", {counting(), mask, 0}) ==
        Nodes{"Where"});
}

TEST_CASE("aten: isin looks elements up in a list") {
  const at::Tensor list = at::tensor({-2, 0, 9}).to(at::kLong);
  same_as_torch("aten::isin.Tensor_Tensor", {counting(at::kLong), list});
  same_as_torch("aten::isin.Tensor_Tensor",
                {counting(), list.to(at::kFloat).view({3, 1})});
  same_as_torch("aten::isin.Tensor_Tensor",
                {counting(at::kLong), list, false, true});
  same_as_torch("aten::isin.Tensor_Scalar", {counting(at::kLong), 2});
  same_as_torch("aten::isin.Scalar_Tensor", {9, list});
}

TEST_CASE("aten: bucketize and searchsorted count what lies below") {
  const at::Tensor bounds = at::tensor({-2.0f, 0.0f, 0.0f, 3.0f});
  for (bool right : {false, true})
    for (bool narrow : {false, true}) {
      same_as_torch("aten::bucketize.Tensor",
                    {counting(), bounds, narrow, right});
      same_as_torch("aten::bucketize.Scalar", {0.0, bounds, narrow, right});
      same_as_torch("aten::searchsorted.Tensor",
                    {bounds, counting(), narrow, right});
      same_as_torch(
          "aten::searchsorted.Tensor",
          {at::stack({bounds, bounds * 2}), counting(), narrow, right});
    }
  same_as_torch("aten::bucketize.Tensor",
                {counting(at::kLong), bounds.to(at::kLong)});
  same_as_torch("aten::searchsorted.Tensor",
                {bounds, counting(), false, false, "right"});
  same_as_torch("aten::searchsorted.Scalar", {bounds, 1.0});
  const c10::IValue none;
  CHECK(emit_error("aten::searchsorted.Tensor",
                   {bounds, counting(), false, false, none,
                    at::tensor({0, 1, 2, 3})}) ==
        "test: aten::searchsorted: argument 'sorter' is given (sort the "
        "sequence before the call)");
}

}  // namespace
}  // namespace lathe::test
