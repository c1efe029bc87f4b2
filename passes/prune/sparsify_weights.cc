// sparsify_weights: zeros for the weights of least magnitude.
//
//   before: Conv(x, w, b)     after: Conv(x, w', b), w' = w or 0
//
// Unstructured: the given share of each tensor. N:M: in every M elements side
// by side along the axis that is summed over (input channels of a Conv, rows
// of what a product multiplies by) N at most stay; fewer than M at the end
// count as if zeros followed. A weight that several nodes read is changed
// once. Left alone, with a remark: weights that are computed or that can be
// overridden, that are no plain floats, that something else reads as well
// (Gather from a table, a bias), and those of operators other than Conv, Gemm
// and MatMul.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <unordered_map>

#include "passes/base/error.h"
#include "passes/ir/op_table.h"
#include "passes/prune/name_patterns.h"
#include "passes/prune/prune.h"

namespace lathe::prune {
namespace {

bool is_compute(const ir::Node& node) {
  const ir::Operator* op = ir::find_operator(node);
  return op && (op->op_class == ir::OpClass::kCompute ||
                op->op_class == ir::OpClass::kRecurrent);
}

// A weight of a node.
struct Site {
  ir::Node* node = nullptr;
  size_t input = 0;
  int64_t axis = 0;  // that is summed over
};

// The node's weights, or why it has none.
std::vector<Site> find_sites(ir::Node& node, std::string& reason) {
  const bool gemm = node.is("Gemm");
  if (!node.is("Conv") && !gemm && !node.is("MatMul")) {
    reason = fmt::format(
        "only weights of Conv, Gemm and MatMul are made sparse, not those of "
        "{}",
        node.op_type);
    return {};
  }
  std::vector<Site> sites;
  const auto add = [&](size_t input, int64_t axis) {
    sites.push_back({&node, input, axis});
  };
  const auto constant = [&](size_t input) {
    const ir::Value* value = node.input(input);
    return value && value->is_constant() && value->tensor().rank() > 0;
  };
  if (node.is("Conv")) {
    if (constant(1) && node.input(1)->tensor().rank() > 1) add(1, 1);
  } else {
    if (constant(0)) {
      const int64_t rank = node.input(0)->tensor().rank();
      add(0, gemm && node.attr_int("transA", 0) ? 0 : rank - 1);
    }
    if (constant(1)) {
      const int64_t rank = node.input(1)->tensor().rank();
      add(1, gemm && node.attr_int("transB", 0)
                 ? rank - 1
                 : std::max<int64_t>(rank - 2, 0));
    }
  }
  if (sites.empty())
    reason = "its weights are computed or can be overridden at run time";
  return sites;
}

bool is_plain_float(ir::DataType type) {
  using enum ir::DataType;
  return type == kFloat || type == kDouble || type == kFloat16 ||
         type == kBfloat16;
}

// |w|; what is not a number is never the smallest.
std::vector<float> magnitudes(const ir::Tensor& tensor) {
  std::vector<float> values = tensor.to_floats();
  for (float& value : values)
    value = std::isnan(value) ? std::numeric_limits<float>::infinity()
                              : std::abs(value);
  return values;
}

// Moves the `count` elements of least magnitude to the front; of equal ones the
// first.
void select_least(std::vector<int64_t>& elements, int64_t count,
                  const std::vector<float>& magnitude) {
  if (count >= static_cast<int64_t>(elements.size())) return;
  std::nth_element(elements.begin(), elements.begin() + count, elements.end(),
                   [&](int64_t a, int64_t b) {
                     const float x = magnitude[static_cast<size_t>(a)];
                     const float y = magnitude[static_cast<size_t>(b)];
                     return x != y ? x < y : a < b;
                   });
}

class SparsifyWeights final : public Pass {
 public:
  explicit SparsifyWeights(SparsifyOptions options)
      : options_(std::move(options)) {
    const auto fail = [](const char* option, const std::string& what) {
      throw Error(ErrorKind::kUsage, std::string("sparsify_weights.") + option,
                  what);
    };
    if (!(options_.sparsity >= 0 && options_.sparsity < 1))
      fail("sparsity",
           fmt::format("found {}, expected a share of at least 0 and below 1",
                       options_.sparsity));
    if ((options_.n != 0 || options_.m != 0) &&
        !(options_.n > 0 && options_.n < options_.m))
      fail("n", fmt::format("found {} of {}, expected at least 1 and fewer "
                            "than all",
                            options_.n, options_.m));
  }

  std::string name() const override { return "sparsify_weights"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    std::vector<ir::Value*> weights;  // in the graph's order
    Sites sites;
    result_ = {};
    std::vector<std::string> ids;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      for (ir::Node* node : graph.node_list()) {
        if (model.has_function(*node) || !is_compute(*node)) continue;
        ids.push_back(node->id());
        std::string reason;
        for (const Site& site : find_sites(*node, reason)) {
          ir::Value* weight = node->input(site.input);
          auto& found = sites[weight];
          if (found.empty()) weights.push_back(weight);
          found.push_back(site);
        }
        if (!reason.empty()) result_.remarks.push_back({node->id(), reason});
      }
    });
    for (std::string& reason :
         unmatched(options_.keep, ids, "no compute node of the model"))
      result_.remarks.push_back({"", std::move(reason)});
    context.progress->begin("sparsify weights", weights.size());
    for (ir::Value* weight : weights) {
      context.check_cancelled();
      sparsify(*weight, sites.at(weight));
      context.progress->advance(1);
    }
    context.progress->end();
    return std::move(result_);
  }

