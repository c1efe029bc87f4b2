// Which initializers training may change.
#include <array>
#include <string_view>

#include "passes/exec/program.h"

namespace lathe::exec {
namespace {

struct Row {
  std::string_view op;
  std::array<int, 3> inputs;  // -1: none
};
constexpr Row kWeights[] = {
    {"Conv", {1, 2, -1}},
    {"FusedConv", {1, 2, -1}},
    {"ConvTranspose", {1, 2, -1}},
    {"Gemm", {0, 1, 2}},
    {"FusedGemm", {0, 1, 2}},
    {"MatMul", {0, 1, -1}},
    {"FusedMatMul", {0, 1, -1}},
    {"Einsum", {0, 1, -1}},
    {"BatchNormalization", {1, 2, -1}},
    {"InstanceNormalization", {1, 2, -1}},
    {"LayerNormalization", {1, 2, -1}},
    {"GroupNormalization", {1, 2, -1}},
    {"RMSNormalization", {1, -1, -1}},
    {"SimplifiedLayerNormalization", {1, -1, -1}},
    {"SkipLayerNormalization", {2, 3, 4}},
    {"PRelu", {1, -1, -1}},
    {"LSTM", {1, 2, 3}},
    {"GRU", {1, 2, 3}},
    {"RNN", {1, 2, 3}},
    {"Gather", {0, -1, -1}},
};

bool is_weight(const ir::Use& use) {
  for (const Row& row : kWeights) {
    if (row.op != use.node->op_type) continue;
    for (int index : row.inputs)
      if (index >= 0 && static_cast<size_t>(index) == use.index) return true;
  }
  return false;
}

// One number a channel: at most one axis longer than 1.
bool is_vector(const ir::Tensor& tensor) {
  int axes = 0;
  for (int64_t size : tensor.dims()) axes += size > 1;
  return axes == 1;
}

bool scales_or_shifts(const ir::Use& use) {
  for (const char* op : {"Add", "Mul"})
    if (use.node->is(op)) return true;
  return false;
}

}  // namespace

bool is_trainable(const ir::Value& initializer) {
  if (!initializer.has_initializer() || !ir::is_floating(initializer.type.elem))
    return false;
  const bool vector = is_vector(initializer.tensor());
  for (const ir::Use& use : initializer.uses())
    if (is_weight(use) || (vector && scales_or_shifts(use))) return true;
  return false;
}

}  // namespace lathe::exec
