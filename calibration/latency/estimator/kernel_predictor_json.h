// A fitted predictor as JSON. Internal to the estimator.
#pragma once

#include <string>

#include "calibration/latency/estimator/fit_network.h"
#include "calibration/latency/estimator/kernel_predictor_model.h"
#include "passes/base/json.h"

namespace lathe::latency {

struct PredictorState {
  KernelModel kernels;
  NetworkModel network;
  ValidationError validation;
};

Json predictor_json(const PredictorState& state);
// Errors kInput with text.where(pointer).
PredictorState predictor_from(const JsonText& text, const std::string& pointer);

}  // namespace lathe::latency