 private:
  using Sites = std::unordered_map<ir::Value*, std::vector<Site>>;

  bool kept(const ir::Node& node) const {
    return std::ranges::any_of(options_.keep, [&](const std::string& pattern) {
      return matches(pattern, node.id());
    });
  }

  // Why the weight stays as it is; empty where it need not.
  std::string refusal(const ir::Value& weight,
                      const std::vector<Site>& sites) const {
    for (const Site& site : sites)
      if (kept(*site.node))
        return sites.size() == 1
                   ? "keep names it"
                   : fmt::format(
                         "keep names '{}', which reads the weights "
                         "'{}'",
                         site.node->id(), weight.name());
    for (const ir::Use& use : weight.uses())
      if (std::ranges::none_of(sites, [&](const Site& site) {
            return site.node == use.node && site.input == use.index;
          }))
        return fmt::format("its weights '{}' are read by {} as well",
                           weight.name(), use.node->label());
    if (weight.is_graph_output())
      return fmt::format("its weights '{}' are an output of the model",
                         weight.name());
    if (!is_plain_float(weight.tensor().type()))
      return fmt::format("its weights '{}' are of type {}", weight.name(),
                         ir::to_string(weight.tensor().type()));
    if (options_.m == 0) return "";
    const Site& first = sites.front();
    const int64_t size =
        weight.tensor().dims()[static_cast<size_t>(first.axis)];
    if (size < options_.m)
      return fmt::format(
          "{} element{} {} summed over, fewer than the {} of a "
          "block",
          size, size == 1 ? "" : "s", size == 1 ? "is" : "are", options_.m);
    for (const Site& site : sites)
      if (site.axis != first.axis)
        return fmt::format("{} and {} sum over different axes of '{}'",
                           first.node->label(), site.node->label(),
                           weight.name());
    return "";
  }

  void sparsify(ir::Value& weight, const std::vector<Site>& sites) {
    const std::string reason = refusal(weight, sites);
    if (!reason.empty()) {
      std::set<const ir::Node*> told;
      for (const Site& site : sites)
        if (told.insert(site.node).second)
          result_.remarks.push_back({site.node->id(), reason});
      return;
    }
    const ir::Tensor& tensor = weight.tensor();
    const std::vector<int64_t> zeros =
        options_.m == 0 ? least_of_all(tensor)
                        : least_of_blocks(tensor, sites.front().axis);
    std::vector<std::byte> bytes(tensor.bytes().begin(), tensor.bytes().end());
    if (zeros.empty()) return;
    const size_t width = bytes.size() / static_cast<size_t>(tensor.size());
    for (const int64_t element : zeros)
      std::memset(bytes.data() + static_cast<size_t>(element) * width, 0,
                  width);
    ir::Tensor sparse(tensor.type(), tensor.dims(),
                      ir::Bytes::own(std::move(bytes)));
    if (sparse.identical(tensor)) return;
    weight.set_tensor(std::move(sparse));
    ++result_.changes;
  }

  std::vector<int64_t> least_of_all(const ir::Tensor& tensor) const {
    std::vector<int64_t> elements(static_cast<size_t>(tensor.size()));
    std::iota(elements.begin(), elements.end(), int64_t{0});
    const auto count = static_cast<int64_t>(
        std::llround(options_.sparsity * static_cast<double>(tensor.size())));
    select_least(elements, count, magnitudes(tensor));
    elements.resize(static_cast<size_t>(count));
    return elements;
  }

  std::vector<int64_t> least_of_blocks(const ir::Tensor& tensor,
                                       int64_t axis) const {
    const std::vector<float> magnitude = magnitudes(tensor);
    const int64_t size = tensor.dims()[static_cast<size_t>(axis)];
    int64_t inner = 1;
    for (size_t i = static_cast<size_t>(axis) + 1; i < tensor.dims().size();
         ++i)
      inner *= tensor.dims()[i];
    std::vector<int64_t> zeros, block;
    // `start`: of each line of elements along the axis.
    for (int64_t line = 0; line < tensor.size() / size; ++line) {
      const int64_t start = line / inner * size * inner + line % inner;
      for (int64_t first = 0; first < size; first += options_.m) {
        block.clear();
        for (int64_t i = first; i < std::min(first + options_.m, size); ++i)
          block.push_back(start + i * inner);
        const int64_t count = static_cast<int64_t>(block.size()) - options_.n;
        if (count <= 0) continue;
        select_least(block, count, magnitude);
        zeros.insert(zeros.end(), block.begin(), block.begin() + count);
      }
    }
    return zeros;
  }

  const SparsifyOptions options_;
  PassResult result_;
};

}  // namespace

std::unique_ptr<Pass> make_sparsify_weights(SparsifyOptions options) {
  return std::make_unique<SparsifyWeights>(std::move(options));
}

}  // namespace lathe::prune
