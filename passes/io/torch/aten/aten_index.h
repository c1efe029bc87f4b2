// A list of index tensors (x[a, :, mask]) as ONNX's GatherND and ScatterND
// take it; shared by index and index_put.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "passes/io/torch/aten/aten_call.h"
#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {

struct IndexEntry {
  ir::Value* value = nullptr;
  int64_t axis = 0;   // of self, the first it indexes
  int64_t count = 1;  // axes it indexes: a mask's rank, else 1
  bool is_mask = false;
};

// The tensors of argument 'indices', masks as bool and others as they are.
std::vector<IndexEntry> index_entries(const AtenCall& call, int64_t rank);

struct Positions {
  std::vector<int64_t> axes;   // of self that are indexed, in order
  std::vector<int64_t> order;  // those axes first, then the others
  ir::Value* value = nullptr;  // [B.., axes.size()] int64
  int64_t batch_rank = 0;      // dimensions B
  // Where the dimensions B stand in PyTorch's result: at the place of the
  // axes when those are side by side, else in front.
  int64_t place = 0;
};

Positions positions_of(const AtenCall& call,
                       const std::vector<IndexEntry>& entries, int64_t rank);

// The permutation from [B.., other axes..] to PyTorch's result.
std::vector<int64_t> result_order(const Positions& positions, int64_t rank);

}  // namespace lathe::io::aten
