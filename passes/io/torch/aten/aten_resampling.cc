// upsample_* as ONNX's Resize.
//
// PyTorch maps an output index to an input coordinate with a scale that is
// either 1 / (the factor it was given) or input size / output size; Resize does
// the same with `scales` and `sizes`.
#include <algorithm>
#include <cmath>
#include <string>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

enum class Method { kNearest, kNearestExact, kLinear, kCubic };

// Longer axes are not gathered position by position.
constexpr int64_t kMaxPositions = 1 << 16;

// One spatial axis of the request.
struct Axis {
  std::optional<int64_t> input;  // size, when known
  Argument output;               // size; none: input * factor, rounded down
  std::optional<double> factor;

  std::optional<int64_t> known_output() const {
    if (is_constant_int(output)) return output.integer;
    return std::nullopt;
  }
};

struct Request {
  Value* input;
  int64_t first;  // the first spatial axis
  std::vector<Axis> axes;
  bool align_corners;
};

std::vector<std::optional<double>> factors_of(const AtenCall& call,
                                              size_t count) {
  std::vector<std::optional<double>> factors(count);
  if (call.given("scale_factors")) {
    const Argument& list = call["scale_factors"];
    if (!list.is_list() || list.items.size() != count)
      call.unsupported("argument 'scale_factors' is " + describe(list) +
                       ", expected " + std::to_string(count) + " numbers");
    for (size_t i = 0; i < count; ++i) {
      if (!list.items[i].is_number() || list.items[i].value)
        call.unsupported("argument 'scale_factors' holds " +
                         describe(list.items[i]) +
                         ", expected constant numbers");
      factors[i] = list.items[i].number();
    }
  } else {
    constexpr const char* kNames[] = {"scales_d", "scales_h", "scales_w"};
    for (size_t i = 0; i < count; ++i) {
      const char* name = count == 1 ? "scales" : kNames[3 - count + i];
      if (call.given(name)) factors[i] = call.real(name);
    }
  }
  for (std::optional<double>& factor : factors) {
    if (!factor) continue;
    // PyTorch passes over factors that are not positive.
    if (!(*factor > 0))
      factor.reset();
    else if (!(*factor < 1e6))
      call.unsupported("a scale factor is out of range");
  }
  return factors;
}

Request read_request(const AtenCall& call, size_t spatial) {
  OnnxBuilder& builder = call.builder();
  Request request{call.tensor(call.given("input") ? "input" : "self"), 2,
                  std::vector<Axis>(spatial),
                  call.flag("align_corners", false)};
  const int64_t rank = builder.rank(request.input);
  if (rank != static_cast<int64_t>(spatial) + 2)
    call.unsupported("found a tensor of rank " + std::to_string(rank) +
                     ", expected " + std::to_string(spatial + 2));
  const auto factors = factors_of(call, spatial);
  Sizes sizes(spatial);
  if (call.given("output_size")) sizes = size_list(call, "output_size");
  if (sizes.size() != spatial)
    call.unsupported("argument 'output_size' has " +
                     std::to_string(sizes.size()) + " elements, expected " +
                     std::to_string(spatial));
  for (size_t i = 0; i < spatial; ++i) {
    Axis& axis = request.axes[i];
    axis.input = builder.known_dim(request.input,
                                   request.first + static_cast<int64_t>(i));
    axis.output = sizes[i];
    axis.factor = factors[i];
    if (axis.output.is_none() && !axis.factor)
      call.unsupported("neither output_size nor scale_factors is given");
    if (axis.output.is_none() && axis.input) {
      const double size = static_cast<double>(*axis.input) * *axis.factor;
      if (!(size < 0x1p31)) call.unsupported("the output would be too large");
      axis.output = Argument::of_int(static_cast<int64_t>(size));
    }
    if (is_constant_int(axis.output) && axis.output.integer <= 0)
      call.unsupported("an output size is " +
                       std::to_string(axis.output.integer) +
                       ", expected a positive one");
  }
  return request;
}

// A float32 near `scale` with which Resize gets to this size; nullopt: none.
std::optional<float> scale_for(double scale, int64_t input, int64_t output) {
  auto fits = [&](float candidate) {
    return static_cast<int64_t>(
               std::floor(static_cast<float>(input) * candidate)) == output;
  };
  const auto exact = static_cast<float>(scale);
  for (const float candidate :
       {exact, std::nextafterf(exact, 2e6F), std::nextafterf(exact, 0)})
    if (fits(candidate)) return candidate;
  return std::nullopt;
}

