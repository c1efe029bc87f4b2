// What the tests of rewrites share.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/latency/session.h"
#include "passes/ir/graph.h"
#include "passes/pass.h"

namespace lathe::rewrite {

// Runs one pass, verifies, and gives its result.
PassResult apply_pass(ir::Model& model, const std::unique_ptr<Pass>& pass);

// "node: reason" for each remark.
std::vector<std::string> texts(const std::vector<Remark>& remarks);

// The message of the error that the pass ends in, or "no error".
std::string error_of(ir::Model& model, const std::unique_ptr<Pass>& pass);

// Outputs in the runtime, without its graph optimizations.
std::vector<ir::Tensor> run_plain(const ir::Model& model,
                                  const NamedTensors& inputs,
                                  const std::string& where = "model");

// max |a - b| over all elements, relative to the largest |a| (at least 1e-6);
// infinity where types, shapes or non-finite elements differ. Integers count as
// exact: any difference is infinity.
double relative_difference(const ir::Tensor& a, const ir::Tensor& b);

// How many nodes of an operator the model has, subgraphs included.
int64_t count_nodes(const ir::Model& model, std::string_view op);

}  // namespace lathe::rewrite
