// Constants, shapes, element types, and what only changes how a tensor's
// elements are laid out.
#include <ATen/ExpandUtils.h>
#include <ATen/WrapDimUtils.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "passes/exec/operator_kernel.h"
#include "passes/exec/program.h"

namespace lathe::exec {
namespace {

using Ints = std::vector<int64_t>;

// Integers from an attribute (older opsets), an initializer, or a tensor that
// is computed.
class IntList {
 public:
  IntList(const NodeInfo& info, size_t index, std::string_view attribute = "")
      : index_(index) {
    const ir::Value* given = info.node.input(index);
    if (!attribute.empty() && info.node.has_attribute(attribute))
      fixed_ = info.node.attr_ints(attribute);
    else if (!given)
      absent_ = true;
    else if (given->is_constant())
      fixed_ = given->tensor().to_int64s();
  }

  bool absent() const { return absent_; }
  Ints operator()(Inputs in) const {
    return fixed_ ? *fixed_ : int64s(input(in, index_));
  }

 private:
  size_t index_;
  bool absent_ = false;
  std::optional<Ints> fixed_;
};

// The same constant for every run; nothing writes to it.
Kernel constant(at::Tensor tensor) {
  return [tensor = std::move(tensor)](Inputs, const RunState&) -> Tensors {
    return {tensor};
  };
}

// Floats on the program's device; the rest is mostly read on the host.
at::Tensor placed(const NodeInfo& info, const at::Tensor& tensor) {
  return tensor.is_floating_point() ? tensor.to(info.device) : tensor;
}

Kernel make_constant(const NodeInfo& info) {
  const ir::Node& node = info.node;
  if (const ir::Tensor* value = node.attr_tensor("value")) {
    if (value->type() == ir::DataType::kString)
      info.unsupported("a constant of strings cannot be executed");
    return constant(placed(info, to_torch(*value)));
  }
  if (node.has_attribute("value_float"))
    return constant(placed(
        info,
        at::scalar_tensor(node.attr_float("value_float", 0), at::kFloat)));
  if (node.has_attribute("value_int"))
    return constant(
        at::scalar_tensor(node.attr_int("value_int", 0), at::kLong));
  if (node.has_attribute("value_floats"))
    return constant(
        placed(info, at::tensor(node.attr_floats("value_floats"), at::kFloat)));
  if (node.has_attribute("value_ints"))
    return constant(at::tensor(node.attr_ints("value_ints"), at::kLong));
  for (const char* name : {"value_string", "value_strings", "sparse_value"})
    if (node.has_attribute(name))
      info.unsupported(std::string("attribute '") + name +
                       "' cannot be executed");
  info.invalid("there is no attribute with the value");
}

Kernel make_constant_of_shape(const NodeInfo& info) {
  at::Tensor value = at::zeros({}, at::kFloat).to(info.device);
  if (const ir::Tensor* given = info.node.attr_tensor("value")) {
    if (given->size() != 1)
      info.invalid("attribute 'value' has " + std::to_string(given->size()) +
                   " elements, expected 1");
    value = placed(info, to_torch(*given)).reshape({});
  }
  return
      [value, shape = IntList(info, 0)](Inputs in, const RunState&) -> Tensors {
        return {value.expand(shape(in)).contiguous()};
      };
}

Kernel make_shape(const NodeInfo& info) {
  const int64_t start = info.node.attr_int("start", 0);
  std::optional<int64_t> end;
  if (info.node.has_attribute("end")) end = info.node.attr_int("end", 0);
  return [start, end](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    const int64_t rank = x.dim();
    auto clamped = [rank](int64_t axis) {
      return std::clamp<int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
    };
    const int64_t from = clamped(start), to = end ? clamped(*end) : rank;
    const at::IntArrayRef sizes =
        x.sizes().slice(static_cast<size_t>(from),
                        static_cast<size_t>(std::max<int64_t>(to - from, 0)));
    return {at::tensor(sizes, at::kLong)};
  };
}

Kernel make_size(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    return {at::scalar_tensor(input(in, 0).numel(), at::kLong)};
  };
}

Kernel make_reshape(const NodeInfo& info) {
  const bool zero_is_zero = info.node.attr_int("allowzero", 0) != 0;
  return [zero_is_zero, shape = IntList(info, 1)](Inputs in,
                                                  const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    Ints dims = shape(in);
    for (size_t i = 0; i < dims.size() && !zero_is_zero; ++i)
      if (dims[i] == 0) {
        TORCH_CHECK(static_cast<int64_t>(i) < x.dim(), "dimension ", i,
                    " is to be that of the input, which has rank ", x.dim());
        dims[i] = x.size(static_cast<int64_t>(i));
      }
    return {x.reshape(dims)};
  };
}

Kernel make_flatten(const NodeInfo& info) {
  const int64_t given = info.node.attr_int("axis", 1);
  return [given](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    const int64_t axis = given < 0 ? given + x.dim() : given;
    TORCH_CHECK(axis >= 0 && axis <= x.dim(), "axis ", given,
                " is out of range for rank ", x.dim());
    int64_t rows = 1, columns = 1;
    for (int64_t i = 0; i < x.dim(); ++i)
      (i < axis ? rows : columns) *= x.size(i);
    return {x.reshape({rows, columns})};
  };
}

Kernel make_squeeze(const NodeInfo& info) {
  const IntList axes_of(info, 1, "axes");
  return [axes_of](Inputs in, const RunState&) -> Tensors {
    at::Tensor x = input(in, 0);
    if (axes_of.absent()) return {x.squeeze()};
    Ints axes = axes_of(in);
    for (int64_t& axis : axes) axis = at::maybe_wrap_dim(axis, x.dim());
    std::ranges::sort(axes, std::greater<>());
    for (int64_t axis : axes) {
      TORCH_CHECK(x.size(axis) == 1, "dimension ", axis, " is ", x.size(axis),
                  ", expected 1");
      x = x.squeeze(axis);
    }
    return {x};
  };
}

Kernel make_unsqueeze(const NodeInfo& info) {
  const IntList axes_of(info, 1, "axes");
  if (axes_of.absent()) info.invalid("the axes are missing");
  return [axes_of](Inputs in, const RunState&) -> Tensors {
    at::Tensor x = input(in, 0);
    Ints axes = axes_of(in);
    const int64_t rank = x.dim() + static_cast<int64_t>(axes.size());
    for (int64_t& axis : axes) axis = at::maybe_wrap_dim(axis, rank);
    std::ranges::sort(axes);
    TORCH_CHECK(std::ranges::adjacent_find(axes) == axes.end(),
                "an axis is given twice");
    for (int64_t axis : axes) x = x.unsqueeze(axis);
    return {x};
  };
}

Kernel make_identity(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors { return {input(in, 0)}; };
}

// To a type that LibTorch lacks, held in `held`: integers wrap around.
at::Tensor cast_held(const at::Tensor& given, ir::DataType type,
                     at::ScalarType held) {
  at::Tensor x = given;
  // From floats to 4 bits, ONNX's tests round and saturate.
  if (x.is_floating_point() && type == ir::DataType::kUint4)
    x = at::round(x.to(at::kFloat)).clamp(0, 15);
  if (x.is_floating_point() && type == ir::DataType::kInt4)
    x = at::round(x.to(at::kFloat)).clamp(-8, 7);
  switch (type) {
    case ir::DataType::kUint16:
    case ir::DataType::kUint32:
    case ir::DataType::kUint4:
    case ir::DataType::kUint2: {
      const int64_t mask = (int64_t{1} << ir::bits_per_element(type)) - 1;
      return at::bitwise_and(x.to(at::kLong), at::Scalar(mask)).to(held);
    }
    case ir::DataType::kInt4:
    case ir::DataType::kInt2: {
      const int64_t sign = int64_t{1} << (ir::bits_per_element(type) - 1);
      const at::Tensor low =
          at::bitwise_and(x.to(at::kLong), at::Scalar(2 * sign - 1));
      const at::Tensor flipped = at::bitwise_xor(low, at::Scalar(sign));
      return at::sub(flipped, at::Scalar(sign)).to(held);
    }
    default:
      return x.to(held);
  }
}

Kernel cast_to(const NodeInfo& info, ir::DataType type) {
  if (const ir::Value* from = info.node.input(0);
      from && from->type.elem == ir::DataType::kString)
    info.unsupported("strings cannot be cast");
  if (type == ir::DataType::kString)
    info.unsupported("a cast to strings cannot be executed");
  const at::ScalarType held = scalar_type(type);
  if (is_float8(type))
    return [type, saturate = info.node.attr_int("saturate", 1) != 0](
               Inputs in, const RunState&) -> Tensors {
      return {rounded_to_float8(input(in, 0), type, saturate)};
    };
  return [type, held](Inputs in, const RunState&) -> Tensors {
    return {cast_held(input(in, 0), type, held)};
  };
}

// The element type that the attribute names.
ir::DataType type_attribute(const NodeInfo& info, const char* name) {
  const int64_t number = info.node.attr_int(name, 0);
  const auto type = ir::data_type_from_number(number);
  if (!type || *type == ir::DataType::kUndefined)
    info.invalid("attribute '" + std::string(name) + "' is " +
                 std::to_string(number) + ", which is no element type");
  return *type;
}

Kernel make_cast(const NodeInfo& info) {
  return cast_to(info, type_attribute(info, "to"));
}

Kernel make_cast_like(const NodeInfo& info) {
  const ir::Value* like = info.node.input(1);
  if (!like) info.invalid("input 'target_type' is missing");
  if (like->type.elem != ir::DataType::kUndefined)
    return cast_to(info, like->type.elem);
  return [](Inputs in, const RunState&) -> Tensors {
    return {input(in, 0).to(input(in, 1).scalar_type())};
  };
}

int64_t range_size(const at::Tensor& start, const at::Tensor& limit,
                   const at::Tensor& delta) {
  if (start.is_floating_point()) {
    const double step = delta.item<double>();
    TORCH_CHECK(step != 0, "delta is 0");
    return static_cast<int64_t>(
        std::ceil((limit.item<double>() - start.item<double>()) / step));
  }
  const int64_t step = delta.item<int64_t>();
  TORCH_CHECK(step != 0, "delta is 0");
  const int64_t length = limit.item<int64_t>() - start.item<int64_t>();
  return length / step + (length % step != 0 && (length < 0) == (step < 0));
}

Kernel make_range(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    const at::Tensor start = input(in, 0).reshape({});
    const at::Tensor delta = input(in, 2).reshape({});
    const int64_t size =
        std::max<int64_t>(range_size(start, input(in, 1), delta), 0);
    const at::Tensor steps = at::arange(size, start.options());
    return {at::add(at::mul(steps, delta), start)};
  };
}

