// simplify: the rewrites that every model goes through first.
#include "passes/rewrite/rewrite.h"
#include "passes/rewrite/rounds.h"

namespace lathe::rewrite {

std::unique_ptr<Pass> make_simplify(int64_t target_opset) {
  PassList first;
  first.push_back(make_raise_opset(target_opset));
  first.push_back(make_remove_initializers_from_inputs());

  PassList repeated;
  repeated.push_back(make_constants_to_initializers());
  repeated.push_back(make_infer_shapes());
  repeated.push_back(make_drop_identities());
  repeated.push_back(make_fold_constants());
  repeated.push_back(make_fold_batch_norm());
  repeated.push_back(make_remove_dead_code());

  return make_rounds("simplify", std::move(first), std::move(repeated),
                     /*max_rounds=*/4);
}

}  // namespace lathe::rewrite
