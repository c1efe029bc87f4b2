#include "tests/zoo/net_builder.h"

#include <memory>
#include <span>

#include "passes/base/error.h"
#include "passes/ir/op_table.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;
using Dims = std::vector<int64_t>;

constexpr int64_t kOpset = 17;

// Two values of 32 bits a draw.
void fill(Random& random, float low, float high, std::span<float> values) {
  const float step = (high - low) * 0x1p-32f;
  const auto value = [&](uint64_t bits) {
    return low + step * static_cast<float>(bits & 0xffffffffu);
  };
  size_t i = 0;
  for (; i + 1 < values.size(); i += 2) {
    uint64_t bits = random.next();
    values[i] = value(bits);
    values[i + 1] = value(bits >> 32);
  }
  if (i < values.size()) values[i] = value(random.next());
}

// "GlobalAveragePool" -> "global_average_pool".
std::string snake_case(const std::string& op) {
  std::string result;
  for (char c : op) {
    if (c >= 'A' && c <= 'Z') {
      if (!result.empty()) result += '_';
      c = static_cast<char>(c - 'A' + 'a');
    }
    result += c;
  }
  return result;
}

}  // namespace

NetBuilder::NetBuilder(const std::string& name, uint64_t seed)
    : model_([] {
        ir::Model model;
        model.producer_name = "lathe zoo";
        model.opset_imports[""] = kOpset;
        return model;
      }()),
      inference_(model_),
      random_(derive_seed(seed, name)) {
  graph().name = name;
}

Value* NetBuilder::input(const std::string& name, Dims dims,
                         ir::DataType type) {
  ir::ValueType value_type;
  value_type.elem = type;
  value_type.shape = ir::to_shape(dims);
  return graph().add_input(name, value_type);
}

Value* NetBuilder::image(int64_t size) {
  return input("input", {1, 3, size, size});
}

ir::Model NetBuilder::finish(Value* output) {
  graph().rename(output, "output");
  graph().add_output(output);
  return std::move(model_);
}

Value* NetBuilder::add_node(const std::string& op, std::vector<Value*> inputs,
                            const std::vector<Attr>& attributes,
                            size_t outputs) {
  std::string name = graph().unique_name(scope_ + snake_case(op));
  std::vector<std::string> names{name};
  for (size_t i = 1; i < outputs; ++i)
    names.push_back(name + "." + std::to_string(i));
  ir::Node* node = graph().add_node(op, std::move(inputs), names);
  node->name = name;
  for (const Attr& attribute : attributes)
    std::visit(
        [&](const auto& value) { node->set_attr(attribute.name, value); },
        attribute.value);
  const ir::Operator* row = ir::find_operator(*node);
  if (!row || !row->infer) throw_internal(name, "no shape follows for " + op);
  ir::InferContext context(*node, inference_);
  row->infer(context);
  return node->output();
}

Value* NetBuilder::add_tensor(const std::string& role, ir::Tensor tensor) {
  return graph().add_constant(scope_ + role, std::move(tensor));
}

Value* NetBuilder::uniform(const std::string& role, Dims dims, float limit) {
  return uniform(role, std::move(dims), -limit, limit);
}

Value* NetBuilder::uniform(const std::string& role, Dims dims, float low,
                           float high) {
  size_t count = ir::element_count(dims, scope_ + role);
  auto values = std::make_shared_for_overwrite<float[]>(count);
  std::span<float> span(values.get(), count);
  fill(random_, low, high, span);
  return add_tensor(role, ir::Tensor(ir::DataType::kFloat, std::move(dims),
                                     ir::Bytes(values, std::as_bytes(span))));
}

Value* NetBuilder::scalar(const std::string& role, float value) {
  return add_tensor(role, ir::Tensor::scalar(value));
}

Value* NetBuilder::integers(const std::string& role, const Dims& values) {
  return add_tensor(role, ir::Tensor::vector_i64(values));
}

Value* NetBuilder::integer(const std::string& role, int64_t value) {
  return add_tensor(role, ir::Tensor::scalar(value));
}

int64_t NetBuilder::dim(const Value* x, int64_t axis) {
  if (!x->type.has_static_shape())
    throw_internal(x->name(), "its shape is not static");
  const ir::Shape& shape = *x->type.shape;
  return shape
      .at(axis < 0 ? shape.size() + static_cast<size_t>(axis)
                   : static_cast<size_t>(axis))
      .value;
}

}  // namespace lathe::zoo
