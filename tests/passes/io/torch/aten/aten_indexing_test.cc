#include "tests/passes/io/torch/aten/hand_built.h"

namespace lathe::test {
namespace {

using Ints = std::vector<int64_t>;
using Nodes = std::vector<std::string>;
using Indices = c10::List<c10::optional<at::Tensor>>;

const c10::nullopt_t kAll = c10::nullopt;

at::Tensor longs(Ints values) { return at::tensor(values, at::kLong); }

at::Tensor flags(Ints values) { return longs(values).to(at::kBool); }

Indices list(std::vector<c10::optional<at::Tensor>> items) {
  Indices indices;
  for (const auto& item : items) indices.push_back(item);
  return indices;
}

at::Tensor mask_of(const at::Tensor& x, double above) { return x > above; }

TEST_CASE("aten: index by one tensor") {
  const at::Tensor x = numbers({3, 4, 5});
  same_as_torch("aten::index.Tensor", {x, list({longs({2, 0})})});
  same_as_torch("aten::index.Tensor", {x, list({kAll, longs({-1, 1})})});
  same_as_torch("aten::index.Tensor",
                {x, list({kAll, longs({0, 1, 2, 3}).reshape({2, 2})})});
  same_as_torch("aten::index.Tensor",
                {x, list({kAll, kAll, at::scalar_tensor(2, at::kLong)})});
  CHECK(emitted_nodes("aten::index.Tensor", {x, list({kAll, longs({1})})}) ==
        Nodes{"Gather"});
  CHECK(emit_error("aten::index.Tensor",
                   {numbers({3}), list({kAll, longs({1})})}) ==
        "test: aten::index: indexes 2 axes of a tensor of rank 1");
}

TEST_CASE("aten: index by several tensors") {
  const at::Tensor x = numbers({3, 4, 5, 2});
  const at::Tensor a = longs({0, 2}), b = longs({-1, 1});
  same_as_torch("aten::index.Tensor", {x, list({a, b})});
  same_as_torch("aten::index.Tensor", {x, list({kAll, a, b})});
  same_as_torch("aten::index.Tensor", {x, list({kAll, kAll, a, b})});
  same_as_torch("aten::index.Tensor", {x, list({a, kAll, b})});
  same_as_torch("aten::index.Tensor", {x, list({kAll, a, kAll, b})});
  same_as_torch("aten::index.Tensor", {x, list({a, b, a, b})});
  same_as_torch("aten::index.Tensor",
                {x, list({a.reshape({2, 1}), longs({0, 1, 3})})});
  same_as_torch("aten::index.Tensor",
                {x, list({kAll, a.reshape({2, 1}), longs({0, 1, 3})})});
  same_as_torch(
      "aten::index.Tensor",
      {x, list({a.reshape({2, 1, 1}), b.reshape({2, 1}), longs({0, 1, 3})})});
  same_as_torch("aten::index.Tensor",
                {x, list({a, at::scalar_tensor(1, at::kLong)})});
  same_as_torch("aten::index.Tensor", {at::arange(12).reshape({3, 4}),
                                       list({longs({1, 1}), longs({2, 3})})});
  CHECK(emitted_nodes("aten::index.Tensor", {x, list({a, b})}) ==
        Nodes{"Unsqueeze", "Unsqueeze", "Concat", "GatherND"});
}

TEST_CASE("aten: index by rows and columns is one Gather each") {
  const at::Tensor x = numbers({3, 4, 5, 2});
  const at::Tensor a = longs({0, 2}), b = longs({0, 1, 3});
  const Nodes gathers{"Reshape", "Gather", "Gather"};
  const Indices outer = list({kAll, a.reshape({2, 1}), b});
  same_as_torch("aten::index.Tensor", {x, outer});
  CHECK(emitted_nodes("aten::index.Tensor", {x, outer}) == gathers);
  same_as_torch("aten::index.Tensor",
                {x, list({a.reshape({2, 1, 1}), b.reshape({3, 1}), a})});
  same_as_torch("aten::index.Tensor",
                {x, list({a.reshape({2, 1}), b.reshape({1, 3})})});
  // Columns first, or apart: not in order.
  same_as_torch("aten::index.Tensor", {x, list({kAll, b, a.reshape({2, 1})})});
  same_as_torch("aten::index.Tensor", {x, list({a.reshape({2, 1}), kAll, b})});
}

TEST_CASE("aten: index_put of everything") {
  HandBuilt built;
  ir::Value* x = built.input("x", numbers({3, 4}));
  ir::Value* row = built.input("row", numbers({4}));
  const io::aten::Arguments all{io::aten::Argument::none()};
  const auto result = built.call(
      "index_put", {{"self", io::aten::Argument::tensor(x)},
                    {"indices", io::aten::Argument::list(all)},
                    {"values", io::aten::Argument::tensor(row)},
                    {"accumulate", io::aten::Argument::of_bool(true)}});
  built.check(result.front(), numbers({3, 4}) + numbers({4}));
  const auto same =
      built.call("index", {{"self", io::aten::Argument::tensor(x)},
                           {"indices", io::aten::Argument::list(all)}});
  CHECK(same.front().value == x);
}

TEST_CASE("aten: index by masks") {
  const at::Tensor x = numbers({3, 4, 5});
  const at::Tensor rows = flags({1, 0, 1});
  const at::Tensor columns = flags({1, 0, 0, 1});
  same_as_torch("aten::index.Tensor", {x, list({rows})});
  same_as_torch("aten::index.Tensor", {x, list({kAll, columns})});
  same_as_torch("aten::index.Tensor", {x, list({mask_of(x, 20)})});
  same_as_torch("aten::index.Tensor", {x, list({mask_of(numbers({3, 4}), 5)})});
  same_as_torch("aten::index.Tensor",
                {x, list({kAll, mask_of(numbers({4, 5}), 5)})});
  same_as_torch("aten::index.Tensor", {x, list({rows, columns})});
  same_as_torch("aten::index.Tensor", {x, list({rows, kAll, longs({1, 3})})});
  same_as_torch("aten::index.Tensor", {x, list({rows.to(at::kByte)})});
  same_as_torch("aten::index.Tensor", {x, list({mask_of(x, 100)})});
  CHECK(emitted_nodes("aten::index.Tensor", {x, list({rows})}) ==
        Nodes{"Compress"});
  CHECK(emitted_nodes("aten::index.Tensor", {x, list({mask_of(x, 3)})}) ==
        Nodes{"NonZero", "Transpose", "GatherND"});
  CHECK(emit_error("aten::index.Tensor",
                   {x, list({at::scalar_tensor(1, at::kBool)})}) ==
        "test: aten::index: indexes by a mask without dimensions");
}

TEST_CASE("aten: gathering") {
  const at::Tensor x = numbers({3, 4});
  same_as_torch("aten::index_select", {x, int64_t{1}, longs({3, 0, 0})});
  same_as_torch("aten::index_select",
                {x, int64_t{-2}, at::tensor({1, 2}, at::kInt)});
  same_as_torch("aten::index_select",
                {x, int64_t{0}, at::scalar_tensor(2, at::kLong)});
  same_as_torch("aten::index_select",
                {at::full({}, 1.0F), int64_t{0}, longs({0})});
  const at::Tensor index = longs({0, 2, 1, 1}).reshape({2, 2});
  same_as_torch("aten::gather", {x, int64_t{0}, index});
  same_as_torch("aten::gather", {x, int64_t{-1}, index});
  same_as_torch("aten::gather", {at::full({}, 4.0F), int64_t{0},
                                 at::scalar_tensor(0, at::kLong)});
  same_as_torch("aten::gather",
                {numbers({3}), int64_t{0}, at::scalar_tensor(1, at::kLong)});
  same_as_torch("aten::take", {x, longs({0, 11, 5}).reshape({1, 3})});
  same_as_torch("aten::take", {x, longs({-1, 2})});
  same_as_torch("aten::take_along_dim", {x, index});
  same_as_torch("aten::take_along_dim",
                {x, longs({3, 0, 1}).reshape({3, 1}), int64_t{1}});
  same_as_torch("aten::take_along_dim",
                {x, longs({2, 0}).reshape({2, 1}), int64_t{0}});
  same_as_torch(
      "aten::take_along_dim",
      {numbers({1, 4}), longs({2, 0, 1}).reshape({3, 1}), int64_t{1}});
  CHECK(emit_error("aten::take_along_dim", {x, longs({1}), int64_t{1}}) ==
        "test: aten::take_along_dim: argument 'indices' has rank 1, expected "
        "2");
  CHECK(emitted_nodes("aten::gather", {x, int64_t{0}, index}) ==
        Nodes{"GatherElements"});
}

TEST_CASE("aten: what is not zero") {
  const at::Tensor x = at::tensor({0.0F, 2.0F, 0.0F, -1.0F}).reshape({2, 2});
  for (const auto type :
       {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort, at::kBool})
    same_as_torch("aten::nonzero", {x.to(type)});
  same_as_torch("aten::argwhere", {x});
  same_as_torch("aten::nonzero_numpy", {x});
  same_as_torch("aten::nonzero_numpy", {at::full({}, 2.0F)});
  CHECK(emit_error("aten::nonzero", {at::full({}, 2.0F)}) ==
        "test: aten::nonzero: found a tensor without dimensions");
  same_as_torch("aten::masked_select", {x, mask_of(x, -0.5)});
  same_as_torch("aten::masked_select", {x, flags({1, 0})});
  same_as_torch("aten::masked_select",
                {numbers({2}), flags({1, 0}).reshape({2, 1})});
  same_as_torch("aten::masked_select",
                {at::full({}, 2.0F), at::scalar_tensor(1, at::kBool)});
  CHECK(emitted_nodes("aten::masked_select",
                      {numbers({3}), mask_of(numbers({3}), 1)}) ==
        Nodes{"Compress"});
}

TEST_CASE("aten: index_put by tensors") {
  const at::Tensor x = numbers({3, 4, 5});
  const at::Tensor a = longs({0, 2}), b = longs({-1, 1});
  for (const bool accumulate : {false, true}) {
    same_as_torch("aten::index_put",
                  {x, list({a}), numbers({2, 4, 5}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({a}), at::full({}, 9.0F), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({kAll, a}), numbers({2, 5}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({a, b}), numbers({5}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({kAll, a, b}), numbers({3, 2}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({a, kAll, b}), numbers({2, 4}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({a.reshape({2, 1}), longs({0, 1, 3})}),
                   numbers({2, 3, 1}), accumulate});
  }
  same_as_torch("aten::index_put",
                {x, list({longs({1, 1, 1})}), numbers({3, 1, 1}), true});
  same_as_torch("aten::index_put",
                {at::arange(4), list({longs({1, 3})}), longs({7, 8}), true});
  same_as_torch("aten::index_put",
                {numbers({4}).to(at::kDouble), list({longs({1, 1})}),
                 at::tensor({7.0, 8.0}), true});
  same_as_torch("aten::index_put",
                {numbers({4}).to(at::kHalf), list({longs({1, 3})}),
                 at::tensor({7, 8}).to(at::kHalf), true});
  same_as_torch("aten::index_put", {flags({1, 1, 1}), list({longs({1})}),
                                    at::scalar_tensor(0, at::kBool)});
  same_as_torch("aten::_index_put_impl",
                {x, list({a}), numbers({4, 5}), false, true});
  CHECK(emitted_nodes("aten::index_put", {x, list({a}), numbers({2, 4, 5})}) ==
        Nodes{"Unsqueeze", "ScatterND"});
}

TEST_CASE("aten: index_put by masks") {
  const at::Tensor x = numbers({3, 4});
  const at::Tensor mask = mask_of(x, 4), rows = mask_of(numbers({3}), 0);
  for (const bool accumulate : {false, true}) {
    same_as_torch("aten::index_put",
                  {x, list({mask}), at::full({}, -1.0F), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({mask}), at::full({1}, -1.0F), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({mask}), numbers({7}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({rows}), numbers({4}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({rows}), numbers({1, 4}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({rows}), numbers({2, 4}), accumulate});
    same_as_torch("aten::index_put", {x, list({kAll, mask_of(numbers({4}), 1)}),
                                      numbers({3, 2}), accumulate});
    same_as_torch("aten::index_put",
                  {x, list({rows, longs({0, 3})}), numbers({2}), accumulate});
  }
  for (const auto type : {at::kLong, at::kInt, at::kShort, at::kChar, at::kByte,
                          at::kBool, at::kHalf, at::kDouble})
    same_as_torch("aten::index_put",
                  {x.to(type), list({mask}), at::full({}, 1, type)});
  CHECK(emitted_nodes("aten::index_put",
                      {x, list({mask}), at::full({}, 1.0F)}) == Nodes{"Where"});
}

TEST_CASE("aten: rows by index") {
  const at::Tensor x = numbers({3, 4});
  const at::Tensor index = longs({2, 0});
  same_as_torch("aten::index_add", {x, int64_t{0}, index, numbers({2, 4})});
  same_as_torch("aten::index_add",
                {x, int64_t{-1}, longs({1, 1}), numbers({3, 2}), 2.5});
  same_as_torch("aten::index_add",
                {at::arange(4), int64_t{0}, at::tensor({1, 1}, at::kInt),
                 longs({5, 6}), int64_t{3}});
  same_as_torch("aten::index_copy", {x, int64_t{1}, index, numbers({3, 2})});
  same_as_torch("aten::index_copy",
                {numbers({3}), int64_t{0}, at::scalar_tensor(1, at::kLong),
                 at::full({}, 7.0F)});
  same_as_torch("aten::index_fill.int_Scalar", {x, int64_t{1}, index, 2.5});
  same_as_torch("aten::index_fill.int_Scalar",
                {at::arange(5), int64_t{0}, index, int64_t{9}});
  same_as_torch("aten::index_fill.int_Tensor",
                {x, int64_t{0}, index, at::full({}, 8.0F)});
  CHECK(emitted_nodes("aten::index_add",
                      {x, int64_t{0}, index, numbers({2, 4})}) ==
        Nodes{"Unsqueeze", "ScatterND"});
  CHECK(emit_error("aten::index_fill.int_Scalar",
                   {at::full({}, 1.0F), int64_t{0}, index, 2.5}) ==
        "test: aten::index_fill: found a tensor without dimensions");
}

TEST_CASE("aten: scatter") {
  const at::Tensor x = numbers({3, 4});
  const at::Tensor index = longs({0, 2, 1, 0}).reshape({2, 2});
  same_as_torch("aten::scatter.src", {x, int64_t{0}, index, numbers({2, 2})});
  same_as_torch("aten::scatter.src", {x, int64_t{1}, index, numbers({3, 4})});
  same_as_torch("aten::scatter.value", {x, int64_t{-1}, index, 2.5});
  same_as_torch("aten::scatter.value",
                {at::arange(4), int64_t{0}, longs({3}), int64_t{7}});
  same_as_torch("aten::scatter.reduce",
                {x, int64_t{0}, index, numbers({2, 2}), "add"});
  same_as_torch("aten::scatter.value_reduce",
                {x, int64_t{0}, index, 3.0, "multiply"});
  same_as_torch("aten::scatter.src",
                {at::full({}, 1.0F), int64_t{0},
                 at::scalar_tensor(0, at::kLong), at::full({}, 5.0F)});
  const at::Tensor twice = longs({1, 1, 0}).reshape({3, 1});
  same_as_torch("aten::scatter_add", {x, int64_t{0}, twice, numbers({3, 1})});
  same_as_torch("aten::scatter_add",
                {at::arange(4), int64_t{0}, longs({1, 1}), longs({5, 6})});
  same_as_torch("aten::scatter_add",
                {numbers({3}).to(at::kHalf), int64_t{0}, longs({1, 1}),
                 numbers({2}).to(at::kHalf)});
  for (const char* reduce : {"sum", "prod", "mean"})
    for (const bool include_self : {true, false})
      same_as_torch(
          "aten::scatter_reduce.two",
          {x, int64_t{0}, twice, numbers({3, 1}) + 1, reduce, include_self});
  CHECK(emitted_nodes("aten::scatter.src",
                      {x, int64_t{0}, index, numbers({2, 2})}) ==
        Nodes{"ScatterElements"});
  CHECK(emit_error("aten::scatter_reduce.two",
                   {x, int64_t{0}, twice, numbers({3, 1}), "amax"}) ==
        "test: aten::scatter_reduce: reduces by 'amax', but ONNX opset 17 "
        "scatters with sum and product only (use 'sum', 'prod' or 'mean')");
  CHECK(
      emit_error("aten::scatter_reduce.two",
                 {at::arange(3), int64_t{0}, longs({1}), longs({1}), "mean"}) ==
      "test: aten::scatter_reduce: takes the mean of integers (convert the "
      "tensor to float first)");
}

TEST_CASE("aten: masked_scatter") {
  const at::Tensor x = numbers({3, 4});
  same_as_torch("aten::masked_scatter", {x, mask_of(x, 4), numbers({4, 5})});
  same_as_torch("aten::masked_scatter",
                {x, mask_of(numbers({4}), 1), numbers({6})});
  same_as_torch("aten::masked_scatter", {x, mask_of(x, 40), numbers({2})});
  CHECK(emit_error("aten::masked_scatter",
                   {at::full({}, 1.0F), at::scalar_tensor(1, at::kBool),
                    numbers({1})}) ==
        "test: aten::masked_scatter: found a tensor without dimensions");
}

}  // namespace
}  // namespace lathe::test
