#include "tests/passes/io/torch/aten/hand_built.h"

namespace lathe::test {
namespace {

using Ints = std::vector<int64_t>;
using Nodes = std::vector<std::string>;
using Tensors = std::vector<at::Tensor>;
using io::aten::Argument;

const int64_t kEnd = INT64_MAX;

TEST_CASE("aten: slice") {
  const at::Tensor x = numbers({4, 7});
  const c10::IValue none;
  same_as_torch("aten::slice.Tensor", {x});
  same_as_torch("aten::slice.Tensor", {x, int64_t{1}, int64_t{2}, none});
  same_as_torch("aten::slice.Tensor",
                {x, int64_t{-1}, none, int64_t{5}, int64_t{2}});
  same_as_torch("aten::slice.Tensor", {x, int64_t{1}, int64_t{-3}, kEnd});
  same_as_torch("aten::slice.Tensor",
                {x, int64_t{1}, int64_t{-100}, int64_t{-1}, int64_t{3}});
  same_as_torch("aten::slice.Tensor", {x, int64_t{0}, int64_t{3}, int64_t{1}});
  same_as_torch("aten::slice.Tensor", {x, int64_t{0}, int64_t{9}, int64_t{12}});
  same_as_torch("aten::slice_copy.Tensor", {x, int64_t{0}, int64_t{1}});
  CHECK(emitted_nodes("aten::slice.Tensor",
                      {x, int64_t{1}, int64_t{0}, kEnd}) == Nodes{});
  CHECK(emit_error("aten::slice.Tensor",
                   {x, int64_t{1}, none, none, int64_t{0}}) ==
        "test: aten::slice: step is 0, expected a positive one");
  CHECK(emit_error("aten::slice.Tensor", {at::full({}, 1.0F)}) ==
        "test: aten::slice: found a tensor without dimensions");
  HandBuilt built;
  ir::Value* in = built.input("x", x);
  ir::Value* other = built.input("y", numbers({3}));
  const auto result = built.call("slice", {{"self", Argument::tensor(in)},
                                           {"dim", Argument::of_int(1)},
                                           {"end", built.size(other, 0)}});
  built.check(result.front(), x.slice(1, 0, 3));
}

TEST_CASE("aten: select and narrow") {
  const at::Tensor x = numbers({4, 7});
  same_as_torch("aten::select.int", {x, int64_t{0}, int64_t{2}});
  same_as_torch("aten::select.int", {x, int64_t{-1}, int64_t{-3}});
  same_as_torch("aten::select.int", {numbers({3}), int64_t{0}, int64_t{1}});
  same_as_torch("aten::select_copy.int", {x, int64_t{1}, int64_t{0}});
  same_as_torch("aten::narrow", {x, int64_t{1}, int64_t{2}, int64_t{3}});
  same_as_torch("aten::narrow", {x, int64_t{1}, int64_t{-3}, int64_t{3}});
  same_as_torch("aten::narrow", {x, int64_t{0}, int64_t{-3}, int64_t{2}});
  same_as_torch("aten::narrow.Tensor",
                {x, int64_t{1}, at::scalar_tensor(2, at::kLong), int64_t{3}});
  CHECK(emitted_nodes("aten::select.int", {x, int64_t{0}, int64_t{2}}) ==
        Nodes{"Gather"});
  HandBuilt built;
  ir::Value* in = built.input("x", x);
  ir::Value* other = built.input("y", numbers({3}));
  const Argument three = built.size(other, 0);
  const auto row = built.call("select", {{"self", Argument::tensor(in)},
                                         {"dim", Argument::of_int(0)},
                                         {"index", three}});
  const auto part = built.call("narrow", {{"self", row.front()},
                                          {"dim", Argument::of_int(0)},
                                          {"start", three},
                                          {"length", three}});
  CHECK(built.error("narrow", {{"self", Argument::tensor(in)},
                               {"dim", Argument::of_int(0)},
                               {"start", Argument::of_int(-1)},
                               {"length", three}}) ==
        "test: aten::narrow: start is negative and length computed");
  CHECK(built.error("select", {{"self", Argument::tensor(in)}}) ==
        "test: aten::select: argument 'index' is absent, expected an int");
  built.check(part.front(), x[3].slice(0, 3, 6));
}

TEST_CASE("aten: joining") {
  const at::Tensor a = numbers({2, 3}), b = numbers({2, 2});
  same_as_torch("aten::cat", {Tensors{a, b}, int64_t{1}});
  same_as_torch("aten::cat", {Tensors{a, a, a}, int64_t{-2}});
  same_as_torch("aten::cat", {Tensors{a}});
  same_as_torch("aten::cat", {Tensors{numbers({0}), a}});
  same_as_torch("aten::cat", {Tensors{at::arange(3), at::arange(3, at::kInt)}});
  same_as_torch("aten::cat", {Tensors{at::arange(3), numbers({2})}});
  same_as_torch("aten::concat", {Tensors{a, b}, int64_t{1}});
  same_as_torch("aten::concatenate", {Tensors{a, a}});
  same_as_torch("aten::stack", {Tensors{a, a}});
  same_as_torch("aten::stack", {Tensors{a, a, a}, int64_t{-1}});
  same_as_torch("aten::stack", {Tensors{at::full({}, 1.0F), at::full({}, 2)}});
  same_as_torch("aten::hstack", {Tensors{a, b}});
  same_as_torch("aten::hstack", {Tensors{numbers({2}), numbers({3})}});
  same_as_torch("aten::hstack", {Tensors{at::full({}, 1.0F), numbers({3})}});
  same_as_torch("aten::vstack", {Tensors{numbers({3}), a}});
  same_as_torch("aten::row_stack", {Tensors{a, a}});
  same_as_torch("aten::dstack", {Tensors{numbers({3}), numbers({1, 3})}});
  same_as_torch("aten::dstack", {Tensors{numbers({1, 2, 2}), b.unsqueeze(0)}});
  same_as_torch("aten::column_stack", {Tensors{numbers({2}), a}});
  CHECK(emitted_nodes("aten::cat", {Tensors{a}}) == Nodes{});
  CHECK(emit_error("aten::cat", {c10::List<at::Tensor>()}) ==
        "test: aten::cat: the list of tensors is empty");
  CHECK(emit_error("aten::cat", {Tensors{at::full({}, 1.0F)}}) ==
        "test: aten::cat: found tensors without dimensions");
}

TEST_CASE("aten: splitting") {
  const at::Tensor x = numbers({6, 7});
  same_as_torch("aten::split.Tensor", {x, int64_t{2}}, false);
  same_as_torch("aten::split.Tensor", {x, int64_t{3}, int64_t{-1}}, false);
  same_as_torch("aten::split.Tensor", {x, int64_t{10}}, false);
  same_as_torch("aten::split.sizes", {x, Ints{1, 5}});
  same_as_torch("aten::split_with_sizes", {x, Ints{2, 4, 1}, int64_t{1}});
  same_as_torch("aten::split_with_sizes", {x, Ints{0, 6}, int64_t{0}});
  same_as_torch("aten::unsafe_split.Tensor", {x, int64_t{4}}, false);
  same_as_torch("aten::unsafe_split_with_sizes", {x, Ints{3, 3}});
  same_as_torch("aten::chunk", {x, int64_t{3}}, false);
  same_as_torch("aten::chunk", {x, int64_t{5}, int64_t{1}}, false);
  same_as_torch("aten::chunk", {x, int64_t{1}, int64_t{1}});
  same_as_torch("aten::chunk", {numbers({0, 2}), int64_t{3}}, false);
  same_as_torch("aten::unsafe_chunk", {x, int64_t{2}, int64_t{1}}, false);
  same_as_torch("aten::tensor_split.sections", {x, int64_t{3}, int64_t{1}});
  same_as_torch("aten::tensor_split.sections", {x, int64_t{4}});
  same_as_torch("aten::tensor_split.sections", {x, int64_t{8}});
  same_as_torch("aten::tensor_split.indices", {x, Ints{1, 4}, int64_t{1}});
  same_as_torch("aten::tensor_split.indices", {x, Ints{4, -1, 9}, int64_t{1}});
  same_as_torch("aten::hsplit.array", {x, Ints{2}});
  same_as_torch("aten::hsplit.int", {numbers({4}), int64_t{2}});
  same_as_torch("aten::vsplit.int", {x, int64_t{3}});
  same_as_torch("aten::dsplit.int", {numbers({1, 2, 4}), int64_t{2}});
  same_as_torch("aten::unbind.int", {x}, false);
  same_as_torch("aten::unbind.int", {x, int64_t{-1}}, false);
  same_as_torch("aten::unbind.int", {numbers({1, 2})}, false);
  CHECK(emitted_nodes("aten::split.Tensor", {x, int64_t{2}}) == Nodes{"Split"});
  CHECK(emitted_nodes("aten::unbind.int", {numbers({2, 3})}) ==
        Nodes{"Split", "Squeeze", "Squeeze"});
  CHECK(emit_error("aten::split.Tensor", {x, int64_t{2}}, true) ==
        "test: the size of the axis that aten::split splits must be known and "
        "is not (dimension 0 of 'self') (give the inputs' shapes with "
        "--input-shape)");
  CHECK(emit_error("aten::chunk", {x, int64_t{2}, int64_t{1}}, true) ==
        "test: the size of the axis that aten::chunk splits must be known and "
        "is not (dimension 1 of 'self') (give the inputs' shapes with "
        "--input-shape)");
  CHECK(emit_error("aten::unbind.int", {x}, true) ==
        "test: the size of the axis that aten::unbind takes apart must be "
        "known and is not (dimension 0 of 'self') (give the inputs' shapes "
        "with --input-shape)");
  CHECK(emit_error("aten::split.Tensor", {x, int64_t{0}}) ==
        "test: aten::split: the size of a part is 0, expected a positive one");
  CHECK(emit_error("aten::chunk", {x, int64_t{0}}) ==
        "test: aten::chunk: chunks is 0, expected a positive number");
  CHECK(emit_error("aten::tensor_split.sections", {x, int64_t{0}}) ==
        "test: aten::tensor_split: splits into 0 sections");
  CHECK(emit_error("aten::tensor_split.sections", {x, int64_t{1} << 40}) ==
        "test: aten::tensor_split: splits into 1099511627776 parts, expected "
        "at most 65536");
  CHECK(emit_error("aten::dsplit.int", {x, int64_t{2}}) ==
        "test: aten::dsplit: found a tensor of rank 2, expected at least 3");
  CHECK(emit_error("aten::tensor_split.tensor_indices_or_sections",
                   {x, at::tensor({1, 2}, at::kLong)}) ==
        "test: aten::tensor_split: argument 'tensor_indices_or_sections' is "
        "computed, expected a constant");
}

TEST_CASE("aten: split with computed sizes") {
  const at::Tensor x = numbers({5, 2});
  HandBuilt built;
  ir::Value* in = built.input("x", x);
  ir::Value* other = built.input("y", numbers({3, 2}));
  const auto result = built.call(
      "split_with_sizes",
      {{"self", Argument::tensor(in)},
       {"split_sizes",
        Argument::list({built.size(other, 1), built.size(other, 0)})}});
  built.check(result.front().items.at(1), x.slice(0, 2));
}

TEST_CASE("aten: flip, roll, rot90") {
  const at::Tensor x = numbers({3, 4, 2});
  same_as_torch("aten::flip", {x, Ints{0, -1}});
  same_as_torch("aten::flip", {at::arange(4), Ints{0}});
  same_as_torch("aten::flip", {at::full({}, 1.0F), Ints{}});
  same_as_torch("aten::fliplr", {x});
  same_as_torch("aten::flipud", {x});
  CHECK(emitted_nodes("aten::flip", {x, Ints{0, 1}}) == Nodes{"Slice"});
  CHECK(emit_error("aten::fliplr", {numbers({3})}) ==
        "test: aten::fliplr: found a tensor of rank 1, expected at least 2");
  same_as_torch("aten::roll", {x, Ints{1}, Ints{1}});
  same_as_torch("aten::roll", {x, Ints{-1, 7}, Ints{0, -2}});
  same_as_torch("aten::roll", {x, Ints{5}});
  same_as_torch("aten::roll", {x, Ints{0}, Ints{1}});
  CHECK(emitted_nodes("aten::roll", {x, Ints{4}, Ints{1}}) == Nodes{});
  CHECK(emitted_nodes("aten::roll", {x, Ints{-1}, Ints{1}}) ==
        Nodes{"Slice", "Slice", "Concat"});
  CHECK(emit_error("aten::roll", {x, Ints{1, 2}, Ints{0}}) ==
        "test: aten::roll: found 2 shifts for 1 dims");
  CHECK(emit_error("aten::roll", {x, Ints{1, 2}}) ==
        "test: aten::roll: found 2 shifts without dims, expected one");
  CHECK(emit_error("aten::roll", {x, Ints{INT64_MIN}, Ints{0}}) ==
        "test: aten::roll: a shift is out of range");
  for (int64_t k : {-1, 0, 1, 2, 3, 5}) same_as_torch("aten::rot90", {x, k});
  same_as_torch("aten::rot90", {x, int64_t{1}, Ints{2, 0}});
  CHECK(emit_error("aten::rot90", {x, int64_t{1}, Ints{1, 1}}) ==
        "test: aten::rot90: dims must name two different axes of the tensor");
}

TEST_CASE("aten: diagonals") {
  const at::Tensor x = numbers({3, 4, 5});
  for (int64_t offset : {-4, -2, 0, 1, 9}) {
    same_as_torch("aten::diagonal", {x, offset});
    same_as_torch("aten::diagonal", {x, offset, int64_t{-1}, int64_t{0}});
  }
  for (int64_t offset : {-2, 0, 1}) {
    same_as_torch("aten::diag", {numbers({3, 4}), offset});
    same_as_torch("aten::diag", {numbers({3}), offset});
    same_as_torch("aten::diag_embed", {numbers({2, 3}), offset});
  }
  same_as_torch("aten::diag_embed",
                {numbers({2, 3}), int64_t{1}, int64_t{0}, int64_t{2}});
  same_as_torch("aten::diag_embed", {at::arange(6).reshape({2, 3}), int64_t{0},
                                     int64_t{2}, int64_t{1}});
  same_as_torch("aten::diag", {at::tensor({1, 0, 1}).to(at::kBool)});
  CHECK(emitted_nodes("aten::diagonal", {x}) ==
        Nodes{"Transpose", "Reshape", "Gather"});
  CHECK(
      emit_error("aten::diagonal", {x, int64_t{0}, int64_t{1}, int64_t{-2}}) ==
      "test: aten::diagonal: dim1 and dim2 must name two axes of the tensor");
  CHECK(emit_error("aten::diag", {x}) ==
        "test: aten::diag: found a tensor of rank 3, expected 1 or 2");
  CHECK(emit_error("aten::diag", {numbers({3}), INT64_MIN}) ==
        "test: aten::diag: the diagonal -9223372036854775808 is out of range");
  CHECK(
      emit_error("aten::diag_embed", {x, int64_t{0}, int64_t{1}, int64_t{1}}) ==
      "test: aten::diag_embed: dim1 and dim2 name the same axis");
  CHECK(emit_error("aten::diagonal_scatter", {x[0], numbers({4})}) ==
        "test: aten::diagonal_scatter: writes to a diagonal, which ONNX has no "
        "operator for (multiply by a mask of the diagonal instead)");
}

TEST_CASE("aten: writing a slice") {
  const at::Tensor x = numbers({4, 6});
  const c10::IValue none;
  same_as_torch("aten::select_scatter",
                {x, numbers({6}), int64_t{0}, int64_t{2}});
  same_as_torch("aten::select_scatter",
                {x, numbers({4}), int64_t{1}, int64_t{-1}});
  same_as_torch("aten::select_scatter",
                {x, numbers({4}), int64_t{1}, int64_t{-6}});
  same_as_torch("aten::slice_scatter",
                {x, numbers({2, 6}), int64_t{0}, int64_t{1}, int64_t{3}});
  same_as_torch("aten::slice_scatter",
                {x, numbers({4, 3}), int64_t{1}, int64_t{-3}, kEnd});
  same_as_torch("aten::slice_scatter",
                {x, numbers({4, 2}), int64_t{-1}, none, int64_t{-4}});
  same_as_torch("aten::slice_scatter", {x, numbers({4, 6})});
  same_as_torch("aten::slice_scatter",
                {x, numbers({4, 3}), int64_t{1}, int64_t{1}, none, int64_t{2}});
  same_as_torch("aten::slice_scatter",
                {x, numbers({0, 6}), int64_t{0}, int64_t{3}, int64_t{1}});
  same_as_torch("aten::slice_scatter",
                {x, numbers({1, 6}), int64_t{0}, int64_t{3}, int64_t{9}});
  CHECK(emitted_nodes("aten::slice_scatter", {x, numbers({2, 6}), int64_t{0},
                                              int64_t{1}, int64_t{3}}) ==
        Nodes{"Slice", "Slice", "Concat"});
}

}  // namespace
}  // namespace lathe::test
