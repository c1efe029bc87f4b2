#include "passes/rewrite/host_kernels.h"

#include <limits>

#include "passes/base/text.h"
#include "passes/rewrite/graph_edits.h"

namespace lathe::rewrite {
namespace {

struct Row {
  const char* op;
  HostKernel run;
};

constexpr Row kRows[] = {
    {"Abs", run_unary},
    {"Add", run_add},
    {"And", run_and},
    {"Cast", run_cast},
    {"Ceil", run_unary},
    {"Concat", run_concat},
    {"ConstantOfShape", run_constant_of_shape},
    {"Cos", run_unary},
    {"Div", run_div},
    {"Equal", run_equal},
    {"Exp", run_unary},
    {"Expand", run_expand},
    {"Flatten", run_flatten},
    {"Floor", run_unary},
    {"Gather", run_gather},
    {"GatherND", run_gather_nd},
    {"Greater", run_greater},
    {"GreaterOrEqual", run_greater_or_equal},
    {"Identity", run_identity},
    {"Less", run_less},
    {"LessOrEqual", run_less_or_equal},
    {"Log", run_unary},
    {"Max", run_max},
    {"Min", run_min},
    {"Mod", run_mod},
    {"Mul", run_mul},
    {"Neg", run_unary},
    {"Not", run_not},
    {"Or", run_or},
    {"Pad", run_pad},
    {"Pow", run_pow},
    {"Range", run_range},
    {"Reciprocal", run_unary},
    {"ReduceMax", run_reduce},
    {"ReduceMean", run_reduce},
    {"ReduceMin", run_reduce},
    {"ReduceProd", run_reduce},
    {"ReduceSum", run_reduce},
    {"Relu", run_unary},
    {"Reshape", run_reshape},
    {"Round", run_unary},
    {"ScatterND", run_scatter_nd},
    {"Sign", run_unary},
    {"Sin", run_unary},
    {"Slice", run_slice},
    {"Split", run_split},
    {"Sqrt", run_unary},
    {"Squeeze", run_squeeze},
    {"Sub", run_sub},
    {"Sum", run_sum},
    {"Tanh", run_unary},
    {"Tile", run_tile},
    {"Transpose", run_transpose},
    {"Trilu", run_trilu},
    {"Unsqueeze", run_unsqueeze},
    {"Where", run_where},
    {"Xor", run_xor},
};

}  // namespace

const ir::Tensor& KernelCall::input(size_t i) const {
  if (const ir::Tensor* tensor = optional_input(i)) return *tensor;
  throw NotFoldable("input " + std::to_string(i) + " is missing");
}

std::optional<std::vector<int64_t>> KernelCall::ints(const char* attribute,
                                                     size_t input) const {
  if (node.has_attribute(attribute)) return node.attr_ints(attribute);
  if (const ir::Tensor* tensor = optional_input(input)) {
    if (!ir::is_integer(tensor->type()))
      throw NotFoldable(std::string(attribute) + " is not of an integer type");
    return tensor->to_int64s();
  }
  return std::nullopt;
}

int64_t KernelCall::axis(int64_t axis, int64_t rank) const {
  if (auto normalized = normalize_axis(axis, rank)) return *normalized;
  throw NotFoldable("axis " + std::to_string(axis) + " is outside rank " +
                    std::to_string(rank));
}

void KernelCall::require_size(ir::DataType type,
                              const std::vector<int64_t>& dims) const {
  uint64_t count = 1;
  for (int64_t dim : dims) {
    if (dim < 0) throw NotFoldable("the result has a negative dimension");
    if (dim != 0 &&
        count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) /
                    static_cast<uint64_t>(dim))
      throw NotFoldable("the result has too many elements");
    count *= static_cast<uint64_t>(dim);
  }
  uint64_t bytes = ir::packed_bytes(type, count);
  if (bytes > max_bytes_)
    throw NotFoldable("the constant result would take " + format_bytes(bytes) +
                      ", more than its inputs and more than 1 MiB");
}

HostKernel find_host_kernel(const ir::Node& node) {
  if (!node.domain.empty()) return nullptr;
  for (const Row& row : kRows)
    if (node.op_type == row.op) return row.run;
  return nullptr;
}

}  // namespace lathe::rewrite
