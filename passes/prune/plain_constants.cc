#include "passes/prune/plain_constants.h"

#include "passes/rewrite/rewrite.h"

namespace lathe::prune {

PassResult make_constants_plain(ir::Model& model, const PassContext& context) {
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(rewrite::make_remove_initializers_from_inputs());
  passes.push_back(rewrite::make_constants_to_initializers());
  passes.push_back(rewrite::make_fold_constants());
  passes.push_back(rewrite::make_remove_dead_code());
  PassContext quiet;
  quiet.cancel = context.cancel;
  PassResult result = run_passes(model, passes, quiet);
  result.remarks.clear();
  return result;
}

}  // namespace lathe::prune
