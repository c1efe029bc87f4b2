// Every network pruned at random: the shrunk graph runs and is the masked
// dense one. LATHE_PRUNE_PLANS says how many plans each network gets.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

#include "passes/io/onnx/onnx.h"
#include "passes/pass_context.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/prune/plan_support.h"
#include "tests/support/real_models.h"
#include "tests/support/shared.h"
#include "tests/zoo/zoo.h"

namespace lathe {
namespace {

int plans() {
  const char* set = std::getenv("LATHE_PRUNE_PLANS");
  return set ? std::atoi(set) : 2;
}

void check_plans(const ir::Model& model, const ir::InputShapes& shapes) {
  const prune::ChannelGroups groups(model, shapes);
  int64_t open = 0;
  for (const prune::ChannelGroup& group : groups.groups())
    open += group.frozen.empty();
  // Some keep all their weights in subgraphs, and say so.
  CHECK((open > 0 || !groups.remarks().empty()));
  for (int plan = 0; plan < plans(); ++plan) {
    CAPTURE(plan);
    const prune::Selection selection =
        test::random_selection(groups, static_cast<uint64_t>(plan));
    const test::MaskedDifference found =
        test::masked_against_shrunk(model, groups, selection, shapes);
    CHECK(found.same_shapes);
    CHECK(found.difference <= 1e-4);
  }
}

TEST_CASE("random plans of the zoo equal the masked networks") {
  for (const zoo::ZooModel& subject : zoo::zoo()) {
    CAPTURE(subject.name);
    check_plans(subject.build(3), {});
  }
}

TEST_CASE("random plans of real models equal the masked networks") {
  for (const test::RealModel& subject : test::real_models()) {
    const auto path = test::shared_file("models/" + subject.file);
    if (path.empty()) continue;
    CAPTURE(subject.file);
    ir::Model model = io::import_onnx(path);
    PassContext context;
    rewrite::make_simplify(17)->run(model, context);
    check_plans(model, subject.shapes);
  }
}

}  // namespace
}  // namespace lathe
