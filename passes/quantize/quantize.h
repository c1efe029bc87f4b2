// Static int8 quantization in QDQ form.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/activation_ranges.h"
#include "passes/ir/data_type.h"
#include "passes/pass.h"

namespace lathe::quantize {

// Some node of the model (subgraphs aside) quantizes or reads codes.
bool holds_codes(const ir::Model& model);

// Of the nodes that can be integer kernels: those that pay by
// context.latency, where that is calibrated, or all of them.
enum class PlacementRule { kLatency, kAll };

// What mixed precision must keep. Layers go back to float until it does: the
// fastest assignment that keeps max_drop and min_sqnr_db; of those within a
// latency limit, the one that disturbs the outputs least.
struct PrecisionBudget {
  // Of top-1, or of agreement with the float model where there are no labels;
  // a fraction. Needs context.evaluator, as min_sqnr_db does.
  std::optional<double> max_drop = {};
  std::optional<double> min_sqnr_db = {};  // of every output
  // Microseconds, from those of the float model; both estimates.
  std::function<double(double float_us)> latency_limit_us = {};
  int64_t samples = 16;  // that each layer's sensitivity is measured on

  bool given() const { return max_drop || min_sqnr_db || latency_limit_us; }
};

struct QuantizeOptions {
  // uint8, int8, uint16 or int16; kUndefined: what context.device wants, else
  // what this machine does.
  ir::DataType activation_type = ir::DataType::kUint8;
  bool per_channel = true;
  // Nodes (Node::id()) and operator types to leave in float.
  std::vector<std::string> exclude_nodes = {}, exclude_operators = {};
  // Ranges [-m, m], zero point in the middle of the codes.
  bool activation_symmetric = false;
  int weight_bits = 8;  // 8: codes -127..127; 7: -63..63
  // Layers whose products could saturate in pairs get 7-bit weights; nullopt:
  // where context.device says that its kernels do.
  std::optional<bool> pairs_saturate = std::nullopt;
  PlacementRule placement = PlacementRule::kLatency;
  // Needs a calibrated context.latency, context.data and context.executor.
  PrecisionBudget budget = {};
  // How ranges follow from the data; the pass sets what they are for.
  ObserverOptions observer = {};
};

// Needs context.ranges. Expects a simplified model of opset 13 and more (it
// raises lower ones itself through rewrite). Each compute node left in float
// has a remark that says why.
std::unique_ptr<Pass> make_quantize_static(QuantizeOptions options);

// How cross_layer_equalization and smooth_quant scale channels.
struct ScalingOptions {
  bool power_of_two = true;  // factors; float outputs stay the same to the bit
  // By which the predicted int8 error has to fall, else channels stay as they
  // are.
  double min_gain_db = 6;
  int64_t samples = 4;  // that ranges are taken from; 0: all
};

// Evens out the ranges of channels between Conv, Gemm and MatMul: what computes
// a channel takes 1/s in, what reads it s. Ranges follow from context.ranges,
// where it is given, else from the weights. Each set of channels left alone has
// a remark, or is counted in one.
std::unique_ptr<Pass> make_cross_layer_equalization(ScalingOptions options);

struct SmoothOptions {
  ScalingOptions scaling = {};
  double alpha = 0.5;  // 1: activations become even, 0: weights
  // Where nothing can take 1/s in, a Mul in front of the product does, if the
  // predicted int8 error falls by min_mul_gain_db.
  bool insert_mul = true;
  double min_mul_gain_db = 10;
};

// The same between a normalization and the products that read it. Needs
// context.ranges.
std::unique_ptr<Pass> make_smooth_quant(SmoothOptions options);

struct WeightOptions {
  enum class Form { kMatMulNBits, kQdq };
  enum class Method { kAuto, kRtn, kGptq };  // auto: gptq where data is real

