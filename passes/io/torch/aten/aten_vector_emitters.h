// Emitters of the families "product" and "attention" that stand in another file
// than their family's table.
#pragma once

#include "passes/io/torch/aten/aten_call.h"

namespace lathe::io::aten {

// aten_distance.cc
Arguments emit_cosine_similarity(const AtenCall& call);
Arguments emit_pairwise_distance(const AtenCall& call);
Arguments emit_cdist(const AtenCall& call);
Arguments emit_euclidean_dist(const AtenCall& call);

// aten_embedding.cc
Arguments emit_embedding(const AtenCall& call);
Arguments emit_embedding_bag(const AtenCall& call);
Arguments emit_one_hot(const AtenCall& call);

}  // namespace lathe::io::aten
