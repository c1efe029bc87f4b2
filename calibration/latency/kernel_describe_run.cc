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
// shapes are equal. Where the axes that `part` has (the last one for a scalar)
// are all of one element, the runtime takes elements one by one.
int64_t broadcast_run(const Dims& part, const Dims& out) {
  if (part.size() > out.size()) return 0;
  Dims wide(out.size() - part.size(), 1);
  wide.insert(wide.end(), part.begin(), part.end());
  if (wide == out) return 0;
  const auto own = static_cast<ptrdiff_t>(std::max<size_t>(part.size(), 1));
  if (std::all_of(out.end() - own, out.end(),
                  [](int64_t size) { return size == 1; }))
    return 1;
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

// The mean piece: each is copied run by run.
template <class Values>
int64_t piece_run(const ir::Node& node, const Values& values) {
  int64_t sum = 0, pieces = 0;
  for (const ir::Value* value : values) {
    auto dims = dims_of(value);
    if (!dims) continue;
    sum = saturating_add(
        sum,
        product_from(*dims, axis_of(node.attr_int("axis", 0), dims->size())));
    ++pieces;
  }
  return pieces > 0 ? sum / pieces : 0;
}

// The permutation with axes of one element dropped and axes that stay
// neighbours joined: sizes of the input's axes, and where they go.
struct Permutation {
  Dims sizes;
  std::vector<size_t> order;
};

std::optional<Permutation> permutation_of(const ir::Node& node) {
  auto in = dims_of(node.input(0));
  if (!in) return std::nullopt;
  size_t rank = in->size();
  std::vector<int64_t> perm = node.attr_ints("perm");
  if (perm.empty())
    for (size_t i = rank; i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  if (perm.size() != rank) return std::nullopt;
  std::vector<size_t> place(rank, rank);  // an axis's place among the kept
  Dims sizes;
  for (size_t i = 0; i < rank; ++i) {
    if ((*in)[i] == 1) continue;
    place[i] = sizes.size();
    sizes.push_back((*in)[i]);
  }
  std::vector<size_t> moved;
  for (int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(rank)) return std::nullopt;
    if (place[static_cast<size_t>(axis)] < rank)
      moved.push_back(place[static_cast<size_t>(axis)]);
  }
  // Heads of the runs of neighbours, in the input's order.
  std::vector<size_t> heads(sizes.size(), 0);
  Permutation result;
  std::vector<size_t> starts;
  for (size_t i = 0; i < moved.size(); ++i)
    if (i == 0 || moved[i] != moved[i - 1] + 1) starts.push_back(moved[i]);
  std::vector<size_t> sorted = starts;
  std::sort(sorted.begin(), sorted.end());
  for (size_t k = 0; k < sorted.size(); ++k) {
    size_t end = k + 1 < sorted.size() ? sorted[k + 1] : sizes.size();
    int64_t size = 1;
    for (size_t i = sorted[k]; i < end; ++i)
      size = saturating_multiply(size, sizes[i]);
    result.sizes.push_back(size);
    heads[sorted[k]] = k;
  }
  for (size_t start : starts) result.order.push_back(heads[start]);
  return result;
}

// Whether one axis goes to another place and the others keep their order, axes
// of one element counted: else the runtime moves element by element.
bool moves_one_axis(const ir::Node& node) {
  auto in = dims_of(node.input(0));
  std::vector<int64_t> perm = node.attr_ints("perm");
  if (!in) return false;
  if (perm.empty())
    for (size_t i = in->size(); i-- > 0;)
      perm.push_back(static_cast<int64_t>(i));
  size_t first = 0, end = perm.size();
  while (first < end && perm[first] == static_cast<int64_t>(first)) ++first;
  while (end > first && perm[end - 1] == static_cast<int64_t>(end - 1)) --end;
  if (end - first < 2) return true;
  auto steps = [&](size_t from, size_t to, int64_t by) {
    for (size_t i = from; i < to; ++i)
      if (perm[i] != static_cast<int64_t>(i) + by) return false;
    return true;
  };
  return steps(first + 1, end, -1) || steps(first, end - 1, 1);
}

int64_t transpose_run(const ir::Node& node) {
  auto permutation = permutation_of(node);
  if (!permutation) return 0;
  if (permutation->order.empty()) return 1;
  size_t last = permutation->order.size() - 1;
  return permutation->order[last] == last ? permutation->sizes[last] : 1;
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

// Expand and Tile: the trailing axes that are copied as they are, and all of
// the one that is repeated.
int64_t repeat_run(const ir::Node& node) {
  auto in = dims_of(node.input(0)), out = dims_of(node.output());
  if (!in || !out || in->size() > out->size()) return 0;
  int64_t run = 1;
  for (size_t i = 0; i < in->size(); ++i) {
    int64_t a = (*in)[in->size() - 1 - i], b = (*out)[out->size() - 1 - i];
    run = saturating_multiply(run, a);
    if (a != b) break;
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

// What shares a scale; 0: all of it.
int64_t scaled_run(const ir::Node& node) {
  auto dims = dims_of(node.input(0)), scale = dims_of(node.input(1));
  if (!dims || dims->empty() || !scale || product_from(*scale, 0) <= 1)
    return 0;
  return product_from(
      *dims, std::min(axis_of(node.attr_int("axis", 1), dims->size()) + 1,
                      dims->size()));
}

// A nearest neighbour is looked up for each element, unless both sides are
// doubled.
int64_t resize_run(const ir::Node& node) {
  auto in = dims_of(node.input(0)), out = dims_of(node.output());
  if (!in || !out || in->size() != 4 || out->size() != 4) return 0;
  const bool doubles = (*out)[0] == (*in)[0] && (*out)[1] == (*in)[1] &&
                       (*out)[2] == 2 * (*in)[2] && (*out)[3] == 2 * (*in)[3];
  return doubles || node.attr_string("mode", "nearest") != "nearest" ? 0 : 1;
}

int64_t reduce_run(const ir::Node& node) {
  auto in = dims_of(node.input(0)), out = dims_of(node.output());
  if (!in || !out) return 0;
  int64_t kept = product_from(*out, 0);
  return kept > 0 ? product_from(*in, 0) / kept : 0;
}

}  // namespace

// Axes that stay in front are `matrices`; of two blocks that change places the
// sizes are `rows` and `columns`; what stays behind is `run`. A permutation of
// more blocks, or one that moves several axes, has neither rows nor columns.
void describe_transpose(const NodeView& view, KernelDescriptor& kernel) {
  if (kernel.kind != "transpose") return;
  auto permutation = permutation_of(view.node);
  if (!permutation) return;
  const auto& [sizes, order] = *permutation;
  size_t first = 0, end = order.size();
  kernel.matrices = 1;
  while (first < end && order[first] == first)
    kernel.matrices = saturating_multiply(kernel.matrices, sizes[first++]);
  while (end > first && order[end - 1] == end - 1) --end;
  if (end - first != 2 || !moves_one_axis(view.node)) return;
  kernel.rows = sizes[first];
  kernel.columns = sizes[first + 1];
}

int64_t contiguous_run(const NodeView& view) {
  const ir::Node& node = view.node;
  std::string kind = kernel_kind(node);
  if (kind == "concat") return piece_run(node, data_inputs(node));
  if (kind == "split") return piece_run(node, node.outputs());
  if (kind == "transpose") return transpose_run(node);
  if (kind == "slice") return slice_run(node.input(0), node.output());
  if (kind == "pad") return slice_run(node.input(0), node.output());
  if (kind == "resize" && view.layout != Layout::kBlocked)
    return resize_run(node);
  if (kind == "gather") return gather_run(node);
  if (kind == "expand" || kind == "tile") return repeat_run(node);
  if (kind == "quantize_linear" || kind == "dequantize_linear")
    return scaled_run(node);
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
