#include "passes/distill/outputs.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <string_view>

#include "passes/ir/op_table.h"

namespace lathe::distill {
namespace {

constexpr std::string_view kSameShape[] = {
    "Identity", "Cast", "Dropout", "QuantizeLinear", "DequantizeLinear"};
constexpr std::string_view kReshapes[] = {"Reshape", "Flatten", "Squeeze",
                                          "Unsqueeze"};
constexpr std::string_view kSquashes[] = {
    "Sigmoid",   "HardSigmoid", "Tanh", "Softsign",          "Softplus",
    "Relu",      "Clip",        "Exp",  "LpNormalization",   "Div",
    "LeakyRelu", "HardSwish",   "Sqrt", "LayerNormalization"};

bool among(std::span<const std::string_view> names, const ir::Node& node) {
  return node.domain.empty() &&
         std::ranges::find(names, node.op_type) != names.end();
}

int64_t rank_of(const ir::Value& value) {
  return value.type.shape ? static_cast<int64_t>(value.type.shape->size()) : -1;
}

// Elements behind an axis; nullopt where a dimension is unknown.
std::optional<int64_t> stride_of(const ir::Shape& shape, size_t axis) {
  int64_t stride = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i) {
    if (!shape[i].known()) return std::nullopt;
    stride *= shape[i].value;
  }
  return stride;
}

// The axis of a reshaped value that an axis became; -1: none.
int64_t reshaped_axis(const ir::Value& from, const ir::Value& to,
                      int64_t axis) {
  if (rank_of(from) < 0 || rank_of(to) < 0) return -1;
  const ir::Shape &before = *from.type.shape, &after = *to.type.shape;
  const auto a = static_cast<size_t>(axis);
  const auto stride = stride_of(before, a);
  if (!before[a].known() || !stride) return -1;
  for (size_t i = after.size(); i-- > 0;)
    if (after[i].value == before[a].value && stride_of(after, i) == stride)
      return static_cast<int64_t>(i);
  return -1;
}

// The nodes behind what computes an output, from the back.
struct Tail {
  const ir::Node* end = nullptr;  // null: the output is an input or constant
  std::vector<const ir::Node*> behind;
};

Tail tail_of(const ir::Model& model, size_t output) {
  Tail tail;
  tail.end = model.graph->outputs().at(output)->producer();
  while (tail.end && tail.end->input(0) &&
         (among(kSameShape, *tail.end) || among(kReshapes, *tail.end) ||
          tail.end->is("Transpose"))) {
    tail.behind.push_back(tail.end);
    tail.end = tail.end->input(0)->producer();
  }
  return tail;
}

// Where an axis of tail.end's output lies in the model's output; -1: nowhere.
int64_t axis_behind(const Tail& tail, int64_t axis) {
  for (size_t i = tail.behind.size(); axis >= 0 && i-- > 0;) {
    const ir::Node& node = *tail.behind[i];
    if (among(kReshapes, node)) {
      axis = reshaped_axis(*node.input(0), *node.output(), axis);
    } else if (node.is("Transpose")) {
      const std::vector<int64_t> order = node.attr_ints("perm");
      const auto found = std::ranges::find(order, axis);
      if (order.empty())
        axis = rank_of(*node.input(0)) - 1 - axis;
      else
        axis = found == order.end() ? -1 : found - order.begin();
    }
  }
  return axis;
}

// The output's axis that a Softmax or LogSoftmax at its end runs over; -1:
// there is none.
int64_t softmax_axis(const ir::Model& model, const Tail& tail) {
  if (!tail.end || !(tail.end->is("Softmax") || tail.end->is("LogSoftmax")) ||
      rank_of(*tail.end->output()) < 1)
    return -1;
  const ir::Value& value = *tail.end->output();
  const bool coerced = model.opset() < 13;  // to a matrix
  int64_t axis = tail.end->attr_int("axis", coerced ? 1 : -1);
  if (axis < 0) axis += rank_of(value);
  if (axis < 0 || axis >= rank_of(value)) return -1;
  if (coerced && stride_of(*value.type.shape, static_cast<size_t>(axis)) != 1)
    return -1;
  const int64_t found = axis_behind(tail, axis);
  return found > 0 ? found : -1;  // samples are no classes
}

bool reads_integers_only(const ir::Model& model) {
  bool any = false;
  for (const ir::Value* input : model.graph->inputs()) {
    if (input->has_initializer()) continue;
    if (!ir::is_integer(input->type.elem) &&
        input->type.elem != ir::DataType::kBool)
      return false;
    any = true;
  }
  return any;
}

// A product with a weight, or a bias behind one.
bool is_linear(const ir::Node* node) {
  const auto constant = [](const ir::Value* value) {
    return value && value->is_constant();
  };
  if (node && node->is("Add"))
    for (const size_t i : {size_t{0}, size_t{1}})
      if (node->input(i) && node->input(1 - i) && constant(node->input(i)))
        return is_linear(node->input(1 - i)->producer());
  return node && (node->is("MatMul") || node->is("Gemm"));
}

}  // namespace

int64_t class_axis(const ir::Model& model, size_t output) {
  const int64_t axis = softmax_axis(model, tail_of(model, output));
  if (axis >= 0) return axis;
  const int64_t rank = rank_of(*model.graph->outputs().at(output));
  if (rank < 2) return -1;
  return rank == 3 && reads_integers_only(model) ? 2 : 1;
}

bool ends_in_softmax(const ir::Model& model, size_t output) {
  const Tail tail = tail_of(model, output);
  return softmax_axis(model, tail) >= 0 && tail.end->is("Softmax");
}

std::string default_loss(const ir::Model& teacher, size_t output) {
  const ir::Value& value = *teacher.graph->outputs().at(output);
  const Tail tail = tail_of(teacher, output);
  const int64_t axis = class_axis(teacher, output), rank = rank_of(value);
  if (axis < 1 || !ir::is_floating(value.type.elem)) return "mse";
  const ir::Dim& classes = (*value.type.shape)[static_cast<size_t>(axis)];
  if (classes.known() && classes.value < 2) return "mse";
  if (softmax_axis(teacher, tail) >= 0) return "kl";
  const bool scores = rank == 2 ? tail.end && !among(kSquashes, *tail.end)
                                : rank == 3 && axis == 2 && is_linear(tail.end);
  return scores ? "kl" : "mse";
}

}  // namespace lathe::distill
