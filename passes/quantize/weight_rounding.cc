// GPTQ needs the Gram matrix of each layer's input. Layers are taken in groups
// in the order of execution, one run over the data a group: those of one input
// (query, key and value, say) where options.sequential is set, else as many as
// kMaxGramBytes hold. The model that runs has the layers of the groups before
// already rounded; only what leads to the group's inputs runs. What a Conv
// reads for one place of its output is unfolded into channels by a Conv of its
// window whose weights are the identity.
#include "passes/quantize/weight_rounding.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "passes/exec/gram_matrix.h"
#include "passes/quantize/gptq.h"

namespace lathe::quantize {
namespace {

constexpr int64_t kMaxGramBytes = int64_t{1} << 30;

void round_one(WeightMatrix& matrix, int jobs) {
  const WeightSite& site = matrix.sites[0];
  matrix.codes = round_to_nearest(matrix_values(site), site.depth(),
                                  site.columns(), matrix.codes.format, jobs);
}

// Blocks are no longer than the matrix is deep, but for the runtime's least of
// 16. Tables have 8 bits always: Gather takes no 4-bit codes. A channel of a
// Conv is one block.
BlockFormat format_of(const WeightSite& site, const WeightOptions& options) {
  const auto depth = static_cast<uint64_t>(site.depth());
  const auto whole = static_cast<int64_t>(std::bit_ceil(depth));
  return {.bits = site.table ? 8 : options.bits,
          .block_size = site.filter ? std::max<int64_t>(whole, 16)
                                    : std::min(options.block_size,
                                               std::max<int64_t>(whole, 16)),
          .symmetric = options.symmetric,
          .search_scale = options.search_scale};
}

// The window of a Conv as a Conv that copies it into channels.
ir::Value* unfold(ir::Graph& graph, ir::Node& conv, const ir::Tensor& weights) {
  const std::vector<int64_t>& dims = weights.dims();
  const int64_t depth = weights.size() / dims[0];
  std::vector<float> identity(static_cast<size_t>(depth * depth));
  for (int64_t i = 0; i < depth; ++i) identity[i * depth + i] = 1;
  std::vector<int64_t> shape = dims;
  shape[0] = depth;
  ir::Node* node = graph.add_node(
      "Conv",
      {conv.input(0), graph.add_constant(conv.output()->name() + "_identity",
                                         ir::Tensor::from(shape, identity))},
      std::vector<std::string>{conv.output()->name() + "_unfolded"}, &conv);
  for (const char* name : {"kernel_shape", "strides", "pads", "dilations"})
    if (conv.has_attribute(name)) node->set_attr(name, conv.attr_ints(name));
  if (conv.has_attribute("auto_pad"))
    node->set_attr("auto_pad", conv.attr_string("auto_pad", ""));
  return node->output();
}

exec::GramMatrix sum_of(const std::vector<const exec::GramMatrix*>& grams) {
  exec::GramMatrix sum = *grams[0];
  for (size_t i = 1; i < grams.size(); ++i) {
    sum.rows += grams[i]->rows;
    for (size_t k = 0; k < sum.sums.size(); ++k)
      sum.sums[k] += grams[i]->sums[k];
  }
  return sum;
}

class GptqRun {
 public:
  GptqRun(const ir::Model& model, std::vector<WeightMatrix>& matrices,
          const WeightOptions& options, PassContext& context)
      : matrices_(matrices),
        options_(options),
        context_(context),
        rounded_(ir::clone(model)) {
    const std::vector<ir::Node*> before = model.graph->node_list();
    const std::vector<ir::Node*> after = rounded_.graph->node_list();
    for (size_t i = 0; i < before.size(); ++i) twins_[before[i]] = after[i];
    for (const WeightMatrix& matrix : matrices_)
      for (const WeightSite& site : matrix.sites)
        if (site.filter && site.node->attr_int("group", 1) == 1)
          unfolded_[site.node] = unfold(*rounded_.graph, *twins_[site.node],
                                        site.weights->tensor());
  }

  std::vector<Remark> run() {
    size_t begin = 0;
    while (begin < matrices_.size()) {
      const size_t end = group_end(begin);
      round_group(begin, end);
      begin = end;
    }
    return std::move(remarks_);
  }

 private:
  // What its sites read, each once; nothing for a table and for groups.
  std::vector<exec::GramRequest> inputs_of(const WeightMatrix& matrix) const {
    std::vector<exec::GramRequest> inputs;
    for (const WeightSite& site : matrix.sites) {
      exec::GramRequest request{site.node->input(0)->name()};
      if (site.filter) {
        const auto found = unfolded_.find(site.node);
        if (found == unfolded_.end()) continue;
        request = {found->second->name(), /*axis=*/1};
      }
      const bool seen = std::ranges::any_of(inputs, [&](const auto& other) {
        return other.value == request.value;
      });
      if (!site.table && !seen) inputs.push_back(std::move(request));
    }
    return inputs;
  }

