// Weights of PyTorch's recurrent layers in the layout of ONNX's LSTM, GRU and
// RNN: the gates in another order and the directions stacked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {

struct RecurrentKind {
  const char* op;  // "LSTM", "GRU", "RNN"
  // ONNX's gate i is PyTorch's gate gates[i].
  std::vector<int64_t> gates;
  const char* activation;  // of RNN, where it is not the default; else null
};

// PyTorch's parameters of one direction of a layer.
struct DirectionWeights {
  ir::Value* input = nullptr;   // w_ih [gates * hidden, inputs]
  ir::Value* hidden = nullptr;  // w_hh [gates * hidden, hidden]
  ir::Value *input_bias = nullptr, *hidden_bias = nullptr;  // or null
};

struct RecurrentWeights {
  ir::Value* w = nullptr;  // [directions, gates * hidden, inputs]
  ir::Value* r = nullptr;  // [directions, gates * hidden, hidden]
  ir::Value* b = nullptr;  // [directions, 2 * gates * hidden], or null
  int64_t hidden_size = 0;
};

// New initializers named after `name` where the parameters are constants,
// else nodes that rearrange them. All float. Error kInput when the parameters'
// shapes do not go together.
RecurrentWeights arrange_weights(OnnxBuilder& builder,
                                 const RecurrentKind& kind,
                                 const std::vector<DirectionWeights>& weights,
                                 const std::string& name);

}  // namespace lathe::io::aten
