#include "tests/passes/rewrite/rewrite_test_support.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/base/error.h"

namespace lathe::rewrite {

PassResult apply_pass(ir::Model& model, const std::unique_ptr<Pass>& pass) {
  PassContext context;
  PassResult result = pass->run(model, context);
  ir::verify(*model.graph, pass->name());
  return result;
}

std::vector<std::string> texts(const std::vector<Remark>& remarks) {
  std::vector<std::string> out;
  for (const Remark& remark : remarks)
    out.push_back(remark.node + ": " + remark.reason);
  return out;
}

std::string error_of(ir::Model& model, const std::unique_ptr<Pass>& pass) {
  try {
    PassContext context;
    pass->run(model, context);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<ir::Tensor> run_plain(const ir::Model& model,
                                  const NamedTensors& inputs,
                                  const std::string& where) {
  latency::SessionOptions options;
  options.level = latency::OptimizationLevel::kNone;
  return latency::Session::open(model, options, where)->run(inputs);
}

double relative_difference(const ir::Tensor& a, const ir::Tensor& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.type() != b.type() || a.dims() != b.dims()) return kInfinity;
  if (!ir::is_floating(a.type())) return a.identical(b) ? 0 : kInfinity;
  std::vector<double> left = a.to_doubles(), right = b.to_doubles();
  double largest = 1e-6, difference = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    if (std::isnan(left[i]) != std::isnan(right[i])) return kInfinity;
    if (std::isnan(left[i]) || left[i] == right[i]) continue;
    if (std::isinf(left[i]) || std::isinf(right[i])) return kInfinity;
    difference = std::max(difference, std::abs(left[i] - right[i]));
  }
  for (double v : left)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  return difference / largest;
}

int64_t count_nodes(const ir::Model& model, std::string_view op) {
  int64_t count = 0;
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes()) count += node->op_type == op;
  });
  return count;
}

}  // namespace lathe::rewrite
