#include <algorithm>
#include <limits>

#include "tests/passes/io/torch/aten/aten_fixture.h"

namespace lathe::test {
namespace {

using Nodes = std::vector<std::string>;
using Axes = std::vector<int64_t>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const c10::IValue kNone;

// No two elements alike.
at::Tensor mixed(at::ScalarType type = at::kFloat) {
  return at::tensor({3,  -7, 11, 5, -2, 8,  -13, 1,  9,  -4, 6,  2,
                     12, -9, 4,  7, -1, 10, -5,  13, -3, 14, -8, 15})
      .view({2, 3, 4})
      .to(type);
}

at::Tensor few(at::ScalarType type = at::kFloat) {
  return at::tensor({1, 0, 2, 0, 0, 0, 1, 2, 2, 3, 0, 1}).view({3, 4}).to(type);
}

at::Tensor one_number() { return at::scalar_tensor(2.5); }

TEST_CASE("aten: sums, means and products") {
  const int64_t as_float = static_cast<int64_t>(at::kFloat),
                as_double = static_cast<int64_t>(at::kDouble);
  for (auto type :
       {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort, at::kBool}) {
    same_as_torch("aten::sum", {few(type)});
    same_as_torch("aten::sum.dim_IntList", {few(type), Axes{-1}});
    same_as_torch("aten::prod", {few(type) + 1});
    same_as_torch("aten::prod.dim_int", {few(type) + 1, -1, true});
    same_as_torch("aten::mean", {few(type), as_float});
  }
  for (const std::string op : {"aten::sum.dim_IntList", "aten::mean.dim"})
    for (const Axes& axes : {Axes{}, Axes{0}, Axes{-1, 0}, Axes{0, 1, 2}})
      for (bool keep : {false, true}) same_as_torch(op, {mixed(), axes, keep});
  same_as_torch("aten::mean.dim", {mixed(), kNone, true});
  same_as_torch("aten::mean.dim", {mixed(at::kLong), Axes{1}, false, as_float});
  same_as_torch("aten::sum", {mixed(at::kLong), as_double});
  for (const char* op : {"aten::sum", "aten::mean", "aten::prod"})
    same_as_torch(op, {one_number()});
  same_as_torch("aten::sum.dim_IntList", {one_number(), Axes{0}, true});
  CHECK(emitted_nodes("aten::mean.dim", {mixed(), Axes{2}}) ==
        Nodes{"ReduceMean"});
  CHECK(emitted_nodes("aten::sum", {mixed()}) == Nodes{"ReduceSum"});
  CHECK(emit_error("aten::mean.dim", {mixed(), Axes{3}}) ==
        "test: aten::mean: argument 'dim' holds 3, but the tensor has rank 3");
}

TEST_CASE("aten: sums that skip NaN, and counts") {
  const at::Tensor holes =
      at::tensor({kNaN, 1.0, 2.0, 3.0, kNaN, 5.0}, at::kFloat).view({2, 3});
  same_as_torch("aten::nansum", {holes});
  same_as_torch("aten::nansum", {holes, Axes{0}, true});
  same_as_torch("aten::nansum", {few(at::kLong), Axes{1}});
  same_as_torch("aten::nanmean", {holes, Axes{1}});
  for (auto type : {at::kFloat, at::kLong, at::kBool}) {
    same_as_torch("aten::count_nonzero", {few(type)});
    same_as_torch("aten::count_nonzero", {few(type), -1});
    same_as_torch("aten::count_nonzero.dim_IntList", {few(type), Axes{0, 1}});
  }
}

TEST_CASE("aten: extremes over axes") {
  for (const char* op : {"aten::amax", "aten::amin"}) {
    for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort,
                      at::kBool}) {
      same_as_torch(op, {few(type)});
      same_as_torch(op, {few(type), Axes{-1}, true});
    }
    same_as_torch(op, {mixed(), Axes{0, 2}});
    same_as_torch(op, {one_number()});
  }
  same_as_torch("aten::aminmax", {mixed()});
  same_as_torch("aten::aminmax", {mixed(), 1, true});
}

TEST_CASE("aten: max and min in every form") {
  for (const std::string op : {"aten::max", "aten::min"}) {
    for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort,
                      at::kChar}) {
      same_as_torch(op, {mixed(type)});
      for (int64_t axis : {0, 1, -1})
        same_as_torch(op + ".dim", {mixed(type), axis});
      same_as_torch(op + ".other", {mixed(type), few(at::kLong).sum()});
    }
    same_as_torch(op + ".dim", {mixed(), 2, true});
    same_as_torch(op + ".dim", {few(), 1});  // the first of equal ones
    same_as_torch(op + ".dim", {few(at::kBool), 0});
    same_as_torch(op + ".dim", {one_number(), 0});
    same_as_torch(op, {one_number()});
  }
  CHECK(emitted_nodes("aten::max.dim", {mixed(), 1}) ==
        Nodes{"ReduceMax", "ArgMax"});
}

