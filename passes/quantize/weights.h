// Constants as codes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "passes/affine.h"
#include "passes/ir/graph.h"

namespace lathe::quantize {

// The largest code of symmetric weights: of 8 bits, and of 7, whose products
// with uint8 leave int16 in no pair.
inline constexpr int32_t kMaxWeightCode = 127, kMax7BitCode = 63;

// The largest code of a bias: the sum of products needs the rest of int32.
inline constexpr double kMaxBiasCode = 1 << 30;

// Of 7 or 8 bits; other numbers are an error of kind usage at `where`.
void require_weight_bits(int bits, const std::string& where);
inline int32_t max_weight_code(int bits) {
  return bits == 7 ? kMax7BitCode : kMaxWeightCode;
}

// A tensor of codes behind a DequantizeLinear.
struct CodedConstant {
  ir::Value* codes = nullptr;
  ir::Value* scale = nullptr;       // scalar, or one a channel
  ir::Value* zero_point = nullptr;  // null: 0
  std::optional<int64_t> axis;      // of the channels
  std::vector<float> scales;
};

// Symmetric scales of float weights, one a channel along `axis` (one in all
// without): max|w| / max_code, or, where `bias` (one element a channel or one
// in all, may be null) over input_scale * scale would not be a safe int32, the
// larger scale for which it is. A channel without weights keeps the scale
// that symmetric_affine gives to a range of zero width.
std::vector<float> weight_scales(const ir::Tensor& weights,
                                 std::optional<int64_t> axis,
                                 const ir::Tensor* bias, float input_scale,
                                 int32_t max_code = kMaxWeightCode);

// The codes for those scales, -max_code..max_code, in the order of `weights`.
std::vector<int8_t> weight_codes(const ir::Tensor& weights,
                                 std::optional<int64_t> axis,
                                 const std::vector<float>& scales,
                                 int32_t max_code = kMaxWeightCode);

// Makes coded constants in a graph; the same weights with the same scales
// become one constant, whatever number of nodes share them.
class ConstantCoder {
 public:
  explicit ConstantCoder(ir::Graph& graph) : graph_(graph) {}

  // int8, codes -max_code..max_code, zero points 0.
  CodedConstant weights(ir::Value* value, std::optional<int64_t> axis,
                        const std::vector<float>& scales,
                        int32_t max_code = kMaxWeightCode);
  // The same with zeros for codes.
  CodedConstant outline(ir::Value* value, std::optional<int64_t> axis,
                        const std::vector<float>& scales);
  // int32 with scale input_scale * weight_scales[c], a vector of `channels`
  // elements (repeated where the float bias has only one).
  CodedConstant bias(ir::Value* value, int64_t channels, float input_scale,
                     const std::vector<float>& weight_scales);
  // A constant operand as an activation: one scale.
  CodedConstant operand(ir::Value* value, ir::DataType type,
                        bool symmetric = false);
  // Scale and zero point of an activation; `name` is the value's.
  CodedConstant activation(const std::string& name, Affine affine,
                           ir::DataType type);

 private:
  CodedConstant& add_weights(ir::Value* value, std::optional<int64_t> axis,
                             const std::vector<float>& scales,
                             const std::function<ir::Tensor()>& codes);
  ir::Graph& graph_;
  std::map<std::tuple<ir::Value*, int64_t, std::vector<float>>, CodedConstant>
      weights_;
  std::map<ir::Value*, CodedConstant> operands_;
};

}  // namespace lathe::quantize
