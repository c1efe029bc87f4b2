// Small questions and edits that several rewrites share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::rewrite {

// The tensor that a value always has: an initializer that no caller can
// override, or what a Constant node's `value` says. Null otherwise.
const ir::Tensor* constant_tensor(const ir::Value* value);

// The elements of a constant integer tensor; nullopt where it is none.
std::optional<std::vector<int64_t>> constant_ints(const ir::Value* value);

// The one element of a constant integer or bool tensor.
std::optional<int64_t> constant_int(const ir::Value* value);

// The tensor of a Constant node in any of its forms. Null for sparse values
// and for values that a function's attribute gives.
std::optional<ir::Tensor> constant_node_tensor(const ir::Node& node);

// The DequantizeLinear that gives a Conv its weight from constants that nobody
// else reads, with a scale for each output channel; or null.
ir::Node* channel_codes(const ir::Node& conv);

// `axis` counted from the front; nullopt outside [-rank, rank).
std::optional<int64_t> normalize_axis(int64_t axis, int64_t rank);

// Whether a graph output that `from` is can become `to` without an Identity:
// `to` is computed in the same graph and is no output itself.
bool can_rename_output(const ir::Value& from, const ir::Value& to);

// Copies an attribute, subgraphs included (their uses of values around them
// keep pointing there).
ir::Attribute copy_attribute(const ir::Attribute& from);

}  // namespace lathe::rewrite
