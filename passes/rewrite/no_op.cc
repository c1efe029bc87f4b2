#include "passes/rewrite/no_op.h"

#include <algorithm>
#include <limits>

#include "passes/rewrite/graph_edits.h"

namespace lathe::rewrite {
namespace {

using Ints = std::vector<int64_t>;

// An operator's list, from its attribute (older opsets) or constant input;
// nullopt when it has neither or when it is computed.
std::optional<Ints> ints(const ir::Node& node, const char* attribute,
                         size_t input) {
  if (node.has_attribute(attribute)) return node.attr_ints(attribute);
  return constant_ints(node.input(input));
}

const ir::Shape* shape_of(const ir::Value* value) {
  return value && value->type.shape ? &*value->type.shape : nullptr;
}

int64_t dim_of(const ir::Shape& shape, size_t axis) {
  return axis < shape.size() ? shape[axis].value : -1;
}

bool all_equal(const Ints& values, int64_t expected) {
  return std::ranges::all_of(values, [&](int64_t v) { return v == expected; });
}

bool is_first(const ir::Node&) { return true; }

bool is_single(const ir::Node& node) { return node.inputs().size() == 1; }

bool is_same_cast(const ir::Node& node) {
  return static_cast<int64_t>(node.input(0)->type.elem) ==
             node.attr_int("to", 0) &&
         node.input(0)->type.elem != ir::DataType::kUndefined;
}

bool is_same_cast_like(const ir::Node& node) {
  const ir::Value* like = node.input(1);
  return like && like->type.elem != ir::DataType::kUndefined &&
         like->type.elem == node.input(0)->type.elem;
}

// Every target dimension is the input's; one may be -1, which then follows.
bool is_same_reshape(const ir::Node& node) {
  const ir::Shape* shape = shape_of(node.input(0));
  auto target = constant_ints(node.input(1));
  if (!shape || !target || target->size() != shape->size()) return false;
  bool allow_zero = node.attr_int("allowzero", 0) != 0;
  int open = 0;
  for (size_t i = 0; i < target->size(); ++i) {
    int64_t wanted = (*target)[i], have = (*shape)[i].value;
    if (have == 0) return false;  // -1 would not follow from the others
    if (wanted == 0 && !allow_zero) continue;
    if (wanted == -1 ? ++open > 1 : wanted != have) return false;
  }
  return true;
}

bool is_same_flatten(const ir::Node& node) {
  const ir::Shape* shape = shape_of(node.input(0));
  int64_t axis = node.attr_int("axis", 1);
  return shape && shape->size() == 2 && (axis == 1 || axis == -1);
}

bool is_same_transpose(const ir::Node& node) {
  const ir::Shape* shape = shape_of(node.input(0));
  if (!node.has_attribute("perm")) return shape && shape->size() <= 1;
  return std::ranges::is_sorted(node.attr_ints("perm"));
}

bool is_zero_pad(const ir::Node& node) {
  auto pads = ints(node, "pads", 1);
  return pads && all_equal(*pads, 0);
}

bool is_whole_slice(const ir::Node& node) {
  auto starts = ints(node, "starts", 1), ends = ints(node, "ends", 2);
  if (!starts || !ends || starts->size() != ends->size()) return false;
  auto steps =
      node.input(4) ? constant_ints(node.input(4)) : Ints(starts->size(), 1);
  if (!steps || !all_equal(*steps, 1)) return false;
  bool has_axes = node.has_attribute("axes") || node.input(3);
  auto axes = ints(node, "axes", 3);
  if (has_axes && (!axes || axes->size() != starts->size())) return false;
  const ir::Shape* shape = shape_of(node.input(0));
  for (size_t i = 0; i < starts->size(); ++i) {
    int64_t start = (*starts)[i], end = (*ends)[i], extent = -1;
    if (shape) {
      auto axis =
          normalize_axis(has_axes ? (*axes)[i] : static_cast<int64_t>(i),
                         static_cast<int64_t>(shape->size()));
      if (axis) extent = dim_of(*shape, static_cast<size_t>(*axis));
    }
    bool from_first = start == 0 || (extent >= 0 && start <= -extent);
    // Exporters write the largest int32 or int64 for "to the end".
    bool to_last = end >= std::numeric_limits<int32_t>::max() ||
                   (extent >= 0 && end >= extent);
    if (!from_first || !to_last) return false;
  }
  return true;
}

bool is_same_expand(const ir::Node& node) {
  const ir::Shape* shape = shape_of(node.input(0));
  auto target = constant_ints(node.input(1));
  if (!target) return false;
  if (!shape) return target->empty();
  if (target->size() > shape->size()) return false;
  for (size_t i = 1; i <= target->size(); ++i) {
    int64_t wanted = (*target)[target->size() - i];
    if (wanted != 1 && wanted != (*shape)[shape->size() - i].value)
      return false;
  }
  return true;
}

bool is_same_tile(const ir::Node& node) {
  auto repeats = constant_ints(node.input(1));
  return repeats && all_equal(*repeats, 1);
}

struct Row {
  const char* op;
  bool (*holds)(const ir::Node&);  // output 0 equals input 0
};

constexpr Row kRows[] = {
    {"Cast", is_same_cast},
    {"CastLike", is_same_cast_like},
    {"Concat", is_single},
    {"Expand", is_same_expand},
    {"Flatten", is_same_flatten},
    {"Identity", is_first},
    {"Max", is_single},
    {"Mean", is_single},
    {"Min", is_single},
    {"Pad", is_zero_pad},
    {"Reshape", is_same_reshape},
    {"Slice", is_whole_slice},
    {"Sum", is_single},
    {"Tile", is_same_tile},
    {"Transpose", is_same_transpose},
};

// Operators with a neutral element: x op neutral = x; `either_side`: and
// neutral op x = x.
struct Neutral {
  const char* op;
  double element;
  bool either_side;
};

constexpr Neutral kNeutral[] = {
    {"Add", 0, true},
    {"Div", 1, false},
    {"Mul", 1, true},
    {"Sub", 0, false},
};

// Broadcasting with `constant` leaves the shape of x as it is.
bool keeps_shape(const ir::Value& x, const ir::Tensor& constant) {
  if (constant.rank() == 0) return true;
  const ir::Shape* shape = shape_of(&x);
  if (!shape || constant.dims().size() > shape->size()) return false;
  for (size_t i = 1; i <= constant.dims().size(); ++i) {
    int64_t dim = constant.dims()[constant.dims().size() - i];
    if (dim != 1 && dim != (*shape)[shape->size() - i].value) return false;
  }
  return true;
}

bool is_neutral(const ir::Value& x, const ir::Value* other, double element) {
  const ir::Tensor* constant = constant_tensor(other);
  if (!constant || constant->size() == 0) return false;
  bool numeric = ir::is_integer(constant->type()) ||
                 constant->type() == ir::DataType::kFloat ||
                 constant->type() == ir::DataType::kDouble ||
                 constant->type() == ir::DataType::kFloat16 ||
                 constant->type() == ir::DataType::kBfloat16;
  if (!numeric || !keeps_shape(x, *constant)) return false;
  return std::ranges::all_of(constant->to_doubles(),
                             [&](double v) { return v == element; });
}

NoOp dropout(const ir::Node& node) {
  if (node.output(1) && !node.output(1)->unused())
    return {nullptr, "its mask is used"};
  if (node.input(2)) {
    auto training = constant_int(node.input(2));
    if (!training) return {nullptr, "its training mode is not constant"};
    if (*training != 0) return {nullptr, "it is in training mode"};
  }
  return {node.input(0), ""};
}

}  // namespace

NoOp find_no_op(const ir::Node& node) {
  if (!node.output() || node.inputs().empty()) return {};
  if (node.is("Dropout") && node.input(0)) return dropout(node);
  for (const Row& row : kRows)
    if (node.op_type == row.op && node.input(0) && row.holds(node))
      return {node.input(0), ""};
  for (const Neutral& row : kNeutral) {
    if (node.op_type != row.op || !node.input(0) || !node.input(1)) continue;
    if (is_neutral(*node.input(0), node.input(1), row.element))
      return {node.input(0), ""};
    if (row.either_side &&
        is_neutral(*node.input(1), node.input(0), row.element))
      return {node.input(1), ""};
  }
  return {};
}

}  // namespace lathe::rewrite
