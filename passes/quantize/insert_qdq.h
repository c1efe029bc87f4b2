// Writes a selection and its parameters into the graph.
#pragma once

#include "passes/quantize/parameters.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/select_nodes.h"

namespace lathe::quantize {

// Writes the codes and suits the graph to the runtime's kernels
// (keep_matmul_bias, pad_channels; 8-bit activations). Returns a remark for
// each layer whose weights got fewer bits than asked for.
// `options.pairs_saturate` is decided.
std::vector<Remark> insert_qdq(ir::Model& model, const Selection& selection,
                               const Parameters& parameters,
                               const QuantizeOptions& options);

// The same graph with zeros for weights, without looking at the float ones: to
// ask what it takes.
void outline_qdq(ir::Model& model, const Selection& selection,
                 const Parameters& parameters, const QuantizeOptions& options);

}  // namespace lathe::quantize
