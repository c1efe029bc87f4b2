#include "recipes/int8_form.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "passes/activation_ranges.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"
#include "tests/recipes/tiny_model.h"

namespace lathe::recipes {
namespace {

class WideRanges final : public RangeCollector {
 public:
  ActivationRanges collect(const ir::Model&,
                           const std::vector<std::string>& values,
                           ProgressSink&, const CancelToken*) override {
    ActivationRanges ranges;
    for (const std::string& value : values) ranges[value] = {-0.5f, 7};
    return ranges;
  }
};

std::vector<std::string> operators(const ir::Model& model) {
  std::vector<std::string> types;
  for (const ir::Node* node : model.graph->node_list())
    types.push_back(node->op_type);
  return types;
}

// What latency rests on: the same nodes as with any other ranges.
TEST_CASE("int8 form: the graph that samples would give") {
  PassContext context;
  ir::Model model = test::tiny_classifier();
  rewrite::make_simplify()->run(model, context);
  const std::vector<std::string> before = operators(model);
  const ir::Model form = int8_form(model, context);
  CHECK(quantize::holds_codes(form));
  CHECK(operators(model) == before);
  CHECK(context.ranges == nullptr);

  WideRanges ranges;
  context.ranges = &ranges;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(quantize::make_quantize_static({}));
  passes.push_back(rewrite::make_split_skip_layer_norm());
  passes.push_back(quantize::make_block_pixels({}));
  run_passes(model, passes, context);
  CHECK(operators(form) == operators(model));
}

}  // namespace
}  // namespace lathe::recipes
