#include <map>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

using Rows = std::span<const OperatorRow> (*)();
constexpr Rows kFamilies[] = {
    convolution_rows, pooling_rows,      normalization_rows, activation_rows,
    elementwise_rows, reduction_rows,    product_rows,       shape_rows,
    movement_rows,    gather_rows,       resize_rows,        recurrent_rows,
    control_rows,     quantization_rows, contrib_rows,       signal_rows,
    loss_rows,        random_rows,       region_rows};

using Key = std::pair<std::string_view, std::string_view>;

const std::map<Key, const OperatorRow*>& table() {
  static const auto* const rows = [] {
    auto* all = new std::map<Key, const OperatorRow*>();
    for (Rows family : kFamilies)
      for (const OperatorRow& row : family())
        all->emplace(Key{row.domain, row.op_type}, &row);
    return all;
  }();
  return *rows;
}

}  // namespace

const OperatorRow* find_operator_row(const ir::Node& node) {
  const std::string_view domain =
      node.domain == "ai.onnx" ? std::string_view() : node.domain;
  auto found = table().find({domain, node.op_type});
  return found == table().end() ? nullptr : found->second;
}

std::vector<std::string> executable_operators() {
  std::vector<std::string> names;
  for (const auto& [key, row] : table())
    names.push_back(key.first.empty() ? std::string(key.second)
                                      : std::string(key.first) +
                                            "::" + std::string(key.second));
  return names;
}

}  // namespace lathe::exec