  int bits = 4;             // or 8
  int64_t block_size = 32;  // a power of two from 16
  bool symmetric = true;
  Form form = Form::kMatMulNBits;
  Method method = Method::kAuto;
  // GPTQ: rows by falling energy of their input, scales fixed before.
  bool act_order = false;
  // GPTQ: a run over the data for each layer's input, with the layers before it
  // quantized; else one run of the float model, or a few where its matrices
  // would take too much memory.
  bool sequential = false;
  // Scales of least squared error instead of those of the extremes.
  bool search_scale = true;
  // MatMulNBits computes with 1: float, 4: int8 activations; 0: unset.
  int accuracy_level = 4;
  // Gather tables as well; form kQdq only.
  bool embeddings = false;
  // Weights of Conv as well, one scale an output channel; form kQdq only.
  bool convolutions = false;
  int64_t min_elements = 0;                     // smaller weights stay in float
  std::vector<std::string> exclude_nodes = {};  // Node::id()
};

// Weights of MatMul and Gemm (and tables of Gather, and weights of Conv) as 4-
// or 8-bit codes in blocks; activations stay float. Method kGptq needs
// context.data. Each compute node left alone has a remark that says why.
std::unique_ptr<Pass> make_quantize_weights(WeightOptions options);

struct DynamicOptions {
  ir::DataType weight_type = ir::DataType::kInt8;  // or uint8
  bool per_channel = true;
  int weight_bits = 8;                                // as in QuantizeOptions
  std::optional<bool> pairs_saturate = std::nullopt;  // likewise
  // Smaller weights stay in float: quantizing the input costs more.
  int64_t min_elements = 16384;
  std::vector<std::string> exclude_nodes = {}, exclude_operators = {};
};

// Dynamic int8: ranges of activations are taken while the model runs. MatMul,
// Gemm and LSTM with constant weights, subgraphs included. Each compute node
// left in float has a remark that says why.
std::unique_ptr<Pass> make_quantize_dynamic(DynamicOptions options);

struct HalfOptions {
  bool keep_io = true;  // float inputs and outputs stay float
  std::vector<std::string> exclude_nodes = {}, exclude_operators = {};
};

// Float tensors and the nodes that compute them to float16, with Casts where
// the two meet. With context.ranges, what leaves half's range over the data
// stays float. Each node left in float has a remark that says why.
std::unique_ptr<Pass> make_float16(HalfOptions options);

struct Bfloat16Options {
  int64_t min_elements = 256;  // smaller tensors stay as they are
};

// Stores float weights as bfloat16 with a Cast to float in front of their
// readers, which the runtime computes once, when it loads the model. Each
// tensor left alone has a remark that says why.
std::unique_ptr<Pass> make_bfloat16_weights(Bfloat16Options options);

struct BiasCorrectionOptions {
  int64_t samples = 32;  // drawn by context.seed
};

// On the model that quantize_static leaves: moves each int32 bias by the mean
// difference, channel by channel, between the float layer's result and the
// quantized one's. Needs context.reference and context.data. Each compute node
// left alone has a remark that says why.
std::unique_ptr<Pass> make_bias_correction(BiasCorrectionOptions options);

struct AdaroundOptions {
  enum class Granularity { kLayer, kBlock };

  // What is reconstructed as a whole: a layer, or what lies between two places
  // where one value is all that goes on (a residual block).
  Granularity granularity = Granularity::kLayer;
  int64_t steps = 1000;   // of Adam, for each unit
  int64_t samples = 512;  // drawn by context.seed; an eighth is held out
  int64_t batch_size = 8;
  double learning_rate = 0.05;
  // Of the mean of 1 - |2h - 1|^beta over the weights, where the error of the
  // codes that are there counts 1.
  double regularization = 10;
};

// On the model that quantize_static leaves: learns for each int8 weight whether
// to round it up or down, so that the float model's results come out. Scales
// and activations stay. Needs context.reference and context.data, and runs
// before passes that rewrite weights (block_pixels). Each compute node that
// keeps its codes has a remark that says why.
std::unique_ptr<Pass> make_adaround(AdaroundOptions options);

struct BlockPixelsOptions {
  // The most channels of a result that is blocked; 0: none are.
  int64_t max_channels = default_max_channels();

  // 16 where it was measured to pay (x86-64), 0 elsewhere.
  static int64_t default_max_channels();
};

// On the model that quantize_static leaves: holds the pixels of narrow images
// in blocks of 2x2, so that their convolutions fill the integer kernels. The
// codes that come out are the same. Asks context.latency, where that is
// calibrated, whether it pays. Each narrow convolution left alone has a remark
// that says why.
std::unique_ptr<Pass> make_block_pixels(BlockPixelsOptions options);

}  // namespace lathe::quantize
