// The layers that quantize_static made, beside the float ones they were made
// of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "passes/pass.h"
#include "passes/pass_context.h"

namespace lathe::quantize {

// A Conv, Gemm or MatMul between DequantizeLinear nodes.
struct CodedLayer {
  ir::Node* node = nullptr;
  ir::Node* input = nullptr;    // DequantizeLinear of the activation,
  ir::Node* weights = nullptr;  // of the int8 weights
  ir::Node* bias = nullptr;     // and of the int32 bias; null: none
  // What the layer computes, its bias added (by an Add behind a MatMul).
  ir::Value* result = nullptr;
  const ir::Value* target = nullptr;  // the same of the float model
  // The float model's weights in the order of the codes.
  std::vector<float> floats;
  // The scale of each of them is scales[i / inner % scales.size()].
  std::vector<float> scales;
  int64_t inner = 1;
  int32_t max_code = 127;  // codes lie in [-max_code, max_code]
  int64_t channels = 0;    // of the result
  int64_t channel_axis = 1;

  float scale(size_t weight) const {
    return scales[weight / static_cast<size_t>(inner) % scales.size()];
  }
  // From here on everything belongs to the layer.
  const ir::Node& first() const {
    return input->output()->uses().size() == 1 ? *input : *node;
  }
};

// In execution order. Each compute node of the model that is none has a remark
// that says why: it is in float, or no int8 weights that fit the float model's
// are to be found, because another pass rewrote them.
std::vector<CodedLayer> find_coded_layers(ir::Model& model,
                                          const ir::Model& reference,
                                          std::vector<Remark>& remarks);

// The float model's value that `value`, computed in float between DQ and Q,
// stands for; null: none.
const ir::Value* float_twin(const ir::Value& value, const ir::Model& reference);

// `value`, or what a Relu or Clip makes of it where nothing else reads it.
ir::Value* after_activation(ir::Value* value);

// context.reference and context.data are there. Error kUsage at `pass`.
void require_reference_and_data(const PassContext& context,
                                const std::string& pass);

}  // namespace lathe::quantize
