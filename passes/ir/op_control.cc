// If, Loop, Scan: inference inside the bodies, which see the values around.
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

Graph& body_of(const InferContext& ctx, const char* attribute) {
  Graph* body = ctx.node().attr_graph(attribute);
  if (!body) ctx.fail("attribute '" + std::string(attribute) + "' is missing");
  return *body;
}

void check_outputs(const InferContext& ctx, const Graph& body, size_t expected,
                   const char* attribute) {
  if (body.outputs().size() != expected)
    ctx.fail("'" + std::string(attribute) + "' gives " +
             std::to_string(body.outputs().size()) + " values, but " +
             std::to_string(expected) + " are expected");
}

void take(InferContext& ctx, size_t i, const Value& from) {
  Value* to = ctx.node().output(i);
  if (!to) return;
  if (!from.type.is_tensor()) {
    to->type = from.type;
    return;
  }
  ctx.set(i, from.type.elem, from.type.shape);
  if (const FollowedValue* data = ctx.session().data(&from))
    ctx.set_data(i, FollowedValue(*data));
}

// A known condition decides, and so does a branch whose nodes cannot work on
// these shapes: a run that succeeds takes the other. The branch not taken is
// inferred as far as it goes (exporters guard Squeeze so).
void infer_if(InferContext& ctx) {
  Graph& then_branch = body_of(ctx, "then_branch");
  Graph& else_branch = body_of(ctx, "else_branch");
  check_outputs(ctx, then_branch, ctx.output_count(), "then_branch");
  check_outputs(ctx, else_branch, ctx.output_count(), "else_branch");
  auto condition = ctx.scalar_int(0);
  bool then_fits = ctx.session().infer(
      then_branch, /*lenient=*/!condition || *condition == 0);
  bool else_fits = ctx.session().infer(
      else_branch, /*lenient=*/!condition || *condition != 0);
  if (!condition && then_fits != else_fits) condition = then_fits ? 1 : 0;
  for (size_t i = 0; i < ctx.output_count(); ++i) {
    const Value& a = *then_branch.outputs()[i];
    const Value& b = *else_branch.outputs()[i];
    if (condition) {
      take(ctx, i, *condition ? a : b);
      continue;
    }
    if (!a.type.is_tensor() || !b.type.is_tensor()) {
      if (Value* to = ctx.node().output(i);
          to && a.type.opaque == b.type.opaque)
        to->type = a.type;
      continue;
    }
    DataType elem =
        a.type.elem == b.type.elem ? a.type.elem : DataType::kUndefined;
    ctx.set(i, elem, common_shape(a.type.shape, b.type.shape));
  }
}

// Which carried values keep their shape: body inputs from `first` on start as
// the node's inputs; what the body changes becomes unknown. Works on copies,
// so that the body itself keeps no trace of a wrong guess.
std::vector<std::optional<Shape>> carried_shapes(
    InferContext& ctx, const Graph& body, size_t first_body_input,
    size_t first_node_input, size_t first_body_output, size_t count) {
  std::vector<std::optional<Shape>> shapes;
  for (size_t i = 0; i < count; ++i)
    shapes.push_back(ctx.shape_copy(first_node_input + i));
  // Every round that changes something makes a dimension unknown.
  for (int round = 0; round < 8; ++round) {
    if (!ctx.session().afford_copy(body)) break;
    auto trial = clone(body);
    for (size_t i = 0; i < count; ++i) {
      ValueType& type = trial->inputs()[first_body_input + i]->type;
      if (type.is_tensor()) type.shape = shapes[i];
      if (ctx.elem(first_node_input + i) != DataType::kUndefined &&
          type.is_tensor())
        type.elem = ctx.elem(first_node_input + i);
    }
    // What the file says of computed values may hold for one round only.
    for (Value* value : trial->values())
      if (value->producer() && value->type.is_tensor()) value->type.shape = {};
    ctx.session().infer(*trial, /*lenient=*/true);
    bool changed = false;
    for (size_t i = 0; i < count; ++i) {
      auto common = common_shape(
          shapes[i], trial->outputs()[first_body_output + i]->type.shape);
      changed = changed || common.has_value() != shapes[i].has_value() ||
                (common && to_string(*common) != to_string(*shapes[i]));
      shapes[i] = common;
    }
    for_each_graph(*trial, [&](Graph& graph) {
      for (Value* value : graph.values()) ctx.session().forget(value);
    });
    if (!changed) return shapes;
  }
  return std::vector<std::optional<Shape>>(count);
}

void set_input(Graph& body, size_t i, DataType elem,
               const std::optional<Shape>& shape) {
  merge_type(body.inputs()[i]->type, elem, shape);
}

