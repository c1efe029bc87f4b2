#include "passes/io/torch/aten/aten_sizes.h"
#include "tests/passes/io/torch/aten/hand_built.h"

namespace lathe::test {
namespace {

using Ints = std::vector<int64_t>;
using Nodes = std::vector<std::string>;
using io::aten::Argument;

TEST_CASE("aten: view and reshape") {
  same_as_torch("aten::view", {numbers({2, 3, 4}), Ints{6, 4}});
  same_as_torch("aten::view", {numbers({2, 3, 4}), Ints{-1, 12}});
  same_as_torch("aten::view", {numbers({2, 3, 4}), Ints{2, 3, 2, -1}});
  same_as_torch("aten::_unsafe_view", {numbers({2, 3, 4}), Ints{24}});
  same_as_torch("aten::reshape", {numbers({2, 3, 4}), Ints{2, 3, -1}});
  same_as_torch("aten::reshape", {numbers({1}), Ints{}});
  same_as_torch("aten::reshape", {at::full({}, 3.0F), Ints{1, 1}});
  same_as_torch("aten::reshape", {numbers({0, 3}), Ints{3, 0}});
  same_as_torch("aten::reshape", {numbers({0, 3}), Ints{-1, 3}});
  same_as_torch("aten::reshape", {at::arange(6).reshape({2, 3}), Ints{3, 2}});
  same_as_torch("aten::view_as", {numbers({6, 4}), numbers({2, 3, 4})});
  same_as_torch("aten::reshape_as", {numbers({6, 4}), numbers({2, 3, 4})});
  CHECK(emitted_nodes("aten::view", {numbers({2, 3}), Ints{2, -1}}) == Nodes{});
  CHECK(emitted_nodes("aten::view", {numbers({2, 3}), Ints{3, 2}}) ==
        Nodes{"Reshape"});
  CHECK(emit_error("aten::view.dtype", {numbers({2}), int64_t{3}}) ==
        "test: aten::view: reads the bytes of a tensor as another element type "
        "(convert the elements with to() instead)");
}

TEST_CASE(
    "aten: a view with computed sizes has a constant shape where it can") {
  const at::Tensor x = numbers({2, 3, 8});
  const Argument minus = Argument::of_int(-1);
  {
    HandBuilt built;
    ir::Value* in = built.input("x", x);
    const Argument batch = built.size(in, 0), length = built.size(in, 1);
    const size_t before = built.nodes().size();
    const auto result = built.call(
        "view", {{"self", Argument::tensor(in)},
                 {"size", Argument::list({batch, length, Argument::of_int(4),
                                          Argument::of_int(2)})}});
    const Nodes nodes = built.nodes();
    CHECK(Nodes(nodes.begin() + static_cast<ptrdiff_t>(before), nodes.end()) ==
          Nodes{"Reshape"});
    const ir::Node* reshape = result.front().value->producer();
    CHECK(reshape->input(1)->tensor().to_int64s() == Ints{0, 0, 4, 2});
    built.check(result.front(), x.reshape({2, 3, 4, 2}));
  }
  {
    HandBuilt built;
    ir::Value* in = built.input("x", x);
    const Argument batch = built.size(in, 0);
    const auto result =
        built.call("view", {{"self", Argument::tensor(in)},
                            {"size", Argument::list({batch, minus})}});
    CHECK(result.front().value->producer()->input(1)->tensor().to_int64s() ==
          Ints{0, -1});
    built.check(result.front(), x.reshape({2, -1}));
  }
  {
    // Neither size stands at its old place: the shape is computed.
    HandBuilt built;
    ir::Value* in = built.input("x", x);
    const auto result = built.call(
        "view", {{"self", Argument::tensor(in)},
                 {"size", Argument::list({built.size(in, 1), built.size(in, 0),
                                          built.size(in, 2)})}});
    built.check(result.front(), x.reshape({3, 2, 8}));
  }
}

TEST_CASE("aten: sizes that are none") {
  HandBuilt built;
  const Argument self = Argument::tensor(built.input("x", numbers({2, 3})));
  CHECK(built.error("view", {{"self", self}}) ==
        "test: aten::view: argument 'size' is absent, expected a list of ints");
  CHECK(built.error("view",
                    {{"self", self},
                     {"size", Argument::list({Argument::of_float(2)})}}) ==
        "test: aten::view: argument 'size' is list of float, expected a list "
        "of ints");
}

TEST_CASE("aten: counts of repetition may be computed") {
  HandBuilt built;
  ir::Value* in = built.input("x", numbers({2, 3}));
  const Argument self = Argument::tensor(in), two = built.size(in, 0);
  const auto tiled = built.call(
      "repeat", {{"self", self},
                 {"repeats", Argument::list({Argument::of_int(1), two})}});
  const auto each =
      built.call("repeat_interleave", {{"self", tiled.front()},
                                       {"repeats", two},
                                       {"dim", Argument::of_int(1)}});
  built.check(each.front(),
              numbers({2, 3}).repeat({1, 2}).repeat_interleave(2, 1));
}

TEST_CASE("aten: flatten, unflatten, ravel") {
  const at::Tensor x = numbers({2, 3, 4, 5});
  same_as_torch("aten::flatten.using_ints", {x});
  same_as_torch("aten::flatten.using_ints", {x, int64_t{1}});
  same_as_torch("aten::flatten.using_ints", {x, int64_t{1}, int64_t{2}});
  same_as_torch("aten::flatten.using_ints", {x, int64_t{2}, int64_t{-1}});
  same_as_torch("aten::flatten.using_ints", {x, int64_t{0}, int64_t{-2}});
  same_as_torch("aten::flatten.using_ints", {x, int64_t{-3}, int64_t{-3}});
  same_as_torch("aten::flatten.using_ints", {at::full({}, 2.0F)});
  same_as_torch("aten::flatten.using_ints", {numbers({2, 3}), int64_t{1}});
  same_as_torch("aten::unflatten.int", {x, int64_t{2}, Ints{2, 2}});
  same_as_torch("aten::unflatten.int", {x, int64_t{-1}, Ints{5, -1}});
  same_as_torch("aten::ravel", {x});
  CHECK(emitted_nodes("aten::flatten.using_ints", {x, int64_t{1}}) ==
        Nodes{"Flatten"});
  CHECK(emitted_nodes("aten::flatten.using_ints",
                      {numbers({2, 3}), int64_t{1}}) == Nodes{});
  CHECK(emit_error("aten::flatten.using_ints", {x, int64_t{2}, int64_t{1}}) ==
        "test: aten::flatten: start_dim 2 lies behind end_dim 1");
}

TEST_CASE("aten: squeeze and unsqueeze") {
  same_as_torch("aten::unsqueeze", {numbers({2, 3}), int64_t{0}});
  same_as_torch("aten::unsqueeze", {numbers({2, 3}), int64_t{-1}});
  same_as_torch("aten::unsqueeze", {at::full({}, 2.0F), int64_t{0}});
  same_as_torch("aten::squeeze", {numbers({1, 3, 1, 2})});
  same_as_torch("aten::squeeze.dim", {numbers({1, 3, 1, 2}), int64_t{-2}});
  same_as_torch("aten::squeeze.dim", {numbers({1, 3}), int64_t{1}},
                /*symbolic=*/false);
  same_as_torch("aten::squeeze.dim", {at::full({}, 2.0F), int64_t{0}});
  CHECK(emitted_nodes("aten::squeeze.dim", {numbers({1, 3}), int64_t{1}}) ==
        Nodes{});
  // Of unknown size and named: taken for 1.
  HandBuilt built;
  ir::Value* in = built.input("x", numbers({1, 3}));
  const auto result = built.call("squeeze", {{"self", Argument::tensor(in)},
                                             {"dim", Argument::list(Ints{0})}});
  built.check(result.front(), numbers({3}));
}

TEST_CASE("aten: axes in another order") {
  const at::Tensor x = numbers({2, 3, 4});
  same_as_torch("aten::transpose.int", {x, int64_t{0}, int64_t{-1}});
  same_as_torch("aten::transpose.int",
                {at::full({}, 2.0F), int64_t{0}, int64_t{-1}});
  same_as_torch("aten::swapaxes", {x, int64_t{1}, int64_t{2}});
  same_as_torch("aten::swapdims", {x, int64_t{1}, int64_t{0}});
  same_as_torch("aten::t", {numbers({2, 3})});
  same_as_torch("aten::t", {numbers({3})});
  same_as_torch("aten::numpy_T", {x});
  same_as_torch("aten::mT", {x});
  same_as_torch("aten::mH", {x});
  same_as_torch("aten::adjoint", {x});
  same_as_torch("aten::permute", {x, Ints{2, 0, -2}});
  same_as_torch("aten::movedim.int", {x, int64_t{0}, int64_t{-1}});
  same_as_torch("aten::movedim.intlist", {x, Ints{2, 0}, Ints{0, 1}});
  same_as_torch("aten::moveaxis.int", {x, int64_t{-1}, int64_t{1}});
  CHECK(emitted_nodes("aten::permute", {x, Ints{0, 1, 2}}) == Nodes{});
  CHECK(emit_error("aten::permute", {x, Ints{0, 1, 1}}) ==
        "test: aten::permute: argument 'dims' does not name each of the 3 axes "
        "once");
  CHECK(emit_error("aten::permute", {x, Ints{0, 1, 3}}) ==
        "test: aten::permute: argument 'dims' holds 3, but the tensor has "
        "rank 3");
  CHECK(emit_error("aten::t", {x}) ==
        "test: aten::t: found a tensor of rank 3, expected at most 2");
  CHECK(emit_error("aten::mT", {numbers({3})}) ==
        "test: aten::mT: found a tensor of rank 1, expected a matrix");
  CHECK(emit_error("aten::movedim.intlist", {x, Ints{0, 0}, Ints{0, 1}}) ==
        "test: aten::movedim: argument 'source' does not name each of the 3 "
        "axes once");
  CHECK(emit_error("aten::movedim.intlist", {x, Ints{0, 1}, Ints{1}}) ==
        "test: aten::movedim: moves 2 axes to 1 places");
}

TEST_CASE("aten: expand") {
  same_as_torch("aten::expand", {numbers({1, 3}), Ints{4, 3}});
  same_as_torch("aten::expand", {numbers({1, 3}), Ints{2, -1, -1}});
  same_as_torch("aten::expand", {numbers({2, 1, 3}), Ints{2, 5, -1}});
  same_as_torch("aten::expand", {at::full({}, 2.0F), Ints{2, 2}});
  same_as_torch("aten::expand", {at::full({}, true), Ints{3}});
  same_as_torch("aten::expand", {numbers({1, 3}), Ints{0, 3}});
  same_as_torch("aten::broadcast_to", {numbers({3, 1}), Ints{2, 3, 4}});
  same_as_torch("aten::expand_as", {numbers({1, 3}), numbers({2, 4, 3})});
  same_as_torch("aten::expand_as", {numbers({4, 1}), numbers({2, 4, 3})});
  CHECK(emitted_nodes("aten::expand", {numbers({2, 3}), Ints{-1, 3}}) ==
        Nodes{});
  CHECK(emitted_nodes("aten::expand", {numbers({2, 3}), Ints{1, -1, 3}}) ==
        Nodes{"Unsqueeze"});
  CHECK(emit_error("aten::expand", {numbers({2, 3}), Ints{3}}) ==
        "test: cannot expand a tensor of rank 2 to rank 1");
  HandBuilt built;
  ir::Value* in = built.input("x", numbers({3, 2}));
  ir::Value* row = built.builder.unsqueeze(
      built.builder.select(in, 0, Argument::of_int(0)), {0});
  const auto result = built.call(
      "expand",
      {{"self", Argument::tensor(row)},
       {"size", Argument::list({built.size(in, 0), Argument::of_int(-1)})}});
  built.check(result.front(), numbers({3, 2})[0].expand({3, 2}));
}

TEST_CASE("aten: repeat, tile, repeat_interleave") {
  const at::Tensor x = numbers({2, 3});
  same_as_torch("aten::repeat", {x, Ints{2, 1}});
  same_as_torch("aten::repeat", {x, Ints{2, 1, 3}});
  same_as_torch("aten::repeat", {x, Ints{1, 1, 1}});
  same_as_torch("aten::repeat", {at::arange(3), Ints{2}});
  same_as_torch("aten::tile", {x, Ints{2}});
  same_as_torch("aten::tile", {x, Ints{2, 1, 2}});
  same_as_torch("aten::repeat_interleave.self_int", {x, int64_t{2}});
  same_as_torch("aten::repeat_interleave.self_int",
                {x, int64_t{2}, int64_t{1}});
  same_as_torch("aten::repeat_interleave.self_int",
                {x, int64_t{3}, int64_t{-2}});
  same_as_torch("aten::repeat_interleave.self_int", {x, int64_t{0}});
  same_as_torch("aten::repeat_interleave.self_Tensor",
                {x, at::tensor({2, 0, 1}, at::kLong), int64_t{1}});
  same_as_torch("aten::repeat_interleave.self_Tensor",
                {x, at::tensor({2}, at::kLong), int64_t{1}});
  same_as_torch("aten::repeat_interleave.self_Tensor",
                {x, at::tensor({1, 2, 0, 3, 1, 1}, at::kLong)});
  same_as_torch("aten::repeat_interleave.Tensor",
                {at::tensor({1, 0, 3}, at::kInt)}, /*symbolic=*/false);
  CHECK(emitted_nodes("aten::repeat_interleave.self_int",
                      {x, int64_t{2}, int64_t{1}}) == Nodes{"Gather"});
  CHECK(emitted_nodes("aten::repeat", {x, Ints{2, 1}}) == Nodes{"Tile"});
  CHECK(emit_error("aten::repeat", {x, Ints{2}}) ==
        "test: aten::repeat: repeats 1 axes of a tensor of rank 2");
  HandBuilt built;
  ir::Value* in = built.input("x", x);
  const auto result =
      built.call("repeat_interleave",
                 {{"self", Argument::tensor(in)},
                  {"repeats", Argument::tensor(built.builder.ints({1, 2}))},
                  {"dim", Argument::of_int(0)}});
  CHECK(built.nodes() == Nodes{"Gather"});
  built.check(result.front(),
              x.repeat_interleave(at::tensor({1, 2}, at::kLong), 0));
}

TEST_CASE("aten: at least so many axes") {
  for (const char* op :
       {"aten::atleast_1d", "aten::atleast_2d", "aten::atleast_3d"})
    for (const at::Tensor& x : {at::full({}, 2.0F), numbers({3}),
                                numbers({3, 2}), numbers({1, 2, 3, 4})})
      same_as_torch(op, {x});
  same_as_torch("aten::atleast_2d.Sequence",
                {std::vector<at::Tensor>{numbers({3}), numbers({2, 2})}});
}

TEST_CASE("aten: sizes as tensors") {
  same_as_torch("aten::_shape_as_tensor", {numbers({2, 3})});
  HandBuilt built;
  ir::Value* in = built.input("x", numbers({2, 3}));
  const Argument count =
      built.call("numel", {{"self", Argument::tensor(in)}}).front();
  CHECK(count.kind == Argument::Kind::kInt);
  const auto result = built.call(
      "view", {{"self", Argument::tensor(in)},
               {"size", Argument::list({count, Argument::of_int(1)})}});
  CHECK(built.nodes() == Nodes{"Size", "Reshape"});
  built.check(result.front(), numbers({6, 1}));
  ir::Value* known = built.builder.reshape(in, {3, 2});
  CHECK(built.call("numel", {{"self", Argument::tensor(known)}})
            .front()
            .integer == 6);
}

TEST_CASE("aten: as_strided of a whole tensor") {
  same_as_torch("aten::as_strided", {numbers({2, 6}), Ints{4, 3}, Ints{3, 1}},
                /*symbolic=*/false);
  same_as_torch("aten::as_strided",
                {numbers({2, 6}), Ints{4, 1, 3}, Ints{3, 7, 1}},
                /*symbolic=*/false);
  const std::string message =
      "test: aten::as_strided: addresses memory by strides (index or reshape "
      "the tensor instead)";
  CHECK(emit_error("aten::as_strided",
                   {numbers({2, 6}), Ints{2, 2}, Ints{6, 1}}) == message);
  CHECK(emit_error("aten::as_strided",
                   {numbers({2, 6}), Ints{6, 2}, Ints{1, 6}}) == message);
  CHECK(emit_error("aten::as_strided", {numbers({2, 6}), Ints{12}, Ints{1},
                                        int64_t{1}}) == message);
}

TEST_CASE("aten: unfold along an axis") {
  const at::Tensor x = numbers({2, 7, 3});
  same_as_torch("aten::unfold", {x, int64_t{1}, int64_t{3}, int64_t{2}});
  same_as_torch("aten::unfold", {x, int64_t{-1}, int64_t{3}, int64_t{1}});
  same_as_torch("aten::unfold", {x, int64_t{0}, int64_t{1}, int64_t{1}});
  CHECK(emitted_nodes("aten::unfold", {x, int64_t{2}, int64_t{2},
                                       int64_t{1}}) == Nodes{"Gather"});
  CHECK(emit_error("aten::unfold", {x, int64_t{1}, int64_t{3}, int64_t{0}}) ==
        "test: aten::unfold: size is 3 and step is 0, expected positive ones");
  CHECK(emit_error("aten::unfold",
                   {at::full({}, 1.0F), int64_t{0}, int64_t{1}, int64_t{1}}) ==
        "test: aten::unfold: found a tensor without dimensions");
}

TEST_CASE("aten: im2col and col2im") {
  const at::Tensor x = at::randn({2, 3, 7, 8});
  same_as_torch("aten::im2col",
                {x, Ints{3, 2}, Ints{1, 2}, Ints{1, 0}, Ints{2, 1}});
  same_as_torch("aten::im2col",
                {x[0], Ints{3, 3}, Ints{1, 1}, Ints{0, 0}, Ints{1, 1}});
  const at::Tensor even = at::randn({2, 3, 4, 6});
  same_as_torch("aten::im2col",
                {even, Ints{2, 3}, Ints{1, 1}, Ints{0, 0}, Ints{2, 3}});
  CHECK(emitted_nodes("aten::im2col",
                      {even, Ints{2, 3}, Ints{1, 1}, Ints{0, 0}, Ints{2, 3}}) ==
        Nodes{"Reshape", "Transpose", "Reshape"});
  const Ints size{7, 8};
  const at::Tensor columns = at::randn({2, 12, 16});
  same_as_torch("aten::col2im",
                {columns, size, Ints{2, 2}, Ints{2, 1}, Ints{1, 0}, Ints{2, 2}},
                /*symbolic=*/false);
  same_as_torch("aten::col2im",
                {at::randn({12, 42}), size, Ints{2, 2}, Ints{1, 1}, Ints{0, 0},
                 Ints{1, 1}},
                /*symbolic=*/false);
  same_as_torch("aten::col2im",
                {at::randn({2, 12, 16}), Ints{8, 8}, Ints{2, 2}, Ints{1, 1},
                 Ints{0, 0}, Ints{2, 2}},
                /*symbolic=*/false);
  same_as_torch("aten::col2im",
                {at::randn({2, 8, 12}, at::kDouble), Ints{4, 5}, Ints{2, 2},
                 Ints{1, 1}, Ints{0, 0}, Ints{1, 1}},
                /*symbolic=*/false);
  CHECK(emitted_nodes("aten::col2im",
                      {at::randn({2, 12, 16}), Ints{8, 8}, Ints{2, 2},
                       Ints{1, 1}, Ints{0, 0}, Ints{2, 2}}) ==
        Nodes{"Reshape", "Transpose", "Reshape"});
  CHECK(emit_error(
            "aten::col2im",
            {columns, size, Ints{2, 2}, Ints{1, 1}, Ints{0, 0}, Ints{2, 2}},
            /*symbolic=*/true) ==
        "test: the number of channels must be known and is not (dimension 1 of "
        "'self') (give the inputs' shapes with --input-shape)");
  CHECK(emit_error("aten::col2im", {columns, Ints{1, 8}, Ints{2, 2}, Ints{1, 1},
                                    Ints{0, 0}, Ints{2, 2}}) ==
        "test: aten::col2im: the kernel does not fit the padded output");
  CHECK(emit_error("aten::im2col",
                   {x, Ints{3, 0}, Ints{1, 1}, Ints{0, 0}, Ints{1, 1}}) ==
        "test: aten::im2col: kernel_size, dilation, padding or stride is out "
        "of range");
  CHECK(emit_error("aten::im2col",
                   {x, Ints{100, 100}, Ints{1, 1}, Ints{0, 0}, Ints{1, 1}}) ==
        "test: aten::im2col: the kernel has 10000 elements, expected at most "
        "1024");
}

}  // namespace
}  // namespace lathe::test