// Scales for every axis, where the request can be told that way.
std::optional<std::vector<float>> scales_of(const AtenCall& call,
                                            const Request& request) {
  std::vector<float> scales(static_cast<size_t>(request.first), 1);
  for (const Axis& axis : request.axes) {
    const auto output = axis.known_output();
    if (axis.input && output) {
      if (*axis.input == 0) return std::nullopt;
      const double scale = axis.factor.value_or(
          static_cast<double>(*output) / static_cast<double>(*axis.input));
      const auto found = scale_for(scale, *axis.input, *output);
      if (!found && axis.factor)
        call.unsupported("output size " + std::to_string(*output) +
                         " is not input size " + std::to_string(*axis.input) +
                         " times scale factor " + std::to_string(scale));
      if (!found) return std::nullopt;
      scales.push_back(*found);
    } else if (axis.factor) {
      scales.push_back(static_cast<float>(*axis.factor));
    } else {
      return std::nullopt;
    }
  }
  return scales;
}

// Whether coordinates follow the factors and not the sizes.
bool by_factor(const Request& request) {
  return !request.align_corners &&
         std::ranges::any_of(request.axes, [](const Axis& axis) {
           return axis.factor.has_value();
         });
}

// The input index that PyTorch copies an output index from.
int64_t torch_nearest(const Axis& axis, int64_t index, bool exact) {
  const int64_t input = *axis.input, output = axis.output.integer;
  if (!exact && output == input) return index;
  if (!exact && output == 2 * input) return index / 2;
  const float scale =
      axis.factor ? static_cast<float>(1.0 / *axis.factor)
                  : static_cast<float>(input) / static_cast<float>(output);
  const float at = static_cast<float>(index) + (exact ? 0.5F : 0.0F);
  return std::min(static_cast<int64_t>(std::floor(at * scale)), input - 1);
}

// The one that ONNX Runtime's Resize copies from.
int64_t onnx_nearest(const Axis& axis, int64_t index, bool exact, float scale) {
  const float at =
      exact ? std::round((static_cast<float>(index) + 0.5F) / scale - 0.5F)
            : std::floor(static_cast<float>(index) / scale);
  return std::clamp<int64_t>(static_cast<int64_t>(at), 0, *axis.input - 1);
}

// Nearest neighbours by Gather, where Resize's rounding finds others and the
// sizes are known; null: Resize finds the same.
Value* gathered(const Request& request, OnnxBuilder& builder, bool exact,
                const std::optional<std::vector<float>>& scales) {
  bool differs = builder.elem(request.input) == DataType::kDouble;
  std::vector<std::vector<int64_t>> positions;
  for (size_t i = 0; i < request.axes.size(); ++i) {
    const Axis& axis = request.axes[i];
    const auto output = axis.known_output();
    if (!axis.input || *axis.input == 0 || !output || *output > kMaxPositions)
      return nullptr;
    const float scale =
        scales ? (*scales)[i + 2]
               : static_cast<float>(*output) / static_cast<float>(*axis.input);
    positions.emplace_back();
    for (int64_t j = 0; j < *output; ++j) {
      positions.back().push_back(torch_nearest(axis, j, exact));
      differs = differs ||
                positions.back().back() != onnx_nearest(axis, j, exact, scale);
    }
  }
  if (!differs) return nullptr;
  Value* value = request.input;
  for (size_t i = 0; i < positions.size(); ++i)
    value = builder.op("Gather", {value, builder.ints(positions[i])},
                       {{"axis", request.first + static_cast<int64_t>(i)}});
  return value;
}

DataType resizing_type(DataType type) {
  return type == DataType::kUint8 ? type : DataType::kFloat;
}

Value* resize(const AtenCall& call, const Request& request,
              const NamedAttributes& attributes,
              const std::optional<std::vector<float>>& scales) {
  OnnxBuilder& builder = call.builder();
  Value *scales_value = nullptr, *sizes_value = nullptr;
  if (scales) {
    scales_value = builder.constant(ir::Tensor::from<float>(
        {static_cast<int64_t>(scales->size())}, *scales));
  } else {
    Sizes sizes;
    for (int64_t i = 0; i < request.first; ++i)
      sizes.push_back(size_of(builder, request.input, i));
    for (const Axis& axis : request.axes) sizes.push_back(axis.output);
    sizes_value = size_vector(builder, sizes);
  }
  const DataType type = builder.elem(request.input);
  return builder.cast(
      builder.op("Resize",
                 {builder.cast(request.input, resizing_type(type)), nullptr,
                  scales_value, sizes_value},
                 attributes),
      type);
}