// Inputs: M, condition, carried...; body (iteration, condition, carried...) ->
// (condition, carried..., scanned...).
void infer_loop(InferContext& ctx) {
  Graph& body = body_of(ctx, "body");
  size_t carried = ctx.input_count() > 2 ? ctx.input_count() - 2 : 0;
  if (body.inputs().size() != carried + 2)
    ctx.fail("'body' takes " + std::to_string(body.inputs().size()) +
             " values, but " + std::to_string(carried + 2) + " are given");
  if (ctx.output_count() < carried)
    ctx.fail("has " + std::to_string(ctx.output_count()) + " outputs for " +
             std::to_string(carried) + " carried values");
  check_outputs(ctx, body, ctx.output_count() + 1, "body");
  auto shapes = carried_shapes(ctx, body, 2, 2, 1, carried);
  set_input(body, 0, DataType::kInt64, Shape());
  set_input(body, 1, DataType::kBool, Shape());
  for (size_t i = 0; i < carried; ++i) {
    if (const Value* from = ctx.node().input(i + 2);
        from && !from->type.is_tensor())
      body.inputs()[i + 2]->type = from->type;
    else
      set_input(body, i + 2, ctx.elem(i + 2), shapes[i]);
  }
  ctx.session().infer(body, /*lenient=*/true);
  for (size_t i = 0; i < carried; ++i) {
    const ValueType& type = body.outputs()[i + 1]->type;
    if (type.is_tensor())
      ctx.set(i, type.elem, common_shape(shapes[i], type.shape));
    else if (Value* to = ctx.node().output(i))
      to->type = type;
  }
  // The count is known when nothing can stop the loop early.
  Dim rounds;
  auto limit = ctx.scalar_int(0);
  auto truth = [&](const Value* value) {
    const FollowedValue* data = value ? ctx.session().data(value) : nullptr;
    return data && data->elements.size() == 1 && data->elements[0].is_int() &&
           data->elements[0].integer != 0;
  };
  bool passed_on = body.outputs()[0] == body.inputs()[1];
  if (const Node* producer = body.outputs()[0]->producer())
    passed_on = passed_on || (producer->is("Identity") &&
                              producer->input(0) == body.inputs()[1]);
  if (limit && (!ctx.has_input(1) || truth(ctx.node().input(1))) &&
      (passed_on || truth(body.outputs()[0])))
    rounds = Dim(*limit > 0 ? *limit : 0);
  for (size_t i = carried; i < ctx.output_count(); ++i) {
    const ValueType& type = body.outputs()[i + 1]->type;
    std::optional<Shape> shape = type.shape;
    if (shape) shape->insert(shape->begin(), rounds);
    ctx.set(i, type.elem, shape);
  }
}

int64_t axis_of(const InferContext& ctx, const std::vector<int64_t>& axes,
                size_t i, int64_t rank) {
  return normalize_axis(ctx, i < axes.size() ? axes[i] : 0, rank);
}

// Opset 9 and later: states..., scanned inputs... -> states..., scanned
// outputs.... The form of opset 8 has a batch axis and stays unknown.
void infer_scan(InferContext& ctx) {
  Graph& body = body_of(ctx, "body");
  int64_t scanned = required_int(ctx, "num_scan_inputs");
  if (ctx.opset() < 9) return;
  if (scanned < 0 || static_cast<size_t>(scanned) > ctx.input_count())
    ctx.fail("attribute 'num_scan_inputs' is " + std::to_string(scanned) +
             ", but there are " + std::to_string(ctx.input_count()) +
             " inputs");
  size_t states = ctx.input_count() - static_cast<size_t>(scanned);
  if (body.inputs().size() != ctx.input_count())
    ctx.fail("'body' takes " + std::to_string(body.inputs().size()) +
             " values, but " + std::to_string(ctx.input_count()) +
             " are given");
  if (ctx.output_count() < states)
    ctx.fail("has " + std::to_string(ctx.output_count()) + " outputs for " +
             std::to_string(states) + " states");
  check_outputs(ctx, body, ctx.output_count(), "body");
  auto in_axes = ctx.node().attr_ints("scan_input_axes");
  auto out_axes = ctx.node().attr_ints("scan_output_axes");
  Dim length;
  for (size_t i = states; i < ctx.input_count(); ++i) {
    auto shape = ctx.shape_copy(i);
    if (shape) {
      int64_t axis = axis_of(ctx, in_axes, i - states,
                             static_cast<int64_t>(shape->size()));
      length = unify(ctx, length, (*shape)[static_cast<size_t>(axis)],
                     "lengths of the scanned inputs");
      shape->erase(shape->begin() + axis);
    }
    set_input(body, i, ctx.elem(i), shape);
  }
  auto shapes = carried_shapes(ctx, body, 0, 0, 0, states);
  for (size_t i = 0; i < states; ++i)
    set_input(body, i, ctx.elem(i), shapes[i]);
  ctx.session().infer(body, /*lenient=*/true);
  for (size_t i = 0; i < ctx.output_count(); ++i) {
    const ValueType& type = body.outputs()[i]->type;
    std::optional<Shape> shape = type.shape;
    if (i < states) {
      shape = common_shape(shapes[i], shape);
    } else if (shape) {
      int64_t axis = axis_of(ctx, out_axes, i - states,
                             static_cast<int64_t>(shape->size()) + 1);
      shape->insert(shape->begin() + axis, length);
    }
    ctx.set(i, type.elem, shape);
  }
}

constexpr Operator kRows[] = {
    {"If", "", OpClass::kControlFlow, 1, 1, 1, -1, infer_if, nullptr},
    {"Loop", "", OpClass::kControlFlow, 2, -1, 1, -1, infer_loop, nullptr},
    {"Scan", "", OpClass::kControlFlow, 1, -1, 1, -1, infer_scan, nullptr},
    {"SequenceMap", "", OpClass::kControlFlow, 1, -1, 1, -1, nullptr, nullptr},
};

}  // namespace

std::span<const Operator> control_flow_operators() { return kRows; }

}  // namespace lathe::ir
