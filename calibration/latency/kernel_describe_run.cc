// KernelDescriptor::run: elements that lie side by side in one step of an
// operation.
#include <algorithm>
#include <string_view>

#include "calibration/latency/kernel_describe.h"
#include "passes/ir/op_table.h"

namespace lathe::latency {
namespace {

using Dims = std::vector<int64_t>;

int64_t product_from(const Dims& dims, size_t first) {
  int64_t product = 1;
  for (size_t i = first; i < dims.size(); ++i)
    product = saturating_multiply(product, dims[i]);
  return product;
}

size_t axis_of(int64_t axis, size_t rank) {
  int64_t size = static_cast<int64_t>(rank);
  if (axis < 0) axis += size;
  return static_cast<size_t>(std::clamp<int64_t>(axis, 0, size));
}

// The innermost axes along which `part` is either spread over or read along
// with the result, joined: what the runtime hands to a vector loop. 0: the
// shapes are equal.
int64_t broadcast_run(const Dims& part, const Dims& out) {
  if (part.size() > out.size()) return 0;
  Dims wide(out.size() - part.size(), 1);
  wide.insert(wide.end(), part.begin(), part.end());
  if (wide == out) return 0;
  int64_t run = 1;
  std::optional<bool> spread;
  for (size_t i = out.size(); i-- > 0;) {
    if (out[i] == 1) continue;
    bool here = wide[i] == 1;
    if (spread && *spread != here) break;
    spread = here;
    run = saturating_multiply(run, out[i]);
  }
  return run;
}

int64_t elementwise_run(const ir::Node& node) {
  auto out = dims_of(node.output());
  if (!out) return 0;
  int64_t run = 0;
  for (const ir::Value* value : data_inputs(node)) {
    auto dims = dims_of(value);
    if (!dims) continue;
    int64_t here = broadcast_run(*dims, *out);
    if (here && (!run || here < run)) run = here;
  }
  return run;
}

int64_t concat_run(const ir::Node& node) {
  int64_t run = 0;
  for (const ir::Value* value : data_inputs(node)) {
    auto dims = dims_of(value);
    if (!dims) return 0;
    int64_t here =
        product_from(*dims, axis_of(node.attr_int("axis", 0), dims->size()));
    if (!run || here < run) run = here;
  }
  return run;
}

int64_t split_run(const ir::Node& node) {
  int64_t run = 0;
  for (const ir::Value* value : node.outputs()) {
    auto dims = dims_of(value);
    if (!dims) continue;
    int64_t here =
        product_from(*dims, axis_of(node.attr_int("axis", 0), dims->size()));
    if (!run || here < run) run = here;
  }
  return run;
}

int64_t transpose_run(const ir::Node& node) {
  auto in = dims_of(node.input(0));
  if (!in) return 0;
  size_t rank = in->size();
  std::vector<int64_t> perm = node.attr_ints("perm");
  if (perm.empty())
    for (size_t i = rank; i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  if (perm.size() != rank) return 0;
  // Axes of one element move nothing.
  std::vector<size_t> moved, kept;
  for (int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(rank)) return 0;
    if ((*in)[static_cast<size_t>(axis)] != 1)
      moved.push_back(static_cast<size_t>(axis));
  }
  for (size_t i = 0; i < rank; ++i)
    if ((*in)[i] != 1) kept.push_back(i);
  int64_t run = 1;
  for (size_t i = moved.size(); i-- > 0 && moved[i] == kept[i];)
    run = saturating_multiply(run, (*in)[kept[i]]);
  return run;
}

// Trailing axes that are taken whole, and the next one as far as it is taken.
int64_t slice_run(const ir::Value* from, const ir::Value* to) {
  auto in = dims_of(from), out = dims_of(to);
  if (!in || !out || in->size() != out->size()) return 0;
  int64_t run = 1;
  for (size_t i = in->size(); i-- > 0;) {
    run = saturating_multiply(run, std::min((*in)[i], (*out)[i]));
    if ((*in)[i] != (*out)[i]) break;
  }
  return run;
}

int64_t gather_run(const ir::Node& node) {
  auto table = dims_of(node.input(0));
  if (!table) return 0;
  size_t axis = axis_of(node.attr_int("axis", 0), table->size());
  return product_from(*table, std::min(axis + 1, table->size()));
}

// Expand and Tile: the trailing axes that are copied as they are.
int64_t repeat_run(const ir::Node& node) {
  auto in = dims_of(node.input(0)), out = dims_of(node.output());
  if (!in || !out || in->size() > out->size()) return 0;
  int64_t run = 1;
  for (size_t i = 0; i < in->size(); ++i) {
    int64_t a = (*in)[in->size() - 1 - i], b = (*out)[out->size() - 1 - i];
    if (a != b) break;
    run = saturating_multiply(run, a);
  }
  return run;
}

int64_t axis_length(const ir::Node& node, int64_t fallback) {
  auto dims = dims_of(node.input(0));
  if (!dims || dims->empty()) return 0;
  size_t axis = axis_of(node.attr_int("axis", fallback), dims->size());
  return axis < dims->size() ? (*dims)[axis] : 0;
}

int64_t softmax_run(const NodeView& view) {
  auto dims = dims_of(view.node.input(0));
  if (!dims) return 0;
  bool flattens = view.opset < 13 && view.node.domain.empty();
  if (view.node.op_type == "QLinearSoftmax")
    flattens = view.node.attr_int("opset", 13) < 13;
  if (!flattens) return axis_length(view.node, -1);
  return product_from(*dims,
                      axis_of(view.node.attr_int("axis", 1), dims->size()));
}

int64_t trailing_run(const ir::Node& node, int64_t axis) {
  auto dims = dims_of(node.input(0));
  if (!dims || dims->empty()) return 0;
  return product_from(*dims, axis_of(axis, dims->size()));
}

int64_t reduce_run(const ir::Node& node) {
  auto in = dims_of(node.input(0)), out = dims_of(node.output());
  if (!in || !out) return 0;
  int64_t kept = product_from(*out, 0);
  return kept > 0 ? product_from(*in, 0) / kept : 0;
}

}  // namespace

int64_t contiguous_run(const NodeView& view) {
  const ir::Node& node = view.node;
  std::string kind = kernel_kind(node);
  if (kind == "concat") return concat_run(node);
  if (kind == "split") return split_run(node);
  if (kind == "transpose") return transpose_run(node);
  if (kind == "slice") return slice_run(node.input(0), node.output());
  if (kind == "pad") return slice_run(node.input(0), node.output());
  if (kind == "gather") return gather_run(node);
  if (kind == "expand" || kind == "tile") return repeat_run(node);
  if (kind == "softmax" || kind == "log_softmax" || kind == "hardmax")
    return softmax_run(view);
  if (kind.ends_with("layer_normalization"))
    return trailing_run(
        node, kind.starts_with("skip_") ? -1 : node.attr_int("axis", -1));
  if (kind == "instance_normalization") return trailing_run(node, 2);
  if (kind == "group_normalization" || kind == "group_norm") {
    auto dims = dims_of(node.input(0));
    int64_t groups = node.attr_int("num_groups", node.attr_int("groups", 1));
    if (!dims || dims->empty() || groups < 1) return 0;
    return product_from(*dims, 1) / groups;
  }
  if (kind == "batch_normalization") return trailing_run(node, 2);
  if (kind == "arg_max" || kind == "arg_min") return axis_length(node, 0);
  if (kind == "top_k") return axis_length(node, -1);
  if (kind.starts_with("reduce_")) return reduce_run(node);
  const ir::Operator* op = ir::find_operator(node);
  if (op && op->op_class == ir::OpClass::kElementwise)
    return elementwise_run(node);
  return 0;
}

}  // namespace lathe::latency
