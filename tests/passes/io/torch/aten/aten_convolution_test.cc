#include "tests/passes/io/torch/aten/aten_expected.h"

namespace lathe::test {
namespace {

TEST_CASE("aten: conv1d, conv2d and conv3d") {
  same_as_torch("aten::conv1d", {random({2, 4, 9}), random({3, 4, 3})});
  same_as_torch("aten::conv1d", {random({2, 4, 9}), random({6, 2, 3}),
                                 random({6}), Ints{2}, Ints{1}, Ints{2}, 2});
  same_as_torch("aten::conv2d",
                {random({2, 3, 8, 9}), random({5, 3, 3, 2}), random({5})});
  same_as_torch("aten::conv2d", {random({1, 4, 9, 8}), random({4, 1, 3, 3}),
                                 kNone, Ints{2, 1}, Ints{1, 2}, Ints{1, 2}, 4});
  same_as_torch("aten::conv3d",
                {random({1, 2, 5, 6, 7}), random({3, 2, 2, 3, 1}), random({3}),
                 Ints{1, 2, 1}, Ints{1, 1, 0}});
  CHECK(emitted_nodes("aten::conv2d", {random({2, 3, 8, 9}),
                                       random({5, 3, 3, 2}), random({5})}) ==
        std::vector<std::string>{"Conv"});
}

TEST_CASE("aten: one number stands for all axes of a convolution") {
  same_as_torch("aten::conv2d", {random({1, 2, 8, 7}), random({2, 2, 3, 3}),
                                 kNone, Ints{2}, Ints{1}, Ints{1}});
}

TEST_CASE("aten: convolutions of inputs without a batch") {
  same_as_torch("aten::conv1d", {random({4, 9}), random({3, 4, 3})});
  same_as_torch("aten::conv2d",
                {random({3, 8, 9}), random({5, 3, 3, 2}), random({5})});
  same_as_torch("aten::conv3d",
                {random({2, 5, 6, 7}), random({3, 2, 2, 3, 1})});
  same_as_torch("aten::conv_transpose2d.input",
                {random({3, 4, 5}), random({3, 2, 3, 2})});
}

TEST_CASE("aten: convolutions in double and half precision types") {
  same_as_torch("aten::conv2d", {random({1, 2, 5, 5}).to(at::kDouble),
                                 random({3, 2, 3, 3}).to(at::kDouble),
                                 random({3}).to(at::kDouble)});
  CHECK(emitted_nodes("aten::conv2d", {random({1, 2, 5, 5}).to(at::kDouble),
                                       random({3, 2, 3, 3}).to(at::kDouble)}) ==
        std::vector<std::string>{"Cast", "Cast", "Conv", "Cast"});
  CHECK(emitted_nodes("aten::conv2d", {random({1, 2, 5, 5}).to(at::kHalf),
                                       random({3, 2, 3, 3}).to(at::kHalf)}) ==
        std::vector<std::string>{"Conv"});
}

TEST_CASE("aten: padding of convolutions as a word") {
  for (const char* mode : {"same", "valid"}) {
    CAPTURE(mode);
    same_as_torch("aten::conv1d.padding",
                  {random({2, 4, 9}), random({3, 4, 4}), random({3}), Ints{1},
                   mode, Ints{2}});
    same_as_torch("aten::conv2d.padding",
                  {random({2, 4, 9, 7}), random({4, 2, 2, 3}), kNone,
                   Ints{1, 1}, mode, Ints{1, 3}, 2});
    same_as_torch("aten::conv3d.padding",
                  {random({1, 2, 5, 6, 7}), random({3, 2, 3, 2, 1}), kNone,
                   Ints{1, 1, 1}, mode});
  }
  same_as_torch("aten::_convolution_mode",
                {random({2, 4, 9}), random({3, 4, 4}), random({3}), Ints{1},
                 "same", Ints{1}, 1});
  same_as_torch(
      "aten::conv2d.padding",
      {random({1, 1, 9, 7}), random({4, 1, 2, 3}), kNone, Ints{2, 3}, "valid"});
  CHECK(emit_error(
            "aten::conv1d.padding",
            {random({2, 4, 9}), random({3, 4, 4}), kNone, Ints{2}, "same"}) ==
        "test: aten::conv1d: padding 'same' with the stride 2, but PyTorch "
        "defines it for stride 1 only (give the padding as numbers)");
  CHECK(emit_error(
            "aten::conv1d.padding",
            {random({2, 4, 9}), random({3, 4, 4}), kNone, Ints{1}, "full"}) ==
        "test: aten::conv1d: argument 'padding' is 'full', expected 'same' or "
        "'valid'");
}

TEST_CASE("aten: transposed convolutions") {
  same_as_torch("aten::conv_transpose1d",
                {random({2, 4, 5}), random({4, 3, 3}), random({3}), Ints{2},
                 Ints{1}, Ints{1}, 1, Ints{1}});
  same_as_torch("aten::conv_transpose2d.input",
                {random({2, 4, 5, 6}), random({4, 3, 3, 2})});
  same_as_torch("aten::conv_transpose2d.input",
                {random({2, 4, 5, 6}), random({4, 3, 3, 2}), random({6}),
                 Ints{2, 3}, Ints{1, 0}, Ints{1, 2}, 2, Ints{2, 1}});
  same_as_torch("aten::conv_transpose3d.input",
                {random({1, 2, 3, 4, 3}), random({2, 2, 2, 3, 2}), random({2}),
                 Ints{2, 1, 2}, Ints{0, 1, 0}, Ints{1, 0, 0}});
  CHECK(emitted_nodes("aten::conv_transpose1d",
                      {random({2, 4, 5}), random({4, 3, 3})}) ==
        std::vector<std::string>{"ConvTranspose"});
}

TEST_CASE("aten: convolution with a flag for the transposed one") {
  for (const bool transposed : {false, true}) {
    CAPTURE(transposed);
    const at::Tensor weight =
        transposed ? random({4, 3, 3, 3}) : random({6, 2, 3, 3});
    const Ints output_padding = transposed ? Ints{1, 0} : Ints{0, 0};
    std::vector<c10::IValue> args{
        random({2, 4, 7, 6}), weight,         random({6}),
        Ints{2, 2},           Ints{1, 1},     Ints{1, 1},
        transposed,           output_padding, 2};
    same_as_torch("aten::convolution", args);
    for (int extra = 0; extra < 3; ++extra) args.emplace_back(false);
    same_as_torch("aten::_convolution.deprecated", args);
    args.emplace_back(true);
    same_as_torch("aten::_convolution", args);
  }
}

TEST_CASE("aten: conv_tbc") {
  same_as_torch("aten::conv_tbc",
                {random({7, 2, 3}), random({3, 3, 4}), random({4}), 1});
}

TEST_CASE("aten: convolutions that do not fit") {
  CHECK(emit_error("aten::conv2d", {random({2, 3, 8, 9}), random({5, 3})}) ==
        "test: aten::conv2d: the weight has rank 2, expected 3, 4 or 5");
  CHECK(emit_error("aten::conv2d", {random({2, 3, 8, 9}), random({5, 3, 3, 3}),
                                    kNone, Ints{1, 1, 1}}) ==
        "test: aten::conv2d: argument 'stride' has 3 elements, expected 2");
  CHECK(emit_error("aten::conv2d", {random({2, 3, 8, 9}), random({5, 3, 3, 3}),
                                    kNone, Ints{0, 1}}) ==
        "test: Conv 'Conv': attribute 'strides' has the value 0, but needs at "
        "least 1");
}

}  // namespace
}  // namespace lathe::test
