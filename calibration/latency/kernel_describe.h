// One node of an optimized graph, described. Internal.
//
// Descriptors follow the types of the values and not the bytes of their
// tensors: whoever knows that channels are padded sets the types first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "calibration/latency/kernel_source.h"
#include "passes/ir/graph.h"
#include "passes/kernel.h"

namespace lathe::latency {

// The kind of a node's kernel: the only place that gives kinds their names.
// QLinear and fused forms of an operator share its kind.
std::string kernel_kind(const ir::Node& node);
// "MatMulInteger" -> "mat_mul_integer".
std::string snake_case(const std::string& name);

// Every node of the graph but constants, in order. `nodes` stay empty, `label`
// is the node's own.
std::vector<DescribedKernel> describe_kernels(const ir::Model& optimized);

// --- Parts --------------------------------------------------------------

// What a descriptor is read from.
struct NodeView {
  const ir::Node& node;
  int64_t opset = 0;  // of ai.onnx
  Layout layout = Layout::kPlain;
  bool channels_last = false;
};

// Before IR version 4 every initializer stands on the input list as well, and
// nobody can override it: takes them off.
void fix_old_initializers(ir::Model& model);
// Initializers and outputs of Constant nodes.
bool is_constant_value(const ir::Value* value);
// nullopt: not known.
std::optional<int64_t> value_bytes(const ir::Value& value);
int64_t saturating_add(int64_t a, int64_t b);
int64_t saturating_multiply(int64_t a, int64_t b);
// Known dimensions, or nullopt.
std::optional<std::vector<int64_t>> dims_of(const ir::Value* value);
// The inputs that carry data: no scales, zero points, shapes, axes.
std::vector<const ir::Value*> data_inputs(const ir::Node& node);

// Fill their share of the fields; nothing when a shape is not known.
void describe_window(const NodeView& view, KernelDescriptor& kernel);
void describe_product(const NodeView& view, KernelDescriptor& kernel);
void describe_transpose(const NodeView& view, KernelDescriptor& kernel);
int64_t contiguous_run(const NodeView& view);

}  // namespace lathe::latency
