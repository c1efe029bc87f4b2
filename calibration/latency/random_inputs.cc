#include <cstddef>
#include <string>
#include <vector>

#include "calibration/latency/bench.h"
#include "calibration/latency/shape_hint.h"
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace {

constexpr uint64_t kMaxInputBytes = uint64_t{8} << 30;

const std::vector<int64_t>* find_shape(const ir::InputShapes& shapes,
                                       const std::string& name, bool only) {
  auto found = shapes.find(name);
  if (found == shapes.end() && only) found = shapes.find("");
  return found == shapes.end() ? nullptr : &found->second;
}

std::vector<int64_t> input_dims(const ir::Value& input,
                                const ir::InputShapes& shapes, bool only) {
  if (const auto* dims = find_shape(shapes, input.name(), only)) return *dims;
  if (input.type.has_static_shape()) return ir::to_dims(*input.type.shape);
  throw Error(ErrorKind::kUsage, "input '" + input.name() + "'",
              "its shape is not known: " + ir::to_string(input.type),
              input_shape_hint(input));
}

template <class T>
ir::Tensor filled(const std::vector<int64_t>& dims, uint64_t count,
                  const auto& make) {
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(make());
  return ir::Tensor::from<T>(dims, values);
}

ir::Tensor random_tensor(ir::DataType type, const std::vector<int64_t>& dims,
                         uint64_t count, uint64_t seed,
                         const std::string& where) {
  Random random(seed);
  auto zero_or_one = [&] { return random.below(2); };
  switch (type) {
    case ir::DataType::kFloat:
      // Rounded down to 24 bits: a float below 1, as promised.
      return filled<float>(dims, count, [&] {
        return static_cast<float>(random.next() >> 40) * 0x1p-24f;
      });
    case ir::DataType::kInt64:
      return filled<int64_t>(dims, count, zero_or_one);
    case ir::DataType::kInt32:
      return filled<int32_t>(dims, count, zero_or_one);
    case ir::DataType::kUint8:
      return filled<uint8_t>(dims, count, zero_or_one);
    case ir::DataType::kInt8:
      return filled<int8_t>(dims, count, zero_or_one);
    case ir::DataType::kString:
      return ir::Tensor(dims, std::vector<std::string>(count), where);
    default:
      break;
  }
  std::vector<double> values(count);
  if (type == ir::DataType::kBool) {
    values.assign(count, 1);
  } else if (ir::is_floating(type)) {
    for (double& value : values) value = random.uniform();
  } else {
    for (double& value : values) value = static_cast<double>(zero_or_one());
  }
  return ir::Tensor::from_doubles(type, dims, values);
}

}  // namespace

NamedTensors random_inputs(const ir::Model& model,
                           const ir::InputShapes& shapes, uint64_t seed) {
  std::vector<const ir::Value*> inputs;
  for (const ir::Value* input : model.graph->inputs())
    if (!input->has_initializer()) inputs.push_back(input);
  NamedTensors tensors;
  for (const ir::Value* input : inputs) {
    std::string where = "input '" + input->name() + "'";
    if (!input->type.is_tensor())
      throw_unsupported(where, "it is not a tensor",
                        "only models whose inputs are tensors can be run");
    std::vector<int64_t> dims =
        input_dims(*input, shapes, /*only=*/inputs.size() == 1);
    uint64_t count = ir::element_count(dims, where);
    // A string takes more than its packed_bytes of 0.
    uint64_t bytes = input->type.elem == ir::DataType::kString
                         ? count * sizeof(std::string)
                         : ir::packed_bytes(input->type.elem, count);
    if (count > kMaxInputBytes || bytes > kMaxInputBytes)
      throw_input(where,
                  "a tensor of shape " + ir::to_string(ir::to_shape(dims)) +
                      " takes more than " + format_bytes(kMaxInputBytes));
    tensors.emplace_back(
        input->name(), random_tensor(input->type.elem, dims, count,
                                     derive_seed(seed, input->name()), where));
  }
  return tensors;
}

}  // namespace lathe::latency
