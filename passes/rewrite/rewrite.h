// Passes that keep what a model computes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "passes/pass.h"

namespace lathe::rewrite {

// One file each; the name is the file's.
std::unique_ptr<Pass> make_raise_opset(int64_t target);  // 17..21
std::unique_ptr<Pass> make_remove_initializers_from_inputs();
std::unique_ptr<Pass> make_constants_to_initializers();
std::unique_ptr<Pass> make_fold_constants();
std::unique_ptr<Pass> make_fold_batch_norm();
std::unique_ptr<Pass>
make_drop_identities();  // Identity, Dropout, no-op Cast …
std::unique_ptr<Pass> make_remove_dead_code();
std::unique_ptr<Pass> make_infer_shapes();

// The list that `simplify` runs, raising to `target_opset` first.
std::unique_ptr<Pass> make_simplify(int64_t target_opset = 17);

// Sums that the runtime would fuse into a LayerNormalization, kept apart where
// context.latency says that this is faster; its input shapes are context's.
std::unique_ptr<Pass> make_split_skip_layer_norm();

}  // namespace lathe::rewrite
