#include "tests/passes/io/torch/aten/hand_built.h"

namespace lathe::test {
namespace {

using Ints = std::vector<int64_t>;
using Nodes = std::vector<std::string>;
using io::aten::Argument;

TEST_CASE("aten: padding with a constant") {
  const at::Tensor x = numbers({2, 3, 4});
  same_as_torch("aten::constant_pad_nd", {x, Ints{1, 2}});
  same_as_torch("aten::constant_pad_nd", {x, Ints{1, 0, 0, 2}, 2.5});
  same_as_torch("aten::constant_pad_nd", {x, Ints{-1, 2, 1, -1, 0, 1}, -1.0});
  same_as_torch("aten::constant_pad_nd", {x, Ints{-1, -2}});
  same_as_torch("aten::constant_pad_nd", {x, Ints{0, -4}});
  same_as_torch("aten::constant_pad_nd", {x, Ints{0, 0}});
  same_as_torch("aten::pad", {x, Ints{1, 2}});
  same_as_torch("aten::pad", {x, Ints{1, 2}, "constant", 3.5});
  same_as_torch("aten::_pad_enum", {x, Ints{1, 2}, int64_t{3}, 3.5});
  for (const auto type : {at::kDouble, at::kLong, at::kInt, at::kShort,
                          at::kChar, at::kByte, at::kBool, at::kHalf}) {
    same_as_torch("aten::constant_pad_nd", {x.to(type), Ints{1, 1}});
    same_as_torch("aten::constant_pad_nd",
                  {x.to(type), Ints{1, 1}, int64_t{1}});
  }
  CHECK(emitted_nodes("aten::constant_pad_nd", {x, Ints{1, 2}}) ==
        Nodes{"Pad"});
  CHECK(emitted_nodes("aten::constant_pad_nd", {x, Ints{-1, 0}}) ==
        Nodes{"Slice"});
  CHECK(emit_error("aten::constant_pad_nd", {x, Ints{1, 2, 3}}) ==
        "test: aten::constant_pad_nd: argument 'pad' has 3 elements, expected "
        "pairs for at most 3 axes");
}

TEST_CASE("aten: padding by computed numbers") {
  const at::Tensor x = numbers({2, 3});
  HandBuilt built;
  ir::Value* in = built.input("x", x);
  const Argument two = built.size(in, 0);
  const Argument pads = Argument::list({Argument::of_int(1), two});
  const auto result =
      built.call("pad", {{"self", Argument::tensor(in)}, {"pad", pads}});
  built.check(result.front(), at::constant_pad_nd(x, Ints{1, 2}));
  CHECK(built.error("reflection_pad1d",
                    {{"self", Argument::tensor(in)}, {"padding", pads}}) ==
        "test: aten::reflection_pad1d: pads by computed numbers (they depend "
        "on input sizes; give them with --input-shape)");
}

TEST_CASE("aten: padding by reflection and replication") {
  const at::Tensor x = numbers({2, 3, 4, 5});
  same_as_torch("aten::reflection_pad1d", {x[0], Ints{2, 3}});
  same_as_torch("aten::reflection_pad1d", {x[0][0], Ints{1, 0}});
  same_as_torch("aten::reflection_pad2d", {x, Ints{1, 2, 0, 1}});
  same_as_torch("aten::reflection_pad3d",
                {numbers({1, 2, 3, 4, 5}), Ints{1, 2, 0, 1, 2, 1}});
  same_as_torch("aten::replication_pad1d", {x[0], Ints{7, 3}});
  same_as_torch("aten::replication_pad2d", {x, Ints{1, 2, 0, 5}});
  same_as_torch("aten::replication_pad3d",
                {numbers({1, 2, 3, 4, 5}), Ints{1, 2, 0, 1, 2, 1}});
  same_as_torch("aten::reflection_pad2d",
                {x.to(at::kDouble), Ints{1, 1, 1, 1}});
  same_as_torch("aten::pad", {x, Ints{1, 2, 0, 1}, "reflect"});
  same_as_torch("aten::pad", {x, Ints{1, 2, 0, 1}, "replicate"});
  same_as_torch("aten::_pad_enum", {x, Ints{1, 2, 0, 1}, int64_t{0}});
  same_as_torch("aten::_pad_enum", {x, Ints{1, 2, 0, 1}, int64_t{1}});
  CHECK(emitted_nodes("aten::reflection_pad1d", {x[0], Ints{2, 3}}) ==
        Nodes{"Pad"});
  CHECK(emit_error("aten::pad", {x, Ints{1, 1}, "mirror"}) ==
        "test: aten::pad: argument 'mode' is 'mirror', expected constant, "
        "reflect, replicate or circular");
  CHECK(emit_error("aten::_pad_enum", {x, Ints{1, 1}, int64_t{7}}) ==
        "test: aten::_pad_enum: argument 'mode' is 7, expected 0 to 3");
}

TEST_CASE("aten: circular padding") {
  const at::Tensor x = numbers({2, 3, 4, 5});
  same_as_torch("aten::pad", {x, Ints{1, 2, 0, 3}, "circular"});
  same_as_torch("aten::_pad_circular", {x[0], Ints{4, 0}});
  same_as_torch("aten::_pad_circular", {x[0], Ints{-1, 2}});
  same_as_torch("aten::_pad_enum", {x, Ints{1, 2, 0, 1}, int64_t{2}});
  CHECK(emitted_nodes("aten::pad", {x[0], Ints{1, 2}, "circular"}) ==
        Nodes{"Slice", "Slice", "Concat"});
}

}  // namespace
}  // namespace lathe::test
