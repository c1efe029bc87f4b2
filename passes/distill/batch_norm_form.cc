#include "passes/distill/batch_norm_form.h"

#include <algorithm>

#include "passes/base/random.h"
#include "passes/exec/program.h"
#include "passes/exec/staged_run.h"
#include "passes/pass.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::distill {
namespace {

constexpr int64_t kSamples = 512, kAtOnce = 64;
constexpr float kEpsilon = 1e-5f;

bool has_batch_norm(const ir::Graph& graph) {
  for (const auto& node : graph.nodes())
    if (node->op_type == "BatchNormalization") return true;
  return false;
}

std::vector<ir::Node*> convolutions(const ir::Graph& graph) {
  std::vector<ir::Node*> found;
  for (ir::Node* node : graph.node_list()) {
    const ir::Value* weight = node->input(1);
    if (node->is("Conv") && weight && weight->is_constant() &&
        weight->uses().size() == 1 && !node->output()->is_graph_output())
      found.push_back(node);
  }
  return found;
}

// Sums over samples and positions, by channel.
struct Moments {
  at::Tensor sum, squares;
  double count = 0;

  void add(const at::Tensor& value) {
    const at::Tensor rows = value.to(at::kDouble).movedim(1, 0).flatten(1);
    const at::Tensor sums = rows.sum(1), more = rows.square().sum(1);
    sum = sum.defined() ? sum + sums : sums;
    squares = squares.defined() ? squares + more : more;
    count += static_cast<double>(rows.size(1));
  }
  at::Tensor mean() const { return sum / count; }
  at::Tensor variance() const {
    return (squares / count - mean().square()).clamp_min(0);
  }
};

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
  const std::vector<ir::Node*> order = graph.node_list();
  const auto next = std::next(std::find(order.begin(), order.end(), &conv));
  ir::Node* norm = graph.add_node(
      "BatchNormalization",
      {value, constant(graph, name + "_scale", (variance + kEpsilon).sqrt()),
       constant(graph, name + "_shift", mean),
       constant(graph, name + "_mean", mean),
       constant(graph, name + "_variance", variance)},
      std::vector<std::string>{name + "_normalized"},
      next == order.end() ? nullptr : *next);
  norm->name = conv.id() + "_normalized";
  norm->set_attr("epsilon", kEpsilon);
  ir::Value* normalized = norm->output();
  normalized->type = value->type;
  graph.replace_all_uses(value, normalized);
  norm->set_input(0, value);
  graph.rename(value, graph.unique_name(name + "_convolved"));
  graph.rename(normalized, name);
}

}  // namespace

int64_t unfold_batch_norm(ir::Model& model, PassContext& context) {
  ir::Graph& graph = *model.graph;
  if (has_batch_norm(graph)) return 0;
  const std::vector<ir::Node*> nodes = convolutions(graph);
  if (nodes.empty()) return 0;
  const std::vector<Moments> moments = moments_of(model, nodes, context);
  for (size_t i = 0; i < nodes.size(); ++i)
    insert(graph, *nodes[i], moments[i]);
  return static_cast<int64_t>(nodes.size());
}

void fold_batch_norm(ir::Model& model, const PassContext& context) {
  PassContext own;
  own.cancel = context.cancel;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(rewrite::make_fold_batch_norm());
  run_passes(model, passes, own);
}

}  // namespace lathe::distill