TEST_CASE("aten: argmax and argmin") {
  for (const char* op : {"aten::argmax", "aten::argmin"}) {
    for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort})
      for (int64_t axis : {0, 1, -1}) {
        same_as_torch(op, {mixed(type), axis});
        same_as_torch(op, {few(type), std::min<int64_t>(axis, 1), true});
      }
    same_as_torch(op, {mixed()});
    same_as_torch(op, {mixed(), kNone, true});
    same_as_torch(op, {mixed().flatten()});
    same_as_torch(op, {one_number()});
    same_as_torch(op, {one_number(), 0});
  }
  CHECK(emitted_nodes("aten::argmax", {mixed(), -1}) == Nodes{"ArgMax"});
}

TEST_CASE("aten: any and all") {
  for (const std::string op : {"aten::any", "aten::all"}) {
    for (auto type : {at::kBool, at::kFloat, at::kLong, at::kByte}) {
      same_as_torch(op, {few(type)});
      same_as_torch(op, {few(type) + 1});
      same_as_torch(op + ".dim", {few(type), 0});
      same_as_torch(op + ".dim", {few(type), -1, true});
    }
    same_as_torch(op, {one_number()});
  }
}

TEST_CASE("aten: variances with every divisor") {
  for (const std::string op :
       {"aten::var", "aten::std", "aten::var_mean", "aten::std_mean"}) {
    for (bool unbiased : {true, false}) {
      same_as_torch(op, {mixed(), unbiased});
      same_as_torch(op, {mixed(at::kDouble), unbiased});
      same_as_torch(op + ".dim", {mixed(), Axes{-1}, unbiased, true});
      same_as_torch(op + ".dim", {mixed(), Axes{0, 2}, unbiased, false});
    }
    for (int64_t correction : {0, 1, 2})
      same_as_torch(op + ".correction", {mixed(), Axes{1}, correction, false});
    same_as_torch(op + ".correction", {mixed(), kNone, kNone, true});
    same_as_torch(op, {one_number(), true});
    same_as_torch(op, {one_number(), false});
  }
  CHECK(emitted_nodes("aten::var.dim", {mixed(), Axes{1}, false}) ==
        Nodes{"ReduceMean", "Sub", "Mul", "ReduceMean", "Squeeze"});
}

TEST_CASE("aten: norms") {
  const at::Tensor x = mixed();
  for (const c10::IValue& p :
       {c10::IValue(2), c10::IValue(1), c10::IValue(0), c10::IValue(3.0),
        c10::IValue(kInf), c10::IValue(-kInf), c10::IValue(-1.0)}) {
    same_as_torch("aten::norm.Scalar", {x, p});
    same_as_torch("aten::norm.ScalarOpt_dim", {x, p, Axes{-1}, true});
    same_as_torch("aten::linalg_vector_norm", {x, p, Axes{0, 1}, false});
    same_as_torch("aten::dist", {few(), few().flip(0) + 0.5, p});
  }
  same_as_torch("aten::norm.ScalarOpt_dim", {x, kNone, Axes{1}});
  same_as_torch("aten::norm.ScalarOpt_dtype",
                {x, 2, static_cast<int64_t>(at::kDouble)});
  same_as_torch("aten::linalg_vector_norm", {x});
  same_as_torch("aten::linalg_vector_norm", {one_number()});
  same_as_torch("aten::frobenius_norm", {x});
  same_as_torch("aten::frobenius_norm.dim", {x, Axes{1, 2}, true});
  same_as_torch("aten::linalg_norm", {x});
  same_as_torch("aten::linalg_norm", {x, 2, Axes{1}});
  same_as_torch("aten::linalg_norm", {few(), 1});
  same_as_torch("aten::linalg_norm", {few().flatten(), 3});
  for (const c10::IValue& order :
       {c10::IValue(1), c10::IValue(-1), c10::IValue(kInf), c10::IValue(-kInf)})
    for (bool keep : {false, true})
      same_as_torch("aten::linalg_matrix_norm", {x, order, Axes{0, -1}, keep});
  same_as_torch("aten::linalg_matrix_norm", {x, 1, Axes{2, 1}});
  same_as_torch("aten::linalg_matrix_norm.str_ord", {x});
  same_as_torch("aten::linalg_norm.ord_str", {few(), "fro"});
  CHECK(emitted_nodes("aten::norm.ScalarOpt_dim", {x, 2, Axes{1}}) ==
        Nodes{"ReduceL2"});
  CHECK(emit_error("aten::linalg_matrix_norm", {x, 2}) ==
        "test: aten::linalg_matrix_norm: argument 'ord' asks for singular "
        "values, which ONNX lacks (use the Frobenius norm, 1 or infinity)");
  CHECK(emit_error("aten::linalg_matrix_norm.str_ord", {x, "nuc"}) ==
        "test: aten::linalg_matrix_norm: argument 'ord' is 'nuc', expected a "
        "number or 'fro' (ONNX has no singular values)");
  CHECK(emit_error("aten::linalg_matrix_norm", {x, 1, Axes{0}}) ==
        "test: aten::linalg_matrix_norm: argument 'dim' has 1 elements, "
        "expected 2");
}

