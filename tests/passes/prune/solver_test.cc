#include "passes/prune/solver.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "passes/prune/carried_selection.h"
#include "passes/prune/prune.h"
#include "tests/passes/prune/plan_support.h"
#include "tests/passes/prune/stair_latency.h"
#include "tests/zoo/net_builder.h"

namespace lathe {
namespace {

// Two residual blocks and a chain.
ir::Model small_net() {
  zoo::NetBuilder net("small", 1);
  zoo::NetBuilder::Value* x = net.conv(net.image(8), 8, 3, 1, zoo::Act::kRelu);
  for (int block = 0; block < 2; ++block)
    x = net.relu(
        net.add(net.conv(net.conv(x, 12, 3, 1, zoo::Act::kRelu), 8, 3), x));
  x = net.conv(x, 16, 3, 2, zoo::Act::kRelu);
  return net.finish(net.classifier(x, 5));
}

struct Problem {
  explicit Problem(ir::Model net, uint64_t seed = 1)
      : model(std::move(net)),
        groups(model),
        blocks(prune::find_residual_blocks(model)),
        pricer(model, groups, blocks, latency) {
    Random random(seed);
    for (const prune::ChannelGroup& group : groups.groups()) {
      std::vector<double> units(static_cast<size_t>(group.units));
      for (double& unit : units) unit = random.uniform(0.1, 1);
      loss.push_back(std::move(units));
      options.frozen.push_back(!group.frozen.empty());
    }
    options.blocks = false;
  }
  prune::WidthSolver solver() {
    return prune::WidthSolver(pricer, groups, blocks, loss, options);
  }
  prune::Solution solve(double ratio) {
    prune::WidthSolver made = solver();
    return made.solve({ratio * made.dense_latency_us()}, silent_progress(),
                      nullptr)[0];
  }

  ir::Model model;
  prune::ChannelGroups groups;
  std::vector<prune::ResidualBlock> blocks;
  test::StairLatency latency;
  prune::WidthPricer pricer;
  prune::UnitLoss loss;
  prune::SolverOptions options;
};

// The least loss within the latency, by looking at every width.
double exhaustive(Problem& problem, double limit_us) {
  prune::Widths widths;
  for (const auto& group : problem.groups.groups())
    widths.units.push_back(group.units);
  widths.gone.assign(problem.blocks.size(), false);
  std::vector<std::vector<double>> sorted = problem.loss;
  for (auto& units : sorted) std::ranges::sort(units);
  double best = std::numeric_limits<double>::infinity();
  const std::function<void(size_t, double)> look = [&](size_t group,
                                                       double loss) {
    if (loss >= best) return;
    if (group == sorted.size()) {
      if (problem.pricer.price(widths) <= limit_us) best = loss;
      return;
    }
    const int64_t units = problem.groups.groups()[group].units;
    const int64_t least = problem.options.frozen[group] ? units : 1;
    double sum = loss;
    for (int64_t left = units; left >= least; --left) {
      widths.units[group] = left;
      look(group + 1, sum);
      if (left > least) sum += sorted[group][static_cast<size_t>(units - left)];
    }
    widths.units[group] = units;
  };
  look(0, 0);
  return best;
}

TEST_CASE("widths meet each latency, and what is lost grows as it falls") {
  Problem problem(small_net());
  prune::WidthSolver solver = problem.solver();
  const double dense = solver.dense_latency_us();
  const std::vector<double> limits{0.9 * dense, 0.3 * dense, 0.6 * dense};
  const auto solutions = solver.solve(limits, silent_progress(), nullptr);
  for (size_t i = 0; i < limits.size(); ++i) {
    CHECK(solutions[i].latency_us <= limits[i]);
    CHECK(solutions[i].latency_us == problem.pricer.price(solutions[i].widths));
    // The model that is cut to these widths has that latency.
    ir::Model smaller = ir::clone(problem.model);
    prune::shrink(smaller, problem.groups,
                  solver.selection(solutions[i].widths));
    CHECK(problem.latency.estimate(smaller).latency.p50_us ==
          doctest::Approx(solutions[i].latency_us));
  }
  CHECK(solutions[0].loss <= solutions[2].loss);
  CHECK(solutions[2].loss <= solutions[1].loss);
  CHECK(solutions[1].loss > 0);
}

TEST_CASE("solutions are close to the best there is") {
  double worst = 1, sum = 0;
  int problems = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    zoo::NetBuilder net("chain", seed);
    zoo::NetBuilder::Value* x =
        net.conv(net.image(6), 8, 3, 1, zoo::Act::kRelu);
    x = net.conv(x, 12, 3, 1, zoo::Act::kRelu);
    x = net.conv(x, 8, 3, 1, zoo::Act::kRelu);
    Problem problem(net.finish(net.classifier(x, 4)), seed);
    for (const double ratio : {0.75, 0.5, 0.3}) {
      const prune::Solution found = problem.solve(ratio);
      const double best =
          exhaustive(problem, ratio * problem.solver().dense_latency_us());
      CAPTURE(seed);
      CAPTURE(ratio);
      CHECK(found.loss >= best - 1e-9);
      worst = std::max(worst, found.loss / best);
      sum += found.loss / best;
      ++problems;
    }
  }
  CHECK(worst <= 1.25);
  CHECK(sum / problems <= 1.04);
}

TEST_CASE("frozen groups stay whole, and others keep their least") {
  Problem problem(small_net());
  problem.options.frozen[0] = true;
  problem.options.max_ratio = 0.5;
  problem.options.min_units = 7;
  const prune::Solution found = problem.solve(0.75);
  CHECK(found.widths.units[0] == problem.groups.groups()[0].units);
  for (size_t i = 0; i < found.widths.units.size(); ++i) {
    const int64_t units = problem.groups.groups()[i].units;
    CHECK(found.widths.units[i] >=
          std::min(units, std::max<int64_t>(7, (units + 1) / 2)));
  }
}

TEST_CASE("a latency that cannot be reached says what binds it") {
  Problem problem(small_net());
  problem.options.max_ratio = 0.25;
  const std::string message = [&] {
    try {
      problem.solve(0.1);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUnsupported);
      return std::string(error.what());
    }
    return std::string();
  }();
  CHECK(message.find("cannot be reached") != message.npos);
  CHECK(message.find("at 6 of 8") != message.npos);
}

