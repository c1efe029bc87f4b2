// What a TrainingTwin is made of. Internal to it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"

namespace lathe::distill {

struct TwinCodes {
  std::string codes;   // computed in the twin, an initializer of the model
  std::string values;  // the float initializer of the twin behind them
};

// An int32 bias, a float initializer of the twin.
struct TwinBias {
  std::string values;  // in the twin
  std::string codes;   // in the model
  // The model's scale is that of the input times that of the weights; empty:
  // it is its own.
  std::string input_scale, weight_scale;
  std::string scale;  // in the model
};

struct TwinScale {
  std::string name;
  double gradient_factor = 1;
  double far = 0;      // farthest code from the zero point
  double largest = 0;  // 0: no limit
};

struct TwinParts {
  ir::Model model;
  std::vector<TwinCodes> codes;
  std::vector<TwinBias> biases;
  std::vector<TwinScale> scales;
  // The model's scale initializers that another one stands for.
  std::map<std::string, std::string> tied;
  std::set<std::string> trained;  // beside what exec::is_trainable says
  std::set<std::string> frozen;   // whatever it says
};

// The steps, in order.

// Equal scales on both sides of a Q and DQ, of data movement between DQ and Q,
// and of one constant become one initializer.
void tie_scales(TwinParts& parts);
// Operators on codes get floats.
void dequantize_operators(ir::Model& model);
// Codes become floats.
void make_floats(TwinParts& parts, const ir::Model* reference);
// Which scales are trained, and how.
void choose_scales(TwinParts& parts, const ir::InputShapes& shapes);

// The int32 bias behind a DQ, with those that read its floats. Error
// kUnsupported when two layers of different scales do.
TwinBias read_bias(const ir::Value& codes, const ir::Node& dequantize,
                   const std::vector<ir::Use>& uses);

// A Q or DQ, of ai.onnx or com.microsoft.
bool is_quantize(const ir::Node& node);
bool is_dequantize(const ir::Node& node);
// A DQ whose input is an integer initializer.
bool reads_codes(const ir::Node& node);
// The same of 32 bits.
bool reads_bias(const ir::Node& node);
// One value, or constants that are the same; absent ones are.
bool same_constant(const ir::Value* a, const ir::Value* b);
// Values that follow from constants alone.
std::vector<ir::Tensor> computed(const ir::Model& model,
                                 const std::vector<std::string>& values);

}  // namespace lathe::distill
