// pad in its modes. A negative pad crops.
#include <algorithm>
#include <limits>
#include <string>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_sizes.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// Elements added in front of and behind each axis.
struct Pads {
  std::vector<int64_t> before, after;
  bool any() const {
    auto adds = [](int64_t n) { return n > 0; };
    return std::ranges::any_of(before, adds) ||
           std::ranges::any_of(after, adds);
  }
};

// PyTorch lists pairs from the last axis on; ONNX all fronts, then all backs.
Sizes onnx_pads(const AtenCall& call, const char* argument, int64_t rank) {
  const Sizes pairs = size_list(call, argument);
  if (pairs.size() % 2 != 0 || pairs.size() > 2 * static_cast<size_t>(rank))
    call.unsupported("argument '" + std::string(argument) + "' has " +
                     std::to_string(pairs.size()) +
                     " elements, expected pairs for at most " +
                     std::to_string(rank) + " axes");
  const auto axes = static_cast<size_t>(rank);
  Sizes pads(2 * axes, Argument::of_int(0));
  for (size_t i = 0; i < pairs.size() / 2; ++i) {
    pads[axes - 1 - i] = pairs[2 * i];
    pads[2 * axes - 1 - i] = pairs[2 * i + 1];
  }
  return pads;
}

Pads constant_pads(const AtenCall& call, const Sizes& pads) {
  Pads result;
  for (size_t i = 0; i < pads.size(); ++i) {
    if (!is_constant_int(pads[i]))
      call.unsupported("pads by computed numbers",
                       "they depend on input sizes; give them with "
                       "--input-shape");
    (i < pads.size() / 2 ? result.before : result.after)
        .push_back(pads[i].integer);
  }
  return result;
}

// Takes away what negative pads say and leaves them 0.
Value* cropped(OnnxBuilder& builder, Value* value, Pads& pads) {
  std::vector<int64_t> starts, ends, axes;
  for (size_t i = 0; i < pads.before.size(); ++i) {
    int64_t &front = pads.before[i], &back = pads.after[i];
    if (front >= 0 && back >= 0) continue;
    starts.push_back(front < 0 ? -front : 0);
    ends.push_back(back < 0 ? back : std::numeric_limits<int64_t>::max());
    axes.push_back(static_cast<int64_t>(i));
    front = std::max<int64_t>(front, 0);
    back = std::max<int64_t>(back, 0);
  }
  if (axes.empty()) return value;
  return builder.op("Slice", {value, builder.ints(starts), builder.ints(ends),
                              builder.ints(axes)});
}

// A type that ONNX Runtime pads in.
DataType padding_type(DataType type) {
  if (type == DataType::kInt16) return DataType::kInt32;
  if (type == DataType::kFloat16 || type == DataType::kBfloat16)
    return DataType::kFloat;
  return type;
}

Value* padded(OnnxBuilder& builder, Value* value, Value* pads,
              const std::string& mode, const Argument& fill) {
  const DataType type = builder.elem(value);
  const DataType within = padding_type(type);
  const bool zero =
      fill.is_none() || (fill.is_number() && !fill.value && fill.number() == 0);
  // To the tensor's own type first: it rounds the number.
  Value* number = mode != "constant" || zero
                      ? nullptr
                      : builder.cast(builder.as_tensor(fill, type), within);
  NamedAttributes attributes;
  if (mode != "constant") attributes.emplace_back("mode", mode);
  return builder.cast(
      builder.op("Pad", {builder.cast(value, within), pads, number},
                 attributes),
      type);
}

// Crops, then pads by what is left. `mode`: ONNX's.
Arguments crop_and_pad(const AtenCall& call, const Sizes& given,
                       const std::string& mode) {
  OnnxBuilder& builder = call.builder();
  Pads pads = constant_pads(call, given);
  Value* value = cropped(builder, call.tensor("self"), pads);
  if (!pads.any()) return one(value);
  std::vector<int64_t> all = pads.before;
  all.insert(all.end(), pads.after.begin(), pads.after.end());
  return one(padded(builder, value, builder.ints(all), mode, call["value"]));
}

Arguments pad_constant(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const Sizes given = onnx_pads(call, "pad", builder.rank(self));
  if (std::ranges::all_of(given, is_constant_int))
    return crop_and_pad(call, given, "constant");
  return one(padded(builder, self, builder.int_vector(given), "constant",
                    call["value"]));
}

// `mode`: ONNX's "reflect" or "edge".
Arguments pad_mirrored(const AtenCall& call, const char* argument,
                       const std::string& mode) {
  const int64_t rank = call.builder().rank(call.tensor("self"));
  return crop_and_pad(call, onnx_pads(call, argument, rank), mode);
}

// The end in front and the front at the end, axis by axis.
Arguments pad_circular(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  Pads pads = constant_pads(call, onnx_pads(call, "pad", builder.rank(self)));
  Value* value = cropped(builder, self, pads);
  for (size_t i = 0; i < pads.before.size(); ++i) {
    const auto axis = static_cast<int64_t>(i);
    const int64_t front = pads.before[i], back = pads.after[i];
    if (front == 0 && back == 0) continue;
    std::vector<Value*> parts;
    if (front > 0)
      parts.push_back(builder.slice(value, axis, -front, std::nullopt));
    parts.push_back(value);
    if (back > 0) parts.push_back(builder.slice(value, axis, 0, back));
    value = builder.concat(parts, axis);
  }
  return one(value);
}

Arguments pad_by_mode(const AtenCall& call, const std::string& mode) {
  if (mode == "constant") return pad_constant(call);
  if (mode == "reflect") return pad_mirrored(call, "pad", "reflect");
  if (mode == "replicate") return pad_mirrored(call, "pad", "edge");
  if (mode == "circular") return pad_circular(call);
  call.unsupported("argument 'mode' is '" + mode +
                   "', expected constant, reflect, replicate or circular");
}

Arguments emit_pad(const AtenCall& call) {
  return pad_by_mode(call, call.text("mode", "constant"));
}

Arguments emit_pad_enum(const AtenCall& call) {
  // The order of at::padding_mode.
  constexpr const char* kModes[] = {"reflect", "replicate", "circular",
                                    "constant"};
  const int64_t mode = call.integer("mode");
  if (mode < 0 || mode > 3)
    call.unsupported("argument 'mode' is " + std::to_string(mode) +
                     ", expected 0 to 3");
  return pad_by_mode(call, kModes[mode]);
}

Arguments emit_reflection_pad(const AtenCall& call) {
  return pad_mirrored(call, "padding", "reflect");
}

Arguments emit_replication_pad(const AtenCall& call) {
  return pad_mirrored(call, "padding", "edge");
}

constexpr AtenRow kRows[] = {
    {"pad", emit_pad},
    {"_pad_enum", emit_pad_enum},
    {"_pad_circular", pad_circular},
    {"constant_pad_nd", pad_constant},
    {"reflection_pad1d", emit_reflection_pad},
    {"reflection_pad2d", emit_reflection_pad},
    {"reflection_pad3d", emit_reflection_pad},
    {"replication_pad1d", emit_replication_pad},
    {"replication_pad2d", emit_replication_pad},
    {"replication_pad3d", emit_replication_pad},
};

}  // namespace

std::span<const AtenRow> padding_rows() { return kRows; }

}  // namespace lathe::io::aten