Kernel make_eye_like(const NodeInfo& info) {
  const int64_t k = info.node.attr_int("k", 0);
  std::optional<at::ScalarType> type;
  if (info.node.has_attribute("dtype"))
    type = scalar_type(type_attribute(info, "dtype"));
  return [k, type](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    TORCH_CHECK(x.dim() == 2, "the input has rank ", x.dim(), ", expected 2");
    const auto options = at::TensorOptions(at::kLong).device(x.device());
    const at::Tensor rows = at::arange(x.size(0), options).unsqueeze(1);
    const at::Tensor columns = at::arange(x.size(1), options);
    return {at::eq(at::sub(columns, rows), at::Scalar(k))
                .to(type.value_or(x.scalar_type()))};
  };
}

Kernel make_expand(const NodeInfo& info) {
  return [shape = IntList(info, 1)](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    return {x.expand(at::infer_size(x.sizes(), shape(in)))};
  };
}

Kernel make_tile(const NodeInfo& info) {
  return [repeats = IntList(info, 1)](Inputs in, const RunState&) -> Tensors {
    return {input(in, 0).repeat(repeats(in))};
  };
}

Kernel make_transpose(const NodeInfo& info) {
  const bool given = info.node.has_attribute("perm");
  const Ints perm = info.node.attr_ints("perm");
  return [given, perm](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0);
    if (given) return {x.permute(perm)};
    Ints reversed;
    for (int64_t axis = x.dim(); axis-- > 0;) reversed.push_back(axis);
    return {x.permute(reversed)};
  };
}

constexpr Takes kAny{.half = true};
constexpr Takes kShapeFirst{.host = 0b01, .half = true};
constexpr Takes kShapeSecond{.host = 0b10, .half = true};

constexpr OperatorRow kRows[] = {
    {"Cast", make_cast, "", kAny},
    {"CastLike", make_cast_like, "", {.host = 0b10, .half = true}},
    {"Constant", make_constant, "", kAny},
    {"ConstantOfShape", make_constant_of_shape, "", kShapeFirst},
    {"Expand", make_expand, "", kShapeSecond},
    {"EyeLike", make_eye_like, "", kAny},
    {"Flatten", make_flatten, "", kAny},
    {"Identity", make_identity, "", kAny},
    {"Range", make_range},
    {"Reshape", make_reshape, "", kShapeSecond},
    {"Shape", make_shape, "", kAny},
    {"Size", make_size, "", kAny},
    {"Squeeze", make_squeeze, "", kShapeSecond},
    {"Tile", make_tile, "", kShapeSecond},
    {"Transpose", make_transpose, "", kAny},
    {"Unsqueeze", make_unsqueeze, "", kShapeSecond},
};

}  // namespace

std::span<const OperatorRow> shape_rows() { return kRows; }

}  // namespace lathe::exec
