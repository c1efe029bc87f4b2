// What weights and quantizers' steps are trained in multiples of, so that one
// learning rate fits all of a network, whatever its values' sizes. Internal.
//
// A filter of Conv, ConvTranspose, Gemm or MatMul has the norm sqrt(2) in its
// unit, that of He et al. (2015, arXiv 1502.01852), with which the usual rates
// fit: BatchNormalization that was folded, or inputs of 0 to 255, leave filters
// of any norm. The step of a quantizer of weights has their unit, which keeps
// the balance of LSQ (Esser et al. 2020, arXiv 1902.08153, section 2.2) between
// the two; one of values has step * sqrt(farthest code) / 2, the mean size of
// values for which LSQ starts with that step. All else: 1.
#pragma once

#include <map>
#include <string>

#include "passes/distill/training_twin.h"

namespace lathe::distill {

// By name of a parameter of twin.model(), each broadcasting to its shape.
std::map<std::string, at::Tensor> training_units(const TrainingTwin& twin);

}  // namespace lathe::distill
