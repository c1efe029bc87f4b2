#include "passes/quantize/narrow_floats.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace lathe::quantize {

ir::Tensor narrowed(const ir::Tensor& tensor, ir::DataType type) {
  const auto data = tensor.data<float>();
  std::vector<uint16_t> bits(data.size());
  std::ranges::transform(data, bits.begin(),
                         type == ir::DataType::kFloat16
                             ? ir::float_to_half
                             : ir::float_to_bfloat16);
  return ir::Tensor(type, tensor.dims(),
                    ir::Bytes::copy_of(std::as_bytes(std::span(bits))));
}

}  // namespace lathe::quantize
