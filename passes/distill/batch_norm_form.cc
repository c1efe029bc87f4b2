#include "passes/distill/batch_norm_form.h"

#include <algorithm>

#include "passes/base/random.h"
#include "passes/exec/program.h"
#include "passes/exec/staged_run.h"
#include "passes/pass.h"
#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::distill {
namespace {

constexpr int64_t kSamples = 512, kAtOnce = 64;
// Behind the name of what a convolution gave, while BatchNormalization has it.
constexpr std::string_view kConvolved = "_convolved";
constexpr float kEpsilon = 1e-5f;

std::vector<ir::Node*> nodes_of(const ir::Model& model, const char* op) {
  std::vector<ir::Node*> found;
  for (ir::Node* node : model.graph->node_list())
    if (node->is(op)) found.push_back(node);
  return found;
}

bool never_estimated(const ir::Model& model) {
  const auto is = [](const ir::Value* value, double expected) {
    return value && value->is_constant() &&
           (exec::to_torch(value->tensor()) == expected).all().item<bool>();
  };
  for (const ir::Node* node : nodes_of(model, "BatchNormalization"))
    if (is(node->input(3), 0) && is(node->input(4), 1)) return true;
  return false;
}

void fold(ir::Model& model, const PassContext& context) {
  PassContext own;
  own.cancel = context.cancel;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(rewrite::make_fold_batch_norm());
  passes.push_back(rewrite::make_remove_dead_code());
  run_passes(model, passes, own);
}

bool is_float_constant(const ir::Value& value) {
  return value.is_constant() && value.tensor().type() == ir::DataType::kFloat;
}

// Those that can have one of their own behind them.
std::vector<ir::Node*> convolutions(const ir::Model& model) {
  std::vector<ir::Node*> found;
  for (ir::Node* node : nodes_of(model, "Conv")) {
    const ir::Value *weight = node->input(1), *bias = node->input(2);
    if ((is_float_constant(*weight) || rewrite::channel_codes(*node)) &&
        weight->uses().size() == 1 && (!bias || is_float_constant(*bias)) &&
        !node->output()->is_graph_output())
      found.push_back(node);
  }
  return found;
}

// Sums over samples and positions, by channel.
struct Moments {
  at::Tensor sum, squares;
  double count = 0, samples = 0;

  void add(const at::Tensor& value) {
    const at::Tensor rows = value.to(at::kDouble).movedim(1, 0).flatten(1);
    const at::Tensor sums = rows.sum(1), more = rows.square().sum(1);
    sum = sum.defined() ? sum + sums : sums;
    squares = squares.defined() ? squares + more : more;
    count += static_cast<double>(rows.size(1));
    samples += static_cast<double>(value.size(0));
  }
  at::Tensor mean() const { return sum / count; }
  at::Tensor variance() const {
    return (squares / count - mean().square()).clamp_min(0);
  }
};

// Of what the nodes give on kSamples samples.
std::vector<Moments> moments_of(const ir::Model& model,
                                const std::vector<ir::Node*>& nodes,
                                PassContext& context) {
  exec::CompileOptions options;
  options.trainable = [](const ir::Value&) { return false; };
  const auto program = exec::Program::compile(model, options);
  std::vector<Moments> moments(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    program->set_hook(nodes[i]->output()->name(),
                      [&moments, i](const at::Tensor& value) {
                        moments[i].add(value);
                        return value;
                      });
  const at::NoGradGuard no_grad;
  for (const auto& inputs :
       exec::draw_samples(*model.graph, *context.data, kSamples,
                          derive_seed(context.seed, "unfold"), kAtOnce)) {
    context.check_cancelled();
    program->run(inputs);
  }
  return moments;
}

ir::Value* constant(ir::Graph& graph, const std::string& name,
                    const at::Tensor& values) {
  return graph.add_constant(
      name, exec::from_torch(values.to(at::kFloat), ir::DataType::kFloat));
}

void insert(ir::Graph& graph, ir::Node& conv, const Moments& moments) {
  ir::Value* value = conv.output();
  const std::string name = value->name();
  const at::Tensor mean = moments.mean(), variance = moments.variance();
  // As small beside small values as 1e-5 beside those of deviation 1.
  const double typical = variance.mean().item<double>();
  const float epsilon =
      typical > 0 ? static_cast<float>(kEpsilon * typical) : kEpsilon;
  const std::vector<ir::Node*> order = graph.node_list();
  const auto next = std::next(std::find(order.begin(), order.end(), &conv));
  ir::Node* norm = graph.add_node(
      "BatchNormalization",
      {value, constant(graph, name + "_scale", (variance + epsilon).sqrt()),
       constant(graph, name + "_shift", mean),
       constant(graph, name + "_mean", mean),
       constant(graph, name + "_variance", variance)},
      std::vector<std::string>{name + "_normalized"},
      next == order.end() ? nullptr : *next);
  norm->name = conv.id() + "_normalized";
  norm->set_attr("epsilon", epsilon);
  ir::Value* normalized = norm->output();
  normalized->type = value->type;
  graph.replace_all_uses(value, normalized);
  norm->set_input(0, value);
  graph.rename(value, graph.unique_name(name + std::string(kConvolved)));
  graph.rename(normalized, name);
}

}  // namespace

bool has_batch_norm(const ir::Model& model) {
  return !nodes_of(model, "BatchNormalization").empty();
}

int64_t unfold_batch_norm(ir::Model& model, PassContext& context) {
  if (never_estimated(model)) return 0;
  fold(model, context);
  const std::vector<ir::Node*> nodes = convolutions(model);
  if (nodes.empty()) return 0;
  const std::vector<Moments> moments = moments_of(model, nodes, context);
  int64_t inserted = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    // Some positions of a sample, or the statistics are of too few values.
    if (moments[i].count <= moments[i].samples) continue;
    insert(*model.graph, *nodes[i], moments[i]);
    ++inserted;
  }
  return inserted;
}

void fold_batch_norm(ir::Model& model, const PassContext& context) {
  fold(model, context);
  for (ir::Node* node : nodes_of(model, "Conv")) {
    std::string name = node->output()->name();
    if (!name.ends_with(kConvolved)) continue;
    name.resize(name.size() - kConvolved.size());
    if (!model.graph->find(name)) model.graph->rename(node->output(), name);
  }
}

}  // namespace lathe::distill
