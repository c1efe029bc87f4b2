#include "passes/quantize/weight_sites.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "passes/quantize/left_alone.h"
#include "passes/quantize/refusals.h"

namespace lathe::quantize {
namespace {

using Reason = std::optional<std::string>;

Reason check_filter(const ir::Node& node, const WeightOptions& options) {
  if (!options.convolutions)
    return "convolutions stay in float unless the option 'convolutions' is set";
  return constant_refusal(node.input(1), "weights");
}

Reason check_matrix(const ir::Value* value, const char* what) {
  if (Reason reason = constant_refusal(value, what)) return reason;
  if (value->tensor().rank() != 2)
    return fmt::format("'{}' ({}) has rank {}, expected 2", value->name(), what,
                       value->tensor().rank());
  return std::nullopt;
}

Reason check_product(const ir::Node& node) {
  const ir::Value* left = node.input(0);
  if (!left || !node.output(0)) return "its input or output is absent";
  if (left->has_initializer())
    return fmt::format(
        "'{}' (the left operand) is constant; weights are "
        "quantized on the right",
        left->name());
  if (node.is("Gemm")) {
    if (node.attr_int("transA", 0)) return "its left operand is transposed";
    for (const char* factor : {"alpha", "beta"})
      if (node.attr_float(factor, 1) != 1)
        return fmt::format("its {} is {}, expected 1", factor,
                           node.attr_float(factor, 1));
  }
  if (!node.input(1) || !node.input(1)->has_initializer())
    return "both of its operands are computed";
  return check_matrix(node.input(1), "weights");
}

Reason check_gather(const ir::Node& node, const WeightOptions& options) {
  if (!options.embeddings)
    return "embeddings stay in float unless the option 'embeddings' is set";
  if (node.attr_int("axis", 0) != 0)
    return fmt::format("its axis is {}, expected 0", node.attr_int("axis", 0));
  return std::nullopt;
}

// A Gather from a float table, which may be an embedding.
bool reads_table(const ir::Node& node) {
  return node.is("Gather") && node.output(0) &&
         !check_matrix(node.input(0), "table");
}

Reason check_size(const ir::Value& weights, const WeightOptions& options) {
  const int64_t size = weights.tensor().size();
  if (size >= options.min_elements) return std::nullopt;
  return fmt::format("it has {} weights, and the option 'min_elements' is {}",
                     size, options.min_elements);
}

Reason check(const ir::Node& node, const WeightOptions& options) {
  if (std::ranges::count(options.exclude_nodes, node.id()))
    return "exclude_nodes names it";
  if (node.is("Gather")) return check_gather(node, options);
  if (node.is("Conv")) return check_filter(node, options);
  if (node.is("MatMul") || node.is("Gemm")) return check_product(node);
  return fmt::format(
      "only the weights of MatMul, Gemm and Conv are quantized, not those of "
      "{}",
      node.op_type);
}

}  // namespace

WeightSites find_weight_sites(const ir::Model& model,
                              const WeightOptions& options) {
  WeightSites found;
  found.remarks = unknown_node_remarks(*model.graph, options.exclude_nodes,
                                       "exclude_nodes");
  for (ir::Node* node : model.graph->node_list()) {
    const bool table = reads_table(*node);
    if (!table && !is_compute(*node)) continue;
    Reason reason = check(*node, options);
    if (!reason) reason = check_size(*node->input(table ? 0 : 1), options);
    if (reason)
      found.remarks.push_back({node->id(), *reason});
    else if (table)
      found.sites.push_back({node, node->input(0), /*transposed=*/true,
                             /*table=*/true});
    else if (node->is("Conv"))
      found.sites.push_back({node, node->input(1), /*transposed=*/true,
                             /*table=*/false, /*filter=*/true});
    else
      found.sites.push_back({node, node->input(1),
                             node->is("Gemm") && node->attr_int("transB", 0)});
  }
  for (Remark& remark : inner_node_remarks(model))
    found.remarks.push_back(std::move(remark));
  return found;
}

}  // namespace lathe::quantize
