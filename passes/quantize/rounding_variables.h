// Whether each weight of a layer is rounded up or down, as continuous
// variables.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "passes/quantize/coded_layers.h"

namespace lathe::quantize {

// Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training
// Quantization" (arXiv 2004.10568), equations 21 to 25: a weight w of scale s
// is s * (floor(w / s) + h(v)), h the rectified sigmoid, and starts where that
// is w. Weights that are codes already (0 among them), within a thousandth of a
// step, stay.
class RoundingVariables {
 public:
  explicit RoundingVariables(const CodedLayer& layer);

  size_t size() const { return whole_.size(); }
  // Some weight may go up or down.
  bool any_free() const;
  // The weights for the variables as they are.
  void soft_weights(std::span<float> weights) const;
  // Rounded to the side that h is closer to.
  std::vector<int8_t> codes() const;
  void weights_of(std::span<const int8_t> codes,
                  std::span<float> weights) const;

  struct Step {
    double learning_rate = 0;
    // Of the mean of 1 - |2h - 1|^beta; 0: none.
    double regularization = 0;
    double beta = 2;
  };
  // One step of Adam (Kingma and Ba 2015) for the objective's gradient with
  // respect to the weights.
  void step(std::span<const float> gradient, const Step& step, int jobs);

 private:
  std::vector<float> scales_, variables_, first_moment_, second_moment_;
  std::vector<int8_t> whole_;  // floor(w / s)
  int64_t steps_ = 0;
};

}  // namespace lathe::quantize
