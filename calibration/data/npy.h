// NumPy's array files (NEP 1): .npy, versions 1 to 3.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/data/blob.h"
#include "passes/ir/tensor.h"

namespace lathe::data {

struct NpyArray {
  ir::DataType type = ir::DataType::kUndefined;
  std::vector<int64_t> dims;
  Blob blob;
  uint64_t offset = 0;  // of the first element in the blob

  uint64_t bytes() const;
};

// Reads the header and checks that the elements are there. Errors kInput: not
// such a file, a header that is not understood; kUnsupported: column-major
// order, big-endian or structured elements, objects, text.
NpyArray read_npy(const Blob& blob);

// True where convert() may turn values of one type into the other: between
// floats, between integers (which must fit), from integers of 8 and 16 bits
// to floats that hold them.
bool convertible(ir::DataType from, ir::DataType to);

// Little-endian elements as a tensor of type `to`. Error kInput with `where`
// for an integer that does not fit.
ir::Tensor convert(std::string bytes, ir::DataType from,
                   std::vector<int64_t> dims, ir::DataType to,
                   const std::string& where);

// An array of one integer a sample ([N] or [N, 1]) as labels. Error kInput
// when it is something else or a label is negative.
std::vector<int64_t> read_labels(const NpyArray& array);

}  // namespace lathe::data