  size_t group_end(size_t begin) const {
    std::set<std::string> inputs;
    int64_t bytes = 0;
    size_t end = begin;
    for (; end < matrices_.size(); ++end) {
      const int64_t depth = matrices_[end].sites[0].depth();
      int64_t more = 0;
      for (const auto& [name, axis] : inputs_of(matrices_[end]))
        if (inputs.insert(name).second)
          more += depth * depth * static_cast<int64_t>(sizeof(float));
      const bool full =
          options_.sequential ? bytes > 0 : bytes + more > kMaxGramBytes;
      if (end > begin && more > 0 && full) break;
      bytes += more;
    }
    return end;
  }

  void round_group(size_t begin, size_t end) {
    std::vector<exec::GramRequest> requests;
    std::map<std::string, size_t> places;
    for (size_t i = begin; i < end; ++i)
      for (const exec::GramRequest& request : inputs_of(matrices_[i]))
        if (places.emplace(request.value, requests.size()).second)
          requests.push_back(request);
    const std::vector<exec::GramMatrix> grams = exec::gram_matrices(
        rounded_, requests, *context_.data, {.jobs = context_.jobs},
        *context_.progress, context_.cancel);
    for (size_t i = begin; i < end; ++i) {
      context_.check_cancelled();
      std::vector<const exec::GramMatrix*> seen;
      for (const auto& [name, axis] : inputs_of(matrices_[i]))
        if (grams[places[name]].rows > 0) seen.push_back(&grams[places[name]]);
      round_matrix(matrices_[i], seen);
      if (end < matrices_.size()) replace(matrices_[i]);
    }
  }

  void round_matrix(WeightMatrix& matrix,
                    const std::vector<const exec::GramMatrix*>& grams) {
    if (grams.empty()) {
      if (matrix.sites[0].filter && inputs_of(matrix).empty())
        remarks_.push_back({matrix.sites[0].node->id(),
                            "GPTQ takes no convolution in groups, so its "
                            "weights are rounded to nearest"});
      else if (!inputs_of(matrix).empty())
        remarks_.push_back({matrix.sites[0].node->id(),
                            "the data never reaches it, so its weights are "
                            "rounded to nearest"});
      return round_one(matrix, context_.jobs);
    }
    const WeightSite& site = matrix.sites[0];
    matrix.codes =
        gptq(matrix_values(site), site.depth(), site.columns(),
             matrix.codes.format, grams.size() == 1 ? *grams[0] : sum_of(grams),
             {.act_order = options_.act_order, .jobs = context_.jobs});
  }

  // The weights as the codes say, in the model that runs.
  void replace(const WeightMatrix& matrix) {
    std::vector<float> values = matrix.codes.dequantized();
    const WeightSite& first = matrix.sites[0];
    if (first.transposed)
      values = transposed_values(values, first.depth(), first.columns());
    ir::Value* rounded = rounded_.graph->add_constant(
        first.weights->name() + "_rounded",
        ir::Tensor::from<float>(first.weights->tensor().dims(), values));
    for (const WeightSite& site : matrix.sites)
      twins_.at(site.node)->set_input(site.table ? 0 : 1, rounded);
  }

  std::vector<WeightMatrix>& matrices_;
  const WeightOptions& options_;
  PassContext& context_;
  ir::Model rounded_;
  std::map<const ir::Node*, ir::Node*> twins_;            // in rounded_
  std::map<const ir::Node*, const ir::Value*> unfolded_;  // likewise
  std::vector<Remark> remarks_;
};

}  // namespace

std::vector<float> matrix_values(const WeightSite& site) {
  const auto data = site.weights->tensor().data<float>();
  if (site.transposed)
    return transposed_values(data, site.columns(), site.depth());
  return {data.begin(), data.end()};
}

std::vector<WeightMatrix> matrices_of(const std::vector<WeightSite>& sites,
                                      const WeightOptions& options) {
  std::vector<WeightMatrix> matrices;
  std::map<std::tuple<const ir::Value*, bool, bool>, size_t> places;
  for (const WeightSite& site : sites) {
    const auto [found, fresh] = places.emplace(
        std::tuple(site.weights, site.transposed, site.table), matrices.size());
    if (fresh)
      matrices.push_back(
          {{}, BlockCodes(format_of(site, options), site.depth(), 0)});
    matrices[found->second].sites.push_back(site);
  }
  return matrices;
}

void round_to_nearest(std::vector<WeightMatrix>& matrices,
                      PassContext& context) {
  context.progress->begin("round weights", matrices.size());
  for (WeightMatrix& matrix : matrices) {
    context.check_cancelled();
    round_one(matrix, context.jobs);
    context.progress->advance(1);
  }
  context.progress->end();
}

std::vector<Remark> round_by_gptq(const ir::Model& model,
                                  std::vector<WeightMatrix>& matrices,
                                  const WeightOptions& options,
                                  PassContext& context) {
  return GptqRun(model, matrices, options, context).run();
}

}  // namespace lathe::quantize
