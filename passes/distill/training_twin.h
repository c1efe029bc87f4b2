// A quantized (QDQ) model as training sees it: floats where it has codes.
//
//   model   w8 -> DQ -> Conv                b32 -> DQ -> Conv
//   twin    w -> Q [-> Clip] -> DQ -> Conv  b -> Conv
//
// The executor runs each Q and DQ as one fake quantization that lets gradients
// through, and the scales of weights and activations are learned (LSQ: Esser et
// al. 2020, arXiv 1902.08153). Zero points stay. Operators on codes (Pad, Clip,
// Min, Max, MaxPool, data movement) work between a DQ and a Q instead. A model
// without codes is its own twin.
#pragma once

#include <memory>
#include <string>

#include "passes/exec/program.h"
#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"

namespace lathe::distill {

enum class ParameterKind {
  kWeight,
  kVector,  // a bias, a normalization's scale or shift: without weight decay
  kScale,   // the step of a quantizer: without weight decay
};

struct ParameterInfo {
  ParameterKind kind = ParameterKind::kWeight;
  // What training multiplies the gradient with. Of a scale, LSQ's (section
  // 2.2) 1 / sqrt(count * high): count the elements that share it (of one
  // sample, where they are activations), high the farthest code from the zero
  // point. 1 for all else.
  double gradient_factor = 1;
  double farthest_code = 0;  // of a scale: from the zero point
};

class TrainingTwin {
 public:
  // Weights start as the codes say, or, where `reference` (the float model that
  // was quantized) has them beside the same consumer, the same shape, and no
  // code of theirs further than one from the model's, as they are there.
  // `shapes`: of inputs, for the counts of ParameterInfo; unknown dimensions
  // count as 1.
  //
  // Errors: kUnsupported, with the node, for quantized operators that are no
  // QDQ (QLinearConv, MatMulInteger, MatMulNBits, …).
  explicit TrainingTwin(const ir::Model& model,
                        const ir::Model* reference = nullptr,
                        const ir::InputShapes& shapes = {});
  ~TrainingTwin();
  TrainingTwin(TrainingTwin&&) noexcept;
  TrainingTwin& operator=(TrainingTwin&&) noexcept;

  // Values keep their names; what an operator on codes gives is float here.
  const ir::Model& model() const;
  // For exec::CompileOptions of model(): the weights, biases and scales that
  // stand for codes, and what exec::is_trainable says of the rest.
  bool trainable(const ir::Value& initializer) const;
  // Of a parameter of a program of model().
  ParameterInfo info(const std::string& parameter) const;
  // Whether some weight or activation is trained through codes.
  bool quantized() const;

  // Keeps each scale its sign and at least 1/1024 of where it started, and,
  // behind a Clip, so small that all codes lie in the Clip's bounds, if they
  // did; what is not finite starts again. Called after each step.
  void clamp_scales(const exec::Program& trained) const;

  // Writes a program of model() into the model that the twin was made of, or a
  // clone of it: codes rounded to nearest, ties to even, in the range that they
  // were in (-63..63, -127..127 or the type's), scales as by clamp_scales,
  // int32 biases with the scale input scale * weight scale; all else as
  // Program::store does. Biases are rounded to those steps; but for that the
  // model computes what the twin computes. Error kInput when `model` lacks an
  // initializer.
  void store(const exec::Program& trained, ir::Model& model) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lathe::distill
