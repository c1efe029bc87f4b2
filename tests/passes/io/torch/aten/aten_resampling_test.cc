#include "tests/passes/io/torch/aten/hand_built.h"

namespace lathe::test {
namespace {

using Ints = std::vector<int64_t>;
using Nodes = std::vector<std::string>;
using Reals = std::vector<double>;
using io::aten::Argument;

const c10::IValue kNone;

// Every method of resampling images, with what stands between the sizes and
// the scales.
struct Method {
  const char* name;
  std::vector<c10::IValue> align;
};

const std::vector<Method> kImageMethods{{"aten::upsample_nearest2d", {}},
                                        {"aten::_upsample_nearest_exact2d", {}},
                                        {"aten::upsample_bilinear2d", {false}},
                                        {"aten::upsample_bilinear2d", {true}},
                                        {"aten::upsample_bicubic2d", {false}},
                                        {"aten::upsample_bicubic2d", {true}}};

std::vector<c10::IValue> arguments(const at::Tensor& x, c10::IValue size,
                                   const Method& method,
                                   std::vector<c10::IValue> scales) {
  std::vector<c10::IValue> args{x, std::move(size)};
  args.insert(args.end(), method.align.begin(), method.align.end());
  args.insert(args.end(), scales.begin(), scales.end());
  return args;
}

TEST_CASE("aten: images resampled to a size") {
  const at::Tensor x = at::randn({2, 3, 5, 6});
  const std::vector<Ints> sizes{{10, 12}, {7, 13}, {3, 2},  {5, 6},
                                {1, 1},   {15, 4}, {29, 31}};
  for (const Method& method : kImageMethods)
    for (const Ints& size : sizes) {
      CAPTURE(size[0]);
      same_as_torch(method.name, arguments(x, size, method, {}));
      same_as_torch(std::string(method.name) + ".vec",
                    arguments(x, size, method, {kNone}));
    }
}

TEST_CASE("aten: images resampled by a factor") {
  const at::Tensor x = at::randn({2, 3, 5, 6});
  const std::vector<Reals> factors{{2, 2}, {0.5, 0.5}, {1.7, 0.9},
                                   {3, 1}, {0.3, 2.3}, {1.2, 1.4}};
  for (const Method& method : kImageMethods)
    for (const Reals& factor : factors) {
      CAPTURE(factor[0]);
      same_as_torch(std::string(method.name) + ".vec",
                    arguments(x, kNone, method, {factor}));
      const Ints size{static_cast<int64_t>(5 * factor[0]),
                      static_cast<int64_t>(6 * factor[1])};
      same_as_torch(method.name,
                    arguments(x, size, method, {factor[0], factor[1]}));
    }
}

TEST_CASE("aten: nearest neighbours where rounding decides") {
  for (const int64_t from : {2, 4, 6, 10, 49, 60})
    for (const int64_t to : {9, 11, 41, 74, 82, 94}) {
      CAPTURE(from);
      CAPTURE(to);
      const at::Tensor x = at::arange(from, at::kFloat).reshape({1, 1, from});
      same_as_torch("aten::upsample_nearest1d", {x, Ints{to}}, false);
      same_as_torch("aten::_upsample_nearest_exact1d", {x, Ints{to}}, false);
      const double factor = static_cast<double>(to) / static_cast<double>(from);
      same_as_torch("aten::upsample_nearest1d.vec",
                    {x, kNone, Reals{factor + 1e-9}}, false);
      same_as_torch("aten::_upsample_nearest_exact1d.vec",
                    {x, kNone, Reals{factor + 1e-9}}, false);
    }
}

TEST_CASE("aten: sequences and volumes resampled") {
  const at::Tensor line = at::randn({2, 3, 7});
  const at::Tensor volume = at::randn({1, 2, 3, 4, 5});
  for (const int64_t size : {3, 7, 14, 20}) {
    same_as_torch("aten::upsample_nearest1d", {line, Ints{size}});
    same_as_torch("aten::_upsample_nearest_exact1d", {line, Ints{size}});
    same_as_torch("aten::upsample_linear1d", {line, Ints{size}, false});
    same_as_torch("aten::upsample_linear1d", {line, Ints{size}, true});
  }
  same_as_torch("aten::upsample_linear1d", {line, Ints{14}, false, 2.0});
  same_as_torch("aten::upsample_linear1d.vec",
                {line, kNone, false, Reals{1.5}});
  const Ints larger{6, 5, 11}, smaller{2, 3, 4};
  for (const Ints& size : {larger, smaller}) {
    same_as_torch("aten::upsample_nearest3d", {volume, size});
    same_as_torch("aten::_upsample_nearest_exact3d", {volume, size});
    same_as_torch("aten::upsample_trilinear3d", {volume, size, false});
    same_as_torch("aten::upsample_trilinear3d", {volume, size, true});
  }
  same_as_torch("aten::upsample_nearest3d.vec",
                {volume, kNone, Reals{2, 2, 2}});
  same_as_torch("aten::upsample_trilinear3d.vec",
                {volume, kNone, false, Reals{2, 1.5, 0.5}});
}

TEST_CASE("aten: resampled element types") {
  const at::Tensor x = at::arange(24).reshape({1, 2, 3, 4});
  for (const auto type : {at::kByte, at::kDouble}) {
    same_as_torch("aten::upsample_nearest2d", {x.to(type), Ints{6, 5}});
    same_as_torch("aten::_upsample_nearest_exact2d", {x.to(type), Ints{4, 8}});
  }
  same_as_torch("aten::upsample_bilinear2d",
                {x.to(at::kDouble), Ints{6, 5}, false});
}

TEST_CASE("aten: how resampling is written") {
  const at::Tensor x = at::randn({1, 2, 4, 4});
  CHECK(emitted_nodes("aten::upsample_nearest2d", {x, Ints{8, 8}}) ==
        Nodes{"Resize"});
  CHECK(emitted_nodes("aten::upsample_bilinear2d", {x, Ints{7, 7}, false}) ==
        Nodes{"Resize"});
  // Where float32 rounds Resize to a neighbour, PyTorch's choice is listed.
  CHECK(emitted_nodes("aten::upsample_nearest1d",
                      {at::randn({1, 1, 6}), Ints{74}}) == Nodes{"Gather"});
  CHECK(emitted_nodes("aten::_upsample_nearest_exact1d",
                      {at::randn({1, 1, 2}), Ints{41}}) == Nodes{"Gather"});
  // The batch may stay open: scales and no sizes.
  HandBuilt built;
  ir::Value* in = built.input("x", x);
  built.call("upsample_bilinear2d",
             {{"input", Argument::tensor(in)},
              {"output_size", Argument::none()},
              {"align_corners", Argument::of_bool(false)},
              {"scale_factors", Argument::list({Argument::of_float(2),
                                                Argument::of_float(2)})}});
  CHECK(built.nodes() == Nodes{"Resize"});
}

TEST_CASE("aten: resampling to a computed size") {
  const at::Tensor x = at::randn({2, 3, 5, 6}), y = at::randn({1, 1, 9, 7});
  HandBuilt built;
  ir::Value *in = built.input("x", x), *other = built.input("y", y);
  const auto result = built.call(
      "upsample_bilinear2d",
      {{"self", Argument::tensor(in)},
       {"output_size",
        Argument::list({built.size(other, 2), built.size(other, 3)})},
       {"align_corners", Argument::of_bool(false)}});
  built.check(result.front(), at::upsample_bilinear2d(x, Ints{9, 7}, false));
}

TEST_CASE("aten: resampling that is not possible") {
  const at::Tensor x = at::randn({1, 2, 4, 4});
  CHECK(emit_error("aten::upsample_nearest2d", {x[0], Ints{8, 8}}) ==
        "test: aten::upsample_nearest2d: found a tensor of rank 3, expected 4");
  CHECK(emit_error("aten::upsample_nearest2d", {x, Ints{8}}) ==
        "test: aten::upsample_nearest2d: argument 'output_size' has 1 "
        "elements, expected 2");
  CHECK(emit_error("aten::upsample_nearest2d", {x, Ints{8, 0}}) ==
        "test: aten::upsample_nearest2d: an output size is 0, expected a "
        "positive one");
  CHECK(emit_error("aten::upsample_nearest2d.vec", {x, kNone, kNone}) ==
        "test: aten::upsample_nearest2d: neither output_size nor scale_factors "
        "is given");
  CHECK(emit_error("aten::upsample_nearest2d.vec", {x, kNone, Reals{2}}) ==
        "test: aten::upsample_nearest2d: argument 'scale_factors' is list of "
        "float, expected 2 numbers");
  CHECK(emit_error("aten::upsample_nearest2d.vec", {x, kNone, Reals{2, 1e9}}) ==
        "test: aten::upsample_nearest2d: a scale factor is out of range");
  CHECK(emit_error("aten::upsample_bilinear2d",
                   {x, Ints{8, 9}, false, 2.0, 2.0}) ==
        "test: aten::upsample_bilinear2d: output size 9 is not input size 4 "
        "times scale factor 2.000000");
}

TEST_CASE("aten: antialiasing is nothing where nothing shrinks") {
  const at::Tensor x = at::randn({2, 3, 4, 5});
  for (const char* op :
       {"aten::_upsample_bilinear2d_aa", "aten::_upsample_bicubic2d_aa"}) {
    same_as_torch(op, {x, Ints{7, 11}, false}, /*symbolic=*/false);
    same_as_torch(op, {x, Ints{4, 10}, false}, /*symbolic=*/false);
    same_as_torch(std::string(op) + ".vec", {x, kNone, false, Reals{2, 1.5}});
  }
  const std::string message =
      "test: aten::_upsample_bilinear2d_aa: shrinks with antialiasing, which "
      "ONNX opset 17 lacks (interpolate with antialias=False)";
  CHECK(emit_error("aten::_upsample_bilinear2d_aa", {x, Ints{3, 8}, false}) ==
        message);
  CHECK(emit_error("aten::_upsample_bilinear2d_aa", {x, Ints{8, 8}, false},
                   /*symbolic=*/true) == message);
}

TEST_CASE("aten: grid_sampler") {
  const at::Tensor x = at::randn({2, 3, 5, 6});
  const at::Tensor grid = at::rand({2, 4, 7, 2}) * 2.6 - 1.3;
  for (const int64_t mode : {0, 1, 2})
    for (const int64_t padding : {0, 1, 2})
      for (const bool align_corners : {false, true}) {
        CAPTURE(mode);
        CAPTURE(padding);
        same_as_torch("aten::grid_sampler",
                      {x, grid, mode, padding, align_corners}, true,
                      {1e-4, 1e-4});
      }
  same_as_torch("aten::grid_sampler_2d",
                {x, grid, int64_t{0}, int64_t{0}, false});
  same_as_torch(
      "aten::grid_sampler_2d",
      {x.to(at::kDouble), grid.to(at::kDouble), int64_t{0}, int64_t{0}, false});
  CHECK(emitted_nodes("aten::grid_sampler", {x, grid, int64_t{0}, int64_t{0},
                                             false}) == Nodes{"GridSample"});
  CHECK(emit_error("aten::grid_sampler_3d",
                   {at::randn({1, 1, 2, 2, 2}), at::randn({1, 2, 2, 2, 3}),
                    int64_t{0}, int64_t{0}, false}) ==
        "test: aten::grid_sampler_3d: found a tensor of rank 5, but ONNX opset "
        "17 samples images (rank 4) only (sample slice by slice)");
  CHECK(emit_error("aten::grid_sampler",
                   {x, grid, int64_t{3}, int64_t{0}, false}) ==
        "test: aten::grid_sampler: interpolation_mode is 3 and padding_mode is "
        "0, expected 0 to 2");
}

TEST_CASE("aten: affine_grid_generator") {
  const at::Tensor flat = at::randn({2, 2, 3}), solid = at::randn({1, 3, 4});
  for (const bool align_corners : {false, true}) {
    same_as_torch("aten::affine_grid_generator",
                  {flat, Ints{2, 3, 4, 5}, align_corners});
    same_as_torch("aten::affine_grid_generator",
                  {flat, Ints{2, 3, 1, 5}, align_corners});
    same_as_torch("aten::affine_grid_generator",
                  {solid, Ints{1, 3, 2, 4, 5}, align_corners});
  }
  CHECK(emitted_nodes("aten::affine_grid_generator",
                      {flat, Ints{2, 3, 4, 5}, true}) ==
        Nodes{"Transpose", "MatMul", "Reshape"});
  CHECK(
      emit_error("aten::affine_grid_generator", {flat, Ints{2, 3, 4}, true}) ==
      "test: aten::affine_grid_generator: argument 'size' has 3 elements, "
      "expected 4 or 5");
  CHECK(emit_error("aten::affine_grid_generator",
                   {flat, Ints{2, 3, 1 << 20, 1 << 20}, true}) ==
        "test: aten::affine_grid_generator: the grid has an axis of size "
        "1048576, expected at most 4194304 points in all");
}

TEST_CASE("aten: channels and pixels exchanged") {
  const at::Tensor x = at::randn({2, 8, 3, 4});
  same_as_torch("aten::pixel_shuffle", {x, int64_t{2}});
  same_as_torch("aten::pixel_shuffle", {x[0], int64_t{2}});
  same_as_torch("aten::pixel_shuffle", {x.unsqueeze(0), int64_t{2}});
  const at::Tensor image = at::randn({2, 3, 4, 6});
  same_as_torch("aten::pixel_unshuffle", {image, int64_t{2}}, false);
  same_as_torch("aten::pixel_unshuffle", {image[0], int64_t{2}}, false);
  same_as_torch("aten::pixel_unshuffle", {at::randn({2, 1, 4, 6}), int64_t{2}});
  CHECK(emitted_nodes("aten::pixel_shuffle", {x, int64_t{2}}) ==
        Nodes{"DepthToSpace"});
  CHECK(emitted_nodes("aten::pixel_unshuffle", {image, int64_t{2}}) ==
        Nodes{"SpaceToDepth", "Gather"});
  CHECK(emit_error("aten::pixel_unshuffle", {image, int64_t{2}}, true) ==
        "test: the number of channels must be known and is not (dimension 1 of "
        "'self') (give the inputs' shapes with --input-shape)");
  CHECK(emit_error("aten::pixel_shuffle", {x, int64_t{0}}) ==
        "test: aten::pixel_shuffle: argument 'upscale_factor' is 0, expected a "
        "positive number");
  CHECK(emit_error("aten::pixel_shuffle", {x[0][0], int64_t{2}}) ==
        "test: aten::pixel_shuffle: found a tensor of rank 2, expected at "
        "least 3");
  same_as_torch("aten::channel_shuffle", {x, int64_t{4}}, false);
  same_as_torch("aten::channel_shuffle", {at::randn({2, 6, 5}), int64_t{3}},
                false);
  same_as_torch("aten::native_channel_shuffle", {x, int64_t{2}}, false);
  CHECK(emitted_nodes("aten::channel_shuffle", {x, int64_t{4}}) ==
        Nodes{"Reshape", "Transpose", "Reshape"});
  CHECK(emit_error("aten::channel_shuffle", {x, int64_t{0}}) ==
        "test: aten::channel_shuffle: groups is 0, expected a positive number");
}

}  // namespace
}  // namespace lathe::test