TEST_CASE("a residual block whose units are worth nothing goes as a whole") {
  Problem problem(small_net());
  problem.options.blocks = true;
  REQUIRE(problem.blocks.size() == 2);
  for (size_t i = 0; i < problem.loss.size(); ++i) {
    const auto& sources = problem.groups.groups()[i].sources;
    const auto& inside = problem.blocks[1].results;
    const bool here =
        std::ranges::all_of(sources, [&](const prune::WeightAxis& source) {
          return std::ranges::find(inside, source.result) != inside.end();
        });
    if (here) std::ranges::fill(problem.loss[i], 1e-6);
  }
  prune::WidthSolver solver = problem.solver();
  const prune::Solution found = solver.solve({0.65 * solver.dense_latency_us()},
                                             silent_progress(), nullptr)[0];
  CHECK(solver.gone(found.widths) ==
        std::vector<std::string>{problem.blocks[1].name});
  ir::Model smaller = ir::clone(problem.model);
  prune::remove_blocks(smaller, solver.gone(found.widths));
  prune::shrink(smaller, problem.groups, solver.selection(found.widths));
  CHECK(smaller.graph->nodes().size() < problem.model.graph->nodes().size());
  CHECK(problem.latency.estimate(smaller).latency.p50_us ==
        doctest::Approx(found.latency_us));
}

TEST_CASE("blocks that do not exist are refused") {
  ir::Model model = small_net();
  CHECK_THROWS_WITH(prune::remove_blocks(model, {"nothing"}),
                    doctest::Contains("block 'nothing': the model has no such "
                                      "residual block"));
}

TEST_CASE("selections of a pruned model are carried over to the dense one") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    const ir::Model dense = small_net();
    const prune::ChannelGroups groups(dense);
    const prune::Selection first = test::random_selection(groups, seed);
    ir::Model pruned = ir::clone(dense);
    prune::shrink(pruned, groups, first);
    const prune::ChannelGroups now(pruned);
    const prune::Selection second = test::random_selection(now, seed + 100);
    ir::Model twice = ir::clone(pruned);
    prune::shrink(twice, now, second);
    ir::Model once = ir::clone(dense);
    prune::shrink(once, groups,
                  prune::carried_selection(dense, groups, first, now, second));
    REQUIRE(once.graph->initializers().size() ==
            twice.graph->initializers().size());
    for (const ir::Value* value : once.graph->initializers())
      CHECK(value->tensor().identical(
          twice.graph->find(value->name())->tensor()));
  }
}

}  // namespace
}  // namespace lathe
