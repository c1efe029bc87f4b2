#include "passes/ir/op_table.h"

#include <map>
#include <utility>

#include "passes/ir/op_families.h"

namespace lathe::ir {
namespace {

std::vector<Operator> join_families() {
  std::vector<Operator> all;
  for (std::span<const Operator> family : {
           elementwise_operators(),   conv_operators(),
           pool_operators(),          matmul_operators(),
           normalization_operators(), reduction_operators(),
           constant_operators(),      reshape_operators(),
           slice_operators(),         gather_operators(),
           resize_operators(),        vision_operators(),
           recurrent_operators(),     control_flow_operators(),
           quantization_operators(),  random_operators(),
           sequence_operators(),      signal_operators(),
           attention_operators(),     loss_operators(),
           contrib_operators(),       contrib_quantization_operators(),
       })
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

using Key = std::pair<std::string_view, std::string_view>;

const std::vector<Operator>& table() {
  static const std::vector<Operator> kTable = join_families();
  return kTable;
}

const std::map<Key, const Operator*>& index() {
  static const std::map<Key, const Operator*> kIndex = [] {
    std::map<Key, const Operator*> index;
    for (const Operator& op : table())
      index.emplace(Key(op.domain, op.name), &op);
    return index;
  }();
  return kIndex;
}

}  // namespace

const Operator* find_operator(std::string_view domain, std::string_view name) {
  if (domain == "ai.onnx") domain = "";
  auto it = index().find(Key(domain, name));
  return it == index().end() ? nullptr : it->second;
}

const Operator* find_operator(const Node& node) {
  return find_operator(node.domain, node.op_type);
}

std::span<const Operator> all_operators() { return table(); }

}  // namespace lathe::ir
