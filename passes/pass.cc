#include "passes/pass.h"

namespace lathe {

PassResult run_passes(ir::Model& model,
                      const std::vector<std::unique_ptr<Pass>>& passes,
                      PassContext& context) {
  PassResult total;
  for (const auto& pass : passes) {
    context.check_cancelled();
    total.add(pass->run(model, context));
    ir::verify(*model.graph, pass->name());
  }
  return total;
}

}  // namespace lathe