NamedAttributes attributes_of(Method method, bool align_corners) {
  if (method == Method::kNearest)
    return {{"mode", "nearest"},
            {"coordinate_transformation_mode", "asymmetric"},
            {"nearest_mode", "floor"}};
  if (method == Method::kNearestExact)
    return {{"mode", "nearest"},
            {"coordinate_transformation_mode", "half_pixel"},
            {"nearest_mode", "round_prefer_ceil"}};
  NamedAttributes attributes{
      {"mode", method == Method::kLinear ? "linear" : "cubic"},
      {"coordinate_transformation_mode",
       align_corners ? "align_corners" : "half_pixel"}};
  if (method == Method::kCubic)
    attributes.emplace_back("cubic_coeff_a", -0.75F);
  return attributes;
}

Arguments upsample(const AtenCall& call, Method method, size_t spatial) {
  OnnxBuilder& builder = call.builder();
  const Request request = read_request(call, spatial);
  std::optional<std::vector<float>> scales;
  // Sizes as constants need all of them; scales leave batch and channels be.
  if (by_factor(request) || !request.input->type.has_static_shape())
    scales = scales_of(call, request);
  else if (std::ranges::any_of(request.axes, [](const Axis& axis) {
             return axis.output.is_none();
           }))
    scales = scales_of(call, request);
  if (!scales)
    for (const Axis& axis : request.axes)
      if (axis.output.is_none())
        call.unsupported("scale_factors are given for some axes only");
  if (method == Method::kNearest || method == Method::kNearestExact)
    if (Value* value =
            gathered(request, builder, method == Method::kNearestExact, scales))
      return one(value);
  return one(resize(call, request, attributes_of(method, request.align_corners),
                    scales));
}

// Antialiasing changes nothing where nothing shrinks.
Arguments upsample_antialiased(const AtenCall& call, Method method) {
  const Request request = read_request(call, 2);
  for (const Axis& axis : request.axes) {
    const auto output = axis.known_output();
    const bool grows = axis.input && output ? *output >= *axis.input
                                            : axis.factor.value_or(0) >= 1;
    if (!grows || request.align_corners)
      call.unsupported("shrinks with antialiasing, which ONNX opset 17 lacks",
                       "interpolate with antialias=False");
  }
  NamedAttributes attributes = attributes_of(method, false);
  if (method == Method::kCubic) {
    // The kernel differs from that without antialiasing, and its weights
    // beyond the border are left out.
    attributes.back().second = -0.5F;
    attributes.emplace_back("exclude_outside", int64_t{1});
  }
  std::optional<std::vector<float>> scales;
  if (by_factor(request) || !request.input->type.has_static_shape())
    scales = scales_of(call, request);
  return one(resize(call, request, attributes, scales));
}

template <Method method, size_t spatial>
Arguments emit_upsample(const AtenCall& call) {
  return upsample(call, method, spatial);
}

template <Method method>
Arguments emit_antialiased(const AtenCall& call) {
  return upsample_antialiased(call, method);
}

constexpr AtenRow kRows[] = {
    {"upsample_nearest1d", emit_upsample<Method::kNearest, 1>},
    {"upsample_nearest2d", emit_upsample<Method::kNearest, 2>},
    {"upsample_nearest3d", emit_upsample<Method::kNearest, 3>},
    {"_upsample_nearest_exact1d", emit_upsample<Method::kNearestExact, 1>},
    {"_upsample_nearest_exact2d", emit_upsample<Method::kNearestExact, 2>},
    {"_upsample_nearest_exact3d", emit_upsample<Method::kNearestExact, 3>},
    {"upsample_linear1d", emit_upsample<Method::kLinear, 1>},
    {"upsample_bilinear2d", emit_upsample<Method::kLinear, 2>},
    {"upsample_trilinear3d", emit_upsample<Method::kLinear, 3>},
    {"upsample_bicubic2d", emit_upsample<Method::kCubic, 2>},
    {"_upsample_bilinear2d_aa", emit_antialiased<Method::kLinear>},
    {"_upsample_bicubic2d_aa", emit_antialiased<Method::kCubic>},
    {"grid_sampler", emit_grid_sampler},
    {"grid_sampler_2d", emit_grid_sampler},
    {"grid_sampler_3d", emit_grid_sampler},
    {"affine_grid_generator", emit_affine_grid},
    {"pixel_shuffle", emit_pixel_shuffle},
    {"pixel_unshuffle", emit_pixel_unshuffle},
    {"channel_shuffle", emit_channel_shuffle},
    {"native_channel_shuffle", emit_channel_shuffle},
};

}  // namespace

std::span<const AtenRow> resampling_rows() { return kRows; }

}  // namespace lathe::io::aten
