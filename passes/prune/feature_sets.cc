#include "passes/prune/feature_sets.h"

#include <algorithm>
#include <unordered_map>

#include "passes/base/error.h"
#include "passes/prune/gated_model.h"

namespace lathe::prune {
namespace {

constexpr int64_t kMostChannels = 8192;

// What decides which windows a convolution sees.
std::string windows_key(const ir::Node& convolution) {
  std::string key = convolution.attr_string("auto_pad", "NOTSET");
  for (const char* name : {"kernel_shape", "strides", "pads", "dilations"}) {
    key += std::string(" ") + name;
    for (const int64_t number : convolution.attr_ints(name))
      key += " " + std::to_string(number);
  }
  return key;
}

class Collector {
 public:
  explicit Collector(const SaliencyTask& task) : task_(task) {}

  std::vector<FeatureSet> collect() {
    const std::vector<ChannelGroup>& groups = task_.groups.groups();
    for (size_t g = 0; g < groups.size(); ++g) {
      if (!groups[g].frozen.empty()) continue;
      bool read = false;
      for (const WeightAxis& reader : groups[g].readers) {
        const auto value = std::ranges::find(groups[g].values, reader.value,
                                             &ValueAxis::value);
        if (value == groups[g].values.end()) continue;
        add(g, reader, *value);
        read = true;
      }
      if (read) continue;
      for (const UnitEnd& end : unit_ends(*task_.model.graph, groups[g]))
        set_of(*end.axis, nullptr).readers.push_back({g, &end.axis->positions});
    }
    return std::move(sets_);
  }

 private:
  // `convolution`: whose windows are read, if any.
  FeatureSet& set_of(const ValueAxis& value, const ir::Node* convolution) {
    const std::string key = value.value + "\n" + std::to_string(value.axis) +
                            "\n" +
                            (convolution ? windows_key(*convolution) : "");
    const auto [found, made] = index_.try_emplace(key, sets_.size());
    if (!made) return sets_[found->second];
    const std::vector<int64_t> dims = task_.groups.dims(value.value);
    FeatureSet set{.value = value.value,
                   .axis = value.axis,
                   .rank = dims.size(),
                   .channels = dims[static_cast<size_t>(value.axis)],
                   .convolution = convolution,
                   .readers = {}};
    if (convolution) {
      const std::vector<int64_t>& weight =
          convolution->input(1)->tensor().dims();
      for (size_t i = 2; i < weight.size(); ++i) set.window *= weight[i];
    }
    if (set.channels > kMostChannels)
      throw_unsupported(
          "value '" + set.value + "'",
          std::to_string(set.channels) +
              " of its features are read together, too many for the Gram "
              "matrix of saliency 'reconstruction'",
          "use taylor or fisher");
    sets_.push_back(std::move(set));
    return sets_.back();
  }

  void add(size_t group, const WeightAxis& reader, const ValueAxis& value) {
    const ir::Node& node = *task_.model.graph->find(reader.result)->producer();
    const bool convolves =
        node.op_type == "Conv" || node.op_type == "FusedConv";
    const std::vector<int64_t>& dims =
        node.input(reader.input)->tensor().dims();
    const bool windows =
        convolves && std::any_of(dims.begin() + 2, dims.end(),
                                 [](int64_t size) { return size > 1; });
    set_of(value, windows ? &node : nullptr)
        .readers.push_back(
            {group, &reader.positions, &reader,
             convolves ? std::max<int64_t>(1, node.attr_int("group", 1)) : 1});
  }

  const SaliencyTask& task_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<FeatureSet> sets_;
};

// Adds what computes the features behind the model.
class FeatureGraph {
 public:
  explicit FeatureGraph(const ir::Model& model) : model_(ir::clone(model)) {}

  const ir::Model& model() const { return model_; }
  const std::vector<exec::GramRequest>& requests() const { return requests_; }

  // The set's channels, then the offsets.
  void add(const FeatureSet& set) {
    ir::Value* value = model_.graph->find(set.value);
    if (!set.convolution) return request(value, set.axis, set.rank);
    value = windows(set, value);
    ir::Value* shape = model_.graph->add_constant(
        set.value + "_window_shape",
        ir::Tensor::vector_i64({0, set.channels, set.window, -1}));
    value = add_node("Reshape", {value, shape})->output();
    request(value, 1, 4);
    requests_.push_back({value->name(), 2});
  }

 private:
  ir::Node* add_node(const char* op, std::vector<ir::Value*> inputs) {
    const std::string name =
        model_.graph->unique_name(inputs[0]->name() + "_features");
    return model_.graph->add_node(op, std::move(inputs),
                                  std::vector<std::string>{name});
  }

  // With the feature that is always 1, which the executor's Pad appends.
  void request(ir::Value* value, int64_t axis, size_t rank) {
    ir::Node* pad = add_node("Pad", {value});
    std::vector<int64_t> pads(2 * rank, 0);
    pads[rank + static_cast<size_t>(axis)] = 1;
    pad->set_attr("pads", std::move(pads));
    pad->set_attr("value", 1.0f);
    requests_.push_back({pad->output()->name(), axis});
  }

  // [N, channels * window, …]: a depthwise convolution that copies.
  ir::Value* windows(const FeatureSet& set, ir::Value* value) {
    const ir::Tensor& given = set.convolution->input(1)->tensor();
    std::vector<int64_t> dims = given.dims();
    dims[0] = set.channels * set.window;
    dims[1] = 1;
    std::vector<double> ones(static_cast<size_t>(dims[0] * set.window), 0.0);
    for (int64_t i = 0; i < dims[0]; ++i)
      ones[static_cast<size_t>(i * set.window + i % set.window)] = 1;
    ir::Value* copies = model_.graph->add_constant(
        set.value + "_window",
        ir::Tensor::from_doubles(given.type(), std::move(dims), ones));
    ir::Node* node = add_node("Conv", {value, copies});
    for (const char* name : {"kernel_shape", "strides", "pads", "dilations"})
      if (set.convolution->has_attribute(name))
        node->set_attr(name, set.convolution->attr_ints(name));
    if (set.convolution->has_attribute("auto_pad"))
      node->set_attr("auto_pad", set.convolution->attr_string("auto_pad", ""));
    node->set_attr("group", set.channels);
    return node->output();
  }

  ir::Model model_;
  std::vector<exec::GramRequest> requests_;
};

}  // namespace

std::vector<FeatureSet> feature_sets(const SaliencyTask& task) {
  return Collector(task).collect();
}

std::vector<FeatureGrams> feature_grams(const SaliencyTask& task,
                                        std::span<const FeatureSet> sets) {
  FeatureGraph graph(task.model);
  for (const FeatureSet& set : sets) graph.add(set);
  PassContext& context = task.context;
  std::vector<exec::GramMatrix> grams =
      exec::gram_matrices(graph.model(), graph.requests(), *context.data,
                          {.samples = task.samples, .jobs = context.jobs},
                          *context.progress, context.cancel);
  std::vector<FeatureGrams> results;
  size_t next = 0;
  for (const FeatureSet& set : sets) {
    FeatureGrams result{std::move(grams[next++]), {}};
    if (set.convolution) result.offsets = std::move(grams[next++]);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace lathe::prune
