// infer_shapes: types and shapes of values, as far as they follow.
//
//   before: y = Relu(x)   x: float[N,8]     after: the same, y: float[N,8]
//
// The work is ir::infer_shapes; a change is a value that is known better.
#include <unordered_map>

#include "passes/ir/shape_inference.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

class InferShapes final : public Pass {
 public:
  std::string name() const override { return "infer_shapes"; }

  PassResult run(ir::Model& model, PassContext&) override {
    std::unordered_map<const ir::Value*, std::string> before;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      for (const ir::Value* value : graph.values())
        before[value] = ir::to_string(value->type);
    });
    ir::infer_shapes(model);
    PassResult result;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      for (const ir::Value* value : graph.values())
        if (before[value] != ir::to_string(value->type)) ++result.changes;
    });
    return result;
  }
};

}  // namespace

std::unique_ptr<Pass> make_infer_shapes() {
  return std::make_unique<InferShapes>();
}

}  // namespace lathe::rewrite