TEST_CASE("aten: logsumexp") {
  for (auto type : {at::kFloat, at::kDouble})
    for (const Axes& axes : {Axes{0}, Axes{-1, 0}})
      same_as_torch("aten::logsumexp", {mixed(type), axes, true});
  same_as_torch("aten::special_logsumexp", {mixed(), Axes{1}});
  same_as_torch("aten::logsumexp", {mixed() * 100, Axes{1}});
  same_as_torch("aten::logsumexp", {one_number(), Axes{0}});
}

TEST_CASE("aten: sorting and the largest k") {
  for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort}) {
    for (bool descending : {false, true}) {
      same_as_torch("aten::sort", {mixed(type), -1, descending});
      same_as_torch("aten::argsort", {mixed(type), 1, descending});
      same_as_torch("aten::topk", {mixed(type), 2, -1, descending});
    }
    same_as_torch("aten::msort", {mixed(type)});
    same_as_torch("aten::kthvalue", {mixed(type), 2});
  }
  for (int64_t axis : {0, 1, -1}) {
    same_as_torch("aten::sort.stable", {few(), true, axis % 2, true});
    same_as_torch("aten::topk", {mixed(), 1, axis, true, true});
    for (bool keep : {false, true})
      same_as_torch("aten::kthvalue", {mixed(), 2, axis, keep});
  }
  same_as_torch("aten::sort", {one_number()});
  same_as_torch("aten::argsort", {one_number()});
  same_as_torch("aten::topk", {one_number(), 1});
  same_as_torch("aten::kthvalue", {one_number(), 1});
  CHECK(emitted_nodes("aten::topk", {mixed(), 2}) == Nodes{"TopK"});
}

TEST_CASE("aten: median is the lower one in the middle") {
  for (auto type : {at::kFloat, at::kLong}) {
    same_as_torch("aten::median", {mixed(type)});
    for (int64_t axis : {0, 1, 2, -1})
      for (bool keep : {false, true})
        same_as_torch("aten::median.dim", {mixed(type), axis, keep});
  }
  same_as_torch("aten::median", {one_number()});
  same_as_torch("aten::median.dim", {one_number(), 0});
  CHECK(emit_error("aten::mode", {mixed()}) ==
        "test: aten::mode: ONNX cannot pick the most frequent element (leave "
        "it out of the exported model)");
}

TEST_CASE("aten: distinct elements") {
  for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort})
    for (bool inverse : {false, true})
      for (bool counts : {false, true}) {
        CAPTURE(inverse);
        CAPTURE(counts);
        if (inverse && counts)
          same_as_torch("aten::_unique2", {few(type), true, inverse, counts});
        const auto nodes =
            emitted_nodes("aten::_unique2", {few(type), true, inverse, counts});
        CHECK(std::count(nodes.begin(), nodes.end(), "Unique") == 1);
        CHECK(std::count(nodes.begin(), nodes.end(), "Reshape") == inverse);
      }
  const at::Tensor rows = at::tensor({2, 1, 0, 3, 2, 1}).view({3, 2});
  for (int64_t axis : {0, -1})
    same_as_torch("aten::unique_dim",
                  {at::cat({rows, rows}), axis, true, true, true});
  same_as_torch("aten::_unique2", {few()});
}

TEST_CASE("aten: running sums and products") {
  for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kBool}) {
    for (int64_t axis : {0, 1, -1}) {
      same_as_torch("aten::cumsum", {mixed(type), axis});
      same_as_torch("aten::cumprod", {mixed(type), axis}, /*symbolic=*/false);
    }
  }
  same_as_torch("aten::cumsum",
                {few(at::kLong), 1, static_cast<int64_t>(at::kFloat)});
  same_as_torch("aten::cumsum",
                {few(at::kLong), 1, static_cast<int64_t>(at::kInt)});
  same_as_torch("aten::cumsum", {one_number(), 0});
  same_as_torch("aten::cumprod", {one_number(), 0});
  same_as_torch("aten::cumprod", {at::rand({7, 1}) + 0.5, 0}, false);
  same_as_torch("aten::cumprod", {at::rand({7, 1}) + 0.5, 1});
  CHECK(emitted_nodes("aten::cumsum", {mixed(), 1}) == Nodes{"CumSum"});
  CHECK(emit_error("aten::cumprod", {mixed(), 1}, /*symbolic=*/true) ==
        "test: the size of the axis that it runs along must be known and is "
        "not (dimension 1 of 'self') (give the inputs' shapes with "
        "--input-shape)");
}

TEST_CASE("aten: running extremes") {
  for (const char* op : {"aten::cummax", "aten::cummin"}) {
    for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort})
      for (int64_t axis : {0, 1, -1})
        same_as_torch(op, {mixed(type), axis}, /*symbolic=*/false);
    same_as_torch(op, {few(), 1}, /*symbolic=*/false);
    same_as_torch(op, {one_number(), 0});
  }
  CHECK(emit_error("aten::logcumsumexp", {mixed(), 1}) ==
        "test: aten::logcumsumexp: ONNX has no running log-sum-exp (write it "
        "as torch.log(torch.cumsum(torch.exp(x), dim)))");
}

}  // namespace
}  // namespace lathe::test
